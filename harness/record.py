"""RECORD: one flat row per task; the columns are the public contract."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

STATUSES = (
    "passed",
    "failed",
    "error",
    "timeout",
    "crashed",
    "out_of_memory",
    "unsupported",
    "missing",
    "untrusted",
    "imported",
)
WRONG = ("failed", "error", "timeout", "crashed", "out_of_memory", "untrusted")
"""The statuses that make a run end with the exit code of a conformance failure."""
TIMED = ("passed", "imported")
"""The statuses beside which a time may stand. What is imported was judged by nobody here: it is never ranked, and never
compared with what passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What happened to one task. What does not apply is None, never 0; `reason` is empty only for `passed`.

    Times are integer nanoseconds per call, `bytes` and `flops` the least work that the case needs, `gb_per_s` is
    `bytes` over the median time in 1e9 bytes per second, `percent_of_limit` that rate against the copy rate that was
    measured in the same run. `device` is `gpu` where times are by the clock of one. `audit_ns` is the time of a call by
    the supervisor's own clock, with its 95 % interval (harness.timing.challenge). `tree_height` is the height that the
    bound was derived from. `gradient_status` is the status of the gradients where they were judged. `known` is the
    reason why a failure is known: such a row is shown as failed, and does not fail the run. `imported` is what another
    tool measured: its result was not checked, and its time is in the words of `reason` what that tool says.
    `duration_s` is what the row took the harness, by the wall clock: its check, or its share of the time that its case
    was timed for.
    """

    run_id: str
    started_at: str
    commit: str | None = None
    dirty: bool | None = None
    machine_id: str = ""
    device: str = "cpu"
    operator: str = ""
    backend: str = ""
    implementation: str = ""
    case: str = ""
    dtype: str | None = None
    parameters: str = "{}"
    seed: int | None = None
    status: str
    reason: str = ""
    error_over_bound: float | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    max_ulp: float | None = None
    tree_height: int | None = None
    run_to_run_bitwise: bool | None = None
    batch_invariant: bool | None = None
    gradient_status: str | None = None
    known: str | None = None
    samples: int | None = None
    median_ns: int | None = None
    ci_low_ns: int | None = None
    ci_high_ns: int | None = None
    min_ns: int | None = None
    cpu_median_ns: int | None = None
    audit_ns: int | None = None
    audit_low_ns: int | None = None
    audit_high_ns: int | None = None
    prepare_ns: int | None = None
    bytes: int | None = None
    flops: int | None = None
    gb_per_s: float | None = None
    percent_of_limit: float | None = None
    launches: int | None = None
    host_round_trips: int | None = None
    peak_bytes: int | None = None
    registers: int | None = None
    spill_bytes: int | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}")
        if (self.status == "passed") != (not self.reason):
            raise ValueError(f"{self.id}: status {self.status!r} with reason {self.reason!r}: only 'passed' has none")
        if self.known and self.status not in WRONG:
            raise ValueError(f"{self.id}: status {self.status!r} of a known failure")
        if self.status not in TIMED and self.median_ns is not None:
            raise ValueError(f"{self.id}: a time beside the status {self.status!r}: only what passed has one")

    @property
    def is_wrong(self) -> bool:
        """Whether this row fails the run."""
        return self.status in WRONG and not self.known

    @property
    def id(self) -> str:
        """`operator/backend/implementation/case`: the identity everywhere, and the selector that runs it again."""
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"


COLUMNS = tuple(field.name for field in dataclasses.fields(Record))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One timed reading: `calls` calls in a row took `wall_ns` and, over all threads, `cpu_ns` (None
    where another tool measured and did not take it).

    `process` numbers the worker processes of the run, `block` the interleaved block inside a process, `position` the
    place of the burst inside the block. `checked` says that the judge looked at an output of this very reading.
    `device_ns` is by the device's own clock. Faults and switches are the worker's during the reading; `run_delay_ns`
    (waiting for a core), `steal_ns` (taken by the hypervisor), `others_share` (of the cores, by other processes) and
    `throttled` are what the supervisor saw during the burst that the reading is part of. `contaminated` says why
    the reading is no fair sample; it is kept.
    """

    operator: str
    backend: str
    implementation: str
    case: str
    process: int
    block: int
    position: int
    calls: int
    wall_ns: int
    cpu_ns: int | None
    checked: bool
    device_ns: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    run_delay_ns: int | None = None
    steal_ns: int | None = None
    others_share: float | None = None
    throttled: bool | None = None
    contaminated: str | None = None


SAMPLE_COLUMNS = ("run_id", *(field.name for field in dataclasses.fields(Sample)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What comparisons of a task with itself (A/A) showed on a machine, by one clock: `spread` is how far from 1 the
    ratio strayed (relative, 95 % of the time), `detectable` the smallest slowdown that is found nine times in ten."""

    machine_id: str
    operator: str
    backend: str
    implementation: str
    case: str
    clock: str
    spread: float
    detectable: float
    comparisons: int
    measured_at: str


@dataclass(frozen=True, slots=True)
class ImportedFrom:
    """The tool whose results a run is, and the texts of its files by name."""

    format: str
    files: Mapping[str, str]


def new_run_id() -> tuple[str, str]:
    """An id that sorts by time and that nobody else makes, and the time in it."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", now.isoformat(timespec="milliseconds")


def stamp_now() -> str:
    """This moment, of UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
