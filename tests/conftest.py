"""What several test files need: records, a small registry, and where PyTorch is."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.record import Record, Sample

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is an extra: pip install 'kernel-harness[torch]'")


def pytest_configure() -> None:
    if os.environ.get("REQUIRE_TORCH") and not HAS_TORCH:
        raise pytest.UsageError("REQUIRE_TORCH is set and PyTorch is missing: pip install 'kernel-harness[torch]'")


def pytest_report_header() -> str:
    return f"PyTorch: {'installed' if HAS_TORCH else 'missing, its tests are skipped'}"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Declarations are cached in a folder of this session, not in the developer's."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


def record(**changes: Any) -> Record:
    """A passed record of softmax/numpy/builtin; `changes` are its fields."""
    base = Record(
        run_id="run",
        started_at="2026-01-01T00:00:00",
        operator="softmax",
        backend="numpy",
        implementation="builtin",
        case="float32[8x8]dim=1",
        dtype="float32",
        seed=1,
        status="passed",
        error_over_bound=0.25,
    )
    return dataclasses.replace(base, **changes)


def timed(implementation: str, median_ns: int, width_ns: int = 1000, **changes: Any) -> Record:
    """A record with a time and an interval around it."""
    return record(
        implementation=implementation,
        samples=12,
        median_ns=median_ns,
        ci_low_ns=median_ns - width_ns,
        ci_high_ns=median_ns + width_ns,
        min_ns=median_ns - width_ns,
        cpu_median_ns=median_ns,
        bytes=512,
        gb_per_s=1.0,
        percent_of_limit=10.0,
        **changes,
    )


def readings(implementation: str, times_ns: list[int], **changes: Any) -> list[Sample]:
    """One reading per block, in two processes, with the given times."""
    return [
        Sample(
            **{
                "operator": "softmax",
                "backend": "numpy",
                "implementation": implementation,
                "case": "float32[8x8]dim=1",
                "process": number % 2,
                "block": number // 2,
                "position": 0,
                "calls": 1,
                "wall_ns": time,
                "cpu_ns": time,
                "checked": number == 0,
                **changes,
            }
        )
        for number, time in enumerate(times_ns)
    ]
