"""circular_correlation: c_k = sum_i a_i b_{(i + k) mod n}.

time_domain   all n rotations of b gathered into a matrix per row, multiplied by a and added up: n^2 operations
fft           irfft(conj(rfft(a)) rfft(b), n): the length is needed, since half a spectrum does not tell n from n - 1.
              It claims no order of additions, and is judged by the norms that bound a transform's error. Products of
              spectra overflow before the answer does: near the largest number only a direct sum is right.

The same products and transforms make the gradients: of a the correlation of g and b, of b the convolution of a and g.
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working


def check(a, b):
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"two last axes of one length are needed, not shapes {a.shape} and {b.shape}")
    np.broadcast_shapes(a.shape, b.shape)


def unbroadcast(x, like):
    """The sum over the axes along which an array was repeated, in that array's shape and type."""
    extra = x.ndim - like.ndim
    axes = (*range(extra), *(extra + i for i, size in enumerate(like.shape) if size == 1 and x.shape[extra + i] != 1))
    return np.sum(x, axis=axes).reshape(like.shape).astype(like.dtype) if axes else x.astype(like.dtype)


def summed_products(a, b, sign):
    """sum_i a_i b_{(k + sign i) mod n}, the products of each element in a contiguous row."""
    n = a.shape[-1]
    if n == 0:
        return a * b
    k, i = np.ogrid[:n, :n]
    rotations = np.take(b, (k + sign * i) % n, axis=-1)
    return np.sum(np.multiply(a[..., None, :], rotations, order="C"), axis=-1)


def gradient_of_products(cotangent, a, b):
    g = working(cotangent)
    with np.errstate(all="ignore"):
        of_a = summed_products(g, working(b), 1)
        of_b = summed_products(working(a), g, -1)
        return unbroadcast(of_a, a), unbroadcast(of_b, b)


@implementation(
    "circular_correlation",
    backend="numpy",
    accumulation=Accumulation(Tree("pairwise", 26)),
    gradient=gradient_of_products,
)
def time_domain(a, b):
    check(a, b)
    with np.errstate(all="ignore"):
        return summed_products(working(a), working(b), 1).astype(a.dtype)


def transformed(a, b, conjugate):
    n = a.shape[-1]
    if n == 0:
        return a * b
    left = np.fft.rfft(a)
    return np.fft.irfft((np.conj(left) if conjugate else left) * np.fft.rfft(b), n)


def gradient_of_transforms(cotangent, a, b):
    g = working(cotangent)
    with np.errstate(all="ignore"):
        of_a = transformed(g, working(b), conjugate=True)
        of_b = transformed(working(a), g, conjugate=False)
        return unbroadcast(of_a, a), unbroadcast(of_b, b)


@implementation(
    "circular_correlation", backend="numpy", accumulation=Accumulation(Tree("any")), gradient=gradient_of_transforms
)
def fft(a, b):
    check(a, b)
    with np.errstate(all="ignore"):
        return transformed(working(a), working(b), conjugate=True).astype(a.dtype)
