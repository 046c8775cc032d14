"""softmax, log_softmax and logsumexp in PyTorch on a GPU.

builtin    torch.softmax and torch.log_softmax: one kernel, one block for each row; torch.logsumexp: a kernel for each
           step, half types rounded between them
composed   max, exp, sum and division (logarithm), each a kernel of its own
compiled   torch.compile of the composed formula: fused into one or two kernels
"""

from harness.implementations.torch import log_softmax as cpu_log_softmax
from harness.implementations.torch import logsumexp as cpu_logsumexp
from harness.implementations.torch import softmax as cpu_softmax

from .strategies import ROUNDED_BETWEEN, compiled, on_cuda

softmax_builtin = on_cuda("softmax", "builtin", cpu_softmax.builtin)
softmax_composed = on_cuda("softmax", "composed", cpu_softmax.composed)
softmax_compiled = compiled("softmax", cpu_softmax.composed)

log_softmax_builtin = on_cuda("log_softmax", "builtin", cpu_log_softmax.builtin)
log_softmax_composed = on_cuda("log_softmax", "composed", cpu_log_softmax.composed)
log_softmax_compiled = compiled("log_softmax", cpu_log_softmax.composed)

logsumexp_builtin = on_cuda(
    "logsumexp", "builtin", cpu_logsumexp.builtin, accumulation=ROUNDED_BETWEEN, known=cpu_logsumexp.KNOWN
)
logsumexp_composed = on_cuda("logsumexp", "composed", cpu_logsumexp.composed)
logsumexp_compiled = compiled("logsumexp", cpu_logsumexp.composed)
