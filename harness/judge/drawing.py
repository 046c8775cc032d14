"""Draw a revealed tree: as text for a terminal, and as an SVG that stands alone.

A small tree is drawn whole. A large one is folded first: subtrees of the same shape are counted instead of repeated,
so that numpy's sum of 4096 terms is 32 x [8 x [16 leaves, one by one], pairwise], pairwise. Which leaves a part is made
of is told for the first of its kind.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import NamedTuple

from harness.judge.revealed import Revealed

WHOLE_TEXT = 32
WHOLE_PICTURE = 128
MOST_LINES = 40
MOST_SHAPES = 1500
WIDTH = 960
NARROWEST = 3
DEEPEST = 24
COLOURS = {"series": "#c05621", "then": "#c05621", "halves": "#2b6cb0"}


class Fold(NamedTuple):
    """What is left of all subtrees of one shape: how its parts (numbers of other folds) are added up.

    `leaf`: a term. `series`: equal parts, one by one. `halves`: equal parts, in halves of halves. `then`: the first
    part, and to it, one by one, `times` of the second. `several`: all parts at once, or, if there are two, one
    addition of unlike parts. `strided`: the parts are not neighbours, as the lanes of a vector unit are not.
    """

    how: str
    parts: tuple[int, ...]
    times: int
    leaves: int
    strided: bool = False


def fold(tree: Revealed) -> tuple[list[Fold], list[int]]:
    """The different folds of a tree, and which of them each node is."""
    folds: list[Fold] = []
    known: dict[Fold, int] = {}
    of_node: list[int] = []
    last: list[int] = []
    for node, children in enumerate(tree.children):
        last.append(max((last[child] for child in children), default=node))
        strided = any(last[a] + 1 != tree.first_leaves[b] for a, b in pairwise(children))
        made = _folded([of_node[child] for child in children], strided, folds)
        if made not in known:
            known[made] = len(folds)
            folds.append(made)
        of_node.append(known[made])
    return folds, of_node


def _folded(parts: list[int], strided: bool, folds: list[Fold]) -> Fold:
    if not parts:
        return Fold("leaf", (), 1, 1)
    leaves = sum(folds[part].leaves for part in parts)
    # the larger part first; ties by number, so that commuted operands fold alike
    parts = sorted(parts, key=lambda part: (-folds[part].leaves, part))
    a, b = parts[0], parts[-1]
    grown, added = folds[a], folds[b]
    if len(parts) > 2:
        return Fold("several", tuple(parts), 1, leaves, strided)
    if a == b:
        if grown.how == "halves" and grown.strided == strided:
            return Fold("halves", grown.parts, 2 * grown.times, leaves, strided)
        return Fold("halves", (a,), 2, leaves, strided)
    if added.leaves == 1:  # leaves that follow one another are one chain, wherever they lie
        strided = strided or (grown.strided and b in grown.parts)
    if grown.strided == strided or added.leaves == 1:
        if grown.parts == (b,) and (grown.how == "series" or grown.times == 2):
            return Fold("series", (b,), grown.times + 1, leaves, strided)
        # two halves are themselves a start: of the series of what each of them is
        if grown.how == added.how == "halves" and grown == added._replace(times=2 * added.times, leaves=grown.leaves):
            return Fold("series", (b,), 3, leaves, strided)
        if len(grown.parts) == 2 and grown.parts[1] == b:
            return Fold("then", grown.parts, grown.times + 1 if grown.how == "then" else 2, leaves, strided)
    return Fold("then" if added.leaves == 1 else "several", (a, b), 1, leaves, strided)


def _words(part: Fold, folds: list[Fold]) -> str:
    """One fold in words, without what is inside its parts."""
    strided = ", strided" * part.strided
    if part.how == "leaf":
        return "1 leaf"
    if part.how in ("series", "halves"):
        what = "leaves" if folds[part.parts[0]].how == "leaf" else "x"
        way = "" if part.times == 2 else ", one by one" if part.how == "series" else ", pairwise"
        return f"{part.times} {what}{way}{strided}"
    if part.how == "then":
        what = "x the second" if folds[part.parts[1]].leaves > 1 else "leaf" if part.times == 1 else "leaves"
        return f"the first, then {part.times} {what}" + ", one by one" * (part.times > 1)
    return "2 unlike parts" if len(part.parts) == 2 else f"{len(part.parts)} at once{strided}"


def _example(tree: Revealed, of_node: list[int], node: int, wanted: int) -> int:
    """The node below `node` that is the wanted part of its fold, the one with the smallest leaf."""
    waiting = list(reversed(tree.children[node]))
    while waiting:
        node = waiting.pop()
        if of_node[node] == wanted:
            return node
        waiting.extend(reversed([child for child in tree.children[node] if tree.sizes[child] > 1]))
    raise ValueError("a fold without its part")


def _leaves(tree: Revealed, node: int) -> str:
    """The leaves below a node, abridged."""
    found, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        waiting.extend(tree.children[node])
        if node < tree.leaves:
            found.append(node)
    found.sort()
    if len(found) <= 4:
        return ", ".join(map(str, found))
    if found[-1] - found[0] == len(found) - 1:
        return f"{found[0]} to {found[-1]}"
    return f"{found[0]}, {found[1]}, {found[2]}, ..., {found[-1]}"


def _apart(tree: Revealed, node: int, times: int) -> str:
    """How far apart the first leaves of the operands are, from the first addition to the last: this is what tells a
    kernel's neighbours (1, 2, 4, ...) from its halves (..., 4, 2, 1)."""
    distances = []
    while times > 1:
        one, other = sorted(tree.children[node], key=lambda child: tree.first_leaves[child])
        distances.append(tree.first_leaves[other] - tree.first_leaves[one])
        node, times = one, times // 2
    return ", ".join(map(str, reversed(distances)))


class Line(NamedTuple):
    """A line of the outline of a folded tree: how deep it stands, what it says."""

    indent: int
    words: str


def outline(tree: Revealed) -> list[Line]:
    """The folded tree from the root down, each kind of part once; cut off after MOST_LINES."""
    folds, of_node = fold(tree)
    lines: list[Line] = []
    told: dict[int, int] = {}
    waiting = [(0, len(tree.parents) - 1)]
    while waiting:
        indent, node = waiting.pop()
        number = of_node[node]
        if len(lines) == MOST_LINES:
            return [*lines, Line(indent, f"... and {len(waiting) + 1} more parts")]
        # parts that are leaves need no line, and a fold that has been told is not told again
        inner = [one for one in dict.fromkeys(folds[number].parts) if folds[one].leaves > 1]
        again = f", inside as in line {told[number]}" if inner and number in told else ""
        told.setdefault(number, len(lines) + 1)
        words = _words(folds[number], folds)
        if folds[number].how == "halves" and folds[number].times >= 4:
            words = f"{words.removesuffix(', strided')}, {_apart(tree, node, folds[number].times)} apart"
        lines.append(Line(indent, f"{words}  [{_leaves(tree, node)}]{again}"))
        if not again:
            examples = [_example(tree, of_node, node, one) for one in inner]
            waiting.extend((indent + 1, child) for child in reversed(examples))
    return lines


def summary(tree: Revealed) -> str:
    return f"{tree.leaves} {'leaf' if tree.leaves == 1 else 'leaves'}, height {tree.height}, fan-in {tree.fan_in}"


def as_text(tree: Revealed) -> str:
    """The tree in lines for a terminal."""
    if tree.leaves <= WHOLE_TEXT:
        return "\n".join([summary(tree), *_whole(tree)])
    lines = outline(tree)
    digits = len(str(len(lines)))
    told = [f"{number:{digits}}  {'  ' * line.indent}{line.words}" for number, line in enumerate(lines, 1)]
    return "\n".join([summary(tree), *told])


def _whole(tree: Revealed) -> list[str]:
    lines = []
    waiting = [(len(tree.parents) - 1, "", "")]
    while waiting:
        node, lead, below = waiting.pop()
        children = tree.children[node]
        if all(child < tree.leaves for child in children):
            lines.append(lead + (" + ".join(f"x{child}" for child in children) or f"x{node}"))
            continue
        lines.append(f"{lead}+")
        last = len(children) - 1
        for place in range(last, -1, -1):
            branch, trunk = ("└─ ", "   ") if place == last else ("├─ ", "│  ")
            waiting.append((children[place], below + branch, below + trunk))
    return lines


def as_svg(tree: Revealed, title: str) -> str:
    """A picture of the tree that stands alone: leaves from left to right, additions from the root down."""
    body, width, height = _picture(tree) if tree.leaves <= WHOLE_PICTURE else _folded_picture(tree)
    text = escape("".join(character for character in title if character.isprintable()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 56}" width="{width}" '
        f'height="{height + 56}" role="img" font-family="system-ui, sans-serif" font-size="12">'
        f"<title>{text}: {summary(tree)}</title>"
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="16" y="22" font-size="15" font-weight="600" fill="#1a1a1a">{text}</text>'
        f'<text x="16" y="40" fill="#555">{summary(tree)}</text>'
        f'<g transform="translate(0 56)">{"".join(body)}</g></svg>'
    )


def _picture(tree: Revealed) -> tuple[list[str], int, int]:
    """Every leaf at its index and every node above the middle of its children."""
    step = max(7, min(28, 900 // tree.leaves))
    drop = max(5, min(28, 560 // max(1, tree.height)))
    x = [20.0 + step * leaf for leaf in range(tree.leaves)]
    for node in range(tree.leaves, len(tree.parents)):
        x.append(sum(x[child] for child in tree.children[node]) / len(tree.children[node]))
    y = [12 + drop * depth for depth in tree.depths]
    path = "".join(
        f"M{x[parent]:.1f} {y[parent]}L{x[node]:.1f} {y[node]}" for node, parent in enumerate(tree.parents[:-1])
    )
    body = [f'<path d="{path}" fill="none" stroke="#8a94a6"/>']
    every = -(-tree.leaves // 32)
    for node in range(len(tree.parents)):
        leaf = node < tree.leaves
        radius, colour = (2.5, "#2b6cb0") if leaf else (2, "#1a1a1a")
        body.append(f'<circle cx="{x[node]:.1f}" cy="{y[node]}" r="{radius}" fill="{colour}"/>')
        if leaf and node % every == 0:
            body.append(f'<text x="{x[node]:.1f}" y="{y[node] + 14}" font-size="9" text-anchor="middle">{node}</text>')
    return body, max(320, int(x[tree.leaves - 1]) + 24), 12 + drop * tree.height + 24


def _folded_picture(tree: Revealed) -> tuple[list[str], int, int]:
    """A band for each level of folds, larger parts to the left, with the outline as its legend."""
    folds, of_node = fold(tree)
    shapes = [(of_node[-1], 16.0, WIDTH - 32.0, 0)]
    for number, begin, width, level in shapes:  # grows while it is walked
        part, left = folds[number], begin
        for inner in part.parts * part.times if len(part.parts) == 1 else part.parts[:1] + part.parts[1:] * part.times:
            wide = width * folds[inner].leaves / part.leaves
            if folds[inner].leaves > 1 and wide >= NARROWEST and level < DEEPEST and len(shapes) < MOST_SHAPES:
                shapes.append((inner, left, wide, level + 1))
            left += wide
    levels = 1 + shapes[-1][3]
    band = max(24, min(80, 480 // levels))
    body: list[str] = []
    for number, left, width, level in shapes:
        how, base = folds[number].how, (level + 1) * band - 4
        apex = left + (width if how in ("series", "then") else width / 2)
        points = f"{left:.1f},{base} {apex:.1f},{level * band + 4} {left + width:.1f},{base}"
        colour = COLOURS.get(how, "#718096")
        body.append(f'<polygon points="{points}" fill="{colour}" fill-opacity=".25" stroke="{colour}"/>')
    y = levels * band + 20
    key = "triangle: in halves of halves; slope: one by one; grey: unlike parts, or many at once"
    legend = [(f"{number}. {line.words}", line.indent) for number, line in enumerate(outline(tree), 1)]
    for text, indent in [(key, 0), *legend]:
        body.append(f'<text x="{16 + 18 * indent}" y="{y}">{escape(text)}</text>')
        y += 16
    return body, WIDTH, y
