"""Roofline: what the fastest implementation of each case achieves, against the operations that it does on each byte."""

from __future__ import annotations

from collections.abc import Sequence

from ..section import Cell, Column, Picture, Section, Table
from ..words import number, plain
from .axes import Axis, axis_of, si
from .frame import frame
from .markup import Box, Spot, cut, labels, legend, look, marks, num, picture, words
from .timed import Group, counted, figure, time_cells

WIDTH = 780
HEIGHT = 380
LEFT = 92
RIGHT = 24
TOP = 26
BOTTOM = 48
MOST_MARKS = 120
MOST_NAMES = 30
COLUMNS = (
    Column("case"),
    Column("fastest"),
    Column("median", numeric=True),
    Column("operations per byte", numeric=True),
    Column("Gflop/s", numeric=True),
    Column("GB/s", numeric=True),
    Column("copy rate GB/s", numeric=True),
    Column("% of copy rate", numeric=True),
)
NOTE = (
    "Operations and bytes are the least that a case needs, as its operator declares them. A mark is the fastest "
    "implementation, the line under it reaches down to the slowest. The dashed lines are the roof: the smallest and "
    "the largest copy rate of this run, by working set, times the operations on each byte. There is no flat roof, "
    "since no peak of arithmetic is measured. Marks above the roof read more than they write, or work in a faster "
    "cache."
)


def section(found: Sequence[Group]) -> Section | None:
    """The section; None where no case has times, bytes and operations."""
    known = [group for group in found if group.entries and group.bytes and group.flops]
    if not known:
        return None
    drawn = _spread(known)
    note = NOTE
    if len(drawn) < len(known):
        note += f" Shown are {len(drawn)} of {counted(len(known), 'case')}, spread evenly."
    lacking = sum(bool(group.entries) for group in found) - len(known)
    if lacking:
        note += f" {counted(lacking, 'case')} without operations or bytes {'is' if lacking == 1 else 'are'} not shown."
    return Section("roofline", "Roofline", _answer(known), ((_picture(drawn), _table(drawn)),), note)


def _spread(known: Sequence[Group]) -> list[Group]:
    if len(known) <= MOST_MARKS:
        return list(known)
    return [known[number * len(known) // MOST_MARKS] for number in range(MOST_MARKS)]


def intensity(group: Group) -> float:
    """Operations for each byte."""
    return float(group.flops or 0) / float(group.bytes or 1)


def achieved(group: Group, time_ns: float) -> float:
    """Operations per second."""
    return float(group.flops or 0) / (time_ns * 1e-9)


def _answer(known: Sequence[Group]) -> str:
    best = max(known, key=lambda one: achieved(one, one.entries[0].time_ns))
    text = si(achieved(best, best.entries[0].time_ns), "flop/s")
    where = f"{plain(best.entries[0].name)} on {plain(best.operator)} {plain(best.case)}"
    low, high = min(map(intensity, known)), max(map(intensity, known))
    span = number(low, 2) if low == high else f"{number(low, 2)} to {number(high, 2)}"
    return f"The most is {text}, by {where}; the cases need {span} operations for each byte."


def _picture(drawn: Sequence[Group]) -> Picture:
    rates = sorted({round(rate, -6) for group in drawn if (rate := group.ceiling) is not None})
    ends = [achieved(group, time) for group in drawn for time in (group.entries[0].time_ns, group.entries[-1].time_ns)]
    x = axis_of([intensity(group) for group in drawn], LEFT, WIDTH - RIGHT, pad=1.6)
    roofs = [rate * intensity(group) for rate in (rates[:1] + rates[-1:]) for group in drawn]
    y = axis_of([*ends, *roofs], HEIGHT - BOTTOM, TOP, pad=1.6)
    parts = _frame(x, y)
    taken: list[Box] = []
    for rate in dict.fromkeys(rates[:1] + rates[-1:]):
        line, box = _roof(rate, x, y, highest=rate == rates[-1])
        parts += line
        taken.append(box)
    number_of = {name: number for number, name in enumerate(sorted({group.operator for group in drawn}))}
    spots, names = [], []
    for group in drawn:
        px, py = x.at(intensity(group)), y.at(achieved(group, group.entries[0].time_ns))
        low = y.at(achieved(group, group.entries[-1].time_ns))
        colour = look(number_of[group.operator])[1]
        if low - py > 1:
            parts.append(f'<path class="line" d="M{num(px)} {num(py)}V{num(low)}" fill="none" stroke="{colour}"/>')
        spots.append((group, px, py))
    parts += [marks(number_of[group.operator], [(px, py)], _words(group)) for group, px, py in spots]
    # each operator is named once, beside its fastest
    first: dict[str, Spot] = {}
    for group, px, py in sorted(spots, key=lambda one: one[2]):
        first.setdefault(group.operator, Spot(px, py, px, px, cut(plain(group.operator), 24)))
    taken += [(px - 6, py - 6, px + 6, py + 6) for _, px, py in spots]
    named = dict(list(first.items())[:MOST_NAMES])
    frame: Box = (LEFT + 2, TOP - 14, WIDTH - 2, HEIGHT - BOTTOM - 2)
    for (operator, spot), place in zip(named.items(), labels(list(named.values()), frame, taken), strict=True):
        if place is None:
            names.append((number_of[operator], spot.name))
        else:
            parts.append(words(place[0], place[1], spot.name, anchor=place[2]))
    more, bottom = legend(names, LEFT, HEIGHT + 10, WIDTH - RIGHT)
    label = (
        f"Operations per second against operations for each byte of {counted(len(drawn), 'case')}, beside the copy "
        "rate. The table holds the same figures."
    )
    return Picture(picture(WIDTH, round(bottom + 4) if more else HEIGHT, label, [*parts, *more]), label)


def _frame(x: Axis, y: Axis) -> list[str]:
    title = "Operations per second of the fastest implementation, against operations for each byte; both logarithmic"
    return frame(x, y, lambda value: f"{value:g}", lambda value: si(value, "flop/s"), title)


def _roof(rate: float, x: Axis, y: Axis, *, highest: bool) -> tuple[list[str], Box]:
    """The line of a copy rate, cut off where it leaves the picture, and where its name stands."""
    low, high = max(x.low, y.low / rate), min(x.high, y.high / rate)
    if low >= high:
        return [], (0.0, 0.0, 0.0, 0.0)
    x1, y1, x2, y2 = x.at(low), y.at(low * rate), x.at(high), y.at(high * rate)
    path = (
        f'<path class="roof" d="M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}" fill="none" stroke="currentColor" '
        'stroke-width="1.5" stroke-dasharray="6 4" stroke-opacity=".8"/>'
    )
    text = f"copy {number(rate / 1e9, 2)} GB/s"
    long = 6.1 * len(text)
    if highest:
        left, top = x1 + 4, max(TOP + 10.0, y1 - (y1 - y2) * (long + 10) / max(1.0, x2 - x1) - 6)
        return [path, words(left, top, text, tick=True)], (left, top - 12, left + long, top + 4)
    right, base = x2, min(HEIGHT - BOTTOM - 6.0, y2 + (y1 - y2) * (long + 10) / max(1.0, x2 - x1) + 14)
    return [path, words(right, base, text, anchor="end", tick=True)], (right - long, base - 12, right, base + 4)


def _words(group: Group) -> str:
    first = group.entries[0]
    rate = si(achieved(group, first.time_ns), "flop/s")
    return f"{plain(group.operator)} {plain(group.case)}: {rate} by {first.name}"


def _table(drawn: Sequence[Group]) -> Table:
    rows = []
    for group in drawn:
        first = group.entries[0]
        name = f"{plain(group.operator)} {plain(group.case)}"
        rate = group.ceiling
        rows.append(
            (
                Cell(name, name),
                Cell(first.name, first.name),
                time_cells(first.record)[0],
                figure(intensity(group)),
                figure(achieved(group, first.time_ns) / 1e9, 3),
                figure(first.record.gb_per_s, 3),
                figure(None if rate is None else rate / 1e9, 3),
                figure(first.record.percent_of_limit),
            )
        )
    return Table("Roofline: the fastest implementation of each case", COLUMNS, tuple(rows))
