"""The page's rankings: who is fastest, by how much, how sure; one picture and table for each operator and case."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import jinja2

from harness.record import WRONG

from .chart import Chart, chart
from .page_rows import columns, command, cut, group_command, some, words
from .ranking import Place, Ranking
from .report import Report
from .section import Cell, Picture, Section, Table
from .words import count, number, plain, ratio_words, time_words, unit_for

MOST_DRAWN = 60
MOST_SHOWN = 100


def ranking_section(report: Report, groups: Sequence[Ranking], environment: jinja2.Environment) -> Section | None:
    """None where nothing was timed."""
    if not groups:
        return None
    shown = _chosen(groups)
    drawn = {id(group) for group in shown[:MOST_DRAWN]}
    figures = []
    for group in sorted(shown, key=lambda one: (one.operator, one.case)):
        plot = chart(group) if id(group) in drawn else None
        picture = None if plot is None else Picture(svg(plot, environment), f"{plot.title}, of {plain(group.operator)}")
        figures.append((picture, _table(group, report)))
    return Section(
        "ranking",
        "Ranking",
        f"{report.disturbance} "
        * bool(report.disturbance)
        + "Only what is right is timed. Ratios come from interleaved pairs; implementations whose ratio to the fastest "
        "cannot be told from 1 share its rank (=). “Visible” is the smallest difference that this run could have seen. "
        f"A row's heading opens to the command that {'times it again' if report.runs_again else 'shows its history'}.",
        tuple(figures),
        _note(report, groups, shown),
    )


def _chosen(groups: Sequence[Ranking]) -> list[Ranking]:
    """Rankings to show, in turns over the operators, so that a limit leaves some of each."""
    turns: dict[str, int] = defaultdict(int)
    order = []
    for group in groups:
        order.append((turns[group.operator], group))
        turns[group.operator] += 1
    return [group for _, group in sorted(order, key=lambda one: one[0])][:MOST_SHOWN]


def _note(report: Report, groups: Sequence[Ranking], shown: Sequence[Ranking]) -> str:
    said = []
    if len(shown) < len(groups):
        said.append(
            f"{len(shown)} of {len(groups)} rankings are shown here, some of each operator; the times of all are in "
            f"`harness report {report.run['run_id']} --format csv`."
        )
    if len(shown) > MOST_DRAWN:
        said.append(f"{MOST_DRAWN} of them are drawn.")
    if any(group.is_counted for group in shown):
        said.append(
            "Launches and host round trips are those of one call. On a round trip the device stands still while the "
            "host reads its results, works on them and sends them back, which is why a strategy with fewer launches "
            "can lose."
        )
    return " ".join(said)


def svg(plot: Chart, environment: jinja2.Environment) -> str:
    """A ranking as SVG: dots and bars; the dots of those that share the first rank are filled."""
    return environment.get_template("ranking.html").render(plot=plot)


def _table(group: Ranking, report: Report) -> Table:
    divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
    labels = ["implementation", "#rank", f"#median {unit}", "#95 % interval", "#vs fastest", "#visible", "#GB/s"]
    labels += ["#% of copy", "#error / bound", "#readings", "#judged"]
    if group.is_counted:
        labels += ["#launches", "#host round trips"]
    rows = [_row(place, divisor, group.is_counted, report) for place in group.places]
    for record in group.without_time:
        kind = "bad" if record.status in WRONG else "none"
        name = Cell(
            f"{plain(record.backend)}/{plain(record.implementation)}",
            detail=cut(record.reason),
            command=command("bench", record, report),
        )
        rest = [Cell("-")] * (len(labels) - 2)
        rows.append((name, Cell(words(record.status), kind=kind), *rest))
    case = plain(group.case)
    return Table(
        f"Times per call in {unit}" if group.places else "Nothing has a time",
        columns(*labels),
        tuple(rows),
        title=f"{plain(group.operator)} {case}",
    )


def _row(place: Place, divisor: float, counted: bool, report: Report) -> tuple[Cell, ...]:
    record = place.record
    median_ns, low_ns, high_ns = (float(one or 0) for one in (record.median_ns, record.ci_low_ns, record.ci_high_ns))
    median, interval = time_words(median_ns, low_ns, high_ns, divisor)
    relative = place.relative
    ratio = ratio_words(relative.estimate, relative.low, relative.high)
    known = math.isfinite(place.smallest_visible)
    visible = "" if place.verdict == "fastest" else f"{100 * place.smallest_visible:.1f} %" if known else "?"
    cells = (
        Cell(
            f"{plain(record.backend)}/{plain(record.implementation)}" + f" ({place.refusal})" * bool(place.refusal),
            command=command("bench", record, report),
        ),
        Cell(
            f"{place.rank}{'=' if place.verdict == 'tied' else ''}", place.rank, kind="best" if place.rank == 1 else ""
        ),
        Cell(median, median_ns),
        Cell(interval, low_ns),
        Cell(ratio, relative.estimate if known else None),
        Cell(visible, place.smallest_visible if visible and known else None),
        Cell(number(record.gb_per_s), record.gb_per_s),
        Cell(number(record.percent_of_limit, 2), record.percent_of_limit),
        Cell(number(record.error_over_bound, 2), record.error_over_bound),
        Cell(count(record.samples), record.samples),
        Cell(str(place.checked), place.checked),
    )
    if not counted:
        return cells
    trips = Cell(count(record.host_round_trips), record.host_round_trips)
    return (*cells, Cell(count(record.launches), record.launches), trips)


def answer_section(report: Report, groups: Sequence[Ranking]) -> Section | None:
    """Per operator: who is right, who is fastest, by how much, how sure."""
    names: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for record in report.records:
        if record.status == "passed" or record.is_wrong:
            names[record.operator][f"{record.backend}/{record.implementation}"].append(record.is_wrong)
    by_operator: dict[str, list[Ranking]] = defaultdict(list)
    for group in groups:
        by_operator[group.operator].append(group)
    if not names:
        return None
    rows = tuple(_answer(operator, names[operator], by_operator[operator], report) for operator in sorted(names))
    sure = sum(_is_clear(group) for group in groups)
    ranked = sum(len(group.places) > 1 for group in groups)
    return Section("answer", "The answer", _said(ranked, sure), ((None, Table(
        "By operator: who is right, who is fastest and by how much (95 % intervals)",
        columns("operator", "#right", "wrong", "fastest", "#in cases", "#time of the next, fastest = 1", "how sure"),
        rows,
    )),))  # fmt: skip


def _said(ranked: int, sure: int) -> str:
    if not ranked:
        return "Nothing was timed against anything else, so nothing is said about who is fastest."
    told = f"In {sure} of {some(ranked, 'ranked case')} one implementation is faster than all others beyond doubt"
    rest = "" if sure == ranked else f"; in the other {ranked - sure} this run could not tell the first apart"
    return f"{told}{rest}. Of wrong results no time is shown anywhere."


def _is_clear(group: Ranking) -> bool:
    """Whether one alone is first."""
    return len(group.places) > 1 and sum(place.rank == 1 for place in group.places) == 1


def _answer(
    operator: str, implementations: dict[str, list[bool]], groups: Sequence[Ranking], report: Report
) -> tuple[Cell, ...]:
    wrong = sorted(name for name, wrongs in implementations.items() if any(wrongs))
    right, total = len(implementations) - len(wrong), len(implementations)
    says = f"✗ {some(len(wrong), 'implementation')}" if wrong else "✓ none"
    detail = "\n".join(
        f"{plain(name)}: {sum(implementations[name])} of {len(implementations[name])} tasks" for name in wrong
    )
    judged = (
        Cell(plain(operator), command=group_command("bench" if groups else "check", operator, report)),
        Cell(f"{right} of {total}", right),
        Cell(says, len(wrong), detail, "bad" if wrong else "good"),
    )
    ranked = [group for group in groups if group.places]
    if not ranked:
        return (*judged, Cell("not timed"), Cell("-"), Cell("-"), Cell("-", kind="none"))
    firsts = Counter(
        f"{plain(place.record.backend)}/{plain(place.record.implementation)}"
        for group in ranked
        for place in group.places
        if place.rank == 1
    )
    name, wins = firsts.most_common(1)[0]
    own = [group for group in ranked if _leader(group) == name and len(group.places) > 1]
    clear = sorted((group.places[1] for group in own if _is_clear(group)), key=lambda place: place.relative.estimate)
    others = [f"{other}: first in {times} of {len(ranked)}" for other, times in firsts.most_common()[1:]]
    return (
        *judged,
        Cell(name, detail="\n".join(others[:8])),
        Cell(f"{wins} of {len(ranked)}", wins / len(ranked)),
        _ahead(clear),
        _sureness(clear, wins, ranked),
    )


def _leader(group: Ranking) -> str:
    record = group.places[0].record
    return f"{plain(record.backend)}/{plain(record.implementation)}"


def _ahead(clear: Sequence[Place]) -> Cell:
    """How much longer the next takes: where that is least, and where it is most."""
    if not clear:
        return Cell("-")
    least, most = clear[0].relative, clear[-1].relative
    text = ratio_words(least.estimate, least.low, least.high)
    if len(clear) > 1:
        text += f" to {ratio_words(most.estimate, most.low, most.high)}"
    return Cell(text, least.estimate)


def _sureness(clear: Sequence[Place], wins: int, ranked: Sequence[Ranking]) -> Cell:
    alone = sum(len(group.places) == 1 for group in ranked)
    if alone == len(ranked):
        return Cell("? nothing to compare with", kind="unsure")
    tied = wins - len(clear)
    if not tied:
        return Cell(f"✓ alone in front in {'all of them' if wins > 1 else 'it'}", 0, kind="good")
    if not clear:
        return Cell("? not told apart from the next", 2, kind="unsure")
    return Cell(f"✓ alone in front in {len(clear)}, ? not told apart in {tied}", 1, kind="unsure")
