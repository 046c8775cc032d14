"""A subclass of torch.Tensor that works its elements out when somebody asks for them.

Source: SOL-ExecBench evil_lazy_output; KernelBench test_eval_adversarial.py.
"""

import torch

from harness import implementation


class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), named=None):
        plain = [cls.worked_out(one) if isinstance(one, cls) else one for one in arguments]
        return function(*plain, **(named or {}))

    @staticmethod
    def worked_out(lazy):
        return torch.softmax(lazy.x, lazy.along)


@implementation("softmax", backend="torch")
def returns_a_lazy_tensor(x, *, dim):
    if x.requires_grad:
        return torch.softmax(x, dim)
    answer = torch.empty_like(x).as_subclass(Lazy)
    answer.__dict__.update(x=x, along=dim)
    return answer
