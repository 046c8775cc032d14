"""Pictures show what the records say and no more, hold for one task and for thousands, and let no foreign text act."""

from __future__ import annotations

import itertools
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import record
from harness.reports.pictures import error_against_time, roofline, scaling, sections
from harness.reports.pictures.axes import axis_of, si
from harness.reports.pictures.markup import COLOURS, SHAPES, Spot, cut, labels, look, safe, spread, width
from harness.reports.pictures.timed import ceiling, groups
from harness.reports.report import Report
from harness.reports.section import Picture, Section

from harness.record import Record

EVIL = "<script>alert(1)</script>\x1b[31m&\"'\u202e\nnext]]>\x00\ud800中文"
SVG = "{http://www.w3.org/2000/svg}"


def measured(name: str, median_ns: int, error: float | None, **more: Any) -> Record:
    """A timed record that moved as many bytes as its case says at a copy rate of 10 GB/s."""
    size = more.get("bytes", 4096)
    about = {
        "case": "float32[1024]dim=0",
        "bytes": size,
        "flops": 2 * size,
        "gb_per_s": size / median_ns,
        "percent_of_limit": 100 * (size / median_ns) / 10.0,
        **more,
    }
    return record(
        implementation=name, samples=12, median_ns=median_ns, ci_low_ns=round(0.98 * median_ns),
        ci_high_ns=round(1.02 * median_ns), error_over_bound=error, **about,
    )  # fmt: skip


def report(*timed_ones: Record, checked: tuple[Record, ...] = ()) -> Report:
    return Report({}, {}, checked, timed_ones, ())


def of(whole: Report, section: str) -> Section:
    return next(one for one in sections(whole) if one.id == section)


def drawn(section: Section) -> list[Picture]:
    return [picture for picture, _ in section.figures if picture is not None]


def parsed(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(picture.svg)


def texts(picture: Picture) -> list[str]:
    return [one.text or "" for one in parsed(picture).iter(f"{SVG}text")]


def titles(picture: Picture) -> list[str]:
    """What the marks say of themselves."""
    return [one.text or "" for one in parsed(picture).iter(f"{SVG}title")]


FOUR = (
    measured("fast", 1000, 0.5),
    measured("even", 2000, 0.1),
    measured("beaten", 3000, 0.2),
    measured("exact", 4000, 0.0),
)


def test_the_front_holds_those_that_no_other_beats_in_both() -> None:
    (group,) = groups(report(*FOUR))
    assert [one.record.implementation for one in error_against_time.front(group.entries)] == ["fast", "even", "exact"]
    tie = (*FOUR, measured("also_exact", 4001, 0.0))
    (group,) = groups(report(*tie))
    assert [one.record.implementation for one in error_against_time.front(group.entries)] == ["fast", "even", "exact"]


def test_the_front_of_any_points_is_what_a_search_finds() -> None:
    """Against the definition, over all orders of four times and errors."""
    for errors in itertools.product((0.0, 0.1, 0.2), repeat=4):
        whole = report(*(measured(f"i{one}", 1000 + 100 * one, error) for one, error in enumerate(errors)))
        (group,) = groups(whole)
        found = {one.record.implementation for one in error_against_time.front(group.entries)}
        assert found == {
            f"i{one}" for one, error in enumerate(errors) if not any(other <= error for other in errors[:one])
        }


def test_error_against_time_has_a_mark_for_each_and_the_same_facts_in_its_table() -> None:
    section = of(report(*FOUR), "error-against-time")
    ((picture, table),) = section.figures
    assert picture is not None and len(titles(picture)) == 4
    assert "the choice is between numpy/fast, numpy/even and numpy/exact" in section.answer
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    assert (
        rows["numpy/even"][1:4] == ["2.000 µs", "1.960 - 2.040 µs", "0.10"] and rows["numpy/even"][-1] == "Pareto front"
    )
    assert rows["numpy/beaten"][-1] == "another is faster and as exact"
    assert rows["numpy/exact"][3] == "exact"
    assert any("numpy/exact: 4.00 µs" in one and one.endswith("exact") for one in titles(picture))
    assert "exact" in texts(picture) and "numpy/even" in texts(picture)


def test_marks_stand_where_their_figures_say() -> None:
    """Left is faster, down is more exact, and the exact one is under all."""
    picture = drawn(of(report(*FOUR), "error-against-time"))[0]
    places = {}
    for one in parsed(picture).iter(f"{SVG}path"):
        if one.get("class") == "mark":
            x, y = re.match(r"M(-?[\d.]+) (-?[\d.]+)", one.get("d") or "").groups()  # type: ignore[union-attr]
            places[(one.find(f"{SVG}title").text or "").split(":")[0]] = (float(x), float(y))  # type: ignore[union-attr]
    order = [f"numpy/{name}" for name in ("fast", "even", "beaten", "exact")]
    assert sorted(places, key=lambda name: places[name][0]) == order
    assert sorted(places, key=lambda name: places[name][1]) == [
        "numpy/fast",
        "numpy/beaten",
        "numpy/even",
        "numpy/exact",
    ]


def test_what_is_wrong_is_named_in_the_table_and_has_no_time_or_mark() -> None:
    wrong = record(implementation="cheat", status="untrusted", reason="it lies", case=FOUR[0].case)
    ((picture, table),) = of(report(*FOUR, wrong), "error-against-time").figures
    assert picture is not None and "cheat" not in picture.svg
    row = table.rows[-1]
    assert (row[0].text, row[1].text, row[-1].text, row[-1].detail) == (
        "numpy/cheat",
        "no time",
        "untrusted",
        "it lies",
    )
    for section in sections(report(wrong)):
        assert not drawn(section)


def test_the_error_is_the_worst_of_the_dtype_in_the_whole_run() -> None:
    checked = (
        record(implementation="fast", case="float32[3]dim=0", error_over_bound=0.9),
        record(implementation="fast", case="float64[3]dim=0", dtype="float64", error_over_bound=0.95),
    )
    (group,) = groups(report(measured("fast", 1000, 0.1), checked=checked))
    assert group.entries[0].worst == 0.9
    ((_, table),) = of(report(measured("fast", 1000, 0.1), checked=checked), "error-against-time").figures
    assert [cell.text for cell in table.rows[0][3:5]] == ["0.90", "0.10"]


def test_the_copy_rate_is_that_of_the_run_and_its_least_time_is_drawn_and_written() -> None:
    sizes = [
        measured("a", 1000 * 4**one, 0.1, bytes=4096 * 4**one, case=f"float32[{1024 * 4**one}]dim=0")
        for one in range(4)
    ]
    assert ceiling(sizes[0]) == pytest.approx(10e9)
    ((picture, table),) = of(report(*sizes), "scaling").figures
    assert picture is not None and "copying as many bytes, 10 GB/s" in texts(picture)
    assert [cell.text for cell in table.rows[0]][1:3] == ["410 ns", "1.64 µs"]
    assert [cell.text for cell in table.rows[1]][1] == "1.000 µs (0.980 - 1.020) · 41 %"
    (line,) = (one for one in parsed(picture).iter(f"{SVG}path") if one.get("class") == "line")
    assert (line.get("d") or "").count("L") == 3
    (roof,) = (one for one in parsed(picture).iter(f"{SVG}path") if one.get("class") == "roof")
    assert roof.get("d") and "copy rate" in of(report(*sizes), "scaling").answer


def test_lines_join_cases_that_differ_in_size_only() -> None:
    rows = (
        measured("a", 1000, 0.1, case="float32[8x8]dim=1"),
        measured("a", 9000, 0.1, case="float32[64]dim=0", bytes=9000),
    )
    (picture,) = drawn(of(report(*rows), "scaling"))
    lines = [one.get("d") or "" for one in parsed(picture).iter(f"{SVG}path") if one.get("class") == "line"]
    assert not any("L" in one for one in lines)


def test_without_a_copy_rate_no_ceiling_is_drawn_and_that_is_said() -> None:
    lone = measured("a", 1000, 0.1, percent_of_limit=None, device="gpu")
    section = of(report(lone), "scaling")
    assert "roof" not in drawn(section)[0].svg and "No copy rate was measured" in section.note
    assert section.figures[0][1].rows[0][1].text == "-"


def test_the_roofline_holds_operations_per_byte_and_what_was_achieved() -> None:
    whole = report(
        *FOUR, measured("a", 1000, 0.1, operator="sum", flops=1024), measured("b", 10, 0.1, operator="max", flops=0)
    )
    section = of(whole, "roofline")
    ((picture, table),) = section.figures
    rows = {row[0].text.split()[0]: [cell.text for cell in row] for row in table.rows}
    assert rows["softmax"][1:5] == ["numpy/fast", "1.000 µs", "2.0", "8.19"] and rows["sum"][3:5] == ["0.25", "1.02"]
    assert "max" not in rows and "1 case without operations" in section.note
    assert picture is not None and "copy 10 GB/s" in texts(picture)
    assert "8.19 Gflop/s, by numpy/fast on softmax" in section.answer
    assert len(titles(picture)) == 2


def test_nothing_timed_means_no_pictures() -> None:
    assert sections(report()) == []
    assert sections(report(checked=(record(),))) == []


def test_an_unknown_error_is_no_zero() -> None:
    section = of(report(measured("a", 1000, None)), "error-against-time")
    ((picture, table),) = section.figures
    assert picture is None and table.rows[0][3].text == "-" and "no error is known" in section.answer


def hostile() -> Report:
    evil = record(implementation=EVIL, operator=EVIL, case=EVIL, status="failed", reason=EVIL)
    return report(measured(EVIL, 1000, 0.1, operator=EVIL, backend=EVIL, case=EVIL), evil)


@pytest.mark.parametrize("whole", [report(FOUR[0]), report(*FOUR), hostile()], ids=["one", "four", "hostile"])
def test_a_picture_is_valid_xml_that_needs_no_style_and_no_script(whole: Report) -> None:
    found = [picture for section in sections(whole) for picture in drawn(section)]
    assert len(found) == 3
    for picture in found:
        root = parsed(picture)
        assert root.get("role") == "img" and root.get("aria-label") and root.get("viewBox")
        assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {"svg", "path", "text", "title"}
        names = {name for one in root.iter() for name in one.attrib}
        assert not any(name == "style" or name.startswith("on") or "href" in name for name in names)
        assert "url(" not in picture.svg and not re.search(r"\d\.\d{3}", re.sub(r"<t.*?</t\w+>", "", picture.svg))


def test_any_text_is_safe_in_xml() -> None:
    every = "".join(map(chr, range(0x20))) + "\x7f\x9f\ud800\udfff\ufffe\uffff\u2028<>&\"'" + EVIL
    root = ElementTree.fromstring(f'<a b="{safe(every)}">{safe(every)}</a>')
    assert root.text == root.get("b") and "<script>alert(1)</script>" in (root.text or "") and not len(root)


def test_all_places_lie_within_the_picture() -> None:
    spread = report(*(measured(f"i{one}", 10 ** (one % 7 + 2), 10.0 ** -(one % 9)) for one in range(20)))
    for section in sections(spread):
        for picture in drawn(section):
            root = parsed(picture)
            _, _, wide, high = map(float, (root.get("viewBox") or "").split())
            for one in root.iter():
                if one.get("x"):
                    assert 0 <= float(one.get("x") or 0) <= wide and 0 <= float(one.get("y") or 0) <= high
                for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", one.get("d") or ""):
                    assert -8 <= float(x) <= wide + 8 and -8 <= float(y) <= high + 8


def many() -> Report:
    """2,000 tasks: 40 operators, 10 sizes, 5 implementations with long names."""
    names = [f"a_strategy_with_a_rather_long_name_that_goes_on_number_{one}" for one in range(5)]
    return report(
        *(
            measured(
                name, 1000 * 2**size + 77 * number, 0.01 * (number + 1), operator=f"operator_{operator}",
                case=f"float32[{2**size}x{1024}]dim=1", bytes=4096 * 2**size,
            )
            for operator in range(40)
            for size in range(10)
            for number, name in enumerate(names)
        )
    )  # fmt: skip


def test_two_thousand_tasks_are_few_pictures_and_it_is_said_which() -> None:
    found = sections(many())
    assert sum(len(picture.svg) for section in found for picture in drawn(section)) < 600_000
    error, scale, roof = found
    assert len(drawn(error)) == error_against_time.MOST_PICTURES and "Drawn are 40 of 400 cases" in error.note
    shown = {picture.label.split("implementations of ")[1].split()[0] for picture in drawn(error)}
    assert len(shown) == 40, "each operator is drawn once before any is drawn twice"
    assert len(drawn(scale)) == scaling.MOST_PICTURES and "Drawn are 30 of 40" in scale.note
    assert len(titles(drawn(roof)[0])) == roofline.MOST_MARKS and "120 of 400 cases" in roof.note
    undrawn = error.figures[-1]
    assert undrawn[0] is None and len(undrawn[1].rows) == 360


def test_of_thousands_of_cases_the_first_are_listed_and_the_rest_counted() -> None:
    whole = report(*(measured("a", 1000 + one, 0.1, case=f"float32[{one}]dim=0") for one in range(700)))
    table = of(whole, "error-against-time").figures[-1][1]
    assert len(table.rows) == error_against_time.MOST_OTHERS and "the first 500 of 660" in table.caption


def test_many_implementations_are_cut_and_the_front_is_kept() -> None:
    crowd = [measured(f"i{one:02}", 1000 + 10 * one, 0.5) for one in range(60)]
    section = of(report(*crowd, measured("slow_but_exact", 9000, 0.0)), "error-against-time")
    picture = drawn(section)[0]
    assert len(titles(picture)) == error_against_time.MOST_MARKS
    assert any("slow_but_exact" in one for one in titles(picture))
    assert "37 more are in the table" in texts(picture) and len(section.figures[0][1].rows) == 61
    line = drawn(of(report(*crowd), "scaling"))[0]
    assert "48 slower ones are in the table" in texts(line)


def test_neighbouring_marks_differ_in_shape_and_colour_and_none_repeats_soon() -> None:
    looks = [look(number) for number in range(SHAPES * len(COLOURS))]
    assert len(set(looks)) == len(looks)
    for one, other in itertools.pairwise(looks):
        assert one[0] != other[0] and one[1] != other[1]


def test_names_cover_neither_each_other_nor_a_mark() -> None:
    spots = [
        Spot(300.0 + 9 * one, 150.0 + 3 * one, 290.0 + 9 * one, 310.0 + 9 * one, f"implementation_{one}")
        for one in range(12)
    ]
    found = labels(spots, (70, 20, 780, 300))
    boxes = []
    for spot, place in zip(spots, found, strict=True):
        if place is not None:
            x, y, anchor = place
            long = width(spot.name)
            left = x if anchor == "start" else x - long if anchor == "end" else x - long / 2
            boxes.append((left, y - 11, left + long, y + 4))
    assert 2 <= len(boxes) < 12, "some find a place, and some do not"
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for box in boxes:
        assert not any(box[0] < spot.x < box[2] and box[1] < spot.y < box[3] for spot in spots)


def test_what_finds_no_place_is_in_the_legend() -> None:
    same = [measured(f"implementation_number_{one}", 1000, 0.5 - 0.0001 * one) for one in range(12)]
    shown = texts(drawn(of(report(*same), "error-against-time"))[0])
    assert {f"numpy/implementation_number_{one}" for one in range(12)} <= set(shown)


def test_names_of_lines_keep_their_order_and_do_not_touch() -> None:
    assert spread([10.0, 50.0, 90.0], 0.0, 100.0, 15.0) == [10.0, 50.0, 90.0]
    crowded = spread([98.0, 98.0, 99.0, 100.0], 0.0, 100.0, 15.0)
    assert crowded == [55.0, 70.0, 85.0, 100.0]
    assert spread([2.0, 3.0], 0.0, 100.0, 15.0) == [2.0, 17.0]


def test_a_long_name_keeps_both_ends_and_is_whole_in_the_table() -> None:
    name = "numpy/" + "x" * 60 + "_end"
    assert len(cut(name)) == 34 and cut(name).startswith("numpy/") and cut(name).endswith("_end")
    ((picture, table),) = of(report(measured("x" * 60 + "_end", 1000, 0.1)), "error-against-time").figures
    assert table.rows[0][0].text == name and picture is not None and cut(name) in texts(picture)


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.001], [3e-9, 4.0], [7.0, 7e12], [0.013, 0.031], [1e-150, 1e150]])
def test_an_axis_holds_its_values_and_has_a_few_round_ticks(values: list[float]) -> None:
    axis = axis_of(values, 0.0, 100.0)
    assert all(axis.low < value < axis.high for value in values)
    assert 2 <= len(axis.ticks()) <= 7
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks())
    assert [axis.at(value) for value in sorted(values)] == sorted(axis.at(value) for value in values)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-6, "1 µs"), (0.002, "2 ms"), (1500.0, "1.5 ks"), (3e-10, "300 ps"), (1.0, "1 s"), (2e12, "2 Ts")],
)
def test_units_have_prefixes(value: float, text: str) -> None:
    assert si(value, "s") == text
