"""What is known of one attack: where it comes from, what it tries, which defence meets it, and what the row says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

MOST = 70
"""The list of known exploits has so many numbers."""


class Defence(Enum):
    """What makes an attack worthless, in the order of preference: structure, limits, physics, detectors."""

    OTHER_PROCESS = "judged and clocked in another process, which has the expected values and the statistics to itself"
    FRESH_INPUTS = "inputs that are new for each call, and cannot be known before"
    TIMED_ANSWERS = "answers of timed calls are judged, at places that nobody can know"
    BOUND = "error bounds that are derived, and exact cases without any tolerance"
    CASES = "cases that are nasty enough to kill every built-in mutant"
    STRUCTURE = "shape, dtype, class, NaN and infinity have to be right"
    MEMORY = "shared memory with guard zones, in which inputs are compared and answers are read at the end of all calls"
    POISON = "freed and fresh memory is poisoned before each burst"
    PROTOCOL = "replies are plain data, numbered, and checked field by field"
    OWN_PROCESS = "each plugin file has worker processes of its own, killed as a group"
    LIMITS = "limits on memory, time, descriptors and output of a worker"
    SANDBOX = "what the operating system forbids a worker: files outside of its folder, the network, other processes"
    SECOND_CLOCK = "the supervisor's clock, and the kernel's books, over the same calls"
    CEILING = "nothing is faster than the machine's own copy rate allows"
    STATE = "global state of the process is compared before and after"
    READERS = "what is read is validated, and escaped where it is shown"


@dataclass(frozen=True, slots=True)
class Attack:
    """`exploits` are the numbers in the list of known exploits (exploits.py), `source` says where it was seen.

    `name` is that of a function in `plugins/`. `selector` names the tasks it is run on; with `how`:

    - `check`: conformance; the first verdict that is not passed counts. Then `honest` (where that is empty, the
      `builtin` of its operator) is checked on the same case, in what the attack left behind: it has to pass.
    - `time`: conformance is not asked, the task is timed beside `honest`, an implementation of the same operator that
      does the work; a time that is shown must be within 10 % of the honest one's, or above it.
    - `slow`: as `time`, but it is the time of `honest` that is attacked: beside the attack it is within 10 % of what it
      is alone, or it is not shown.
    - `read`: the plugin file is read (`harness list`); the problem that is reported counts, under the status `refused`.
      Such files lie in `unreadable/`, and `name` is that of the file; a registry that takes it says `passed`.

    `status` is the verdict's, `passed` for an attack that is neutralised (it gains nothing and is not accused), and
    `reason` a regular expression that the verdict's reason has to match. `behind` are defences that stand behind the
    first: it gets through once these are taken away too.
    """

    name: str
    exploits: tuple[int, ...]
    source: str
    tries: str
    how: str
    selector: str
    defence: Defence
    status: tuple[str, ...]
    reason: str = ""
    honest: str = ""
    behind: tuple[Defence, ...] = ()


HOWS = ("check", "time", "slow", "read")
STATUSES = (
    *("passed", "failed", "error", "timeout", "crashed", "out_of_memory", "unsupported", "missing", "untrusted"),
    "refused",
)


def conformance(
    name: str,
    exploits: tuple[int, ...],
    source: str,
    tries: str,
    task: str,
    defence: Defence,
    reason: str = "",
    status: str = "failed",
    **more: Any,
) -> Attack:
    """Conformance; `task` is operator/backend, and the cases behind a blank."""
    where, cases = task.split(" ")
    return Attack(name, exploits, source, tries, "check", f"{where}/{name}/{cases}", defence, (status,), reason, **more)


def faults(attack: Attack, plugins: Path) -> list[str]:
    """What is wrong with a row, each in a sentence; `plugins` is the folder with the attacks."""
    found = []
    if not attack.name.isidentifier():
        found.append(f"the name {attack.name!r} is no Python identifier")
    if attack.how not in HOWS:
        found.append(f"how {attack.how!r} is none of {', '.join(HOWS)}")
    if not attack.exploits or not all(type(number) is int and 1 <= number <= MOST for number in attack.exploits):
        found.append(f"exploits {attack.exploits!r} are no tuple of numbers from 1 to {MOST}")
    for field in ("source", "tries"):
        if not getattr(attack, field).strip():
            found.append(f"{field} is empty")
    if not isinstance(attack.status, tuple) or not attack.status or not set(attack.status) <= set(STATUSES):
        found.append(f"status {attack.status!r} is no tuple of {', '.join(STATUSES)}")
    if not isinstance(attack.defence, Defence) or not all(isinstance(one, Defence) for one in attack.behind):
        found.append("defence and behind are of the class Defence")
    if attack.how in ("time", "slow") and not attack.honest:
        found.append(f"how {attack.how!r} takes an implementation that does the work: honest=")
    if set(attack.status) - {"passed"} and not attack.reason:
        found.append("what is rejected is rejected for a reason: reason=")
    try:
        re.compile(attack.reason)
    except re.error as error:
        found.append(f"reason is no regular expression: {error}")
    if attack.how == "read":
        if not (plugins.parent / "unreadable" / f"{attack.name}.py").is_file():
            found.append(f"there is no file unreadable/{attack.name}.py")
    elif not attack.selector.count("/") >= 3 or attack.name != attack.selector.split("/")[2]:
        found.append(f"selector {attack.selector!r} is not operator/backend/{attack.name}/case")
    return found
