"""Wrong versions of segment_softmax: of the largest score, of the sum, of the order of the edges, of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Mutant
from harness.precision import round_to, widen

from .wrong import Oracle, answer, from_formula, general, of_changed_inputs


def _per_segment(x: np.ndarray, segments: np.ndarray, count: int, add: Any, start: float) -> np.ndarray:
    out = np.full((count, *x.shape[1:]), start, dtype=x.dtype)
    add.at(out, segments, x)
    return out


def _composed(x: np.ndarray, segments: np.ndarray, count: int, maximum: np.ndarray) -> np.ndarray:
    w = np.exp(x - maximum)
    return w / _per_segment(w, segments, count, np.add, 0.0)[segments]


def _largest(x: np.ndarray, segments: np.ndarray, count: int, start: float = -np.inf) -> np.ndarray:
    return _per_segment(x, segments, count, np.maximum, start)[segments]


def _as_if_sorted(x: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    """Each run of equal ids is taken for a whole segment."""
    runs = np.cumsum(np.diff(segments, prepend=segments[:1]) != 0)
    return _composed(x, runs, int(runs[-1]) + 1, _largest(x, runs, int(runs[-1]) + 1))


def _one_write_wins(x: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    """sum[segments] += w: of edges that share a segment only one is added."""
    w = np.exp(x - _largest(x, segments, count))
    total = np.zeros((count, *x.shape[1:]), dtype=x.dtype)
    total[segments] += w
    return w / total[segments]


def _with_epsilon(x: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    w = np.exp(x - _largest(x, segments, count))
    return w / (_per_segment(w, segments, count, np.add, 0.0)[segments] + x.dtype.type(1e-6))


def _one_sum_for_all_columns(x: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    w = np.exp(x - _largest(x, segments, count))
    return w / _per_segment(w.reshape(len(w), -1).sum(axis=1), segments, count, np.add, 0.0)[segments].reshape(
        -1, *[1] * (x.ndim - 1)
    )


def _float16_sums(x: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    w = np.exp(x - _largest(x, segments, count))
    return w / _per_segment(w.astype(np.float16), segments, count, np.add, 0.0).astype(x.dtype)[segments]


def _wrong_gradients(oracle: Oracle) -> tuple[Mutant, ...]:
    def mutant(name: str, function: Any, lesson: str = "") -> Mutant:
        def wrong(x: np.ndarray, segments: np.ndarray, g: np.ndarray, *, num_segments: int) -> np.ndarray:
            p = np.asarray(oracle(x, segments, num_segments=num_segments))
            return round_to(function(p, widen(g), segments, num_segments), x.dtype.name)

        return Mutant(f"gradient_{name}", wrong, lesson, gradient=0)

    return (
        mutant("diagonal_only", lambda p, g, s, n: p * (1 - p) * g, "the other edges of the segment are left out"),
        mutant("without_the_sum", lambda p, g, s, n: p * g, "the sum over the segment is left out"),
        mutant(
            "summed_over_all_edges",
            lambda p, g, s, n: p * (g - np.sum(p * g, axis=0)),
            "the sum runs over the edges of the segment, not over all",
        ),
        mutant(
            "sum_of_g_alone",
            lambda p, g, s, n: p * (g - _per_segment(g, s, n, np.add, 0.0)[s]),
            "the sum over the segment is of p g, not of g",
        ),
    )


def mutants(oracle: Oracle) -> tuple[Mutant, ...]:
    return (
        *general(oracle),
        from_formula(
            "one_maximum_for_all",
            lambda x, s, *, num_segments: _composed(x, s, num_segments, x.max(axis=0)),
            "exp(x - max) is 0 in every segment that lies far below the largest score of all, and 0/0 is NaN; "
            "subtract the largest score of each segment",
        ),
        from_formula(
            "no_maximum",
            lambda x, s, *, num_segments: _composed(x, s, num_segments, x.dtype.type(0)),
            "exp(x) overflows; subtract the largest score of each segment",
        ),
        from_formula(
            "maximum_from_0",
            lambda x, s, *, num_segments: _composed(x, s, num_segments, _largest(x, s, num_segments, 0.0)),
            "the running maximum starts at 0, and scores far below it vanish; start at -inf",
        ),
        from_formula(
            "as_if_sorted",
            lambda x, s, *, num_segments: _as_if_sorted(x, s, num_segments),
            "ids come in any order: a segment is not one run of edges",
        ),
        from_formula(
            "one_write_wins",
            lambda x, s, *, num_segments: _one_write_wins(x, s, num_segments),
            "sum[segments] += w adds one edge of each segment only; use an unbuffered or atomic addition",
        ),
        from_formula("epsilon_in_the_denominator", lambda x, s, *, num_segments: _with_epsilon(x, s, num_segments)),
        from_formula("sums_in_float16", lambda x, s, *, num_segments: _float16_sums(x, s, num_segments)),
        from_formula(
            "softmax_over_all_edges",
            lambda x, s, *, num_segments: _composed(x, 0 * s, 1, x.max(axis=0)),
            "the edges of different segments do not compete",
        ),
        from_formula(
            "softmax_over_the_columns",
            lambda x, s, *, num_segments: _composed(x.T, 0 * np.arange(x.shape[-1]), 1, x.T.max(axis=0)).T,
            "the softmax runs over edges, in each column on its own",
        ),
        from_formula(
            "not_normalised",
            lambda x, s, *, num_segments: np.exp(x - _largest(x, s, num_segments)),
            "divide by the sum",
        ),
        from_formula(
            "divided_by_the_number_of_edges",
            lambda x, s, *, num_segments: (
                np.exp(x - _largest(x, s, num_segments))
                / np.bincount(s, minlength=num_segments)[s].reshape(-1, *[1] * (x.ndim - 1))
            ),
        ),
        from_formula(
            "one_sum_for_all_columns",
            lambda x, s, *, num_segments: _one_sum_for_all_columns(x, s, num_segments),
            "each column is a softmax of its own",
        ),
        of_changed_inputs(oracle, "ids_modulo_8", lambda x, s: (x, s % 8), "segments are mixed up"),
        of_changed_inputs(
            oracle, "ids_in_one_byte", lambda x, s: (x, s % 256), "there are more than 256 segments: ids need more bits"
        ),
        of_changed_inputs(
            oracle,
            "sorted_ids_unsorted_scores",
            lambda x, s: (x, np.sort(s)),
            "ids were sorted, and the scores were not",
        ),
        of_changed_inputs(oracle, "last_edge_in_the_first_segment", lambda x, s: (x, np.append(s[:-1], 0))),
        Mutant(
            "answer_in_the_order_of_the_segments",
            lambda x, s, *, num_segments: answer(oracle, x, s, num_segments=num_segments)[np.argsort(s, kind="stable")],
            "the answer is still in sorted order; undo the permutation",
        ),
        *_wrong_gradients(oracle),
    )
