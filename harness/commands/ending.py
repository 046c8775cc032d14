"""How a command ends, whatever happens: with an exit code of the contract, one line, and no traceback but of a bug."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

from harness import interruption
from harness.terminal import INTERRUPTED, NOTHING, OK, USAGE, say, survive_encodings

BROKEN_PIPE = 141
"""As the shell says it of a program whose reader has left: 128 and SIGPIPE."""
OF_THE_MACHINE = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "name a place that is yours",
    errno.EPERM: "name a place that is yours",
    errno.EMFILE: "raise the limit on open files (`ulimit -n`)",
    errno.ENFILE: "end other programs",
    errno.ENOMEM: "end other programs, or select less",
    errno.EAGAIN: "raise the limit on processes (`ulimit -u`), or end other programs",
    errno.EIO: "look whether the disk is broken",
}
"""What to do about errors that are no bug of ours."""


def run_and_exit(run: Callable[..., Any]) -> NoReturn:
    """Run the command line and exit."""
    interruption.listen()
    survive_encodings()
    try:
        code = _flushed(_code_of(run))
    except KeyboardInterrupt:
        code = INTERRUPTED
    interruption.stop_listening()
    if code == INTERRUPTED and interruption.came():
        if not interruption.answered():
            say("harness: interrupted")
        code = interruption.exit_code()
    sys.exit(code)


def _code_of(run: Callable[..., Any]) -> int:
    try:
        run()
        return OK
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich and typer say 1, which would be: slower
            return BROKEN_PIPE
        return ended.code if isinstance(ended.code, int) else OK if ended.code is None else USAGE
    except BrokenPipeError:
        return BROKEN_PIPE
    except Exception as error:
        said = _in_words(error)
        if said is None:
            traceback.print_exc()
        else:
            say(f"harness: {said}")
        return NOTHING  # Python's own 1 would be: slower


def _in_words(error: Exception) -> str | None:
    """One line about what this machine refuses; None for what must be a bug."""
    from harness.schema import StoreError
    from harness.supervisor import Stopped

    if isinstance(error, StoreError | Stopped):
        return str(error)
    if isinstance(error, MemoryError):
        return "this process has no memory left; end other programs, or select less"
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        what = error.filename or "the results"
        return f"cannot write {what}: {error.strerror}; {OF_THE_MACHINE[error.errno]}"
    return None


def _flushed(code: int) -> int:
    """Hand out what is still buffered; what cannot be written changes the code of what went well."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            _silence(stream)
            if stream is sys.stdout and code == OK:
                code = BROKEN_PIPE if error.errno == errno.EPIPE else USAGE
                if code == USAGE:
                    say(f"harness: cannot write to stdout: {error.strerror}")
    return code


def _silence(stream: TextIO) -> None:
    """Python flushes once more when it ends, and would complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
