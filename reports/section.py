"""What a section of the page consists of: an answer in words, a picture, and the table beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading (with the unit, where there is one), and whether it holds numbers."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, as plain text that the template escapes; `sort` is what rows are ordered by (None: last),
    `detail` what is shown on demand (a line for each of its lines), `kind` a word for the style sheet (good, bad,
    unsure, none), `command` the shell command that makes the row again, `link` the id on this page that tells more."""

    text: str
    sort: float | str | None = None
    detail: str = ""
    kind: str = ""
    command: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are columns; the first cell of a row is its heading. `caption` says what it is.

    `title` is a heading above it and its picture, `text` what an author wrote about it, in any language; a `folded`
    table is shown on demand.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    text: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as SVG markup that is safe as it stands (all foreign text in it is escaped); `label` says in words what
    is to be seen, for who cannot see it. It has no `style` attribute, which the page's security policy forbids: the
    style sheet's classes and presentation attributes serve."""

    svg: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """`answer` is the sentence that the section opens with; pictures and tables beside each other belong together."""

    id: str
    title: str
    answer: str
    figures: tuple[tuple[Picture | None, Table], ...]
    note: str = ""
