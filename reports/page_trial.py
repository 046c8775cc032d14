"""How large the page of a large run is, and how long a browser takes to open, filter and sort it.

    python -m harness.reports.page_trial --tasks 2000

The run is made up, of as many tasks as asked for; the browser is Chromium, headless, a fresh profile each time.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.record import Record, Sample

from .page import page
from .report import Report

OPERATORS = ("softmax", "log_softmax", "logsumexp", "sum", "mean", "max", "argmax", "dot", "cross_entropy", "mse_loss")
IMPLEMENTATIONS = (
    "numpy/builtin", "numpy/online", "numpy/grid_reduced", "numpy/array_api", "torch/builtin", "torch/array_api",
    "torch/compiled", "cuda_cpu/warp_shuffle", "cuda_cpu/host_round_trip", "cupy/warp_shuffle_grid_reduced",
)  # fmt: skip
DTYPES = ("float32", "float64", "float16", "bfloat16")
VALUES = ("", ",values=overflow", ",values=nan", ",values=integers", ",layout=reversed", ",values=masked_out")
TIMED_SHARE = 0.15
READINGS = 8
FILTER_MS = 100.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

READY = (
    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)
SEARCH = """text => new Promise(done => {
  const search = document.querySelector("#q"), begun = performance.now();
  search.value = text;
  search.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
  const worked = performance.now() - begun;
  requestAnimationFrame(() => requestAnimationFrame(() => done([worked, performance.now() - begun])));
})"""
SORT = """column => {
  const begun = performance.now();
  document.querySelectorAll("#rows thead button")[column].click();
  document.body.offsetHeight;
  return performance.now() - begun;
}"""


def chromium() -> str | None:
    """The browser's path, or None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def made_up(tasks: int, seed: int = 1, operators: int = len(OPERATORS)) -> Report:
    """A report of so many tasks: most are right, some wrong, some missing, every seventh or so timed."""
    rng = random.Random(seed)
    pairs = list(itertools.product(OPERATORS[:operators], IMPLEMENTATIONS))
    timed_cases = max(1, round(TIMED_SHARE * tasks / len(pairs)))
    checked_cases = -(-tasks // len(pairs)) - timed_cases
    checked = [
        _record(rng, operator, name, _case(number)) for number in range(checked_cases) for operator, name in pairs
    ]
    timed: list[Record] = []
    samples: list[Sample] = []
    for number, (operator, name) in itertools.product(range(timed_cases), pairs):
        record = _record(rng, operator, name, f"float32[{64 << number % 9}x{1000 + number}]dim=1")
        if record.status == "passed":
            times = _times(rng, name, number)
            record = _with_times(record, times)
            samples.extend(_samples(record, times))
        timed.append(record)
    run = {
        "run_id": "20260101T000000-abcdef", "started_at": "2026-01-01T00:00:00", "finished_at": "2026-01-01T01:00:00",
        "command": "bench", "selectors": ("*",), "seed": seed, "budget_s": None, "machine_id": "0123456789ab",
        "commit": "0" * 40, "dirty": False, "exit_code": 3, "notes": ("allocation is inside the time",),
        "admission": {one: {"mutants": 16, "killed": 16, "survivors": []} for one in OPERATORS[:operators]},
        "ceiling": {str(1 << power): 8.0 + power for power in range(16, 28, 2)}, "used_by_others": 0.0,
    }  # fmt: skip
    machine = {"cpu": "made up", "cores_usable": 2, "libraries": {"numpy": "2.4.0"}}
    return Report(run, machine, tuple(checked[: tasks - len(timed)]), tuple(timed), tuple(samples))


def _case(number: int) -> str:
    dtype, values = DTYPES[number % 4], VALUES[number // 4 % len(VALUES)]
    return f"{dtype}[{7 + number // 24}x33]dim=1{values}"


def _record(rng: random.Random, operator: str, name: str, case: str) -> Record:
    backend, implementation = name.split("/")
    status, reason = "passed", ""
    if backend == "cupy":
        status, reason = "missing", "CuPy is not installed; type: pip install 'kernel-harness[cupy]'"
    elif "reversed" in case and backend == "torch":
        status, reason = "unsupported", "torch has no negative strides"
    elif rng.random() < 0.02:
        off = rng.random()
        status, reason = "failed", f"3 of 231 elements are wrong; worst at [2, {rng.randrange(33)}]: {off:.9g} where "
        reason += f"{off * 1.01:.9g} is right (off by {off / 100:.3g}, 12.5 times the bound 1.2e-07 for float32)"
    return Record(
        run_id="20260101T000000-abcdef", started_at="2026-01-01T00:00:00", operator=operator, backend=backend,
        implementation=implementation, case=case, dtype=case.split("[")[0], seed=1, status=status, reason=reason,
        error_over_bound=rng.random() if status == "passed" else None, tree_height=rng.choice([5, 33, 1000]),
        run_to_run_bitwise=True, batch_invariant=rng.random() < 0.9,
        launches=3 if backend == "cuda_cpu" and status == "passed" else None,
        host_round_trips=1 if backend == "cuda_cpu" and status == "passed" else None,
    )  # fmt: skip


def _times(rng: random.Random, name: str, size: int) -> list[int]:
    slower = 1.0 + 0.15 * IMPLEMENTATIONS.index(name)
    return [round(20_000 * (1 + size) * slower * rng.lognormvariate(0.0, 0.03)) for _ in range(READINGS)]


def _with_times(record: Record, times: Sequence[int]) -> Record:
    import dataclasses

    median = round(statistics.median(times))
    return dataclasses.replace(
        record, samples=len(times), median_ns=median, ci_low_ns=min(times), ci_high_ns=max(times), min_ns=min(times),
        cpu_median_ns=median, bytes=512_000, flops=128_000, gb_per_s=512_000 / median, percent_of_limit=40.0,
    )  # fmt: skip


def _samples(record: Record, times: Sequence[int]) -> Iterator[Sample]:
    for number, wall in enumerate(times):
        yield Sample(
            operator=record.operator, backend=record.backend, implementation=record.implementation, case=record.case,
            process=number % 4, block=number // 4, position=0, calls=1, wall_ns=wall, cpu_ns=wall, checked=number == 0,
        )  # fmt: skip


def measure(path: Path, executable: str, repeats: int) -> dict[str, float]:
    """Medians in ms over `repeats` cold starts: open until two frames are drawn, then search and sort.

    Raises ImportError where playwright is missing.
    """
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {name: [] for name in ("open", "search", "search until drawn", "sort")}
    elements = 0
    with sync_playwright() as player:
        for _ in range(repeats):
            browser = player.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            view: Any = browser.new_page(viewport={"width": 1280, "height": 900})
            view.goto(path.as_uri(), wait_until="load")
            found["open"].append(view.evaluate(READY))
            elements = view.evaluate("document.querySelectorAll('*').length")
            for text in ("softmax", "softmax float16", "softmax float16 -passed", "", "overflow"):
                worked, drawn = view.evaluate(SEARCH, text)
                found["search"].append(worked)
                found["search until drawn"].append(drawn)
            found["sort"].extend(view.evaluate(SORT, column) for column in (6, 7, 4))
            browser.close()
    medians = {f"{name}, median ms": statistics.median(values) for name, values in found.items()}
    return {**medians, "search, most ms": max(found["search"]), "elements on the page": elements}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.reports.page_trial", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", "-o", type=Path, help="keep the page here")
    chosen = parser.parse_args(arguments)
    executable = chromium()
    if executable is None:
        print(f"nothing was measured: no {' or '.join(BROWSERS)} here; type: apt-get install chromium", file=sys.stderr)
        return 5
    report = made_up(chosen.tasks)
    begun = time.perf_counter()
    text = page(report)
    print(f"{'tasks':26}{len(report.records):10,}")
    print(f"{'made in, s':26}{time.perf_counter() - begun:10.2f}")
    print(f"{'size, MB':26}{len(text.encode()) / 1e6:10.2f}")
    with tempfile.TemporaryDirectory() as folder:
        path = (chosen.output or Path(folder) / "page.html").resolve()
        path.write_text(text, encoding="utf-8")
        try:
            found = measure(path, executable, chosen.repeats)
        except ImportError:
            print("nothing was measured: type: pip install 'kernel-harness[browser]'", file=sys.stderr)
            return 5
    for name, value in found.items():
        print(f"{name:26}{value:10,.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
