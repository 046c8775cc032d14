"""The accumulation trees of `harness.declare.Tree`: height, and the partial sums that a bound is made of.

Sources: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 4.2, for the height bound; Hallman and
Ipsen, arXiv 2107.01604, for the probabilistic bounds in terms of heights and of partial sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.declare import DeclarationError, Tree

WARP = 32
TAIL = 31
"""Terms that are left over after the last full step of a BLAS kernel, and added one by one: measured, up to 31."""


def height(tree: Tree, n: int) -> int:
    """The largest number of additions that one of n terms takes part in."""
    if n <= 1:
        return 0
    match tree.family:
        case "any" | "sequential":
            return n - 1
        case "pairwise":
            return min(n - 1, tree.width + math.ceil(math.log2(n)))
        case "lanes":
            return min(n - 1, math.ceil(n / tree.width) + math.ceil(math.log2(tree.width)) + TAIL)
        case "chunks":
            return min(n - 1, math.ceil(n / tree.width) + height(Tree("pairwise", 26), min(n, tree.width)))
        case "blocks":
            return _blocks_height(tree, n)
    raise DeclarationError(f"accumulation tree {tree.family!r}: no such family; there are {', '.join(FAMILIES)}")


FAMILIES = ("any", "sequential", "pairwise", "lanes", "chunks", "blocks")


def _blocks_height(tree: Tree, n: int) -> int:
    levels = int(math.log2(tree.width))
    partials = math.ceil(n / tree.width)
    if partials == 1:
        return levels
    return levels + (_blocks_height(tree, partials) if tree.finish == "grid" else partials - 1)


def square_sum(tree: Tree, terms: np.ndarray) -> np.ndarray | None:
    """The sum of the squares of all partial sums over the last axis, or None where the tree is not known exactly.

    `terms` has shape (..., n) in float64 or wider; the answer has shape (...).
    """
    match tree.family:
        case "sequential":
            return np.asarray(np.sum(np.cumsum(terms, axis=-1)[..., 1:] ** 2, axis=-1))
        case "blocks":
            total = np.zeros(terms.shape[:-1], dtype=terms.dtype)
            for level in _blocks_levels(tree, terms):
                total = total + np.sum(level**2, axis=tuple(range(terms.ndim - 1, level.ndim)))
            return total
    return None


def _blocks_levels(tree: Tree, terms: np.ndarray) -> Iterator[np.ndarray]:
    """The partial sums of a block reduction, level by level."""
    n = terms.shape[-1]
    padding = -n % tree.width
    padded = np.concatenate([terms, np.zeros((*terms.shape[:-1], padding), terms.dtype)], axis=-1)
    blocks = padded.reshape(*terms.shape[:-1], padded.shape[-1] // tree.width, tree.width)
    for level in block_levels(tree.order, blocks):
        yield level
        blocks = level
    partials = blocks[..., 0]
    if partials.shape[-1] > 1:
        if tree.finish == "grid":
            yield from _blocks_levels(tree, partials)
        else:
            yield np.cumsum(partials, axis=-1)[..., 1:]


def block_levels(order: str, blocks: np.ndarray) -> Iterator[np.ndarray]:
    """The levels of one block's tree over the last axis (a power of two), each half as long as the one before.

    `interleaved` adds neighbours (stride 1, 2, 4, ...); `halving` adds the second half to the first; `warp` halves
    inside each group of 32, then halves the groups' sums.
    """
    if order == "warp" and blocks.shape[-1] > WARP:
        groups = blocks.reshape(*blocks.shape[:-1], blocks.shape[-1] // WARP, WARP)
        for level in block_levels("halving", groups):
            yield level.reshape(*blocks.shape[:-1], level.shape[-2] * level.shape[-1])
            groups = level
        blocks = groups[..., 0]
    while blocks.shape[-1] > 1:
        half = blocks.shape[-1] // 2
        if order == "interleaved":
            blocks = blocks[..., 0::2] + blocks[..., 1::2]
        else:
            blocks = blocks[..., :half] + blocks[..., half:]
        yield blocks
