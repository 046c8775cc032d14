"""sum, max and dot in CuPy.

builtin            cupy.sum, cupy.max, cupy.dot (cuBLAS); half types in float32
reduction_kernel   a cupy.ReductionKernel for each: what to do with an element, how to combine two, and what to store;
                   CuPy writes the kernel around it
"""

import functools

import cupy

from harness import implementation

from .rows import ANY_ORDER, with_axis, working


def sum_gradient(cotangent, x, *, dim=None):
    down = cotangent if dim is None or x.ndim == 0 else cupy.expand_dims(cotangent, dim)
    return cupy.array(cupy.broadcast_to(down, x.shape))


def dot_gradient(cotangent, a, b):
    g = working(cotangent)
    return (g * working(b)).astype(a.dtype), (g * working(a)).astype(b.dtype)


def check_vectors(a, b):
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot needs two vectors of one length, not shapes {a.shape} and {b.shape}")


@implementation("sum", backend="cupy", name="builtin", accumulation=ANY_ORDER, gradient=sum_gradient)
def total(x, *, dim=None):
    y, axis = with_axis(x, dim)
    wide = cupy.float64 if x.dtype == cupy.float64 else cupy.float32
    return cupy.asarray(cupy.sum(y, axis=axis, dtype=wide)).astype(x.dtype)


@implementation("max", backend="cupy", name="builtin")
def largest(x, *, dim=None):
    y, axis = with_axis(x, dim)
    return cupy.array(cupy.max(y, axis=axis))


@implementation("dot", backend="cupy", name="builtin", accumulation=ANY_ORDER, gradient=dot_gradient)
def dot(a, b):
    check_vectors(a, b)
    return cupy.asarray(cupy.dot(working(a), working(b))).astype(a.dtype)


@functools.cache
def kernel(operator, dtype):
    """The ReductionKernel of an operator for one type of elements: made when it is first used, compiled by CuPy."""
    wide = "double" if dtype == "float64" else "float"
    lowest = "__longlong_as_double(0xfff0000000000000LL)" if wide == "double" else "__int_as_float(0xff800000)"
    inputs, element, combine, start = {
        "sum": (f"{dtype} x", "x", "a + b", "0"),
        # a comparison with NaN is false: one on the left is kept by name, one on the right by the comparison
        "max": (f"{dtype} x", "x", "(a > b || isnan(a)) ? a : b", lowest),
        "dot": (f"{dtype} x, {dtype} y", f"({wide})x * ({wide})y", "a + b", "0"),
    }[operator]
    return cupy.ReductionKernel(
        inputs, f"{dtype} z", element, combine, "z = a", start, f"harness_{operator}_{dtype}", reduce_type=wide
    )


def reduced(operator, arrays, axis):
    return kernel(operator, arrays[0].dtype.name)(*arrays, axis=axis)


@implementation("sum", backend="cupy", name="reduction_kernel", accumulation=ANY_ORDER, gradient=sum_gradient)
def total_by_kernel(x, *, dim=None):
    y, axis = with_axis(x, dim)
    return reduced("sum", [y], axis)


@implementation("max", backend="cupy", name="reduction_kernel")
def largest_by_kernel(x, *, dim=None):
    y, axis = with_axis(x, dim)
    if (y.size if axis is None else y.shape[axis]) == 0:
        raise ValueError("the maximum of nothing")
    return reduced("max", [y], axis)


@implementation("dot", backend="cupy", name="reduction_kernel", accumulation=ANY_ORDER, gradient=dot_gradient)
def dot_by_kernel(a, b):
    check_vectors(a, b)
    return reduced("dot", [a, b], None)
