"""The CPU device: runs the unmodified source on a CPU, in several orders of its threads, and watches what they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.cuda import faults, memory
from harness.cuda.building import build
from harness.cuda.compiled import compiled
from harness.cuda.device import MAX_SHARED_BYTES, Device, Extent
from harness.cuda.emulated import Launch, Schedule, prepare, run, watch
from harness.cuda.faults import Finding, KernelFault
from harness.cuda.memory import CpuArray
from harness.cuda.source import Kernel, Source
from harness.implement import Unsupported
from harness.precision import numpy_dtype

_NAN = 0x7FC0DEAD7FC0DEAD
_LARGE = 0x7171717171717171  # 1.2e30 as float32, and large in every other type
_SMALL = 0xF1F1F1F1F1F1F1F1  # its negative, nearly
SCHEDULES = (
    Schedule("forward", 0, False, _NAN),
    Schedule("one warp ahead, reverse", 1, True, _LARGE),
    Schedule("random", 2, False, _SMALL, 1),
    Schedule("reverse", 1, False, _NAN),
    Schedule("one warp ahead, forward", 0, True, _SMALL),
    Schedule("random warps", 2, True, _LARGE, 2),
)
_WATCHED = (Schedule("one warp ahead, forward", 0, True, _NAN), Schedule("random", 2, False, _LARGE, 1))
_HARMLESS = Schedule("forward", 0, False, 0)
FEW_THREADS, MANY_THREADS = 1 << 13, 1 << 18
"""Launches of more threads than the first run in two schedules only, of more than the second in one, in turn."""
ALL_SCHEDULES_FOR = 3
"""This many launches of one kernel, grid, block and shapes run in all schedules; later ones in one, in turn."""
WATCHED_THREADS = 1 << 11
"""In an instrumented run. Of a larger launch a few blocks are watched: the first ones, one in the middle, the last."""
WATCHED_EACH = 3
"""Of each kernel, and each kind of grid (one block, two, more, too many), this many different launches are watched."""
SECONDS = 20.0
"""Processor time of one run of one launch."""


class CpuDevice(Device):
    """Runs each launch under several schedules, the small ones also in an instrumented build; see `SCHEDULES`.

    A launch whose result depends on the schedule, or on memory that nothing wrote, raises KernelFault, as does whatever
    the instrumented build sees. Where atomics decide who comes first, a result may depend on the order: then it is left
    to the judge. `notes` holds what is allowed, but worth saying.
    """

    name = "cuda_cpu"

    def __init__(self, *, seconds: float = SECONDS, schedules: Sequence[Schedule] = SCHEDULES) -> None:
        super().__init__("the one stream of a CPU")
        self.notes: list[Finding] = []
        self._seconds = seconds
        self._schedules = tuple(schedules)
        self._fault: KernelFault | None = None
        self._seen: dict[tuple[Any, ...], int] = {}
        self._watched: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}

    def prepare(self, source: Source) -> None:
        build(source, False)
        build(source, True)
        # where a CUDA compiler is installed, what it refuses does not pass
        compiled(source)

    def empty(self, shape: Sequence[int], dtype: Any) -> CpuArray:
        kind = numpy_dtype(dtype) if isinstance(dtype, str) else np.dtype(dtype)
        return memory.unwritten(tuple(int(one) for one in shape), kind)

    def zeros(self, shape: Sequence[int], dtype: Any) -> CpuArray:
        array = self.empty(shape, dtype)
        array.inside[:] = 0
        return array

    def reshaped(self, array: CpuArray, shape: Sequence[int]) -> CpuArray:
        if not array.view.flags.c_contiguous:
            raise ValueError("only a C-contiguous array can be reshaped without a copy")
        return CpuArray(array.memory, array.view.reshape(tuple(shape)))

    def _upload(self, array: np.ndarray) -> CpuArray:
        return memory.from_host(array)

    def _read_back(self, array: CpuArray) -> np.ndarray:
        return memory.to_host(array).copy()

    def _is_array(self, value: Any) -> bool:
        return isinstance(value, CpuArray)

    def check_shared(self, kernel: Kernel, shared_bytes: int) -> None:
        variables = [one for one in build(kernel.source, True).symbols if one.kernel == kernel.base]
        # every instance of a template has its own: count each once
        static = sum({one.name: one.bytes for one in variables}.values())
        if static + shared_bytes > MAX_SHARED_BYTES:
            super().check_shared(kernel, static + shared_bytes)

    def launch(self, *arguments: Any) -> None:
        """As `Device.launch`. A fault is remembered, so that a host side which catches it hides nothing: see `wait`."""
        try:
            super().launch(*arguments)
        except KernelFault as fault:
            self._fault = fault
            raise

    def wait(self) -> None:
        """Raise the last fault, once, as synchronising with a GPU reports what a kernel did before."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _launch(self, kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> None:
        launch = prepare(kernel, grid, block, shared_bytes, arguments)
        before = launch.snapshot()
        if self._is_to_be_watched(launch):
            self._watch(launch, before)
        schedules = self._schedules_for(launch)
        first: list[np.ndarray] = []
        atomics = False
        for schedule in schedules:
            launch.restore(before)
            outcome = run(launch, schedule, self._seconds)
            atomics |= outcome.atomics
            beyond = launch.touched_guard()
            if outcome.verdict or beyond:
                # the instrumented build knows the line
                self._watch(launch, before)
                raise _failure(outcome.verdict or launch.finding(faults.OUT_OF_BOUNDS, beyond))
            if not first:
                first = launch.snapshot()
                continue
            where = launch.difference(first)
            if where:
                self._watch(launch, before)
                # with atomics, whoever comes first gets the first ticket, and floating-point sums round in that order
                if not atomics:
                    text = f"{where} in the schedules {schedules[0].name!r} and {schedule.name!r}"
                    raise KernelFault((*outcome.suspicions, launch.finding(faults.SCHEDULE_DEPENDENCE, text))[0])
        launch.restore(first)

    def _schedules_for(self, launch: Launch) -> Sequence[Schedule]:
        """All of them for the first launches of a shape, later one in turn; only two where there are many threads."""
        seen = self._seen.get(launch.shape, 0)
        self._seen[launch.shape] = seen + 1
        if seen >= ALL_SCHEDULES_FOR or launch.threads > MANY_THREADS:
            return self._schedules[seen % len(self._schedules) :][:1]
        return self._schedules if launch.threads <= FEW_THREADS else self._schedules[:2]

    def _is_to_be_watched(self, launch: Launch) -> bool:
        """Whether this launch is one of the first of its kind."""
        size = 4 if launch.threads > WATCHED_THREADS else min(math.prod(launch.grid), 3)
        kind = (launch.kernel.source.path, launch.kernel.name, size)
        seen = self._watched.setdefault(kind, set())
        if len(seen) >= WATCHED_EACH or launch.shape in seen:
            return False
        seen.add(launch.shape)
        return True

    def _watch(self, launch: Launch, before: list[np.ndarray]) -> None:
        """Run instrumented, twice, with different values of all that is undefined; raise what is found."""
        constants = [(one.array.memory, one.array.memory.copy()) for one in launch.arrays if one.is_const]
        try:
            self._watch_twice(launch, before)
        finally:
            # what is undefined in them was changed too
            for array, kept in constants:
                array[:] = kept
            launch.restore(before)

    def _watch_twice(self, launch: Launch, before: list[np.ndarray]) -> None:
        first: list[np.ndarray] = []
        suspicions: list[Finding] = []
        consequences: list[Finding] = []
        blocks = _blocks_to_watch(launch)
        for schedule in _WATCHED:
            launch.restore(before)
            if first:
                launch.refill()
            outcome = watch(
                launch, schedule, self._seconds, blocks=blocks, refilled=bool(first), leniency=2 if suspicions else 0
            )
            self.notes += [note for note in outcome.notes if note not in self.notes]
            if outcome.verdict:
                raise _failure(outcome.verdict)
            suspicions += outcome.suspicions
            consequences += outcome.consequences
            if not first:
                first = launch.snapshot()
            elif suspicions and launch.difference(first, refilled=True):
                raise KernelFault(suspicions[0])
        if consequences:
            # with zeros in place of what is undefined: what happens now as well, happens by itself
            launch.restore(before)
            launch.refill(0)
            outcome = watch(launch, _HARMLESS, self._seconds, blocks=blocks, refilled=True, leniency=1)
            if outcome.verdict:
                raise _failure(outcome.verdict)
            if any(one.kind != faults.INTEGER_OVERFLOW for one in consequences):
                raise KernelFault(suspicions[0])


def _failure(finding: Finding) -> Exception:
    if finding.kind == faults.OTHER_BLOCK:
        return Unsupported(f"blocks run one after another on cuda_cpu: {finding}")
    return KernelFault(finding)


def _blocks_to_watch(launch: Launch) -> list[int]:
    """All blocks, or of a large launch the first ones, one in the middle, and the last."""
    blocks = math.prod(launch.grid)
    most = max(4, WATCHED_THREADS // math.prod(launch.block))
    if blocks <= most:
        return list(range(blocks))
    return sorted({*range(most - 2), blocks // 2, blocks - 1})


_DEVICE: list[CpuDevice] = []


def device() -> CpuDevice:
    """The device of this process."""
    if not _DEVICE:
        _DEVICE.append(CpuDevice())
    return _DEVICE[0]


def wait() -> None:
    """Raise what a kernel of this process did wrong and nobody has reported yet."""
    if _DEVICE:
        _DEVICE[0].wait()


def work() -> tuple[int, int, int | None, int | None]:
    """What kernels of this process did since this was last asked: see `Device.work`."""
    return device().work()
