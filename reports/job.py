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
    the same rounds. `checked` says what of its answers was judged.

    By the host's clock, on an idle device: `launch_ns` until a call returned, `host_ns` until its answer was there;
    `waits` says that the call itself waits for the device. `graph_ns` is a short kernel's time in a replayed graph,
    with the spread over replays, or `graph_reason` says why there is none. Before each call `flushed_bytes` were read,
    to leave the cache cold. `timing` is "held" where the host was ahead of the device, or why it was not. `starved` and
    `contaminated` count samples: those in which the device had to wait for the host, and those with a reason in
    `samples_contaminated`. The SM clocks are those before the first and after the last round, in MHz.
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
    launch_ns: float | None = None
    host_ns: float | None = None
    waits: bool | None = None
    graph_ns: float | None = None
    graph_spread_ns: float | None = None
    graph_reason: str = ""
    flushed_bytes: int | None = None
    timing: str = ""
    starved: int | None = None
    contaminated: int | None = None
    sm_mhz_before: float | None = None
    sm_mhz_after: float | None = None
    bytes: int | None = None
    gb_per_s: float | None = None
    percent_of_limit: float | None = None
    percent_low: float | None = None
    percent_high: float | None = None
    launches: int | None = None
    host_round_trips: int | None = None
    bytes_to_host: int | None = None
    samples_ns: tuple[int, ...] = ()
    samples_contaminated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status != "passed" and self.median_ns is not None:
            raise ValueError(f"{self.id}: a time beside the status {self.status!r}: only what passed has one")

    @property
    def id(self) -> str:
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to measure: `cases` as (operator, case), on which `backends`, without the implementations `left_out` and
    the task ids in `skip`, until `until` (time.monotonic(), which all processes of a machine share). Answers of up to
    `whole` elements are judged in full; each is timed at most `rounds` times."""

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


SAMPLES = ("samples_ns", "samples_contaminated")
"""What a row holds for each sample, in their order."""


def row_of(data: Mapping[str, Any]) -> Row:
    """A row from its data, after JSON has made lists of tuples."""
    return Row(**{**data, **{name: tuple(data[name]) for name in SAMPLES}})


def job_of(data: Mapping[str, Any]) -> Job:
    """The reverse of `Job.as_data`, after JSON has made lists of tuples."""
    names = ("backends", "left_out", "skip", "plugins")
    cases = tuple((operator, _case(case)) for operator, case in data["cases"])
    return Job(**{**data, **{name: tuple(data[name]) for name in names}, "cases": cases})


def _case(data: Mapping[str, Any]) -> Case:
    shapes, parameters = (tuple(map(tuple, data[name])) for name in ("shapes", "parameters"))
    return Case(**{**data, "shapes": shapes, "parameters": parameters})
