"""Sums that are wrong, one fault each, and an honest one."""

import ctypes

import numpy as np

from harness import Accumulation, Tree, implementation

PAIRWISE = Accumulation(Tree("pairwise", 26), strided=Tree("any"))


def work(x):
    return x.astype(np.float64 if x.dtype == np.float64 else np.float32)


def right(x, dim):
    return np.asarray(np.sum(work(x), axis=dim)).astype(x.dtype)


def rows(x, dim):
    """The reduced axis last."""
    return work(x).reshape(-1) if dim is None else np.moveaxis(work(np.atleast_1d(x)), dim, -1)


@implementation("sum", backend="numpy", accumulation=PAIRWISE)
def honest(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy")
def drops_the_last_when_odd(x, *, dim):
    row = rows(x, dim)
    return np.asarray(row[..., : row.shape[-1] // 2 * 2].sum(axis=-1)).astype(x.dtype)


@implementation("sum", backend="numpy")
def skips_the_tail_past_256(x, *, dim):
    row = rows(x, dim)
    full = row.shape[-1] // 256 * 256 or row.shape[-1]
    return np.asarray(row[..., :full].sum(axis=-1)).astype(x.dtype)


@implementation("sum", backend="numpy")
def skips_the_tail_past_1024(x, *, dim):
    row = rows(x, dim)
    full = row.shape[-1] // 1024 * 1024 or row.shape[-1]
    return np.asarray(row[..., :full].sum(axis=-1)).astype(x.dtype)


@implementation("sum", backend="numpy")
def skips_the_last_row(x, *, dim):
    return right(x[:-1] if x.ndim == 2 and x.shape[0] > 1 else x, dim)


@implementation("sum", backend="numpy")
def estimates_from_every_other_element(x, *, dim):
    row = rows(x, dim)
    taken = row[..., ::2]
    scale = row.shape[-1] / max(1, taken.shape[-1])
    return np.asarray(taken.sum(axis=-1) * scale).astype(x.dtype)


@implementation("sum", backend="numpy")
def accumulates_in_float16(x, *, dim):
    return np.asarray(np.sum(x, axis=dim, dtype=np.float16)).astype(x.dtype)


@implementation("sum", backend="numpy")
def rounds_its_input_to_bfloat16(x, *, dim):
    bits = np.ascontiguousarray(work(x)).astype(np.float32).view(np.uint32)
    narrow = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.asarray(narrow.reshape(x.shape).sum(axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def is_a_constant(x, *, dim):
    return np.full_like(right(x, dim), 0.5)


@implementation("sum", backend="numpy")
def is_the_mean(x, *, dim):
    row = rows(x, dim)
    return np.asarray(row.mean(axis=-1)).astype(x.dtype)


@implementation("sum", backend="numpy")
def adds_absolute_values(x, *, dim):
    return right(np.abs(x), dim)


@implementation("sum", backend="numpy")
def assumes_contiguous_memory(x, *, dim):
    """Reads on from the address of the first element, whatever the strides are."""
    floats = ctypes.cast(x.ctypes.data, ctypes.POINTER(ctypes.c_float))
    return right(np.ctypeslib.as_array(floats, x.shape).astype(np.float32), dim)


@implementation("sum", backend="numpy")
def takes_the_other_dim(x, *, dim):
    return right(x, dim if dim is None or x.ndim < 2 else (dim + 1) % x.ndim)


@implementation("sum", backend="numpy")
def takes_a_negative_dim_for_the_last(x, *, dim):
    return right(x, -1 if dim is not None and dim < 0 else dim)


@implementation("sum", backend="numpy")
def takes_no_dim_for_dim_0(x, *, dim):
    return right(x, 0 if dim is None else dim)


@implementation("sum", backend="numpy")
def keeps_the_dim(x, *, dim):
    return np.asarray(np.sum(work(x), axis=dim, keepdims=True)).astype(x.dtype)


@implementation("sum", backend="numpy")
def clips_a_dim_out_of_range(x, *, dim):
    return right(x, dim if dim is None else max(-max(1, x.ndim), min(dim, max(1, x.ndim) - 1)))


@implementation("sum", backend="numpy")
def swallows_nan(x, *, dim):
    return np.asarray(np.nansum(work(x), axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def turns_infinities_into_nan(x, *, dim):
    answer = right(x, dim)
    return np.where(np.isinf(answer), np.nan, answer).astype(x.dtype)


@implementation("sum", backend="numpy")
def saturates_infinities(x, *, dim):
    answer = right(x, dim)
    return np.where(np.isinf(answer), np.sign(answer) * np.finfo(np.float32).max, answer).astype(x.dtype)


@implementation("sum", backend="numpy")
def flushes_subnormal_numbers(x, *, dim):
    small = np.abs(x) < np.finfo(np.float32).tiny
    return right(np.where(small, 0, x).astype(x.dtype), dim)


@implementation("sum", backend="numpy")
def takes_the_sum_of_nothing_for_nan(x, *, dim):
    answer = right(x, dim)
    return np.full_like(answer, np.nan) if x.size == 0 else answer


@implementation("sum", backend="numpy", accumulation=PAIRWISE)
def adds_one_by_one_and_claims_pairwise(x, *, dim):
    row = rows(x, dim)
    if row.shape[-1] == 0:
        return right(x, dim)
    return np.asarray(np.cumsum(row, axis=-1)[..., -1]).astype(x.dtype)


@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("any"), dtype="float64"))
def adds_in_float32_and_claims_float64(x, *, dim):
    return np.asarray(np.sum(x.astype(np.float32), axis=dim)).astype(x.dtype)
