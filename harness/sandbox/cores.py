"""Which cores the threads of a confined process run on: it may say so for its own, and for nobody else's.

A filter of system calls sees the number of a thread and not whose it is. So where a process moves a thread that is not
its first one, the kernel asks the supervisor, which looks whether both are of one process; the caller waits for that.
OpenMP does it once for each thread that it binds (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY), and starts none
where it is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
import threading

VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""What has libraries move their threads."""
MOST = 100_000
"""Questions of one process, all it starts included; no library has so many threads. What follows hears ENOSYS."""
_NOTICE, _ANSWER = struct.Struct("=QII iIQ6Q"), struct.Struct("=QqiI")
_NEXT, _REPLY, _IS_WAITING = (
    direction << 30 | size << 16 | ord("!") << 8 | number
    for direction, size, number in ((3, _NOTICE.size, 0), (3, _ANSWER.size, 1), (1, 8, 2))
)
_GO_ON = 1


class Cores:
    """Answers the questions of one process, in a thread, until it has ended. It must be closed."""

    def __init__(self, questions: int) -> None:
        """`questions` is the descriptor that the filter was made with; it is closed here."""
        self._questions = questions
        self._over, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run, name="cores", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more; safe to call twice."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
            self._thread.join()

    def _run(self) -> None:
        try:
            waiting = select.poll()
            for one in (self._questions, self._over):
                waiting.register(one, select.POLLIN)
            for _ in range(MOST):
                if waiting.poll() != [(self._questions, select.POLLIN)]:
                    return  # closed, or nobody is left who could ask
                answer(self._questions)
        finally:
            # who asks later hears ENOSYS
            os.close(self._questions)
            os.close(self._over)


def answer(questions: int) -> None:
    """Answer one question: yes to who moves a thread of its own process, else EPERM."""
    notice = bytearray(_NOTICE.size)
    with contextlib.suppress(OSError):  # who asked is gone
        fcntl.ioctl(questions, _NEXT, notice)
        number, caller, _, _, _, _, thread, *_ = _NOTICE.unpack(notice)
        is_own = is_of_same_process(caller, thread & 0xFFFFFFFF)
        # the caller has waited all the time: its number was not another's when that was looked at. The thread may have
        # ended since, and its number be another's by the time that the kernel goes on
        fcntl.ioctl(questions, _IS_WAITING, struct.pack("=Q", number))
        # the number is in a register, which no other thread can change after it was looked at
        verdict = (0, 0, _GO_ON) if is_own else (0, -errno.EPERM, 0)
        fcntl.ioctl(questions, _REPLY, bytearray(_ANSWER.pack(number, *verdict)))


def is_of_same_process(caller: int, thread: int) -> bool:
    """Whether a thread is one of the process that the thread `caller` is of."""
    return caller > 0 and os.path.isdir(f"/proc/{caller}/task/{thread}")
