"""Frames are typed and flat, files say what the frames say, and what is shown at a prompt gives the answer first."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Page, readings, record, timed
from harness.reports.display import as_html, as_markdown, as_text, of_comparison, of_histories, of_run
from harness.reports.history_export import SUFFIXES, write_history
from harness.reports.latex import PREAMBLE, tex
from harness.reports.parquet import read_rows
from harness.reports.report import Report
from markdown_it import MarkdownIt
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexWalker

from harness import reports
from harness.api import Run
from harness.comparing.verdicts import Compared, Comparison
from harness.histories import Histories, explain
from harness.record import COLUMNS, STATUSES, Record
from harness.series import Point, Series

EVIL = (
    "<script>alert(1)</script>\x1b[31m|`=HYPERLINK()`[bold]\\input{/etc/passwd}\u202e\nnext]]>&\"'%$#_^~--,,\ud800\x00"
)
NOW = "2026-01-31T12:00:00.250+00:00"
FAST = timed(
    "online", 1_200_000, started_at=NOW, commit="c0ffee", dirty=False, machine_id="m", case="float32[8x8]dim=1"
)
SLOW = timed(
    "builtin", 2_400_000, started_at=NOW, commit="c0ffee", dirty=False, machine_id="m", case="float32[8x8]dim=1"
)
WRONG = record(implementation="cheat", status="untrusted", reason="it beats the copy", started_at=NOW)
RUN = Run(
    "run",
    (record(case="float32[3]dim=0", started_at=NOW), WRONG),
    (FAST, SLOW),
    (*readings("online", [1_200_000] * 6), *readings("builtin", [2_400_000] * 6)),
)


def hostile_run() -> Run:
    evil = record(implementation=EVIL, case=EVIL, status="failed", reason=EVIL)
    return Run(EVIL, (evil,), (timed(EVIL, 1000, case=EVIL),), ())


def comparison(*rows: Compared) -> Comparison:
    return Comparison(base="HEAD~1", head="HEAD", machine_id="m", rows=rows)


def compared(implementation: str = "online", verdict: str = "SLOWER", **more: Any) -> Compared:
    about: dict[str, Any] = {
        "operator": "softmax",
        "backend": "numpy",
        "case": "float32[8]",
        "reason": "it takes longer",
    }
    if verdict != "SAME":
        about |= {
            "clock": "cpu",
            "ratio": 1.2,
            "ratio_low": 1.19,
            "ratio_high": 1.21,
            "base_cpu_ns": 1000,
            "notes": ("a", "b"),
        }
    return Compared(**{**about, "implementation": implementation, "verdict": verdict, **more})


def point(number: int, time_ns: int | None) -> Point:
    return Point(
        run_id=f"run{number}",
        started_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=number),
        commit=f"{number:08x}",
        dirty=False,
        status="failed" if time_ns is None else "passed",
        reason="3 of 4 elements are wrong" if time_ns is None else "",
        samples=12,
        median_ns=time_ns,
        ci_low_ns=time_ns,
        ci_high_ns=time_ns,
        cpu_median_ns=time_ns,
    )


def histories(implementation: str = "online") -> Histories:
    """A step of 10 % after 15 runs, and one run that was wrong."""
    noise = [0, 3, -2, 1, -1, 2, -3, 0, 2, -2, 1, 3, -1, 0, -2] * 2
    times = [round(1_000_000 * (1 + 0.001 * one) * (1.1 if number >= 15 else 1.0)) for number, one in enumerate(noise)]
    points = tuple(point(number, time) for number, time in enumerate([*times[:20], None, *times[20:]]))
    about = ("softmax", "numpy", implementation, "float32[8]dim=0", "m", "cpu", "one core does the work")
    names = ("operator", "backend", "implementation", "case", "machine_id", "clock", "clock_reason")
    series = Series(**dict(zip(names, about, strict=True)), points=points)
    return Histories("m", explain([series]), ())


FRAMES = {
    "records": (RUN.frame(), reports.records_frame([])),
    "samples": (RUN.samples(), reports.samples_frame("run", [])),
    "compared": (comparison(compared(), compared("b", "SAME")).frame(), comparison().frame()),
    "histories": (histories().frame(), Histories("m", (), ()).frame()),
    "points": (histories().points(), Histories("m", (), ()).points()),
    "changes": (histories().changes(), Histories("m", (), ()).changes()),
    "ranking": (
        reports.ranking_frame(Report({}, {}, (), RUN.timed, RUN.raw_samples)),
        reports.ranking_frame(Report({}, {}, (), (), ())),
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_typed_and_flat_and_an_empty_one_is_alike(name: str) -> None:
    frame, empty = FRAMES[name]
    assert len(frame) and not len(empty)
    kinds = {column: str(dtype) for column, dtype in frame.dtypes.items()}
    assert set(kinds.values()) <= {"category", "string", "Int64", "Float64", "boolean", "datetime64[us, UTC]"}, kinds
    assert [dtype.name for dtype in frame.dtypes] == [dtype.name for dtype in empty.dtypes]
    assert list(frame.columns) == list(empty.columns)
    for column in ("operator", "backend", "implementation", "case"):
        assert kinds[column] == "category"
    assert all(kind == "Int64" for column, kind in kinds.items() if column.endswith("_ns"))
    assert all(kind.startswith("datetime64") for column, kind in kinds.items() if column.endswith("_at"))
    nested = (list, tuple, dict, set)
    assert not any(isinstance(value, nested) for value in frame.astype(object).to_numpy().ravel())


def test_statuses_are_the_same_categories_in_every_frame() -> None:
    frames = [reports.records_frame([FAST]), reports.records_frame([WRONG])]
    assert all(tuple(frame["status"].cat.categories) == STATUSES for frame in frames)
    together = pd.concat(frames, ignore_index=True)
    assert together["status"].dtype.name == "category"
    counts = together.groupby("status", observed=False).size()
    assert counts["passed"] == counts["untrusted"] == 1 and counts["crashed"] == 0


def test_moments_are_of_utc_and_what_is_none_is_missing() -> None:
    frame = reports.records_frame([FAST, dataclasses.replace(SLOW, started_at="yesterday")])
    assert frame["started_at"][0] == pd.Timestamp(NOW)
    assert pd.isna(frame["started_at"][1])


def test_what_a_plugin_slips_in_does_not_break_a_frame() -> None:
    frame = reports.records_frame(hostile_run().checked)
    assert "alert(1)" in frame["reason"][0] and frame["implementation"].notna().all()
    frame.to_csv()


def test_parquet_gives_the_frame_and_the_records_back(tmp_path: Path) -> None:
    whole = Report({}, {}, RUN.checked, RUN.timed, ())
    reports.write(whole, "parquet", tmp_path / "run.parquet")
    back = pd.read_parquet(tmp_path / "run.parquet")
    assert tuple(back.columns) == COLUMNS and back["status"].dtype.name == "category"
    assert back["started_at"].tolist() == RUN.frame()["started_at"].tolist()
    rows = [Record(**{name: row[name] for name in COLUMNS}) for row in read_rows(tmp_path / "run.parquet")]
    by_id = {one.id: one for one in rows}
    assert by_id[FAST.id] == FAST and by_id[WRONG.id] == WRONG


def test_a_history_without_lists_says_how_much_it_leaves_out() -> None:
    found = histories()
    frame, (row,) = found.frame(), found.rows
    assert frame["change_points"][0] == len(row.changes) == 1
    assert frame["newest_change_percent"][0] == pytest.approx(10.0, abs=1.0)
    assert frame["newest_change_commit"][0] == f"{15:08x}" and "3 of 4 elements" in frame["newest_gap_reason"][0]
    changes = found.changes()
    assert changes["percent_low"][0] < 10.0 < changes["percent_high"][0]
    assert changes["commit_before"][0] == f"{14:08x}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_history_is_written_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new/history{suffix}"
    write_history(histories(), path)
    if suffix == ".parquet":
        assert pd.read_parquet(path)["change_points"].tolist() == [1]
        return
    text = path.read_text(encoding="utf-8")
    assert "online" in text
    if suffix == ".csv":
        (row,) = csv.DictReader(text.splitlines())
        assert row["change_points"] == "1" and list(row) == list(histories().frame().columns)
    if suffix == ".json":
        assert json.loads(text)[0]["change_points"][0]["commit"] == f"{15:08x}"
    if suffix == ".md":
        assert "<table>" in MarkdownIt("commonmark").enable("table").render(text)


def test_another_suffix_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.svg, \.html, .* or \.parquet"):
        write_history(histories(), tmp_path / "history.docx")


def read_back(text: str) -> str:
    """What LaTeX would set, by a parser that is not ours."""
    read = LatexNodes2Text(strict_latex_spaces=True).nodelist_to_text(LatexWalker(text).get_latex_nodes()[0])
    assert isinstance(read, str)
    return read


COMMANDS = {"^": "textasciicircum", "<": "textless", ">": "textgreater", "|": "textbar", '"': "char34"}
"""Characters that the parser knows no command for, or reads as another character."""


@pytest.mark.parametrize("char", sorted({*map(chr, range(32, 127)), "é", "ß", "Ü"} - set(COMMANDS)))
def test_each_character_is_set_as_itself(char: str) -> None:
    assert read_back(f"a{tex(char)}b") == f"a{char}b"


@pytest.mark.parametrize("char", "#$%&_{}")
def test_a_character_that_is_special_is_escaped(char: str) -> None:
    assert tex(f"a{char}b") == f"a\\{char}b"


@pytest.mark.parametrize("char", COMMANDS)
def test_a_character_with_a_meaning_is_set_by_its_command(char: str) -> None:
    assert tex(f"a{char}b") == f"a\\{COMMANDS[char]}{{}}b"


def test_two_hyphens_stay_two_and_no_command_gets_through() -> None:
    assert tex("--floor") == r"-{}-floor"
    assert r"\input{" not in tex(EVIL) and "\n" not in tex(EVIL) and "\x1b" not in tex(EVIL)
    assert tex("%") == r"\%" and tex("\\") == r"\textbackslash{}"


def files() -> dict[str, str]:
    """A LaTeX file of each kind, with whatever a plugin can put in."""
    whole = Report({"command": "bench", "run_id": EVIL}, {}, hostile_run().checked, hostile_run().timed, ())
    chinese = Report({"command": "bench", "run_id": "r"}, {}, (), (timed("中文Ωé", 1000), timed("[b]*", 2000)), ())
    return {
        "run": reports.text_of(
            Report({"command": "bench", "run_id": "r"}, {}, RUN.checked, RUN.timed, RUN.raw_samples), "latex"
        ),
        "hostile": reports.text_of(whole, "latex"),
        "chinese": reports.text_of(chinese, "latex"),
        "compared": reports.compared_text(comparison(compared(EVIL), compared("b", "SAME")), "latex"),
    }


@pytest.mark.parametrize("name", ["run", "hostile", "chinese", "compared"])
def test_a_latex_file_is_balanced_and_its_rows_have_as_many_cells_as_columns(name: str) -> None:
    text = files()[name].removeprefix(PREAMBLE)
    assert all(char.isascii() or char in "éß" for char in text)
    body = re.sub(r"(?<!\\)%.*", "", text)
    braces = re.sub(r"\\[{}]", "", body)
    assert braces.count("{") == braces.count("}")
    tables = re.findall(r"\\toprule\n(.*?)\\bottomrule", body, re.DOTALL)
    assert tables and len(tables) == body.count(r"\begin{table}") == body.count(r"\end{table}")
    for table in tables:
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        counts = {len(re.findall(r"(?<!\\)&", row)) for row in rows}
        assert len(rows) >= 2 and len(counts) == 1, table


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_latex_compiles_it(engine: str, tmp_path: Path) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed: apt-get install texlive-latex-base")
    parts = []
    for name, text in files().items():
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
        parts.append(rf"\input{{{name}}}")
    everything = tex("".join(map(chr, range(32, 127))) + "µ\u00d7±·…\u2013\u2014∞≤≥\u2212°éß中")
    document = "\n".join(
        [
            r"\documentclass{article}",
            r"\begin{document}",
            PREAMBLE,
            everything,
            *parts,
            r"\listoftables",
            r"\end{document}",
        ]
    )
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    for _ in range(2):
        done = subprocess.run(
            [engine, "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
            cwd=tmp_path,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


SHOWN = {
    "run": (of_run(RUN), "Run run: 3 passed · 1 untrusted", "numpy/online"),
    "comparison": (of_comparison(comparison(compared())), "Of 1 task, 1 is slower.", "softmax/numpy/online"),
    "histories": (of_histories(histories()), "1 of 1 task got slower", "softmax/numpy/online"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_answer_comes_first_and_the_table_after_it(name: str) -> None:
    summary, answer, row = SHOWN[name]
    for text in (as_text(summary), as_markdown(summary).replace("\\", ""), as_html(summary)):
        assert text.index(answer) < text.index(row) < text.index("frame()")
    assert "<table" in MarkdownIt("commonmark").enable("table").render(as_markdown(summary))
    assert max(len(line) for line in as_text(summary).splitlines()) <= 160


def test_objects_show_themselves_so() -> None:
    for one in (RUN, comparison(compared()), histories()):
        assert "frame()" in repr(one) and one._repr_html_().startswith("<p><strong>")
        assert one._repr_markdown_().startswith("**")


def test_columns_of_a_prompt_stand_under_each_other() -> None:
    lines = [line for line in repr(RUN).splitlines() if "numpy/" in line and "softmax" not in line]
    assert len(lines) == 2 and "1.200" in lines[0] and "2.400" in lines[1]
    assert lines[0].index("1.200") == lines[1].index("2.400")
    assert "wrong" not in repr(comparison(compared("b", "SAME")))


def test_a_hostile_name_is_text_at_a_prompt_and_in_a_notebook() -> None:
    shown = [
        of_run(hostile_run()),
        of_comparison(comparison(compared(EVIL, reason=EVIL))),
        of_histories(histories(EVIL)),
    ]
    for summary in shown:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800]", as_text(summary))
        html = as_html(summary)
        assert "alert(1)" in html
        assert set(Page(html).tags) <= {
            "p",
            "strong",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "small",
            "br",
        }
        rendered = MarkdownIt("commonmark").enable("table").render(as_markdown(summary))
        assert "<script" not in rendered and "<a " not in rendered


def test_a_large_run_is_shown_short() -> None:
    many = Run("run", (), tuple(timed(f"i{one}", 1000 + one, case=f"float32[{one % 40}]") for one in range(2000)), ())
    assert len(repr(many).splitlines()) < 80 and "and 36 more cases" in repr(many)


def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    path = Path(__file__).parent.parent / "examples/report.ipynb"
    notebook = nbformat.read(path, as_version=4)
    stored = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in stored) and any(cell.outputs for cell in stored)
    assert path.stat().st_size < 100_000
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
    assert [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"] == [
        bool(cell.outputs) for cell in stored
    ]
