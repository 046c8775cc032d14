"""Who is fastest, as far as this run could see: medians with intervals, and ratios of interleaved pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.record import Record, Sample
from harness.timing.statistics import Blocks, Interval, block_medians, paired_ratio

from .frame import CATEGORY, Kind, typed
from .report import Report

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Place:
    """One implementation in the ranking of a case.

    `relative` is its time over the leader's, from pairs. `verdict` is `fastest`, `slower`, or `tied` where the interval
    of that ratio holds 1: then the rank is the leader's, since the run saw no order.
    """

    record: Record
    rank: int
    relative: Interval
    verdict: str
    checked: int
    refused: int = 0
    cases: int = 0
    """Of so many conformance cases in the dtype of this one it refused so many: what it would have done there is not
    known, and one that runs only where it is right is not as good as one that runs everywhere."""

    @property
    def refusal(self) -> str:
        """That in words; empty where it refused none."""
        return f"refuses {self.refused} of {self.cases} cases" if self.refused else ""

    @property
    def smallest_visible(self) -> float:
        """The smallest change of this ratio, relative to it, that this run could have seen."""
        low, middle, high = self.relative.low, self.relative.estimate, self.relative.high
        return max(high / middle, middle / low if low else float("inf")) - 1.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """The implementations of one case in order, and those that have no time, with the reason."""

    operator: str
    case: str
    places: tuple[Place, ...]
    without_time: tuple[Record, ...]

    @property
    def is_counted(self) -> bool:
        """Whether launches and host round trips are known of any of them: most backends have neither."""
        return any(place.record.launches is not None for place in self.places)


def rankings(report: Report) -> list[Ranking]:
    """One ranking per benchmarked operator and case, in the order of the run."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in report.timed:
        groups[(record.operator, record.case)].append(record)
    by_task: dict[tuple[str, str, str, str], list[Sample]] = defaultdict(list)
    for sample in report.samples:
        by_task[(sample.operator, sample.backend, sample.implementation, sample.case)].append(sample)
    refusals = _refusals(report.checked)
    return [_rank(operator, case, records, by_task, refusals) for (operator, case), records in sorted(groups.items())]


_Refusals = Mapping[tuple[str, str, str, str], tuple[int, int]]


def _refusals(checked: Iterable[Record]) -> _Refusals:
    """(refused, all) conformance cases by operator, backend, implementation and dtype."""
    found: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for one in checked:
        key = one.operator, one.backend, one.implementation, one.dtype
        refused, cases = found.get(key, (0, 0))
        found[key] = refused + (one.status == "unsupported"), cases + 1
    return found


def _is_ranked(record: Record) -> bool:
    """Only what was shown to be right: an imported time was not."""
    return record.status == "passed" and record.median_ns is not None


def _rank(
    operator: str,
    case: str,
    records: Iterable[Record],
    by_task: dict[tuple[str, str, str, str], list[Sample]],
    refusals: _Refusals,
) -> Ranking:
    members = list(records)
    timed = sorted((one for one in members if _is_ranked(one)), key=lambda one: one.median_ns or 0)
    without = tuple(one for one in members if not _is_ranked(one))
    samples = {one.id: by_task[(one.operator, one.backend, one.implementation, one.case)] for one in timed}
    return Ranking(operator, case, tuple(_places(timed, samples, refusals)), without)


def _places(timed: Sequence[Record], samples: dict[str, list[Sample]], refusals: _Refusals) -> Iterable[Place]:
    """In order of the paired ratio to the leader, who is the fastest by pairs: medians of two disturbed samples may
    order them otherwise, pairs saw the same disturbance."""
    blocks = {record.id: block_medians(samples[record.id]) for record in timed}

    def against(leader: Record) -> dict[str, Interval]:
        return {
            one.id: _relative(blocks[one.id], blocks[leader.id]) if one is not leader else Interval(1.0, 1.0, 1.0)
            for one in timed
        }

    def order(ratios: dict[str, Interval]) -> list[Record]:
        return sorted(timed, key=lambda one: (math.isnan(ratios[one.id].estimate), ratios[one.id].estimate))

    if not timed:
        return
    leader = order(against(timed[0]))[0]
    ratios = against(leader)
    for position, record in enumerate(sorted(order(ratios), key=lambda one: one is not leader)):
        relative = ratios[record.id]
        tied = record is not leader and relative.low <= 1.0
        verdict = "fastest" if record is leader else "tied" if tied else "slower"
        checked = sum(sample.checked for sample in samples[record.id])
        refused, cases = refusals.get((record.operator, record.backend, record.implementation, record.dtype), (0, 0))
        yield Place(record, 1 if tied else position + 1, relative, verdict, checked, refused, cases)


def _relative(times: Blocks, leader: Blocks) -> Interval:
    """The paired ratio; where no block holds both (one was resumed later), nothing is known of their order."""
    try:
        return paired_ratio(times, leader)
    except ValueError:
        return Interval(float("nan"), 0.0, float("inf"))


_RANKING: Mapping[str, Kind] = {
    "operator": CATEGORY,
    "case": CATEGORY,
    "rank": "Int64",
    "backend": CATEGORY,
    "implementation": CATEGORY,
    "verdict": ("fastest", "tied", "slower"),
    **dict.fromkeys(("median_ns", "ci_low_ns", "ci_high_ns"), "Int64"),
    **dict.fromkeys(("relative", "relative_low", "relative_high", "smallest_visible"), "Float64"),
    **dict.fromkeys(("gb_per_s", "percent_of_limit", "error_over_bound"), "Float64"),
    **dict.fromkeys(("cpu_median_ns", "samples", "samples_checked", "launches", "host_round_trips"), "Int64"),
    **dict.fromkeys(("cases", "cases_refused"), "Int64"),
}


def ranking_frame(report: Report) -> pd.DataFrame:
    """The rankings as a frame, one row per implementation and case; times in ns, `relative` to the fastest."""
    rows = [
        {
            "operator": group.operator,
            "case": group.case,
            "rank": place.rank,
            "backend": place.record.backend,
            "implementation": place.record.implementation,
            "verdict": place.verdict,
            "median_ns": place.record.median_ns,
            "ci_low_ns": place.record.ci_low_ns,
            "ci_high_ns": place.record.ci_high_ns,
            "relative": place.relative.estimate,
            "relative_low": place.relative.low,
            "relative_high": place.relative.high,
            "smallest_visible": place.smallest_visible,
            "gb_per_s": place.record.gb_per_s,
            "percent_of_limit": place.record.percent_of_limit,
            "error_over_bound": place.record.error_over_bound,
            "cpu_median_ns": place.record.cpu_median_ns,
            "samples": place.record.samples,
            "samples_checked": place.checked,
            "launches": place.record.launches,
            "host_round_trips": place.record.host_round_trips,
            "cases": place.cases,
            "cases_refused": place.refused,
        }
        for group in rankings(report)
        for place in group.places
    ]
    return typed(rows, _RANKING)
