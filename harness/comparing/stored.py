"""Stored results against each other: verdicts from runs that were not measured in turn, and what is new or missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.comparing import whole
from harness.comparing.deciding import Ratio, holm, in_words, percent, verdict_of
from harness.comparing.machines import DifferentMachines, apart, are_same, ceiling_of, has_several, refusal
from harness.comparing.measured import Measured, Task, task_of
from harness.comparing.pairs import CLOCK_WORDS, OFTEN
from harness.comparing.presence import NO_ROW, standing
from harness.comparing.sides import ASSUMED_PROCESSES, Side, clock_of, ratio, side_of, trouble
from harness.comparing.verdicts import Compared, Comparison
from harness.record import Noise, Record
from harness.shift import MACHINE, Change, Shift

NORMALISED_FLOOR = 0.1
"""Relative change below which nothing is called where times of different machines are brought onto one scale."""
UNKNOWN_DRIFT = 0.05
"""Relative change below which nothing is called where it is not known how far apart runs of one commit lie: two runs
that were not measured in turn, of the same code, came out 2 to 5 % apart (standard deviation)."""
NOTICEABLE = 0.1
"""Share of the cores used by others from which a reason says so."""


def compare_stored(
    base: Measured,
    head: Measured,
    *,
    floor: Callable[[str], float],
    noise: Sequence[Noise],
    normalise: bool,
    renamed: Mapping[str, str] | None = None,
    drift: float = UNKNOWN_DRIFT,
    slow_machine: str = whole.MODES[0],
    everything: tuple[Measured, Measured] | None = None,
) -> Comparison:
    """Verdicts on all tasks of two sides; a positive change is a slowdown from BASE to HEAD.

    `floor` gives the user's smallest relative change by task id; `noise` is what A/A comparisons on HEAD's machine
    showed. `renamed` maps operator/backend/implementation in HEAD to what it is called in BASE. `drift` is the relative
    change that is allowed for where neither `noise` nor other runs of the same commit tell how large it may be.
    `slow_machine` says what is done where the machine got slower as a whole: one of harness.comparing.whole.MODES;
    `everything` is both sides with the tasks that were not selected, which are evidence of that too.
    Raises DifferentMachines, unless `normalise` brings BASE's times onto HEAD's scale by the ratio of their copy rates;
    and where the machine itself changed, if `slow_machine` is `refuse`.
    """
    same_machine = are_same(base, head)
    if not same_machine and not normalise:
        raise refusal(base, head)
    sides = _Sides(base, head, floor, noise, drift, normalised=not same_machine)
    found = sides.all_rows(renamed or {})
    others = found
    if everything is not None:
        others = replace(sides, base=everything[0], head=everything[1], unlisted=Counter()).all_rows(renamed or {})
    several = has_several(base) or has_several(head)  # what they share is of no one machine
    shift = None if sides.normalised or several else sides.shared([one for one in others if isinstance(one, _Pair)])
    is_machine = shift is not None and shift.cause == MACHINE
    about = whole.words(shift, head.machine_id) if shift is not None else ""
    if is_machine and slow_machine == "refuse":
        raise DifferentMachines(f"{about.partition('): ')[0]}), and --slow-machine refuse was asked for")
    if shift is not None and is_machine and slow_machine == "excuse":
        found = [one.without(shift) if isinstance(one, _Pair) else one for one in found]
    elif is_machine:
        about, is_machine = f"{about.partition('): ')[0]}): it is left in, as --slow-machine count asks", False
    # what raises no alarm anyway makes the gate no stricter for the others
    gate = [one for one in found if isinstance(one, _Pair) and not one.is_identical]
    adjusted = dict(zip(map(id, gate), holm([one.main.p_value for one in gate]), strict=True))
    rows = tuple(one if isinstance(one, Compared) else one.compared(adjusted.get(id(one), 1.0)) for one in found)
    return Comparison(
        base=base.label,
        head=head.label,
        machine_id=head.machine_id or base.machine_id,
        rows=rows,
        notes=((about,) if about else ()) + tuple(sides.notes(rows)),
        machine=about if is_machine else "",
    )


def _in_base(task: Task, renamed: Mapping[str, str]) -> Task:
    """What a task of HEAD is called in BASE."""
    before = renamed.get("/".join(task[:3]))
    if before is None:
        return task
    operator, backend, implementation = before.split("/")
    return operator, backend, implementation, task[3]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides, and what holds for all of their tasks; `unlisted` counts those that need no row."""

    base: Measured
    head: Measured
    floor: Callable[[str], float]
    noise: Sequence[Noise]
    drift: float
    normalised: bool
    unlisted: Counter[str] = field(default_factory=Counter)

    @property
    def is_one_commit(self) -> bool:
        return (
            not self.normalised
            and self.base.commit is not None
            and self.base.commit == self.head.commit
            and self.base.dirty is False
            and self.head.dirty is False
        )

    def all_rows(self, renamed: Mapping[str, str]) -> list[Compared | _Pair]:
        """All tasks of both sides: rows, and the pairs of times that are to become some."""
        before = {task_of(record): record for record in self.base.records}
        found: list[Compared | _Pair] = []
        met: set[Task] = set()
        for record in self.head.records:
            task = _in_base(task_of(record), renamed)
            met.add(task)
            found.extend(self.row(before.get(task), record))
        for task, record in before.items():
            if task not in met:
                found.extend(self.row(record, None))
        return found

    def row(self, base: Record | None, head: Record | None) -> Iterator[Compared | _Pair]:
        """The row of a task, or the pair of times that is to become one."""
        record = head or base
        assert record is not None
        renamed_from = base.id if base and head and base.id != head.id else None
        known = standing(base, head, self.base.is_timed, self.head.is_timed)
        if known is not None:
            verdict, reason = known
            if verdict == NO_ROW:
                self.unlisted[reason] += 1
            else:
                yield _row(record, verdict, reason, base=base, head=head, renamed_from=renamed_from)
            return
        assert base is not None and head is not None
        first = side_of(base, self.base.samples.get(task_of(base), ()))
        second = side_of(head, self.head.samples.get(task_of(head), ()))
        wrong = [f"in {name}: {why}" for name, side in (("BASE", first), ("HEAD", second)) if (why := trouble(side))]
        scale, scaled = self._scale(base, head) if self.normalised else (1.0, "")
        if scale is None:
            wrong.append(scaled)
        if not self.normalised and (elsewhere := apart(self.base, self.head, base, head)):
            wrong.append(elsewhere)
        if wrong or scale is None:
            reason = f"no times to compare: {'; '.join(wrong)}"
            yield _row(record, "UNCLEAR", reason, base=base, head=head, renamed_from=renamed_from)
            return
        clock, why = clock_of(first, second)
        threshold, by = self._threshold(first, second, clock)
        yield _Pair(
            sides=self, base=first, head=second, clock=clock, why=why, scale=scale, scaled=scaled,
            threshold=threshold, threshold_by=by, renamed_from=renamed_from,
        )  # fmt: skip

    def shared(self, pairs: Sequence[_Pair]) -> Shift | None:
        """What all tasks share from BASE to HEAD, and whether it is the machine's."""
        changes = [Change(one.head.record.operator, one.head.record.backend, one.main.log) for one in pairs]
        return whole.shared(self.base, self.head, changes)

    def _scale(self, base: Record, head: Record) -> tuple[float | None, str]:
        """What BASE's time is to be multiplied by, and by what that was found."""
        rates = ceiling_of(base, self.base.ceilings), ceiling_of(head, self.head.ceilings)
        if rates[0] is None or rates[1] is None:
            lacking = " and ".join(name for name, rate in zip(("BASE", "HEAD"), rates, strict=True) if rate is None)
            return None, f"the copy rate for its working set is not known in {lacking}, so that it cannot be normalised"
        words = f"{rates[0]:.4g} GB/s in BASE and {rates[1]:.4g} GB/s in HEAD"
        return rates[0] / rates[1], f"normalised by the copy rates of both machines, {words}"

    def _threshold(self, base: Side, head: Side, clock: str) -> tuple[float, str]:
        """The relative change below which nothing is called, and whose it is."""
        tasks = task_of(base.record), task_of(head.record)
        spreads = [
            (one.spread, "by which A/A comparisons of it strayed here")
            for one in self.noise
            if (one.operator, one.backend, one.implementation, one.case) in tasks
            and one.clock == clock
            and one.machine_id in (self.base.machine_id, self.head.machine_id)
        ]
        for name, side, task in zip(("BASE", "HEAD"), (self.base, self.head), tasks, strict=True):
            spread = side.spreads.get(task, {}).get(clock)
            if spread is not None:
                spreads.append((spread, f"by which runs of {name}'s commit lie apart"))
        # a spread that is no number says nothing
        known = [one for one in spreads if one[0] >= 0.0]
        if not known:
            known.append((self.drift, "that is allowed for drift, as long as no commit was measured twice"))
        if self.normalised:
            known.append((NORMALISED_FLOOR, "of normalised times"))
        return max((self.floor(head.record.id), "of the settings"), *known, key=lambda one: one[0])

    @property
    def sharper(self) -> str:
        """What to type for a sharper answer."""
        if any(record.status == "imported" for record in self.head.records):
            return "drift between the two runs is not cancelled, and what was imported cannot be measured again here"
        commits = self.base.commit, self.head.commit
        clean = self.base.dirty is False and self.head.dirty is False and commits[0] != commits[1]
        revisions = " ".join(str(one)[:12] for one in commits) if clean and all(commits) else "REV REV"
        return f"drift between the two runs is not cancelled: harness compare {revisions} measures in turn"

    def busy(self, least: float) -> Iterator[str]:
        """What others used of the machines while times were taken."""
        for name, side in (("BASE", self.base), ("HEAD", self.head)):
            if side.used_by_others is not None and side.used_by_others >= least:
                yield f"others used {100.0 * side.used_by_others:.0f} % of the cores while {name} was timed"

    def notes(self, rows: Sequence[Compared]) -> Iterator[str]:
        yield from (*self.base.notes, *self.head.notes)
        for name, side in (("BASE", self.base), ("HEAD", self.head)):
            if not side.is_timed:
                yield f"{name} ({side.label}) holds no time; type `harness bench`"
        yield from self.busy(0.0)
        if any(row.ratio is not None for row in rows):
            yield self.sharper
        if self.normalised:
            yield f"BASE is of machine {self.base.machine_id or 'unknown'}, HEAD of {self.head.machine_id or 'unknown'}"
        for words, count in self.unlisted.items():
            yield f"{count} {'task' if count == 1 else 'tasks'} not listed: {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A task with a time on both sides. BASE's is multiplied by `scale`, and `scaled` says why; `threshold_by` says
    where the threshold comes from."""

    sides: _Sides
    base: Side
    head: Side
    clock: str
    why: str
    scale: float
    scaled: str
    threshold: float
    threshold_by: str
    renamed_from: str | None
    machine_ratio: float | None = None

    def without(self, shift: Shift) -> _Pair:
        """The same with the machine's change taken out. What remains has to be beyond what tasks without a change of
        their own differ by, which are not all slowed down alike."""
        ratio, reach = math.exp(shift.taken), math.expm1(shift.reach)
        threshold, by = max((self.threshold, self.threshold_by), (reach, "by which tasks differ in what they share"))
        scaled = f"{percent(ratio)} of the machine as a whole is taken out"
        return replace(self, scale=ratio, scaled=scaled, threshold=threshold, threshold_by=by, machine_ratio=ratio)

    def ratio(self, clock: str) -> Ratio | None:
        first, second = self.base.estimates.get(clock), self.head.estimates.get(clock)
        return None if first is None or second is None else ratio(first, second, self.scale)

    @property
    def main(self) -> Ratio:
        found = self.ratio(self.clock)
        assert found is not None  # clock_of chooses only among those that both sides have
        return found

    @property
    def processes(self) -> int:
        """How many fresh processes the side with fewer of them was timed in."""
        return min(side.estimates[self.clock].freedom for side in (self.base, self.head)) + 1

    @property
    def is_identical(self) -> bool:
        return self.sides.is_one_commit and self.renamed_from is None

    def compared(self, adjusted: float) -> Compared:
        main = self.main
        verdict = "SAME" if self.is_identical else verdict_of(main, adjusted, self.threshold)
        samples = (*self.base.samples, *self.head.samples)
        return _row(
            self.head.record,
            verdict,
            self._reason(verdict, main, adjusted),
            base=self.base.record,
            head=self.head.record,
            renamed_from=self.renamed_from,
            identical=self.is_identical,
            clock=self.clock,
            **_interval("", main),
            **_interval("wall_", self.ratio("wall")),
            **_interval("cpu_", self.ratio("cpu")),
            detectable=max(self.threshold, main.detectable) if main.rounds > 1 else None,
            threshold=self.threshold,
            p_value=None if self.is_identical else adjusted,
            page_faults_ratio=_faults_ratio(self.base, self.head),
            machine_ratio=self.machine_ratio,
            samples=len(samples) or (self.base.record.samples or 0) + (self.head.record.samples or 0),
            contaminated=sum(bool(sample.contaminated) for sample in samples),
            rounds=self.processes,
        )

    def _reason(self, verdict: str, main: Ratio, adjusted: float) -> str:
        seen = f"{in_words(main.interval)} by the {CLOCK_WORDS[self.clock]}"
        if self.is_identical:
            return f"the same commit was measured twice: HEAD differs by {seen}"
        limit = f"{percent(1.0 + self.threshold)} {self.threshold_by}"
        parts = [seen, self._judgement(verdict, main, adjusted, limit)]
        wall = self.ratio("wall")
        if self.clock == "wall" and self.why.startswith("it"):
            parts.append(f"{self.why}, so that the CPU clock does not count")
        elif (
            self.clock == "cpu" and wall is not None and wall.interval.low > 1.0 + self.threshold and verdict == "SAME"
        ):
            parts.append(f"wall clock {percent(wall.interval.estimate)}, CPU clock equal: contention")
        if self.scaled:
            parts.append(self.scaled)
        if not (self.base.samples and self.head.samples):
            parts.append(f"without samples, from its interval, as if of {ASSUMED_PROCESSES} processes")
        samples = (*self.base.samples, *self.head.samples)
        disturbed = sum(bool(sample.contaminated) for sample in samples)
        if disturbed > OFTEN * len(samples):
            parts.append(f"{100.0 * disturbed / len(samples):.0f} % of the samples were disturbed")
        return "; ".join([*parts, *self.sides.busy(NOTICEABLE), self.sides.sharper])

    def _judgement(self, verdict: str, main: Ratio, adjusted: float, limit: str) -> str:
        if verdict in ("SLOWER", "FASTER"):
            return f"beyond the {limit}"
        if verdict == "SAME":
            return "no change" if main.interval.low <= 1.0 <= main.interval.high else f"below the {limit}"
        if main.rounds < 2:
            return "one process, or no interval, says nothing of how far another would lie"
        if 1.0 / (1.0 + self.threshold) < main.interval.estimate < 1.0 + self.threshold:
            return f"the interval reaches beyond the {limit}"
        return f"beyond the {limit}, but it may be chance (p = {adjusted:.2g} over the gate)"


def _row(
    record: Record, verdict: str, reason: str, *, base: Record | None, head: Record | None, **more: Any
) -> Compared:
    """A row with what the records themselves say."""
    return Compared(
        operator=record.operator,
        backend=record.backend,
        implementation=record.implementation,
        case=record.case,
        verdict=verdict,
        reason=reason,
        base_ns=base.median_ns if base else None,
        head_ns=head.median_ns if head else None,
        base_cpu_ns=base.cpu_median_ns if base else None,
        head_cpu_ns=head.cpu_median_ns if head else None,
        base_peak_bytes=base.peak_bytes if base else None,
        head_peak_bytes=head.peak_bytes if head else None,
        **more,
    )


def _interval(prefix: str, ratio: Ratio | None) -> dict[str, float | None]:
    """A ratio and its interval as fields of a row; an interval that reaches to infinity has no ends."""
    names = f"{prefix}ratio", f"{prefix}low" if prefix else "ratio_low", f"{prefix}high" if prefix else "ratio_high"
    if ratio is None:
        return dict.fromkeys(names)
    interval = ratio.interval
    ends = (interval.low, interval.high) if ratio.rounds > 1 else (None, None)
    return dict(zip(names, (interval.estimate, *ends), strict=True))


def _faults_ratio(base: Side, head: Side) -> float | None:
    """Page faults per call, HEAD over BASE; None where they were not counted, or BASE had none."""
    counted = []
    for side in (base, head):
        faults = [sample.minor_faults for sample in side.samples]
        calls = sum(sample.calls for sample in side.samples)
        if not faults or calls <= 0 or any(one is None for one in faults):
            return None
        counted.append(sum(one or 0 for one in faults) / calls)
    return counted[1] / counted[0] if counted[0] > 0.0 else None
