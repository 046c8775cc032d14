"""`harness reveal`: the accumulation trees of implementations, probed in a worker and held against their claims."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.declare import Operator, Revealing
from harness.execute import Progress
from harness.implement import Declaration
from harness.judge.drawing import as_svg, as_text
from harness.judge.reveal import reveal_positive, reveal_signed
from harness.judge.revealed import NotRevealed, Revealed, contradiction
from harness.judge.truth import Truth, answer_dtype
from harness.plan import NothingSelected, Selection, Task, require_match, selects
from harness.precision import numpy_dtype
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.stage import Refused, Stage
from harness.supervisor import Trust, memory_limit, trust_of
from harness.whole import write_whole

CALLS = 192
"""Probes of one request to a worker."""
WIDER = {"float16": "float32", "bfloat16": "float32"}
"""The accumulator that is probed for where the terms are narrow."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was revealed of one implementation; without a tree, `reason` says why. `contradiction` is empty where the
    claim holds."""

    declaration: Declaration
    n: int
    dtype: str
    tree: Revealed | None
    reason: str
    contradiction: str


def reveal_all(
    registry: Registry, selectors: Sequence[str], n: int, dtype: str, deadline_s: float, progress: Progress
) -> list[Found]:
    """Probe every selected implementation that can run here and whose operator says how.

    Raises NothingSelected where there is none.
    """
    require_match(registry, selectors)
    selection = Selection(selectors)
    able = [one for one in registry.declarations if registry.operators[one.operator].revealing]
    chosen = [
        one for one in able if not registry.missing(one) and selects(selection, one, registry.operators[one.operator])
    ]
    if not chosen:
        known = ", ".join(sorted({one.operator for one in able}))
        raise NothingSelected(f"nothing that matches {' '.join(selectors)!r} can be revealed here; what can: {known}")
    workers: dict[Trust, WorkerProcess] = {}
    found = []
    try:
        for number, declared in enumerate(chosen):
            progress(f"revealing {declared.id}", number, len(chosen))
            task = Task(declared, _revealing(registry, declared).case(n, dtype))
            trust = trust_of(task)
            if trust not in workers:
                devices = registry.backends[trust[0]].reserves
                limit = 0 if devices else memory_limit()
                workers[trust] = WorkerProcess(memory_limit=limit, plugin=trust[1], devices=devices)
            try:
                found.append(_reveal(task, n, dtype, registry, workers[trust], deadline_s))
            except WorkerFailure as failure:
                workers.pop(trust).close()
                found.append(Found(declared, n, dtype, None, f"{failure.status}: {failure.reason}", ""))
    finally:
        for worker in workers.values():
            worker.close()
    return found


def reveal_those(
    registry: Registry, ids: Collection[str], n: int, dtype: str, deadline_s: float, progress: Progress
) -> list[Found]:
    """As reveal_all, of implementations by `operator/backend/implementation`; nothing where none can be revealed."""
    wanted = [one.id for one in registry.declarations if one.id in ids]
    try:
        return reveal_all(registry, wanted, n, dtype, deadline_s, progress) if wanted else []
    except NothingSelected:
        return []


def _revealing(registry: Registry, declared: Declaration) -> Revealing:
    found = registry.operators[declared.operator].revealing
    assert found is not None
    return found


def _reveal(task: Task, n: int, dtype: str, registry: Registry, worker: WorkerProcess, deadline_s: float) -> Found:
    declared, operator = task.declaration, registry.operators[task.declaration.operator]
    how = _revealing(registry, declared)

    def probe(weights: np.ndarray) -> np.ndarray:
        parts = range(0, len(weights), CALLS)
        return np.concatenate(
            [_totals(task, operator, how, weights[one : one + CALLS], registry, worker, deadline_s) for one in parts]
        )

    try:
        accumulator = WIDER.get(dtype, dtype)
        tree = reveal_signed(probe, n, dtype) if how.signed else reveal_positive(probe, n, accumulator)
    except NotRevealed as reason:
        return Found(declared, n, dtype, None, str(reason), "")
    except Refused as refusal:
        return Found(declared, n, dtype, None, f"{refusal.status}: {refusal.reason}", "")
    claim = declared.accumulation
    return Found(declared, n, dtype, tree, "", contradiction(claim.tree, tree, n) if claim else "")


def _totals(
    task: Task,
    operator: Operator,
    how: Revealing,
    weights: np.ndarray,
    registry: Registry,
    worker: WorkerProcess,
    deadline_s: float,
) -> np.ndarray:
    """One call for each row of weights."""
    kind = numpy_dtype(task.case.dtype)
    calls: list[Truth] = []
    for row in weights:
        with np.errstate(all="ignore"):
            inputs = tuple(np.ascontiguousarray(array, dtype=kind) for array in how.inputs(row))
        if not calls:
            shape = np.shape(operator.oracle(*inputs, **dict(task.case.parameters)))
            unknown = np.broadcast_to(np.float64(0.0), shape)
        calls.append(Truth(task.case, inputs, unknown, unknown, answer_dtype(operator, task.case)))
    stage = Stage(worker, calls, slots=len(calls))
    received = stage.ask(task, registry, [list(range(len(calls)))], deadline_s, poison=False)
    totals = []
    for number, answer in enumerate(received.reply.answers[: len(calls)]):
        read = received.read(number)
        if read is None:
            raise NotRevealed(f"a probe had no answer: {answer.error or 'not of the right shape and dtype'}")
        totals.append(how.total(read.astype(np.float64), weights.shape[1]))
    return np.asarray(totals)


def rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """One row per implementation; `same_tree` is a letter that those with the same tree share."""
    letters = (f"{a}{b}".strip() for a in [" ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"] for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    groups: dict[str, str] = {}
    table = []
    for one in found:
        tree, claim = one.tree, one.declaration.accumulation
        if tree is not None and tree.signature not in groups:
            groups[tree.signature] = next(letters)
        table.append(
            {
                "operator": one.declaration.operator,
                "backend": one.declaration.backend,
                "implementation": one.declaration.implementation,
                "n": one.n,
                "dtype": one.dtype,
                "height": tree.height if tree else None,
                "fan_in": tree.fan_in if tree else None,
                "same_tree": groups[tree.signature] if tree else None,
                "probes": tree.probes if tree else None,
                "declared": str(claim.tree) if claim else None,
                "verdict": _verdict(one),
            }
        )
    return table


def _verdict(one: Found) -> str:
    if one.tree is None:
        return f"not revealed: {one.reason}"
    if one.declaration.accumulation is None:
        return "nothing is declared"
    return one.contradiction or "as declared"


def draw(found: Sequence[Found], folder: Path) -> None:
    """One SVG per revealed tree."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        if one.tree is not None:
            title = f"{one.declaration.id}, n = {one.n}, {one.dtype}"
            write_whole(folder / f"{one.declaration.id.replace('/', '-')}-{one.n}.svg", as_svg(one.tree, title))


def print_trees(found: Sequence[Found], table: Sequence[dict[str, Any]]) -> None:
    """Each tree once, under the names of those that share it; then one line per implementation."""
    from rich.table import Table
    from rich.text import Text

    from harness.fitting import console_of_stdout, show

    console = console_of_stdout(124)
    order = sorted(zip(found, table, strict=True), key=lambda pair: str(pair[1]["same_tree"]))
    for letter, group in itertools.groupby(order, key=lambda pair: pair[1]["same_tree"]):
        members = list(group)
        if letter is not None and members[0][0].tree is not None:
            names = ", ".join(one.declaration.id for one, _ in members)
            console.print(Text(f"tree {letter}: {names}", "bold"))
            console.print(Text(as_text(members[0][0].tree) + "\n"))
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("implementation", "tree", "height", "fan-in", "probes", "declared", "verdict"):
        shown.add_column(heading, justify="right" if heading in ("height", "fan-in", "probes") else "left")
    for one, row in zip(found, table, strict=True):
        cells = (row["same_tree"], row["height"], row["fan_in"], row["probes"], row["declared"], row["verdict"])
        bad = one.contradiction or one.tree is None
        texts = [Text("" if cell is None else str(cell)) for cell in (one.declaration.id, *cells)]
        shown.add_row(*texts, style="red" if bad else None)
    show([shown], 124)
