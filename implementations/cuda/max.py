"""max: the reductions by blocks in three orders and with two finishes.

A maximum is a selection: every order gives the same bits, so nothing is declared about it. The gradient goes to the
largest elements, in equal shares.

interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: see blocks.cuh and reductions.py
"""

import numpy as np

from harness import cuda
from harness.cuda import Source

from .gradients import GRADIENTS, gradient_of
from .reductions import ORDERS, instances, reduced
from .rows import THREADS, c_type, rows_of

MAX = Source.beside(__file__, "max.cu", instances(*(f"max_{order}" for order in ORDERS)))


def level(order, terms, out):
    """The kernel of one level, from and to these dtypes."""
    return MAX.kernel(f"max_{order}<{c_type(terms)}, {c_type(out)}>")


def by_blocks(device, x, *, dim, order, finish, block=THREADS):
    """The maximum along `dim` by blocks of any multiple of 32 threads up to 1024."""
    rows = rows_of(x, dim)
    # also where there is no row to reduce: PyTorch and NumPy look at the reduced dim only
    if rows.n == 0:
        raise ValueError("the maximum of nothing")
    if rows.count == 0:
        return device.zeros(rows.outer_shape, x.dtype.name)
    return device.reshaped(tops(device, x, rows, x.dtype.name, order, finish, block), rows.outer_shape)


def tops(device, x, rows, dtype, order, finish, block=THREADS):
    """The maxima of rows, at least one, of at least one element: a device array of shape (count,)."""

    def first(out, blocks, threads):
        kernel = level(order, x.dtype.name, out.dtype.name)
        device.launch(kernel, rows.count * blocks, threads, 0, (x, rows.layout, rows.n, blocks, out))

    def again(terms, out):
        return level(order, terms, out)

    return reduced(device, first, again, np.maximum, dtype, rows.count, rows.n, finish, block)


def _by_blocks(order, finish):
    def host(device, x, *, dim=None):
        return by_blocks(device, x, dim=dim, order=order, finish=finish)

    host.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    sources, name = (MAX, GRADIENTS), f"{order}_{finish}"
    return cuda.implementation("max", name=name, sources=sources, gradient=gradient_of("max"))(host)


interleaved_host_round_trip = _by_blocks("interleaved", "host_round_trip")
interleaved_grid_reduced = _by_blocks("interleaved", "grid_reduced")
sequential_host_round_trip = _by_blocks("sequential", "host_round_trip")
sequential_grid_reduced = _by_blocks("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _by_blocks("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _by_blocks("warp_shuffle", "grid_reduced")
