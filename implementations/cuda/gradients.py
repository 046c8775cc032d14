"""Gradients that one block finds for each row; see gradients.cu."""

from harness.cuda import Source

from .reductions import FLOATS
from .rows import THREADS, c_type, dims_of, rows, rows_of

GRADIENTS = Source.beside(
    __file__,
    "gradients.cu",
    tuple(
        f"{operator}_gradient<{c_type(dtype)}>"
        for operator in ("max", "softmax", "log_softmax", "logsumexp")
        for dtype in FLOATS
    ),
)


def gradient_of(operator):
    """The gradient of an operator with respect to its one array, along `dim`, in float32 or wider."""

    def gradient(device, cotangent, x, *, dim=None):
        along = rows_of(x, dim)
        out = device.empty(x.shape, x.dtype.name)
        if out.size == 0:
            return out
        of_answer = cotangent.shape == x.shape and operator in ("softmax", "log_softmax")
        down = rows_of(cotangent, dim) if of_answer else rows(dims_of(cotangent), [])
        below = rows_of(out, dim)
        kernel = GRADIENTS.kernel(f"{operator}_gradient<{c_type(x.dtype)}>")
        arguments = (cotangent, down.layout, x, along.layout, along.n, out, below.layout)
        device.launch(kernel, along.count, THREADS, 0, arguments)
        return out

    return gradient
