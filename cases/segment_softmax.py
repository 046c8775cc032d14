"""segment_softmax(scores, segments, *, num_segments): softmax over the edges that share a segment, per column.

scores (E,) or (E, H) floats, segments int64 (E,) in any order, each in [0, num_segments) -> the shape of scores:
exp(x_e - m) / sum of exp(x_f - m) over the edges f of e's segment, with m the largest score among them. A segment
without edges produces nothing; an edge that is alone gets exactly 1. Gradient with respect to the scores: with p the
answer, p g - p sum(p g), the sum over the segment.

Oracle: the edges are sorted by segment, and segments of equal length n are blocks of n rows, each a softmax along its
rows. Bound: running error analysis of it (harness.judge.tracked), the sum over n terms in the order that is claimed; it
is the bound of softmax per segment: p ((t + c_e + 2) u + rho), see cases/softmax.py. The gradient is analysed in the
form that cancels as implementations do. Specification: PyTorch's softmax of each segment (a segment of -inf alone, or
with +inf, is NaN, and leaves the others alone), and its index_add: an id below 0 or from num_segments on is an error,
and so are ids that are not one for each edge, and num_segments below 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp
from harness.precision import FLOATS, format_of, numpy_dtype, round_to, widen

from .segment_wrong import mutants

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def check(shape: tuple[int, ...], segments: np.ndarray, num_segments: int) -> None:
    if len(shape) not in (1, 2) or segments.shape != shape[:1]:
        raise ValueError(f"scores of shape {shape} need segments of shape {shape[:1]}, not {segments.shape}")
    if num_segments < 0:
        raise ValueError(f"num_segments={num_segments}; at least 0 is needed")
    if segments.size and not 0 <= segments.min() <= segments.max() < num_segments:
        raise IndexError(f"segments from {segments.min()} to {segments.max()} are not in [0, {num_segments})")


def blocks(segments: np.ndarray) -> list[np.ndarray]:
    """The edges of the segments: for each length n that there is, an array (count, n) of edges, a segment a row."""
    order = np.argsort(segments, kind="stable")
    _, starts, lengths = np.unique(segments[order], return_index=True, return_counts=True)
    return [order[starts[lengths == n][:, None] + np.arange(n)] for n in np.unique(lengths)]


def joined(parts: list[Tracked], places: list[np.ndarray], like: Tracked) -> Tracked:
    """The rows of each part at its places, in the shape of `like`."""
    value, error = np.zeros(like.shape, like.value.dtype), np.zeros(like.shape)
    for part, place in zip(parts, places, strict=True):
        value[place] = part.value
        if like.rounding is not None:
            error[place] = part.error
    return Tracked(value, error, like.rounding)


def softmax_of_rows(x: Tracked) -> Tracked:
    """Softmax along axis 1."""
    w = exp(x - x.max(1, keepdims=True))
    return w / w.sum(1)[:, None]


def formula(scores: Tracked, segments: np.ndarray, *, num_segments: int) -> Tracked:
    check(scores.shape, segments, num_segments)
    places = blocks(segments)
    return joined([softmax_of_rows(scores[place]) for place in places], places, scores)


def gradient(g: Tracked, scores: Tracked, segments: np.ndarray, *, num_segments: int) -> Tracked:
    check(scores.shape, segments, num_segments)
    places = blocks(segments)
    parts = []
    for place in places:
        p = softmax_of_rows(scores[place])
        pg = p * g[place]
        total = pg.sum(1)[:, None]
        parts.append(pg - p * total)
    return joined(parts, places, scores)


oracle, bound = derived_from(formula)


# ---- inputs


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (shape, (edges,)), count = case.shapes, case["num_segments"]
    segments = rng.integers(0, max(1, count), edges)
    family, _, order = case.values.partition("-")
    match order:
        case "sorted":
            segments = np.sort(segments)
        case "one_segment":
            segments[:] = int(rng.integers(0, count))
        case "alone":
            segments = rng.permutation(count)[:edges]
        case "gaps":
            # most segments are empty, the first and the last among them
            used = rng.permutation(np.arange(1, count - 1))[: max(1, count // 4)]
            segments = used[rng.integers(0, used.size, edges)]
        case "lopsided":
            segments[rng.random(edges) < 0.75] = count - 1
        case "blocks":
            segments = np.repeat(np.arange(count), edges // count)
        case "negative" | "too_large" | "huge":
            segments[int(rng.integers(0, edges))] = {"negative": -1, "too_large": count, "huge": 2**40}[order]
    return _scores(family, shape, case, segments, rng), np.asarray(segments, dtype=np.int64)


def _scores(
    family: str, shape: tuple[int, ...], case: Case, segments: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    kind = numpy_dtype(case.dtype)
    if family == "apart":
        # neighbours at +1000 and -1000: whoever subtracts one maximum for all gets 0/0 in the lower segments
        level = np.where(segments % 2 == 0, 1000.0, -1000.0).reshape(-1, *[1] * (len(shape) - 1))
        return np.asarray(level + rng.integers(-8, 9, shape)).astype(kind)
    if family in ("masked", "masked_out"):
        # equal scores, one value for each segment, and -inf; masked_out: in every second segment -inf alone
        level = rng.integers(-300, 300, (int(segments.max(initial=0)) + 1, *shape[1:])).astype(float)[segments]
        level[rng.random(shape) < 0.5] = -np.inf
        if family == "masked_out":
            level[segments % 2 == 0] = -np.inf
        return level.astype(kind)
    return draw(family, shape, case.dtype, rng)


# ---- laws


def _plain(case: Case) -> bool:
    return case.layout == "contiguous" and 0 not in case.shapes[0]


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reordering the edges reorders the answer, within both bounds."""
    if not _plain(case):
        return None
    order = rng.permutation(inputs[1].size)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer[order], bound[order] + other_bound

    return Probe((inputs[0][order], inputs[1][order]), relate)


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, adding a number of its own to the scores of each segment changes no bit: x - max is exact in both."""
    if not _plain(case) or case.values.partition("-")[0] != "grid":
        return None
    scores, segments = inputs
    # half types have few digits: x + c must stay on the grid
    largest = {"bfloat16": 8, "float16": 64}.get(case.dtype, 1000)
    shift = rng.choice([-largest, largest], (max(1, case["num_segments"]), *scores.shape[1:]))[segments]

    def relate(answer: np.ndarray, other: np.ndarray, *_: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros_like(answer)

    return Probe((scores + shift.astype(scores.dtype), segments), relate)


def renumbered(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Other numbers for the segments, and more of them, change no bit: each adds up its edges in the same order."""
    if not _plain(case) or not case["num_segments"]:
        return None
    names = rng.permutation(2 * case["num_segments"])[: case["num_segments"]].astype(np.int64)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe((inputs[0], names[inputs[1]]), relate, {"num_segments": 2 * case["num_segments"]})


def sums_to_one(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The elements of each segment sum to 1, within the sum of their bounds."""
    segments = inputs[1]

    def total(x: np.ndarray) -> np.ndarray:
        out = np.zeros((case["num_segments"], *x.shape[1:]))
        np.add.at(out, segments, x)
        return out[np.unique(segments)]

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        found = total(widen(answer).astype(np.float64))
        # a NaN segment is judged by the pattern of NaN, not by its sum
        return np.where(np.isnan(found), 1.0, found), np.ones_like(found), total(bound.astype(np.float64)) + 1e-12

    return Probe(None, relate)


def equals_softmax(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Segments that are blocks of n rows: softmax along n of the scores as (segments, n, ...), by another oracle."""
    if case.values != "normal-blocks":
        return None
    from .softmax import oracle as softmax

    scores = inputs[0]
    rows = scores.reshape(case["num_segments"], -1, *scores.shape[1:])
    right = round_to(softmax(rows, dim=1), case.dtype).reshape(scores.shape)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return answer, right, bound + format_of(case.dtype).unit

    return Probe(None, relate)


# ---- cases


def of(*shapes: tuple[int, ...]) -> list[Shapes]:
    return [(shape, shape[:1]) for shape in shapes]


def cost(case: Case) -> Cost:
    """Read scores and ids once, write as many numbers as scores; about five operations each."""
    size, edges = int(np.prod(case.shapes[0])), case.shapes[1][0]
    return Cost(bytes=2 * size * numpy_dtype(case.dtype).itemsize + 8 * edges, flops=5 * size)


def terms(case: Case) -> int:
    """How many edges a segment has on average; the bound itself goes by each segment's own."""
    return max(1, case.shapes[1][0] // max(1, case["num_segments"]))


FAMILIES = ["wide", "grid", "overflow", "apart", "masked", "masked_out", "infinities", "nan", "equal"]
SMOOTH = ("normal", "uniform", "wide", "grid", "apart", "normal-sorted", "normal-one_segment", "normal-alone",
          "normal-gaps", "normal-lopsided", "normal-blocks", "equal")  # fmt: skip

segment_softmax = Operator(
    name="segment_softmax",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=SMOOTH,
    cost=cost,
    terms=terms,
    redraw=True,
    specification="PyTorch's softmax of each segment",
    properties=(
        Property("permutation", permuted),
        Property("shift_invariance_per_segment", shifted),
        Property("renumbering", renumbered),
        Property("sums_to_one", sums_to_one),
        Property("equals_block_softmax", equals_softmax),
    ),
    mutants=mutants(oracle),
    conformance=(
        *grid(dtype="float32", shape=of((1,), (2,), (31,), (33,), (257,), (1025,), (4097,)), num_segments=7),
        *grid(dtype="float32", shape=of((4097,)), num_segments=[1, 300, 4097]),
        *grid(dtype=FLOATS, shape=of((300,), (300, 4)), num_segments=40),
        *grid(dtype="float32", shape=of((300, 1), (37, 53)), num_segments=[1, 9]),
        *grid(dtype="float32", shape=of((1025, 3)), values=["normal-sorted", "normal-lopsided"], num_segments=40),
        *grid(dtype=FLOATS, shape=of((300, 4)), values=FAMILIES, num_segments=40),
        *grid(dtype="float32", shape=of((300,)), values=["uniform", "one_huge", "apart"], num_segments=40),
        *grid(dtype="float32", shape=of((33,)), values=["normal-one_segment", "apart-alone"], num_segments=40),
        *grid(dtype=FLOATS, shape=of((33, 3)), values="normal-alone", num_segments=40),
        *grid(dtype="float32", shape=of((300, 3)), values=["normal-gaps", "grid-gaps"], num_segments=40),
        *grid(dtype=FLOATS, shape=of((320, 3)), values="normal-blocks", num_segments=10),
        *grid(dtype="float32", shape=of((65537,)), num_segments=1000),
        *grid(
            dtype=["float64", "float32", "bfloat16"],
            shape=of((300, 4)),
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
            num_segments=40,
        ),
        *grid(dtype="float32", shape=of((0,), (0, 3), (3, 0)), num_segments=[1, 5]),
        *grid(dtype="float32", shape=of((0,)), num_segments=0),
        *grid(dtype="float32", shape=of((1,), (300, 4)), values="normal-negative", num_segments=40, raises="an id < 0"),
        *grid(
            dtype="float32",
            shape=of((1,), (300, 4)),
            values=["normal-too_large", "normal-huge"],
            num_segments=40,
            raises="an id from num_segments on",
        ),
        *grid(dtype="float32", shape=of((3,)), num_segments=[0, -1], raises="there is no segment"),
        *grid(
            dtype="float32",
            shape=[((4,), (3,)), ((3,), (4,)), ((4, 3), (3,))],
            num_segments=5,
            raises="not one id each",
        ),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=of((65536, 4)), num_segments=4096),
        *grid(dtype="float32", shape=of((2**20,)), num_segments=65536),
    ),
)
