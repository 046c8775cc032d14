"""Losses over classes in PyTorch.

nll/builtin                 torch.nn.functional.nll_loss; half types are added up in the half type, in cascades of 16
nll/composed                a gather and torch.sum, in float32 or wider
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

F = torch.nn.functional
PAIRWISE = Accumulation(Tree("pairwise", 64))


def class_axis(x):
    return 0 if x.ndim == 1 else 1


def check_labels(x, target, weight, ignore_index=None):
    axis = class_axis(x)
    classes = x.shape[axis]
    if tuple(target.shape) != tuple(x.shape[:axis] + x.shape[axis + 1 :]):
        raise ValueError(f"labels of shape {tuple(target.shape)} for an input of shape {tuple(x.shape)}")
    if target.dtype != torch.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"weights of shape {tuple(weight.shape)} for {classes} classes")
    outside = (target < 0) | (target >= classes)
    if ignore_index is not None:
        outside &= target != ignore_index
    if bool(outside.any()):
        raise IndexError(f"a label outside 0 to {classes - 1}")


def weights_of(x, target, weight, ignore_index):
    """Labels to gather at, which samples are ignored, the weight of each sample, and their total."""
    check_labels(x, target, weight, ignore_index)
    ignored = torch.zeros_like(target, dtype=torch.bool) if ignore_index is None else target == ignore_index
    safe = target.masked_fill(ignored, 0)
    each = torch.ones_like(target, dtype=working(x).dtype) if weight is None else working(weight)[safe]
    each = each.masked_fill(ignored, 0)
    return safe, ignored, each, each.sum()


def picked(x, labels):
    axis = class_axis(x)
    return torch.gather(x, axis, labels.unsqueeze(axis)).squeeze(axis)


def reduce(losses, total, reduction):
    if reduction == "none":
        return losses
    return losses.sum() / total if reduction == "mean" else losses.sum()


@implementation("nll", backend="torch", name="builtin", accumulation=Accumulation(Tree("pairwise", 64), dtype="case"))
def nll(x, target, weight=None, *, weighted, ignore_index, reduction):
    return F.nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


@implementation("nll", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_nll(x, target, weight=None, *, weighted, ignore_index, reduction):
    safe, ignored, each, total = weights_of(x, target, weight, ignore_index)
    losses = (-picked(working(x), safe) * each).masked_fill(ignored, 0)
    return reduce(losses, total, reduction).to(x.dtype)


FUSED = Accumulation(Tree("lanes", 4), intermediate="case")
INFINITE = "PyTorch stores the sum of a row's exp in float16, whose largest number is 65504: uniform logits sum to more"
NO_CHECK = "PyTorch does not look at the probabilities: the loss of what is no distribution is a number"
VIOLATIONS = {
    "float16[2x131072,2]*": INFINITE,
    "*values=negative_probability,raises": NO_CHECK,
    "*values=nan_probability,raises": NO_CHECK,
    "*label_smoothing=-0.1,raises": "PyTorch does not check that label_smoothing is positive",
}


@implementation("cross_entropy", backend="torch", name="builtin", accumulation=FUSED, known=VIOLATIONS)
def cross_entropy(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    return F.cross_entropy(
        x, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


def check_distributions(x, target, weight, ignore_index):
    if target.dtype != x.dtype:
        raise TypeError(f"probabilities of the type {target.dtype} for an input of {x.dtype}")
    if weight is not None and tuple(weight.shape) != (x.shape[class_axis(x)],):
        raise ValueError(f"weights of shape {tuple(weight.shape)} for {x.shape[class_axis(x)]} classes")
    if ignore_index >= 0:
        raise ValueError("probabilities leave no label to be ignored")
    if not bool((target >= 0).all()):
        raise ValueError("a probability that is negative or NaN")


def log_softmax(x):
    axis = class_axis(x)
    if x.numel() == 0:
        return torch.log_softmax(x, axis)
    # detached: what autograd would send through the maximum is 0 but for roundings
    y = x - torch.amax(x.detach(), axis, keepdim=True)
    return y - torch.log(torch.sum(torch.exp(y), axis, keepdim=True))


@implementation("cross_entropy", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_cross_entropy(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    axis = class_axis(x)
    y = log_softmax(working(x))
    weighed = y if weight is None else y * working(weight).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    if target.shape == x.shape:
        check_distributions(x, target, weight, ignore_index)
        q = working(target) * (1 - label_smoothing) + label_smoothing / x.shape[axis]
        losses = -torch.sum(weighed * q, axis)
        return reduce(losses, losses.numel(), reduction).to(x.dtype)
    safe, ignored, each, total = weights_of(x, target, weight, ignore_index)
    losses = -picked(y, safe) * each
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing / x.shape[axis] * torch.sum(weighed, axis)
    return reduce(losses.masked_fill(ignored, 0), total, reduction).to(x.dtype)


HALF = ("float16", "bfloat16")


def kernel_supports(case):
    if case.dtype in HALF:
        return f"PyTorch has no {case.dtype} kernel for this loss on the CPU"
    if case.shapes[0][0] == 0 and dict(case.parameters)["reduction"] != "none":
        return "PyTorch's kernel leaves its answer unwritten where there are no samples"
    return None


SEQUENTIAL = Accumulation(Tree("sequential"))
"""One thread walks through the classes, and through the samples."""
SWALLOWED = "PyTorch's kernel adds a margin where it compares greater than 0, so a NaN counts as 0"


@implementation(
    "multi_margin",
    backend="torch",
    name="builtin",
    accumulation=SEQUENTIAL,
    supports=kernel_supports,
    known={"*values=nan": SWALLOWED},
)
def multi_margin(x, target, weight=None, *, weighted, p, margin, reduction):
    return F.multi_margin_loss(x, target, p=p, margin=margin, weight=weight, reduction=reduction)


@implementation("multi_margin", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_multi_margin(x, target, weight=None, *, weighted, p, margin, reduction):
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}")
    if x.ndim not in (1, 2):
        raise ValueError(f"an input of shape (C,) or (N, C), not {tuple(x.shape)}")
    safe, _, each, _ = weights_of(x, target, weight, None)
    w = working(x)
    h = torch.relu(margin - picked(w, safe).unsqueeze(-1) + w)
    h = h.masked_fill(F.one_hot(safe, x.shape[-1]).bool(), 0)
    losses = torch.sum(h if p == 1 else h * h, -1) * each / x.shape[-1]
    return reduce(losses, losses.numel(), reduction).to(x.dtype)


@implementation(
    "multilabel_margin",
    backend="torch",
    name="builtin",
    accumulation=SEQUENTIAL,
    supports=kernel_supports,
    known={"*values=nan": SWALLOWED},
)
def multilabel_margin(x, target, *, reduction):
    return F.multilabel_margin_loss(x, target, reduction=reduction)


@implementation("multilabel_margin", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_multilabel_margin(x, target, *, reduction):
    classes = x.shape[-1]
    if x.ndim not in (1, 2) or target.shape != x.shape:
        raise ValueError(f"two tensors of one shape are needed, not {tuple(x.shape)} and {tuple(target.shape)}")
    if target.dtype != torch.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if bool(((target < -1) | (target >= classes)).any()):
        raise IndexError(f"a label outside -1 to {classes - 1}")
    w = working(x)
    listed = torch.cumsum((target < 0).long(), -1) == 0
    safe = target.masked_fill(~listed, 0)
    hot = (F.one_hot(safe, classes).bool() & listed.unsqueeze(-1)).any(-2)
    h = torch.relu(1 - torch.gather(w, -1, safe).unsqueeze(-1) + w.unsqueeze(-2))
    h = h.masked_fill(~(listed.unsqueeze(-1) & ~hot.unsqueeze(-2)), 0)
    losses = torch.sum(h, (-2, -1)) / classes
    return reduce(losses, losses.numel(), reduction).to(x.dtype)


@implementation("inverse_frequency_weights", backend="torch", name="builtin")
def inverse_frequency_weights(classes, *, num_classes, dtype):
    if classes.dtype != torch.int64:
        raise TypeError(f"labels are int64, not {classes.dtype}")
    if bool(((classes < 0) | (classes >= num_classes)).any()):
        raise IndexError(f"a label outside 0 to {num_classes - 1}")
    counts = torch.bincount(classes.reshape(-1), minlength=num_classes).double()
    weights = classes.numel() / (num_classes * counts)
    return torch.where(counts > 0, weights, 0).to(getattr(torch, dtype))
