"""One launch under one schedule: what the C++ runtime is given (emulation/runtime.cpp), and what it saw."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.cuda import faults, memory
from harness.cuda.building import Module, build, line_of
from harness.cuda.device import Extent
from harness.cuda.faults import Finding, Place
from harness.cuda.memory import CpuArray
from harness.cuda.source import Kernel

# in the order of the runtime's own
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
    faults.OTHER_BLOCK,
)
_VERDICT, _SUSPICION, _NOTE, _CONSEQUENCE = range(4)


@dataclass(frozen=True, slots=True)
class Schedule:
    """An order of threads: 0 forward, 1 reverse, 2 random; `ahead`: one warp runs as far as it can. `poison` is what
    shared memory holds before a block starts, and what a shuffle reads from a lane that does not take part."""

    name: str
    order: int
    ahead: bool
    poison: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Argument:
    """An allocation that a kernel gets: the name of the parameter, and whether the kernel may only read it."""

    name: str
    is_const: bool
    array: CpuArray


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch, ready to run as often as it takes."""

    kernel: Kernel
    grid: Extent
    block: Extent
    shared_bytes: int
    arrays: tuple[Argument, ...]
    pointers: Any
    kept: tuple[Any, ...]
    """What the pointers point into."""

    @property
    def threads(self) -> int:
        return math.prod(self.grid) * math.prod(self.block)

    @property
    def shape(self) -> tuple[Any, ...]:
        """What launches have in common that differ in values alone."""
        shapes = tuple(one.array.shape for one in self.arrays)
        return self.kernel.source.path, self.kernel.name, self.grid, self.block, shapes

    @property
    def written(self) -> list[Argument]:
        return [one for one in self.arrays if not one.is_const]

    def snapshot(self) -> list[np.ndarray]:
        return [one.array.memory.copy() for one in self.written]

    def restore(self, snapshot: list[np.ndarray]) -> None:
        for one, kept in zip(self.written, snapshot, strict=True):
            one.array.memory[:] = kept

    def difference(self, snapshot: list[np.ndarray], *, refilled: bool = False) -> str:
        """Where the memory differs from that after another run, as text; "" where it does not."""
        for one, kept in zip(self.written, snapshot, strict=True):
            word = memory.refill_of(self.arrays.index(one)) if refilled else None
            found = memory.difference(one.array, kept, refilled=word)
            if found:
                return f"{one.name}: {found}"
        return ""

    def refill(self, word: int | None = None) -> None:
        """Give what was not written another value (None: one for each array)."""
        for number, one in enumerate(self.arrays):
            memory.refill(one.array, memory.refill_of(number) if word is None else word)

    def touched_guard(self) -> str:
        for one in self.written:
            found = memory.touched_guard(one.array)
            if found:
                return f"{one.name}: {found}"
        return ""

    def finding(self, kind: str, detail: str) -> Finding:
        """Something whose line is not known: at the kernel's own."""
        at = Place(self.kernel.source.path.name, self.kernel.line, (0, 0, 0), (0, 0, 0))
        return Finding(kind, self.kernel.name, at, detail)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen: `suspicions` are wrong if the result depends on them, `consequences` are what would be a verdict,
    had the launch not read something undefined before."""

    verdict: Finding | None
    suspicions: list[Finding]
    notes: list[Finding]
    consequences: list[Finding]
    atomics: bool


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
        ("leniency", ctypes.c_int),
        ("races", ctypes.c_int),
        ("region_count", ctypes.c_int),
        ("regions", ctypes.POINTER(_Region)),
        ("symbol_count", ctypes.c_int),
        ("symbols", ctypes.POINTER(_Symbol)),
        ("seconds", ctypes.c_double),
        ("chosen_count", ctypes.c_uint),
        ("chosen", ctypes.POINTER(ctypes.c_uint)),
        ("atomics", ctypes.c_int),
        ("event_count", ctypes.c_int),
        ("events", _Event * 24),
    )


def prepare(kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> Launch:
    """Lay out checked arguments as C++ takes them. Raises TypeError where a struct has another size in C++."""
    sizes = build(kernel.source, False).sizes(kernel.name)
    storage: list[Any] = []
    arrays: dict[int, Argument] = {}
    for parameter, size, value in zip(kernel.parameters, sizes, arguments, strict=True):
        if isinstance(value, CpuArray):
            key = id(value.memory)
            known = arrays.get(key, Argument(parameter.name, True, value))
            arrays[key] = Argument(known.name, known.is_const and parameter.is_const, value)
            storage.append(ctypes.c_void_p(value.view.ctypes.data))
            continue
        data = value.tobytes()
        if len(data) != size:
            given = f"argument {parameter.name} is {size} bytes large in C++, {len(data)} are given"
            raise TypeError(f"{kernel.name}: {given}")
        storage.append(ctypes.create_string_buffer(data, len(data)))
    pointers = (ctypes.c_void_p * max(1, len(storage)))(*(ctypes.addressof(one) for one in storage))
    return Launch(kernel, grid, block, shared_bytes, tuple(arrays.values()), pointers, tuple(storage))


def run(launch: Launch, schedule: Schedule, seconds: float) -> Outcome:
    """Run once, as the compiler made it; `seconds` of processor time at most."""
    module = build(launch.kernel.source, False)
    return _run(module, launch, schedule, _request(module, launch, schedule, seconds))


def watch(
    launch: Launch, schedule: Schedule, seconds: float, *, blocks: Sequence[int], refilled: bool, leniency: int = 0
) -> Outcome:
    """Run these blocks once, looking at every access. `refilled`: what was not written has other bits than usual;
    `leniency`: what may come of something undefined is a consequence 0: after a suspicion, 1: never, 2: always."""
    module = build(launch.kernel.source, True)
    request = _request(module, launch, schedule, seconds)
    request.watched, request.races, request.leniency = True, True, leniency
    request.chosen, request.chosen_count = (ctypes.c_uint * len(blocks))(*blocks), len(blocks)
    regions = (_Region * max(1, len(launch.arrays)))()
    for region, one in zip(regions, launch.arrays, strict=False):
        inside, size = one.array.inside, one.array.dtype.itemsize
        region.base, region.bytes = inside.ctypes.data, inside.nbytes
        # a byte may hold the pattern by right; and what was refilled is known from the first run
        region.element = 0 if size == 1 or refilled else size
        region.unwritten = one.array.unwritten & (2**64 - 1)
        region.is_const = one.is_const
        region.name = one.name.encode()[:63]
    symbols = (_Symbol * max(1, len(module.symbols)))()
    for symbol, variable in zip(symbols, module.symbols, strict=False):
        symbol.offset, symbol.bytes, symbol.name = variable.offset, variable.bytes, variable.name.encode()[:95]
    request.regions, request.region_count = regions, len(launch.arrays)
    request.symbols, request.symbol_count = symbols, len(module.symbols)
    return _run(module, launch, schedule, request)


def _request(module: Module, launch: Launch, schedule: Schedule, seconds: float) -> _Launch:
    return _Launch(
        entry=module.entry(launch.kernel.name),
        arguments=ctypes.cast(launch.pointers, ctypes.c_void_p),
        grid=launch.grid,
        block=launch.block,
        shared=launch.shared_bytes,
        order=schedule.order,
        ahead=schedule.ahead,
        seed=schedule.seed,
        poison=schedule.poison,
        seconds=seconds,
    )


def _run(module: Module, launch: Launch, schedule: Schedule, request: _Launch) -> Outcome:
    module.library.kh_launch(ctypes.byref(request))
    found: list[list[Finding]] = [[], [], [], []]
    for event in request.events[: request.event_count]:
        found[event.severity].append(_finding(event, module, launch.kernel))
    verdict = found[_VERDICT][0] if found[_VERDICT] else None
    return Outcome(verdict, found[_SUSPICION], found[_NOTE], found[_CONSEQUENCE], request.atomics > 0)


def _finding(event: _Event, module: Module, kernel: Kernel) -> Finding:
    others = (_place(event.other, module),) if event.has_other else ()
    detail = event.detail.decode(errors="replace")
    return Finding(_KINDS[event.kind], kernel.name, _place(event.at, module), detail, others)


def _place(point: _Point, module: Module) -> Place:
    file, line = line_of(module.path, point.pc) if point.pc else (point.file.decode(), point.line)
    return Place(file.rpartition("/")[2], line, tuple(point.block), tuple(point.thread))
