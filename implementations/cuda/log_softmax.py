"""log_softmax: (x - max) - log(sum(exp(x - max))) along dim.

online   one reading to reduce, and a row in registers, or one more reading to write: see online.cu
"""

from harness import cuda

from . import online as fast
from .gradients import GRADIENTS, gradient_of


@cuda.implementation(
    "log_softmax", sources=(fast.ONLINE, GRADIENTS), accumulation=fast.ONLINE_ORDER, gradient=gradient_of("log_softmax")
)
def online(device, x, *, dim):
    return fast.normalised(device, x, dim=dim, law="LogSoftmax")
