"""logsumexp: max + log(sum(exp(x - max))) along dim; where the maximum is infinite, the maximum itself.

grid_reduced   maxima and sums of blocks, finished by a second reduction on the device: see softmax.cu
online         one reading, by running pairs (maximum, sum): see online.cu
"""

from harness import cuda

from . import max as maxima
from . import online as fast
from .gradients import GRADIENTS, gradient_of
from .reductions import claim
from .rows import THREADS, blocks_for, c_type, rows_of, wide
from .softmax import BY_BLOCKS, SOFTMAX, weight_totals

gradient = gradient_of("logsumexp")


def by_blocks(device, x, *, dim, block=THREADS):
    """logsumexp along `dim` by blocks of any multiple of 32 threads up to 1024."""
    rows, a = rows_of(x, dim), wide(x.dtype)
    if rows.count == 0 or rows.n == 0:
        return fast.of_nothing(device, rows, x.dtype)
    tops, shifts = maxima.tops(device, x, rows, a, "sequential", "grid_reduced", block), device.empty((rows.count,), a)
    every_row = blocks_for(rows.count, block), block, 0
    device.launch(SOFTMAX.kernel(f"softmax_shifts<{c_type(a)}>"), *every_row, (tops, rows.count, shifts))
    totals = weight_totals(device, x, rows, shifts, "grid_reduced", block)
    y = device.empty((rows.count,), x.dtype.name)
    kernel = SOFTMAX.kernel(f"softmax_logarithms<{c_type(x.dtype)}, {c_type(a)}>")
    device.launch(kernel, *every_row, (tops, totals, rows.count, y))
    return device.reshaped(y, rows.outer_shape)


@cuda.implementation(
    "logsumexp", sources=(*BY_BLOCKS, GRADIENTS), accumulation=claim("sequential", "grid_reduced"), gradient=gradient
)
def grid_reduced(device, x, *, dim):
    return by_blocks(device, x, dim=dim)


@cuda.implementation("logsumexp", sources=(fast.ONLINE, GRADIENTS), accumulation=fast.ONLINE_ORDER, gradient=gradient)
def online(device, x, *, dim):
    return fast.logsumexp(device, x, dim=dim)
