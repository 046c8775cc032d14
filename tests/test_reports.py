"""Reports show what the records say, never a time for a wrong result, and nothing that a plugin slipped in."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import readings, record, timed
from harness.reports.page import page
from harness.reports.ranking import rankings
from harness.reports.report import Report
from harness.reports.words import number, time_words
from rich.console import Console

from harness import reports
from harness.record import COLUMNS, SAMPLE_COLUMNS, Record, Sample

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
    assert full.dtypes.equals(empty.dtypes)
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


class Page(HTMLParser):
    """The elements, links and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links.extend(value or "" for name, value in attrs if name in ("src", "href", "action"))


def full_page() -> str:
    failed = record(status="failed", reason="3 of 4 elements are wrong", case="float16[2]", dtype="float16")
    missing = record(backend="torch", status="missing", reason="type: pip install torch", case="float64[2]")
    samples = [*CLEAR.samples]
    return page(report([record(), failed, missing], list(CLEAR.timed), samples))


def test_the_page_is_self_contained_and_has_no_script() -> None:
    found = Page(full_page())
    assert "script" not in found.tags and "link" not in found.tags and "img" not in found.tags
    assert all(link.startswith("#") for link in found.links)
    assert "url(" not in full_page() and "@import" not in full_page()


def test_the_page_has_one_heading_and_a_table_beside_each_chart() -> None:
    found = Page(full_page())
    assert found.tags.count("h1") == 1
    assert found.tags.count("svg") == 1
    after = found.tags[found.tags.index("svg") :]
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
    cells = re.findall(r"round_trip</th>.*?</tr>", text, re.DOTALL)
    assert [re.findall(r'class="n">([^<]*)</td>', one)[-2:] for one in cells] == [["3", "2"], ["1 - 3", "2"]]
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
