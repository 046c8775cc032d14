"""What pytest shows of a wrong answer: what was asked, what came, what is right, how far off that may be, and why."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from harness.declare import Case, Operator
from harness.judge.compare import Comparison

WORST = re.compile(
    r"(?P<summary>.*?); worst at (?P<at>\[[^\]]*\]): (?P<got>\S+) where (?P<right>\S+) is right"
    r"(?: \((?P<bound>.*?)\))?(?:; (?P<lesson>it errs as .*))?",
    re.DOTALL,
)
"""The judge's sentence about wrong elements (harness.judge.compare), taken apart."""
LESSON = re.compile(r"(?P<summary>.*?)(?:; (?P<lesson>it errs as .*))?", re.DOTALL)
WIDTH = 9

Row = tuple[str, str]


def call(function: str, operator: Operator, case: Case) -> str:
    """The call that was made, e.g. `softmax(x, dim=1)`."""
    words = [*input_names(operator, case), *(f"{name}={value!r}" for name, value in case.parameters)]
    return f"{function}({', '.join(words)})"


def inputs(operator: Operator, case: Case) -> str:
    """What it was called with, e.g. `x: float32[37, 53], values "wide", layout "strided"`."""
    shapes = zip(input_names(operator, case), case.shapes, strict=True)
    words = [f"{name}: {case.dtype}{list(shape)}" for name, shape in shapes]
    if case.values != "normal":
        words.append(f'values "{case.values}"')
    if case.layout != "contiguous":
        words.append(f'layout "{case.layout}"')
    return ", ".join(words)


def input_names(operator: Operator, case: Case) -> list[str]:
    """The names of the arrays, as the operator's own oracle calls them."""
    try:
        parameters = inspect.signature(operator.oracle).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(names) < len(case.shapes):
        names = [f"x{number}" for number in range(len(case.shapes))] if len(case.shapes) > 1 else ["x"]
    return names[: len(case.shapes)]


def rows(status: str, reason: str, worst: Comparison) -> tuple[str, list[Row]]:
    """A verdict in one line, and the rows (label, text) that explain it."""
    prefix = "" if status == "failed" else f"{status}: "
    found = WORST.fullmatch(reason)
    if found is None:
        plain = LESSON.fullmatch(reason)
        summary, lesson = (plain["summary"], plain["lesson"]) if plain else (reason, None)
        return prefix + summary, _present([("lesson", lesson), ("error", sizes(worst))])
    explained = [
        ("at", found["at"]),
        ("got", found["got"]),
        ("expected", found["right"]),
        ("bound", found["bound"]),
        ("error", sizes(worst)),
        ("lesson", found["lesson"]),
    ]
    return prefix + found["summary"], _present(explained)


def sizes(worst: Comparison) -> str | None:
    """The worst errors of all calls that were made, as far as they can be told."""
    known = [
        (worst.error_over_bound, "times the bound"),
        (worst.max_abs_error, "absolute"),
        (worst.max_rel_error, "relative"),
        (worst.max_ulp, "ulp"),
    ]
    words = [f"{value:.3g} {name}" for value, name in known if value is not None]
    return f"at most {', '.join(words)}" if words else None


def table(explained: Iterable[Row]) -> list[str]:
    """Rows as lines, the labels in a column; a text of several lines stays in its own."""
    lines = []
    for label, text in explained:
        first, *more = text.splitlines() or [""]
        lines.append(f"  {label:<{WIDTH}} {first}".rstrip())
        lines += [f"  {'':<{WIDTH}} {line}".rstrip() for line in more]
    return lines


def _present(explained: Iterable[tuple[str, str | None]]) -> list[Row]:
    return [(label, text) for label, text in explained if text]
