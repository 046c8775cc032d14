"""Whatever is read is valid or refused in one line that names the file: every reader against documents of anybody.

The suite tries a few changes of each valid document, always the same ones. `HYPOTHESIS_PROFILE=long pytest
tests/test_readers.py` tries thousands of new ones; HARNESS_FUZZ_EXAMPLES sets how many.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import io
import json
import math
import os
import re
import shutil
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_interop
from conftest import readings, record, timed
from harness.reports import text_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from harness import configuration, documents, reading, reports, wire
from harness.cli import app
from harness.comparing.machines import DifferentMachines
from harness.comparing.measured import UnreadableResults, measured_from_file
from harness.comparing.stored import compare_stored
from harness.configuration import ConfigurationError
from harness.declare import Case, DeclarationError
from harness.documents import UnreadableFile
from harness.interop import detecting
from harness.interop.imported import machine_id_of, records_of, samples_of
from harness.plan import Selection
from harness.problems import axes
from harness.problems.candidates import Calls, Shelf
from harness.problems.flashinfer import read_definition, read_workloads
from harness.problems.gpumode import read_task
from harness.problems.hosting import Located, locate
from harness.problems.problem import FLASHINFER, BadProblem
from harness.reading import Source
from harness.registry import BackendInfo, _backends, _declarations
from harness.schema import StoreError
from harness.sources import Sourced
from harness.sources.files import read_file, write_file
from harness.store import Store
from harness.strangers import opened_to_read
from harness.trials.kept import Kept

PROBLEMS = Path(__file__).parent / "problems"
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
FUZZ = settings(
    max_examples=int(os.environ.get("HARNESS_FUZZ_EXAMPLES") or (5000 if LONG else 60)),
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
HOSTILE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 2**70, -(2**70), 0.5, 1e308, -0.0, math.nan, math.inf, -math.inf,
    "", " ", "x", "0", "1e999", "nan", "\0", "\ud800", "\x1b[31mred", "a\nb", "../../etc/passwd", "/etc/passwd",
    "C:\\x", "CON", "--upload-pack=touch x", "=1+1", "<script>", "Ω", "a" * 3000, [], {}, [[]], [None], {"a": None},
    [1e300, -1], {"value": 1}, {"../x": "y"}, DEEP, list(range(200)), ["a", "a"], {"": ""},
)  # fmt: skip


def places(document: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all parts of a document but the whole."""
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    if len(here) > 10:
        return
    for key, value in inside:
        yield (*here, key)
        yield from places(value, (*here, key))


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document with up to three changes: parts gone, replaced by something hostile, doubled, renamed, or new."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(found))
        if not known:
            return found
        *way, key = draw(st.sampled_from(known))
        inside = found
        for step in way:
            inside = inside[step]
        what = draw(st.sampled_from(("replace", "replace", "replace", "delete", "rename", "add", "double")))
        hostile = json.loads(json.dumps(draw(st.sampled_from(HOSTILE))))
        if what == "replace":
            inside[key] = hostile
        elif what == "delete":
            del inside[key]
        elif isinstance(inside, list):
            inside.append(copy.deepcopy(inside[key]) if what == "double" else hostile)
        elif what == "rename":
            inside[draw(st.sampled_from(("\x1b[2J", "", "../x", "\ud800", "a" * 300)))] = inside.pop(key)
        else:
            inside["new\0"] = hostile
    return found if draw(st.integers(0, 20)) else draw(st.sampled_from(HOSTILE))


@st.composite
def broken(draw: st.DrawFn, text: str) -> bytes:
    """The bytes of a text, most often as they are; else cut off, in another encoding, or with something inside."""
    raw = text.encode("utf-8", "surrogatepass")
    place = draw(st.integers(0, len(raw)))
    inserted = draw(st.sampled_from((b"\xff\xfe", b"\0", b"[" * 5000, b"9" * 5000, b'"', b"\r", b",", b"}", b"&a *a")))
    forms = (
        *[lambda: raw] * 6,
        lambda: raw[:place],
        lambda: b"\xef\xbb\xbf" + raw,
        lambda: text.encode("utf-16", "surrogatepass"),
        lambda: raw[:place] + inserted + raw[place:],
        lambda: b"",
        lambda: raw + raw,
    )
    found: bytes = draw(st.sampled_from(forms))()
    return found


def refused_well(error: Exception, name: str) -> None:
    """One line that a terminal can show, which names the file."""
    said = str(error)
    assert name in said, said
    assert said.isprintable() and len(said) < 3000, said


# Files

BASE = record(implementation="checked", machine_id="m")
ROWS = [timed("builtin", 1_000_000, machine_id="m"), timed("online", 3_000_000, machine_id="m"), BASE]


@cache
def results(format: str) -> str:
    return text_of(reports.Report({}, {}, (), tuple(ROWS), ()), format)


@cache
def asv() -> Any:
    columns = ["result", "params", "version", "stats_number", "samples"]
    about = {"machine": "lab", "arch": "x86_64", "python": "3.11"}
    rows = {
        "m.time_x": [[1e-3, None], [["'a'", "'b'"]], "v", [3, None], [[1e-3, 2e-3], None]],
        "m.track": [[0.5], [], "v"],
    }
    return {
        "commit_hash": "c" * 40,
        "env_name": "e",
        "date": 1700000000000,
        "params": about,
        "python": "3.11",
        "requirements": {},
        "env_vars": {},
        "version": 2,
        "result_columns": columns,
        "results": rows,
        "durations": {},
    }


@cache
def cases() -> Any:
    x = np.array([[1.0, np.nan], [-0.0, 2.0]], np.float32)
    one = Case("float32", ((2, 2),), (("dim", 1), ("size", (1, 2))), values="fuzz:a", layout="strided")
    with tempfile.TemporaryDirectory() as folder:
        write_file(Path(folder) / "c.json", [Sourced("softmax", one, (x,), x.astype(np.float64), 1e-3, 0.0)])
        return json.loads((Path(folder) / "c.json").read_text())


def check_import(path: Path) -> None:
    found = detecting.read(path)
    machine = machine_id_of(found) or "u"
    rows = records_of(found, run_id="r", started_at="2026-01-01", machine_id=machine, commit=None, dirty=None)
    assert len({one.id for one in rows}) == len(rows) > 0
    assert all(one.median_ns is None or one.median_ns > 0 for one in rows)
    samples_of(found)


def check_results(path: Path) -> None:
    found = measured_from_file(path)
    assert compare_stored(found, found, floor=lambda task: 0.01, noise=(), normalise=False).exit_code in (0, 3, 4, 5)
    report = reports.Report({"command": "bench", "run_id": "r"}, {}, (), found.records, ())
    for format in ("markdown", "csv", "json", "latex"):
        text_of(report, format).encode()


def check_cases(path: Path) -> None:
    for one in read_file(path):
        assert one.case.id.isprintable() and all(array.flags.owndata for array in one.inputs)
        assert [array.shape for array in one.inputs] == list(one.case.shapes)


def check_definition(path: Path) -> None:
    found = read_definition(path)
    assert "/" not in found["name"]
    try:
        assert all(0 <= size < 2**63 for size in axes.sizes(found["axes"], {"n": 3}).values())
    except BadProblem as error:
        assert str(error).isprintable()


def check_workloads(path: Path) -> None:
    assert all(one["uuid"].isprintable() for one in read_workloads(path, "logsumexp_v64"))


def check_trials(path: Path) -> None:
    kept = Kept(path, "power", "m")
    assert kept.done("tool", "percent") is not None
    kept.add({"tool": "ours"})
    assert len(Kept(path, "power", "m").rows()) == len(kept.rows())


def check_solution(path: Path) -> None:
    inside = path.parent / "candidates"
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir()
    host = SimpleNamespace(ask=lambda message: ({"template": {"dict": {}}}, []))
    shelf = Shelf(inside, Located(FLASHINFER, path), host, "problem", Calls({}, {}, 1, False))  # type: ignore[arg-type]
    before = {one for one in path.parent.rglob("*") if inside not in one.parents}
    shelf.candidate(path, "it")
    assert {one for one in path.parent.rglob("*") if inside not in one.parents} == before


@dataclass(frozen=True)
class Reader:
    """What is read by what, and how it is refused."""

    name: str
    document: Callable[[], Any]
    check: Callable[[Path], None]
    error: type[Exception]
    lines: bool = False


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


READERS = {
    "pytest-benchmark": Reader(
        "x.json", lambda: json.loads(test_interop.pytest_document(data=[1.0])), check_import, UnreadableFile
    ),
    "google-benchmark": Reader("x.json", lambda: test_interop.GOOGLE, check_import, UnreadableFile),
    "asv": Reader("x.json", asv, check_import, UnreadableFile),
    "bencher": Reader("x.json", lambda: test_interop.BMF, check_import, UnreadableFile),
    "results": Reader("x.json", lambda: json.loads(results("json")), check_results, UnreadableResults),
    "cases": Reader("x.json", cases, check_cases, DeclarationError),
    "definition": Reader(
        "x.json",
        lambda: json_of(PROBLEMS / "flashinfer" / "definitions" / "logsumexp_v64.json"),
        check_definition,
        BadProblem,
    ),
    "workloads": Reader(
        "x.jsonl",
        lambda: list(map(json.loads, next((PROBLEMS / "flashinfer").glob("**/*.jsonl")).read_text().splitlines())),
        check_workloads,
        BadProblem,
        lines=True,
    ),
    "solution": Reader(
        "x.json", lambda: json_of(PROBLEMS / "flashinfer" / "solutions" / "returns.json"), check_solution, BadProblem
    ),
    "trials": Reader(
        "x.jsonl",
        lambda: [
            {"trial": "power", "machine_id": "m", "tool": "ours", "percent": n, "slower": [1.5, None]} for n in (1, 2)
        ],
        check_trials,
        ValueError,
        lines=True,
    ),
}


def dumped(document: Any, lines: bool) -> str:
    if lines:
        return "".join(json.dumps(one) + "\n" for one in (document if isinstance(document, list) else [document]))
    return json.dumps(document, indent=1)


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_valid_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / reader.name
    path.write_text(dumped(reader.document(), reader.lines))
    reader.check(path)  # the document from which all begins is valid

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        text = dumped(data.draw(changed(reader.document())), reader.lines)
        path.write_bytes(data.draw(broken(text)))
        try:
            reader.check(path)
        except reader.error as error:
            assert type(error) in (reader.error, UnreadableFile)
            refused_well(error, path.name)

    holds()


@pytest.mark.parametrize("kind", ["csv", "parquet", "sqlite"])
def test_tables_are_valid_or_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path, whole = tmp_path / f"x.{kind}", tmp_path / f"whole.{kind}"
    make = {
        "csv": lambda: whole.write_text(results("csv")),
        "parquet": lambda: parquet(whole, json.loads(results("json"))),
        "sqlite": lambda: stored(whole),
    }
    make[kind]()
    check_results(whole)

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        shutil.copyfile(whole, path)
        if data.draw(st.booleans()):
            raw = bytearray(path.read_bytes())
            for _ in range(data.draw(st.integers(1, 8))):
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
            path.write_bytes(
                bytes(raw[: data.draw(st.integers(0, len(raw)))] if not data.draw(st.integers(0, 4)) else raw)
            )
        elif kind == "sqlite":
            with sqlite3.connect(path) as connection:
                table, column = data.draw(st.sampled_from(columns_of(connection)))
                value = data.draw(st.sampled_from([one for one in HOSTILE if storable(one)] + [b"\xff\xfe", b""]))
                with suppressed(sqlite3.Error):  # keys do not take every type
                    connection.execute(f'UPDATE {table} SET "{column}" = ?', (value,))
            connection.close()
        elif kind == "parquet":
            with suppressed(Exception):  # Arrow does not take every mixture
                parquet(path, data.draw(changed(json.loads(results("json")))))
        else:
            rows = results("csv").splitlines()
            cells = rows[1].split(",")
            cells[data.draw(st.integers(0, len(cells) - 1))] = str(data.draw(st.sampled_from(HOSTILE)))
            path.write_bytes(data.draw(broken("\n".join([rows[0], ",".join(cells), *rows[2:]]))))
        try:
            check_results(path)
        except (UnreadableResults, StoreError) as error:
            refused_well(error, path.name)
        except DifferentMachines:
            pass  # exit code 5: of a machine that nothing is known of

    holds()


def storable(value: Any) -> bool:
    small = not isinstance(value, int) or abs(value) < 2**63
    return isinstance(value, str | int | float | None) and small and value != "\ud800"


def suppressed(*kinds: type[Exception]) -> Any:
    import contextlib

    return contextlib.suppress(*kinds)


def parquet(path: Path, rows: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def stored(path: Path, **changes: Any) -> str:
    """A store with a finished run."""
    with Store.open(str(path)) as store:
        info = store.start_run(
            command="bench",
            selectors=("softmax",),
            seed=1,
            budget_s=None,
            machine={"cpu": "x"},
            machine_id="m",
            commit="c0ffee" + "0" * 34,
            dirty=False,
        )
        about = {"run_id": info.run_id, "started_at": info.started_at, "machine_id": "m"}
        for name, time_ns in (("builtin", 1_000_000), ("online", 3_000_000)):
            store.add(timed(name, time_ns, **{**about, **changes}), "bench")
            store.add_samples(info.run_id, readings(name, [time_ns + step for step in range(4)]))
        store.note(info.run_id, notes=["a note"], ceiling={"1024": 10.0}, admission={"softmax": {"killed": 1}})
        store.finish_run(info.run_id, exit_code=0)
        return info.run_id


def columns_of(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = ("records", "samples", "runs", "machines")
    return [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]


# What is no file of rows

TOML = """
[tool.harness]
store = "kept/results.sqlite"
plugins = []
backends = ["numpy", "torch*"]
budget_s = 60
processes = 4
seed = 7

[tool.harness.compare]
selectors = ["softmax", "sum/*"]
floor = "1.5 %"

[tool.harness.compare.floors]
"softmax/*" = 0.05
"""


@FUZZ
@given(st.data())
def test_settings_are_valid_or_refused(data: st.DataObject) -> None:
    lines = TOML.splitlines()
    number = data.draw(st.sampled_from([n for n, line in enumerate(lines) if " = " in line]))
    value = json.dumps(data.draw(st.sampled_from(HOSTILE[:-4]))).replace("null", "''").replace("NaN", "nan")
    lines[number] = f"{lines[number].partition(' = ')[0]} = {value.replace('Infinity', 'inf')}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pyproject.toml"
        path.write_bytes(data.draw(broken("\n".join(lines))))
        try:
            found = configuration.load(Path(folder))
        except ConfigurationError as error:
            for line in str(error).split("\n"):
                refused_well(ValueError(line), "pyproject.toml")
        else:
            assert found.budget_s is None or 0 < found.budget_s < 1e9
            assert found.path in (None, path.resolve())


@FUZZ
@given(st.data())
def test_task_yml_is_valid_or_refused(data: st.DataObject) -> None:
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load((PROBLEMS / "gpumode" / "vector_mean" / "task.yml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.yml"
        path.write_bytes(data.draw(broken(json.dumps(data.draw(changed(found))))))
        try:
            task = read_task(Path(folder))
        except BadProblem as error:
            refused_well(error, "task.yml")
        else:
            assert all(len(str(case)) < 100_000 for case in task["tests"])


DECLARED = {
    "implementations": [
        {
            "operator": "softmax",
            "backend": "mine",
            "implementation": "fast",
            "has_gradient": False,
            "has_prepare": False,
            "accumulation": {
                "tree": {"family": "blocks", "width": 32, "order": "", "finish": ""},
                "dtype": "",
                "intermediate": "",
                "strided": None,
                "rescale": 0,
            },
            "line": 3,
            "summary": "Quick.",
            "known": {"*": "why"},
            "sources": [["a.cu", ["f<float>"]]],
        },
    ],
    "backends": [
        {
            "name": "mine",
            "library": "numpy",
            "missing": None,
            "array_type": "ndarray",
            "dtypes": ["float32"],
            "differentiates": False,
            "timed": True,
            "reserves": False,
            "has_timer": False,
        },
    ],
}


@FUZZ
@given(changed(DECLARED))
def test_what_a_plugin_declares_is_valid_or_a_problem_in_a_line(data: Any) -> None:
    source = Source("plugin", "/x/plugin.py", "/x/plugin.py")
    if not reading._is_readable(data):
        return  # the worker is not believed
    problems: list[Any] = []
    operators = {"softmax": SimpleNamespace(name="softmax")}
    backends = _backends([source], {"plugin": data}, problems)
    found = _declarations([source], {"plugin": data}, operators, backends, problems)  # type: ignore[arg-type]
    for one in (*backends.values(), *found):
        name = one.name if isinstance(one, BackendInfo) else one.implementation
        assert name.isidentifier() and len(name) <= 200
    for one in found:
        assert one.operator == "softmax" and one.backend in backends and one.summary.isprintable()
    for problem in problems:
        assert f"{problem.where}{problem.message}".isprintable() and len(problem.message) < 3000


def test_what_is_declared_as_it_should_be_is_taken() -> None:
    source, problems = Source("plugin", "/x/plugin.py", "/x/plugin.py"), []
    backends = _backends([source], {"plugin": DECLARED}, problems)
    operators: Any = {"softmax": SimpleNamespace(name="softmax")}
    (one,) = _declarations([source], {"plugin": DECLARED}, operators, backends, problems)
    assert one.id == "softmax/mine/fast" and not problems


REPLY = {
    "answers": [
        {
            "outputs": [
                {
                    "shape": [2, 3],
                    "dtype": "float32",
                    "kind": "numpy",
                    "aliases_input": False,
                    "offset": 64,
                    "stored": True,
                }
            ]
        },
        {"error": "ValueError: no", "error_kind": "error"},
    ],
    "wall_ns": [1],
    "cpu_ns": [1],
    "device_ns": [None],
    "usage": [[0, 0, 0, 0]],
    "prepare_ns": 5,
    "state_changes": "",
    "device": [1, 2, None, 3],
}


@FUZZ
@given(changed(REPLY))
def test_a_workers_reply_is_valid_or_refused(message: Any) -> None:
    if not isinstance(message, dict):
        return
    try:
        found = wire.reply_from(message, 2, 1)
    except wire.WireError as error:
        assert len(str(error)) < 10_000
    else:
        assert all(0 <= one < 2**63 for one in (*found.wall_ns, *found.cpu_ns))


@FUZZ
@given(st.data())
def test_a_cache_of_anything_is_no_reason_to_stop(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "declarations.json"
        path.write_bytes(data.draw(broken(json.dumps(data.draw(changed({"key": DECLARED, "other": DECLARED}))))))
        assert all(reading._is_readable(one) for one in reading._load_cache(path).values())


@FUZZ
@given(st.lists(st.text("ab*?/.[", max_size=12), max_size=3), st.text("ab/.[x", max_size=30))
def test_a_selector_selects_what_a_glob_would(selectors: list[str], identity: str) -> None:
    def plain(selector: str) -> str:
        words = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in selector)
        return f"(?:{words}(?:/.*)?)"

    patterns = [plain(one.strip("/")) for one in selectors if one.strip("/")]
    assert (identity in Selection(selectors)) == bool(re.fullmatch("|".join(patterns) or ".*", identity, re.DOTALL))


def test_a_selector_of_many_stars_ends() -> None:
    # with backtracking over every star, this takes longer than anybody waits
    assert "a" * 200 + "b" not in Selection(["*a" * 40 + "c"])


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "10**400",
        "(0-1)**0.5",
        "1e308*10",
        "1e400",
        "0**-1",
        "(" * 500 + ")" * 500,
        "+".join(["n"] * 5000),
        "-n",
        "n%0",
        "2**64",
        "n if n else n",
        "n(1)",
        "[n]",
        "'a'*9",
        "n\0",
        "",
    ],
)
def test_an_axis_that_is_no_size_is_refused_at_once(expression: str) -> None:
    with pytest.raises(BadProblem) as refused:
        axes.sizes({"n": {"type": "var"}, "x": {"type": "expr", "expression": expression}}, {"n": 3})
    assert str(refused.value).isprintable()


def test_axes_that_refer_to_each_other_are_found_once() -> None:
    known: dict[str, Any] = {"a0": {"type": "const", "value": 1}}
    known |= {f"a{n}": {"type": "expr", "expression": f"a{n - 1} + a{n - 1} - a{n - 1}"} for n in range(1, 60)}
    assert axes.sizes(dict(reversed(known.items())), {})["a59"] == 1
    with pytest.raises(BadProblem, match="refers to itself"):
        axes.sizes({"a": {"type": "expr", "expression": "b"}, "b": {"type": "expr", "expression": "a"}}, {})


def test_a_file_takes_a_stated_multiple_of_its_size(tmp_path: Path) -> None:
    """Small files of the largest kinds: nothing but empty objects, short keys, numbers, deep lists."""
    size = 1_000_000
    texts = {
        "objects": "[" + ",".join(["{}"] * (size // 3)) + "]",
        "lists": "[" + ",".join(["[[]]"] * (size // 5)) + "]",
        "numbers": "[" + ",".join(["1.5"] * (size // 4)) + "]",
        "keys": "{" + ",".join(f'"{n:x}":1' for n in range(size // 9)) + "}",
        "brackets": "[" * size,
        "text": '"' + "\\u20ac" * (size // 6) + '"',
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.json"
        path.write_text(text)
        tracemalloc.start()
        try:
            with suppressed(UnreadableFile):
                documents.read_document(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= documents.MULTIPLE * len(text), f"{name}: {peak / len(text):.0f} times its size"


def test_a_parquet_that_unfolds_to_more_than_memory_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet(tmp_path / "rows.parquet", [{"run_id": "r"}])
    texts = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(np.zeros(2_000_000, np.int32)), pyarrow.array(["x" * 1_000_000])
    )
    bombs = {
        "rows": pyarrow.table({"run_id": pyarrow.array(["a"] * 1_500_000)}),
        "one": pyarrow.table({"reason": texts}),
    }
    import pyarrow.parquet

    for name, table in bombs.items():
        path = tmp_path / f"{name}.parquet"
        pyarrow.parquet.write_table(table, path)
        assert path.stat().st_size < 2_000_000
        with pytest.raises(UnreadableResults, match="rows; at most") as refused:
            measured_from_file(path)
        refused_well(refused.value, path.name)


# Paths that data name


LEAVING = ("../x.py", "/etc/x.py", "a/../../x.py", "a\\..\\x.py", "C:x.py", "", ".", "..", "x\0y", "a\nb", "CON",
           "a/nul.txt", "a//b", "x" * 2000, "\ud800", None, 3, ["x"])  # fmt: skip


@pytest.mark.parametrize("name", LEAVING, ids=repr)
def test_a_name_that_leaves_its_folder_is_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no name|would lie outside"):
        documents.place_inside(tmp_path, name)


def test_a_name_stays_inside_also_over_links(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "fine").mkdir()
    with pytest.raises(ValueError, match="symbolic link"):
        documents.place_inside(folder, "link/x.py")
    assert documents.place_inside(folder, "./fine/x.py") == folder / "fine" / "x.py"
    assert documents.place_inside(folder, "größe.cu") == folder / "größe.cu"


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/b", "**", "x\0", "-x", "..", ""])
def test_a_definition_is_no_path(name: str, tmp_path: Path) -> None:
    document = json_of(PROBLEMS / "flashinfer" / "definitions" / "logsumexp_v64.json")
    (tmp_path / "definition.json").write_text(json.dumps({**document, "name": name}))
    with pytest.raises(BadProblem, match="its name is"):
        locate(str(tmp_path))


@pytest.mark.parametrize("part", ["name", "source"])
@pytest.mark.parametrize("value", ["../../stolen.py", "/etc/hostname", "../../../etc/hostname"])
def test_files_of_a_task_stay_in_its_folder(part: str, value: str, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    from harness.problems.gpumode import lay_out

    folder, target = tmp_path / "problems" / "one", tmp_path / "target" / "problem"
    folder.mkdir(parents=True)
    target.mkdir(parents=True)
    (tmp_path / "stolen.py").write_text("secret")
    (folder / "a.py").write_text("a = 1")
    (folder.parent / "utils.py").write_text("u = 1")
    shared = {"name": "utils.py", "source": "../utils.py"}
    lay_out(folder, {"files": [{"name": "b.py", "source": "a.py"}, shared]}, target)
    assert sorted(one.name for one in target.iterdir()) == ["b.py", "utils.py"]
    with pytest.raises(BadProblem, match="would lie outside"):
        lay_out(folder, {"files": [{"name": "b.py", "source": "a.py", part: value}]}, target)


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "folder.json").mkdir()
    for path in sorted(tmp_path.iterdir()):
        for read, error in (
            (documents.read_document, UnreadableFile),
            (measured_from_file, UnreadableResults),
            (read_file, DeclarationError),
            (detecting.read, UnreadableFile),
            (read_definition, BadProblem),
        ):
            with pytest.raises(error) as refused:
                read(path)
            refused_well(refused.value, path.name)


# Stores of strangers


STRANGE = {
    "a view that never ends": "ALTER TABLE records RENAME TO other; CREATE VIEW records AS WITH RECURSIVE "
    "t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT other.* FROM other, t",
    "a table that is calculated": "ALTER TABLE records ADD COLUMN more TEXT AS (hex(zeroblob(100000000)))",
    "a virtual table": "DROP TABLE noise; CREATE VIRTUAL TABLE noise USING fts5(spread)",
    "a newer one": "UPDATE schema_version SET version = 99",
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_store_with_anything_but_plain_tables_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    stored(path)
    with sqlite3.connect(path) as connection:
        connection.executescript(STRANGE[name])
    connection.close()
    with pytest.raises(StoreError) as refused, opened_to_read(str(path)):
        pass
    refused_well(refused.value, path.name)


def test_a_strangers_store_is_left_as_it_is_and_its_triggers_never_run(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    run_id = stored(path)
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "UPDATE schema_version SET version = 4; CREATE VIEW mine AS SELECT * FROM records;"
            # bringing it up to date would run this
            "CREATE TRIGGER a AFTER UPDATE ON schema_version BEGIN DELETE FROM records; END;"
        )
    connection.close()
    before = path.read_bytes()
    with opened_to_read(str(path)) as store:
        assert store.run(None).run_id == run_id
        assert len(store.records(run_id)) == 2
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["x.sqlite"]


# What is never done with what is read


FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "jsonpickle"}
FORBIDDEN_CALLS = {
    "read_pickle": None,
    "to_pickle": None,
    "unsafe_load": None,
    "full_load": None,
    "load_module": None,
    "enable_load_extension": None,
}
REASONS = {
    ("harness/fingerprint.py", "xml"): "what the driver's nvidia-smi says of this machine; it comes from no file",
    ("harness/sandbox/enter.py", "exec"): "the program of the worker itself, which the supervisor hands over",
    (
        "harness/comparing/versions.py",
        "shell",
    ): "the command that a person typed as --setup, or wrote into their project",
    (
        "harness/problems/flashinfer.py",
        "exec",
    ): "the reference of a problem, which is a program, in a process of its own",
}
"""What looks like it, and why it is none."""


def faults_of(text: str) -> list[str]:
    """Calls and imports that run what they read."""
    import ast

    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [module, *(one.name for one in node.names), *(f"{module}.{one.name}" for one in node.names)]
            found += sorted(FORBIDDEN_MODULES & {part for name in names for part in name.split(".")})
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        given = {one.arg: ast.unparse(one.value) for one in node.keywords}
        is_numpy = called in ("np.load", "numpy.load")
        found += [last] if last in FORBIDDEN_CALLS or called in ("eval", "exec") else []
        found += ["np.load"] if is_numpy and given.get("allow_pickle") != "False" else []
        found += ["torch.load"] if called.endswith("torch.load") and given.get("weights_only") != "True" else []
        found += ["yaml.load"] if called in ("yaml.load", "yaml.load_all") else []
        found += ["shell"] if given.get("shell", "False") != "False" or called in ("os.system", "os.popen") else []
        found += (
            ["xml"] if called.startswith("ElementTree.") and last in ("parse", "fromstring", "XML", "iterparse") else []
        )
        found += ["tar"] if last in ("extractall", "unpack_archive") else []
    return found


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle", "from pickle import loads", "import numpy, dill.source", "x = np.load(f)", "eval(text)",
        "np.load(f, allow_pickle=True)", "torch.load(f)", "torch.load(f, weights_only=False)", "exec(text)",
        "yaml.load(f, Loader)", "pd.read_pickle(f)", "subprocess.run(c, shell=True)", "subprocess.run(c, shell=x)",
        "os.system(c)", "ElementTree.parse(f)", "tar.extractall()", "import importlib, marshal as m",
    ],
)  # fmt: skip
def test_what_runs_what_it_reads_is_found(planted: str) -> None:
    assert faults_of(f"def f():\n    {planted}\n")


def test_nothing_that_is_read_is_run() -> None:
    root = Path(__file__).parent.parent
    found = {}
    for folder in ("harness", "cases", "implementations", "reports"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for fault in faults_of(path.read_text()):
                if (name, fault) not in REASONS:
                    found[name] = fault
    assert found == {}
    assert all(fault in faults_of((root / name).read_text()) for name, fault in REASONS)


# One hostile record in every format that is written


EVIL = (
    "=HYPERLINK(1)<script>alert(1)</script>\x1b[31m\x07|`](http://e) ${x} \\input{/etc/passwd} "
    "::error::\r\n::error::next\u202e"
)


def hostile() -> list[Any]:
    about = {"operator": EVIL, "case": EVIL, "backend": "=b", "machine_id": "m", "device": EVIL, "parameters": EVIL}
    return [
        timed("=1+1", 1000, **about),
        timed("@x", 2000, **about),
        record(implementation="-x", status="failed", reason=EVIL, known=EVIL, **about),
        record(implementation="+x", status="missing", reason=EVIL, **about),
    ]


@pytest.fixture
def hostile_store(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.sqlite"
    with Store.open(str(path)) as store:
        info = store.start_run(
            command="bench", selectors=(EVIL,), seed=1, budget_s=None, machine={"cpu": EVIL, EVIL: EVIL},
            machine_id="m", commit=EVIL, dirty=False,
        )  # fmt: skip
        for one in hostile():
            store.add(dataclasses.replace(one, run_id=info.run_id, started_at=info.started_at, commit=EVIL), "bench")
            for sample in readings(one.implementation, [1000, 1001], operator=EVIL, case=EVIL, backend="=b"):
                store.add_samples(info.run_id, [sample] if one.median_ns else [])
        store.note(info.run_id, notes=[EVIL], admission={EVIL: {"killed": 1, "mutants": 2, "survivors": [EVIL]}})
        store.finish_run(info.run_id, exit_code=3)
    return path


FORMATS = ("html", "markdown", "csv", "json", "latex", "pytest-benchmark", "asv", "google-benchmark", "bencher",
           "github-action", "junit")  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_a_hostile_record_is_text_in_every_format(format: str, hostile_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    arguments = ["report", "--store", str(hostile_store), "--format", format, "-o", str(path)]
    done = CliRunner().invoke(app, arguments, env={"HARNESS_STORE": str(tmp_path / "own.sqlite")})
    assert done.exit_code in (0, 5) and "\x1b" not in done.output, done.output
    assert {one.name for one in tmp_path.iterdir()} <= {"out", "hostile.sqlite", "own.sqlite"}
    written = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path] if path.exists() else []
    assert written or format == "asv"  # asv keeps results by commits, and this is none
    for one in written:
        text = one.read_text(encoding="utf-8")
        assert "\x1b" not in text and "\x07" not in text
        assert format == "csv" or "\r" not in text
        if format in ("html", "markdown"):
            assert "<script>alert" not in text
        if format == "csv":
            cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
            assert not any(cell.startswith(("=", "+", "-", "@")) and not number(cell) for cell in cells)
        if format == "latex":
            assert "\\input{" not in text and "${" not in text
        if format == "markdown":
            assert not re.search(r"(?<!\\)\]\(http", text) and not any(
                line.startswith("::") for line in text.splitlines()
            )


def number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


COMMANDS = (
    ["compare", "{}", "{}", "--all"],
    ["history", "--store", "{}"],
    ["compare", "{}", "{}", "--summary", "{out}"],
    ["compare", "{}", "{}", "--junit", "{out}"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_hostile_record_is_text_on_a_terminal(command: list[str], hostile_store: Path, tmp_path: Path) -> None:
    arguments = [one.format(hostile_store, out=tmp_path / "out") for one in command]
    done = CliRunner().invoke(app, arguments, env={"HARNESS_STORE": str(tmp_path / "own.sqlite"), "NO_COLOR": "1"})
    assert done.exit_code in (0, 3, 4, 5) and "Traceback" not in done.output, done.output
    texts = [done.output, *([(tmp_path / "out").read_text()] if (tmp_path / "out").exists() else [])]
    assert "{out}" not in command or len(texts) == 2
    for text in texts:
        assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
        assert not any(line.startswith("::error") for line in text.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "{}"], ["compare", "{}", "{}"], ["check", "softmax", "--cases", "{}"], ["judge", "{}"],
        ["report", "--store", "{}"], ["history", "--store", "{}"], ["compare", "HEAD", "--upload-pack=touch x"],
        ["compare", "--", "--upload-pack=touch x", "a\nb"], ["compare", "\x1b[31m", "HEAD"],
        ["compare", "a", "b", "--floor", "nan"], ["compare", "a", "b", "--floor", "1e999"],
        ["fuzz", "softmax/numpy/*", "--budget", "nan"], ["check", "\x1b[31m\ud800", "--seed", "-1"],
        ["bench", "softmax/numpy/online", "--budget", "-inf"], ["fuzz", "sum/*", "--budget", "0"],
        ["bench", "softmax/numpy/online", "--timeout", "nan"], ["compare", "a", "b", "--budget", "nan"],
        ["check", "softmax/numpy/online", "--seed", "-1"],
        ["import", "{}", "--commit", "--output=x"], ["report", "--store", "x://y"],
    ],
    ids=str,
)  # fmt: skip
def test_a_command_refuses_in_a_line(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\x00[[[")
    given = [one.format(path) for one in arguments]
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(app, given, env={"HARNESS_STORE": str(tmp_path / "own.sqlite")})
    assert done.exit_code in (2, 5) and "Traceback" not in done.output, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "\x1b" not in done.output
    assert {one.name for one in tmp_path.iterdir()} <= {"x.json", "own.sqlite"}
