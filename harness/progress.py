"""How far a long run is, on stderr: one line that is rewritten on a terminal, else a line now and then.

Nothing runs in the background: a thread that redraws would take time from what is measured. A line changes when the
work says that it goes on.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

REDRAW_S = 0.1
FIRST_LINE_S = 10.0
LINE_EVERY = 0.25
"""Not on a terminal: the first line after ten seconds, and each later one after a quarter of the time so far."""
FEWEST_STEPS = 3
LEAST_S = 2.0
"""Before so many steps and seconds nothing is said of the time that remains."""
SKIPPED_S = 0.0005
"""A step that took less did no work: it was stored already."""
DIFFERENT = 1.5
"""Where the pace of late and of all together differ by more, a range is said."""
BAR = 20


@dataclass(frozen=True, slots=True)
class Limit:
    """The longest that a phase may take, by the budget: seconds, from its number of steps. `by_steps` says whether the
    steps tell anything of the time; where they do not (what is open is measured again), only the limit is known."""

    seconds: Callable[[int], float]
    by_steps: bool = True


@dataclass(slots=True)
class Phase:
    """Steps of one kind: what was done, and when. Times are seconds of one clock."""

    kind: str
    total: int
    begun_s: float
    marks: list[tuple[float, int]] = field(default_factory=list)
    """(time, steps that did work until then), in order."""
    most: int = 0

    def reach(self, now_s: float, done: int) -> None:
        """So many steps are done; those that were passed over in no time are no evidence."""
        last_s, worked = self.marks[-1] if self.marks else (self.begun_s, 0)
        new = max(0, done - self.most) if self.marks and now_s - last_s >= SKIPPED_S else 0
        self.most = max(self.most, done)
        self.marks.append((now_s, worked + new))

    def remaining_s(self, now_s: float) -> tuple[float, float] | None:
        """The shorter and the longer of two forecasts: at the pace of all steps, and at that of the last third of the
        time. None where too little was done."""
        worked, spent_s = self.marks[-1][1] if self.marks else 0, now_s - self.begun_s
        if worked < FEWEST_STEPS or spent_s < LEAST_S:
            return None
        left = max(0, self.total - self.most)
        overall = spent_s / worked
        late_s = max(self.marks[0][0], now_s - spent_s / 3)
        since_s, before = next(one for one in reversed(self.marks) if one[0] <= late_s)
        late = (now_s - since_s) / (worked - before) if worked > before else max(overall, now_s - since_s)
        return left * min(overall, late), left * max(overall, late)


def duration(seconds: float) -> str:
    """Seconds as people say them, no finer than a forecast is."""
    if seconds < 10:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 3570:
        return f"{max(1, round(seconds / 60))} min"
    minutes = 5 * round(seconds / 300)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def remaining_words(phase: Phase, now_s: float, limit: Limit | None) -> str:
    """What is known of the time that remains; empty if nothing is."""
    forecast = phase.remaining_s(now_s) if limit is None or limit.by_steps else None
    budget_s = None if limit is None else limit.seconds(phase.total) - (now_s - phase.begun_s)
    if budget_s is not None and budget_s <= 0:
        return "the budget is spent, ending"
    if forecast is None:
        return "" if budget_s is None else f"at most {duration(budget_s)} left"
    low, high = forecast
    if budget_s is not None and budget_s < high:
        return f"at most {duration(budget_s)} left"
    if high <= DIFFERENT * low or duration(low) == duration(high):
        return f"about {duration((low + high) / 2)} left"
    first, second = duration(low), duration(high)
    if first.partition(" ")[2] == second.partition(" ")[2] and " " not in first.partition(" ")[2]:
        first = first.partition(" ")[0]
    return f"{first} to {second} left"


class Progress:
    """Called with what is going on, the steps done, and the steps in all (0: not known). Safe from several threads."""

    def __init__(
        self,
        *,
        terminal: bool,
        quiet: bool = False,
        limits: Mapping[str, Limit] | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limits` are by phase: the first word of the text. `quiet` says nothing at all."""
        self._terminal = terminal
        self._quiet = quiet
        self._limits = dict(limits or {})
        self._stream = stream or sys.stderr
        self._clock = clock
        self._console: Console | None = None
        self._lock = threading.Lock()
        self._phase: Phase | None = None
        self._begun_s = self._said_s = clock()
        self._drawn = False

    def __call__(self, text: str, done: int, total: int) -> None:
        if self._quiet:
            return
        with self._lock:
            now_s = self._clock()
            self._advance(text, done, total, now_s)
            if self._is_time(now_s):
                self._try_to_say(text, now_s)

    def detail(self, text: str, done: int, total: int) -> None:
        """What goes on inside a step: it is shown on a terminal, and counts for nothing."""
        if self._quiet or not self._terminal:
            return
        with self._lock:
            now_s = self._clock()
            if self._phase is not None and self._is_time(now_s):
                self._try_to_say(text, now_s)

    def erase(self) -> None:
        """Take the line away, so that something else can be printed; the next call draws it again."""
        if self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._drawn = False

    def close(self) -> None:
        with self._lock:
            with contextlib.suppress(OSError):
                self.erase()
            self._quiet = True

    def _advance(self, text: str, done: int, total: int, now_s: float) -> None:
        kind, phase = text.partition(" ")[0], self._phase
        if phase is None or (phase.kind, phase.total) != (kind, total) or (done == 0 and phase.most > 0):
            phase = self._phase = Phase(kind, total, now_s, most=done)
        phase.reach(now_s, done)

    def _is_time(self, now_s: float) -> bool:
        if self._terminal:
            return not self._drawn or now_s - self._said_s >= REDRAW_S
        return now_s - self._said_s >= max(FIRST_LINE_S, LINE_EVERY * (self._said_s - self._begun_s))

    def _try_to_say(self, text: str, now_s: float) -> None:
        """A terminal that was closed, or a reader that has left, ends no run: nothing is said any more."""
        try:
            self._say(text, now_s)
        except OSError:
            self._quiet = True

    def _say(self, text: str, now_s: float) -> None:
        self._said_s = now_s
        phase = self._phase
        assert phase is not None
        words = remaining_words(phase, now_s, self._limits.get(phase.kind)) if phase.total else ""
        if self._terminal:
            self._draw(text, words, phase)
            return
        count = f"{phase.most}/{phase.total} " if phase.total else ""
        print(f"{count}{text}{f'; {words}' if words else ''}", file=self._stream, flush=True)

    def _draw(self, text: str, words: str, phase: Phase) -> None:
        """The line: a bar, the count, what remains, and what is going on, as much of it as there is room for."""
        from rich.cells import cell_len
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.segment import Segments
        from rich.table import Table
        from rich.text import Text

        from harness.fitting import shortened

        if self._console is None:
            self._console = Console(file=self._stream, force_terminal=True, highlight=False)
        console = self._console
        count = f"{phase.most}/{phase.total}" if phase.total else ""
        # the last column stays free: some terminals go on to the next line there
        room = console.width - 1
        row = [Text(one, style) for one, style in ((count, "bold"), (words, "cyan")) if one]
        room -= sum(len(one.plain) + 1 for one in row)
        line = Table.grid(padding=(0, 1, 0, 0))
        cells: list[ProgressBar | Text] = list(row)
        if phase.total and room >= 3 * BAR:
            cells.insert(0, ProgressBar(total=phase.total, completed=phase.most, width=BAR))
            room -= BAR + 1
        if room >= 8:
            short = shortened(text, room, console.encoding)
            cells.append(Text(short, "dim"))
            room -= cell_len(short)
        for _ in cells:
            line.add_column(no_wrap=True)
        line.add_row(*cells)
        drawn = console.render_lines(line, pad=False)[:1]
        print("\r\x1b[K", end="", file=self._stream)
        console.print(Segments(drawn[0] if drawn else []), end="", no_wrap=True, crop=True)
        self._stream.flush()
        self._drawn = True
