"""What the process that measures is told, and what it tells: data that goes over a pipe as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from harness.declare import Case
from harness.implement import Declaration
from harness.registry import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One implementation on one case, or a copy (`backend` is `copy`). Times are ns of device events per call.

    `status` and `reason` are as in a record. `percent_of_limit` compares bytes per second with the quickest copy over
    the same rounds; `host_ns` is one call on an idle device by the host's clock, until its answer is there. `checked`
    says what of its answers was judged.
    """

    operator: str
    backend: str
    implementation: str
    case: str
    status: str
    reason: str = ""
    checked: str = ""
    error_over_bound: float | None = None
    samples: int | None = None
    median_ns: float | None = None
    ci_low_ns: float | None = None
    ci_high_ns: float | None = None
    min_ns: float | None = None
    host_ns: float | None = None
    bytes: int | None = None
    gb_per_s: float | None = None
    percent_of_limit: float | None = None
    percent_low: float | None = None
    percent_high: float | None = None
    launches: int | None = None
    host_round_trips: int | None = None
    bytes_to_host: int | None = None
    samples_ns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.status != "passed" and self.median_ns is not None:
            raise ValueError(f"{self.id}: a time beside the status {self.status!r}: only what passed has one")

    @property
    def id(self) -> str:
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to measure: `cases` as (operator, case), on which `backends`, without the implementations `left_out` and
    the task ids in `skip`, until `until` (time.time()). Answers of up to `whole` elements are judged in full; each is
    timed at most `rounds` times."""

    device: str
    backends: tuple[str, ...]
    left_out: tuple[str, ...]
    cases: tuple[tuple[str, Case], ...]
    skip: tuple[str, ...] = ()
    until: float
    whole: int
    rounds: int
    seed: int
    plugins: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def chosen(self, registry: Registry, operator: str) -> list[Declaration]:
        """The implementations of an operator that are compared."""
        return [
            one
            for one in registry.declarations
            if one.operator == operator and one.backend in self.backends and one.implementation not in self.left_out
        ]


def job_of(data: Mapping[str, Any]) -> Job:
    """The reverse of `Job.as_data`, after JSON has made lists of tuples."""
    names = ("backends", "left_out", "skip", "plugins")
    cases = tuple((operator, _case(case)) for operator, case in data["cases"])
    return Job(**{**data, **{name: tuple(data[name]) for name in names}, "cases": cases})


def _case(data: Mapping[str, Any]) -> Case:
    shapes, parameters = (tuple(map(tuple, data[name])) for name in ("shapes", "parameters"))
    return Case(**{**data, "shapes": shapes, "parameters": parameters})
