"""Log-sum-exps that are wrong, one fault each, and an honest one."""

import numpy as np

from harness import Accumulation, Tree, implementation


def work(x):
    return np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32))


def right(x, dim):
    row = np.moveaxis(work(x), dim, -1)
    most = row.max(axis=-1, initial=-np.inf)
    shift = np.where(np.isinf(most), 0, most)
    return np.asarray(shift + np.log(np.exp(row - shift[..., None]).sum(axis=-1))).astype(x.dtype)


@implementation("logsumexp", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26), strided=Tree("any")))
def honest(x, *, dim):
    return right(x, dim)


@implementation("logsumexp", backend="numpy")
def does_not_subtract_the_max(x, *, dim):
    return np.asarray(np.log(np.exp(work(x)).sum(axis=dim))).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def turns_plus_infinity_into_nan(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    most = row.max(axis=-1, initial=-np.inf)
    shift = np.where(np.isneginf(most), 0, most)
    return np.asarray(shift + np.log(np.exp(row - shift[..., None]).sum(axis=-1))).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def turns_rows_of_minus_infinity_into_nan(x, *, dim):
    """Looks after +inf and after empty rows, but a row of nothing but -inf is -inf - -inf."""
    row = np.moveaxis(work(x), dim, -1)
    if row.shape[-1] == 0:
        return right(x, dim)
    most = row.max(axis=-1)
    shift = np.where(np.isposinf(most), 0, most)
    return np.asarray(shift + np.log(np.exp(row - shift[..., None]).sum(axis=-1))).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def is_only_the_max(x, *, dim):
    return np.asarray(np.moveaxis(work(x), dim, -1).max(axis=-1, initial=-np.inf)).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def subtracts_the_max_of_the_first_256(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    most = row[..., :256].max(axis=-1, initial=-np.inf)
    shift = np.where(np.isinf(most), 0, most)
    return np.asarray(shift + np.log(np.exp(row - shift[..., None]).sum(axis=-1))).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def drops_the_last_element(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    return right(row[..., :-1] if row.shape[-1] > 1 else row, -1).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def adds_a_small_number_inside_the_log(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    return np.asarray(np.log(np.exp(row).sum(axis=-1) + 1e-6)).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def swallows_nan(x, *, dim):
    row = work(x)
    return right(np.where(np.isnan(row), -np.inf, row).astype(row.dtype), dim).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def is_the_log_of_the_mean_of_exp(x, *, dim):
    row = np.moveaxis(work(x), dim, -1)
    return (right(x, dim) - np.log(max(1, row.shape[-1]))).astype(x.dtype)


@implementation("logsumexp", backend="numpy")
def clips_a_dim_out_of_range(x, *, dim):
    rank = max(1, x.ndim)
    return right(x, max(-rank, min(dim, rank - 1)))
