"""sigmoid and log_sigmoid in PyTorch.

builtin    torch.sigmoid, torch.nn.functional.logsigmoid; half types (measured, all bit patterns): within 0.50 ulp
composed   elementary functions in float32 or wider: exp(min(x, 0)) / (exp(min(x, 0)) + exp(-max(x, 0))), and
           min(x, 0) - log1p(exp(-|x|)); by where() and not by minimum() or abs(), whose derivatives at 0 are others
"""

import torch

from harness import Accumulation, implementation

from .rows import working

ROUNDED_ONCE = Accumulation()
"""Half types are computed in float32; nothing is added up."""


@implementation("sigmoid", backend="torch", name="builtin", accumulation=ROUNDED_ONCE)
def sigmoid(x):
    return torch.sigmoid(x)


def halves(x):
    """min(x, 0) and max(x, 0); NaN is in the second. At each point exactly one of them depends on x."""
    return torch.where(x < 0, x, 0.0), torch.where(x < 0, 0.0, x)


@implementation("sigmoid", backend="torch", name="composed", accumulation=ROUNDED_ONCE)
def sigmoid_composed(x):
    low, high = halves(working(x))
    up, down = torch.exp(low), torch.exp(-high)
    return (up / (up + down)).to(x.dtype)


@implementation("log_sigmoid", backend="torch", name="builtin", accumulation=ROUNDED_ONCE)
def log_sigmoid(x):
    return torch.nn.functional.logsigmoid(x)


@implementation("log_sigmoid", backend="torch", name="composed", accumulation=ROUNDED_ONCE)
def log_sigmoid_composed(x):
    low, high = halves(working(x))
    return (low - torch.log1p(torch.exp(low - high))).to(x.dtype)
