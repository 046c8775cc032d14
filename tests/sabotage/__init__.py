"""The corpus: ways to fool a harness, each with the defence that meets it. Installed as `harness.sabotage`.

The attacks are plugins (`plugins/`, untrusted); what is known of them stands in the tables beside this file.
`harness doctor --trust` runs them all, and tests/test_corpus.py holds each one's reason, and takes its defence away.
"""

from __future__ import annotations

from pathlib import Path

from harness.sabotage.answers import ANSWERS
from harness.sabotage.attack import Attack
from harness.sabotage.checks import CHECKS
from harness.sabotage.house import HOUSE
from harness.sabotage.times import TIMES

PLUGINS = Path(__file__).parent / "plugins"
UNREADABLE = Path(__file__).parent / "unreadable"
"""Plugin files that must not be taken, beside those that must."""

SECTIONS: dict[str, tuple[Attack, ...]] = {
    "A, the clock": TIMES,
    "B, the work": ANSWERS,
    "C, the check": CHECKS,
    "D, the house": HOUSE,
}
ATTACKS: tuple[Attack, ...] = tuple(attack for attacks in SECTIONS.values() for attack in attacks)
