"""Margin losses in PyTorch.

builtin    torch.nn.functional: each step a kernel, half types stored between them
composed   the formula by elementary functions, and the reduction, in float32 or wider; soft_margin by log_sigmoid,
           which does not overflow
"""

import torch
import torch.nn.functional as F

from harness import implementation

from .losses import reduce, same_shape
from .pointwise_losses import KERNELS, WIDE
from .rows import working


@implementation(
    "soft_margin",
    backend="torch",
    name="builtin",
    accumulation=KERNELS,
    known={
        "*values=large": "log1p(exp(-y x)) overflows: inf where y x = -1000 costs 1000",
        "float16*values=wide": "exp(-y x) overflows in half precision from y x = -11.1 on",
    },
)
def soft_margin(x, target, *, reduction):
    same_shape(x, target)
    return F.soft_margin_loss(x, target, reduction=reduction)


@implementation("soft_margin", backend="torch", name="composed", accumulation=WIDE)
def soft_margin_composed(x, target, *, reduction):
    same_shape(x, target)
    return reduce(-F.logsigmoid(working(target) * working(x)), reduction).to(x.dtype)


@implementation("margin_ranking", backend="torch", name="builtin", accumulation=KERNELS)
def margin_ranking(first, second, target, *, margin=0.0, reduction):
    same_shape(first, second)
    same_shape(first, target)
    return F.margin_ranking_loss(first, second, target, margin=margin, reduction=reduction)


@implementation("margin_ranking", backend="torch", name="composed", accumulation=WIDE)
def margin_ranking_composed(first, second, target, *, margin=0.0, reduction):
    same_shape(first, second)
    same_shape(first, target)
    ahead = working(target) * (working(first) - working(second))
    return reduce(torch.clamp(margin - ahead, min=0), reduction).to(first.dtype)


@implementation("hinge_embedding", backend="torch", name="builtin", accumulation=KERNELS)
def hinge_embedding(x, target, *, margin=1.0, reduction):
    same_shape(x, target)
    return F.hinge_embedding_loss(x, target, margin=margin, reduction=reduction)


@implementation("hinge_embedding", backend="torch", name="composed", accumulation=WIDE)
def hinge_embedding_composed(x, target, *, margin=1.0, reduction):
    same_shape(x, target)
    w = working(x)
    far = torch.where(target == 1, 0, torch.clamp(margin - w, min=0))
    return reduce(far + torch.where(target == -1, 0, w), reduction).to(x.dtype)
