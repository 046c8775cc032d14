"""sum: the reductions by blocks in three orders and with two finishes, and one at the speed of memory.

interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: see blocks.cuh and reductions.py
streaming   several elements a thread, 16 bytes a load, one launch: see streaming.cu
"""

import numpy as np

from harness import cuda
from harness.cuda import Source

from .movement import MOVEMENT, repeated
from .reductions import ORDERS, claim, instances, reduced
from .rows import THREADS, c_type, outer_and_inner, rows_of
from .streaming import STREAMING, SUM_ORDER, summed

SUM = Source.beside(__file__, "sum.cu", instances(*(f"sum_{order}" for order in ORDERS)))


def gradient(device, cotangent, x, *, dim=None):
    return repeated(device, cotangent, x.shape, None if dim is None or x.ndim == 0 else dim % x.ndim)


def level(order, terms, out):
    """The kernel of one level, from and to these dtypes."""
    return SUM.kernel(f"sum_{order}<{c_type(terms)}, {c_type(out)}>")


def by_blocks(device, x, *, dim, order, finish, block=THREADS):
    """The sum along `dim` by blocks of any multiple of 32 threads up to 1024."""
    rows = rows_of(x, dim)
    if rows.count == 0 or rows.n == 0:
        return device.zeros(rows.outer_shape, x.dtype.name)

    def first(out, blocks, threads):
        kernel = level(order, x.dtype.name, out.dtype.name)
        device.launch(kernel, rows.count * blocks, threads, 0, (x, rows.layout, rows.n, blocks, out))

    def again(terms, out):
        return level(order, terms, out)

    total = reduced(device, first, again, np.add, x.dtype.name, rows.count, rows.n, finish, block)
    return device.reshaped(total, rows.outer_shape)


def _by_blocks(order, finish):
    def host(device, x, *, dim=None):
        return by_blocks(device, x, dim=dim, order=order, finish=finish)

    host.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    return cuda.implementation(
        "sum", name=f"{order}_{finish}", sources=(SUM, MOVEMENT), accumulation=claim(order, finish), gradient=gradient
    )(host)


interleaved_host_round_trip = _by_blocks("interleaved", "host_round_trip")
interleaved_grid_reduced = _by_blocks("interleaved", "grid_reduced")
sequential_host_round_trip = _by_blocks("sequential", "host_round_trip")
sequential_grid_reduced = _by_blocks("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _by_blocks("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _by_blocks("warp_shuffle", "grid_reduced")


@cuda.implementation("sum", sources=(STREAMING, MOVEMENT), accumulation=SUM_ORDER, gradient=gradient)
def streaming(device, x, *, dim=None):
    outer, inner = outer_and_inner(x, dim)
    return device.reshaped(summed(device, x, outer, inner, x.dtype.name), [length for length, _ in outer])
