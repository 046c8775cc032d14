"""What several test files need: records, a small registry, and where PyTorch is."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import postgres_server
import pytest
from postgres_server import Postgres, Server

from harness.record import Record, Sample

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is an extra: pip install 'kernel-harness[torch]'")


SAMPLE = "HARNESS_TEST_SAMPLE"


def sample(things: Sequence[Any], count: int) -> list[Any]:
    """So many of what takes long and is tried in many ways, others in each run: nothing is left out for good."""
    if os.environ[SAMPLE] == "all":
        return list(things)
    chosen = set(random.Random(os.environ[SAMPLE]).sample(range(len(things)), min(count, len(things))))
    return [one for number, one in enumerate(things) if number in chosen]


def pytest_configure() -> None:
    os.environ.setdefault(SAMPLE, str(secrets.randbits(32)))  # processes of pytest-xdist have that of the first
    # pytest-xdist tells its processes how wide the terminal is; tables are as wide as tests expect without it
    os.environ.pop("COLUMNS", None)
    if os.environ.get("REQUIRE_TORCH") and not HAS_TORCH:
        raise pytest.UsageError("REQUIRE_TORCH is set and PyTorch is missing: pip install 'kernel-harness[torch]'")
    if os.environ.get("REQUIRE_POSTGRES") and (lacking := postgres_server.why_not()):
        raise pytest.UsageError(f"REQUIRE_POSTGRES is set and {lacking}")


def pytest_report_header() -> list[str]:
    return [
        f"PyTorch: {'installed' if HAS_TORCH else 'missing, its tests are skipped'}",
        f"sample of the tests: HARNESS_TEST_SAMPLE={os.environ[SAMPLE]} (HARNESS_TEST_SAMPLE=all takes all)",
    ]


for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    # what is started in the background ignores them, and so would all that the tests start and interrupt
    if threading.current_thread() is threading.main_thread() and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

LONGEST = ("test_conformance", "test_sabotage", "test_sabotage_cuda", "test_cuda_kernels")
"""Files that take longest begin first, so that none is left over at the end. `make test` gives each file to one process
of pytest-xdist (--dist loadfile), so that what its tests share is made once, and keeps the order of the files."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests that time something do not wait for those of another process; where times count, nothing runs beside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Declarations and compiled kernels are cached in a folder of this session, not in the developer's; the processes
    of pytest-xdist share it, and all sessions of `make test` (what lies there is found by its content)."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = os.environ.get("HARNESS_TEST_CACHE") or str(shared / "cache")
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Server]:
    """A real server, once for all tests of this process."""
    if lacking := postgres_server.why_not():
        pytest.skip(lacking)
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_cluster: Server) -> Iterator[Postgres]:
    """A database of this test on a real server of PostgreSQL."""
    database = Postgres(postgres_cluster, f"test_{secrets.token_hex(6)}")
    database.create()
    yield database
    database.drop()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is not there yet: the test runs on a file, and on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/results.sqlite"
    found: str = request.getfixturevalue("postgres").url
    return found


@pytest.fixture
def other_url(store_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A second one of the same kind."""
    if store_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/other.sqlite"
        return
    database = Postgres(request.getfixturevalue("postgres_cluster"), f"test_{secrets.token_hex(6)}")
    database.create()
    yield database.url
    database.drop()


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


class Page(HTMLParser):
    """The elements and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links.extend(value or "" for name, value in attrs if name in ("src", "href", "action"))
