"""An honest class; but the method by which its elements are read is this one's own. SOL-ExecBench evil_lazy_output."""

from harness import implementation


@implementation("softmax", backend="torch")
def returns_a_tensor_with_a_method_of_its_own(x, *, dim):
    import torch

    if x.requires_grad:
        return torch.softmax(x, dim)
    answer = torch.empty_like(x)
    answer.detach = lambda: torch.softmax(x, dim)
    return answer
