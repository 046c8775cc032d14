"""Trees revealed by probing, against orders of addition that are simulated and therefore known."""

from __future__ import annotations

import math
import xml.etree.ElementTree as xml
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import needs_torch
from harness.implementations.numpy.blocks import FINISHES, ORDERS, TREE_FINISHES, TREE_ORDERS
from harness.implementations.numpy.logsumexp import builtin as numpy_logsumexp
from harness.implementations.numpy.softmax import online

from harness.declare import Tree
from harness.judge.drawing import as_svg, as_text, fold
from harness.judge.reveal import reveal_positive, reveal_signed
from harness.judge.revealed import NotRevealed, Revealed, contradiction, declared_tree, from_parents

SIZES = (1, 2, 3, 7, 33, 257, 1025, 4096)
Sum = Callable[[np.ndarray], np.ndarray]


# ---- orders of addition, each a sum over the last axis of (rows, n)


def sequential(w: np.ndarray) -> np.ndarray:
    return np.asarray(np.add.accumulate(w, axis=1)[:, -1])


def backwards(w: np.ndarray) -> np.ndarray:
    return sequential(w[:, ::-1])


def shuffled(w: np.ndarray) -> np.ndarray:
    return sequential(w[:, np.random.default_rng(3).permutation(w.shape[1])])


def lanes(w: np.ndarray) -> np.ndarray:
    body = w.shape[1] - w.shape[1] % 16
    if body < 32:
        return sequential(w)
    running = np.add.accumulate(w[:, :body].reshape(len(w), -1, 16), axis=1)[:, -1]
    total = ORDERS["sequential"](running, np.add)
    return sequential(np.concatenate([total[:, None], w[:, body:]], axis=1))


def halves(w: np.ndarray) -> np.ndarray:
    if w.shape[1] == 1:
        return w[:, 0]
    middle = w.shape[1] // 2
    return np.asarray(halves(w[:, :middle]) + halves(w[:, middle:]))


def numpys_own(w: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum(w, axis=1))


def blocks(order: str, finish: str) -> Sum:
    return lambda w: np.asarray(FINISHES[finish](w, ORDERS[order], np.add, 0))


def four_way(w: np.ndarray) -> np.ndarray:
    """An adder of four terms, as in a matrix unit: aligned to the largest, cut to 24 bits, added without rounding."""
    w = w.astype(np.float64)
    while w.shape[1] > 1:
        w = np.concatenate([w, np.zeros((len(w), -w.shape[1] % 4))], axis=1).reshape(len(w), -1, 4)
        _, exponent = np.frexp(np.abs(w).max(axis=2, keepdims=True))
        step = np.ldexp(1.0, exponent - 24)
        w = (np.trunc(w / step) * step).sum(axis=2)
    return w[:, 0]


SUMS: dict[str, Sum] = {
    "sequential": sequential,
    "backwards": backwards,
    "shuffled": shuffled,
    "lanes": lanes,
    "halves": halves,
    "numpys_own": numpys_own,
    **{f"{order}-{finish}": blocks(order, finish) for order in ORDERS for finish in FINISHES},
}


def in_float32(add: Sum, answer: Any = np.float32) -> Sum:
    """The same order with an accumulator of float32, and the total rounded to another dtype."""
    return lambda w: add(w.astype(np.float32)).astype(answer)


def replayed(tree: Revealed, terms: np.ndarray) -> float:
    """The sum in the order of a tree, every addition rounded: what the right tree gives to the last bit."""
    values = list(terms)
    for children in tree.children[tree.leaves :]:
        left, right = children
        values.append(values[left] + values[right])
    return float(values[-1])


# ---- signed


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", SUMS)
def test_a_revealed_tree_gives_every_bit_of_the_sum(name: str, n: int) -> None:
    tree = reveal_signed(SUMS[name], n)
    terms = np.random.default_rng(n).standard_normal((4, n)).astype(np.float32)
    assert [replayed(tree, row) for row in terms] == [float(total) for total in SUMS[name](terms)]
    assert tree.leaves == n and tree.fan_in == min(2, n - 1) + (n == 2)
    assert tree.probes <= 11 * n + 512


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("n", [2, 7, 257, 1025])
def test_the_dtype_of_the_terms_does_not_change_the_tree(n: int, dtype: str) -> None:
    answer = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    probe = numpys_own if dtype == "float64" else in_float32(numpys_own, answer)
    assert reveal_signed(probe, n, dtype) == reveal_signed(numpys_own, n)


def test_float16_is_counted_in_slices_that_its_totals_can_hold() -> None:
    tree = reveal_signed(in_float32(numpys_own, np.float16), 4096, "float16")
    assert tree == reveal_signed(numpys_own, 4096)
    assert reveal_signed(in_float32(numpys_own), 4096, "float16", resolution=1 << 24) == tree


def test_a_mean_is_the_sum_that_it_divides() -> None:
    assert reveal_signed(lambda w: np.mean(w, axis=1) * np.float32(257), 257) == reveal_signed(numpys_own, 257)


@pytest.mark.parametrize("n", [3, 7, 16, 257, 1025])
def test_an_adder_of_four_terms_has_nodes_of_four(n: int) -> None:
    tree = reveal_signed(four_way, n)
    assert tree.fan_in == min(4, n)
    assert tree.height == int(np.ceil(np.log(n) / np.log(4)))
    assert tree.probes <= 16 * n + 512
    if n == 16:
        assert tree.children[16:] == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11), (12, 13, 14, 15), (16, 17, 18, 19))


def test_numpys_own_sum_of_4096_has_height_23() -> None:
    tree = reveal_signed(numpys_own, 4096)
    assert (tree.height, tree.fan_in) == (23, 2)
    assert tree.probes <= 5.1 * 4096


@pytest.mark.parametrize(
    ("name", "most"), [("sequential", 1.1), ("backwards", 2.1), ("shuffled", 4), ("lanes", 4), ("halves", 6.1)]
)
def test_4096_signed_terms_take_few_probes(name: str, most: float) -> None:
    seen = []

    def counted(w: np.ndarray) -> np.ndarray:
        seen.append(len(w))
        assert w.nbytes <= 16 << 20 and w.dtype == np.float32
        return SUMS[name](w)

    tree = reveal_signed(counted, 4096)
    assert sum(seen) == tree.probes <= most * 4096


@needs_torch
def test_torchs_sum_of_4096_has_height_32() -> None:
    import torch

    tree = reveal_signed(lambda w: np.array([torch.sum(row).item() for row in torch.from_numpy(w)]), 4096)
    assert tree.height == 32
    assert tree.probes <= 4 * 4096


# ---- what cannot be revealed


def kahan(w: np.ndarray, *, corrected: bool) -> np.ndarray:
    """Kahan's loop; `corrected` adds the last compensation to the total (Neumaier), and so loses nothing."""
    total = np.zeros(len(w), w.dtype)
    lost = np.zeros(len(w), w.dtype)
    for term in w.T:
        if corrected:
            new = total + term
            larger = np.abs(total) >= np.abs(term)
            lost = lost + np.where(larger, (total - new) + term, (term - new) + total)
        else:
            added = term - lost
            new = total + added
            lost = (new - total) - added
        total = new
    return total + lost if corrected else total


@pytest.mark.parametrize("n", [7, 33, 257])
def test_kahans_loop_is_sequential_and_a_corrected_one_is_not_revealed(n: int) -> None:
    assert reveal_signed(lambda w: kahan(w, corrected=False), n) == declared_tree(Tree("sequential"), n)
    with pytest.raises(NotRevealed, match="compensated"):
        reveal_signed(lambda w: kahan(w, corrected=True), n)


def in_random_order() -> Sum:
    rng = np.random.default_rng(1)
    return lambda w: sequential(rng.permuted(w, axis=1))


def largest_first(w: np.ndarray) -> np.ndarray:
    return sequential(np.take_along_axis(w, np.argsort(-np.abs(w), axis=1), axis=1))


def exactly(w: np.ndarray) -> np.ndarray:
    return np.array([math.fsum(row) for row in w])


@pytest.mark.parametrize("n", [7, 33, 257])
@pytest.mark.parametrize("probe", [in_random_order(), largest_first, exactly])
def test_an_order_that_is_not_fixed_is_not_revealed(probe: Sum, n: int) -> None:
    with pytest.raises(NotRevealed):
        reveal_signed(probe, n)
    with pytest.raises(NotRevealed):
        reveal_positive(probe, n)


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        (lambda w: w.max(axis=1), "units"),
        (lambda w: w.sum(axis=1) / 3, "whole"),
        (lambda w: np.full(len(w), np.nan), "finite"),
        (lambda w: np.add.accumulate(w[:, :-1], axis=1)[:, -1], "units"),
    ],
)
def test_what_is_no_sum_is_not_revealed(probe: Sum, why: str) -> None:
    with pytest.raises(NotRevealed, match=why):
        reveal_signed(probe, 9)


def test_an_adder_of_very_many_terms_is_given_up_in_time() -> None:
    def at_once(w: np.ndarray) -> np.ndarray:
        return np.where(np.abs(w).max(axis=1) > 1, 0, w.sum(axis=1))

    assert reveal_signed(at_once, 33).fan_in == 33
    with pytest.raises(NotRevealed, match="too many terms are added at once"):
        reveal_signed(at_once, 1025)


def test_a_probe_with_a_wrong_number_of_totals_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="shape"):
        reveal_signed(lambda w: w, 4)
    with pytest.raises(ValueError, match="no tree"):
        reveal_signed(numpys_own, 0)


# ---- not negative


@pytest.mark.parametrize("n", SIZES[:-1])
@pytest.mark.parametrize("name", SUMS)
def test_positive_terms_reveal_the_same_tree(name: str, n: int) -> None:
    tree = reveal_positive(SUMS[name], n)
    assert tree == reveal_signed(SUMS[name], n)
    assert tree.probes <= 30 * n + 1024


@pytest.mark.parametrize(
    ("name", "most"), [("sequential", 13), ("backwards", 14), ("numpys_own", 17), ("warp_shuffle-host_round_trip", 20)]
)
def test_4096_positive_terms_take_few_probes(name: str, most: float) -> None:
    seen = []

    def counted(w: np.ndarray) -> np.ndarray:
        seen.append(len(w))
        assert w.nbytes <= 16 << 20 and w.dtype == np.float32
        assert (w > 0).all() and (w.max(axis=1) == 1).all()
        return SUMS[name](w)

    tree = reveal_positive(counted, 4096)
    assert tree == reveal_signed(SUMS[name], 4096)
    assert sum(seen) == tree.probes <= most * 4096


@pytest.mark.parametrize("name", ["sequential", "numpys_own", "lanes"])
def test_positive_terms_may_be_off_by_many_roundoffs(name: str) -> None:
    rng = np.random.default_rng(8)

    def noisy(w: np.ndarray) -> np.ndarray:
        errors = 1 + rng.uniform(-(2.0**-18), 2.0**-18, w.shape)
        return SUMS[name](np.where(w == 1, 1, w * errors).astype(np.float32))

    assert reveal_positive(noisy, 1025) == reveal_signed(SUMS[name], 1025)


@pytest.mark.parametrize("n", [7, 257])
def test_positive_terms_in_float64(n: int) -> None:
    assert reveal_positive(numpys_own, n, "float64") == reveal_signed(numpys_own, n)


def softmaxs(w: np.ndarray) -> np.ndarray:
    x = np.log(w)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(1 / (e / e.sum(axis=1, keepdims=True)).max(axis=1).astype(np.float64))


@pytest.mark.parametrize("n", SIZES)
def test_a_softmax_reveals_the_tree_of_its_denominator(n: int) -> None:
    tree = reveal_positive(softmaxs, n)
    assert tree == reveal_signed(numpys_own, n)
    assert tree.probes <= 18 * n + 512


def test_a_logsumexp_reveals_the_tree_of_its_sum() -> None:
    probe = lambda w: numpy_logsumexp(np.log(w), dim=1).astype(np.float64)  # noqa: E731
    assert reveal_positive(probe, 257) == reveal_signed(numpys_own, 257)


def test_an_online_softmax_adds_its_chunks_one_by_one() -> None:
    tree = reveal_positive(lambda w: 1 / online(np.log(w), dim=1).max(axis=1).astype(np.float64), 1025)
    assert tree.height == 3 + (15 + 3 + 1) + 1
    assert not contradiction(Tree("chunks", 256), tree, 1025)
    assert contradiction(Tree("blocks", 256, "halving", "host"), tree, 1025)


@pytest.mark.parametrize("n", [3, 33])
def test_what_positive_terms_cannot_show_is_not_revealed(n: int) -> None:
    for probe in (four_way, lambda w: sequential(w.astype(np.float16)), lambda w: sequential(w.astype(np.float64))):
        with pytest.raises(NotRevealed):
            reveal_positive(probe, n)


@needs_torch
def test_torchs_softmax_and_logsumexp_are_revealed() -> None:
    import torch

    def totals(w: np.ndarray) -> np.ndarray:
        return np.asarray(1 / torch.softmax(torch.from_numpy(np.log(w)), 1).amax(1).double().numpy())

    assert 7 <= reveal_positive(totals, 1025).height <= 1024
    assert reveal_positive(lambda w: torch.logsumexp(torch.from_numpy(np.log(w)), 1).numpy(), 257).leaves == 257


# ---- declared


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("order", ORDERS)
def test_declared_blocks_are_what_they_add(order: str, finish: str, n: int) -> None:
    tree = Tree("blocks", 256, TREE_ORDERS[order], TREE_FINISHES[finish])
    revealed = reveal_signed(SUMS[f"{order}-{finish}"], n)
    assert declared_tree(tree, n) == revealed
    assert contradiction(tree, revealed, n) == ""


def test_a_declaration_is_contradicted_in_a_sentence_that_names_both() -> None:
    revealed = reveal_signed(SUMS["sequential-host_round_trip"], 1000)
    assert contradiction(Tree("blocks", 256, "interleaved", "host"), revealed, 1000) == (
        "blocks(interleaved, 256, host) of 1000 terms has height 11, and the revealed tree has height 11 "
        "with other terms in its nodes"
    )
    one_by_one = reveal_signed(sequential, 1000)
    assert contradiction(Tree("pairwise", 26), one_by_one, 1000) == (
        "pairwise(26) of 1000 terms has a height of at most 36, and the revealed tree has height 999"
    )
    assert contradiction(Tree("any"), one_by_one, 1000) == contradiction(Tree("sequential"), one_by_one, 1000) == ""
    assert "adds up to 4 terms at once" in contradiction(Tree("sequential"), reveal_signed(four_way, 64), 64)
    for family in ("any", "pairwise", "lanes", "chunks"):
        assert declared_tree(Tree(family, 8), 9) is None


def test_a_signature_does_not_depend_on_numbering() -> None:
    one = from_parents(4, [4, 4, 5, 5, 6, 6, -1])
    other = from_parents(4, [6, 6, 4, 4, 5, -1, 5])
    third = from_parents(4, [4, 5, 4, 5, 6, 6, -1])
    assert one == other and one.signature == other.signature
    assert one != third and one.signature != third.signature
    assert (one.height, one.fan_in, one.leaves) == (2, 2, 4)
    for broken in ([-1, -1], [2, 2, 3, -1], [1, -1]):
        with pytest.raises(ValueError, match="no tree"):
            from_parents(2, broken)


# ---- drawn


def test_a_small_tree_is_drawn_whole() -> None:
    assert as_text(reveal_signed(numpys_own, 1)) == "1 leaf, height 0, fan-in 0\nx0"
    assert as_text(reveal_signed(numpys_own, 9)) == (
        "9 leaves, height 4, fan-in 2\n"
        "+\n"
        "├─ +\n"
        "│  ├─ +\n"
        "│  │  ├─ x0 + x1\n"
        "│  │  └─ x2 + x3\n"
        "│  └─ +\n"
        "│     ├─ x4 + x5\n"
        "│     └─ x6 + x7\n"
        "└─ x8"
    )


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        (sequential, "1  4096 leaves, one by one  [0 to 4095]"),
        (shuffled, "1  4096 leaves, one by one, strided  [0 to 4095]"),
        (halves, "1  4096 leaves, pairwise, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048 apart  [0 to 4095]"),
        (
            lanes,
            "1  16 x, pairwise, 8, 4, 2, 1 apart  [0 to 4095]\n"
            "2    256 leaves, one by one, strided  [0, 16, 32, ..., 4080]",
        ),
        (
            numpys_own,
            "1  32 x, pairwise, 128, 256, 512, 1024, 2048 apart  [0 to 4095]\n"
            "2    8 x, pairwise, 1, 2, 4 apart  [0 to 127]\n"
            "3      16 leaves, one by one, strided  [0, 8, 16, ..., 120]",
        ),
        (
            SUMS["interleaved-host_round_trip"],
            "1  16 x, one by one  [0 to 4095]\n"
            "2    256 leaves, pairwise, 1, 2, 4, 8, 16, 32, 64, 128 apart  [0 to 255]",
        ),
        (
            SUMS["warp_shuffle-grid_reduced"],
            "1  4096 leaves, pairwise, 16, 8, 4, 2, 1, 128, 64, 32, 2048, 1024, 512, 256 apart  [0 to 4095]",
        ),
    ],
)
def test_a_large_tree_is_folded(probe: Sum, text: str) -> None:
    tree = reveal_signed(probe, 4096)
    assert as_text(tree) == f"4096 leaves, height {tree.height}, fan-in 2\n{text}"


def test_a_tree_with_a_tail_is_folded_up_to_the_tail() -> None:
    assert as_text(reveal_signed(lanes, 1000)) == (
        "1000 leaves, height 73, fan-in 2\n"
        "1  the first, then 8 leaves, one by one  [0 to 999]\n"
        "2    16 x, pairwise, 8, 4, 2, 1 apart  [0 to 991]\n"
        "3      62 leaves, one by one, strided  [0, 16, 32, ..., 976]"
    )


def test_a_multi_way_adder_is_folded_and_drawn_within_the_picture() -> None:
    tree = reveal_signed(four_way, 1024)
    assert as_text(tree).splitlines()[1:3] == ["1  4 at once  [0 to 1023]", "2    4 at once  [0 to 255]"]
    points = [element.get("points", "") for element in xml.fromstring(as_svg(tree, "adder")).iter()]
    corners = [float(pair.split(",")[0]) for text in points for pair in text.split()]
    assert min(corners) == 16 and max(corners) <= 960 - 15.9


def random_tree(n: int) -> Revealed:
    rng = np.random.default_rng(n)
    nodes, parents = list(range(n)), [-1] * n
    while len(nodes) > 1:
        parents.append(-1)
        for _ in range(2):
            parents[nodes.pop(int(rng.integers(len(nodes))))] = len(parents) - 1
        nodes.append(len(parents) - 1)
    return from_parents(n, parents)


@pytest.mark.parametrize("n", [1, 2, 32, 33, 128, 129, 1000, 4096])
@pytest.mark.parametrize("make", [random_tree, lambda n: declared_tree(Tree("sequential"), n)])
def test_any_tree_is_drawn_in_a_picture_and_a_text_of_modest_size(make: Callable[[int], Revealed], n: int) -> None:
    tree = make(n)
    folds, of_node = fold(tree)
    assert [folds[kind].leaves for kind in of_node] == list(tree.sizes)
    picture = as_svg(tree, "sum")
    assert picture == as_svg(make(n), "sum")
    assert len(picture) < 200_000 and xml.fromstring(picture).tag.endswith("svg")
    assert f"height {tree.height}, fan-in {tree.fan_in}" in picture
    assert len(as_text(tree).splitlines()) <= 2 * n + 1 if n <= 32 else 43


def test_a_hostile_title_is_only_text() -> None:
    title = "</title><script>alert(1)</script>\"'&\x00\x1b[31m"
    picture = as_svg(reveal_signed(numpys_own, 40), title)
    assert "<script" not in picture and "\x00" not in picture and "\x1b" not in picture
    texts = ["".join(element.itertext()) for element in xml.fromstring(picture).iter()]
    assert any(text == "</title><script>alert(1)</script>\"'&[31m" for text in texts)
