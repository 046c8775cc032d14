"""`harness compare`: what BASE and HEAD stand for, and the comparison that they call for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import harness.machine as machine
from harness.comparing import versions
from harness.comparing.abreast import compare_abreast
from harness.comparing.measured import Measured, measured_from_file, measured_from_store
from harness.comparing.revisions import Asked, Floors, compare_sides, side_of
from harness.comparing.stored import compare_stored
from harness.comparing.verdicts import Comparison
from harness.comparing.versions import WORKING_TREE, VersionError
from harness.comparing.whole import MODES
from harness.execute import Progress
from harness.machines import noise_of
from harness.plan import NothingSelected, Selection
from harness.registry import load
from harness.sharding import ShardError
from harness.store import Store, UnknownRun

FILES = (".json", ".csv", ".parquet", ".sqlite", ".db")


@dataclass(frozen=True, slots=True)
class Environments:
    """How each checkout gets its environment: a shell command, and the interpreter that is there then."""

    setup: str | None = None
    python: str | None = None


def compare_two(
    base: str,
    head: str,
    asked: Asked,
    environments: Environments,
    store: Store,
    *,
    normalise: bool,
    floor: Callable[[str], float],
    progress: Progress,
    slow_machine: str = MODES[0],
) -> Comparison:
    """BASE and HEAD are result files, runs of the store, or git revisions ("." is the working tree).

    Raises VersionError where one of them is nothing of that, or where they are of different kinds.
    """
    start = time.monotonic()
    stored = [_measured(text, store) for text in (base, head)]
    if stored[0] is not None and stored[1] is not None:
        if asked.shard is not None:
            raise ShardError(f"--shard {asked.shard}: results that exist already take no time to compare; leave it out")
        noise = noise_of(store, stored[1].machine_id)
        selected = _selected(stored, asked)
        is_all = all(len(a.records) == len(b.records) for a, b in zip(selected, (stored[0], stored[1]), strict=True))
        found = compare_stored(
            *selected,
            floor=floor,
            noise=noise,
            normalise=normalise,
            slow_machine=slow_machine,
            everything=None if is_all else (stored[0], stored[1]),
        )
        return replace(found, spent_s=time.monotonic() - start)
    repository = _repository(base, head, stored)
    # now: a commit that is made meanwhile must not give its name to what was measured
    words = [versions.in_words(repository, text) for text in (base, head)]
    revisions = [
        (label, versions.commit_of(repository, text) or text) for label, text in (("base", base), ("head", head))
    ]
    with versions.checkouts(repository, revisions, environments.setup, environments.python) as (first, second):
        before, after = side_of(first, repository, asked), side_of(second, repository, asked)
        rows, notes, elsewhere = compare_sides(before, after, asked, progress)
    return Comparison(
        base=words[0],
        head=words[1],
        machine_id=machine.machine_id(machine.describe()),
        rows=tuple(rows),
        notes=tuple(notes),
        spent_s=time.monotonic() - start,
        elsewhere=elsewhere,
    )


def compare_ab(first: str, second: str, asked: Asked, progress: Progress) -> Comparison:
    """Two implementations, live."""
    start = time.monotonic()
    if asked.shard is not None:
        raise ShardError(f"--shard {asked.shard}: only a gate over two git revisions is dealt, not --ab; leave it out")
    registry = load(asked.plugins, asked.operators)
    rows, notes = compare_abreast(first, second, registry, asked, progress)
    return Comparison(
        base=first,
        head=second,
        machine_id=machine.machine_id(machine.describe()),
        rows=tuple(rows),
        notes=tuple(notes),
        spent_s=time.monotonic() - start,
    )


def thresholds(floor: Callable[[str], float], store: Store, machine_id: str) -> Floors:
    """The user's floor of a task, and by clock what A/A comparisons on this machine have shown, if that is more."""
    spread: dict[str, dict[str, float]] = {}
    for one in noise_of(store, machine_id):
        task = f"{one.operator}/{one.backend}/{one.implementation}/{one.case}"
        spread.setdefault(task, {})[one.clock] = one.spread
    return lambda task: {**spread.get(task, {}), "": floor(task)}


def _measured(text: str, store: Store) -> Measured | None:
    """A file or a run, or None if the text is neither."""
    if Path(text).suffix.lower() in FILES:
        return measured_from_file(Path(text))
    try:
        return measured_from_store(store, text)
    except UnknownRun:
        return None


def _selected(stored: Sequence[Measured | None], asked: Asked) -> list[Measured]:
    selection = Selection(asked.selectors)
    kept = []
    for one in stored:
        assert one is not None
        records = tuple(record for record in one.records if record.id in selection and asked.backends(record.backend))
        kept.append(replace(one, records=records))
    if not any(one.records for one in kept):
        raise NothingSelected(f"neither side holds a result of {' '.join(asked.selectors) or 'anything'}")
    return kept


def _repository(base: str, head: str, stored: Sequence[Measured | None]) -> Path:
    """The repository that both are revisions of."""
    known = [text for text, one in zip((base, head), stored, strict=True) if one is not None]
    other = base if stored[0] is None else head
    if known:
        raise VersionError(
            f"{known[0]} is a stored result and {other} is none: compare two results (runs: `harness compare` with ids "
            "from `harness history --json`, files: `harness report --format json`), or two git revisions"
        )
    repository = versions.top_of(Path.cwd())
    for text in (base, head):
        if text != WORKING_TREE and versions.commit_of(repository, text) is None:
            raise VersionError(
                f"{text!r} is no file, no run of the store and no git revision; type for example "
                "`harness compare HEAD~1 HEAD`, `harness compare main .` or `harness compare a.json b.json`"
            )
    return repository
