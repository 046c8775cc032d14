"""The machines of a store in words and rows: what terminal, page and files show of them."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.inventory import Ceiling, Machine
from harness.likeness import CHANGES
from harness.next_step import quoted
from harness.timing.reference import is_reference
from harness.whole import write_whole

from .history import BLOCKS
from .inert import cell, escaped
from .words import number, plain

SUFFIXES = (".html", ".md", ".csv", ".json")
CLOCKS = {"cpu": "CPU", "wall": "wall", "device": "device"}
CALM = 0.05
"""A sparkline is at least so high, relative to the rates, so that noise alone looks flat."""
NAMES = {
    "integer_1_thread": "integers, 1 thread",
    "integer_all_threads": "integers, all threads",
    "multiply_add_1_thread": "multiply and add, 1 thread",
    "multiply_add_all_threads": "multiply and add, all threads",
    "exp_1_thread": "exp, 1 thread",
}
HEADINGS = ("machine", "what it is", "first run", "newest", "runs", "rows", "A/A spread", "compute", "copy")
CSV = (
    "machine_id", "words", "older_ids", "first_at", "newest_at", "runs", "rows",
    "cpu_spread_median", "cpu_spread_worst", "wall_spread_median", "wall_spread_worst",
    "integer_1_thread", "multiply_add_1_thread", "exp_1_thread",
    "copy_bytes", "copy_gb_per_s", "copy_trend_percent_per_week",
)  # fmt: skip


def spark(values: Sequence[float | None], width: int) -> str:
    """Values as blocks, oldest first, each the median of as many; empty where there are none."""
    count = min(width, len(values))
    chunks = [values[len(values) * one // count : len(values) * (one + 1) // count] for one in range(count)]
    medians = [statistics.median(known) if (known := [v for v in one if v is not None]) else None for one in chunks]
    known = [one for one in medians if one is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    spare = max(0.0, CALM * statistics.median(known) - (high - low)) / 2
    low, reach = low - spare, (high - low) + 2 * spare
    return "".join(" " if one is None else BLOCKS[min(7, int(8 * (one - low) / reach))] for one in medians)


def size_words(size: int) -> str:
    return f"{size / 2**10:g} KiB" if size < 1 << 20 else f"{size / 2**20:g} MiB"


def name_of(key: str) -> str:
    return NAMES.get(key, plain(key)) if is_reference(key) else f"copy, {size_words(int(key))}"


def noise_words(machine: Machine) -> str:
    """`CPU 0.2 % (worst 1.1 %), wall 0.8 % (worst 4 %)`, over the tasks; what to type where nobody has measured it."""
    found = [
        f"{CLOCKS.get(clock, clock)} {number(100 * one['median'], 2)} % (worst {number(100 * one['worst'], 2)} %)"
        for clock, one in machine.noise_by_clock().items()
    ]
    return ", ".join(found) or "-"


def trend_words(ceiling: Ceiling) -> str:
    """`+0.4 % a week`, `steady`, or why nothing can be told."""
    if ceiling.findings is None:
        return "too few runs"
    if ceiling.findings.drift is None:
        return ceiling.findings.too_short
    trend = ceiling.trend_percent
    return "steady" if trend is None else f"{trend:+.2g} % a week"


def copy_of(machine: Machine) -> Ceiling | None:
    """The copy rate that stands for a machine: of the working set that most runs measured, the largest of them."""
    copies = [one for one in machine.ceilings() if not is_reference(one.key)]
    return max(copies, key=lambda one: (len(one.readings), int(one.key))) if copies else None


def speed_words(machine: Machine, width: int) -> tuple[str, str]:
    """Compute and copy: the newest rate, and all runs as a line of blocks."""
    cpu, copy = machine.speed()
    integer = next((one for one in machine.ceilings() if one.key == "integer_1_thread"), None)
    rate = copy_of(machine)
    compute = "-" if integer is None else f"{number(integer.newest)} M/s {spark(cpu, width)}"
    copied = "-" if rate is None else f"{number(rate.newest)} GB/s {spark(copy, width)} ({size_words(int(rate.key))})"
    return compute, copied


def cells(machine: Machine, width: int = 12) -> tuple[str, ...]:
    """A row under HEADINGS."""
    return (
        machine.machine_id,
        plain(machine.words),
        machine.first_at[:10] or "-",
        machine.newest_at[:10] or "-",
        str(machine.runs),
        str(machine.rows),
        noise_words(machine),
        *speed_words(machine, width),
    )


def notes(machines: Sequence[Machine]) -> Iterator[str]:
    """What is to be known of the rows: ids of before, boxes under several ids, what was never measured."""
    for one in machines:
        if one.older_ids:
            older = ", ".join(one.older_ids)
            yield f"{one.machine_id} counts the runs of {older} too, its id before the rule of ids changed."
    told = set()
    for one in machines:
        for other, words in one.alike:
            if (other, one.machine_id) not in told:
                told.add((one.machine_id, other))
                yield f"{one.machine_id} is probably the same box as {other}, with {'; '.join(map(plain, words))}."
    if machines and not any(one.noise for one in machines):
        yield "The noise of none was measured: harness doctor --noise does that, and keeps it with the machine."
    yield (
        "Compute is SHA-256 with one thread, copy is over the working set that most runs measured: the newest rate, "
        "and all runs from the oldest to the newest."
    )


def next_command(machines: Sequence[Machine], only: Machine | None, options: str = "") -> str:
    """What to type next."""
    if only is not None:
        return f"harness history --machine {quoted(only.machine_id)}{options}"
    if not machines:
        return f"harness bench{options}"
    if not machines[0].noise:
        return f"harness doctor --noise{options}"
    return f"harness machines {quoted(machines[0].machine_id)}{options}"


# ---- one machine


def ceiling_rows(machine: Machine, width: int) -> list[tuple[str, ...]]:
    """Name, unit, newest, median, runs, trend, change points, sparkline of each ceiling."""
    rows = []
    for one in machine.ceilings():
        steps = "; ".join(f"{percent:+.1f} % on {run.started_at[:10]} ({run.run_id})" for run, percent in one.steps())
        rates = [rate for _, rate in one.readings]
        shown = (number(one.newest), number(one.median), str(len(rates)))
        rows.append((name_of(one.key), one.unit, *shown, trend_words(one), steps or "-", spark(rates, width)))
    return rows


def fingerprint_rows(description: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A description, field by field, nested ones with their path."""
    for name, value in description.items():
        if name == CHANGES:
            continue
        if isinstance(value, Mapping):
            yield from fingerprint_rows(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number_, one in enumerate(value):
                words = ", ".join(f"{key} {part}" for key, part in one.items() if part is not None)
                yield f"{prefix}{name}{f' {number_ + 1}' if len(value) > 1 else ''}", plain(words)
        else:
            words = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{prefix}{name}", "-" if value is None else plain(words)


# ---- files


def write_machines(machines: Sequence[Machine], only: Machine | None, path: Path) -> None:
    """Write what the name's suffix says. Raises ValueError for another one."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"--output {path}: its name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    shown = [only] if only is not None else list(machines)
    if suffix == ".json":
        text = json.dumps([one.as_data() for one in shown], indent=1, allow_nan=False) + "\n"
    elif suffix == ".csv":
        text = _csv(shown)
    elif suffix == ".md":
        text = _markdown(shown)
    else:
        text = _page(shown)
    write_whole(path, text, "backslashreplace")


def flat_row(machine: Machine) -> dict[str, Any]:
    """A machine as one row in which nothing is nested; keys are those of CSV."""
    noise, rate = machine.noise_by_clock(), copy_of(machine)
    newest = {one.key: one.newest for one in machine.ceilings()}
    row = {
        "machine_id": machine.machine_id,
        "words": plain(machine.words),
        "older_ids": " ".join(machine.older_ids),
        "first_at": machine.first_at,
        "newest_at": machine.newest_at,
        "runs": machine.runs,
        "rows": machine.rows,
    }
    for clock in ("cpu", "wall"):
        for kind in ("median", "worst"):
            row[f"{clock}_spread_{kind}"] = noise.get(clock, {}).get(kind)
    row |= {key: newest.get(key) for key in ("integer_1_thread", "multiply_add_1_thread", "exp_1_thread")}
    row["copy_bytes"] = int(rate.key) if rate else None
    row["copy_gb_per_s"] = rate.newest if rate else None
    row["copy_trend_percent_per_week"] = rate.trend_percent if rate else None
    return row


def _csv(machines: Sequence[Machine]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV)
    for one in machines:
        row = flat_row(one)
        writer.writerow([cell(row[name]) for name in CSV])
    return out.getvalue()


def _markdown(machines: Sequence[Machine]) -> str:
    parts = [_table(HEADINGS, [cells(one) for one in machines])]
    for one in machines:
        parts.append(f"### {escaped(one.machine_id)}: {escaped(one.words)}")
        heads = ("ceiling", "unit", "newest", "median", "runs", "trend", "change points", "oldest to newest")
        if one.readings:
            parts.append(_table(heads, ceiling_rows(one, 24)))
        parts += ["\n".join(f"- {at[:10]}: {escaped(words)}" for at, words in one.changes)] if one.changes else []
    parts.append("\n".join(f"- {escaped(note)}" for note in notes(machines)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(escaped, row))} |" for row in rows)])


def _page(machines: Sequence[Machine]) -> str:
    from .history_page import environment

    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    shown = [
        {
            "id": one.machine_id,
            "words": one.words,
            "ceilings": ceiling_rows(one, 24),
            "changes": [(at[:10], words) for at, words in one.changes],
            "fingerprint": list(fingerprint_rows(one.description)),
        }
        for one in machines
    ]
    return (
        environment()
        .get_template("machines.html")
        .render(
            style=style,
            title=f"{len(machines)} {'machine' if len(machines) == 1 else 'machines'}",
            headings=HEADINGS,
            rows=[cells(one) for one in machines],
            machines=shown,
            notes=list(notes(machines)),
        )
    )
