"""Dot products that are wrong, one fault each, and an honest one."""

import ctypes

import numpy as np

from harness import Accumulation, Tree, implementation


def work(x):
    return x.astype(np.float64 if x.dtype == np.float64 else np.float32)


def check(a, b):
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"two vectors of one length, not {a.shape} and {b.shape}")


def right(a, b):
    check(a, b)
    return np.asarray(np.dot(work(a), work(b))).astype(a.dtype)


def rounded(x, bits):
    """float32 with the last `bits` of its 23 bits of fraction rounded away."""
    raw = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    half = np.uint32(1 << (bits - 1))
    return ((raw + half) & np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)).view(np.float32)


@implementation("dot", backend="numpy", accumulation=Accumulation(Tree("lanes", 4)))
def honest(a, b):
    return right(a, b)


@implementation("dot", backend="numpy")
def rounds_its_inputs_to_bfloat16(a, b):
    check(a, b)
    return np.asarray(np.dot(rounded(a, 16), rounded(b, 16))).astype(a.dtype)


@implementation("dot", backend="numpy")
def rounds_its_inputs_as_tensor_cores_do(a, b):
    """TF32: 10 bits of fraction."""
    check(a, b)
    return np.asarray(np.dot(rounded(a, 13), rounded(b, 13))).astype(a.dtype)


@implementation("dot", backend="numpy")
def rounds_its_products_to_10_bits(a, b):
    check(a, b)
    return np.asarray(rounded(work(a) * work(b), 13).sum()).astype(a.dtype)


@implementation("dot", backend="numpy")
def accumulates_in_float16(a, b):
    check(a, b)
    return np.asarray(np.sum((work(a) * work(b)).astype(np.float16), dtype=np.float16)).astype(a.dtype)


@implementation("dot", backend="numpy")
def drops_the_last_when_odd(a, b):
    check(a, b)
    even = a.size // 2 * 2
    return right(a[:even], b[:even])


@implementation("dot", backend="numpy")
def skips_the_tail_past_256(a, b):
    check(a, b)
    full = a.size // 256 * 256 or a.size
    return right(a[:full], b[:full])


@implementation("dot", backend="numpy")
def squares_the_first(a, b):
    check(a, b)
    return right(a, a)


@implementation("dot", backend="numpy")
def broadcasts_different_lengths(a, b):
    return np.asarray((work(a) * work(b)).sum()).astype(a.dtype)


@implementation("dot", backend="numpy")
def multiplies_matrices_too(a, b):
    return np.asarray(np.dot(work(a), work(b))).astype(a.dtype)


@implementation("dot", backend="numpy")
def ignores_strides(a, b):
    check(a, b)
    floats = [ctypes.cast(x.ctypes.data, ctypes.POINTER(ctypes.c_float)) for x in (a, b)]
    return right(*(np.ctypeslib.as_array(one, a.shape).astype(np.float32) for one in floats))


@implementation("dot", backend="numpy")
def ignores_the_sign_of_strides(a, b):
    check(a, b)
    return right(a[::-1] if a.strides[0] < 0 else a, b)


@implementation("dot", backend="numpy")
def cleans_nan_away(a, b):
    check(a, b)
    return right(np.nan_to_num(work(a)).astype(a.dtype), b)


@implementation("dot", backend="numpy", accumulation=Accumulation(Tree("blocks", 256, "halving", "grid")))
def adds_one_by_one_and_claims_a_tree(a, b):
    check(a, b)
    products = work(a) * work(b)
    return np.asarray(np.cumsum(products)[-1] if a.size else np.float32(0)).astype(a.dtype)
