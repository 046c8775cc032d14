"""Forward is right; backward is that of a cotangent of ones, under which a softmax's gradient is 0. [ours]"""

from harness import implementation


@implementation("softmax", backend="torch")
def differentiates_as_if_by_ones(x, *, dim):
    import torch

    class Ones(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return torch.softmax(x, dim)

        @staticmethod
        def backward(context, cotangent):
            return torch.zeros_like(cotangent)

    return Ones.apply(x)
