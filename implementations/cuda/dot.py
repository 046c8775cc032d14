"""dot: products, and the reductions by blocks in three orders and with two finishes.

interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: see blocks.cuh and reductions.py
"""

import numpy as np

from harness import cuda
from harness.cuda import Source

from ..numpy.dot import check_vectors
from . import sum as sums
from .reductions import FLOATS, ORDERS, claim, instances, reduced
from .rows import THREADS, blocks_for, c_type

DOT = Source.beside(
    __file__,
    "dot.cu",
    (*instances(*(f"dot_{order}" for order in ORDERS)), *(f"dot_gradient<{c_type(dtype)}>" for dtype in FLOATS)),
)


def step(x):
    return x.strides[0] // x.dtype.itemsize


def gradient(device, cotangent, a, b):
    def scaled(other):
        out = device.empty(other.shape, other.dtype.name)
        if out.size:
            kernel = DOT.kernel(f"dot_gradient<{c_type(other.dtype)}>")
            device.launch(kernel, blocks_for(out.size), THREADS, 0, (cotangent, other, step(other), out.size, out))
        return out

    return scaled(b), scaled(a)


def by_blocks(device, a, b, *, order, finish, block=THREADS):
    """The dot product by blocks of any multiple of 32 threads up to 1024."""
    check_vectors(a, b)
    if a.size == 0:
        return device.zeros((), a.dtype.name)

    def first(out, blocks, threads):
        kernel = DOT.kernel(f"dot_{order}<{c_type(a.dtype)}, {c_type(out.dtype)}>")
        device.launch(kernel, blocks, threads, 0, (a, step(a), b, step(b), a.size, out))

    def again(terms, out):
        return sums.level(order, terms, out)

    return device.reshaped(reduced(device, first, again, np.add, a.dtype.name, 1, a.size, finish, block), ())


def _by_blocks(order, finish):
    def host(device, a, b):
        return by_blocks(device, a, b, order=order, finish=finish)

    host.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    sources, name = (DOT, sums.SUM), f"{order}_{finish}"
    return cuda.implementation("dot", name=name, sources=sources, accumulation=claim(order, finish), gradient=gradient)(
        host
    )


interleaved_host_round_trip = _by_blocks("interleaved", "host_round_trip")
interleaved_grid_reduced = _by_blocks("interleaved", "grid_reduced")
sequential_host_round_trip = _by_blocks("sequential", "host_round_trip")
sequential_grid_reduced = _by_blocks("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _by_blocks("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _by_blocks("warp_shuffle", "grid_reduced")
