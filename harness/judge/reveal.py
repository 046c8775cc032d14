"""The accumulation tree of a reduction, revealed from outside by summing numbers that are chosen for it.

Signed terms: masking, as in FPRev (arXiv 2411.00442). With a huge M at i, -M at j and units everywhere else, each unit
that is added to a partial sum holding one of the two is absorbed, until the two meet and cancel; the units that are
left in the total are the leaves outside the subtree where i and j meet.

Terms that cannot be negative (softmax's denominator, logsumexp): with 1 at j, a tiny eps elsewhere, and at i a weight
that reaches half a unit in the last place of 1 only together with k - 1 further eps, the total is more than 1 exactly
if i's side is made of at least k leaves when it meets j. A search over k gives the size of that side.

Both ways, one leaf (the pivot) is measured against all others of its group, the group falls apart by the node where
the pivot meets them, and each part is a group again. A tree is handed out only if every count fits into it and fresh
random pairs confirm it. What comes out is the order of the additions, not their precision: Kahan's compensated loop
is found to be sequential, which it is. An adder of many terms at once cannot be told from a sum that sorts its terms
by size, smallest first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.judge.revealed import NotRevealed, Revealed, from_parents
from harness.precision import format_of, numpy_dtype

Probe = Callable[[np.ndarray], Any]
"""Takes weights of shape (k, n), evaluates each row as the n terms of one reduction, returns the k totals."""

CHUNK_BYTES = 16 << 20
PROBES_PER_LEAF = 64
"""A binary tree needs up to about 10 probes (signed) or 25 (positive); a w-way adder about w / 2 times as many."""
CHECKED_PAIRS = 256
SAMPLED_FROM = 8


class _Rows:
    """Builds the rows of probes in chunks, and counts them."""

    def __init__(self, probe: Probe, n: int, dtype: np.dtype[Any], budget: int) -> None:
        self.probe, self.n, self.dtype, self.budget = probe, n, dtype, budget
        self.count = 0

    def totals(self, fill: Any, i: np.ndarray, at_i: Any, j: np.ndarray, at_j: Any) -> np.ndarray:
        """One total per pair (i, j), of the background `fill` with other values at i and at j."""
        self.count += len(i)
        if self.count > self.budget:
            raise NotRevealed(f"no tree was found within {self.budget} probes: too many terms are added at once")
        at_i, at_j = np.broadcast_to(at_i, i.shape), np.broadcast_to(at_j, i.shape)
        step = max(1, CHUNK_BYTES // (self.n * self.dtype.itemsize))
        parts = [np.empty(0)]
        for start in range(0, len(i), step):
            now = slice(start, start + step)
            rows = np.arange(len(i[now]))
            weights = np.empty((len(rows), self.n), self.dtype)
            weights[:] = fill
            weights[rows, i[now]] = at_i[now]
            weights[rows, j[now]] = at_j[now]
            total = np.asarray(self.probe(weights)).astype(np.float64)
            if total.shape != rows.shape:
                raise ValueError(f"the probe returned totals of shape {total.shape} for {len(rows)} rows of terms")
            if not np.isfinite(total).all():
                raise NotRevealed("a total of finite terms is not finite, so nothing can be read from it")
            parts.append(total)
        return np.concatenate(parts)


class _Group(NamedTuple):
    """Leaves that hang somewhere below `parent`, a node of `size` leaves in all; -1 and 0 for the whole tree."""

    parent: int
    size: int
    pivot: int
    others: np.ndarray
    stuck: int  # how many times in a row the pivot split off next to nothing


Levels = list[tuple[int, np.ndarray]]
"""For one pivot, from the leaves to the root: the size of the node where it meets some others, and these others."""


def _group(parent: int, size: int, members: np.ndarray, stuck: int) -> _Group:
    # a chain falls apart at once if the pivot is at its start; the last leaf serves chains that run backwards, and
    # a random one halves any other chain, so that none takes a quadratic number of probes
    place = (
        (0, len(members) - 1)[stuck] if stuck < 2 else int(np.random.default_rng(len(members)).integers(len(members)))
    )
    return _Group(parent, size, int(members[place]), np.delete(members, place), stuck)


def _grow(n: int, split: Callable[[list[_Group]], list[Levels]]) -> list[int]:
    """The parents of a tree over n leaves, given how a pivot meets the others of its group."""
    parents = [-1] * n
    groups = [_group(-1, 0, np.arange(n), 0)]
    while groups:
        found: list[_Group] = []
        for group, levels in zip(groups, split(groups), strict=True):
            for node, size, members in _hang(group, levels, parents):
                if len(members) == 1:
                    parents[members[0]] = node
                else:
                    stuck = group.stuck + 1 if 4 * len(members) > 3 * len(group.others) else 0
                    found.append(_group(node, size, members, stuck))
        groups = found
    return parents


def _hang(group: _Group, levels: Levels, parents: list[int]) -> list[tuple[int, int, np.ndarray]]:
    """Build the nodes above a pivot, and return what is still to be hung below them: (node, its size, leaves)."""
    rest = []
    top, joined = group.pivot, 1
    for size, members in levels:
        node = group.parent
        if size != group.size:  # equal: they meet in the node that the group hangs from, which adds several at once
            joined += len(members)
            if size != joined:
                raise NotRevealed(
                    f"no tree explains the totals: term {group.pivot} has met {joined - 1} others where a node of "
                    f"{size} terms was counted; the order is not fixed, depends on the data, or sums are compensated"
                )
            node = len(parents)
            parents.append(-1)
            parents[top] = node
            top = node
        rest.append((node, size, members))
    parents[top] = group.parent
    return rest


def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs of different leaves to confirm a tree with: all of them, or random ones."""
    if n * (n - 1) <= 2 * CHECKED_PAIRS:
        i, j = np.divmod(np.arange(n * n), n)
        return i[i != j], j[i != j]
    rng = np.random.default_rng(n)
    i = rng.integers(0, n, CHECKED_PAIRS)
    return i, (i + rng.integers(1, n, CHECKED_PAIRS)) % n


def _meeting(tree: Revealed, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each i meets its j: the size of that node, and the size of i's side just before."""
    parents, sizes = np.array(tree.parents), np.array(tree.sizes)
    a, b, side = i, j, i
    while not np.array_equal(a, b):
        climbs = a < b  # parents come after their children, so the smaller of two nodes is not above the other
        side = np.where(climbs, a, side)
        a, b = np.where(climbs, parents[a], a), np.where(b < a, parents[b], b)
    return sizes[a], sizes[side]


def _joined(groups: list[_Group]) -> tuple[np.ndarray, np.ndarray]:
    pivots = np.repeat([group.pivot for group in groups], [len(group.others) for group in groups])
    return pivots, np.concatenate([group.others for group in groups])


# ---- signed terms


def reveal_signed(probe: Probe, n: int, dtype: str = "float32", resolution: int = 0) -> Revealed:
    """The tree of a reduction whose n terms may have either sign; `probe` gets rows of `dtype`.

    `resolution` is the largest count that totals can hold without rounding (0: the precision of `dtype`); a longer
    row of units is counted in several probes. float16 has no number large enough to hide units in a float64.
    """
    if n < 2:
        return from_parents(n, [-1] * n)
    limit = resolution or 2 ** format_of(dtype).digits
    # float16: 2048 of its smallest subnormals are below half an ulp of 2**15 in float32, and 1 would not be
    mask, unit = (2.0**15, 2.0**-24) if dtype == "float16" else (2.0**100, 1.0)
    slices = [slice(start, start + limit) for start in range(0, n, limit)]
    rows = _Rows(probe, n, numpy_dtype(dtype), len(slices) * (PROBES_PER_LEAF * n + 4096))

    def sizes(i: np.ndarray, j: np.ndarray, mask: float = mask) -> np.ndarray:
        """The sizes of the subtrees where i and j meet."""
        outside = np.zeros(len(i))
        for units in slices:
            fill = np.zeros(n)
            fill[units] = unit
            counts = rows.totals(fill, i, mask, j, -mask) / unit
            if not (np.abs(counts - np.rint(counts)) <= 1 / 64).all():
                raise NotRevealed(f"a total of whole units is not whole: {counts[np.abs(counts % 1).argmax()]:g} units")
            outside += np.rint(counts)
        if outside.min() < 0 or outside.max() > n:
            raise NotRevealed(f"{n} units add up to {outside[np.abs(outside).argmax()]:g}, so this is not a sum")
        return np.asarray(n - outside, dtype=np.int64)

    ends = np.array([0, n - 1])
    if (sizes(ends, ends, 0.0) != 1).any():
        raise NotRevealed(f"{n - 1} units do not add up to {n - 1}: some are lost, or this is not a sum")

    def split(groups: list[_Group]) -> list[Levels]:
        pivots, others = _joined(groups)
        met = sizes(pivots, others)
        levels, start = [], 0
        for group in groups:
            own = met[start : start + len(group.others)]
            start += len(own)
            order = np.argsort(own, kind="stable")
            at, begins = np.unique(own[order], return_index=True)
            parts = np.split(group.others[order], begins[1:])
            levels.append([(int(size), part) for size, part in zip(at, parts, strict=True)])
        return levels

    tree = from_parents(n, _grow(n, split))
    i, j = _pairs(n)
    if not np.array_equal(sizes(i, j), _meeting(tree, i, j)[0]):
        raise NotRevealed("fresh pairs contradict the tree that was found: the order changes from call to call")
    return Revealed(n, tree.parents, rows.count)


# ---- terms that are not negative


class _Run(NamedTuple):
    """Leaves that meet the pivot of a group when its side has at least `first` and fewer than `stop` leaves."""

    group: int
    first: int
    stop: int
    leaves: np.ndarray


def reveal_positive(probe: Probe, n: int, accumulator: str = "float32") -> Revealed:
    """The tree of a sum of n terms that cannot be negative, added in `accumulator`; only binary trees are found.

    `probe` gets rows of weights above zero in the accumulator's dtype, the largest of each row exactly 1, and returns
    the totals, or anything that grows with them and tells 1 from the next larger number. The weights below 1 may be
    off by 2**6 roundoffs, as they are behind an exp, up to n = 2**14.
    """
    if n < 2:
        return from_parents(n, [-1] * n)
    half = format_of(accumulator).unit
    eps = half / 2.0 ** (1 + math.ceil(math.log2(n)))  # so that all of them together are below half an ulp of 1
    rows = _Rows(probe, n, numpy_dtype(accumulator), PROBES_PER_LEAF * n + 4096)
    low, high = _calibrate(rows, n, eps, half)

    def at_least(i: np.ndarray, j: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Is i's side made of k leaves or more when it meets j?"""
        level = (rows.totals(eps, i, half - (k - 1.5) * eps, j, 1.0) - low) / (high - low)
        if (np.abs(level - np.rint(level)) > 0.3).any() or not np.isin(np.rint(level), (0, 1)).all():
            raise NotRevealed("a total is neither 1 nor the next larger number: more is added than the n terms")
        return np.asarray(level > 0.5)

    def split(groups: list[_Group]) -> list[Levels]:
        pivots = np.array([group.pivot for group in groups])
        levels: list[Levels] = [[] for _ in groups]
        runs = [_Run(place, 1, 1 + len(group.others), group.others) for place, group in enumerate(groups)]
        while runs:
            for run in runs:
                if run.stop == run.first + 1:
                    levels[run.group].append((run.first + len(run.leaves), run.leaves))
            runs = [run for run in runs if run.stop > run.first + 1]
            runs = _halve(runs, pivots, at_least) if runs else []
        return [sorted(found, key=lambda level: level[0]) for found in levels]

    tree = from_parents(n, _grow(n, split))
    i, j = _pairs(n)
    side = _meeting(tree, i, j)[1]
    if not at_least(i, j, side).all() or at_least(i, j, side + 1).any():
        raise NotRevealed("fresh pairs contradict the tree that was found: the order changes, or terms are rounded")
    return Revealed(n, tree.parents, rows.count)


def _calibrate(rows: _Rows, n: int, eps: float, half: float) -> tuple[float, float]:
    """What a total of 1 looks like, and one of the next larger number, wherever the largest term is."""
    j = np.unique(np.linspace(0, n - 1, 16).astype(np.int64))
    i = (j + 1) % n
    low, high = rows.totals(eps, i, eps, j, 1.0), rows.totals(eps, i, 1.5 * half, j, 1.0)
    step = float(np.median(high) - np.median(low))
    if step <= 0 or np.ptp(low) > step / 4 or np.ptp(high) > step / 4:
        raise NotRevealed("the answers do not tell a total of 1 from the next larger number, so nothing can be seen")
    return float(np.median(low)), float(np.median(high))


def _halve(
    runs: list[_Run], pivots: np.ndarray, at_least: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> list[_Run]:
    """Split each run at a size between its first and its last."""
    # in balanced trees most runs meet the pivot all at once: one member is asked first, and if it does, all are
    # asked for that, where halving would take a probe of each for every bit of the size
    asked = [run for run in runs if len(run.leaves) >= SAMPLED_FROM]
    i = pivots[[run.group for run in asked]] if asked else np.empty(0, np.int64)
    middle = np.array([run.leaves[len(run.leaves) // 2] for run in asked], np.int64)
    later = at_least(i, middle, np.array([run.first + 1 for run in asked]))
    together = {id(run) for run, after in zip(asked, later, strict=True) if not after}
    cuts = [run.first + (1 if id(run) in together else (run.stop - run.first) // 2) for run in runs]
    lengths = [len(run.leaves) for run in runs]
    above = at_least(
        np.repeat(pivots[[run.group for run in runs]], lengths),
        np.concatenate([run.leaves for run in runs]),
        np.repeat(cuts, lengths),
    )
    halves = []
    for run, cut, up in zip(runs, cuts, np.split(above, np.cumsum(lengths)[:-1]), strict=True):
        below, rest = run.leaves[~up], run.leaves[up]
        first = run.first + len(below)  # by then the pivot's side has swallowed all that came before
        if len(rest) and not cut <= first < run.stop:
            raise NotRevealed(
                f"no tree of two-way additions explains the totals: term {pivots[run.group]} meets a term with at "
                f"least {cut} terms on its side, and only {first} can be there"
            )
        if len(below):
            halves.append(_Run(run.group, run.first, min(cut, first), below))
        if len(rest):
            halves.append(_Run(run.group, first, min(run.stop, first + len(rest)), rest))
    return halves


# ---- what was declared
