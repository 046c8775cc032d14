"""argmax: a reduction of pairs (value, position).

sequential   blocks that halve, and their pairs reduced again on the device: see argmax.cu
"""

from harness import cuda
from harness.cuda import Source

from .reductions import FLOATS, threads_for
from .rows import THREADS, blocks_for, c_type, rows_of, wide

INTEGERS = ("int64", "int32")
ARGMAX = Source.beside(
    __file__,
    "argmax.cu",
    (
        *(f"argmax_sequential<{c_type(dtype)}, {c_type(wide(dtype))}>" for dtype in (*FLOATS, *INTEGERS)),
        *(f"argmax_of_pairs<{c_type(a)}>" for a in ("float32", "float64", *INTEGERS)),
    ),
)


def by_blocks(device, x, *, dim, block=THREADS):
    """The positions along `dim`, by blocks of any multiple of 32 threads up to 1024."""
    rows, a = rows_of(x, dim), wide(x.dtype)
    if rows.n == 0:
        raise ValueError("the largest element of nothing")
    if rows.count == 0:
        return device.zeros(rows.outer_shape, "int64")
    kernel = ARGMAX.kernel(f"argmax_sequential<{c_type(x.dtype)}, {c_type(a)}>")
    n, given = rows.n, (x, rows.layout)
    while True:
        threads = threads_for(n, block)
        blocks = blocks_for(n, threads)
        pairs = device.empty((rows.count * blocks,), a), device.empty((rows.count * blocks,), "int64")
        device.launch(kernel, rows.count * blocks, threads, 0, (*given, n, blocks, *pairs))
        if blocks == 1:
            return device.reshaped(pairs[1], rows.outer_shape)
        kernel, n, given = ARGMAX.kernel(f"argmax_of_pairs<{c_type(a)}>"), blocks, pairs


@cuda.implementation("argmax", sources=(ARGMAX,))
def sequential(device, x, *, dim=None):
    return by_blocks(device, x, dim=dim)
