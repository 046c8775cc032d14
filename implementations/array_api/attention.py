"""disentangled_attention through the array API standard.

The standard has no scatter: a table of nodes against edges says which edge leads into which node, and maxima and sums
run over its rows. What is masked is replaced before it is added up, so that a NaN stays with its own node.
"""

import math

from . import everywhere, namespace, stored, working

LARGEST_TABLE = 1 << 26
MESSAGES = ("subtraction", "product", "circular_correlation")


def check(nodes, relations, edges, message):
    if nodes.ndim != 3 or relations.ndim != 3 or nodes.shape[1:] != relations.shape[1:]:
        raise ValueError(f"(N, K, D) and (R, K, D) are needed, not {nodes.shape} and {relations.shape}")
    if any(part.ndim != 1 or part.shape != edges[0].shape for part in edges):
        raise ValueError(f"three vectors of one length are needed, not {[part.shape for part in edges]}")
    xp = namespace(nodes)
    for part, count in zip(edges, (nodes.shape[0], nodes.shape[0], relations.shape[0]), strict=True):
        if part.shape[0] and (int(xp.min(part)) < 0 or int(xp.max(part)) >= count):
            raise IndexError(f"an index is not in [0, {count - 1}]")
    if message not in MESSAGES:
        raise ValueError(f"message {message!r} is none of {', '.join(MESSAGES)}")


def too_large(case):
    """The table holds every edge's vectors once for every node."""
    count = case.shapes[2][0] * math.prod(case.shapes[0])
    return f"a table of {count} elements: the standard has no scatter" if count > LARGEST_TABLE else None


def over_edges(reduce, values, into, padding):
    """Reduce (E, K, ...) to (N, K, ...) over the edges into each node."""
    xp = namespace(values)
    here = xp.reshape(into, (*into.shape, *(1,) * (values.ndim - 1)))
    return reduce(xp.where(here, values[None, ...], xp.full_like(values[None, ...], padding)), axis=1)


def messages(s, r, message):
    if message == "subtraction":
        return s - r
    xp, n = namespace(s), s.shape[-1]
    if message == "product" or n == 0:
        return s * r
    rotations = xp.stack([xp.roll(r, -shift, axis=-1) for shift in range(n)], axis=-2)
    return xp.sum(s[..., None, :] * rotations, axis=-1)


@everywhere("disentangled_attention", supports=too_large)
def disentangled_attention(nodes, relations, source, target, relation, *, message):
    check(nodes, relations, (source, target, relation), message)
    xp = namespace(nodes)
    u, v = working(nodes), working(relations)
    s, t, r = xp.take(u, source, axis=0), xp.take(u, target, axis=0), xp.take(v, relation, axis=0)
    into = xp.arange(u.shape[0], dtype=target.dtype)[:, None] == target[None, :]
    score = xp.sum((t * r) * (s * r), axis=-1)
    # the standard has no maximum of nothing, and no edges need none
    top = over_edges(xp.max, score, into, -xp.inf) if source.shape[0] else xp.sum(u, axis=-1)
    e = xp.exp(score - xp.take(top, target, axis=0))
    weight = e / xp.take(over_edges(xp.sum, e, into, 0.0), target, axis=0)
    return stored(over_edges(xp.sum, weight[..., None] * messages(s, r, message), into, 0.0), nodes)
