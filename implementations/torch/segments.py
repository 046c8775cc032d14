"""segment_softmax in PyTorch, which has no such function.

builtin    the largest score of each segment by scatter_reduce, the sum by index_add
composed   the edges sorted by segment, and torch.segment_reduce over the runs

No gradient goes through the largest score: that of the answer does not depend on it.
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

ANY_ORDER = Accumulation(Tree("any"))


def check(scores, segments, num_segments):
    if segments.shape != scores.shape[:1]:
        raise ValueError(f"scores of shape {tuple(scores.shape)} need one id each, not {tuple(segments.shape)}")
    if num_segments < 0:
        raise ValueError(f"num_segments={num_segments}")


@implementation("segment_softmax", backend="torch", accumulation=ANY_ORDER)
def builtin(scores, segments, *, num_segments):
    check(scores, segments, num_segments)
    x = working(scores)
    # both look at the range of the ids
    index = segments.reshape(-1, *[1] * (x.dim() - 1)).expand_as(x)
    start = torch.full((num_segments, *x.shape[1:]), -torch.inf, dtype=x.dtype)
    largest = start.scatter_reduce(0, index, x.detach(), "amax")
    w = torch.exp(x - largest[segments])
    total = torch.zeros_like(start).index_add(0, segments, w)
    return (w / total[segments]).to(scores.dtype)


@implementation("segment_softmax", backend="torch", accumulation=ANY_ORDER)
def composed(scores, segments, *, num_segments):
    check(scores, segments, num_segments)
    if segments.numel() and (int(segments.min()) < 0 or int(segments.max()) >= num_segments):
        raise IndexError(f"segments must be in [0, {num_segments})")
    if scores.numel() == 0:
        return scores.clone()
    order = torch.argsort(segments, stable=True)
    _, runs, lengths = torch.unique_consecutive(segments[order], return_inverse=True, return_counts=True)
    x = working(scores)[order]
    largest = torch.segment_reduce(x.detach(), "max", lengths=lengths, axis=0, unsafe=True)
    w = torch.exp(x - largest[runs])
    total = torch.segment_reduce(w, "sum", lengths=lengths, axis=0, unsafe=True)
    p = w / total[runs]
    return p[torch.argsort(order)].to(scores.dtype)
