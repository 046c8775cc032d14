"""Softmaxes with the right numbers in the wrong thing, and ones that reuse what they have returned."""

import itertools

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype).reshape(x.shape)


class Lazy(np.ndarray):
    """Computes when it is read, long after the clock was stopped."""

    def reshape(self, *shape, **_):
        return right(self.x, self.dim).reshape(*shape)


def impostor():
    """A subclass that bears the name of numpy's own class."""
    kind = type("ndarray", (Lazy,), {})
    kind.__module__ = "numpy"
    return kind


class OnlyAnInterface:
    """No array at all, but what numpy takes for one."""

    def __init__(self, x, dim):
        self.x, self.dim = x, dim

    def __array__(self, *_, **__):
        return right(self.x, self.dim)


@implementation("softmax", backend="numpy")
def structure_honest(x, *, dim):
    return right(x, dim)


@implementation("softmax", backend="numpy")
def returns_a_copy_of_its_input(x, *, dim):
    return x.copy()


@implementation("softmax", backend="numpy")
def returns_its_input(x, *, dim):
    return x


@implementation("softmax", backend="numpy")
def writes_into_its_input_and_returns_it(x, *, dim):
    x[...] = right(x, dim)
    return x


@implementation("softmax", backend="numpy")
def returns_float64(x, *, dim):
    return right(x, dim).astype(np.float64)


@implementation("softmax", backend="numpy")
def returns_complex_numbers(x, *, dim):
    return right(x, dim).astype(np.complex64)


@implementation("softmax", backend="numpy")
def returns_objects(x, *, dim):
    return right(x, dim).astype(object)


@implementation("softmax", backend="numpy")
def returns_records(x, *, dim):
    return right(x, dim).view([("value", np.float32)])


@implementation("softmax", backend="numpy")
def returns_text(x, *, dim):
    return right(x, dim).astype("U16")


@implementation("softmax", backend="numpy")
def returns_the_other_byte_order(x, *, dim):
    return right(x, dim).astype(x.dtype.newbyteorder())


@implementation("softmax", backend="numpy")
def returns_an_extra_axis(x, *, dim):
    return right(x, dim)[None]


@implementation("softmax", backend="numpy")
def returns_one_row_to_be_broadcast(x, *, dim):
    return right(x, dim)[:1]


@implementation("softmax", backend="numpy")
def returns_the_transpose(x, *, dim):
    return right(x, dim).T.copy()


@implementation("softmax", backend="numpy")
def returns_it_flat(x, *, dim):
    return right(x, dim).reshape(-1)


@implementation("sum", backend="numpy")
def returns_a_numpy_scalar(x, *, dim):
    return x.dtype.type(np.sum(x, axis=dim))


@implementation("sum", backend="numpy")
def returns_a_python_number(x, *, dim):
    return float(np.sum(x, axis=dim))


@implementation("softmax", backend="numpy")
def returns_a_list(x, *, dim):
    return [right(x, dim)]


@implementation("softmax", backend="numpy")
def returns_nested_lists(x, *, dim):
    return right(x, dim).tolist()


@implementation("softmax", backend="numpy")
def returns_two_arrays(x, *, dim):
    return right(x, dim), right(x, dim)


@implementation("softmax", backend="numpy")
def returns_an_empty_tuple(x, *, dim):
    return ()


@implementation("softmax", backend="numpy")
def returns_a_hundred_arrays(x, *, dim):
    return tuple(right(x, dim) for _ in range(100))


@implementation("softmax", backend="numpy")
def returns_nothing(x, *, dim):
    return None


@implementation("softmax", backend="numpy")
def returns_a_lazy_subclass(x, *, dim):
    answer = np.empty_like(x).view(Lazy)
    answer.x, answer.dim = x, dim
    return answer


@implementation("softmax", backend="numpy")
def returns_a_subclass_under_a_false_name(x, *, dim):
    answer = np.empty_like(x).view(impostor())
    answer.x, answer.dim = x, dim
    return answer


@implementation("softmax", backend="numpy")
def returns_something_with_an_array_interface(x, *, dim):
    return OnlyAnInterface(x, dim)


@implementation("softmax", backend="numpy")
def returns_a_masked_array(x, *, dim):
    return np.ma.masked_array(right(x, dim))


@implementation("softmax", backend="numpy")
def returns_a_matrix(x, *, dim):
    return np.atleast_2d(right(x, dim)).view(np.recarray)


@implementation("softmax", backend="numpy")
def is_nan_everywhere(x, *, dim):
    return np.full_like(x, np.nan)


@implementation("softmax", backend="numpy")
def raises_always(x, *, dim):
    raise RuntimeError("no kernel for this shape")


@implementation("softmax", backend="numpy")
def leaves_the_tail_unwritten(x, *, dim):
    out = np.empty_like(x)
    flat, answer = out.reshape(-1), right(x, dim).reshape(-1)
    flat[: answer.size // 256 * 256] = answer[: answer.size // 256 * 256]
    return out


_calls = itertools.count(1)


@implementation("softmax", backend="numpy")
def trusts_what_the_allocator_left_behind(x, *, dim):
    """Each second call returns memory that it did not write, where an earlier answer may still lie."""
    return right(x, dim) if next(_calls) % 2 else np.empty_like(x)


_buffers = {}


@implementation("softmax", backend="numpy")
def returns_one_buffer_again_and_again(x, *, dim):
    out = _buffers.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
    out[...] = right(x, dim)
    return out


@implementation("softmax", backend="numpy")
def returns_a_view_of_one_buffer(x, *, dim):
    out = _buffers.setdefault("large", np.empty(1 << 20, np.float64)).view(x.dtype)[: x.size].reshape(x.shape)
    out[...] = right(x, dim)
    return out


@implementation("softmax", backend="numpy")
def alternates_between_two_buffers(x, *, dim):
    out = _buffers.setdefault((x.shape, x.dtype, next(_calls) % 2), np.empty(x.shape, x.dtype))
    out[...] = right(x, dim)
    return out
