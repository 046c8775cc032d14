"""In which language a text is, as far as its letters and small words tell: for hyphens, line breaks and voices."""

from __future__ import annotations

import re

SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
"""Kana before Han: Japanese has both."""
WORDS = {
    "en": "the of and is are with over which each by to from that its for",
    "de": "der die das und ist sind mit über eine einer des dem jede wird aus von zur nicht",
    "fr": "le la les des et est sont avec sur une du chaque qui dans pour aux par",
}
LEAST_WORDS = 2


def language(text: str) -> str:
    """A language tag of BCP 47, or an empty string where nothing tells."""
    for tag, letters in SCRIPTS:
        if letters.search(text):
            return tag
    words = re.findall(r"[^\W\d_]+", text.lower())
    found = {tag: sum(word in known.split() for word in words) for tag, known in WORDS.items()}
    best = max(found, key=lambda tag: found[tag])
    clear = found[best] >= LEAST_WORDS and all(found[best] > found[tag] for tag in found if tag != best)
    return best if clear else ""
