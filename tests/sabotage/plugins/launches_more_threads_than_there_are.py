"""A block of 2048 threads, which no device runs; the error is swallowed, and what lies in the output counts. [ours]"""

import contextlib

from harness import cuda

KERNELS = cuda.Source.beside(__file__, "wrong_kernels.cu")


@cuda.implementation("sum", sources=[KERNELS])
def launches_more_threads_than_there_are(device, x, *, dim=None):
    out = device.empty((), "float32")
    with contextlib.suppress(Exception):
        device.launch(KERNELS.kernel("reads_where_it_is_told"), 1, 2048, 0, (x, out, x.size, 1))
    return out
