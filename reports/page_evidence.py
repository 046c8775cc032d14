"""The page's sections beside the verdicts: mutation scores, launches and round trips, attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from harness.record import Record

from .page_bars import Bar, bars
from .page_rows import columns, group_command, some
from .report import Report
from .section import Cell, Section, Table
from .words import plain, span


def passed(report: Report) -> dict[tuple[str, str], list[Record]]:
    """What passed, by operator and implementation, in order."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in report.records:
        if record.status == "passed":
            found[(record.operator, f"{record.backend}/{record.implementation}")].append(record)
    return dict(sorted(found.items()))


def _heading(operator: str, name: str, report: Report) -> Cell:
    """An implementation, and the command that checks it again."""
    return Cell(f"{plain(operator)}/{plain(name)}", command=group_command("check", f"{operator}/{name}", report))


def mutants_section(report: Report) -> Section | None:
    """How many built-in wrong implementations the cases of each operator expose."""
    admission = report.run.get("admission") or {}
    if not admission:
        return None
    rows = []
    drawn = []
    for operator, one in sorted(admission.items()):
        killed, mutants = int(one["killed"]), int(one["mutants"])
        score = 100.0 * killed / mutants if mutants else 0.0
        drawn.append(Bar(plain(operator), score, f"{killed} of {mutants}"))
        survivors = ", ".join(plain(name) for name in one["survivors"])
        full = bool(mutants) and killed == mutants
        rows.append(
            (
                Cell(plain(operator), command=group_command("check", operator, report)),
                Cell(str(mutants), mutants),
                Cell(str(killed), killed),
                Cell(f"{'✓' if full else '✗'} {score:.0f} %", score, kind="good" if full else "bad"),
                Cell(survivors or "-"),
            )
        )
    admitted = sum(row[3].kind == "good" for row in rows)
    return Section(
        "mutants",
        "Mutation scores",
        "Cases count as evidence only if they tell wrong from right: each operator's cases were tried on wrong "
        f"implementations that are built in. All of them are exposed for {admitted} of {some(len(rows), 'operator')}.",
        ((bars(drawn, "Exposed wrong implementations in percent, by operator", most=100.0), Table(
            "Built-in wrong implementations by operator",
            columns("operator", "#built in", "#exposed", "#score", "not exposed"), tuple(rows), folded=len(rows) > 12,
        )),),
    )  # fmt: skip


def device_section(report: Report) -> Section | None:
    """Launches and host round trips of one call, where a backend counts them."""
    rows = []
    drawn = []
    for (operator, name), records in passed(report).items():
        counted = [one for one in records if one.launches is not None]
        if not counted:
            continue
        trips = max(one.host_round_trips or 0 for one in counted)
        most = max(one.launches or 0 for one in counted)
        drawn.append(
            Bar(
                f"{plain(operator)} {plain(name)}",
                float(most),
                f"{some(most, 'launch', 'launches')}, {some(trips, 'round trip')}",
                trips,
            )
        )
        spilled = [one.spill_bytes for one in counted]
        rows.append(
            (
                _heading(operator, name, report),
                Cell(span(one.launches for one in counted), most),
                Cell(span(one.host_round_trips for one in counted), trips),
                Cell(span(one.registers for one in counted)),
                Cell(span(spilled)),
                Cell(span(one.peak_bytes for one in counted)),
            )
        )
    if not rows:
        return None
    heads = ("implementation", "#launches", "#host round trips", "#registers", "#spilled bytes", "#peak bytes")
    return Section(
        "device",
        "Host round trips and launches",
        "Of one call, least and most over the cases. At a host round trip the device stands still while the host reads "
        "results and sends new work.",
        ((bars(drawn, "Launches of one call (bar) and host round trips (diamond), the most over the cases"), Table(
            "Launches and host round trips by implementation", columns(*heads), tuple(rows), folded=len(rows) > 12,
        )),),
    )  # fmt: skip


def attributes_section(report: Report) -> Section | None:
    """What is reported and not judged: the same bits from run to run, and for a row whatever its batch."""
    rows = tuple(
        (
            _heading(operator, name, report),
            _share(one.run_to_run_bitwise for one in records),
            _share(one.batch_invariant for one in records),
            Cell(str(len(records)), len(records)),
        )
        for (operator, name), records in passed(report).items()
    )
    if not rows:
        return None
    return Section(
        "attributes",
        "Attributes",
        "Reported, not judged: whether the same input gives the same bits again, and whether a row's bits depend on "
        "the batch that it is part of.",
        ((None, Table(
            "Attributes by implementation, over the cases that passed",
            columns("implementation", "same bits again", "same bits in any batch", "#cases"), rows,
        )),),
    )  # fmt: skip


def _share(values: Iterable[bool | None]) -> Cell:
    known: Sequence[bool] = [one for one in values if one is not None]
    if not known:
        return Cell("-")
    share = sum(known) / len(known)
    return Cell("always", 1.0) if share == 1 else Cell(f"{sum(known)} of {len(known)} cases", share, kind="unsure")
