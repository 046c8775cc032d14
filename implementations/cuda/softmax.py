"""softmax: exp(x - max) / sum(exp(x - max)) along dim.

host_round_trip   maxima of blocks to the host, finished one by one; sums of exp to the host, finished one by one
grid_reduced      the same with both finished by a second reduction on the device; see softmax.cu for both
online            one reading to reduce, and a row in registers, or one more reading to write: see online.cu
"""

import numpy as np

from harness import cuda
from harness.cuda import Source

from . import max as maxima
from . import online as fast
from . import sum as sums
from .gradients import GRADIENTS, gradient_of
from .reductions import FLOATS, claim, reduced, threads_for
from .rows import THREADS, blocks_for, c_type, rows_of, wide


def _instances():
    for dtype in FLOATS:
        t, a = c_type(dtype), c_type(wide(dtype))
        yield f"softmax_exp_sum<{t}, {a}, {a}>"
        yield f"softmax_quotients<{t}, {a}>"
        yield f"softmax_logarithms<{t}, {a}>"
    yield from (f"softmax_shifts<{a}>" for a in ("float", "double"))


SOFTMAX = Source.beside(__file__, "softmax.cu", tuple(_instances()))
BY_BLOCKS = (SOFTMAX, maxima.MAX, sums.SUM)


def weight_totals(device, x, rows, tops, finish, block=THREADS):
    """The sum of exp(x - top) of each row: a device array of shape (count,) in the type that is computed in."""
    a = wide(x.dtype)

    def first(out, blocks, threads):
        kernel = SOFTMAX.kernel(f"softmax_exp_sum<{c_type(x.dtype)}, {c_type(a)}, {c_type(a)}>")
        device.launch(kernel, rows.count * blocks, threads, 0, (x, rows.layout, tops, rows.n, blocks, out))

    def again(terms, out):
        return sums.level("sequential", terms, out)

    return reduced(device, first, again, np.add, a, rows.count, rows.n, finish, block)


def by_blocks(device, x, *, dim, finish, block=THREADS):
    """softmax along `dim` by blocks of any multiple of 32 threads up to 1024."""
    rows, y = rows_of(x, dim), device.empty(x.shape, x.dtype.name)
    if y.size == 0:
        return y
    tops = maxima.tops(device, x, rows, wide(x.dtype), "sequential", finish, block)
    totals = weight_totals(device, x, rows, tops, finish, block)
    kernel = SOFTMAX.kernel(f"softmax_quotients<{c_type(x.dtype)}, {c_type(wide(x.dtype))}>")
    threads = threads_for(rows.n, block)
    blocks = blocks_for(rows.n, threads)
    arguments = (x, rows.layout, tops, totals, rows.n, blocks, y, rows_of(y, dim).layout)
    device.launch(kernel, rows.count * blocks, threads, 0, arguments)
    return y


def _by_blocks(finish):
    def host(device, x, *, dim):
        return by_blocks(device, x, dim=dim, finish=finish)

    host.__doc__ = f"Blocks of {THREADS} threads, maxima and sums finished by {finish}."
    return cuda.implementation("softmax", name=finish, sources=BY_BLOCKS, accumulation=claim("sequential", finish))(
        host
    )


host_round_trip = _by_blocks("host_round_trip")
grid_reduced = _by_blocks("grid_reduced")


@cuda.implementation(
    "softmax", sources=(fast.ONLINE, GRADIENTS), accumulation=fast.ONLINE_ORDER, gradient=gradient_of("softmax")
)
def online(device, x, *, dim):
    return fast.normalised(device, x, dim=dim, law="Softmax")
