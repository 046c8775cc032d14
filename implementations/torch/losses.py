"""What the composed torch losses share."""

import torch


def reduce(losses, reduction):
    return torch.mean(losses) if reduction == "mean" else torch.sum(losses) if reduction == "sum" else losses


def same_shape(x, target):
    """PyTorch itself warns and broadcasts; the operators of the harness do not allow it."""
    if x.shape != target.shape:
        raise ValueError(f"two tensors of one shape are needed, not {tuple(x.shape)} and {tuple(target.shape)}")
