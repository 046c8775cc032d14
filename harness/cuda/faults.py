"""What can be wrong with a CUDA kernel, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

DATA_RACE = "data race"
SCHEDULE_DEPENDENCE = "schedule dependence"
DIVERGENT_BARRIER = "divergent barrier"
DEADLOCK = "deadlock"
WRONG_MASK = "wrong mask"
INACTIVE_LANE = "inactive lane"
OUT_OF_BOUNDS = "out of bounds"
MISALIGNED = "misaligned access"
UNWRITTEN_SHARED = "uninitialised shared memory"
UNWRITTEN_GLOBAL = "uninitialised global memory"
INTEGER_OVERFLOW = "integer overflow"
DIVISION_BY_ZERO = "division by zero"
TOO_MUCH_SHARED = "too much shared memory"
BLOCK_TOO_LARGE = "block too large"
ENDLESS_WAIT = "endless wait"
TRAP = "trap"
CRASH = "crash"
OTHER_BLOCK = "wait for another block"
"""No fault: a CPU runs one block after another, so such a kernel cannot be judged there."""

SAME_VALUE = "same value stored by several threads"
BARRIER_AFTER_EXIT = "barrier after some threads have exited"

Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A thread at a line of a source. `line` is 0 where it is not known."""

    file: str
    line: int
    block: Index
    thread: Index

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}, block {_index(self.block)}, thread {_index(self.thread)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was seen in a launch; `others` are the places that it is in conflict with, as where the other
    access of a race was."""

    kind: str
    kernel: str
    at: Place
    detail: str
    others: tuple[Place, ...] = ()

    def __str__(self) -> str:
        against = f" ({self.others[0]})" if self.others and self.kind in (DATA_RACE, SAME_VALUE) else ""
        return f"{self.kind} in {self.kernel} ({self.at}): {self.detail}{against}"


class KernelFault(Exception):
    """A kernel that is wrong, whatever its result was this time."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding

    @property
    def kind(self) -> str:
        return self.finding.kind

    @property
    def kernel(self) -> str:
        return self.finding.kernel

    @property
    def file(self) -> str:
        return self.finding.at.file

    @property
    def line(self) -> int:
        return self.finding.at.line

    @property
    def block(self) -> Index:
        return self.finding.at.block

    @property
    def thread(self) -> Index:
        return self.finding.at.thread

    @property
    def detail(self) -> str:
        return self.finding.detail

    @property
    def others(self) -> tuple[Place, ...]:
        return self.finding.others


class CompileError(Exception):
    """A source that a compiler refuses; `line` is 0 where the compiler names none."""

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return place + self.message


def _index(index: Index) -> str:
    return str(index[0]) if index[1:] == (0, 0) else f"({index[0]}, {index[1]}, {index[2]})"
