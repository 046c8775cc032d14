"""What other tools say of the same two softmaxes, each used as its own manual shows: two runs, then a comparison.

Both take a baseline's run and then the candidate's, in processes of their own, within about the seconds they are given.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.scratch import Scratch

DEADLINE_S = 300.0
LOOSE = 1.05
"""A usual threshold, beside the tight one of 1 %: a change of half the smallest slowdown that is tried."""
INSTALL = "pip install 'kernel-harness[rivals]'"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tool said by one of its rules: is it slower, and by what ratio."""

    tool: str
    slower: bool
    estimate: float | None


class Tool(Protocol):
    """Something that compares the plain softmax with one that is some percent slower."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """Why it cannot be used here and what to type, or None."""

    def compare(self, percent: int, seconds: float) -> list[Outcome]:
        """One whole comparison. Raises RuntimeError where the tool fails."""


PYTEST_FILE = """\
from harness.trials import slowed

X = slowed.inputs()


def test_softmax(benchmark):
    benchmark(slowed.softmax_again({percent}), X)
"""

PYPERF_FILE = """\
import pyperf

from harness.trials import slowed

pyperf.Runner().bench_func("softmax", slowed.softmax_again({percent}), slowed.inputs())
"""


class PytestBenchmark:
    """`--benchmark-compare-fail=median:1%`: its smallest threshold, since it takes whole numbers only. What a threshold
    of 5 % would have said follows from the same two medians."""

    name = "pytest-benchmark"
    START_S = 0.3
    """Seconds that one run spends on starting and calibrating."""

    def missing(self) -> str | None:
        return None if _installed("pytest_benchmark") else f"pytest-benchmark is not installed; {INSTALL}"

    def compare(self, percent: int, seconds: float) -> list[Outcome]:
        timing = max(0.1, seconds / 2 - self.START_S)
        with Scratch("rival") as folder:
            self._run(folder, 0, "base", timing, ["--benchmark-save=base"])
            rule = ["--benchmark-compare", "--benchmark-compare-fail=median:1%"]
            done = self._run(folder, percent, "head", timing, rule)
            ratio = _median(folder, "head") / _median(folder, "base")
        slower = "Performance has regressed" in done.stdout + done.stderr
        return [
            Outcome(f"{self.name} median:1%", slower, ratio),
            Outcome(f"{self.name} median:5%", ratio > LOOSE, ratio),
        ]

    def _run(
        self, folder: str, percent: int, side: str, timing_s: float, options: list[str]
    ) -> subprocess.CompletedProcess[str]:
        # the same file on both sides: what is compared is known by its name
        (Path(folder) / "test_softmax.py").write_text(PYTEST_FILE.format(percent=percent))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider"]
        command += ["-c", os.devnull, "--rootdir", folder, "--benchmark-storage", f"file://{folder}/storage"]
        command += [f"--benchmark-max-time={timing_s:.2f}", f"--benchmark-json={folder}/{side}.json", *options]
        done = _run([*command, "test_softmax.py"], folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        if not (Path(folder) / f"{side}.json").exists():
            raise RuntimeError(f"{self.name} failed: {_last(done)}")
        return done


def _median(folder: str, side: str) -> float:
    stored: dict[str, Any] = json.loads((Path(folder) / f"{side}.json").read_text())
    return float(stored["benchmarks"][0]["stats"]["median"])


class Pyperf:
    """`compare_to`: Student's test over all values, and the same with `--min-speed 1`. Its processes are few and short,
    so that a comparison takes seconds and not a minute."""

    name = "pyperf"
    PROCESS_S = 0.36
    """Seconds that one of its processes takes for starting and for four values of 30 ms."""

    def missing(self) -> str | None:
        return None if _installed("pyperf") else f"pyperf is not installed; {INSTALL}"

    def compare(self, percent: int, seconds: float) -> list[Outcome]:
        processes = max(2, round(seconds / 2 / self.PROCESS_S) - 1)  # one more calibrates
        with Scratch("rival") as folder:
            for side, slowdown in (("base", 0), ("head", percent)):
                (Path(folder) / f"{side}.py").write_text(PYPERF_FILE.format(percent=slowdown))
                short = ["-p", str(processes), "-n", "3", "-w", "1", "--min-time", "0.03", "--quiet"]
                done = _run([sys.executable, f"{side}.py", *short, "-o", f"{side}.json"], folder)
                if done.returncode != 0:
                    raise RuntimeError(f"{self.name} failed: {_last(done)}")
            said = _run([sys.executable, "-m", "pyperf", "compare_to", "base.json", "head.json"], folder)
            ratio = _mean(folder, "head") / _mean(folder, "base")
        if said.returncode != 0:
            raise RuntimeError(f"{self.name} compare_to failed: {_last(said)}")
        slower = "x slower" in said.stdout
        return [
            Outcome(f"{self.name} compare_to", slower, ratio),
            Outcome(f"{self.name} compare_to --min-speed 1", slower and ratio >= 1.01, ratio),
        ]


def _mean(folder: str, side: str) -> float:
    stored = json.loads((Path(folder) / f"{side}.json").read_text())
    values = [value for run in stored["benchmarks"][0]["runs"] for value in run.get("values", ())]
    return float(np.mean(values))


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run(command: list[str], folder: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}, and it said nothing"


RIVALS: tuple[Tool, ...] = (PytestBenchmark(), Pyperf())
