"""Time against size, with the least time that copying as many bytes takes on this machine drawn in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..section import Cell, Column, Picture, Section, Table
from ..words import number, plain
from .axes import Axis, axis_of, si
from .frame import frame
from .markup import LINE, SMALL, cut, look, marks, num, picture, spread, width, words
from .timed import Entry, Group, counted, figure, time_cells

WIDTH = 840
HEIGHT = 360
LEFT = 74
RIGHT = 300
"""Room for the names of the lines."""
TOP = 26
BOTTOM = 48
MOST_LINES = 12
MOST_SIZES = 12
MOST_PICTURES = 30
MOST_ROWS = 40
NOTE = (
    "A size is the least number of bytes that the case has to move. Lines join cases that differ in nothing but their "
    "sizes. The dashed line is the time that the fastest copy of as many bytes takes, at the rate measured in the same "
    "run for a working set as large. It is no strict limit: a kernel that reads more than it writes can be up to twice "
    "as fast as a copy."
)


@dataclass(frozen=True, slots=True)
class Series:
    """An operator's cases of one dtype, the smallest first, and its implementations, the fastest first."""

    operator: str
    dtype: str
    cases: tuple[Group, ...]

    @property
    def names(self) -> list[str]:
        """By the time over the fastest's, in the mean over the cases that each was timed on."""
        found: dict[str, list[float]] = defaultdict(list)
        for group in self.cases:
            for one in group.entries:
                found[one.name].append(one.time_ns / group.entries[0].time_ns)
        return sorted(found, key=lambda name: (sum(found[name]) / len(found[name]), name))

    def of(self, name: str) -> list[tuple[Group, Entry]]:
        return [(group, one) for group in self.cases for one in group.entries if one.name == name]


def section(found: Sequence[Group]) -> Section | None:
    """The section; None where nothing has a time and a size."""
    every = series(found)
    if not every:
        return None
    # what shows how times grow, before what has one size only
    ranked = sorted(every, key=lambda one: (-len({group.bytes for group in one.cases}), one.operator, one.dtype))
    drawn = [one for one in every if one in ranked[:MOST_PICTURES]]
    note = NOTE
    if len(drawn) < len(every):
        note += (
            f" Drawn are {len(drawn)} of {len(every)} operators and dtypes, those with the most sizes; all times are "
            "in `harness report --format csv`."
        )
    if not any(group.ceiling for one in every for group in one.cases):
        note += " No copy rate was measured in this run for these times."
    figures = tuple((_picture(one), _table(one)) for one in drawn)
    return Section("scaling", "Time against size", _answer(every), figures, note)


def series(found: Sequence[Group]) -> list[Series]:
    """Operators and dtypes that have times and sizes, in the order of names."""
    grouped: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in found:
        if group.entries and group.bytes:
            grouped[(group.operator, group.dtype)].append(group)
    return [
        Series(operator, dtype, tuple(sorted(members, key=lambda one: (one.bytes or 0, one.case))))
        for (operator, dtype), members in sorted(grouped.items())
    ]


def _answer(every: Sequence[Series]) -> str:
    shares = sorted(
        share for one in every for group in one.cases if (share := group.entries[0].record.percent_of_limit) is not None
    )
    count = counted(sum(len(one.cases) for one in every), "case")
    if not shares:
        return f"{count} with times; no copy rate was measured to hold them against."
    if len(shares) == 1:
        return f"The fastest implementation reaches {number(shares[0], 2)} % of the copy rate."
    middle = shares[len(shares) // 2]
    return (
        f"Over {count}, the fastest implementations reach {number(shares[0], 2)} to {number(shares[-1], 2)} % of the "
        f"copy rate; half of them {number(middle, 2)} % or more."
    )


def least_ns(group: Group) -> float | None:
    """The time that copying the case's bytes takes at the measured rate."""
    return None if group.ceiling is None or not group.bytes else 1e9 * group.bytes / group.ceiling


def _picture(one: Series) -> Picture:
    names = one.names[:MOST_LINES]
    lines = {name: one.of(name) for name in names}
    least = [(float(group.bytes or 1), time) for group in one.cases if (time := least_ns(group)) is not None]
    times = [end for line in lines.values() for _, entry in line for end in (*entry.interval_ns, entry.time_ns)]
    x = axis_of([float(group.bytes or 1) for group in one.cases], LEFT, WIDTH - RIGHT, pad=1.6)
    roof = _extended(least, x)
    y = axis_of([value * 1e-9 for value in (*times, *(time for _, time in roof))], HEIGHT - BOTTOM, TOP, pad=1.5)
    parts = [*_frame(x, y), *_roof(roof, x, y)]
    for line in lines.values():
        parts.append(_line(line, x, y))
    for line in lines.values():
        parts.append(marks(line[0][1].mark, [_at(group, entry, x, y) for group, entry in line], line[0][1].name))
    parts += _names(lines, x, y)
    if len(one.names) > len(names):
        text = f"{len(one.names) - len(names)} slower ones are in the table"
        parts.append(words(WIDTH - RIGHT + 14, HEIGHT - 12, text, tick=True))
    label = (
        f"Time against size of {counted(len(one.names), 'implementation')} of {plain(one.operator)} in "
        f"{plain(one.dtype)} on {counted(len(one.cases), 'case')}, beside the time of a copy. The table holds the same "
        "figures."
    )
    return Picture(picture(WIDTH, HEIGHT, label, parts), label)


def _at(group: Group, entry: Entry, x: Axis, y: Axis) -> tuple[float, float]:
    return x.at(float(group.bytes or 1)), y.at(entry.time_ns * 1e-9)


def _frame(x: Axis, y: Axis) -> list[str]:
    title = "Median time per call with its 95 % interval, against the least bytes to move; both logarithmic"
    return frame(x, y, lambda value: si(value, "B"), lambda value: si(value, "s"), title)


def _extended(least: Sequence[tuple[float, float]], x: Axis) -> list[tuple[float, float]]:
    """The copy's time at each size, and on to the ends of the axis at the rate of the size nearest to them."""
    if not least:
        return []
    known = sorted(dict(least).items())
    first, last = known[0], known[-1]
    return [(x.low, first[1] * x.low / first[0]), *known, (x.high, last[1] * x.high / last[0])]


def _roof(roof: Sequence[tuple[float, float]], x: Axis, y: Axis) -> list[str]:
    """The line of the copy, and under it its name with the rates."""
    if not roof:
        return []
    points = [(x.at(size), y.at(time * 1e-9)) for size, time in roof]
    path = "M" + "L".join(f"{num(px)} {num(py)}" for px, py in points)
    line = (
        f'<path class="roof" d="{path}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="6 4" '
        'stroke-opacity=".8"/>'
    )
    rates = sorted(float(f"{size / time:.3g}") for size, time in roof)
    least, most = number(rates[0], 2), number(rates[-1], 2)
    text = f"copying as many bytes, {least} GB/s" if least == most else f"copying as many bytes, {least} to {most} GB/s"
    # under the line at the left end of the text, where the line is lowest
    left = x.end - 4 - width(text, SMALL)
    above = next((pair for pair in pairwise(points) if pair[0][0] <= left <= pair[1][0]), (points[0], points[-1]))
    (x1, y1), (x2, y2) = above
    height = y1 + (y2 - y1) * (left - x1) / max(1.0, x2 - x1)
    return [line, words(x.end - 4, min(height + 15, HEIGHT - BOTTOM - 5), text, anchor="end", tick=True)]


def _line(line: Sequence[tuple[Group, Entry]], x: Axis, y: Axis) -> str:
    """The intervals of an implementation, and lines between cases that differ in their sizes only."""
    colour = look(line[0][1].mark)[1]
    bars = ""
    families: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for group, entry in line:
        px, py = _at(group, entry, x, y)
        low, high = (y.at(end * 1e-9) for end in entry.interval_ns)
        if abs(low - high) > 1:
            bars += f"M{num(px)} {num(low)}V{num(high)}"
        families[group.case.partition("]")[2]].append((px, py))
    path = bars
    for points in families.values():
        if len({px for px, _ in points}) > 1:
            path += "M" + "L".join(f"{num(px)} {num(py)}" for px, py in points)
    if not path:
        return ""
    return f'<path class="line" d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _names(lines: dict[str, list[tuple[Group, Entry]]], x: Axis, y: Axis) -> list[str]:
    """Names at the right, each as near to the end of its line as the others leave room, and joined to it."""
    ends = sorted((y.at(line[-1][1].time_ns * 1e-9), name) for name, line in lines.items())
    places = spread([end for end, _ in ends], TOP + 4, HEIGHT - BOTTOM, LINE + 1)
    left = x.end + 16
    parts, joins = [], ""
    for (end, name), place in zip(ends, places, strict=True):
        group, entry = lines[name][-1]
        joins += (
            f"M{num(_at(group, entry, x, y)[0] + 7)} {num(end)}L{num(x.end + 2)} {num(end)}L{num(left)} {num(place)}"
        )
        parts.append(marks(entry.mark, [(left + 8, place)], name))
        parts.append(words(left + 19, place + 4.5, cut(name)))
    return [f'<path class="join" d="{joins}" fill="none" stroke="currentColor" stroke-opacity=".3"/>', *parts]


def _table(one: Series) -> Table:
    """A row for each implementation, a column for each case; the first row is the copy."""
    cases = _shown_cases(one.cases)
    names = one.names[:MOST_ROWS]
    columns = (
        Column("implementation"),
        *(Column(f"{_short(group)}, {si(float(group.bytes or 1), 'B')}", numeric=True) for group in cases),
    )
    roof = []
    for group in cases:
        least = least_ns(group)
        roof.append(Cell("-") if least is None else Cell(si(least * 1e-9, "s"), least))
    rows = [(Cell("copying as many bytes", ""), *roof)]
    for name in names:
        of_case = {group.case: entry for group, entry in one.of(name)}
        rows.append((Cell(name, name), *(_time(of_case.get(group.case)) for group in cases)))
    title = f"{plain(one.operator)} in {plain(one.dtype)}"
    caption = f"{title}: median time per call (its 95 % interval) · share of the copy rate"
    if len(cases) < len(one.cases):
        caption += f"; {len(cases)} of {len(one.cases)} cases"
    if len(names) < len(one.names):
        caption += f"; the fastest {len(names)} of {len(one.names)} implementations"
    return Table(caption, columns, tuple(rows), title)


def _short(group: Group) -> str:
    """The case without its dtype, which the title says."""
    return plain(group.case.removeprefix(group.dtype))


def _shown_cases(cases: Sequence[Group]) -> list[Group]:
    """As many as a table has room for, from the smallest to the largest."""
    if len(cases) <= MOST_SIZES:
        return list(cases)
    last = len(cases) - 1
    return [cases[round(number * last / (MOST_SIZES - 1))] for number in range(MOST_SIZES)]


def _time(entry: Entry | None) -> Cell:
    if entry is None:
        return figure(None)
    median, interval = time_cells(entry.record)
    share = entry.record.percent_of_limit
    limit = "" if share is None else f" · {number(share, 2)} %"
    return Cell(f"{median.text} ({interval.text.rpartition(' ')[0]}){limit}", median.sort)
