"""The CPU device: runs the unmodified source on a CPU, in several orders of its threads, and watches what they do."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.cuda import faults
from harness.cuda.building import Module, build, line_of
from harness.cuda.device import MAX_SHARED_BYTES, Device, Extent
from harness.cuda.faults import Finding, KernelFault, Place
from harness.cuda.source import Kernel, Source
from harness.precision import numpy_dtype

GUARD = 512
"""Bytes before and after each array that no kernel may touch."""
ALIGNMENT = 256
"""Of the first element of an array, as cudaMalloc has it."""

# one bit pattern of an unwritten element for each size, a quiet NaN where it is a floating number
_UNWRITTEN = {
    "float64": 0x7FFE5A5A5A5A5A5A,
    "float32": 0x7FE5A5A5,
    "float16": 0x7FA5,
    "bfloat16": 0x7FE5,
}
_UNWRITTEN_BYTE = 0xA5

_KINDS = (
    faults.DATA_RACE,
    faults.DIVERGENT_BARRIER,
    faults.DEADLOCK,
    faults.WRONG_MASK,
    faults.INACTIVE_LANE,
    faults.OUT_OF_BOUNDS,
    faults.MISALIGNED,
    faults.UNWRITTEN_SHARED,
    faults.UNWRITTEN_GLOBAL,
    faults.INTEGER_OVERFLOW,
    faults.DIVISION_BY_ZERO,
    faults.ENDLESS_WAIT,
    faults.TRAP,
    faults.SAME_VALUE,
    faults.BARRIER_AFTER_EXIT,
    faults.CRASH,
)
_VERDICT, _SUSPICION, _NOTE = range(3)


@dataclass(frozen=True, slots=True)
class Schedule:
    """An order of threads: 0 forward, 1 reverse, 2 random; `ahead`: one warp runs as far as it can. `poison` is what
    shared memory holds before a block starts, and what a shuffle reads from a lane that does not take part."""

    name: str
    order: int
    ahead: bool
    poison: int
    seed: int = 0


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
WATCHED_SCHEDULES = (Schedule("one warp ahead, forward", 0, True, _NAN), Schedule("random", 2, False, _LARGE, 1))
FEW_THREADS = 1 << 13
"""Launches of more threads than this run in the first two schedules only."""
WATCHED_THREADS = 1 << 11
WATCHED_BYTES = 1 << 18
WATCHED_EACH = 3
"""Of each kernel, and each kind of grid (one block, two, more), this many different launches run instrumented."""
RACES_UP_TO_THREADS = 1 << 14
"""More threads than this have too large vector clocks: only their bounds and their reads are watched."""
SECONDS = 20.0
"""Processor time of one run of one launch."""


class CpuArray:
    """An array of the CPU device: elements with strides inside an allocation with guard zones."""

    def __init__(self, memory: np.ndarray, view: np.ndarray, dtype_name: str) -> None:
        self._memory = memory
        self._view = view
        self.dtype_name = dtype_name

    @property
    def shape(self) -> tuple[int, ...]:
        return self._view.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """In bytes, of any sign."""
        return self._view.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._view.dtype

    @property
    def ndim(self) -> int:
        return self._view.ndim

    @property
    def size(self) -> int:
        return self._view.size

    @property
    def nbytes(self) -> int:
        return self._view.nbytes


class _Point(ctypes.Structure):
    _fields_ = (
        ("pc", ctypes.c_uint64),
        ("line", ctypes.c_int),
        ("file", ctypes.c_char * 244),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("severity", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("at", _Point),
        ("other", _Point),
        ("has_other", ctypes.c_int),
        ("detail", ctypes.c_char * 300),
    )


class _Region(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("unwritten", ctypes.c_uint64),
        ("element", ctypes.c_int),
        ("is_const", ctypes.c_int),
        ("name", ctypes.c_char * 64),
    )


class _Symbol(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("bytes", ctypes.c_uint64), ("name", ctypes.c_char * 96))


class _Launch(ctypes.Structure):
    _fields_ = (
        ("entry", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("order", ctypes.c_int),
        ("ahead", ctypes.c_int),
        ("seed", ctypes.c_uint64),
        ("poison", ctypes.c_uint64),
        ("watched", ctypes.c_int),
        ("races", ctypes.c_int),
        ("region_count", ctypes.c_int),
        ("regions", ctypes.POINTER(_Region)),
        ("symbol_count", ctypes.c_int),
        ("symbols", ctypes.POINTER(_Symbol)),
        ("seconds", ctypes.c_double),
        ("inexact_atomics", ctypes.c_int),
        ("event_count", ctypes.c_int),
        ("events", _Event * 24),
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A launch, ready to run as often as it takes."""

    kernel: Kernel
    grid: Extent
    block: Extent
    shared_bytes: int
    arrays: tuple[tuple[str, bool, CpuArray], ...]
    """Name, whether the kernel may only read it, and the array; each allocation once."""
    pointers: Any
    kept: tuple[Any, ...]
    """What the pointers point into."""

    @property
    def threads(self) -> int:
        return math.prod(self.grid) * math.prod(self.block)

    @property
    def bytes(self) -> int:
        return sum(array._memory.nbytes for _, _, array in self.arrays)

    @property
    def written(self) -> list[np.ndarray]:
        return [array._memory for _, is_const, array in self.arrays if not is_const]


@dataclass(frozen=True, slots=True)
class _Outcome:
    notes: list[Finding]
    suspicions: list[Finding]
    verdict: Finding | None
    inexact_atomics: bool


class CpuDevice(Device):
    """Runs each launch under several schedules, the small ones also instrumented; see `SCHEDULES`.

    A launch whose result depends on the schedule, or on memory that nothing wrote, raises KernelFault, as does whatever
    the instrumented build sees. Where floating-point atomics add numbers that are not whole, a result may depend on
    the order: then it is left to the judge. `notes` holds what is allowed, but worth saying.
    """

    name = "cuda_cpu"

    def __init__(self, *, seconds: float = SECONDS, schedules: Sequence[Schedule] = SCHEDULES) -> None:
        super().__init__("the one stream of a CPU")
        self.notes: list[Finding] = []
        self._seconds = seconds
        self._schedules = tuple(schedules)
        self._watched: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}

    def prepare(self, source: Source) -> None:
        build(source, False)
        build(source, True)

    # ---- memory

    def empty(self, shape: Sequence[int], dtype: Any) -> CpuArray:
        kind = numpy_dtype(dtype) if isinstance(dtype, str) else np.dtype(dtype)
        name = kind.name
        array = _allocated(tuple(int(one) for one in shape), None, kind)
        _fill_unwritten(array._view, name)
        return array

    def zeros(self, shape: Sequence[int], dtype: Any) -> CpuArray:
        array = self.empty(shape, dtype)
        array._view[...] = np.zeros((), array.dtype)
        return array

    def reshaped(self, array: CpuArray, shape: Sequence[int]) -> CpuArray:
        if not array._view.flags.c_contiguous:
            raise ValueError("only a C-contiguous array can be reshaped without a copy")
        return CpuArray(array._memory, array._view.reshape(tuple(shape)), array.dtype_name)

    def _upload(self, array: np.ndarray) -> CpuArray:
        return from_host(array)

    def _read_back(self, array: CpuArray) -> np.ndarray:
        return to_host(array).copy()

    def _is_array(self, value: Any) -> bool:
        return isinstance(value, CpuArray)

    # ---- launches

    def check_shared(self, kernel: Kernel, shared_bytes: int) -> None:
        watched = build(kernel.source, True)
        static = sum(symbol.bytes for symbol in watched.symbols if symbol.kernel == kernel.base and _first(watched, symbol))
        if static + shared_bytes > MAX_SHARED_BYTES:
            super().check_shared(kernel, static + shared_bytes)

    def _launch(self, kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> None:
        launch = _prepare(kernel, grid, block, shared_bytes, arguments)
        before = [memory.copy() for memory in launch.written]
        if self._is_to_be_watched(launch):
            self._watch(launch, before)
        _restore(launch, before)
        schedules = self._schedules if launch.threads <= FEW_THREADS else self._schedules[:2]
        first: list[np.ndarray] = []
        inexact = False
        for schedule in schedules:
            _restore(launch, before)
            outcome = self._run(build(kernel.source, False), launch, schedule, watched=False)
            inexact |= outcome.inexact_atomics
            if outcome.verdict:
                self._explain(launch, before)
                raise KernelFault(outcome.verdict)
            beyond = _touched_guard(launch)
            if beyond:
                self._explain(launch, before)
                raise KernelFault(self._finding(launch, faults.OUT_OF_BOUNDS, beyond))
            if not first:
                first = [memory.copy() for memory in launch.written]
                continue
            where = _difference(launch, first)
            if where and not (inexact and not _is_exact(launch, before)):
                self._explain(launch, before)
                if outcome.suspicions:
                    raise KernelFault(outcome.suspicions[0])
                text = f"{where} in the schedules {schedules[0].name!r} and {schedule.name!r}"
                raise KernelFault(self._finding(launch, faults.SCHEDULE_DEPENDENCE, text))
        _restore(launch, first)

    def _is_to_be_watched(self, launch: _Prepared) -> bool:
        """Whether this launch is small, and one of the first of its kind."""
        if launch.threads > WATCHED_THREADS or launch.bytes > WATCHED_BYTES:
            return False
        kind = (launch.kernel.source.path, launch.kernel.name, min(math.prod(launch.grid), 3))
        shapes = tuple(array.shape for _, _, array in launch.arrays)
        seen = self._watched.setdefault(kind, set())
        if len(seen) >= WATCHED_EACH or (launch.block, shapes) in seen:
            return False
        seen.add((launch.block, shapes))
        return True

    def _watch(self, launch: _Prepared, before: list[np.ndarray]) -> None:
        """Run instrumented, twice, with different poison; raise what is found."""
        module = build(launch.kernel.source, True)
        first: list[np.ndarray] = []
        suspicions: list[Finding] = []
        races = launch.threads <= RACES_UP_TO_THREADS
        for number, schedule in enumerate(WATCHED_SCHEDULES):
            _restore(launch, before)
            if number:
                _change_unwritten(launch)
            outcome = self._run(module, launch, schedule, watched=True, races=races, refilled=bool(number))
            self.notes += [note for note in outcome.notes if note not in self.notes]
            if outcome.verdict:
                raise KernelFault(outcome.verdict)
            suspicions += outcome.suspicions
            if not number:
                first = [memory.copy() for memory in launch.written]
            elif suspicions and _difference(launch, first, ignore_unwritten=True):
                raise KernelFault(suspicions[0])

    def _explain(self, launch: _Prepared, before: list[np.ndarray]) -> None:
        """What is wrong was seen without its line: look again with the instrumented build."""
        if launch.threads <= RACES_UP_TO_THREADS:
            self._watch(launch, before)

    def _run(
        self, module: Module, launch: _Prepared, schedule: Schedule, *, watched: bool, races: bool = False, refilled: bool = False
    ) -> _Outcome:
        wanted = _Launch(
            entry=module.entry(launch.kernel.name),
            arguments=ctypes.cast(launch.pointers, ctypes.c_void_p),
            grid=launch.grid,
            block=launch.block,
            shared=launch.shared_bytes,
            order=schedule.order,
            ahead=schedule.ahead,
            seed=schedule.seed,
            poison=schedule.poison,
            watched=watched,
            races=races,
            seconds=self._seconds,
        )
        if watched:
            _describe_memory(wanted, module, launch, refilled)
        module.library.kh_launch(ctypes.byref(wanted))
        findings: list[list[Finding]] = [[], [], []]
        for event in wanted.events[: wanted.event_count]:
            findings[event.severity].append(_finding_of(event, module, launch.kernel))
        verdicts = findings[_VERDICT]
        return _Outcome(findings[_NOTE], findings[_SUSPICION], verdicts[0] if verdicts else None, wanted.inexact_atomics > 0)

    def _finding(self, launch: _Prepared, kind: str, detail: str) -> Finding:
        kernel = launch.kernel
        return Finding(kind, kernel.name, Place(kernel.source.path.name, kernel.line, (0, 0, 0), (0, 0, 0)), detail)


_DEVICE: list[CpuDevice] = []


def device() -> CpuDevice:
    """The device of this process."""
    if not _DEVICE:
        _DEVICE.append(CpuDevice())
    return _DEVICE[0]


def counts() -> tuple[int, int]:
    """Launches and host round trips of this process so far."""
    done = device().counts
    return done.launches, done.host_round_trips


def from_host(array: np.ndarray) -> CpuArray:
    """A copy on the device with the same strides, 0 and negative ones too."""
    made = _allocated(array.shape, array.strides, array.dtype)
    if array.size:
        made._view[...] = array
    return made


def to_host(array: CpuArray) -> np.ndarray:
    """The elements, as a view of the device's memory."""
    return array._view


def _allocated(shape: tuple[int, ...], strides: tuple[int, ...] | None, kind: np.dtype[Any]) -> CpuArray:
    if strides is None or math.prod(shape) == 0:
        strides = np.empty(0, kind).reshape((0,)).strides
        steps, step = [], kind.itemsize
        for size in reversed(shape):
            steps.append(step)
            step *= max(size, 1)
        strides = tuple(reversed(steps))
    reach = [(size - 1) * step for size, step in zip(shape, strides, strict=True)] if math.prod(shape) else []
    low, high = sum(one for one in reach if one < 0), sum(one for one in reach if one > 0)
    extent = high - low + kind.itemsize if math.prod(shape) else 0
    memory = np.empty(extent + 2 * GUARD + ALIGNMENT, np.uint8)
    # the allocation starts at an address that cudaMalloc would give, whatever malloc gave
    start = -(memory.ctypes.data + GUARD) % ALIGNMENT + GUARD
    memory = memory[start - GUARD : start + extent + GUARD]
    memory[:GUARD] = memory[GUARD + extent :] = _UNWRITTEN_BYTE
    view = np.ndarray(shape, kind, memory, GUARD - low, strides)
    return CpuArray(memory, view, kind.name)


def _pattern(name: str, size: int) -> int:
    return _UNWRITTEN.get(name) or int.from_bytes(bytes([_UNWRITTEN_BYTE]) * size, "little")


def _fill_unwritten(view: np.ndarray, name: str) -> None:
    unsigned = np.dtype(f"u{view.dtype.itemsize}")
    view.view(unsigned)[...] = _pattern(name, unsigned.itemsize)


def _inside(array: CpuArray) -> np.ndarray:
    return array._memory[GUARD : len(array._memory) - GUARD]


def _change_unwritten(launch: _Prepared) -> None:
    """Give what was not written another value: whoever depends on it comes to another result."""
    for _, _, array in launch.arrays:
        words = _words(array)
        words[words == _pattern(array.dtype_name, array.dtype.itemsize)] = _other_pattern(array.dtype.itemsize)


def _other_pattern(size: int) -> int:
    return _LARGE >> (64 - 8 * size)


def _words(array: CpuArray) -> np.ndarray:
    return _inside(array).view(np.dtype(f"u{array.dtype.itemsize}"))


def _prepare(kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> _Prepared:
    sizes = build(kernel.source, False).sizes(kernel.name)
    storage: list[Any] = []
    arrays: dict[int, tuple[str, bool, CpuArray]] = {}
    for parameter, size, value in zip(kernel.parameters, sizes, arguments, strict=True):
        if isinstance(value, CpuArray):
            name, is_const, _ = arrays.get(id(value._memory), (parameter.name, True, value))
            arrays[id(value._memory)] = name, is_const and parameter.is_const, value
            storage.append(ctypes.c_void_p(value._view.ctypes.data))
            continue
        data = value.tobytes()
        if len(data) != size:
            raise TypeError(f"{kernel.name}: argument {parameter.name} is {size} bytes large in C++, {len(data)} are given")
        storage.append(ctypes.create_string_buffer(data, len(data)))
    pointers = (ctypes.c_void_p * max(1, len(storage)))(*(ctypes.addressof(one) for one in storage))
    return _Prepared(kernel, grid, block, shared_bytes, tuple(arrays.values()), pointers, tuple(storage))


def _describe_memory(wanted: _Launch, module: Module, launch: _Prepared, refilled: bool) -> None:
    regions = (_Region * max(1, len(launch.arrays)))()
    for region, (name, is_const, array) in zip(regions, launch.arrays, strict=False):
        inside = _inside(array)
        region.base, region.bytes = inside.ctypes.data, inside.nbytes
        size = array.dtype.itemsize
        # a byte may hold the pattern by right; and what was refilled is known from the first run
        region.element = 0 if size == 1 or refilled else size
        region.unwritten = _pattern(array.dtype_name, size)
        region.is_const = is_const
        region.name = name.encode()[:63]
    symbols = (_Symbol * max(1, len(module.symbols)))()
    for symbol, known in zip(symbols, module.symbols, strict=False):
        symbol.offset, symbol.bytes, symbol.name = known.offset, known.bytes, known.name.encode()[:95]
    wanted.regions, wanted.region_count = regions, len(launch.arrays)
    wanted.symbols, wanted.symbol_count = symbols, len(module.symbols)


def _finding_of(event: _Event, module: Module, kernel: Kernel) -> Finding:
    others = (_place(event.other, module),) if event.has_other else ()
    return Finding(_KINDS[event.kind], kernel.name, _place(event.at, module), event.detail.decode(errors="replace"), others)


def _place(point: _Point, module: Module) -> Place:
    file, line = line_of(module.path, point.pc) if point.pc else (point.file.decode(), point.line)
    return Place(file.rpartition("/")[2], line, tuple(point.block), tuple(point.thread))


def _restore(launch: _Prepared, before: list[np.ndarray]) -> None:
    for memory, kept in zip(launch.written, before, strict=True):
        memory[:] = kept


def _touched_guard(launch: _Prepared) -> str:
    for name, is_const, array in launch.arrays:
        if is_const:
            continue
        low, high = array._memory[:GUARD], array._memory[-GUARD:]
        if not np.all(high == _UNWRITTEN_BYTE):
            offset = int(np.flatnonzero(high != _UNWRITTEN_BYTE)[0])
            return f"byte {offset} past the end of {name} ({len(_inside(array))} bytes) was written"
        if not np.all(low == _UNWRITTEN_BYTE):
            offset = GUARD - int(np.flatnonzero(low != _UNWRITTEN_BYTE)[-1])
            return f"byte {offset} before {name} was written"
    return ""


def _difference(launch: _Prepared, first: list[np.ndarray], *, ignore_unwritten: bool = False) -> str:
    """Where the memory differs from that of another run, as text; "" where it does not."""
    written = [(name, array) for name, is_const, array in launch.arrays if not is_const]
    for (name, array), kept in zip(written, first, strict=True):
        kind = np.dtype(f"u{array.dtype.itemsize}")
        here, there = _words(array), kept[GUARD : len(kept) - GUARD].view(kind)
        differs = here != there
        if ignore_unwritten:
            refilled = (there == _pattern(array.dtype_name, kind.itemsize)) & (here == _other_pattern(kind.itemsize))
            differs &= ~refilled
        if np.any(differs):
            at = int(np.flatnonzero(differs)[0])
            values = [one.view(array.dtype)[at] for one in (there, here)]
            with contextlib.suppress(TypeError):
                # a NaN is a NaN, whatever its bits: CUDA does not say which one an operation makes
                if all(one != one for one in values) and np.all(_both_nan(here, there, differs, array.dtype)):
                    continue
            return f"element {at} of {name} is {values[0]!s} and {values[1]!s}"
    return ""


def _both_nan(here: np.ndarray, there: np.ndarray, differs: np.ndarray, kind: np.dtype[Any]) -> np.ndarray:
    a, b = here.view(kind)[differs], there.view(kind)[differs]
    return np.asarray((a != a) & (b != b))


def _is_exact(launch: _Prepared, before: list[np.ndarray]) -> bool:
    """Whether all floating numbers of a launch are whole and so small that their sums are exact in any order."""
    for _, _, array in launch.arrays:
        view = array._view
        if view.dtype.kind not in "fV" and view.dtype.name != "bfloat16":
            continue
        values = view.astype(np.float64)
        known = values[np.isfinite(values)]
        limit = {"float16": 2.0**11, "bfloat16": 2.0**8}.get(view.dtype.name, 2.0**24)
        if np.any(known != np.round(known)) or np.sum(np.abs(known)) > limit:
            return False
    return True


def _first(module: Module, symbol: Any) -> bool:
    """Whether a symbol is of the first instance of its kernel: the instances of a template have their variables each."""
    return all(other.offset >= symbol.offset for other in module.symbols if other.kernel == symbol.kernel and other.name == symbol.name)
