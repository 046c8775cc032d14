"""Ctrl-C, SIGTERM and SIGHUP end a command in the same way: what is open is closed, one line says what is stored.

Imports little, so that a command listens before it imports anything that takes time.
"""

from __future__ import annotations

import _weakrefset
import contextlib
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN_S = 2.0
"""A second signal within so many seconds after the first is the same wish, and must not end the tidying up."""


LATER_S = 0.02
"""Where an exception would be ignored, it is raised so much later."""
WEAK = (weakref.__file__, _weakrefset.__file__)


class _State:
    """Of this process: when the first signal came, which one, and whether a line was said about it."""

    first_s: float | None = None
    number: int = signal.SIGINT
    answered = False


class Interrupted(KeyboardInterrupt):
    """Someone wants this command to end."""


def end_at_once() -> None:
    """For the time in which a command is still being imported: nothing is open yet that would have to be closed."""
    _handle(_end_at_once)


def listen() -> None:
    """Raise Interrupted in the main thread where one of these signals comes."""
    _handle(_interrupt)


def stop_listening() -> None:
    """All is done and said: a signal that comes now changes nothing any more."""
    _handle(signal.SIG_IGN)


def came() -> bool:
    return _State.first_s is not None


def answer() -> None:
    """A line was said about it."""
    _State.answered = True


def answered() -> bool:
    return _State.answered


def exit_code() -> int:
    """The shell's code for the signal that came: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + _State.number


def _is_ignored_there(frame: FrameType | None) -> bool:
    """Whether Python only prints an exception there: in finalizers, and in callbacks of weak references and of the
    garbage collector. One that is raised there ends nothing."""
    collected = [getattr(one, "__code__", None) for one in gc.callbacks]
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code in collected or code.co_filename in WEAK:
            return True
        frame = frame.f_back
    return False


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        # what is ignored stays so (nohup)
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, handler)


def _end_at_once(number: int, _: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"harness: interrupted\n")
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _is_ignored_there(frame):
        signal.signal(signal.SIGALRM, lambda _, later: _interrupt(number, later))
        signal.setitimer(signal.ITIMER_REAL, LATER_S)
        return
    now_s = time.monotonic()
    if _State.first_s is not None and now_s - _State.first_s < AGAIN_S:
        return
    _State.first_s, _State.number = now_s, number
    raise Interrupted(signal.Signals(number).name)
