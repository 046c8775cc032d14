"""The nearest names to a misspelt one, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` known names that resemble `name`, the closest first."""
    return difflib.get_close_matches(name, list(known), count, cutoff=0.5)
