"""What the pictures are drawn from: the timed implementations of each operator and case, and what belongs to them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.record import Record

from ..report import Report
from ..section import Cell
from ..words import number, plain, time_words, unit_for


@dataclass(frozen=True, slots=True)
class Entry:
    """One implementation on one case that has a time. `worst` is the largest error over bound that it showed in this
    run on any case of this dtype, this one included; None where none is known. `mark` is the number of its mark, the
    same on every picture of the operator."""

    record: Record
    worst: float | None
    mark: int

    @property
    def name(self) -> str:
        return name_of(self.record)

    @property
    def time_ns(self) -> float:
        return float(self.record.median_ns or 1)

    @property
    def interval_ns(self) -> tuple[float, float]:
        """The 95 % interval; the time itself where there is none."""
        low, high = self.record.ci_low_ns, self.record.ci_high_ns
        return (float(low) if low else self.time_ns, float(high) if high else self.time_ns)


@dataclass(frozen=True, slots=True)
class Group:
    """An operator's case: those that have a time, the fastest first, and those that are wrong and have none."""

    operator: str
    case: str
    dtype: str
    entries: tuple[Entry, ...]
    wrong: tuple[Record, ...]

    @property
    def bytes(self) -> int | None:
        return next((one.record.bytes for one in self.entries if one.record.bytes), None)

    @property
    def flops(self) -> int | None:
        return next((one.record.flops for one in self.entries if one.record.flops), None)

    @property
    def ceiling(self) -> float | None:
        """The copy rate that was measured in the same run for this case's working set, in bytes per second."""
        return next((rate for one in self.entries if (rate := ceiling(one.record)) is not None), None)


def ceiling(record: Record) -> float | None:
    """The copy rate that a record's time is held against, in bytes per second; None where none was measured."""
    if not record.gb_per_s or not record.percent_of_limit:
        return None
    return 1e11 * record.gb_per_s / record.percent_of_limit


def name_of(record: Record) -> str:
    return f"{plain(record.backend)}/{plain(record.implementation)}"


def groups(report: Report) -> list[Group]:
    """One group per operator and case of the timed phase that has a time or something wrong, in the order of names."""
    worst = _worst([*report.checked, *report.timed])
    marks = _marks(report.timed)
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in report.timed:
        found[(record.operator, record.case)].append(record)
    made = []
    for (operator, case), records in sorted(found.items()):
        entries = [
            Entry(one, worst.get((*_identity(one), one.dtype)), marks[_identity(one)])
            for one in records
            if one.median_ns
        ]
        wrong = tuple(one for one in records if one.is_wrong or one.known)
        if entries or wrong:
            entries.sort(key=lambda one: (one.time_ns, one.name))
            made.append(Group(operator, case, records[0].dtype or "-", tuple(entries), wrong))
    return made


def _identity(record: Record) -> tuple[str, str, str]:
    return record.operator, record.backend, record.implementation


def _worst(records: Iterable[Record]) -> dict[tuple[str, str, str, str | None], float]:
    found: dict[tuple[str, str, str, str | None], float] = {}
    for one in records:
        error = one.error_over_bound
        if one.status == "passed" and error is not None and not math.isnan(error):
            key = (*_identity(one), one.dtype)
            found[key] = max(found.get(key, 0.0), error)
    return found


def _marks(records: Iterable[Record]) -> dict[tuple[str, str, str], int]:
    """Marks are numbered within an operator, in the order of names."""
    names: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for identity in sorted({_identity(one) for one in records}):
        names[identity[0]].append(identity)
    return {identity: number for known in names.values() for number, identity in enumerate(known)}


def time_cells(record: Record, divisor: float | None = None) -> tuple[Cell, Cell]:
    """A time and its interval with their unit, sorted by ns."""
    median = float(record.median_ns or 1)
    size, unit = unit_for([median])
    low, high = float(record.ci_low_ns or median), float(record.ci_high_ns or median)
    middle, interval = time_words(median, low, high, size)
    return Cell(f"{middle} {unit}", median), Cell(f"{interval} {unit}", low)


def figure(value: float | None, digits: int = 2, unit: str = "") -> Cell:
    """A number as a cell; `-` where there is none."""
    if value is None:
        return Cell("-")
    return Cell(f"{number(value, digits)}{unit}", value if math.isfinite(value) else None)


def counted(count: int, one: str, many: str = "") -> str:
    """`1 case`, `2 cases`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names as a sentence has them, and how many more there are."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"
