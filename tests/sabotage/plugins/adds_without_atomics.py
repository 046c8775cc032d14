"""A race between two blocks, which an idle machine runs one after the other: right each time, there. [ours]"""

from harness import cuda

KERNELS = cuda.Source.beside(__file__, "adds_without_atomics.cu")


@cuda.implementation("sum", sources=[KERNELS])
def adds_without_atomics(device, x, *, dim=None):
    out = device.zeros((), "float32")
    device.launch(KERNELS.kernel("adds_without_atomics"), (x.size + 31) // 32, 32, 0, (x, out, x.size))
    return out
