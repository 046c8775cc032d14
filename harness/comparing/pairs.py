"""What pairs of readings say: a ratio per round and clock, the clock that decides, and the verdict with its reason."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.comparing.contest import HEAD, Contest
from harness.comparing.deciding import (
    SEVERAL_THREADS,
    WAITING,
    Ratio,
    in_words,
    percent,
    ratio_of,
    verdict_of,
)
from harness.comparing.pooling import Prior, prior_of
from harness.comparing.verdicts import CLOCKS, Compared
from harness.record import WRONG, Sample
from harness.timing.turn import READINGS

CLOCK_WORDS = {"cpu": "CPU clock", "wall": "wall clock", "device": "device's clock"}
OFTEN = 0.5
"""Share of contaminated samples from which the reason says so."""

_CLOCKS: Mapping[str, Callable[[Sample], int | None]] = {
    "cpu": lambda sample: sample.cpu_ns,
    "wall": lambda sample: sample.wall_ns,
    "device": lambda sample: sample.device_ns,
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Two versions of a task, measured in turn. `rounds` holds per clock one log-ratio (HEAD over BASE) per round, the
    times are medians in nanoseconds per call, `faults` page faults per call, both BASE first."""

    clock: str
    why: str
    """Why this clock decides."""
    rounds: Mapping[str, tuple[float, ...]]
    wall_ns: tuple[float, float] | None
    cpu_ns: tuple[float, float] | None
    faults: tuple[float, float] | None
    samples: int
    contaminated: int
    disturbance: str
    """What contaminated most of the samples that were."""
    ticks: Mapping[str, float]
    """By clock: the step in which it counts, relative to the times."""
    priors: Mapping[str, Prior] = field(default_factory=dict)
    """By clock: what the other tasks of the gate tell about the noise of a round."""

    def ratio(self, clock: str) -> Ratio | None:
        logs = self.rounds.get(clock, ())
        return ratio_of(logs, self.ticks[clock], self.priors.get(clock)) if logs else None


def main_ratio(data: Gathered) -> Ratio | None:
    """The ratio by the clock that decides."""
    return data.ratio(data.clock)


def priors_of(gate: Sequence[Gathered]) -> dict[str, Prior]:
    """What the tasks of a gate have in common, by clock, from those tasks that the clock decides."""
    found = {}
    for clock in CLOCKS:
        prior = prior_of([data.rounds[clock] for data in gate if data.clock == clock])
        if prior is not None:
            found[clock] = prior
    return found


def gathered(base: Sequence[Sample], head: Sequence[Sample]) -> Gathered:
    """Put the samples of a contest together; blocks that both versions have make the pairs."""
    clock, why = deciding_clock(base, head)
    contaminated = [one.contaminated for one in (*base, *head) if one.contaminated]
    return Gathered(
        clock,
        why,
        {name: _round_ratios(base, head, name) for name in CLOCKS},
        _medians(base, head, "wall"),
        _medians(base, head, "cpu"),
        _faults(base, head),
        len(base) + len(head),
        len(contaminated),
        max(set(contaminated), key=contaminated.count) if contaminated else "",
        {name: _tick([*base, *head], name) for name in CLOCKS},
    )


def deciding_clock(base: Sequence[Sample], head: Sequence[Sample]) -> tuple[str, str]:
    """The clock that a verdict is by, and why.

    The CPU clock hardly moves when other work shares the cores, but it is blind to waiting, and adds up threads: so it
    decides for calls that run on one thread and wait for nothing.
    """
    sides = [side for side in (base, head) if side]
    if not sides:
        return "wall", "nothing was measured"
    if all(sample.device_ns is not None for side in sides for sample in side):
        return "device", "it runs on a device"
    if any(sample.cpu_ns is None for side in sides for sample in side):
        return "wall", "its CPU time is not known"
    for side in sides:
        if float(np.quantile([(one.cpu_ns or 0) / max(1, one.wall_ns) for one in side], 0.9)) > SEVERAL_THREADS:
            return "wall", "it runs on several threads"
    for side in sides:
        shares = [_waiting(one) for one in side]
        # where the system counts how often a process went to sleep, contention is not mistaken for waiting
        told = all(one.voluntary_switches is not None for one in side)
        if float(np.mean(shares) if told else np.quantile(shares, 0.25)) > WAITING:
            return "wall", "it waits"
    return "cpu", "it runs on one thread"


def _waiting(sample: Sample) -> float:
    """The share of a sample in which it neither ran nor stood in a queue for a core, at least."""
    if sample.voluntary_switches == 0:
        return 0.0  # who is preempted, or loses the core to another machine, does not wait
    idle = sample.wall_ns - (sample.cpu_ns or 0) - (sample.run_delay_ns or 0)
    return max(0.0, idle / max(1, sample.wall_ns))


def _blocks(samples: Sequence[Sample], clock: str) -> dict[tuple[int, int], list[float]]:
    """The readings of each (process, block) by one clock, in nanoseconds per call."""
    found: dict[tuple[int, int], list[float]] = {}
    read = _CLOCKS[clock]
    for one in samples:
        value = read(one)
        if value is not None:
            found.setdefault((one.process, one.block), []).append(max(1, value) / one.calls)
    return found


def _bursts(samples: Sequence[Sample], clock: str) -> dict[tuple[int, int], list[float]]:
    """The shortest reading of each burst of a (process, block) by one clock, in nanoseconds per call."""
    shortest: dict[tuple[int, int, int], float] = {}
    read = _CLOCKS[clock]
    for one in samples:
        value = read(one)
        if value is not None:
            key = one.process, one.block, one.position // READINGS
            shortest[key] = min(shortest.get(key, math.inf), max(1, value) / one.calls)
    found: dict[tuple[int, int], list[float]] = {}
    for (process, block, _), time_ns in shortest.items():
        found.setdefault((process, block), []).append(time_ns)
    return found


def _round_ratios(base: Sequence[Sample], head: Sequence[Sample], clock: str) -> tuple[float, ...]:
    """Per round the median of log(HEAD / BASE) over all pairs of bursts of the same block, each burst by the shortest
    of its readings: what else goes on only ever adds to them.

    The median is the estimate of a shift that goes with the rank-sum test (Hodges and Lehmann 1963), taken block by
    block, so that drift cancels. What makes fewer than one call in two slower is not seen.
    """
    first, second = _bursts(base, clock), _bursts(head, clock)
    rounds: dict[int, list[np.ndarray]] = {}
    for key in sorted(first.keys() & second.keys()):
        pairs = np.log(second[key])[:, None] - np.log(first[key])[None, :]
        rounds.setdefault(key[0], []).append(pairs.ravel())
    return tuple(float(np.median(np.concatenate(logs))) for logs in rounds.values())


def _tick(samples: Sequence[Sample], clock: str) -> float:
    """The step of a clock relative to the median reading, as far as readings show it: their smallest difference. A
    clock whose readings are all the same may have any step up to them."""
    readings = sorted({value for one in samples if (value := _CLOCKS[clock](one)) is not None})
    if not readings or readings[-1] <= 0:
        return 0.0
    step = float(np.diff(readings).min()) if len(readings) > 1 else float(readings[0])
    return step / max(1.0, float(np.median(readings)))


def _medians(base: Sequence[Sample], head: Sequence[Sample], clock: str) -> tuple[float, float] | None:
    found = [[time for times in _blocks(side, clock).values() for time in times] for side in (base, head)]
    return (statistics.median(found[0]), statistics.median(found[1])) if all(found) else None


def _faults(base: Sequence[Sample], head: Sequence[Sample]) -> tuple[float, float] | None:
    counted = [[one.minor_faults / one.calls for one in side if one.minor_faults is not None] for side in (base, head)]
    return (statistics.median(counted[0]), statistics.median(counted[1])) if all(counted) else None


def compared(contest: Contest, data: Gathered, adjusted: float, level: float) -> Compared:
    """The row of a contest as the evidence stands; `adjusted` is its p-value over the gate, `level` what it must reach
    now."""
    declared = contest.head.task.declaration
    if contest.failure is not None:
        data = gathered((), ())  # times of what has failed are none
    verdict, reason = _decision(contest, data, adjusted, level)
    main = main_ratio(data)
    interval = None if main is None else main.interval
    wall, cpu = data.ratio("wall"), data.ratio("cpu")
    threshold = contest.threshold(data.clock)
    return Compared(
        operator=declared.operator,
        backend=declared.backend,
        implementation=declared.implementation,
        case=contest.head.task.case.id,
        verdict=verdict,
        reason=reason,
        renamed_from=contest.renamed_from,
        identical=contest.identical,
        clock=None if main is None else data.clock,
        ratio=None if interval is None else interval.estimate,
        ratio_low=None if interval is None else interval.low,
        ratio_high=None if interval is None else interval.high,
        detectable=None if main is None or main.rounds < 2 else max(threshold, main.detectable),
        threshold=threshold,
        p_value=None if main is None else adjusted,
        wall_ratio=None if wall is None else wall.interval.estimate,
        wall_low=None if wall is None else wall.interval.low,
        wall_high=None if wall is None else wall.interval.high,
        cpu_ratio=None if cpu is None else cpu.interval.estimate,
        cpu_low=None if cpu is None else cpu.interval.low,
        cpu_high=None if cpu is None else cpu.interval.high,
        base_ns=None if data.wall_ns is None else round(data.wall_ns[0]),
        head_ns=None if data.wall_ns is None else round(data.wall_ns[1]),
        base_cpu_ns=None if data.cpu_ns is None else round(data.cpu_ns[0]),
        head_cpu_ns=None if data.cpu_ns is None else round(data.cpu_ns[1]),
        page_faults_ratio=data.faults[1] / data.faults[0] if data.faults and data.faults[0] else None,
        base_peak_bytes=contest.base.peak_bytes,
        head_peak_bytes=contest.head.peak_bytes,
        samples=data.samples,
        contaminated=data.contaminated,
        rounds=0 if main is None else main.rounds,
        spent_s=contest.spent_s,
        notes=(*contest.notes, *contest.left_out),
    )


def _decision(contest: Contest, data: Gathered, adjusted: float, level: float) -> tuple[str, str]:
    failed = contest.failure
    if failed is not None:
        side, (status, reason) = failed
        if side == HEAD and status in WRONG:
            return "FAILED", f"in HEAD, while it was timed: {status}: {reason}"
        if side == HEAD:
            return "MISSING", f"in HEAD, while it was timed: {status}: {reason}"
        return "UNCLEAR", f"no time to compare with: in BASE, while it was timed, it is {status}: {reason}"
    main = main_ratio(data)
    if main is None:
        return "UNCLEAR", "no pair of readings was taken; raise --budget"
    threshold = contest.threshold(data.clock)
    verdict = verdict_of(main, adjusted, threshold, level)
    if contest.identical:
        return "SAME", f"identical code and environment; measured anyway: {in_words(main.interval)}"
    wall = data.ratio("wall")
    undisturbed = data.contaminated <= OFTEN * data.samples
    if verdict == "SAME" and data.clock == "cpu" and undisturbed and wall and wall.interval.low > 1.0 + threshold:
        by_wall = in_words(wall.interval)
        return (
            "UNCLEAR",
            f"{by_wall} by the wall clock, and nothing disturbed it; the CPU clock is equal: does it wait?",
        )
    return verdict, _reason(verdict, data, main, threshold, adjusted)


def _reason(verdict: str, data: Gathered, main: Ratio, threshold: float, adjusted: float) -> str:
    """What was seen by the clock that decides, and how the other one fits in."""
    parts = [f"{in_words(main.interval)} by the {CLOCK_WORDS[data.clock]}"]
    if verdict in ("SLOWER", "FASTER"):
        parts.append(f"beyond the threshold of {percent(1.0 + threshold)}")
    elif verdict == "SAME":
        inside = main.interval.low <= 1.0 <= main.interval.high
        parts.append("no change" if inside else f"a change below the threshold of {percent(1.0 + threshold)}")
    else:
        parts.append(_doubt(main, threshold, adjusted))
    if other := _other_clock(verdict, data):
        parts.append(other)
    if data.samples and data.contaminated > OFTEN * data.samples:
        share = 100.0 * data.contaminated / data.samples
        parts.append(f"{share:.0f} % of the samples were disturbed ({data.disturbance})")
    return "; ".join(parts)


def _doubt(main: Ratio, threshold: float, adjusted: float) -> str:
    interval = main.interval
    wanted = f"the threshold of {percent(1.0 + threshold)}"
    if 1.0 / (1.0 + threshold) < interval.estimate < 1.0 + threshold:
        return f"the interval reaches beyond {wanted}: raise --budget, or quieten the machine"
    if not interval.low <= 1.0 <= interval.high:
        return f"beyond {wanted}, but not certain enough for the whole gate (p = {adjusted:.2g}): raise --budget"
    return f"beyond {wanted}, but it may be chance: raise --budget, or quieten the machine"


def _other_clock(verdict: str, data: Gathered) -> str:
    """A sentence on the clock that does not decide, where it says something else."""
    if data.clock == "wall":
        return f"{data.why}, so that the CPU clock does not count" if data.why.startswith("it ") else ""
    wall = data.ratio("wall")
    if data.clock != "cpu" or wall is None:
        return ""
    if wall.interval.low > 1.0 and verdict == "SAME":
        return f"wall clock {percent(wall.interval.estimate)}, CPU clock equal: contention"
    return f"wall clock {percent(wall.interval.estimate)}"
