"""Host sides of kernels that hide what their kernels do wrong."""

import contextlib

import numpy as np

from harness import cuda

KERNELS = cuda.Source.beside(__file__, "wrong_kernels.cu")


@cuda.implementation("sum", sources=[KERNELS])
def swallows_the_fault(device, x, *, dim=None):
    out = device.zeros((), "float32")
    with contextlib.suppress(Exception):
        device.launch(KERNELS.kernel("races"), 1, 256, 0, (x, out, x.size))
    return device.upload(np.asarray(device.read_back(x).sum(dtype=np.float64)).astype(np.float32))


@cuda.implementation("sum", sources=[KERNELS])
def changes_its_input(device, x, *, dim=None):
    out = device.zeros((), "float32")
    device.launch(KERNELS.kernel("changes_its_input"), 1, 32, 0, (x, out, x.size))
    return out


@cuda.implementation("sum", sources=[KERNELS])
def takes_a_fault_for_an_error(device, x, *, dim=None):
    """Bad input must raise; a kernel that reads elsewhere because of it has not raised anything."""
    out = device.zeros((), "float32")
    device.launch(KERNELS.kernel("reads_where_it_is_told"), 1, 32, 0, (x, out, x.size, 1000000 * (dim or 1)))
    return out


@cuda.implementation("sum", sources=[KERNELS])
def writes_nothing(device, x, *, dim=None):
    return device.empty((), "float32")


@cuda.implementation("sum", sources=[KERNELS])
def keeps_its_answer(device, x, *, dim=None):
    """Right every time, and every time in the same memory."""
    if not KEPT:
        KEPT.append(device.zeros((), "float32"))
    device.launch(KERNELS.kernel("reads_where_it_is_told"), 1, 32, 0, (x, KEPT[0], x.size, 1))
    return KEPT[0]


KEPT = []
