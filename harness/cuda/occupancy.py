"""How many threads of a kernel fit on one multiprocessor at a time: from its resources alone, without a GPU.

Limits: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability". How registers and shared
memory are rounded up: the occupancy calculator's header of the CUDA toolkit (cuda_occupancy.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.cuda.resources import Resources

WARP = 32
REGISTERS = 65536
"""32-bit registers of a multiprocessor, and the most that one block may have."""
PARTITIONS = 4
"""A multiprocessor is divided in four, each with a quarter of the registers; a warp stays in one of them."""
REGISTER_UNIT = 256
"""A warp gets registers in multiples of this."""
SHARED_UNIT = 128
"""A block gets shared memory in multiples of this many bytes."""
RESERVED = 1024
"""Bytes of shared memory that the system takes for itself in each block."""
LARGEST_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one multiprocessor holds at a time, and the shared memory of one block after asking for more; bytes.

    `barriers` is None where their number keeps no block away (before sm_90).
    """

    warps: int
    blocks: int
    shared_bytes: int
    shared_bytes_of_block: int
    barriers: int | None


def _limits(warps: int, blocks: int, shared_kib: int, barriers: int | None = None) -> Limits:
    return Limits(warps, blocks, shared_kib * 1024, shared_kib * 1024 - RESERVED, barriers)


LIMITS = {
    "sm_80": _limits(64, 32, 164),
    "sm_86": _limits(48, 16, 100),
    "sm_87": _limits(48, 16, 164),
    "sm_89": _limits(48, 24, 100),
    "sm_90": _limits(64, 32, 228, 64),
    "sm_100": _limits(64, 32, 228, 64),
    "sm_103": _limits(64, 32, 228, 64),
    "sm_120": _limits(48, 24, 100, 24),
}


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Blocks and warps that are resident on one multiprocessor, and what keeps more from it.

    `fraction` is warps over the most warps there can be. With 0 blocks the kernel cannot be launched at all.
    """

    blocks: int
    warps: int
    fraction: float
    limit: str


def occupancy(resources: Resources, block: int, dynamic_shared_bytes: int = 0) -> Occupancy:
    """The theoretical occupancy of a kernel in blocks of `block` threads with so much dynamic shared memory.

    Raises ValueError for an architecture whose limits are not known here, and for a block of no threads.
    """
    architecture = resources.architecture.rstrip("af")  # sm_90a has the limits of sm_90
    if architecture not in LIMITS:
        raise ValueError(f"no limits are known of {resources.architecture}; there are {', '.join(LIMITS)}")
    if block < 1:
        raise ValueError(f"a block of {block} threads")
    limits = LIMITS[architecture]
    warps = -(-block // WARP)
    shared = resources.shared_bytes + dynamic_shared_bytes
    if block > min(LARGEST_BLOCK, resources.max_threads or LARGEST_BLOCK):
        return Occupancy(0, 0, 0.0, "threads of a block")
    if shared > limits.shared_bytes_of_block:
        return Occupancy(0, 0, 0.0, "shared memory")
    fitting = {
        "warps": limits.warps // warps,
        "blocks": limits.blocks,
        "registers": _blocks_by_registers(resources.registers, warps),
        "shared memory": limits.shared_bytes // _rounded_up(shared + RESERVED, SHARED_UNIT),
    }
    if resources.barriers and limits.barriers is not None:
        fitting["barriers"] = limits.barriers // resources.barriers
    limit = min(fitting, key=fitting.__getitem__)
    blocks = fitting[limit]
    return Occupancy(blocks, blocks * warps, blocks * warps / limits.warps, limit)


def _blocks_by_registers(registers: int, warps: int) -> int:
    of_warp = _rounded_up(registers * WARP, REGISTER_UNIT)
    if not of_warp:
        return LARGEST_BLOCK
    # a launch is refused as if the block took the same number of warps in every partition
    if of_warp * _rounded_up(warps, PARTITIONS) > REGISTERS:
        return 0
    return REGISTERS // PARTITIONS // of_warp * PARTITIONS // warps


def _rounded_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
