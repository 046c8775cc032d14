"""disentangled_attention(nodes, relations, source, target, relation, *, message): one layer on a knowledge graph.

Every node has K component embeddings u_v^k of D numbers, every kind of relation K vectors r_q^k. An edge e leads from
a node s to a node t by a relation q. For each component k by itself,

    e_{v,q} = u_v * r_q  (element by element)            a node's component as the relation sees it
    score_e = sum_d (e_{t,q})_d (e_{s,q})_d
    w_e     = exp(score_e - m_t) / sum of the same over all edges into t,    m_t the largest score of those edges
    out_t   = sum over the edges into t of w_e message_e

with the message (`message=`) a composition of the source's component and the relation's vector:

    subtraction            u_s - r_q
    product                u_s * r_q
    circular_correlation   (u_s (x) r_q)_j = sum_i (u_s)_i (r_q)_{(i + j) mod D}

This is the relation-aware aggregation of DisenKGAT (arXiv 2108.09628), with the compositions of CompGCN (arXiv
1911.03082), and without their learnt matrices and activation.

Shapes: nodes (N, K, D), relations (R, K, D), three integer vectors (E) -> (N, K, D). A node that no edge leads into
gets zeros; edges may repeat, and lead from a node to itself; their order does not matter. Gradients with respect to
nodes and relations: with g the cotangent and h_e = sum_d g_t message_e, that of the score is w_e (h_e - sum of w h over
the edges into t), that of the message w_e g_t, and both are added up over edges by source, target and relation. Oracle
and bound: running error analysis of the formula (harness.judge.tracked); a sum over edges is judged by the height of
the claimed order for the node with the most of them.

Specification: PyTorch's softmax and scatter: NaN reaches the nodes and the components that it has an edge to, and no
others; so do infinite scores. Errors: an index out of range, edge vectors of different lengths, an unknown message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp, where
from harness.precision import FLOATS, numpy_dtype

from .circular_correlation import gathered_products
from .losses import LAYOUTS
from .wrong import always, from_formula, general, of_changed_inputs

MESSAGES = ["subtraction", "product", "circular_correlation"]


def check(nodes: Any, relations: Any, edges: tuple[np.ndarray, ...], message: str) -> None:
    if nodes.ndim != 3 or relations.ndim != 3 or nodes.shape[1:] != relations.shape[1:]:
        raise ValueError(f"(N, K, D) and (R, K, D) are needed, not {nodes.shape} and {relations.shape}")
    if any(part.ndim != 1 or part.shape != edges[0].shape for part in edges):
        raise ValueError(f"three vectors of one length are needed, not {[part.shape for part in edges]}")
    for part, count in zip(edges, (nodes.shape[0], nodes.shape[0], relations.shape[0]), strict=True):
        if part.size and not 0 <= part.min() <= part.max() < count:
            raise IndexError(f"an index is not in [0, {count - 1}]")
    if message not in MESSAGES:
        raise ValueError(f"message {message!r} is none of {', '.join(MESSAGES)}")


class Groups:
    """Edges by the node (or relation) that they belong to, as a table of edge numbers, padded to the longest row."""

    def __init__(self, index: np.ndarray, count: int) -> None:
        sizes = np.bincount(index, minlength=count)
        longest = int(sizes.max(initial=0))
        self.here = np.arange(longest) < sizes[:, None]
        self.table = np.zeros((count, longest), np.int64)
        self.table[self.here] = np.argsort(index, kind="stable")

    def of(self, x: Tracked, padding: float) -> Tracked:
        return where(self.here.reshape(*self.here.shape, *(1,) * (x.ndim - 1)), x[self.table], padding)

    def sum(self, x: Tracked) -> Tracked:
        return self.of(x, 0.0).sum(1)

    def max(self, x: Tracked) -> Tracked:
        return self.of(x, -np.inf).max(1)


def joined(*parts: Tracked) -> Tracked:
    """Edges after edges."""
    if parts[0].rounding is None:
        return Tracked(np.concatenate([part.value for part in parts]), 0.0, None)
    return Tracked(*(np.concatenate([getattr(p, of) for p in parts]) for of in ("value", "error")), parts[0].rounding)


def composed(u: Tracked, r: Tracked, message: str) -> Tracked:
    if message == "circular_correlation":
        return gathered_products(u, r, sign=1)
    return u - r if message == "subtraction" else u * r


def attention(nodes: Tracked, relations: Tracked, *edges: np.ndarray) -> tuple[Tracked, Groups]:
    """The weight of each edge in each component (E, K), and the edges by target."""
    source, target, relation = edges
    r, into = relations[relation], Groups(target, nodes.shape[0])
    score = ((nodes[target] * r) * (nodes[source] * r)).sum(-1)
    e = exp(score - into.max(score)[target])
    return e / into.sum(e)[target], into


def column(x: Tracked) -> Tracked:
    """One number per edge and component, beside the D numbers of a vector."""
    return x.reshape(*x.shape, 1)


def formula(nodes: Tracked, relations: Tracked, *edges: np.ndarray, message: str) -> Tracked:
    check(nodes, relations, edges, message)
    weight, into = attention(nodes, relations, *edges)
    return into.sum(column(weight) * composed(nodes[edges[0]], relations[edges[2]], message))


def gradient(
    g: Tracked, nodes: Tracked, relations: Tracked, *edges: np.ndarray, message: str
) -> tuple[Tracked, Tracked]:
    source, target, relation = edges
    weight, into = attention(nodes, relations, *edges)
    s, t, r, down = nodes[source], nodes[target], relations[relation], g[target]
    h = (down * composed(s, r, message)).sum(-1)
    of_score = column(weight * (h - into.sum(weight * h)[target]))
    of_message = column(weight) * down
    to_t, to_s = of_score * (s * r), of_score * (t * r)
    match message:
        case "subtraction":
            message_s, message_r = of_message, -of_message
        case "product":
            message_s, message_r = of_message * r, of_message * s
        case _:
            message_s = gathered_products(of_message, r, sign=1)
            message_r = gathered_products(s, of_message, sign=-1)
    of_nodes = joined(to_t * r, to_s * r, message_s)
    of_relations = joined(to_t * t, to_s * s, message_r)
    return (
        Groups(np.concatenate([target, source, source]), nodes.shape[0]).sum(of_nodes),
        Groups(np.concatenate([relation] * 3), relations.shape[0]).sum(of_relations),
    )


GENTLE = ("nan", "infinities", "wide", "one_huge")
"""Families that only the nodes are drawn from."""
GRAPHS = ("hub", "single_edges", "self_loops", "duplicates", "isolated")
ENDS = ("source", "target", "relation")
BAD = tuple(f"{part}_{how}" for part in ENDS for how in ("too_large", "negative"))


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Embeddings from the family, and a graph: random with repeated edges, or of its own kind with normal numbers."""
    nodes, relations = case.shapes[:2]
    count, kinds = max(1, nodes[0]), max(1, relations[0])
    edges = [rng.integers(0, most, shape) for most, shape in zip((count, count, kinds), case.shapes[2:], strict=True)]
    size = edges[0].size
    match case.values:
        case "hub":
            edges[1][rng.random(size) < 0.9] = count // 2
        case "single_edges":
            edges[1] = rng.permutation(count)[:size]
        case "self_loops":
            edges[0] = edges[1].copy()
        case "duplicates":
            edges = [np.resize(part[: max(1, size // 3)], size) for part in edges]
        case "isolated":
            edges[1] = edges[1] % max(1, count // 2)
    if case.values in BAD:
        part, _, how = case.values.partition("_")
        edges[ENDS.index(part)][-1] = -1 if how == "negative" else kinds if part == "relation" else count
    family = "normal" if case.values in (*GRAPHS, *BAD) else case.values
    if family == "integers":
        u, r = (rng.integers(-3, 4, shape).astype(numpy_dtype(case.dtype)) for shape in (nodes, relations))
    else:
        u = draw(family, nodes, case.dtype, rng)
        # scores are of the fourth degree: large relations too would leave them no digits before the point
        r = draw("normal" if family in GENTLE else family, relations, case.dtype, rng)
    return u, r, *(part.astype(np.int64) for part in edges)


# ---- laws


def reordered(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Edges in another order and every one twice change nothing; renamed nodes and exchanged components reorder the
    answer; within both bounds."""
    u, r, *edges = inputs
    if case.layout != "contiguous" or u.shape[0] == 0:
        return None
    names, components, order = (rng.permutation(size) for size in (*u.shape[:2], edges[0].size))
    place, order = np.argsort(names), np.tile(order, 2)

    def relate(out: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, out[names][:, components], bound[names][:, components] + other_bound

    source, target, relation = (part[order] for part in edges)
    return Probe((u[names][:, components], r[:, components], place[source], place[target], relation), relate)


def single_edges(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A node with one edge gets that edge's message, and one with none zeros, bit for bit."""
    sums = case["message"] == "circular_correlation"
    if sums or case.dtype not in ("float32", "float64") or case.values in ("nan", "infinities"):
        return None
    u, r, source, target, relation = inputs
    degree = np.bincount(target, minlength=u.shape[0])
    expected = np.zeros_like(u)
    once = degree[target] == 1
    s, q = u[source[once]], r[relation[once]]
    expected[target[once]] = s - q if case["message"] == "subtraction" else s * q
    few = degree < 2

    def relate(out: np.ndarray, *_: Any) -> tuple[Any, ...]:
        return out[few], expected[few], np.zeros_like(expected[few])

    return Probe(None, relate)


# ---- wrong versions, in NumPy's own arithmetic


def _messages(s: np.ndarray, r: np.ndarray, message: str, sign: int = 1) -> np.ndarray:
    if message == "circular_correlation":
        return np.asarray(gathered_products(Tracked(s, 0.0, None), Tracked(r, 0.0, None), sign=sign).value)
    return s - r if message == "subtraction" else s * r


def _dot(t: np.ndarray, s: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum((t * r) * (s * r), axis=-1))


def _added(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros((count, *values.shape[1:]), values.dtype)
    np.add.at(total, index, values)
    return total


def _shifted(score: np.ndarray, top: Any, group: np.ndarray, count: int) -> np.ndarray:
    """exp(score - top) over its sum by group."""
    e = np.exp(score - top)
    return np.asarray(e / _added(group, e, count)[group])


def _per_node(score: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    top = np.full((count, score.shape[1]), -np.inf, score.dtype)
    np.maximum.at(top, group, score)
    return _shifted(score, top[group], group, count)


def _sorted_runs(score: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Edges that follow each other and have one target form a group."""
    runs = np.cumsum(np.r_[0, group[1:] != group[:-1]]) if group.size else group
    return _per_node(score, runs, int(runs.max(initial=0)) + 1)


def _wrong(
    name: str,
    lesson: str = "",
    *,
    score: Any = _dot,
    weigh: Any = _per_node,
    compose: Any = _messages,
    ends: str = "ts",
) -> Mutant:
    """The layer with one of its parts replaced; `ends`: by which end edges compete, and whose message is passed on."""

    def layer(u: np.ndarray, r: np.ndarray, *edges: np.ndarray, message: str) -> np.ndarray:
        end, q = {"s": edges[0], "t": edges[1]}, edges[2]
        weights = weigh(score(u[end["t"]], u[end["s"]], r[q]), end[ends[0]], u.shape[0])
        return _added(end["t"], weights[:, :, None] * compose(u[end[ends[1]]], r[q], message), u.shape[0])

    return from_formula(name, layer, lesson)


oracle, bound = derived_from(formula)


def _nan_where_empty(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
    out = np.asarray(oracle(*arrays, **parameters)).astype(arrays[0].dtype)
    out[np.bincount(arrays[3], minlength=len(out)) == 0] = np.nan
    return out


def _last_edge_only(u: np.ndarray, r: np.ndarray, *edges: np.ndarray) -> tuple[np.ndarray, ...]:
    last = np.unique(edges[1][::-1], return_index=True)[1]
    return u, r, *(part[::-1][last] for part in edges)


def _instead(wrong: Any) -> Any:
    """Another message for subtraction."""
    return lambda s, r, message: wrong(s, r) if message == "subtraction" else _messages(s, r, message)


MUTANTS = (
    _wrong(
        "softmax_over_all_edges",
        "the weights of each node's edges sum to 1",
        weigh=lambda x, group, n: _per_node(x, group * 0, 1),
    ),
    _wrong("softmax_over_components", weigh=lambda x, *_: _per_node(x.T, np.zeros(x.shape[1], int), 1).T),
    _wrong("softmax_by_source", "the edges into a node compete", ends="ss"),
    _wrong(
        "one_maximum_for_all_nodes",
        "a node whose scores all lie far below the graph's largest divides 0 by 0: each has its own maximum",
        weigh=lambda x, group, n: _shifted(x, x.max(0, initial=-np.inf), group, n),
    ),
    _wrong("no_max_subtraction", "exp overflows above 88", weigh=lambda x, group, n: _shifted(x, 0, group, n)),
    _wrong("edges_assumed_sorted", "the edges of a node need not follow each other", weigh=_sorted_runs),
    _wrong("weights_equal", weigh=lambda x, group, n: _per_node(x * 0, group, n)),
    _wrong("weights_not_normalised", weigh=lambda x, *_: np.exp(np.minimum(x, 80))),
    _wrong("relation_not_in_the_score", "project both ends", score=lambda t, s, r: np.sum(t * s, -1)),
    _wrong("one_end_projected", "project both ends", score=lambda t, s, r: np.sum(t * r * s, -1)),
    _wrong("score_halved", score=lambda t, s, r: _dot(t, s, r) * t.dtype.type(0.5)),
    _wrong("message_of_the_target", "what is passed on is the source's component", ends="tt"),
    _wrong("message_without_relation", compose=lambda s, r, message: s),
    _wrong("convolution_for_correlation", compose=lambda s, r, message: _messages(s, r, message, -1)),
    _wrong("difference_reversed", compose=_instead(lambda s, r: r - s)),
    _wrong("sum_for_difference", compose=_instead(lambda s, r: r + s)),
    always(oracle, "always_subtraction", "message= is ignored", message="subtraction"),
    of_changed_inputs(oracle, "edges_overwrite_each_other", _last_edge_only, "out[target] += keeps one edge per node"),
    of_changed_inputs(oracle, "last_edge_dropped", lambda u, r, *edges: (u, r, *(part[:-1] for part in edges))),
    of_changed_inputs(oracle, "directions_swapped", lambda u, r, s, t, q: (u, r, t, s, q), "edges lead into target"),
    of_changed_inputs(oracle, "first_relation_for_all", lambda u, r, s, t, q: (u, r, s, t, q * 0)),
    Mutant("nan_where_no_edge", _nan_where_empty, "a node without edges gets zeros, not 0 / 0"),
)


def cost(case: Case) -> Cost:
    """Read embeddings and edges once, write the answer; ten operations per edge and number, 2 D for correlations."""
    (nodes, components, width), (kinds, _, _), (edges,) = case.shapes[:3]
    per_edge = components * width * (2 * width if case["message"] == "circular_correlation" else 1)
    moved = (2 * nodes + kinds) * components * width * numpy_dtype(case.dtype).itemsize + 24 * edges
    return Cost(bytes=moved, flops=edges * (9 * components * width + per_edge))


def _graph(nodes: int, kinds: int, components: int, width: int, edges: int) -> tuple[tuple[int, ...], ...]:
    return ((nodes, components, width), (kinds, components, width), (edges,), (edges,), (edges,))


SMALL, WIDE = _graph(11, 4, 3, 5, 40), _graph(33, 3, 2, 32, 129)
EMPTY = [_graph(5, 2, 3, 4, 0), _graph(0, 2, 3, 4, 0), _graph(5, 2, 3, 0, 6)]
VALUES = ["uniform", "wide", "negative", "grid", "integers", "equal", "nan", "infinities", "one_huge"]

disentangled_attention = Operator(
    name="disentangled_attention",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "wide", "negative", "grid", "integers", *GRAPHS),
    cost=cost,
    terms=lambda case: case.shapes[2][0],
    redraw=True,
    specification="the formula; PyTorch's softmax and scatter",
    properties=tuple(Property(law.__name__, law) for law in (reordered, single_edges)),
    mutants=(*general(oracle), *MUTANTS),
    conformance=(
        *grid(dtype=FLOATS, shape=[SMALL, WIDE], message=MESSAGES),
        *grid(dtype="float32", shape=[_graph(1, 1, 1, 1, 1), _graph(300, 2, 4, 3, 257)], message=MESSAGES),
        *grid(dtype="float32", shape=[SMALL], values=[*VALUES, *GRAPHS[2:]], message=MESSAGES),
        *grid(dtype="float32", shape=[_graph(11, 4, 3, 5, 7)], values="single_edges", message=MESSAGES),
        *grid(dtype=["float32", "float16"], shape=[_graph(11, 4, 3, 5, 300)], values="hub", message=MESSAGES),
        *grid(dtype=["float64", "bfloat16"], shape=[SMALL], values=["wide", "nan", "isolated"], message="product"),
        *grid(dtype="float32", shape=EMPTY, message=MESSAGES),
        *grid(dtype="float32", shape=[SMALL], layout=[one for one in LAYOUTS if one != "expanded"], message=MESSAGES),
        *grid(dtype="float32", shape=[SMALL], layout="expanded", message="product"),
        *grid(dtype="float32", shape=[SMALL], values=list(BAD), message="product", raises="an index out of range"),
        *grid(dtype="float32", shape=[SMALL], message=["sum", ""], raises="an unknown message"),
        *grid(
            dtype="float32",
            shape=[
                *(((5, 3, 4), relations, (6,), (6,), (6,)) for relations in ((2, 3, 5), (2, 1, 4), (3, 4))),
                *(((5, 3, 4), (2, 3, 4), (6,), *rest) for rest in (((1,), (6,)), ((6,), (5,)))),
            ],
            message="product",
            raises="shapes that do not match",
        ),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[_graph(512, 8, 4, 32, 4096)], message=["subtraction", "product"]),
        *grid(dtype="float32", shape=[_graph(512, 8, 4, 32, 2048)], message="circular_correlation"),
    ),
)
