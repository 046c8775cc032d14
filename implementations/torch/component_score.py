"""component_score_before_sigmoid and component_score_after_sigmoid in PyTorch.

composed   torch.softmax, torch.sigmoid and a sum over the components, in float32 or wider
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

ROWS = Accumulation(Tree("any"))


def check(scores, attention):
    if scores.dim() == 0 or scores.shape != attention.shape:
        raise ValueError(
            f"two tensors of one shape (..., K) are needed, not {tuple(scores.shape)} and {tuple(attention.shape)}"
        )


@implementation("component_score_before_sigmoid", backend="torch", name="composed", accumulation=ROWS)
def before(scores, attention):
    check(scores, attention)
    blended = (torch.softmax(working(attention), -1) * working(scores)).sum(-1)
    return torch.sigmoid(blended).to(scores.dtype)


@implementation("component_score_after_sigmoid", backend="torch", name="composed", accumulation=ROWS)
def after(scores, attention):
    check(scores, attention)
    return (torch.softmax(working(attention), -1) * torch.sigmoid(working(scores))).sum(-1).to(scores.dtype)
