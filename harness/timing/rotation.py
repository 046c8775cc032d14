"""Which inputs a burst's calls get: sets that rotate, each used once, so that nothing can be remembered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.heavy import timed_inputs
from harness.judge.truth import Truth, generator
from harness.timing.groups import Group
from harness.timing.turn import READINGS

Samples = list[list[int]]
"""Of each reading of a burst, which input sets its calls get."""
MOST_CALLS = 16
MOST_INPUT_BYTES = 1 << 22
"""Inputs of one reading may take so many bytes, if they are more than one call's."""


def draw_calls(group: Group, seed: int, process: int) -> list[Truth]:
    """Fresh input sets of a process. Their truth is worked out only for the answers that are judged."""
    identity = f"{group.operator.name}/{group.case.id}/timed"
    sets = input_sets(group)
    numbers = range(process * sets, (process + 1) * sets)
    drawn = [timed_inputs(group.operator, group.case, generator(seed, identity, number)) for number in numbers]
    return [group.call(inputs, group.blank.expected.shape) for inputs in drawn]


class Draws:
    """The input sets of groups, kept for the next process while they take no more than `most_bytes` together: drawing
    takes as long as many bursts, and they change before each of them anyway."""

    def __init__(self, most_bytes: int = 0) -> None:
        self._left_bytes = most_bytes
        self._kept: dict[tuple[str, str], list[Truth]] = {}

    def calls(self, group: Group, seed: int, process: int) -> list[Truth]:
        key = group.operator.name, group.case.id
        if key in self._kept:
            return self._kept[key]
        calls = draw_calls(group, seed, process)
        taken = sum(array.nbytes for call in calls for array in call.inputs)
        if taken <= self._left_bytes:
            self._left_bytes -= taken
            self._kept[key] = calls
        return calls


def deal(sets: int, counts: Sequence[int], bursts: int, rng: np.random.Generator) -> list[list[Samples]]:
    """The input sets of so many bursts for each of several implementations, with `counts` calls a reading: each set at
    most once, whoever gets it."""
    left = [int(index) for index in rng.permutation(sets)]
    dealt = []
    for count in counts:
        taken, left = left[: bursts * (READINGS + 1) * count], left[bursts * (READINGS + 1) * count :]
        readings = [taken[first : first + count] for first in range(0, len(taken), count)]
        dealt.append([readings[first : first + READINGS + 1] for first in range(0, len(readings), READINGS + 1)])
    return dealt


def each_once(sets: int, count: int, rng: np.random.Generator) -> Samples:
    """The input sets of a burst's readings, `count` a reading and each set at most once: nothing can be remembered."""
    return deal(sets, [count], 1, rng)[0][0]


def input_sets(group: Group) -> int:
    """How many input sets a burst rotates over."""
    return (READINGS + 1) * max(1, min(MOST_CALLS, MOST_INPUT_BYTES // max(1, group.input_bytes)))


def rotating_bytes(group: Group, bytes_per_call: int) -> int:
    """The working set of a case while it is timed: what one call touches, times the input sets."""
    return bytes_per_call * input_sets(group)
