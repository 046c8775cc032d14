"""seccomp: a program in the kernel's own little language that refuses system calls which no kernel of ours needs."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from harness.sandbox import kernel

ALLOW, KILL, ERRNO, ASK = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
LOAD, EQUAL, AT_LEAST, ANY_BIT, MASK, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Offsets in what the program is shown of a call."""
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
"""Calls of a third interface of x86-64 have this bit in their numbers."""
EVERY_THREAD, KEEP_SPECULATION = 1 << 0, 1 << 2
"""The second: older kernels switch off a processor's prediction of stores with the filter, and all code gets slower."""
NEW_LISTENER, SAY_NO_THREAD = 1 << 3, 1 << 4
NEW_NAMESPACES = 0x7E020080
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
O_ACCMODE, O_TRUNC = 3, 0o1000
AF_UNIX = 1
SOCK_STREAM, SOCK_SEQPACKET = 1, 5
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902

FORBIDDEN = (
    # other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
    "perf_event_open",     "migrate_pages", "move_pages",
    # the machine
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns", "reboot", "swapon", "swapoff", "kexec_load", "kexec_file_load",
    "init_module", "finit_module", "delete_module", "iopl", "ioperm", "acct", "quotactl", "quotactl_fd",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog",
    "vhangup", "name_to_handle_at", "open_by_handle_at", "fanotify_init",
    # what attacks on kernels are made of
    "bpf", "keyctl", "add_key", "request_key", "userfaultfd", "modify_ldt", "seccomp",
    # memory and queues that are shared by a number that anybody can guess
    "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semctl", "semtimedop",
    "mq_open", "mq_unlink",
)  # fmt: skip
UNKNOWN = ("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3")
"""Answered as an older kernel would: programs then go another way, which the filter sees."""
WITHOUT_EFFECT = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr",
    "fremovexattr", "removexattrat", "setsid", "setpgid",
)  # fmt: skip
"""Said to have succeeded. Landlock leaves modes, owners and times to everybody; and who stays in the process group of
the worker is killed with it."""
NETWORK = ("socket", "connect", "bind", "listen", "accept", "accept4")
OWN_ONLY = {
    "sched_setaffinity": 0, "sched_setscheduler": 0, "sched_setparam": 0, "sched_setattr": 0, "prlimit64": 0,
    "setpriority": 1, "ioprio_set": 1,
}  # fmt: skip
"""Allowed on oneself: the process number is in this argument, 0 or the worker's own."""
SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")

Instruction = tuple[int, int, int, int]


def install(own_pid: int, *, devices: bool, scoped: bool, truncation: bool, asking: bool = False) -> int:
    """Have the filter hold for this process and all that it starts; no_new_privs must be set. Raises OSError.

    `devices`: drivers of GPUs make local sockets. `scoped`: landlock
    keeps signals inside already. `truncation`: landlock keeps files from being truncated already. `asking`: who moves a
    thread to other cores waits for an answer, through the descriptor that is returned (harness.sandbox.cores).
    """
    body = program(own_pid, devices=devices, scoped=scoped, truncation=truncation, asking=asking)
    code = b"".join(struct.pack("=HBBI", *one) for one in body)
    text = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(body), ctypes.addressof(text))
    flags = EVERY_THREAD | KEEP_SPECULATION | (NEW_LISTENER | SAY_NO_THREAD if asking else 0)
    result = kernel.call("seccomp", 1, flags, described)
    if result and not asking:
        raise OSError(errno.EBUSY, f"seccomp: thread {result} has a filter of its own")
    return result


def program(own_pid: int, *, devices: bool, scoped: bool, truncation: bool, asking: bool = False) -> list[Instruction]:
    """The filter; see `install`."""
    numbers = kernel.numbers()
    lines: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, AUDIT[os.uname().machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]

    def rule(name: str, *then: Instruction) -> None:
        if name in numbers:
            lines.extend([(EQUAL, 0, len(then), numbers[name]), *then])

    def refuse(names: Sequence[str], code: int) -> None:
        for name in names:
            rule(name, (RETURN, 0, 0, ERRNO | code))

    refuse(FORBIDDEN, errno.EPERM)
    refuse(UNKNOWN, errno.ENOSYS)
    refuse(WITHOUT_EFFECT, 0)
    if devices:
        refuse(["connect"], errno.ECONNREFUSED)
        rule("socket", *_connected())
    else:
        refuse(NETWORK, errno.EPERM)
    rule("socketpair", *_connected())
    for name, place in OWN_ONLY.items():
        *tests, refused, allowed = _unless(place, [0, own_pid])
        asked = (RETURN, 0, 0, ASK) if asking and name == "sched_setaffinity" else refused
        rule(name, *tests, asked, allowed)
    if not scoped:
        refuse(["pidfd_send_signal"], errno.EPERM)
        for name in SIGNALS:
            # a thread's own number is known to nobody else: of those only groups of threads that are ours pass
            rule(name, *_unless(0, [own_pid]))
        # the owner of a descriptor gets a signal of one's choice when something can be read from it
        rule("fcntl", *_if(1, [F_SETOWN, F_SETSIG, F_SETOWN_EX]))
    ours_to_keep = (
        kernel.PR_SET_PDEATHSIG, kernel.PR_SET_DUMPABLE, kernel.PR_SET_SECCOMP, kernel.PR_SET_MM,
        kernel.PR_SET_CHILD_SUBREAPER,
    )  # fmt: skip
    rule("prctl", *_if(0, ours_to_keep))
    rule("ioctl", *_if(1, [TIOCSTI, TIOCLINUX, *([] if scoped else [FIOSETOWN, SIOCSPGRP])]))
    rule("clone", _argument(0), (ANY_BIT, 0, 1, NEW_NAMESPACES), *_verdict())
    if not truncation:
        refuse(["truncate"], errno.EPERM)
        refuse(["openat2"], errno.ENOSYS)
        for name, place in (("open", 1), ("openat", 2)):
            rule(
                name,
                _argument(place),
                (MASK, 0, 0, O_TRUNC | O_ACCMODE),
                (EQUAL, 0, 1, O_TRUNC),
                *_verdict(),
            )
    return [*lines, (RETURN, 0, 0, ALLOW)]


def _connected() -> list[Instruction]:
    """Allow local sockets that say nothing to an address: a datagram (SOCK_RAW is one) can be sent to any."""
    refused = (RETURN, 0, 0, ERRNO | errno.EPERM)
    kinds = ((EQUAL, 2, 0, SOCK_STREAM), (EQUAL, 1, 0, SOCK_SEQPACKET))
    family = [_argument(0), (EQUAL, 1, 0, AF_UNIX), refused]
    return [*family, _argument(1), (MASK, 0, 0, 0xF), *kinds, refused, (RETURN, 0, 0, ALLOW)]


def _argument(place: int) -> Instruction:
    """Load the lower half of an argument: what is compared here are ints."""
    return LOAD, 0, 0, ARGUMENTS + 8 * place


def _verdict() -> tuple[Instruction, Instruction]:
    """What follows a comparison: refuse where it held, else allow."""
    return (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ALLOW)


def _unless(place: int, allowed: Sequence[int]) -> list[Instruction]:
    """Allow where the argument is one of these."""
    tests = [(EQUAL, len(allowed) - number, 0, value) for number, value in enumerate(allowed)]
    return [_argument(place), *tests, (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ALLOW)]


def _if(place: int, refused: Sequence[int]) -> list[Instruction]:
    """Refuse where the argument is one of these."""
    tests = [(EQUAL, len(refused) - number, 0, value) for number, value in enumerate(refused)]
    return [_argument(place), *tests, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | errno.EPERM)]
