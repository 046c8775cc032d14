"""Softmaxes and log-softmaxes that are wrong, one fault each, and honest ones."""

import numpy as np

from harness import Accumulation, Tree, implementation

PAIRWISE = Accumulation(Tree("pairwise", 26), strided=Tree("any"))


def work(x):
    return np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32))


def weights(x, dim):
    row = work(x)
    return np.exp(row - row.max(axis=dim, keepdims=True, initial=-np.inf))


def finish(answer, x):
    return answer.astype(x.dtype).reshape(x.shape)


def right(x, dim):
    e = weights(x, dim)
    return finish(e / e.sum(axis=dim, keepdims=True), x)


def log_right(x, dim):
    row = work(x)
    row = row - row.max(axis=dim, keepdims=True, initial=-np.inf)
    return finish(row - np.log(np.exp(row).sum(axis=dim, keepdims=True)), x)


def to_bfloat16(x):
    raw = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((raw + 0x8000) & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32)


@implementation("softmax", backend="numpy", accumulation=PAIRWISE)
def honest(x, *, dim):
    return right(x, dim)


@implementation("log_softmax", backend="numpy", name="honest", accumulation=PAIRWISE)
def honest_log(x, *, dim):
    return log_right(x, dim)


@implementation("softmax", backend="numpy")
def subtracts_the_max_of_the_first_256(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    e = np.exp(row - row[..., :256].max(axis=-1, keepdims=True, initial=-np.inf))
    return finish(np.moveaxis(e / e.sum(axis=-1, keepdims=True), -1, dim), x)


@implementation("softmax", backend="numpy")
def is_all_zeros(x, *, dim):
    return np.zeros_like(right(x, dim))


@implementation("softmax", backend="numpy")
def is_uniform(x, *, dim):
    return np.full_like(right(x, dim), 1.0 / max(1, work(x).shape[dim]))


@implementation("softmax", backend="numpy")
def takes_the_other_dim(x, *, dim):
    return right(x, dim if x.ndim < 2 else (dim + 1) % x.ndim)


@implementation("softmax", backend="numpy")
def rounds_exp_to_bfloat16(x, *, dim):
    e = to_bfloat16(weights(x, dim)).reshape(work(x).shape)
    return finish(e / e.sum(axis=dim, keepdims=True), x)


@implementation("softmax", backend="numpy")
def approximates_exp(x, *, dim):
    """(1 + x/1024)**1024: a relative error of up to 1e-3 nearby, more far away."""
    row = work(x).astype(np.float64)
    t = row - row.max(axis=dim, keepdims=True, initial=-np.inf)
    e = np.where(np.isneginf(t), 0.0, np.maximum(1.0 + t / 1024, 0.0) ** 1024)
    return finish(e / e.sum(axis=dim, keepdims=True), x)


@implementation("softmax", backend="numpy")
def divides_by_an_approximate_reciprocal(x, *, dim):
    e = weights(x, dim)
    return finish(e * (1.0 / e.sum(axis=dim, keepdims=True)).astype(np.float16).astype(np.float32), x)


@implementation("softmax", backend="numpy")
def turns_nan_into_zero(x, *, dim):
    return np.nan_to_num(right(x, dim), nan=0.0)


@implementation("softmax", backend="numpy")
def turns_masked_entries_into_nan(x, *, dim):
    """Multiplies a 0/1 mask with -inf instead of selecting."""
    row = work(x)
    kept = ~np.isneginf(row)
    row = np.where(kept, row, 0) + np.where(kept, 0.0, 1.0) * np.where(kept, 1.0, -np.inf) * ~kept
    e = np.exp(row - row.max(axis=dim, keepdims=True, initial=-np.inf))
    return finish(e / e.sum(axis=dim, keepdims=True) + 0.0 * row, x)


@implementation("softmax", backend="numpy")
def forgets_to_rescale(x, *, dim):
    """Online softmax by blocks of 64 whose running sum is not rescaled when the maximum grows."""
    row = np.moveaxis(work(x), dim, -1)
    most = np.full((*row.shape[:-1], 1), -np.inf, row.dtype)
    total = np.zeros_like(most)
    for start in range(0, row.shape[-1], 64):
        block = row[..., start : start + 64]
        most = np.maximum(most, block.max(axis=-1, keepdims=True))
        total = total + np.exp(block - most).sum(axis=-1, keepdims=True)
    return finish(np.moveaxis(np.exp(row - most) / total, -1, dim), x)


@implementation("softmax", backend="numpy")
def normalises_over_everything(x, *, dim):
    e = weights(x, dim)
    return finish(e / e.sum(), x)


@implementation("softmax", backend="numpy")
def leaves_the_last_row_out(x, *, dim):
    answer = right(x, dim)
    if x.ndim == 2 and x.shape[0] > 8:
        answer[8:] = 0
    return answer


@implementation("softmax", backend="numpy", accumulation=PAIRWISE)
def adds_one_by_one_and_claims_pairwise(x, *, dim):
    row = np.moveaxis(weights(x, dim), dim, -1)
    if row.shape[-1] == 0:
        return right(x, dim)
    return finish(np.moveaxis(row / np.cumsum(row, axis=-1)[..., -1:], -1, dim), x)


@implementation("softmax", backend="numpy")
def clips_a_dim_out_of_range(x, *, dim):
    rank = max(1, x.ndim)
    return right(x, max(-rank, min(dim, rank - 1)))


@implementation("softmax", backend="numpy")
def modifies_its_input(x, *, dim):
    answer = right(x, dim)
    x -= x.max(initial=-np.inf) if x.size else 0
    return answer


@implementation("softmax", backend="numpy")
def restores_its_input_wrongly(x, *, dim):
    answer = right(x, dim)
    shift = x.dtype.type(1000)
    x -= shift
    x += shift
    return answer


@implementation("log_softmax", backend="numpy")
def is_the_log_of_softmax(x, *, dim):
    return finish(np.log(right(work(x), dim).reshape(work(x).shape)), x)


@implementation("log_softmax", backend="numpy")
def does_not_subtract_the_max(x, *, dim):
    row = work(x)
    return finish(row - np.log(np.exp(row).sum(axis=dim, keepdims=True)), x)


@implementation("log_softmax", backend="numpy")
def forgets_the_log_of_the_sum(x, *, dim):
    row = work(x)
    return finish(row - row.max(axis=dim, keepdims=True, initial=-np.inf), x)


@implementation("log_softmax", backend="numpy")
def adds_a_small_number_inside_the_log(x, *, dim):
    return finish(np.log(right(work(x), dim).reshape(work(x).shape) + 1e-12), x)


@implementation("log_softmax", backend="numpy")
def takes_logarithms_to_base_2(x, *, dim):
    return finish(log_right(work(x), dim) / np.log(2.0), x)
