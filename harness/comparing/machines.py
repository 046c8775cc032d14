"""Results of different machines: what differs, and by what their times can be brought onto one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.comparing.measured import Measured
from harness.machine import IDENTITY
from harness.record import Record
from harness.timing.ceiling import size_class

MOMENTARY = ("state", "frequency", "threads", "kernels")
"""What a description says of a moment, or twice."""


class DifferentMachines(ValueError):
    """Two sides that were measured on different machines; the message says what differs, and what to type."""


def are_same(base: Measured, head: Measured) -> bool:
    """Whether both sides come from one machine; a side without any result agrees with all."""
    if not base.records or not head.records:
        return True
    return bool(base.machine_id) and base.machine_id == head.machine_id


def refusal(base: Measured, head: Measured) -> DifferentMachines:
    """Why two sides are not compared."""
    lines = [f"BASE ({base.label}) was measured on {base.machine_id or 'an unknown machine'}, "]
    lines[0] += f"HEAD ({head.label}) on {head.machine_id or 'an unknown one'}: times of different machines say nothing"
    undescribed = [name for name, side in (("BASE", base), ("HEAD", head)) if not side.machine]
    if undescribed:
        lines.append(f"  {' and '.join(undescribed)}: the machine is not described there; a store describes it")
    else:
        found = differences(base.machine, head.machine)
        lines += [f"  {line}" for line in found or ["nothing differs that their descriptions say"]]
    lines.append(
        "measure both on one machine: harness compare REV REV; or compare times relative to the copy rates: --normalise"
    )
    return DifferentMachines("\n".join(lines))


def differences(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[str]:
    """What two descriptions of machines say differently, what makes a machine's identity first."""
    names = [name for name in IDENTITY if name != "kernels"] + ["libraries"]
    names += sorted((base.keys() | head.keys()) - set(names) - set(MOMENTARY))
    return [line for name in names for line in _differing(name, base.get(name), head.get(name))]


def _differing(name: str, base: Any, head: Any) -> Iterator[str]:
    if isinstance(base, Mapping) and isinstance(head, Mapping):
        for key in sorted(base.keys() | head.keys()):
            yield from _differing(f"{name} {key}", base.get(key), head.get(key))
    elif base != head:
        yield f"{name}: {_words(base)} in BASE, {_words(head)} in HEAD"


def _words(value: Any) -> str:
    return "none" if value is None else str(value)


def ceiling_of(record: Record, ceilings: Mapping[int, float]) -> float | None:
    """The copy rate in GB/s that a record's time was held against, or that of its working set's class; None if neither
    is known."""
    if record.gb_per_s and record.percent_of_limit and record.gb_per_s > 0 and record.percent_of_limit > 0:
        return 100.0 * record.gb_per_s / record.percent_of_limit
    if not record.bytes or not ceilings:
        return None
    wanted = size_class(record.bytes)
    # inputs rotate while a kernel is timed, so that its working set is rather larger than one call's
    rate = ceilings[min((size for size in ceilings if size >= wanted), default=max(ceilings))]
    return rate if rate > 0 else None
