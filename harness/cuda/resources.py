"""What a compiled kernel needs of the machine, read from the assembler's log; and what got worse between two builds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.cuda.occupancy import occupancy


@dataclass(frozen=True, slots=True)
class Resources:
    """One kernel instance, compiled for one architecture. Registers are per thread, sizes in bytes.

    `kernel` is the instance as it was asked for (`softmax_online<float, float>`), `compiler` what built it.
    `shared_bytes` is static shared memory, without the 1024 bytes that the system takes of each block. Stack and spills
    are those of the kernel itself; functions that are not inlined have their own. `max_threads` is from
    `__launch_bounds__`, or None. `instructions` counts the machine code by kind (`harness.cuda.sass.KINDS`), the most
    frequent first, or is None where no disassembler is installed.
    """

    kernel: str
    architecture: str
    compiler: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int
    barriers: int
    code_bytes: int
    max_threads: int | None = None
    instructions: tuple[tuple[str, int], ...] | None = None

    @property
    def spill_bytes(self) -> int:
        """Bytes that a thread moves to local memory and back since registers are short."""
        return self.spill_store_bytes + self.spill_load_bytes


ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
FUNCTION = re.compile(r"Function properties for (\w+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
BARRIERS = re.compile(r"used (\d+) barriers")
SHARED = re.compile(r"(\d+) bytes smem")


def read_log(log: str) -> dict[str, dict[str, int]]:
    """The figures of each kernel in the log of `--ptxas-options=-v`, by mangled name; keys as in Resources."""
    found: dict[str, dict[str, int]] = {}
    entry = function = ""
    for line in log.splitlines():
        if match := ENTRY.search(line):
            entry = function = match[1]
            found[entry] = {}
        elif match := FUNCTION.search(line):
            function = match[1]
        elif (match := STACK.search(line)) and function in found:
            sizes = map(int, match.groups())
            found[function].update(zip(("stack_bytes", "spill_store_bytes", "spill_load_bytes"), sizes, strict=True))
        elif (match := USED.search(line)) and entry:
            found[entry] |= {
                "registers": int(match[1]),
                "barriers": _number(BARRIERS, line),
                "shared_bytes": _number(SHARED, line),
            }
    return found


def _number(pattern: re.Pattern[str], line: str) -> int:
    match = pattern.search(line)
    return int(match[1]) if match else 0


def differences(
    before: Sequence[Resources], after: Sequence[Resources], block: int, dynamic_shared_bytes: int = 0
) -> list[str]:
    """What got worse, one sentence each, in the order of `before`; nothing for kernels that are new or got better.

    Worse is: a kernel that is gone, more registers, a spill that appears or grows, and an occupancy, in blocks of
    `block` threads, that falls by a step. A figure of another compiler is compared all the same, and the sentence says
    so.
    """
    now = {(one.kernel, one.architecture): one for one in after}
    found = []
    for old in before:
        name = f"{old.kernel} on {old.architecture}"
        new = now.get((old.kernel, old.architecture))
        if new is None:
            found.append(f"{name}: is gone")
            continue
        since = "" if old.compiler == new.compiler else f" (compiled by {old.compiler}, now by {new.compiler})"
        found.extend(f"{name}: {words}{since}" for words in _worse(old, new, block, dynamic_shared_bytes))
    return found


def _worse(old: Resources, new: Resources, block: int, dynamic_shared_bytes: int) -> list[str]:
    found = []
    if new.registers > old.registers:
        found.append(f"{old.registers} registers became {new.registers}")
    if new.spill_bytes > old.spill_bytes:
        stored, loaded = new.spill_store_bytes, new.spill_load_bytes
        was = f"{old.spill_bytes} bytes of spills became" if old.spill_bytes else "it spills:"
        found.append(f"{was} {stored} bytes of stores and {loaded} of loads")
    was_resident = occupancy(old, block, dynamic_shared_bytes)
    resident = occupancy(new, block, dynamic_shared_bytes)
    if resident.warps < was_resident.warps:
        if resident.blocks:
            fall = f"falls from {was_resident.fraction:.0%} to {resident.fraction:.0%} (limited by {resident.limit})"
            found.append(f"occupancy in blocks of {block} {fall}")
        else:
            found.append(f"blocks of {block} cannot be launched any more ({resident.limit})")
    return found
