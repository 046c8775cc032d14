"""Reports show what the records say, never a time for a wrong result, and nothing that a plugin slipped in."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Page, readings, record, timed
from harness.reports.latex import latex
from harness.reports.page import page
from harness.reports.page_gates import AGAIN, gate_of
from harness.reports.page_language import language
from harness.reports.page_rows import command
from harness.reports.page_tasks import MOST_ROWS, all_tasks, choose
from harness.reports.page_trial import made_up
from harness.reports.ranking import rankings
from harness.reports.report import Report
from harness.reports.run_junit import run_junit
from harness.reports.words import number, time_words
from rich.console import Console

from harness import reports
from harness.judge.compare import compare
from harness.judge.revealed import from_parents
from harness.record import COLUMNS, SAMPLE_COLUMNS, STATUSES, Record, Sample
from harness.registry import load
from harness.reporting import write_report
from harness.revealing import Found
from harness.store import RunInfo, Store

EVIL = "<script>alert(1)</script>\x1b[31m|`=HYPERLINK()`[bold]\u202e\nnext"


def report(checked: list[Record] = [], timed: list[Record] = [], samples: list[Sample] = [], **run: Any) -> Report:  # noqa: B006 - never changed
    about = {
        "run_id": "20260101T000000-abcdef",
        "started_at": "2026-01-01T00:00:00",
        "finished_at": None,
        "command": "bench",
        "selectors": ("softmax",),
        "seed": 5,
        "commit": None,
        "dirty": None,
        "machine_id": "abc",
        "exit_code": 0,
        "admission": {"softmax": {"mutants": 16, "killed": 16, "survivors": []}},
        "ceiling": {"65536": 40.0},
        "notes": ["allocation is inside the time"],
        "used_by_others": None,
        **run,
    }
    return Report(about, {"cpu": "test", "cores_usable": 2}, tuple(checked), tuple(timed), tuple(samples))


def two_timed(first_ns: list[int], second_ns: list[int]) -> Report:
    return report(
        timed=[timed("fast", sorted(first_ns)[2]), timed("other", sorted(second_ns)[2])],
        samples=[*readings("fast", first_ns), *readings("other", second_ns)],
    )


CLEAR = two_timed([1000, 1010, 990, 1005, 1000, 995], [2000, 2010, 1990, 2005, 2000, 1995])
UNCLEAR = two_timed([1000, 1400, 990, 1405, 1000, 995], [1300, 1010, 1390, 1005, 1300, 995])


def shown(whole: Report) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    for table in reports.ranking_tables(whole):
        console.print(table)
    for line in reports.conformance_lines(whole):
        console.print(line)
    return console.export_text()


def test_a_frame_has_the_columns_of_the_contract_and_nullable_dtypes() -> None:
    frame = reports.records_frame([record(), timed("b", 5000)])
    assert tuple(frame.columns) == COLUMNS
    assert frame["median_ns"].dtype == "Int64" and frame["median_ns"].isna().tolist() == [True, False]
    assert frame["run_to_run_bitwise"].dtype == "boolean"
    assert frame["gb_per_s"].dtype == "Float64"


def test_an_empty_frame_has_the_same_columns_and_dtypes() -> None:
    full, empty = reports.records_frame([record()]), reports.records_frame([])
    assert len(empty) == 0
    assert [one.name for one in full.dtypes] == [one.name for one in empty.dtypes]
    assert tuple(reports.samples_frame("run", []).columns)[: len(SAMPLE_COLUMNS)] == SAMPLE_COLUMNS


def test_samples_have_times_per_call() -> None:
    frame = reports.samples_frame("run", readings("a", [100, 300], calls=4))
    assert frame["wall_ns_per_call"].tolist() == [25.0, 75.0]
    assert frame["run_id"].unique().tolist() == ["run"]


def test_a_clear_order_is_ranked_with_the_ratio_of_pairs() -> None:
    (group,) = rankings(CLEAR)
    assert [(place.rank, place.verdict) for place in group.places] == [(1, "fastest"), (2, "slower")]
    assert group.places[1].relative.estimate == pytest.approx(2.0, rel=0.02)
    assert group.places[1].relative.low > 1.0


def test_an_order_that_the_run_could_not_see_is_not_claimed() -> None:
    (group,) = rankings(UNCLEAR)
    assert [place.rank for place in group.places] == [1, 1]
    assert group.places[1].verdict == "tied"
    assert "1=" in shown(UNCLEAR)


def test_pairs_order_what_medians_would_order_otherwise() -> None:
    """Both are disturbed in half of the blocks, the quicker one in one block more: its median is the larger."""
    quick = [100, 100, 100, 9000, 9000, 9000, 9000]
    slow = [120, 120, 120, 120, 9900, 9900, 9900]
    order = [0, 1, 2, 4, 5, 6, 3]
    whole = report(
        timed=[timed("quick", 9000), timed("slow", 120)],
        samples=[*readings("quick", [quick[i] for i in order]), *readings("slow", [slow[i] for i in order])],
    )
    (group,) = rankings(whole)
    assert group.places[0].record.implementation == "quick"
    assert group.places[1].relative.estimate == pytest.approx(1.1, abs=0.11)


def test_who_refuses_cases_is_not_shown_as_if_it_ran_everywhere() -> None:
    """One that supports only what it is right on looks like any other otherwise; cases of other dtypes do not count."""
    checked = [
        *(record(implementation="fast", case=str(n), status="unsupported", reason="no") for n in range(2)),
        record(implementation="fast", case="2"),
        record(implementation="fast", case="3", dtype="float16", status="unsupported", reason="no"),
        *(record(implementation="other", case=str(n)) for n in range(3)),
    ]
    whole = report(checked=checked, timed=CLEAR.timed, samples=CLEAR.samples)
    (group,) = rankings(whole)
    assert [(one.refused, one.cases) for one in group.places] == [(2, 3), (0, 3)]
    for text in (shown(whole), page(whole), latex(whole)):
        assert text.count("refuses 2 of 3 cases") >= 1 and "refuses 0" not in text


def test_without_common_blocks_no_order_is_claimed() -> None:
    first, second = timed("a", 1000), timed("b", 9000)
    samples = [*readings("a", [1000, 1000]), *readings("b", [9000, 9000], process=5)]
    (group,) = rankings(report(timed=[first, second], samples=samples))
    assert [place.rank for place in group.places] == [1, 1]


def test_no_time_is_shown_for_a_wrong_result() -> None:
    wrong = record(implementation="cheat", status="untrusted", reason="it lies")
    whole = report(timed=[timed("honest", 1000), wrong], samples=readings("honest", [1000, 1001]))
    (group,) = rankings(whole)
    assert [place.record.implementation for place in group.places] == ["honest"]
    assert [one.implementation for one in group.without_time] == ["cheat"]
    for text in (page(whole), reports.text_of(whole, "markdown"), shown(whole)):
        assert "it lies" in text
    frame = reports.ranking_frame(whole)
    assert "cheat" not in set(frame["implementation"])


def test_a_record_cannot_hold_a_time_beside_a_failure() -> None:
    with pytest.raises(ValueError, match="only what passed has one"):
        record(status="failed", reason="wrong", median_ns=5)


def rows_of(text: str, section: str) -> list[list[str]]:
    """The cells of all rows of a section's tables, as text without tags."""
    (part,) = re.findall(rf'<section id="{section}">(.*?)</section>', text, re.DOTALL)
    bodies = "".join(re.findall(r"<tbody>(.*?)</tbody>", part, re.DOTALL))
    rows = [re.split(r"<t[dh]\b[^>]*>", row)[1:] for row in bodies.split("<tr>")[1:]]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in rows]


def full_page() -> str:
    failed = record(status="failed", reason="3 of 4 elements are wrong", case="float16[2]", dtype="float16")
    missing = record(backend="torch", status="missing", reason="type: pip install torch", case="float64[2]")
    samples = [*CLEAR.samples]
    return page(report([record(), failed, missing], list(CLEAR.timed), samples))


def test_the_page_is_self_contained_and_its_policy_lets_its_own_script_run_only() -> None:
    text = full_page()
    found = Page(text)
    assert found.tags.count("script") == 1 and "link" not in found.tags and "img" not in found.tags
    assert all(link.startswith("#") for link in found.links)
    assert "url(" not in text and "@import" not in text and " style=" not in text
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src &#39;none&#39;" in policy and "unsafe" not in policy
    for name in ("script", "style"):
        (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src &#39;sha256-{digest}&#39;;" in policy


def test_the_page_has_one_heading_and_a_table_beside_each_chart() -> None:
    found = Page(full_page())
    assert found.tags.count("h1") == 1
    assert found.tags.count("svg") >= 3
    for at, tag in enumerate(found.tags):
        if tag == "svg":
            after = found.tags[at:]
            assert "table" in after[: after.index("h2")]
    assert found.tags.count("caption") == found.tags.count("table")


def test_links_of_the_page_lead_somewhere() -> None:
    text = full_page()
    for target in re.findall(r'href="#(\w+)"', text):
        assert f'id="{target}"' in text


def test_the_page_says_what_is_wrong_first_and_how_to_run_it_again() -> None:
    text = full_page()
    assert "1 of 5 tasks are wrong" in text
    assert text.index("What is wrong</h2>") < text.index("Ranking</h2>")
    assert "harness check &#39;softmax/numpy/builtin/float16[2]&#39; --seed 1" in text


def test_the_page_opens_on_who_is_right_and_who_is_fastest_and_how_sure_that_is() -> None:
    (clear,) = rows_of(page(CLEAR), "answer")
    assert clear[0] == "softmaxharness bench softmax --seed 5"
    assert clear[1:5] == ["2 of 2", "✓ none", "numpy/fast", "1 of 1"]
    assert clear[5].startswith("2.0") and "✓" in clear[6]
    (unclear,) = rows_of(page(UNCLEAR), "answer")
    assert unclear[5] == "-" and unclear[6] == "? not told apart from the next"
    wrong = report(list(CLEAR.checked), [*CLEAR.timed, record(implementation="cheat", status="failed", reason="no")])
    (row,) = rows_of(page(wrong), "answer")
    assert row[1] == "2 of 3" and "numpy/cheat: 1 of 1 tasks" in row[2]


def test_a_known_failure_and_a_wrong_one_are_told_apart() -> None:
    whole = report(
        [
            record(),
            record(case="float32[4]", status="failed", reason="breaks the law shift: no", known="the library's fault"),
            record(implementation="other", case="float32[5]", status="timeout", reason="no answer in 60 s"),
        ]
    )
    rows = {row[0].split("known")[0].split("timeout")[0]: row for row in rows_of(page(whole), "conformance")}
    builtin, other = rows["numpy/builtin"], rows["numpy/other"]
    assert builtin[4] == "✓ 1" and builtin[5] == "? 1 of 2" and "the library's fault" in builtin[0]
    assert other[1] == "✗ 1 of 1" and "harness check 'softmax/numpy/other/float32[5]' --seed 1" in other[0]


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("values", {"reason": compare(np.zeros(2), np.ones(2), np.zeros(2), "float64").reason}),
        ("values", {"reason": AGAIN + compare(np.zeros(2), np.full(2, np.nan), np.zeros(2), "float64").reason}),
        ("values", {"reason": compare(np.zeros(2, int), np.ones(2, int), np.zeros(2), "int64").reason}),
        ("structure", {"reason": compare(np.zeros(3), np.ones(2), np.zeros(2), "float64").reason}),
        ("structure", {"reason": "returned 2 arrays where one is right"}),
        ("isolation", {"reason": "its output shares memory with an input, where a new array is right"}),
        ("isolation", {"reason": "modified its input 0: 4 bytes changed"}),
        ("isolation", {"reason": "it sent a reply that nobody had asked for", "status": "untrusted"}),
        ("gradients", {"reason": "gradient of input 0: raised ValueError: no", "status": "error"}),
        ("laws", {"reason": "breaks the law shift: two answers that must agree do not, by up to 1"}),
        ("runs", {"reason": "the worker was killed by SIGSEGV", "status": "crashed"}),
        ("runs", {"reason": "KernelFault: data race in tree<float> (tree.cu:9, block 0, thread 1)"}),
        (
            "bad input",
            {"reason": "returned float32[] for bad input instead of raising: a dim", "case": "float32[3],raises"},
        ),
    ],
)
def test_a_failure_is_told_by_the_gate_that_it_broke(gate: str, changes: dict[str, Any]) -> None:
    assert gate_of(record(**{"status": "failed", **changes})) == gate


@pytest.mark.parametrize(("tasks", "most"), [(2000, 2_000_000), (6000, 4_000_000)])
def test_the_page_of_a_large_run_stays_small_and_says_what_it_leaves_out(tasks: int, most: int) -> None:
    large = made_up(tasks)
    assert len(large.records) == tasks
    text = page(large)
    assert len(text.encode()) < most
    rows = rows_of(text, "tasks")
    assert len(rows) == min(tasks, MOST_ROWS)
    assert text.count("CuPy is not installed") < tasks / 40, "a reason of many rows is told once"
    wrong = {one.id for one in large.wrong}
    assert len(wrong & {"/".join((row[0], row[1], row[2], row[4])) for row in rows}) == len(wrong)
    assert ("This page holds 4,000 rows" in text and "--format csv" in text) == (tasks > MOST_ROWS)


@pytest.mark.parametrize("status", STATUSES)
def test_the_page_of_a_large_run_holds_rows_whatever_their_status(status: str) -> None:
    reason = "" if status == "passed" else "why"
    many = [record(case=f"float32[{size}]", status=status, reason=reason) for size in range(MOST_ROWS + 100)]
    chosen, left_out = choose(many)
    assert len(chosen) == MOST_ROWS and left_out.startswith("4,000 of 4,100 ")
    answer = all_tasks(report(many)).section.answer
    assert "This page holds 4,000 rows" in answer and "4,000 of 4,100" in answer and "--format csv" in answer


def test_revealed_trees_are_drawn_once_each_and_held_against_what_is_declared() -> None:
    declared = {one.id: one for one in load().declarations if one.operator == "sum" and one.backend == "numpy"}
    builtin, other, *_ = declared.values()
    chain = from_parents(3, [3, 3, 4, 4, -1])
    found = (
        Found(builtin, 3, "float32", chain, "", ""),
        Found(other, 3, "float32", chain, "", "<b>it is a chain</b>"),
        Found(other, 3, "float32", None, "the order is not fixed", ""),
    )
    text = page(dataclasses.replace(CLEAR, trees=found))
    assert text.count('<svg class="tree"') == 1 and "<b>it is" not in text and " style=" not in text
    rows = {row[0]: row for row in rows_of(text, "trees")}
    assert "1 declared tree of 3 contradicted by probing" in text
    assert rows[builtin.id][2] == "✓ as declared" and rows[builtin.id][4].startswith(
        f"harness reveal {builtin.id} -n 3"
    )
    assert "the order is not fixed" in rows[other.id][1], "the last table is of those that were not revealed"


def test_the_command_of_a_row_is_one_command_whatever_its_name_holds() -> None:
    evil = record(implementation="x'; touch owned; '$(touch owned)`touch owned`\n", status="failed", reason="no")
    words = shlex.split(command("check", evil, report([evil])))
    assert words == ["harness", "check", evil.id.replace("\n", " "), "--seed", "1"]


def commands_of(**run: Any) -> set[tuple[str, ...]]:
    """All commands that page, terminal and JUnit XML name for a run of one wrong task with a hostile name."""
    evil = record(implementation="x'; touch owned; '", case="problem", status="error", reason="zeros")
    whole = report([evil], **{"admission": None, "budget_s": None, **run})
    texts = [html.unescape(one) for one in re.findall(r"<(?:pre|code)[^>]*>(harness .*?)</", page(whole))]
    texts += [str(line)[9:] for line in reports.conformance_lines(whole) if str(line).startswith("  error  ")]
    xml = run_junit(RunInfo(**whole.run), whole.records)
    texts += re.findall(r"^harness .*?(?=<|$)", html.unescape(xml), re.MULTILINE)
    assert len(texts) > 4
    return {tuple(shlex.split(text)) for text in texts}


def test_what_was_imported_or_judged_elsewhere_is_never_said_to_run_here() -> None:
    task = "softmax/numpy/x'; touch owned; '"
    assert commands_of(command="import") == {
        ("harness", "history", name, "--machine", "abc") for name in (f"{task}/problem", "softmax")
    } | {("harness", "import", "softmax")}
    given = ("my problem.py", "it's.py")
    judged = ("harness", "judge", *given)
    assert commands_of(command="judge", selectors=given) == {judged, (*judged, "--seed", "1"), (*judged, "--seed", "5")}
    assert commands_of(command="check") == {
        ("harness", "check", f"{task}/problem", "--seed", "1"),
        ("harness", "check", "softmax", "--seed", "5"),
        ("harness", "check", "softmax"),
    }
    imported = record(status="imported", reason="5 ns by another tool")
    text = page(report([], [imported, record(case="x", status="error", reason="no")], command="import"))
    assert "its history" in text and not re.search("runs? it again|times it again", text)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("the maximum of each row is subtracted from it", "en"),
        ("die Summe über jede Zeile ist eins", "de"),
        ("la somme de chaque ligne est un", "fr"),
        ("沿一个轴求和", "zh"),
        ("行ごとの合計", "ja"),
        ("x / sum(x)", ""),
    ],
)
def test_the_language_of_a_description_is_told_where_it_can_be(text: str, tag: str) -> None:
    assert language(text) == tag


def test_what_a_plugin_slips_in_is_inert_everywhere() -> None:
    evil = record(implementation=EVIL, case=EVIL, status="failed", reason=EVIL)
    slow = timed("=cmd()", 1000, case=EVIL)
    whole = report([evil], [slow], [])
    text = page(whole)
    assert "<script>alert" not in text and "\x1b" not in text
    terminal = shown(whole)
    assert "\x1b" not in terminal and "[bold]" in terminal
    markdown = reports.text_of(whole, "markdown")
    assert "\x1b" not in markdown
    cells = [line for line in markdown.splitlines() if line.startswith(("- softmax", "## "))]
    assert all(re.search(r"(?<!\\)<script", line) is None for line in cells)
    assert "'=cmd()" in reports.text_of(whole, "csv")


def test_a_name_with_backticks_stays_inside_its_code_span() -> None:
    evil = record(implementation="a` <img src=x onerror=alert(1)> `b", status="failed", reason="no")
    (line,) = (one for one in reports.text_of(report([evil]), "markdown").splitlines() if one.startswith("- "))
    span = re.fullmatch(r"- (`+) (.*) \1 failed: no", line)
    assert span and span[2] == evil.id and span[1] not in evil.id, line


def test_a_report_goes_to_stdout_as_what_was_asked_for(store_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reveal(ids: Any) -> list[Found]:
        pytest.fail("nothing is to be revealed")

    with Store.open(str(store_path)) as store:
        run = store.start_run(
            command="check", selectors=(), seed=1, budget_s=None, machine={}, machine_id="abc", commit=None, dirty=None
        )
        store.add(record(run_id=run.run_id), "check")
        begins = {"html": "<!doctype html>", "markdown": "# kernel-", "csv": "run_id,", "json": "[", "latex": "%"}
        for format, begin in begins.items():
            assert write_report(store, None, format, Path("-")) is None
            assert capsys.readouterr().out.lower().lstrip().startswith(begin)
        with pytest.raises(ValueError, match=r"-o run\.parquet"):
            write_report(store, None, "parquet", Path("-"))
        with pytest.raises(ValueError, match="-o results"):
            write_report(store, None, "asv", Path("-"))
        for format in ("csv", "junit"):
            with pytest.raises(ValueError, match="only a page draws trees"):
                write_report(store, None, format, None, reveal)
    with pytest.raises(ValueError, match="'pdf' is no text format"):
        reports.text_of(report(), "pdf")
    assert capsys.readouterr().out == ""


def test_json_has_no_nan_and_null_for_what_does_not_apply() -> None:
    rows = json.loads(
        reports.json_rows([record(error_over_bound=float("inf"), max_ulp=float("nan"))]),
        parse_constant=lambda token: pytest.fail(f"{token} is no JSON"),
    )
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["median_ns"] is None and rows[0]["max_ulp"] is None and rows[0]["error_over_bound"] == "Infinity"


def test_parquet_comes_back_as_the_frame(tmp_path: Path) -> None:
    reports.write(report([record(), timed("b", 7)]), "parquet", tmp_path / "run.parquet")
    assert tuple(pd.read_parquet(tmp_path / "run.parquet").columns) == COLUMNS


def test_a_busy_machine_is_said_to_be_busy_and_a_quiet_one_is_not() -> None:
    busy, quiet = (
        report(list(CLEAR.checked), list(CLEAR.timed), list(CLEAR.samples), used_by_others=share)
        for share in (0.4, 0.02)
    )
    for text in (page(busy), shown(busy), reports.text_of(busy, "markdown")):
        assert "used 40 % of the cores" in " ".join(text.split())
    assert "of the cores" not in page(quiet) and "of the cores" not in shown(quiet)


def test_a_run_of_nothing_is_a_page_too() -> None:
    assert "Nothing was measured" in page(report(notes=[], ceiling=None, admission=None))
    assert "nothing ran" in shown(report())


def counted_report(counted: bool) -> Report:
    """A round trip against a strategy without, and one whose backend counts nothing."""
    names = {"fast": (5, 0), "round_trip": (3, 2), "other": (None, None)}
    found = {name: one if counted else (None, None) for name, one in names.items()}
    timed_ones = [
        timed(name, 1000 * (number + 1), launches=found[name][0], host_round_trips=found[name][1])
        for number, name in enumerate(names)
    ]
    checked = [
        record(implementation=name, case=case, launches=launches, host_round_trips=trips)
        for name, (launches, trips) in found.items()
        for case, launches in (("float32[1]dim=0", launches and 1), ("float32[9999]dim=0", launches))
    ]
    samples = [one for number, name in enumerate(names) for one in readings(name, [1000 * (number + 1)] * 4)]
    return report(checked, timed_ones, samples)


def test_launches_and_host_round_trips_stand_beside_the_times_that_they_explain() -> None:
    whole = counted_report(True)
    (line,) = (one for one in reports.text_of(whole, "markdown").splitlines() if "numpy/round\\_trip" in one)
    assert line.endswith("| 3 | 2 |")
    assert reports.text_of(whole, "markdown").count("| - | - |") == 1  # not counted is no zero
    terminal = shown(whole)
    (line,) = (
        one for one in terminal.splitlines() if "numpy/round_trip" in one and "0.25" in one and "passed" not in one
    )
    assert line.split()[-2:] == ["3", "2"] and "launches" in terminal
    text = page(whole)
    (ranked,) = (row for row in rows_of(text, "ranking") if "round_trip" in row[0])
    assert ranked[-2:] == ["3", "2"]
    (counted,) = (row for row in rows_of(text, "device") if "round_trip" in row[0])
    assert counted[1:3] == ["1 - 3", "2"]
    assert "On a round trip the device stands still" in text
    frame = reports.ranking_frame(whole)
    assert frame.set_index("implementation")["host_round_trips"].dropna().to_dict() == {"fast": 0, "round_trip": 2}


def test_where_nothing_is_counted_no_column_asks_for_it() -> None:
    whole = counted_report(False)
    for text in (page(whole), shown(whole), reports.text_of(whole, "markdown")):
        assert "launches" not in text and "round trips" not in text and "round\n" not in text


def test_a_task_that_was_checked_and_timed_is_one_row() -> None:
    whole = report([record(case="x")], [timed("builtin", 1000, case="x")])
    assert [one.median_ns for one in whole.records] == [1000]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.1234, "0.123"), (12345.6, "12346"), (1.5e-9, "1.50e-09"), (float("inf"), "∞")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_interval_decides_the_digits() -> None:
    assert time_words(1_234_567, 1_234_000, 1_235_000, 1e6) == ("1.235", "1.234 - 1.235")
    assert time_words(1_234_567, 900_000, 1_600_000, 1e6) == ("1.23", "0.90 - 1.60")
    assert time_words(12_345_678, 2_000_000, 35_000_000, 1e6) == ("12", "2 - 35")
