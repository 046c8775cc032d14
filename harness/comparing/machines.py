"""Results of different machines: what differs, and by what their times can be brought onto one scale."""

from __future__ import annotations

from collections.abc import Mapping

from harness.comparing.measured import Measured, task_of
from harness.likeness import Difference, differences, is_continued
from harness.machine import SETTINGS
from harness.record import Record
from harness.timing.ceiling import size_class


class DifferentMachines(ValueError):
    """Two sides that were measured on different machines; the message says what differs, and what to type."""


def are_same(base: Measured, head: Measured) -> bool:
    """Whether both sides come from one machine with equal settings; a side without any result agrees with all.

    A machine is the same under its id of before the rule changed, if all agrees that its description said then. Of
    runs on several machines one task that was timed on the same is enough: `apart` looks at each.
    """
    if not base.records or not head.records:
        return True
    if has_several(base) or has_several(head):
        before = {task_of(record): record.machine_id for record in base.records if record.median_ns is not None}
        timed = [record for record in head.records if record.median_ns is not None]
        return not before or not timed or any(before.get(task_of(one)) == one.machine_id for one in timed)
    if not (base.machine and head.machine):
        return is_one_machine(base, head)
    return is_one_machine(base, head) and not differences(base.machine, head.machine, SETTINGS)


def is_one_machine(base: Measured, head: Measured) -> bool:
    if not (base.machine_id and head.machine_id):
        return False
    if base.machine_id == head.machine_id:
        return True
    return is_continued(base.machine, head.machine) or is_continued(head.machine, base.machine)


def has_several(side: Measured) -> bool:
    """Whether a run had several machines, as one that was joined of shards."""
    return len({record.machine_id for record in side.records if record.machine_id}) > 1


def apart(base: Measured, head: Measured, before: Record, after: Record) -> str:
    """Why the times of one task are not of one machine; empty if they are."""
    if before.machine_id == after.machine_id or not (before.machine_id and after.machine_id):
        return ""
    if (before.machine_id, after.machine_id) == (base.machine_id, head.machine_id) and is_one_machine(base, head):
        return ""
    where = f"on machine {before.machine_id} in BASE and on {after.machine_id} in HEAD"
    return f"it was timed {where}: times of different machines say nothing"


def refusal(base: Measured, head: Measured) -> DifferentMachines:
    """Why two sides are not compared: what differs and matters, then what is only told."""
    if is_one_machine(base, head):
        changed = [one.words("in BASE,") + " in HEAD" for one in differences(base.machine, head.machine, SETTINGS)]
        lines = [f"machine {head.machine_id} was set differently: times of the two say nothing of what was measured"]
        lines += [f"  {line}" for line in changed]
        lines.append("set it as it was, and measure again; or compare relative to the copy rates: --normalise")
        return DifferentMachines("\n".join(lines))
    lines = [f"BASE ({base.label}) was measured on {base.machine_id or 'an unknown machine'}, "]
    lines[0] += f"HEAD ({head.label}) on {head.machine_id or 'an unknown one'}: times of different machines say nothing"
    undescribed = [name for name, side in (("BASE", base), ("HEAD", head)) if not side.machine]
    if undescribed:
        lines.append(f"  {' and '.join(undescribed)}: the machine is not described there; a store describes it")
    else:
        lines += [f"  {line}" for line in in_words(differences(base.machine, head.machine))]
    lines.append(
        "measure both on one machine: harness compare REV REV; or compare times relative to the copy rates: --normalise"
    )
    return DifferentMachines("\n".join(lines))


def in_words(found: list[Difference]) -> list[str]:
    """A line for each thing that differs and matters, BASE first, and one for all that is only noted."""
    lines = [one.words() for one in found if one.matters]
    noted = [one.words() for one in found if not one.matters]
    if not lines:
        lines = ["nothing differs that decides, as far as their descriptions say"]
    return lines + ([f"noted only: {'; '.join(noted)}"] if noted else [])


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
