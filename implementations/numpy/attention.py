"""disentangled_attention: per component a softmax over the edges into each node, and the weighted sum of messages.

scattered   one number per edge and component, spread over the nodes by np.maximum.at and np.add.at, which add one by
            one in the order of the edges
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .correlation import summed_products
from .rows import working

MESSAGES = ("subtraction", "product", "circular_correlation")


def check(nodes, relations, edges, message):
    if nodes.ndim != 3 or relations.ndim != 3 or nodes.shape[1:] != relations.shape[1:]:
        raise ValueError(f"(N, K, D) and (R, K, D) are needed, not {nodes.shape} and {relations.shape}")
    if any(part.ndim != 1 or part.shape != edges[0].shape for part in edges):
        raise ValueError(f"three vectors of one length are needed, not {[part.shape for part in edges]}")
    for part, count in zip(edges, (len(nodes), len(nodes), len(relations)), strict=True):
        if part.size and (part.min() < 0 or part.max() >= count):
            raise IndexError(f"an index is not in [0, {count - 1}]")
    if message not in MESSAGES:
        raise ValueError(f"message {message!r} is none of {', '.join(MESSAGES)}")


def added(index, values, count):
    """The sum of the values of each index."""
    total = np.zeros((count, *values.shape[1:]), values.dtype)
    np.add.at(total, index, values)
    return total


def weights(s, t, r, target, count):
    """The softmax of the scores over the edges into each node: (E, K)."""
    score = np.sum((t * r) * (s * r), axis=-1)
    top = np.full((count, score.shape[1]), -np.inf, score.dtype)
    np.maximum.at(top, target, score)
    e = np.exp(score - top[target])
    return e / added(target, e, count)[target]


def messages(s, r, message):
    if message == "circular_correlation":
        return summed_products(s, r, 1)
    return s - r if message == "subtraction" else s * r


def gradient(cotangent, nodes, relations, source, target, relation, *, message):
    with np.errstate(all="ignore"):
        u, v = working(nodes), working(relations)
        s, t, r, down = u[source], u[target], v[relation], working(cotangent)[target]
        weight = weights(s, t, r, target, len(u))
        h = np.sum(down * messages(s, r, message), axis=-1)
        of_score = (weight * (h - added(target, weight * h, len(u))[target]))[..., None]
        of_message = weight[..., None] * down
        if message == "subtraction":
            message_s, message_r = of_message, -of_message
        elif message == "product":
            message_s, message_r = of_message * r, of_message * s
        else:
            message_s, message_r = summed_products(of_message, r, 1), summed_products(s, of_message, -1)
        to_t, to_s = of_score * (s * r), of_score * (t * r)
        of_nodes = added(target, to_t * r, len(u)) + added(source, to_s * r + message_s, len(u))
        of_relations = added(relation, to_t * t + to_s * s + message_r, len(v))
        return of_nodes.astype(nodes.dtype), of_relations.astype(relations.dtype)


@implementation("disentangled_attention", backend="numpy", accumulation=Accumulation(Tree("any")), gradient=gradient)
def scattered(nodes, relations, source, target, relation, *, message):
    check(nodes, relations, (source, target, relation), message)
    u, v = working(nodes), working(relations)
    with np.errstate(all="ignore"):
        s, t, r = u[source], u[target], v[relation]
        weight = weights(s, t, r, target, len(u))
        return added(target, weight[..., None] * messages(s, r, message), len(u)).astype(nodes.dtype)
