"""BASE against HEAD, two checkouts: what each declares is paired, held to be identical or measured in turn."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.checkout import Checkout
from harness.comparing.contest import Contest, contest
from harness.comparing.counting import with_counts
from harness.comparing.eligible import Standing, standings
from harness.comparing.environment import environment_digest
from harness.comparing.identity import fingerprint
from harness.comparing.live import Effort, compare_pairs
from harness.comparing.renaming import Source, renames
from harness.comparing.verdicts import Compared
from harness.execute import Progress
from harness.implement import Declaration
from harness.plan import NothingSelected, Task, plan, require_match
from harness.record import WRONG
from harness.registry import load
from harness.sharding import Shard
from harness.timing.groups import Side

Floors = Callable[[str], dict[str, float]]
"""By task id: the relative change below which nothing is called, by clock ("" for all)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared: selectors, plugins and operators (paths in the working tree), and how."""

    selectors: Sequence[str]
    plugins: Sequence[str]
    operators: Sequence[str]
    seed: int
    effort: Effort
    floors: Floors
    measure_identical: bool = False
    backends: Callable[[str], bool] = field(default=lambda backend: True)
    shard: Shard | None = None


def side_of(checkout: Checkout, repository: Path, asked: Asked) -> Side:
    """What a checkout declares. Plugins of the repository are taken from the checkout; one that it does not have
    declares nothing there."""
    plugins = []
    for path in asked.plugins:
        absolute = Path(path).resolve()
        inside = absolute.is_relative_to(repository.resolve())
        there = checkout.root / absolute.relative_to(repository.resolve()) if inside else absolute
        if there.exists():
            plugins.append(str(there))
    return Side(checkout.label, load(plugins, asked.operators, checkout=checkout), checkout)


def compare_sides(base: Side, head: Side, asked: Asked, progress: Progress) -> tuple[list[Compared], list[str], int]:
    """The rows of all selected tasks, or of those that are a shard's, notes, and how many tasks other shards compare.
    Raises NothingSelected if neither side has any."""
    before, after = _selected(base, asked), _selected(head, asked)
    if not before and not after:
        require_match(head.registry, asked.selectors)
        raise NothingSelected("no task of a benchmark case is selected; `harness list` shows what there is")
    selected = {*before, *after}
    own = _own(asked.shard, selected)
    sources = _Sources()
    renamed = _renamed(base, head, before, after, sources)
    identity = _Identity(base, head, sources)
    rows: list[Compared] = []
    open_: list[tuple[Task, Task]] = []
    for task in after.values():
        old = renamed.get(task.declaration.id)
        earlier = before.pop(f"{old}/{task.case.id}" if old else task.id, None)
        if earlier is None:
            rows.append(row(task, "NEW", "it is not in BASE"))
        elif identity.same(earlier.declaration, task.declaration) and not asked.measure_identical:
            words = "identical code and environment: not measured"
            rows.append(row(task, "SAME", words, identical=True, renamed_from=earlier.id if old else None))
        else:
            open_.append((earlier, task))
    rows.extend(row(task, "MISSING", "it is in BASE and not in HEAD") for task in before.values())
    mine = [pair for pair in open_ if pair[1].id in own]
    elsewhere = sum(one.verdict == "SAME" and one.id not in own for one in rows) + len(open_) - len(mine)
    rows = [one for one in rows if one.id in own]
    in_question, notes = _measure(base, head, mine, identity, _part_of_gate(asked, len(mine), len(open_)), progress)
    if asked.shard is not None:
        counts = f"{len(own)} of {len(selected)} tasks, {len(mine)} of {len(open_)} that may differ"
        notes = [f"shard {asked.shard}: {counts}; what is called is certain over those of all shards", *notes]
    problems = [
        f"{side.label.upper()}: {one.where}: {one.message}" for side in (base, head) for one in side.registry.problems
    ]
    return [*rows, *in_question], [*problems, *identity.notes, *notes], elsewhere


def _own(shard: Shard | None, ids: Collection[str]) -> Collection[str]:
    """What a shard has of the tasks: every n-th by id, so that the cases of an implementation, which change together,
    are spread over all of them."""
    return ids if shard is None else set(sorted(ids)[shard.number - 1 :: shard.of])


def _part_of_gate(asked: Asked, mine: int, all_: int) -> Asked:
    """The same, for so many of the tasks: a budget is that of all shards together."""
    if asked.shard is None or not all_:
        return asked
    budget_s = asked.effort.budget_s
    own_s = None if budget_s is None else budget_s * mine / all_
    return replace(asked, effort=replace(asked.effort, budget_s=own_s, gate_tasks=all_))


def _selected(side: Side, asked: Asked) -> dict[str, Task]:
    chosen = plan(side.registry, asked.selectors, "benchmarks")
    return {
        task.id: task
        for task in chosen
        if side.registry.is_timed(task.declaration)
        and asked.backends(task.declaration.backend)
        and not side.registry.missing(task.declaration)
    }


def _measure(
    base: Side,
    head: Side,
    pairs: Sequence[tuple[Task, Task]],
    identity: _Identity,
    asked: Asked,
    progress: Progress,
) -> tuple[list[Compared], list[str]]:
    """Rows of what may have changed: first whether it is right on both sides, then its times."""
    deadline = asked.effort.deadline_s
    was = standings(base, [old for old, _ in pairs], asked.seed, deadline, progress)
    now = standings(head, [new for _, new in pairs], asked.seed, deadline, progress)
    return measured(pairs, (base, head), (was, now), identity.same, asked, progress)


def measured(
    pairs: Sequence[tuple[Task, Task]],
    sides: tuple[Side, Side],
    found: tuple[Mapping[str, Standing], Mapping[str, Standing]],
    same: Callable[[Declaration, Declaration], bool],
    asked: Asked,
    progress: Progress,
) -> tuple[list[Compared], list[str]]:
    """Rows of pairs of tasks, those that are right timed live, and notes; `found` is how the tasks of each side stand,
    and `same` says which declarations are the same code."""
    rows: list[Compared] = []
    contests: list[Contest] = []
    skipped: list[str] = []
    for old, new in pairs:
        verdict, reason = standing_of(found[0][old.id], found[1][new.id])
        if verdict == "":
            contests.append(
                contest(
                    old,
                    new,
                    sides,
                    identical=same(old.declaration, new.declaration),
                    floors=asked.floors(new.id),
                    renamed_from=old.id if old.id != new.id else None,
                )
            )
        elif verdict == "-":
            skipped.append(reason)
        else:
            rows.append(row(new, verdict, reason))
    timed = compare_pairs(contests, sides[1].registry, asked.seed, asked.effort, progress)
    counted, notes = with_counts(contests, timed, asked.seed)
    return [*rows, *counted], [*left_out(skipped), *notes]


def left_out(reasons: Sequence[str]) -> list[str]:
    """What is not compared, and why, in as few lines as there are reasons."""
    return [f"{count} tasks are not compared: {reason}" for reason, count in Counter(reasons).items()]


def standing_of(was: Standing, now: Standing) -> tuple[str, str]:
    """A verdict without times and its reason; "" if there is to be one with times, "-" if there is no row at all."""
    if was.status == now.status == "passed":
        return "", ""
    if now.status in WRONG:
        if now.known:
            return (
                ("-", "known failures in HEAD")
                if was.known
                else ("UNCLEAR", f"in HEAD {now.in_words}; known: {now.known}")
            )
        return "FAILED", f"in HEAD {now.in_words}" + ("" if was.status == "passed" else f" (in BASE too, {was.status})")
    if now.status != "passed":
        return ("MISSING", f"in HEAD {now.in_words}") if was.status == "passed" else ("-", f"{now.status} in HEAD")
    return "NEW", f"there is no time to compare with: in BASE {was.in_words}"


def row(task: Task, verdict: str, reason: str, *, identical: bool = False, renamed_from: str | None = None) -> Compared:
    declared = task.declaration
    return Compared(
        operator=declared.operator,
        backend=declared.backend,
        implementation=declared.implementation,
        case=task.case.id,
        verdict=verdict,
        reason=reason,
        identical=identical,
        renamed_from=renamed_from,
    )


def _renamed(
    base: Side, head: Side, before: dict[str, Task], after: dict[str, Task], sources: _Sources
) -> dict[str, str]:
    """{implementation in HEAD: what it is called in BASE}, of those that only changed their name."""
    old = {task.declaration.id: task.declaration for task in before.values()}
    new = {task.declaration.id: task.declaration for task in after.values()}
    gone, come = old.keys() - new.keys(), new.keys() - old.keys()
    if not gone or not come:
        return {}
    return renames(
        {name: sources.digest(base, old[name]) for name in sorted(gone)},
        {name: sources.digest(head, new[name]) for name in sorted(come)},
    )


class _Sources:
    """Files of both sides, each read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, Path, tuple[str, ...]], Source] = {}

    def digest(self, side: Side, declared: Declaration) -> str | None:
        """Of one implementation apart from its name; None where that cannot be told."""
        file, root, package = _where(side, declared)
        sources = tuple(path for path, _ in declared.sources)
        key = side.label, file, sources
        if key not in self._read:
            self._read[key] = Source(file, root, sources, package)
        return self._read[key].digest(declared.line)


def _where(side: Side, declared: Declaration) -> tuple[Path, Path, Path | None]:
    """The file of a declaration, the root of its checkout, and the folder of the built-in implementations."""
    if side.checkout is None:
        raise ValueError("only a checkout has files that can be compared")
    package = side.checkout.implementations
    if declared.path:
        return Path(declared.path), side.checkout.root, package
    if package is None:
        package = _installed()
    parts = declared.module.removeprefix("harness.implementations.").split(".")
    file = package.joinpath(*parts).with_suffix(".py")
    root = side.checkout.root if package.is_relative_to(side.checkout.root) else package
    return (file if file.is_file() else package.joinpath(*parts, "__init__.py")), root, package


def _installed() -> Path:
    import harness.implementations

    return Path(harness.implementations.__path__[0])


class _Identity:
    """Whether implementations of two sides are the same code in the same environment; answers are remembered."""

    def __init__(self, base: Side, head: Side, sources: _Sources) -> None:
        self._base = base
        self._head = head
        self._sources = sources
        self.notes: list[str] = []
        self._environments_agree = self._compare_environments()
        self.same = functools.cache(self._same)
        self._digests: dict[tuple[str, Path, tuple[str, ...]], str] = {}

    def _compare_environments(self) -> bool:
        found = []
        for side in (self._base, self._head):
            assert side.checkout is not None
            found.append(environment_digest(side.checkout.python, side.checkout.root))
        if found[0][0] != found[1][0]:
            self.notes.append("the environments differ: everything is measured")
        return found[0][0] == found[1][0]

    def _same(self, old: Declaration, new: Declaration) -> bool:
        if not self._environments_agree or old.accumulation != new.accumulation:
            return False
        if old.id == new.id and self._file(self._base, old) == self._file(self._head, new):
            return True
        first, second = self._sources.digest(self._base, old), self._sources.digest(self._head, new)
        return first is not None and first == second

    def _file(self, side: Side, declared: Declaration) -> str:
        """The digest of all that a declaration's file can reach, asked once for a file."""
        file, root, package = _where(side, declared)
        sources = tuple(path for path, _ in declared.sources)
        key = side.label, file, sources
        if key not in self._digests:
            self._digests[key] = fingerprint(file, root, sources, package).digest
        return self._digests[key]
