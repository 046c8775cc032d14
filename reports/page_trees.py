"""The page's accumulation trees: what is declared and, where it was probed for this report, what they really are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.judge.drawing import as_svg, summary
from harness.next_step import quoted

from .page_bars import Bar, bars
from .page_evidence import passed
from .page_rows import columns, cut, some
from .report import Report
from .section import Cell, Picture, Section, Table
from .words import plain, span

if TYPE_CHECKING:
    from harness.revealing import Found

MOST_DRAWN = 40


def trees_section(report: Report) -> Section | None:
    """None where nothing declares a tree and none was revealed."""
    figures = [one for one in (_declared(report),) if one is not None]
    figures += _revealed(report.trees)
    if not figures:
        return None
    answer = (
        "The height of the tree in which an implementation says that it adds up: its bound grows with it, so a tall "
        "tree (one by one) is allowed a larger error than a flat one (pairwise). Headroom is bound over error."
    )
    if not report.trees:
        note = "The last column's command reveals the tree by probing, draws it, and holds it against what is declared."
        return Section("trees", "Accumulation trees", answer, tuple(figures), note)
    against = [one for one in report.trees if one.contradiction]
    told = f"{some(len(against), 'declared tree')} of {len(report.trees)} contradicted by probing." if against else (
        "No declared tree is contradicted by probing."
    )  # fmt: skip
    note = "Trees were revealed when this page was made, by probing the implementations as they were then."
    return Section("trees", "Accumulation trees", f"{told} {answer}", tuple(figures), note)


def _declared(report: Report) -> tuple[Picture | None, Table] | None:
    rows = []
    drawn = []
    for (operator, name), records in passed(report).items():
        known = [one for one in records if one.tree_height is not None]
        if not known:
            continue
        tallest = max(known, key=lambda one: one.tree_height or 0)
        worst = max((one.error_over_bound for one in known if one.error_over_bound is not None), default=None)
        height = tallest.tree_height or 0
        drawn.append(Bar(f"{plain(operator)} {plain(name)}", float(height), f"{height:,}"))
        rows.append(
            (
                Cell(f"{plain(operator)}/{plain(name)}"),
                Cell(span(one.tree_height for one in known), height),
                Cell(plain(tallest.case)),
                Cell("-" if worst is None else f"{worst:.2g}", worst),
                Cell("-" if not worst else f"{1 / worst:.2g}", 1 / worst if worst else None),
                Cell("", command=f"harness reveal {quoted(f'{operator}/{name}')}"),
            )
        )
    if not rows:
        return None
    label = "Greatest height of each declared accumulation tree"
    labels = ("implementation", "#height, least - most", "tallest at", "#worst error / bound", "#headroom")
    caption = "Declared trees by implementation, over the cases that passed"
    # the tallest first, so that what is left out of the picture is small
    drawn.sort(key=lambda one: -one.value)
    table = Table(caption, columns(*labels, "what it really is"), tuple(rows), folded=len(rows) > 12)
    return bars(drawn, label, logarithmic=True), table


def _revealed(found: Sequence[Found]) -> list[tuple[Picture | None, Table]]:
    """One figure for each different tree of an operator, and a table of those that were not revealed."""
    by_tree: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in found:
        by_tree[(one.declaration.operator, one.tree.signature if one.tree else "")].append(one)
    figures: list[tuple[Picture | None, Table]] = []
    without = [one for (_, signature), alike in by_tree.items() if not signature for one in alike]
    heads = columns("implementation", "declared", "held against it", "#probes", "run it again")
    for number, ((operator, signature), alike) in enumerate(sorted(by_tree.items(), key=lambda one: one[0])):
        tree = alike[0].tree
        if not signature or tree is None:
            continue
        title = f"{plain(operator)}: {summary(tree)}, {plain(alike[0].dtype)}"
        names = ", ".join(f"{plain(one.declaration.backend)}/{plain(one.declaration.implementation)}" for one in alike)
        markup = as_svg(tree, f"{plain(operator)}, {tree.leaves} terms").replace("<svg ", '<svg class="tree" ', 1)
        picture = Picture(markup, f"Accumulation tree of {names}: {summary(tree)}") if number < MOST_DRAWN else None
        rows = tuple(_row(one) for one in alike)
        figures.append((picture, Table(f"Implementations that add up in this tree: {names}", heads, rows, title=title)))
    if without:
        rows = tuple(
            (Cell(plain(one.declaration.id)), Cell(cut(one.reason)), Cell("", command=_command(one))) for one in without
        )
        figures.append((None, Table("Not revealed", columns("implementation", "why", "run it again"), rows)))
    return figures


def _row(one: Found) -> tuple[Cell, ...]:
    claim = one.declaration.accumulation
    kind, verdict = ("bad", f"✗ {cut(one.contradiction)}") if one.contradiction else ("good", "✓ as declared")
    if claim is None:
        kind, verdict = "none", "nothing is declared"
    return (
        Cell(plain(one.declaration.id)),
        Cell(plain(claim.tree) if claim else "-"),
        Cell(verdict, kind=kind),
        Cell(str(one.tree.probes) if one.tree else "-", one.tree.probes if one.tree else None),
        Cell("", command=_command(one)),
    )


def _command(one: Found) -> str:
    return f"harness reveal {quoted(one.declaration.id)} -n {one.n} --dtype {quoted(one.dtype)}"
