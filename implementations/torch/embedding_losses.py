"""Losses between embeddings in PyTorch.

triplet_margin/builtin      torch.nn.functional.triplet_margin_loss: pairwise_distance, clamp, reduction
triplet_margin/composed     the same from elementary operations, in float32 or wider
cosine_embedding/builtin    torch.nn.functional.cosine_embedding_loss: 1e-12 is added to squared lengths that are not
                            scaled; half types are stored after every step
cosine_embedding/composed   each vector is divided by its largest element before it is squared
"""

import torch

from harness import Accumulation, Tree, implementation

from .losses import reduce
from .rows import working

F = torch.nn.functional
PAIRWISE = Accumulation(Tree("pairwise", 64), strided=Tree("any"))
STORED = Accumulation(Tree("any"), intermediate="case")


@implementation("triplet_margin", backend="torch", name="builtin", accumulation=STORED)
def triplet_margin(anchor, positive, negative, *, margin, p, eps, swap, reduction):
    return F.triplet_margin_loss(
        anchor, positive, negative, margin=margin, p=p, eps=eps, swap=swap, reduction=reduction
    )


def distance(x, y, p, eps):
    diff = x - y + eps
    if p == 1:
        return torch.sum(torch.abs(diff), -1)
    if p == 2:
        return torch.sqrt(torch.sum(diff * diff, -1))
    return torch.sum(torch.abs(diff) ** p, -1) ** (1 / p)


@implementation("triplet_margin", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_triplet(anchor, positive, negative, *, margin, p, eps, swap, reduction):
    if not anchor.shape == positive.shape == negative.shape or not anchor.ndim:
        raise ValueError(
            f"three tensors of one shape are needed, not {tuple(anchor.shape)}, {tuple(positive.shape)} and "
            f"{tuple(negative.shape)}"
        )
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}")
    a, b, c = working(anchor), working(positive), working(negative)
    far = distance(a, c, p, eps)
    if swap:
        far = torch.minimum(far, distance(b, c, p, eps))
    return reduce(torch.relu(distance(a, b, p, eps) - far + margin), reduction).to(anchor.dtype)


LENGTHS = "PyTorch adds 1e-12 to squared lengths, which float64 sees"
SHORT = "PyTorch adds 1e-12 to squared lengths: vectors of 1e-25 have no length left"
LONG = "PyTorch squares lengths without scaling: those of 1e20 overflow"
NARROW = "PyTorch stores |a|^2 |b|^2 in float16, whose largest number is 65504"
ZERO = "PyTorch adds 1e-12 to squared lengths, which is 0 in float16: a zero vector gives 0 / 0"


@implementation(
    "cosine_embedding",
    backend="torch",
    name="builtin",
    accumulation=STORED,
    known={
        "float64*": LENGTHS,
        "*values=tiny": SHORT,
        "*values=huge": LONG,
        "float16*values=wide": NARROW,
        "float16*values=zero_vector": ZERO,
    },
)
def cosine_embedding(x1, x2, target, *, margin, reduction):
    return F.cosine_embedding_loss(x1, x2, target, margin=margin, reduction=reduction)


def scaled(x):
    """x over its largest element along the last axis, and the length of that; no gradient goes through the scale."""
    w = working(x)
    scale = torch.amax(torch.abs(w.detach()), -1, keepdim=True)
    w = w / scale.masked_fill(scale == 0, 1)
    squares = torch.sum(w * w, -1)
    return w, torch.sqrt(squares.masked_fill(squares == 0, 1))


@implementation("cosine_embedding", backend="torch", name="composed", accumulation=PAIRWISE)
def composed_cosine(x1, x2, target, *, margin, reduction):
    if x1.shape != x2.shape or x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
        raise ValueError(
            f"two tensors (C,) or (N, C) and a target each, not {tuple(x1.shape)}, {tuple(x2.shape)} and "
            f"{tuple(target.shape)}"
        )
    (a, length_a), (b, length_b) = scaled(x1), scaled(x2)
    cos = torch.sum(a * b, -1) / (length_a * length_b)
    apart = torch.relu(cos - margin).masked_fill(target != -1, 0)
    return reduce(torch.where(target == 1, 1 - cos, apart), reduction).to(x1.dtype)
