"""A revealed accumulation tree as data: its canonical form, its numbers, and what it says of a declared claim."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.declare import Tree
from harness.judge import trees


class NotRevealed(Exception):
    """The totals are not explained by one fixed tree of additions; the message says what was seen."""


@dataclass(frozen=True)
class Revealed:
    """A tree of additions over labelled leaves, in a canonical form: equal trees are equal objects.

    `parents[v]` is the node that v is added into, -1 for the root. Nodes below `leaves` are the terms themselves; the
    others follow by size, then by their first leaf, so that a parent always comes after its children.
    """

    leaves: int
    parents: tuple[int, ...]
    probes: int = field(default=0, compare=False)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The children of each node, the one with the smallest leaf first."""
        found: list[list[int]] = [[] for _ in self.parents]
        for node, parent in enumerate(self.parents[:-1]):
            found[parent].append(node)
        return tuple(tuple(sorted(nodes, key=self.first_leaves.__getitem__)) for nodes in found)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of leaves at or below each node."""
        sizes = [1] * self.leaves + [0] * (len(self.parents) - self.leaves)
        for node, parent in enumerate(self.parents[:-1]):
            sizes[parent] += sizes[node]
        return tuple(sizes)

    @cached_property
    def first_leaves(self) -> tuple[int, ...]:
        """The smallest leaf at or below each node."""
        first = list(range(self.leaves)) + [self.leaves] * (len(self.parents) - self.leaves)
        for node, parent in enumerate(self.parents[:-1]):
            first[parent] = min(first[parent], first[node])
        return tuple(first)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The number of additions that each node takes part in after it is complete."""
        depths = [0] * len(self.parents)
        for node in range(len(self.parents) - 2, -1, -1):
            depths[node] = depths[self.parents[node]] + 1
        return tuple(depths)

    @property
    def height(self) -> int:
        """The largest number of additions that any leaf takes part in."""
        return max(self.depths)

    @property
    def fan_in(self) -> int:
        """The largest number of terms that one node adds at once: 2, unless there is a multi-way adder."""
        return max(map(len, self.children))

    @cached_property
    def signature(self) -> str:
        """Equal for two trees exactly if they add the same leaves in the same order, up to commuting operands."""
        text = ",".join(map(str, self.parents))
        return f"{self.leaves}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def from_parents(leaves: int, parents: Sequence[int], probes: int = 0) -> Revealed:
    """The canonical form of a tree whose inner nodes (from `leaves` on) are numbered in any order."""
    waiting = [0] * len(parents)
    for parent in parents:
        if parent >= 0:
            waiting[parent] += 1
    if list(parents).count(-1) != 1 or any(waiting[:leaves]) or any(count < 2 for count in waiting[leaves:]):
        raise ValueError("no tree: there must be one root, and each inner node needs two children or more")
    size = [1] * leaves + [0] * (len(parents) - leaves)
    first = list(range(leaves)) + [leaves] * (len(parents) - leaves)
    ready = list(range(leaves))
    for node in ready:  # grows while it is walked: a node follows its last child
        parent = parents[node]
        if parent >= 0:
            size[parent] += size[node]
            first[parent] = min(first[parent], first[node])
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    order = [*range(leaves), *sorted(range(leaves, len(parents)), key=lambda node: (size[node], first[node]))]
    place = {node: number for number, node in enumerate(order)}
    return Revealed(leaves, tuple(place.get(parents[node], -1) for node in order), probes)


# ---- probing


def declared_tree(tree: Tree, n: int) -> Revealed | None:
    """The tree that a declaration stands for, or None where it only bounds the height."""
    parents = [-1] * n

    def add(a: int, b: int) -> int:
        if b < 0:  # padding, always at the end
            return a
        parents.append(-1)
        parents[a] = parents[b] = len(parents) - 1
        return len(parents) - 1

    def one_by_one(nodes: Iterable[int]) -> int:
        return functools.reduce(add, nodes)

    def block(nodes: list[int], order: str) -> int:
        if order == "warp" and len(nodes) > trees.WARP:
            nodes = [block(nodes[k : k + trees.WARP], "halving") for k in range(0, len(nodes), trees.WARP)]
        while len(nodes) > 1:
            half = len(nodes) // 2
            left, right = (nodes[0::2], nodes[1::2]) if order == "interleaved" else (nodes[:half], nodes[half:])
            nodes = [add(a, b) for a, b in zip(left, right, strict=True)]
        return nodes[0]

    nodes = list(range(n))
    if tree.family == "sequential":
        one_by_one(nodes)
    elif tree.family == "blocks":
        while len(nodes) > 1:
            nodes += [-1] * (-len(nodes) % tree.width)
            nodes = [block(nodes[k : k + tree.width], tree.order) for k in range(0, len(nodes), tree.width)]
            if tree.finish != "grid":
                nodes = [one_by_one(nodes)]
    else:
        return None
    return from_parents(n, parents)


def contradiction(tree: Tree, revealed: Revealed, n: int) -> str:
    """Why the declared tree is not the revealed one, in a sentence; empty if it is, or may be."""
    exact = declared_tree(tree, n)
    seen = f"the revealed tree has height {revealed.height}"
    if revealed.fan_in > 2:
        seen += f" and adds up to {revealed.fan_in} terms at once"
    if exact is None:
        claimed = trees.height(tree, n)
        return f"{tree} of {n} terms has a height of at most {claimed}, and {seen}" * (revealed.height > claimed)
    if exact.signature == revealed.signature:
        return ""
    other = " with other terms in its nodes" * (exact.height == revealed.height and revealed.fan_in == exact.fan_in)
    return f"{tree} of {n} terms has height {exact.height}, and {seen}{other}"
