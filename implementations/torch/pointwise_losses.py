"""Losses between two tensors of one shape, in PyTorch.

builtin    torch.nn.functional: a kernel per step or one for all losses, then a reduction; half types are stored between
composed   the formula by elementary functions, and the reduction, in float32 or wider
"""

import math

import torch
import torch.nn.functional as F

from harness import Accumulation, Tree, implementation

from .losses import reduce, same_shape
from .rows import working

KERNELS = Accumulation(Tree("pairwise", 64), intermediate="case")
WIDE = Accumulation(Tree("pairwise", 64))


@implementation("l1", backend="torch", name="builtin", accumulation=KERNELS)
def l1(x, target, *, reduction):
    same_shape(x, target)
    return F.l1_loss(x, target, reduction=reduction)


@implementation("l1", backend="torch", name="composed", accumulation=WIDE)
def l1_composed(x, target, *, reduction):
    same_shape(x, target)
    return reduce(torch.abs(working(x) - working(target)), reduction).to(x.dtype)


@implementation("smooth_l1", backend="torch", name="builtin", accumulation=KERNELS)
def smooth_l1(x, target, *, reduction, beta=1.0):
    same_shape(x, target)
    return F.smooth_l1_loss(x, target, reduction=reduction, beta=beta)


@implementation("smooth_l1", backend="torch", name="composed", accumulation=WIDE)
def smooth_l1_composed(x, target, *, reduction, beta=1.0):
    """With c = min(|d|, beta): c (|d| - c / 2) / beta, one formula for both branches."""
    same_shape(x, target)
    if beta < 0:
        raise ValueError(f"beta is {beta}, and must not be negative")
    distance = torch.abs(working(x) - working(target))
    if beta > 0:
        clamped = torch.clamp(distance, max=beta)
        distance = clamped / beta * (distance - 0.5 * clamped)
    return reduce(distance, reduction).to(x.dtype)


def _weighed(losses, weight):
    """Losses by their weights, which broadcast to the losses and never the other way round."""
    return losses * torch.broadcast_to(working(weight), losses.shape)


@implementation("bce", backend="torch", name="builtin", accumulation=KERNELS)
def bce(p, target, weight=None, *, weighted, reduction):
    if weight is not None:
        weight = torch.broadcast_to(weight, p.shape)
    return F.binary_cross_entropy(p, target, weight, reduction=reduction)


@implementation("bce", backend="torch", name="composed", accumulation=WIDE)
def bce_composed(p, target, weight=None, *, weighted, reduction):
    same_shape(p, target)
    for values in (p, target):
        if not torch.all((values >= 0) & (values <= 1)):
            raise ValueError("all elements should be between 0 and 1")
    w, t = working(p), working(target)
    losses = -(t * torch.clamp(torch.log(w), min=-100) + (1 - t) * torch.clamp(torch.log1p(-w), min=-100))
    if weighted:
        losses = _weighed(losses, weight)
    return reduce(losses, reduction).to(p.dtype)


def _named(weights, weighted, positive_weighted):
    """(weight, pos_weight), None for each that is not there."""
    weight = weights[0] if weighted else None
    return weight, weights[-1] if positive_weighted else None


@implementation("bce_with_logits", backend="torch", name="builtin", accumulation=KERNELS)
def bce_with_logits(x, target, *weights, weighted, positive_weighted, reduction):
    weights = [torch.broadcast_to(one, x.shape) for one in weights]
    weight, positive = _named(weights, weighted, positive_weighted)
    return F.binary_cross_entropy_with_logits(x, target, weight, pos_weight=positive, reduction=reduction)


@implementation("bce_with_logits", backend="torch", name="composed", accumulation=WIDE)
def bce_with_logits_composed(x, target, *weights, weighted, positive_weighted, reduction):
    same_shape(x, target)
    weight, positive = _named(weights, weighted, positive_weighted)
    w, t = working(x), working(target)
    soft = -F.logsigmoid(w)
    if positive_weighted:
        soft = (1 + (working(positive) - 1) * t) * soft
    losses = (1 - t) * w + soft
    if weighted:
        losses = _weighed(losses, weight)
    return reduce(losses, reduction).to(x.dtype)


@implementation(
    "poisson_nll",
    backend="torch",
    name="builtin",
    accumulation=KERNELS,
    known={
        "*full=True*values=rates": "the gradient for a count of 0 is NaN: Stirling's term is masked only afterwards, "
        "and 0 times its derivative ln 0 is NaN",
        "float16*values=no_rate": "eps = 1e-8 is 0 in half precision: a rate of 0 costs inf, or NaN at a count of 0",
    },
)
def poisson_nll(x, target, *, log_input, full, eps, reduction):
    same_shape(x, target)
    return F.poisson_nll_loss(x, target, log_input=log_input, full=full, eps=eps, reduction=reduction)


@implementation("poisson_nll", backend="torch", name="composed", accumulation=WIDE)
def poisson_nll_composed(x, target, *, log_input, full, eps, reduction):
    same_shape(x, target)
    w, t = working(x), working(target)
    losses = torch.exp(w) - t * w if log_input else w - t * torch.log(w + eps)
    if full:
        # logarithms of the counts that take no part would bring NaN into the gradient
        small = t <= 1
        count = torch.where(small, 2, t)
        stirling = count * torch.log(count) - count + 0.5 * torch.log(2 * math.pi * count)
        losses = losses + torch.where(small, 0, stirling)
    return reduce(losses, reduction).to(x.dtype)


@implementation("kl_div", backend="torch", name="builtin", accumulation=KERNELS)
def kl_div(x, target, *, reduction, log_target=False):
    same_shape(x, target)
    return F.kl_div(x, target, reduction=reduction, log_target=log_target)


@implementation("kl_div", backend="torch", name="composed", accumulation=WIDE)
def kl_div_composed(x, target, *, reduction, log_target=False):
    """With ln t - x in one factor, where the builtin has two products."""
    same_shape(x, target)
    w, t = working(x), working(target)
    losses = torch.exp(t) * (t - w) if log_target else _times_log_of(t) - t * w
    return reduce_batch(losses, reduction).to(x.dtype)


def reduce_batch(losses, reduction):
    """As `reduce`, with batchmean: the sum divided by the length of the first axis."""
    if reduction != "batchmean":
        return reduce(losses, reduction)
    return torch.sum(losses) / (losses.shape[0] if losses.ndim else 1)


def _times_log_of(t):
    """t ln t, and 0 for t = 0, without NaN in the gradient."""
    none = t == 0
    return torch.where(none, 0, t * torch.log(torch.where(none, 1, t)))


@implementation("js_div", backend="torch", name="composed", accumulation=WIDE)
def js_div(p, q, *, reduction):
    """Two terms with the logarithm of a quotient each: p ln(p / m) / 2 + q ln(q / m) / 2."""
    same_shape(p, q)
    for values in (p, q):
        if not torch.all((values >= 0) & (values <= 1)):
            raise ValueError("all elements should be between 0 and 1")
    one, two = working(p), working(q)
    middle = 0.5 * (one + two)
    losses = 0.5 * (_divergence(one, middle) + _divergence(two, middle))
    return reduce_batch(losses, reduction).to(p.dtype)


def _divergence(p, middle):
    none = p == 0
    ratio = torch.where(none, 1, p) / torch.where(none, 1, middle)
    return torch.where(none, 0, p * torch.log(ratio))
