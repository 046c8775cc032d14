"""Pictures of a report's page, drawn on the server as SVG: no script, no plotting library, a table beside each."""

from __future__ import annotations

from ..report import Report
from ..section import Section
from . import error_against_time, roofline, scaling
from .timed import groups

__all__ = ["sections"]


def sections(report: Report) -> list[Section]:
    """Error against time, time against size, and the roofline; those of them that the run has something for."""
    found = groups(report)
    made = (one.section(found) for one in (error_against_time, scaling, roofline))
    return [one for one in made if one is not None]
