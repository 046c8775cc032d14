"""disentangled_attention in PyTorch.

composed   one number per edge and component: scatter_reduce for the largest score of each node, index_add for the
           sums. The maximum is detached: shifting all scores of a node does not change its softmax. Half types are
           computed in float32.
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

MESSAGES = ("subtraction", "product", "circular_correlation")


def check(nodes, relations, edges, message):
    if nodes.dim() != 3 or relations.dim() != 3 or nodes.shape[1:] != relations.shape[1:]:
        raise ValueError(f"(N, K, D) and (R, K, D) are needed, not {tuple(nodes.shape)} and {tuple(relations.shape)}")
    if any(part.dim() != 1 or part.shape != edges[0].shape for part in edges):
        raise ValueError(f"three vectors of one length are needed, not {[tuple(part.shape) for part in edges]}")
    for part, count in zip(edges, (len(nodes), len(nodes), len(relations)), strict=True):
        if part.numel() and (int(part.min()) < 0 or int(part.max()) >= count):
            raise IndexError(f"an index is not in [0, {count - 1}]")
    if message not in MESSAGES:
        raise ValueError(f"message {message!r} is none of {', '.join(MESSAGES)}")


def added(index, values, count):
    return values.new_zeros((count, *values.shape[1:])).index_add(0, index, values)


def messages(s, r, message):
    if message == "circular_correlation":
        i = torch.arange(r.shape[-1], device=r.device)
        rotations = r[..., (i[:, None] + i) % max(1, r.shape[-1])]
        return (s[..., None, :] * rotations).sum(-1)
    return s - r if message == "subtraction" else s * r


@implementation("disentangled_attention", backend="torch", accumulation=Accumulation(Tree("any")))
def composed(nodes, relations, source, target, relation, *, message):
    check(nodes, relations, (source, target, relation), message)
    u, v = working(nodes), working(relations)
    s, t, r = u[source], u[target], v[relation]
    score = ((t * r) * (s * r)).sum(-1)
    top = score.new_full((len(u), u.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, target[:, None].expand_as(score), score.detach(), "amax")
    e = torch.exp(score - top[target])
    weight = e / added(target, e, len(u))[target]
    return added(target, weight[..., None] * messages(s, r, message), len(u)).to(nodes.dtype)
