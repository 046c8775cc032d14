"""Text that comes from plugins, branches or commits, made so that the format it is put into takes it for text only."""

from __future__ import annotations

import math
import re
from typing import Any

from .words import plain

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
MARKUP = "\\|*_`[]<>#~$&!"


def jsonable(value: Any) -> Any:
    """A value as JSON has it: infinities as text, NaN as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def cell(value: Any) -> Any:
    """A cell of a CSV file: text that would be a formula gets an apostrophe in front, as spreadsheets write it."""
    if isinstance(value, str):
        # a terminal that shows the file would obey escape sequences
        text = "".join(char if char.isprintable() or char in "\n\r\t" else visible(char) for char in value)
        return f"'{text}" if text.startswith(FORMULA) else text
    return "" if value is None else value


def escaped(text: object) -> str:
    """Text in which no table cell, link, HTML or emphasis of Markdown begins."""
    return "".join(f"\\{char}" if char in MARKUP else char for char in plain(text))


def code(text: object) -> str:
    """Text as a code span of Markdown, in a table too: there no way of writing a bar is safe, so it is broken."""
    shown = plain(text).replace("|", "\N{BROKEN BAR}") or " "
    ticks = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if len(ticks) > 1 else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def visible(text: object) -> str:
    """Text with control characters, lone surrogates and the like written as escapes (`\\x1b`), as XML needs it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
