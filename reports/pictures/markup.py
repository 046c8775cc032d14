"""SVG markup: marks that differ by shape and colour, text in which all foreign is escaped, labels that find a place.

Colours are those of Okabe and Ito without yellow, which is lost on white; black is the colour of the text, so that it
turns with the page. What stands on paper or in the dark is outlined in the colour of the text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ..inert import visible

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "currentColor")
LONGEST = 34
LETTER = 7.5
"""Width of a letter of a label in pixels, a little more than it takes on average."""
LINE = 15.0
SMALL = 6.1
"""Width of a letter of a tick."""


def safe(value: object) -> str:
    """Foreign text as XML takes it, in an element or between quotes."""
    return escape(visible(value), quote=True)


def cut(name: str, longest: int = LONGEST) -> str:
    """A name that is no longer than that; the middle is left out, since names differ at both ends."""
    if len(name) <= longest:
        return name
    head = (longest - 1) // 2
    return f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"


def width(text: str, letter: float = LETTER) -> float:
    """About how many pixels a text takes; Chinese and the like take twice as many."""
    return sum(1.9 if unicodedata.east_asian_width(char) in "WF" else 1.0 for char in text) * letter


def num(value: float) -> str:
    """A pixel to a tenth, without what says nothing."""
    return f"{round(value, 1) + 0.0:g}"


def words(x: float, y: float, text: object, *, anchor: str = "start", tick: bool = False) -> str:
    """A text element; `tick` makes it small."""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{"tick" if tick else "name"}" x="{num(x)}" y="{num(y)}"{place}>{safe(text)}</text>'


def rules(lines: Sequence[tuple[float, float, float, float]], *, strong: bool = False) -> str:
    """Straight lines of the grid, or of the frame where they are strong, as one path."""
    path = "".join(f"M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}" for x1, y1, x2, y2 in lines)
    opacity = ".55" if strong else ".16"
    return f'<path class="rule" d="{path}" fill="none" stroke="currentColor" stroke-opacity="{opacity}"/>'


def shape(kind: int, x: float, y: float, size: float = 5.0) -> str:
    """The path of a mark: circle, square, triangle, diamond, the triangle turned, plus, cross."""
    s = size
    # each is drawn from its first point by relative steps
    first, steps = (
        ((-1, 0), f"a{s:g} {s:g} 0 1 0 {2 * s:g} 0a{s:g} {s:g} 0 1 0 {-2 * s:g} 0"),
        ((-0.9, -0.9), _steps(s, (1.8, 0), (0, 1.8), (-1.8, 0))),
        ((0, -1.15), _steps(s, (1.15, 2), (-2.3, 0))),
        ((0, -1.25), _steps(s, (1.25, 1.25), (-1.25, 1.25), (-1.25, -1.25))),
        ((0, 1.15), _steps(s, (1.15, -2), (-2.3, 0))),
        ((-0.4, -1.2), _steps(s, *((0.8 * x, 0.8 * y) for x, y in PLUS))),
        ((-1, -1), _steps(s, (1, 0.55), (1, -0.55), (-0.55, 1), (0.55, 1), (-1, -0.55), (-1, 0.55), (0.55, -1))),
    )[kind % SHAPES]
    return f"M{num(x + first[0] * s)} {num(y + first[1] * s)}{steps}z"


SHAPES = 7
PLUS = ((1, 0), (0, 1), (1, 0), (0, 1), (-1, 0), (0, 1), (-1, 0), (0, -1), (-1, 0), (0, -1), (1, 0))


def _steps(size: float, *steps: tuple[float, float]) -> str:
    return "".join(f"l{round(size * x, 2):g} {round(size * y, 2):g}" for x, y in steps)


def look(number: int) -> tuple[int, str]:
    """Shape and colour of the implementation with this number: 49 of them differ, and neighbours differ in both."""
    return (number + number // SHAPES) % SHAPES, COLOURS[number % len(COLOURS)]


def marks(number: int, places: Sequence[tuple[float, float]], title: str) -> str:
    """Marks of one implementation; they say what they are when they are pointed at."""
    kind, colour = look(number)
    path = "".join(shape(kind, x, y) for x, y in places)
    return f'<path class="mark" d="{path}" fill="{colour}" stroke="currentColor"><title>{safe(title)}</title></path>'


def picture(width_px: int, height_px: int, label: str, parts: Sequence[str]) -> str:
    """The whole drawing; it is one picture with a label to who hears it. Without a style sheet its text has the colour
    of what is around it."""
    return (
        f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'width="{width_px}" height="{height_px}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor" role="img" aria-label="{safe(label)}">{"".join(parts)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class Spot:
    """What is to be labelled: where its mark is, how far its interval reaches, and its name."""

    x: float
    y: float
    left: float
    right: float
    name: str


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def labels(spots: Sequence[Spot], frame: Box, taken: Sequence[Box] = ()) -> list[tuple[float, float, str] | None]:
    """Where each name goes, as (x, baseline, anchor), so that none covers another name or mark; None where there is no
    room for it. The first spots choose first."""
    filled = [*taken, *((min(one.left, one.x - 7), one.y - 7, max(one.right, one.x + 7), one.y + 7) for one in spots)]
    found: list[tuple[float, float, str] | None] = []
    for spot in spots:
        long = width(spot.name)
        chosen = None
        for x, y, anchor in _places(spot):
            left = x if anchor == "start" else x - long if anchor == "end" else x - long / 2
            box = (left, y - LINE + 4, left + long, y + 4)
            inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
            if inside and not any(_overlap(box, other) for other in filled):
                chosen = (x, y, anchor)
                filled.append(box)
                break
        found.append(chosen)
    return found


def _places(spot: Spot) -> list[tuple[float, float, str]]:
    left, right = min(spot.left, spot.x - 7), max(spot.right, spot.x + 7)
    x, y = spot.x, spot.y
    near = [(right + 3, y + 4.5, "start"), (left - 3, y + 4.5, "end"), (x, y - 11, "middle"), (x, y + 19, "middle")]
    return [*near, (x, y - 11, "start"), (x, y + 19, "start"), (x, y - 11, "end"), (x, y + 19, "end")]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def spread(wanted: Sequence[float], low: float, high: float, apart: float) -> list[float]:
    """Places in the same order (smallest first), at least so far apart, near to what is wanted and within the ends."""
    found: list[float] = []
    for value in wanted:
        found.append(max(value, found[-1] + apart) if found else max(value, low))
    ceiling = high
    for number in reversed(range(len(found))):
        found[number] = min(found[number], ceiling)
        ceiling = found[number] - apart
    return found


def legend(entries: Sequence[tuple[int, str]], left: float, top: float, right: float) -> tuple[list[str], float]:
    """Marks with their names in rows from `left` to `right`; and where the rows end."""
    parts, x, y = [], left, top
    for number, name in entries:
        long = 18 + width(name) + 16
        if x > left and x + long > right:
            x, y = left, y + 20
        kind, colour = look(number)
        parts.append(f'<path class="mark" d="{shape(kind, x + 6, y - 4.5)}" fill="{colour}" stroke="currentColor"/>')
        parts.append(words(x + 18, y, name))
        x += long
    return parts, (y + 12 if entries else top - 8)
