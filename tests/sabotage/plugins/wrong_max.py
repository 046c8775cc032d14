"""Maxima that are wrong, one fault each, and an honest one."""

import numpy as np

from harness import implementation


def right(x, dim):
    return np.array(np.max(x, axis=None if x.ndim == 0 and dim in (0, -1) else dim))


def rows(x, dim):
    return x.reshape(-1) if dim is None else np.moveaxis(np.atleast_1d(x), dim, -1)


@implementation("max", backend="numpy")
def honest(x, *, dim):
    return right(x, dim)


@implementation("max", backend="numpy")
def starts_from_zero(x, *, dim):
    return np.array(np.max(rows(x, dim), axis=-1, initial=0))


@implementation("max", backend="numpy")
def swallows_nan(x, *, dim):
    return np.array(np.fmax.reduce(rows(x, dim), axis=-1))


@implementation("max", backend="numpy")
def is_a_constant(x, *, dim):
    return np.full_like(right(x, dim), 0.9998)


@implementation("max", backend="numpy")
def looks_at_the_first_256_only(x, *, dim):
    return np.array(np.max(rows(x, dim)[..., :256], axis=-1))


@implementation("max", backend="numpy")
def takes_the_neighbour_of_the_largest(x, *, dim):
    row = rows(x, dim)
    place = np.expand_dims(np.maximum(np.argmax(row, axis=-1) - 1, 0), -1)
    return np.array(np.take_along_axis(row, place, axis=-1)[..., 0])


@implementation("max", backend="numpy")
def rounds_to_float16(x, *, dim):
    return right(x, dim).astype(np.float16).astype(x.dtype)


@implementation("max", backend="numpy")
def compares_absolute_values(x, *, dim):
    return right(np.abs(x), dim)


@implementation("max", backend="numpy")
def drops_the_last_element(x, *, dim):
    row = rows(x, dim)
    return right(row[..., :-1] if row.shape[-1] > 1 else row, -1)


@implementation("max", backend="numpy")
def finds_a_maximum_of_nothing(x, *, dim):
    return np.array(np.max(rows(x, dim), axis=-1, initial=-np.inf)).astype(x.dtype)


@implementation("max", backend="numpy")
def returns_a_view_of_its_input(x, *, dim):
    """Right, and shares memory: where there is only one element, no new array is made."""
    row = rows(x, dim)
    return row[..., 0] if row.shape[-1] == 1 and row.ndim > 1 else right(x, dim)
