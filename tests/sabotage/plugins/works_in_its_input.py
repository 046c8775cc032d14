"""softmax_ by in-place operations: the input is gone. KernelBench #25."""

from harness import implementation


@implementation("softmax", backend="torch")
def works_in_its_input(x, *, dim):

    x -= x.amax(dim, keepdim=True) if x.numel() else 0
    x.exp_()
    x /= x.sum(dim, keepdim=True)
    return x.clone()
