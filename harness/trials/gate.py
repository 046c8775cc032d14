"""Is a gate quiet, and does it find the one? Many unchanged tasks compared at once, and the same with one slowed.

And what does it save to spend time where the doubt is? The same gate with as many rounds for every task as the slowed
one needed finds as much, and takes longer.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.comparing.verdicts import Comparison
from harness.execute import Progress
from harness.registry import Registry
from harness.trials import binomial, slowed
from harness.trials.calibration import CALIBRATED_S, true_ratio
from harness.trials.comparer import Comparer, softmax_pair
from harness.trials.kept import Kept, Row

ROWS, SHORTEST = 256, 320
"""The tasks' shapes: 256 rows of 320 elements, of 321, and so on, so that no two share a case."""
SLOWED = 3
"""Percent."""
KINDS = ("unchanged", "one_slower", "fixed_rounds")
ALARMS = ("SLOWER", "FASTER", "FAILED", "NEW", "MISSING")


@dataclass(frozen=True, slots=True)
class Plan:
    """Gates of so many tasks, each within `budget_s` seconds: `repeats` of them without and with a slowed task, and
    `fixed` with a slowed task and a fixed number of rounds."""

    tasks: int = 200
    repeats: int = 20
    fixed: int = 2
    budget_s: float = 200.0
    seed: int = 0


def shape_of(number: int) -> tuple[int, int]:
    """The shape of the gate's task of this number."""
    return ROWS, SHORTEST + number


def try_all(plan: Plan, registry: Registry, comparer: Comparer, kept: Kept, progress: Progress) -> None:
    """Run the gates that `kept` does not hold yet. Which task is slowed is drawn by lot, for each repeat."""
    if not kept.rows(kind="calibration"):
        truth = true_ratio(slowed.softmax_again(SLOWED), CALIBRATED_S, shape_of(plan.tasks // 2))
        kept.add({"kind": "calibration", "estimate": truth.estimate, "low": truth.low, "high": truth.high})
    total = 2 * plan.repeats + plan.fixed
    for number, (kind, repeat, slow) in enumerate(_order(plan)):
        progress(f"a gate of {plan.tasks} tasks ({kind})", number + 1, total)
        if (kind, repeat) in kept.done("kind", "repeat"):
            continue
        rounds = _needed(kept) if kind == "fixed_rounds" else None
        chosen = None if kind == "unchanged" else slow
        pairs = [softmax_pair(registry, SLOWED * (one == chosen), shape_of(one)) for one in range(plan.tasks)]
        comparison = comparer(pairs, plan.budget_s, rounds)
        name = None if chosen is None else pairs[chosen].head.id
        kept.add({"kind": kind, "repeat": repeat, **_summary(comparison, name)})


def _order(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """(kind, repeat, number of the task that may be slowed), those with fixed rounds last."""
    rng = np.random.default_rng(plan.seed)
    slow = rng.integers(plan.tasks, size=max(plan.repeats, plan.fixed)).tolist()
    for repeat in range(plan.repeats):
        for kind in rng.permutation(KINDS[:2]).tolist():
            yield kind, repeat, slow[repeat]
    for repeat in range(plan.fixed):
        yield "fixed_rounds", repeat, slow[repeat]


def _needed(kept: Kept) -> int:
    """The rounds that a slowed task needed to be called, at the median; the most that any had where none was called."""
    gates = kept.rows(kind="one_slower")
    called = [gate["slowed_rounds"] for gate in gates if gate["named"]]
    return round(statistics.median(called)) if called else max([gate["slowed_rounds"] for gate in gates], default=1)


def _summary(comparison: Comparison, name: str | None) -> Row:
    rows = comparison.rows
    alarms = {row.id: row.verdict for row in rows if row.verdict in ALARMS}
    found = next((row for row in rows if row.id == name), None)
    return {
        "tasks": len(rows),
        "slowed": name,
        "slowed_rounds": found.rounds if found else None,
        "estimate": found.ratio if found else None,
        "alarms": alarms,
        "reasons": {row.id: row.reason for row in rows if row.verdict in ALARMS},
        "named": alarms.get(name) == "SLOWER" if name else None,
        "only": alarms.keys() == {name} if name else None,
        "verdicts": dict(Counter(row.verdict for row in rows)),
        "exit_code": comparison.exit_code,
        "seconds": comparison.spent_s,
        "rounds": sum(row.rounds for row in rows),
    }


def table(kept: Kept) -> list[Row]:
    """One row per kind: of `repeats` gates, how many were `right` (no alarm; or the slowed task named, and only that)
    with the share's 95 % interval in words, the false alarms in all, unclear tasks and seconds (medians), and `rounds`
    per task. `true_ratio` is how much slower the slowed task truly is, `times_adaptive` how many times the adaptive
    gate's seconds the one with fixed rounds took."""
    adaptive = [gate["seconds"] for gate in kept.rows(kind="one_slower")]
    (truth,) = kept.rows(kind="calibration")
    return [_row(kind, kept.rows(kind=kind), adaptive, truth["estimate"]) for kind in KINDS if kept.rows(kind=kind)]


def _row(kind: str, gates: list[Row], adaptive: list[float], truth: float) -> Row:
    has_slowed = kind != "unchanged"
    right = sum(gate["only"] and gate["named"] if has_slowed else not gate["alarms"] for gate in gates)
    seconds = statistics.median(gate["seconds"] for gate in gates)
    return {
        "gate": kind,
        "tasks": gates[0]["tasks"],
        "true_ratio": truth if has_slowed else None,
        "repeats": len(gates),
        "right": right,
        "right_in_words": binomial.in_words(right, len(gates)),
        "named": sum(gate["named"] for gate in gates) if has_slowed else None,
        "false_alarms": sum(name != gate["slowed"] for gate in gates for name in gate["alarms"]),
        "unclear": statistics.median(gate["verdicts"].get("UNCLEAR", 0) for gate in gates),
        "rounds": statistics.median(gate["rounds"] / gate["tasks"] for gate in gates),
        "seconds": seconds,
        "times_adaptive": seconds / statistics.median(adaptive) if kind == "fixed_rounds" and adaptive else None,
    }
