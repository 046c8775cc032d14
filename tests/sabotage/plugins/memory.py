"""Softmaxes that remember an answer instead of working it out, or that are right only now and then."""

import numpy as np

from harness import implementation

known = {}
calls = {}


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype).reshape(x.shape)


def remembered(key, x, dim):
    if key not in known:
        known[key] = right(x, dim)
    return known[key].copy()


def counted(key):
    calls[key] = calls.get(key, 0) + 1
    return calls[key]


@implementation("softmax", backend="numpy")
def memory_honest(x, *, dim):
    return right(x, dim)


@implementation("softmax", backend="numpy")
def remembers_by_address(x, *, dim):
    return remembered(("address", x.ctypes.data, x.shape, x.strides, dim), x, dim)


@implementation("softmax", backend="numpy")
def remembers_by_shape(x, *, dim):
    return remembered(("shape", x.shape, dim), x, dim)


@implementation("softmax", backend="numpy")
def remembers_by_a_few_samples(x, *, dim):
    flat = np.sort(x, axis=None)
    return remembered(("sample", x.shape, dim, flat[:4].tobytes(), flat[-4:].tobytes()), x, dim)


@implementation("softmax", backend="numpy")
def remembers_the_previous_call(x, *, dim):
    previous = known.get("previous")
    known["previous"] = right(x, dim)
    return known["previous"].copy() if previous is None or previous.shape != x.shape else previous


@implementation("softmax", backend="numpy")
def is_right_on_the_first_call_only(x, *, dim):
    answer = right(x, dim)
    return answer if counted("first") == 1 else np.zeros_like(answer)


@implementation("softmax", backend="numpy")
def is_right_on_the_first_call_of_each_shape(x, *, dim):
    answer = right(x, dim)
    return answer if counted((x.shape, dim, x.strides)) == 1 else np.zeros_like(answer)


@implementation("softmax", backend="numpy")
def is_right_on_contiguous_memory_only(x, *, dim):
    answer = right(x, dim)
    return answer if x.flags.c_contiguous else np.zeros_like(answer)


@implementation("softmax", backend="numpy")
def is_right_on_powers_of_two_only(x, *, dim):
    answer = right(x, dim)
    n = answer.shape[dim] if answer.ndim else 1
    return answer if n & (n - 1) == 0 else np.zeros_like(answer)


@implementation("softmax", backend="numpy")
def is_right_on_aligned_memory_only(x, *, dim):
    answer = right(x, dim)
    return answer if x.ctypes.data % 8 == 0 else np.zeros_like(answer)


@implementation("softmax", backend="numpy")
def is_right_on_most_elements(x, *, dim):
    """Every 128th element is left out: matched-ratio rules accept 99 %."""
    answer = right(x, dim)
    if answer.size >= 128:
        answer.reshape(-1)[::128] = 0
    return answer


@implementation("softmax", backend="numpy")
def is_sometimes_wrong(x, *, dim):
    """Wrong in one call of three."""
    answer = right(x, dim)
    return answer if counted("sometimes") % 3 else np.zeros_like(answer)
