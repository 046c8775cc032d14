"""A comparison is shown as it is: the worst first, nothing left out in silence, and foreign text as text only."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from conftest import Page
from harness.reports import inert
from harness.reports.compared import COLUMNS, FORMATS, again, change, headline, ordered, percent
from harness.reports.compared_markdown import MOST_CHANGED, MOST_SAME
from harness.reports.forest import forest
from markdown_it import MarkdownIt
from rich.console import Console

from harness import reports
from harness.comparing.verdicts import VERDICTS, Compared, Comparison

EVIL = "<script>alert(1)</script>\x1b[31m|`=HYPERLINK()`[bold]![x](http://e)\u202e\nnext]]>&\"'\U0001f40c\ud800\x00"


def row(implementation: str, verdict: str = "SAME", **changes: Any) -> Compared:
    about = {"operator": "softmax", "backend": "numpy", "case": "float32[8x8]dim=1", "reason": f"why {implementation}"}
    return Compared(**{**about, "implementation": implementation, "verdict": verdict, **changes})


def measured(implementation: str, verdict: str, ratio: float, width: float = 0.009, **changes: Any) -> Compared:
    about = {
        "clock": "cpu",
        "ratio": ratio,
        "ratio_low": ratio - width / 2,
        "ratio_high": ratio + width / 2,
        "detectable": 0.006,
        "threshold": 0.01,
        "base_cpu_ns": 1_600_000,
        "head_cpu_ns": None if math.isnan(ratio) else round(1_600_000 * ratio),
        "base_ns": 9_000_000,
        "head_ns": 9_000_000,
        "samples": 480,
        "contaminated": 7,
        "rounds": 12,
        "spent_s": 4.25,
    }
    return row(implementation, verdict, **{**about, **changes})


SLOWER = measured("online", "SLOWER", 1.031, instructions_ratio=1.038, code_path="changed", notes=("2 more registers",))
ROWS = (
    measured("steady", "SAME", 1.001),
    measured("moved", "SAME", 0.999, renamed_from="softmax/numpy/old/float32[8x8]dim=1", detectable=0.011),
    row("untouched", identical=True),
    measured("quick", "FASTER", 0.94),
    row("fresh", "NEW"),
    SLOWER,
    measured("worse", "SLOWER", 1.5),
    measured("murky", "UNCLEAR", 1.008, 0.03),
    row("gone", "MISSING"),
    row("broken", "FAILED"),
)


def comparison(*rows: Compared, **changes: Any) -> Comparison:
    about = {"base": "HEAD~1 (1a2b3c)", "head": "HEAD (4d5e6f)", "machine_id": "abc", "spent_s": 35.5}
    return Comparison(**{**about, "rows": rows, **changes})


WHOLE = comparison(*ROWS, notes=("Other processes used 12 % of the cores.",))
HOSTILE = comparison(
    *(
        Compared(**{**measured("x", verdict, 1.05).as_data(), **dict.fromkeys(("operator", "backend"), EVIL)}
                 | {"implementation": EVIL, "case": EVIL, "reason": EVIL, "renamed_from": EVIL, "notes": (EVIL,)})
        for verdict in VERDICTS
    ),
    base=EVIL,
    head=EVIL,
    machine_id=EVIL,
    notes=(EVIL,),
)  # fmt: skip


def shown(whole: Comparison, **options: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    for line in reports.compared_lines(whole, **options):
        console.print(line)
    return console.export_text()


def test_a_change_has_a_sign_and_the_digits_that_its_interval_allows() -> None:
    assert change(1.031, 1.0265, 1.0352) == "+3.1 % [2.6, 3.5]"
    assert change(0.98, 0.9793, 0.9805) == "-2.0 % [-2.1, -1.9]"
    assert change(1.00312, 1.0030, 1.0033) == "+0.31 % [0.30, 0.33]"
    assert change(3.2, 3.1, 3.3) == "+220 % [210, 230]"
    assert change(0.9999, 0.995, 1.004) == "+0.0 % [-0.5, 0.4]"
    assert change(1.0, 1.0, 1.0) == "+0.000 % [0.000, 0.000]"


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(None, "-"), (float("nan"), "?"), (1.031, "+3.1 %"), (0.5, "-50 %"), (1.0, "0 %"), (1 - 1e-9, "0 %")],
)
def test_a_change_without_an_interval_claims_none(ratio: float | None, words: str) -> None:
    assert change(ratio, None, None) == percent(ratio) == words
    assert "[" not in change(1.2, 1.1, float("inf"))


def test_the_worst_comes_first_and_nothing_is_lost() -> None:
    names = [one.implementation for one in ordered(ROWS)]
    assert names[:7] == ["broken", "worse", "online", "gone", "murky", "fresh", "quick"]
    assert sorted(names) == sorted(one.implementation for one in ROWS)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "Nothing was compared."),
        ((ROWS[0],), "No change beyond its threshold was seen in the one task."),
        (ROWS[:2], "No change beyond its threshold was seen in any of 2 tasks."),
        (
            (ROWS[2], ROWS[2]),
            "Source and environment are identical on both sides: there is no change in any of 2 tasks.",
        ),
        ((ROWS[0], ROWS[2]), "No change beyond its threshold was seen in any of 2 tasks."),
        ((SLOWER,), "Of 1 task, 1 is slower."),
        ((row("a", "MISSING"), row("b", "NEW")), "Of 2 tasks, 1 is missing in HEAD and 1 is new. None was compared."),
        ((SLOWER, *ROWS[:2]), "Of 3 tasks, 1 is slower and 2 are the same."),
    ],
)
def test_the_headline_is_a_sentence_that_counts_everything(rows: tuple[Compared, ...], words: str) -> None:
    assert headline(comparison(*rows)) == words


def test_a_task_is_compared_again_by_what_was_typed() -> None:
    assert again(WHOLE, SLOWER) == "harness compare 'HEAD~1' HEAD 'softmax/numpy/online/float32[8x8]dim=1'"
    assert again(WHOLE, SLOWER, "harness compare --ab a b").startswith("harness compare --ab a b 'softmax/")
    assert "\n" not in again(HOSTILE, HOSTILE.rows[0])


def test_a_frame_has_typed_columns_and_nothing_nested() -> None:
    frame = WHOLE.frame()
    assert tuple(frame.columns) == COLUMNS and len(frame) == len(ROWS)
    assert [one.name for one in (frame["verdict"].dtype, frame["case"].dtype, frame["clock"].dtype)] == ["category"] * 3
    kinds = {"ratio": "Float64", "base_ns": "Int64", "identical": "boolean", "reason": "string", "notes": "string"}
    assert {name: str(frame[name].dtype) for name in kinds} == kinds
    assert frame["ratio"].isna().sum() == 4
    assert frame.groupby("verdict", observed=False).size().to_dict() == {one: WHOLE.count(one) for one in VERDICTS}
    assert not any(isinstance(value, list | tuple | dict) for value in frame.to_numpy().ravel())


def test_an_empty_frame_has_the_same_columns_and_kinds() -> None:
    full, empty = WHOLE.frame(), comparison().frame()
    assert list(full.columns) == list(empty.columns)
    assert [one.name for one in full.dtypes] == [one.name for one in empty.dtypes]


def test_json_is_one_array_of_rows_without_nan() -> None:
    nan = measured("nan", "UNCLEAR", float("nan"), ratio_high=float("inf"))
    rows = json.loads(reports.compared_json(comparison(*ROWS, nan)), parse_constant=pytest.fail)
    assert [tuple(one) for one in rows] == [COLUMNS] * (len(ROWS) + 1)
    assert rows[5]["ratio"] == 1.031 and rows[5]["notes"] == ["2 more registers"]
    assert (rows[-1]["ratio"], rows[-1]["ratio_high"]) == (None, "Infinity")
    assert json.loads(reports.compared_json(HOSTILE))[0]["reason"] == EVIL


def test_csv_is_read_back_and_holds_no_formula() -> None:
    whole = comparison(SLOWER, row("x", "NEW", reason="=HYPERLINK(1)"))
    first, second = csv.DictReader(io.StringIO(reports.compared_text(whole, "csv")))
    assert tuple(first) == COLUMNS
    assert (float(first["ratio"]), first["notes"], first["p_value"]) == (1.031, "2 more registers", "")
    assert second["reason"] == "'=HYPERLINK(1)"


def test_the_terminal_shows_what_changed_and_counts_the_rest() -> None:
    text = shown(WHOLE)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if re.match("[A-Z]{3,} ", line)] == [
        *("FAILED", "SLOWER", "SLOWER", "MISSING", "UNCLEAR", "NEW", "FASTER", "SAME", "SAME")
    ]
    (online,) = (line for line in lines if line.startswith("SLOWER   softmax/numpy/online"))
    assert "+3.1 % [2.6, 3.5]    CPU  1.60 ms  1.65 ms   0.60 %" in online
    assert "steady" not in text and "untouched" not in text
    assert "SAME     2  smallest slowdown that could have been seen: 0.60 % (the best) to 1.1 % (the worst)" in text
    assert "SAME     1  identical" in text
    assert "renamed: softmax/numpy/old/float32[8x8]dim=1 is now softmax/numpy/moved/float32[8x8]dim=1" in text
    for words in (
        "why broken",
        "why gone",
        "why fresh",
        "instructions +3.8 %",
        "code path changed",
        "2 more registers",
    ):
        assert words in " ".join(text.split())
    assert "7 of them disturbed" in text and "Other processes used 12 %" in text
    assert lines[-1].endswith("exit code 3: something is wrong in HEAD")


def test_everything_is_shown_when_asked() -> None:
    text = shown(WHOLE, everything=True)
    assert all(one.id in text and one.reason in text for one in ROWS)


def test_a_row_that_changed_name_says_so_once() -> None:
    moved = measured("moved", "SLOWER", 1.2, renamed_from="softmax/numpy/old/x")
    assert shown(comparison(moved)).count("softmax/numpy/old/x") == 1


def rendered(text: str) -> ElementTree.Element:
    """Markdown as GitHub's tables and code spans have it, as a tree; raw HTML stays what it is."""
    html = MarkdownIt("commonmark").enable("table").render(text)
    return ElementTree.fromstring(f"<page>{html}</page>")


def cells(text: str) -> list[list[str]]:
    rows = [["".join(cell.itertext()) for cell in line] for line in rendered(text).iter("tr")]
    return [cells for cells in rows if cells[0] != "verdict"]


def test_the_markdown_begins_with_the_sentence_and_lists_what_changed() -> None:
    text = reports.compared_text(WHOLE, "markdown")
    assert text.startswith("### Of 10 tasks, 1 is wrong in HEAD, 2 are slower,")
    table = cells(text)
    assert [line[0] for line in table[:7]] == ["FAILED", "SLOWER", "SLOWER", "MISSING", "UNCLEAR", "NEW", "FASTER"]
    assert table[2] == [
        *("SLOWER", SLOWER.id, "+3.1 % [2.6, 3.5]", "CPU", "1.60 ms", "1.65 ms", "0.60 %", "why online")
    ]
    assert "harness compare 'HEAD~1' HEAD 'softmax/numpy/online/float32[8x8]dim=1'" in text
    assert "- renamed: `softmax/numpy/old/float32[8x8]dim=1` is now `softmax/numpy/moved/float32[8x8]dim=1`" in text


def test_the_markdown_folds_what_is_the_same() -> None:
    text = reports.compared_text(WHOLE, "markdown")
    open_part, *folded = text.split("<details>")
    assert "steady" not in open_part and "untouched" not in open_part
    assert [re.search("<summary>(.*?)[;:<]", part)[1] for part in folded] == [  # type: ignore[index]
        *("Evidence beside the verdicts", "2 the same", "1 identical")
    ]
    assert text.count("<details>") == text.count("</details>")


def test_long_tables_are_cut_and_say_so() -> None:
    many = [measured(f"slow{n}", "SLOWER", 1.5) for n in range(MOST_CHANGED + 5)]
    same = [measured(f"same{n}", "SAME", 1.0) for n in range(MOST_SAME + 7)]
    text = reports.compared_text(comparison(*many, *same), "markdown")
    assert "And 5 more: " in text and "And 7 more: " in text
    assert len(text.encode()) < 1 << 20
    assert len(cells(text)) == MOST_CHANGED + MOST_SAME


def test_hostile_text_is_text_in_markdown() -> None:
    text = reports.compared_text(HOSTILE, "markdown")
    assert all(char.isprintable() for char in text.replace("\n", ""))
    tags = {one.tag for one in rendered(text).iter()}
    block = {"page", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "pre", "details", "summary"}
    assert tags == block | {"code", "strong"}
    assert all(len(line) == 8 for line in cells(text))


@pytest.mark.parametrize("text", ["", "`", "``a`", "a|b", "a\\|b", " ", "<b>", "a`|`b"])
def test_a_code_span_holds_what_it_is_given(text: str) -> None:
    tree = rendered(f"| a |\n|---|\n| {inert.code(text)} |\n")
    assert [one.text for one in tree.iter("code")] == [text.replace("|", "\N{BROKEN BAR}") or " "]
    assert len(list(tree.iter("td"))) == 1


def cases(whole: Comparison) -> dict[str, ElementTree.Element]:
    text = reports.compared_text(whole, "junit")
    root = ElementTree.fromstring(text.encode("utf-8"))
    found = {f"{one.get('classname')}/{one.get('name')}": one for one in root.iter("testcase")}
    assert len(found) == len(list(root.iter("testcase")))
    return found


def test_junit_has_one_case_per_task_with_its_outcome() -> None:
    found = cases(WHOLE)
    assert set(found) == {one.id for one in ROWS}
    outcomes = {one.get("classname", "").split("/")[2]: case_kind(one) for one in found.values()}
    assert outcomes == {
        **dict.fromkeys(("broken", "worse", "online"), "failure"),
        "gone": "error",
        "murky": "skipped",
        **dict.fromkeys(("steady", "moved", "untouched", "quick", "fresh"), "system-out"),
    }


def case_kind(case: ElementTree.Element) -> str:
    properties, outcome = case
    assert properties.tag == "properties"
    return outcome.tag


def test_a_junit_case_says_what_happened() -> None:
    case = cases(WHOLE)[SLOWER.id]
    assert (case.get("classname"), case.get("name"), case.get("time")) == (
        *("softmax/numpy/online", "float32[8x8]dim=1", "4.250"),
    )
    properties = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert properties["ratio"] == "1.031" and (properties["ratio_low"], properties["ratio_high"]) == (
        "1.0265",
        "1.0355",
    )
    (failure,) = case.iter("failure")
    assert failure.get("message") == "SLOWER +3.1 % [2.6, 3.5] by the CPU clock: why online"
    assert failure.get("type") == "SLOWER"
    assert "code path changed" in (failure.text or "") and again(WHOLE, SLOWER) in (failure.text or "")


def test_the_counts_of_junit_are_those_of_its_cases() -> None:
    root = ElementTree.fromstring(reports.compared_text(WHOLE, "junit").encode())
    (suite,) = root
    for element in (root, suite):
        counts = {name: int(element.get(name, "-1")) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": 10, "failures": 3, "errors": 1, "skipped": 1}
        assert element.get("time") == "35.500"


def test_hostile_text_survives_junit() -> None:
    text = reports.compared_text(HOSTILE, "junit")
    assert all(char.isprintable() for char in text.replace("\n", ""))
    root = ElementTree.fromstring(text.encode("utf-8"))
    as_written = inert.visible(EVIL)
    assert (
        "\\x1b" in as_written
        and "\\n" in as_written
        and "\U0001f40c\\ud800\\x00" in as_written
        and "]]>&\"'" in as_written
    )
    assert {one.get("name") for one in root.iter("testcase")} == {as_written}
    messages = [one.get("message", "") for one in root.iter() if one.tag in ("failure", "error", "skipped")]
    assert len(messages) == 4 and all(message.endswith(as_written) for message in messages)
    assert all((one.text or "").count(as_written) >= 2 for one in root.iter("system-out"))


def test_the_page_shows_every_task_and_asks_for_nothing() -> None:
    text = reports.compared_text(WHOLE, "html")
    page = Page(text)
    assert not page.links and not {"script", "link", "img", "iframe"} & set(page.tags)
    assert all(one.id in text and one.reason in text for one in ROWS)
    assert "+3.1 % [2.6, 3.5]" in text and "exit code 3: something is wrong in HEAD" in text


def test_hostile_text_is_text_on_the_page() -> None:
    text = reports.compared_text(HOSTILE, "html")
    assert not {"script", "img", "a"} & set(Page(text).tags)
    assert "\x1b" not in text and "\u202e" not in text and "&lt;script&gt;" in text


def test_a_forest_keeps_the_small_readable_beside_the_large() -> None:
    small = [measured(f"s{n}", "SAME", 1 + n / 1000) for n in range(5)]
    plot = forest([measured("huge", "SLOWER", 40.0), measured("tiny", "FASTER", 0.01), *small, row("none", "NEW")])
    assert plot is not None and len(plot.rows) == 7
    huge, tiny, first, *_ = plot.rows
    assert (huge.beyond, tiny.beyond, first.beyond) == (1, -1, 0)
    assert first.low < plot.one == first.middle < first.high and first.band_low < first.low
    assert all(plot.label <= x <= plot.width for one in plot.rows for x in (one.low, one.middle, one.high))
    assert "0" in [text for _, text in plot.ticks] and len(plot.ticks) >= 3


@pytest.mark.parametrize("ratio", [1.0, 1.0001, 1.02, 0.5, 1e6, 1e-6])
def test_a_forest_is_drawn_whatever_the_ratio(ratio: float) -> None:
    plot = forest([measured("x", "SAME", ratio, width=0.0)])
    assert plot is not None and 2 <= len(plot.ticks) <= 9
    assert forest([row("x", "NEW"), measured("y", "UNCLEAR", float("nan"))]) is None


@pytest.mark.parametrize("format", [one for one in FORMATS if one != "parquet"])
@pytest.mark.parametrize("whole", [WHOLE, HOSTILE, comparison()], ids=["whole", "hostile", "empty"])
def test_every_format_is_written_as_utf_8(whole: Comparison, format: str, tmp_path: Path) -> None:
    reports.write_compared(whole, format, tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_bytes().decode("utf-8")


def test_a_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    reports.add_summary(WHOLE, file)
    reports.add_summary(HOSTILE, file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n### Of 10 tasks") and text.count("### Of ") == 2


def test_the_longest_summary_is_within_what_github_takes() -> None:
    worst = {"case": "\u4e00" * 2000, "reason": "\u4e00" * 2000, "notes": ("\u4e00" * 2000,)}
    many = [measured(f"a{n}", "SLOWER", 1.5, **worst) for n in range(300)]
    many += [measured(f"b{n}", "SAME", 1.0, **worst) for n in range(3000)]
    assert len(reports.compared_text(comparison(*many), "markdown").encode()) < 1 << 20


def test_parquet_is_read_back(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    reports.write_compared(WHOLE, "parquet", tmp_path / "file")
    assert pd.read_parquet(tmp_path / "file")["ratio"].tolist()[5] == 1.031
