"""Error against time: which implementations are worth choosing between, and which ones others beat in both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harness.record import Record

from ..section import Cell, Column, Picture, Section, Table
from ..words import number, plain
from .axes import Axis, axis_of, si
from .markup import Box, Spot, cut, labels, legend, marks, num, picture, rules, words
from .timed import Entry, Group, counted, figure, listed, name_of, time_cells

WIDTH = 780
HEIGHT = 330
LEFT = 74
RIGHT = 24
TOP = 26
BOTTOM = 48
FLOOR = 26
"""Pixels under the axis of errors for what has none at all."""
MOST_MARKS = 24
MOST_PICTURES = 40
MOST_WRONG = 20
MOST_OTHERS = 500
LEAST_ERROR = 1e-6
"""A smaller error over bound is drawn as this."""
COLUMNS = (
    Column("implementation"),
    Column("median", numeric=True),
    Column("95 % interval", numeric=True),
    Column("worst error / bound", numeric=True),
    Column("error / bound here", numeric=True),
    Column("ulp here", numeric=True),
    Column("choice"),
)
NOTE = (
    "Down and to the left is better. The error is the largest, relative to the derived bound, that the implementation "
    "showed in this run on any case of this dtype; above 1 it would be wrong. Each is held against its own bound, "
    "which follows from the order of accumulation that it declares: ulp are the same measure for all. An "
    "implementation is on the Pareto front if no other is as fast and as exact, by medians."
)


def section(found: Sequence[Group]) -> Section | None:
    """The section; None where nothing has a time."""
    timed = [group for group in found if group.entries]
    if not timed:
        return None
    drawn = choose(timed)
    figures: list[tuple[Picture | None, Table]] = [
        (_picture(group) if group in drawn else None, _table(group)) for group in found if group in drawn
    ]
    others = [group for group in found if group not in drawn]
    if others:
        figures.append((None, _others(others)))
    note = NOTE
    if len(timed) > len(drawn):
        note += f" Drawn are {len(drawn)} of {counted(len(timed), 'case')}, of each operator those that move the most."
    return Section("error-against-time", "Error against time", _answer(timed), tuple(figures), note)


def choose(timed: Sequence[Group], most: int = MOST_PICTURES) -> list[Group]:
    """The groups that are drawn, in their order: of each operator in turn the next one that moves the most bytes."""
    by_operator: dict[str, list[Group]] = defaultdict(list)
    for group in sorted(timed, key=lambda one: -(one.bytes or 0)):
        by_operator[group.operator].append(group)
    turns = [
        (turn, number, group)
        for number, name in enumerate(sorted(by_operator))
        for turn, group in enumerate(by_operator[name])
    ]
    turns.sort(key=lambda one: one[:2])
    kept = {id(group) for _, _, group in turns[:most]}
    return [group for group in timed if id(group) in kept]


def front(entries: Sequence[Entry]) -> list[Entry]:
    """Those that no other beats or equals in time and in error, being better in one; the fastest first."""
    known = [one for one in entries if one.worst is not None]
    kept: list[Entry] = []
    for one in sorted(known, key=lambda one: (one.time_ns, one.worst)):
        if not kept or (one.worst or 0.0) < (kept[-1].worst or 0.0):
            kept.append(one)
    return kept


def _answer(timed: Sequence[Group]) -> str:
    fronts = [(group, front(group.entries)) for group in timed]
    both = sum(len(best) == 1 for _, best in fronts)
    if len(timed) == 1:
        ((group, best),) = fronts
        names = [plain(one.name) for one in best]
        where = f"{plain(group.operator)} {plain(group.case)}"
        if not best:
            return f"Of {where} no error is known."
        if len(best) == 1:
            return f"For {where}, {names[0]} is the fastest, and none is more exact."
        return f"For {where}, the choice is between {listed(names, 4)}, from the fastest to the most exact."
    text = f"In {both} of {counted(len(timed), 'case')}, the fastest implementation is also the most exact"
    choices = sum(len(best) > 1 for _, best in fronts)
    return text + (f"; in {choices} a slower one has a smaller error." if choices else ".")


def _axes(entries: Sequence[Entry]) -> tuple[Axis, Axis]:
    times = [value for one in entries for value in (*one.interval_ns, one.time_ns)]
    errors = [max(one.worst, LEAST_ERROR) for one in entries if one.worst]
    x = axis_of([value * 1e-9 for value in times], LEFT, WIDTH - RIGHT, pad=1.15)
    # nothing that has a time lies above the bound
    return x, Axis(min([*errors, 0.4]) / 1.3, 1.35, HEIGHT - BOTTOM - FLOOR, TOP)


def _height(axis: Axis, worst: float) -> float:
    return axis.at(max(worst, LEAST_ERROR)) if worst > 0 else HEIGHT - BOTTOM - 9.0


def _picture(group: Group) -> Picture | None:
    """The picture of one case; None where no error is known of any."""
    best = front(group.entries)
    known = [one for one in group.entries if one.worst is not None]
    # the front is shown whatever else has to be left out
    entries = [*best, *(one for one in known if one not in best)][:MOST_MARKS]
    if not entries:
        return None
    x, y = _axes(entries)
    parts = [*_frame(x, y, any(not one.worst for one in entries)), _staircase(best, x, y)]
    spots = []
    for one in entries:
        low, high = (x.at(end * 1e-9) for end in one.interval_ns)
        spots.append(Spot(x.at(one.time_ns * 1e-9), _height(y, one.worst or 0.0), low, high, cut(one.name)))
    bars = "".join(f"M{num(one.left)} {num(one.y)}H{num(one.right)}" for one in spots)
    parts.append(
        f'<path class="bars" d="{bars}" fill="none" stroke="currentColor" stroke-opacity=".6" stroke-width="2"/>'
    )
    parts += [marks(one.mark, [(spot.x, spot.y)], _words(one)) for one, spot in zip(entries, spots, strict=True)]
    frame: Box = (LEFT + 2, TOP - 14, WIDTH - 2, HEIGHT - BOTTOM + 2)
    bound = (WIDTH - RIGHT - 180, y.at(1.0) - 15, WIDTH - RIGHT, y.at(1.0) + 1)
    taken = [bound, *_staircase_boxes(best, x, y)]
    unplaced = []
    for one, spot, place in zip(entries, spots, labels(spots, frame, taken), strict=True):
        if place is None:
            unplaced.append((one.mark, spot.name))
        else:
            parts.append(words(place[0], place[1], spot.name, anchor=place[2]))
    more, bottom = legend(unplaced, LEFT, HEIGHT + 10, WIDTH - RIGHT)
    left_out = len(group.entries) - len(entries)
    if left_out:
        text = f"{left_out} more are in the table"
        more.append(words(LEFT, bottom + 6, text, tick=True))
        bottom += 16
    label = _label(group, best)
    return Picture(picture(WIDTH, round(bottom + 4) if more else HEIGHT, label, [*parts, *more]), label)


def _frame(x: Axis, y: Axis, exact: bool) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    columns, heights = x.ticks(), [value for value in y.ticks(6) if value != 1.0]
    parts = [words(x.at(value), bottom + 16, si(value, "s"), anchor="middle", tick=True) for value in columns]
    parts += [words(LEFT - 8, y.at(value) + 4, f"{value:g}", anchor="end", tick=True) for value in (*heights, 1.0)]
    lines = [(x.at(value), TOP, x.at(value), bottom) for value in columns]
    lines += [(LEFT, y.at(value), right, y.at(value)) for value in heights]
    if exact:
        lines.append((LEFT, bottom - FLOOR + 4, right, bottom - FLOOR + 4))
        parts.append(words(LEFT - 8, bottom - 5, "exact", anchor="end", tick=True))
    parts += [rules(lines), rules([(LEFT, y.at(1.0), right, y.at(1.0)), (LEFT, bottom, right, bottom)], strong=True)]
    parts.append(words(right - 6, y.at(1.0) - 5, "1: the bound; wrong above it", anchor="end", tick=True))
    title = "worst error / bound, logarithmic, against median time per call with its 95 % interval, logarithmic"
    parts.append(words(LEFT, HEIGHT - 12, f"{title} · - - Pareto front", tick=True))
    return parts


def _staircase_boxes(best: Sequence[Entry], x: Axis, y: Axis) -> list[Box]:
    """Where the front runs, so that no name is written over it."""
    corners = [(x.at(one.time_ns * 1e-9), _height(y, one.worst or 0.0)) for one in best]
    ends = [*(px for px, _ in corners[1:]), WIDTH - RIGHT]
    starts = [TOP, *(py for _, py in corners)]
    flat = [(px, py - 2, end, py + 2) for (px, py), end in zip(corners, ends, strict=True)]
    steep = [(px - 2, start, px + 2, py) for (px, py), start in zip(corners, starts, strict=False)]
    return [*flat, *steep]


def _staircase(best: Sequence[Entry], x: Axis, y: Axis) -> str:
    if not best:
        return ""
    first = best[0]
    path = f"M{num(x.at(first.time_ns * 1e-9))} {TOP}"
    for one in best:
        path += f"H{num(x.at(one.time_ns * 1e-9))}V{num(_height(y, one.worst or 0.0))}"
    path += f"H{WIDTH - RIGHT}"
    return (
        f'<path class="front" d="{path}" fill="none" stroke="currentColor" stroke-opacity=".7" stroke-width="1.5" '
        'stroke-dasharray="5 4"/>'
    )


def _words(one: Entry) -> str:
    error = "exact" if one.worst == 0 else f"error / bound {number(one.worst, 2)}"
    median, interval = (cell.text for cell in time_cells(one.record))
    return f"{one.name}: {median} ({interval}), {error}"


def _label(group: Group, best: Sequence[Entry]) -> str:
    names = listed([one.name for one in best], 3)
    return (
        f"Error over bound against time of {counted(len(group.entries), 'implementation')} of {plain(group.operator)} "
        f"{plain(group.case)}; on the Pareto front: {names}. The table holds the same figures."
    )


def _table(group: Group) -> Table:
    best = front(group.entries)
    rows = [_row(one, one in best) for one in group.entries]
    rows += [_wrong_row(one) for one in group.wrong[:MOST_WRONG]]
    title = f"{plain(group.operator)} {plain(group.case)}"
    caption = f"{title}: error and time"
    if len(group.wrong) > MOST_WRONG:
        caption += f"; {len(group.wrong) - MOST_WRONG} more are wrong"
    return Table(caption, COLUMNS, tuple(rows), title)


def _row(one: Entry, chosen: bool) -> tuple[Cell, ...]:
    exact = one.worst == 0
    return (
        Cell(one.name, one.name),
        *time_cells(one.record),
        Cell("exact", 0.0) if exact else figure(one.worst),
        figure(one.record.error_over_bound),
        figure(one.record.max_ulp),
        Cell("Pareto front", 0.0, kind="good")
        if chosen
        else Cell("another is faster and as exact" if one.worst is not None else "-", 1.0),
    )


def _wrong_row(record: Record) -> tuple[Cell, ...]:
    status = record.status.replace("_", " ")
    name = name_of(record)
    nothing = Cell("-")
    return (
        Cell(name, name),
        Cell("no time"),
        nothing,
        figure(record.error_over_bound),
        nothing,
        nothing,
        Cell(f"{status}, known" if record.known else status, 2.0, plain(record.reason), "bad"),
    )


def _others(groups: Sequence[Group]) -> Table:
    """One row for each case that is not drawn, up to MOST_OTHERS of them."""
    columns = (
        Column("case"),
        Column("fastest"),
        Column("median", numeric=True),
        Column("most exact"),
        Column("worst error / bound", numeric=True),
        Column("wrong, without a time"),
    )
    rows = []
    for group in groups[:MOST_OTHERS]:
        name = f"{plain(group.operator)} {plain(group.case)}"
        best = front(group.entries)
        wrong = listed([name_of(one) for one in group.wrong])
        if group.entries:
            first = time_cells(group.entries[0].record)[0]
            exact = (Cell(best[-1].name), figure(best[-1].worst)) if best else (Cell("-"), Cell("-"))
            cells = (Cell(group.entries[0].name), first, *exact)
        else:
            cells = (Cell("-"), Cell("no time"), Cell("-"), Cell("-"))
        rows.append((Cell(name, name), *cells, Cell(wrong or "-", kind="bad" if wrong else "")))
    caption = "Cases without a picture: the ends of their Pareto fronts"
    if len(groups) > MOST_OTHERS:
        caption += f"; the first {MOST_OTHERS} of {len(groups)}, all are in `harness report --format csv`"
    return Table(caption, columns, tuple(rows))
