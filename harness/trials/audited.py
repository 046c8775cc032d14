"""Does the audit agree? Honest implementations are timed, and the supervisor's own time is laid beside the worker's.

`python -m harness.trials.audited [SELECTOR...] [--seconds 3] [--hogs 0]` prints a table of the benchmark cases whose
calls take 1 ms and more on the backends of the host, and how far the two are apart; `--least MICROSECONDS` for others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.plan import plan
from harness.registry import Registry, load
from harness.timing import challenge
from harness.timing.groups import Group, Settings, Timing, group_tasks
from harness.timing.session import time_groups
from harness.timing.statistics import Interval
from harness.trials.hog import hogs

BACKENDS = ("numpy", "torch", "jax")
AGREES = 0.05


@dataclass(frozen=True, slots=True)
class Audited:
    """One task: the median that is shown, in ns, the audit's time with its interval, and the slope of the claims over
    the same requests. `share` is what the short requests took of the time of the bursts; `failure` an accusation."""

    id: str
    median_ns: float | None = None
    audit: Interval | None = None
    claimed_ns: float | None = None
    share: float = 0.0
    failure: str = ""

    @property
    def apart(self) -> float | None:
        """How far the audit's time is from the claims, over the same requests, relative to the time that is shown."""
        if self.audit is None or self.claimed_ns is None or self.median_ns is None:
            return None
        return (self.audit.estimate - self.claimed_ns) / self.median_ns


def audited(registry: Registry, selectors: Sequence[str], seconds: float, seed: int = 0) -> Iterator[Audited]:
    """Time the benchmark cases of the host's backends, `seconds` for each over three processes, side by side."""
    chosen = [
        task
        for task in plan(registry, selectors, "benchmarks")
        if task.declaration.backend in BACKENDS
        and registry.is_timed(task.declaration)
        and not registry.missing(task.declaration)
    ]
    for group in group_tasks(chosen, registry.operators):
        # few at a time: each is to have enough requests
        for timing in list(group.timings.values()):
            alone = Group(group.operator, group.case, {timing.task.declaration.id: timing})
            settings = Settings(budget_s=seconds, precision=1e-9)
            time_groups([alone], registry, seed, settings, lambda _: None, lambda *_: None)
            yield _row(timing)


def _row(timing: Timing) -> Audited:
    interval = timing.interval()
    if timing.failure is not None or interval is None:
        return Audited(timing.task.id, failure=": ".join(timing.failure or ("error", "no time was taken")))
    return Audited(
        timing.task.id,
        interval.estimate,
        challenge.audited_ns(timing.responses),
        challenge.claimed_ns(timing.responses),
        timing.challenge_ns / max(1, timing.elapsed_ns),
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if an honest task was accused, or the median distance is beyond 5 %."""
    parser = argparse.ArgumentParser(prog="python -m harness.trials.audited", description=__doc__)
    parser.add_argument("selectors", nargs="*", default=["*"])
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--hogs", type=int, default=0, help="processes that keep a core busy meanwhile")
    parser.add_argument("--least", type=float, default=1000.0, help="microseconds per call")
    chosen = parser.parse_args(arguments)
    print(f"{'task':64} {'shown us':>10} {'audit us':>10} {'95 % interval':>23} {'apart':>7} {'cost':>6}")
    apart, accused = [], 0
    with hogs(chosen.hogs):
        for one in audited(load(), chosen.selectors, chosen.seconds):
            if one.failure:
                accused += one.failure.startswith("untrusted")
                print(f"{one.id:64} {one.failure}")
            elif one.apart is not None and one.audit is not None and (one.median_ns or 0) >= 1e3 * chosen.least:
                apart.append(abs(one.apart))
                interval = f"{one.audit.low / 1e3:.1f} to {one.audit.high / 1e3:.1f}"
                print(
                    f"{one.id:64} {(one.median_ns or 0) / 1e3:10.1f} {one.audit.estimate / 1e3:10.1f} {interval:>23} "
                    f"{100 * one.apart:+6.1f}% {100 * one.share:5.1f}%",
                    flush=True,
                )
    within = sum(one <= AGREES for one in apart)
    if apart:
        print(
            f"{len(apart)} tasks: apart by {100 * np.median(apart):.1f} % in the median, {within} within 5 %, at most "
            f"{100 * max(apart):.1f} %; {accused} accused"
        )
    return 1 if accused or not apart or np.median(apart) > AGREES else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
