"""cross_entropy in PyTorch on a GPU.

builtin    torch.nn.functional.cross_entropy: log_softmax, then a loss over it; half types are rounded between. A label
           out of range trips an assertion on the device, after which its context can do nothing any more
composed   max, exp, sum and logarithm, a gather and a sum; labels are looked at first, which waits for the device
compiled   torch.compile of the builtin
"""

from harness.implementations.torch import class_losses as cpu

from .strategies import ROUNDED_BETWEEN, compiled, on_cuda

# the same code on every device looks, or does not look, at these
NO_CHECK = {pattern: reason for pattern, reason in cpu.VIOLATIONS.items() if pattern.endswith("raises")}
NO_TYPE_CHECK = {"*values=int32_labels,raises": "torch.compile's own nll_loss does not look at the type of the labels"}

cross_entropy_builtin = on_cuda(
    "cross_entropy", "builtin", cpu.cross_entropy, accumulation=ROUNDED_BETWEEN, known=NO_CHECK
)
cross_entropy_composed = on_cuda("cross_entropy", "composed", cpu.composed_cross_entropy)
cross_entropy_compiled = compiled(
    "cross_entropy", cpu.cross_entropy, accumulation=ROUNDED_BETWEEN, known=NO_CHECK | NO_TYPE_CHECK
)
