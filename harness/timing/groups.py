"""What is compared with what: the tasks of one case, the readings gathered for each, and when they are enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.checkout import Checkout
from harness.declare import Case, Operator
from harness.judge.truth import Truth, answer_dtype, draw_inputs, generator
from harness.plan import Task
from harness.record import Sample
from harness.registry import Registry
from harness.timing.challenge import Response
from harness.timing.statistics import Interval, median_interval

FEWEST_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how precisely: `budget_s` per case over all processes, `precision` the relative half-width of every
    interval at which timing stops early. `variables` are set in the environment of the workers, and with `pinned` what
    runs on one thread stays on one core, another one for each process. After `warm_up_s` no further burst is begun to
    warm an implementation up; one is run in any case. With `abreast` bursts of what runs on one thread follow each
    other closely: several of each implementation lie ready, and take turns. What the harness itself costs is
    measured for about `overhead_s`, unless it is known well before."""

    budget_s: float = 3.0
    processes: int = 3
    precision: float = 0.01
    deadline_s: float = 60.0
    memory_limit: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    pinned: bool = False
    warm_up_s: float = 0.05
    abreast: bool = False
    overhead_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions of a comparison: what it declares, and where its workers import from (None: here)."""

    label: str
    registry: Registry
    checkout: Checkout | None = None


@dataclass(slots=True)
class Timing:
    """What was gathered for one task. `failure` is (status, reason) once it cannot have a time any more; `peak_bytes`
    is by how much one call made the worker's memory grow; `elapsed_ns` went into bursts and `judging_ns` into judging
    `checked` answers; `responses` are what the audit goes by, with `challenge_ns` spent on short requests. `accused` is
    what the audit of one process alone said, whose readings are not here: it counts once another process repeats it,
    for load passes, and a lie is told again. A comparison has tasks of two sides."""

    task: Task
    side: Side | None = None
    samples: list[Sample] = field(default_factory=list)
    blocks: dict[tuple[int, int], float] = field(default_factory=dict)
    checked: int = 0
    elapsed_ns: int = 0
    judging_ns: int = 0
    prepare_ns: int | None = None
    peak_bytes: int | None = None
    failure: tuple[str, str] | None = None
    responses: list[Response] = field(default_factory=list)
    challenge_ns: int = 0
    accused: str = ""

    @property
    def is_vouched_for(self) -> bool:
        """Whether it was never accused, or enough other processes found nothing."""
        return not self.accused or len({process for process, _ in self.blocks}) >= FEWEST_PROCESSES

    @property
    def left_out(self) -> str:
        """What one process alone was accused of, and is not among the readings; an empty string if nothing is."""
        return f"one process is left out, and no other repeated it: {self.accused}" if self.accused else ""

    def interval(self) -> Interval | None:
        return median_interval(self.blocks) if self.blocks else None


@dataclass
class Group:
    """The tasks of one case that are compared with each other."""

    operator: Operator
    case: Case
    timings: dict[str, Timing]

    @cached_property
    def blank(self) -> Truth:
        """A call whose inputs have the right shapes and dtypes and hold zeros, and whose truth is not known."""
        inputs = draw_inputs(self.operator, self.case, generator(0, self.case.id, 0))
        shape = np.shape(self.operator.oracle(*inputs, **dict(self.case.parameters)))
        return self.call(tuple(np.zeros_like(array) for array in inputs), shape)

    @property
    def input_bytes(self) -> int:
        """What the inputs of one call take."""
        return sum(array.nbytes for array in self.blank.inputs)

    def call(self, inputs: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> Truth:
        """A call whose truth is not worked out: only an answer's shape is known."""
        unknown = np.broadcast_to(np.float64(0.0), shape)
        return Truth(self.case, inputs, unknown, unknown, answer_dtype(self.operator, self.case))

    @property
    def running(self) -> list[Timing]:
        return [timing for timing in self.timings.values() if timing.failure is None]

    def waiting_for(self, settings: Settings) -> list[int]:
        """The processes that are still to time this group; none once every interval is narrow enough."""
        if not self.running:
            return []
        done = {process for timing in self.running for process, _ in timing.blocks}
        intervals = [timing.interval() for timing in self.running]
        if (
            len(done) >= FEWEST_PROCESSES
            and all(one is not None and one.relative_half_width <= settings.precision for one in intervals)
            and all(timing.is_vouched_for for timing in self.running)
        ):
            return []
        return [process for process in range(settings.processes) if process not in done]

    def settle(self, settings: Settings, last: bool) -> bool:
        """Whether no further process will time it. Then who was accused, and has too few others to vouch for it, is
        untrusted."""
        if not last and self.waiting_for(settings):
            return False
        for timing in self.running:
            if not timing.is_vouched_for:
                timing.failure = "untrusted", timing.accused
        return True


def group_tasks(tasks: Iterable[Task], operators: Mapping[str, Operator]) -> list[Group]:
    """Tasks by operator and case, in the order in which cases first appear."""
    groups: dict[tuple[str, str], Group] = {}
    for task in tasks:
        key = task.declaration.operator, task.case.id
        group = groups.setdefault(key, Group(operators[task.declaration.operator], task.case, {}))
        group.timings[task.declaration.id] = Timing(task)
    return list(groups.values())
