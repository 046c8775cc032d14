"""What the records mean: frames, rankings, pages. The only importer of pandas.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compared import add_summary, compared_frame, compared_json, compared_text, write_compared
    from .compared_table import compared_lines
    from .export import json_rows, text_of, write
    from .frame import records_frame, samples_frame
    from .ranking import ranking_frame
    from .report import Report
    from .text import conformance_lines, ranking_tables

_HOMES = {
    "Report": "report",
    "add_summary": "compared",
    "compared_frame": "compared",
    "compared_json": "compared",
    "compared_lines": "compared_table",
    "compared_text": "compared",
    "conformance_lines": "text",
    "json_rows": "export",
    "ranking_frame": "ranking",
    "ranking_tables": "text",
    "records_frame": "frame",
    "samples_frame": "frame",
    "text_of": "export",
    "write": "export",
    "write_compared": "compared",
}

__all__ = [
    "Report",
    "add_summary",
    "compared_frame",
    "compared_json",
    "compared_lines",
    "compared_text",
    "conformance_lines",
    "json_rows",
    "ranking_frame",
    "ranking_tables",
    "records_frame",
    "samples_frame",
    "text_of",
    "write",
    "write_compared",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
