"""Sums that take the process down, hang, flood it or leave it damaged. Each is right until it strikes."""

import ctypes
import faulthandler
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def sockets():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.append(int(name))
        except OSError:
            continue
    return found


@implementation("sum", backend="numpy")
def behaves(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy")
def reads_address_zero(x, *, dim):
    ctypes.string_at(0)
    return right(x, dim)


@implementation("sum", backend="numpy")
def reads_address_zero_in_silence(x, *, dim):
    faulthandler.disable()
    ctypes.string_at(0)
    return right(x, dim)


@implementation("sum", backend="numpy")
def aborts(x, *, dim):
    os.abort()


@implementation("sum", backend="numpy")
def exits_at_once(x, *, dim):
    os._exit(3)


@implementation("sum", backend="numpy")
def exits_at_once_as_if_well(x, *, dim):
    os._exit(0)


@implementation("sum", backend="numpy")
def exits(x, *, dim):
    sys.exit()


@implementation("sum", backend="numpy")
def interrupts(x, *, dim):
    raise KeyboardInterrupt


@implementation("sum", backend="numpy")
def raises_what_nobody_catches(x, *, dim):
    raise BaseException("beyond Exception")


@implementation("sum", backend="numpy")
def loops(x, *, dim):
    while True:
        pass


@implementation("sum", backend="numpy")
def loops_and_catches_everything(x, *, dim):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


@implementation("sum", backend="numpy")
def waits_in_native_code(x, *, dim):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).pause()


@implementation("sum", backend="numpy")
def stops_itself(x, *, dim):
    os.kill(os.getpid(), signal.SIGSTOP)
    return right(x, dim)


@implementation("sum", backend="numpy")
def kills_itself(x, *, dim):
    os.kill(os.getpid(), signal.SIGKILL)


@implementation("sum", backend="numpy")
def terminates_itself(x, *, dim):
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


@implementation("sum", backend="numpy")
def takes_all_memory(x, *, dim):
    kept = []
    while True:
        kept.append(np.empty(1 << 26))


@implementation("sum", backend="numpy")
def asks_for_too_much_at_once(x, *, dim):
    return np.ones(1 << 50)


@implementation("sum", backend="numpy")
def recurses(x, *, dim):
    return recurses(x, dim=dim)


@implementation("sum", backend="numpy")
def floods_stdout(x, *, dim):
    while True:
        print("x" * 65536)


@implementation("sum", backend="numpy")
def floods_the_descriptors(x, *, dim):
    while True:
        os.write(1, b"x" * 65536)
        os.write(2, b"x" * 65536)


@implementation("sum", backend="numpy")
def prints_a_little(x, *, dim):
    os.write(1, b"\x1b[31mred\x1b[0m \xff\xfe\n")
    print("<b>bold</b>", flush=True)
    return right(x, dim)


@implementation("sum", backend="numpy")
def prints_half_characters(x, *, dim):
    print("\ud800\udfff", file=sys.stderr, flush=True)
    return right(x, dim)


@implementation("sum", backend="numpy")
def closes_all_descriptors(x, *, dim):
    os.closerange(0, 1024)
    return right(x, dim)


@implementation("sum", backend="numpy")
def closes_its_standard_streams(x, *, dim):
    os.closerange(0, 3)
    return right(x, dim)


@implementation("sum", backend="numpy")
def writes_garbage_to_the_socket(x, *, dim):
    for one in sockets():
        os.write(one, b"\xff" * 4096)
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_a_reply_without_end(x, *, dim):
    for one in sockets():
        os.write(one, (2**31).to_bytes(4, "little") + b"{}")
    return right(x, dim)


def send(body):
    for one in sockets():
        os.write(one, len(body).to_bytes(4, "little") + body)


@implementation("sum", backend="numpy")
def sends_a_reply_that_is_no_json(x, *, dim):
    send(b"{" * 100)
    return right(x, dim)


@implementation("sum", backend="numpy")
def sends_a_reply_nested_without_end(x, *, dim):
    send(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    return right(x, dim)


@implementation("sum", backend="numpy")
def sends_a_reply_that_is_a_list(x, *, dim):
    send(b"[1, 2]")
    return right(x, dim)


@implementation("sum", backend="numpy")
def sends_an_empty_reply(x, *, dim):
    send(b"{}")
    return right(x, dim)


@implementation("sum", backend="numpy")
def sends_the_reply_of_a_passed_test(x, *, dim):
    send(b'{"answers": [], "wall_ns": [], "cpu_ns": [], "state_changes": ""}')
    return right(x, dim)


@implementation("sum", backend="numpy")
def sends_a_second_reply_later(x, *, dim):
    """Leaves a message for whoever asks next."""
    main = sys.modules["__main__"]
    if not hasattr(main, "_send"):
        main._send = main.wire.send

        def twice(connection, message):
            main._send(connection, message)
            main._send(connection, {"unsupported": "as an earlier reply says"})

        main.wire.send = twice
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_to_be_unsupported_in_a_forged_reply(x, *, dim):
    send(b'{"unsupported": 7}')
    os._exit(0)


def in_place_of_the_reply(change):
    """Replace the worker's own function that describes an answer."""
    main = sys.modules["__main__"]
    if not hasattr(main, "_copy_out"):
        main._copy_out = main.Worker._copy_out

        def copy_out(self, *arguments):
            return change(main._copy_out(self, *arguments))

        main.Worker._copy_out = copy_out


@implementation("sum", backend="numpy")
def reports_an_error_that_counts_as_passed(x, *, dim):
    in_place_of_the_reply(lambda answer: {"error": "all is well", "error_kind": "passed"})
    return


@implementation("sum", backend="numpy")
def reports_an_error_of_a_kind_of_its_own(x, *, dim):
    in_place_of_the_reply(lambda answer: {"error": "all is well", "error_kind": "unsupported"})
    return


def lies_about(**fields):
    in_place_of_the_reply(lambda answer: {"outputs": [{**one, **fields} for one in answer["outputs"]]})


@implementation("sum", backend="numpy")
def claims_a_dtype_of_objects(x, *, dim):
    lies_about(dtype="O", shape=[1])
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_a_dtype_without_size(x, *, dim):
    lies_about(dtype="V0", shape=[2**40])
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_a_dtype_that_is_none(x, *, dim):
    lies_about(dtype="f4,(", shape=[1])
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_a_shape_beyond_memory(x, *, dim):
    lies_about(shape=[2**62, 0])
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_an_answer_elsewhere(x, *, dim):
    lies_about(offset=0)
    return right(x, dim)


@implementation("sum", backend="numpy")
def claims_two_answers_in_one(x, *, dim):
    in_place_of_the_reply(lambda answer: {"outputs": answer["outputs"] * 2})
    return right(x, dim)


children = []


@implementation("sum", backend="numpy")
def starts_a_child(x, *, dim):
    if not children:
        children.append(subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL))
    raise RuntimeError(f"child {children[0].pid}")


@implementation("sum", backend="numpy")
def starts_a_child_in_a_session_of_its_own(x, *, dim):
    if not children:
        children.append(subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, start_new_session=True))
    raise RuntimeError(f"child {children[0].pid}")


@implementation("sum", backend="numpy")
def forks_and_answers_twice(x, *, dim):
    """Parent and child both go on: two replies to one request."""
    os.fork()
    return right(x, dim)


@implementation("sum", backend="numpy")
def raises_what_cannot_be_shown(x, *, dim):
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    raise Silent


@implementation("sum", backend="numpy")
def raises_what_can_never_be_shown(x, *, dim):
    class Silent(Exception):
        def __str__(self):
            raise Silent

    raise Silent


@implementation("sum", backend="numpy")
def raises_a_huge_message(x, *, dim):
    raise RuntimeError("x" * 30_000_000)


@implementation("sum", backend="numpy")
def raises_escapes_and_markup(x, *, dim):
    raise RuntimeError("\x1b[2J\x1b]0;title\x07 <script>alert(1)</script> \r\n\x00 =cmd()")


@implementation("sum", backend="numpy")
def raises_half_characters(x, *, dim):
    raise RuntimeError("half \ud800 character")


@implementation("sum", backend="numpy", supports=lambda case: "\ud800 no \x1b[2J" * 100_000)
def refuses_at_length(x, *, dim):
    return right(x, dim)


def explodes(case):
    raise RuntimeError("support unknown")


@implementation("sum", backend="numpy", supports=explodes)
def fails_to_say_what_it_supports(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy", prepare=explodes)
def fails_in_its_preparation(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy", prepare=lambda case: os._exit(4))
def exits_in_its_preparation(x, *, dim):
    return right(x, dim)


def arena():
    """The descriptor of the shared memory."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if "harness-arena" in os.readlink(f"/proc/self/fd/{name}"):
                return int(name)
        except OSError:
            continue
    raise RuntimeError("no arena")


@implementation("sum", backend="numpy")
def shrinks_the_shared_memory(x, *, dim):
    """Pages that are gone kill whoever touches them: the supervisor too."""
    answer = right(x, dim)
    os.ftruncate(arena(), 0)
    os.kill(os.getpid(), signal.SIGKILL)
    return answer


@implementation("sum", backend="numpy")
def shrinks_the_shared_memory_after_answering(x, *, dim):
    main = sys.modules["__main__"]
    send_honestly = main.wire.send

    def shrink(connection, message):
        os.ftruncate(arena(), 0)
        send_honestly(connection, message)

    main.wire.send = shrink
    return right(x, dim)


def address(x):
    return x.__array_interface__["data"][0]


@implementation("sum", backend="numpy")
def writes_before_its_input(x, *, dim):
    ctypes.memset(address(x) - 8, 0, 8)
    return right(x, dim)


@implementation("sum", backend="numpy")
def writes_behind_its_input(x, *, dim):
    ctypes.memset(address(x) + x.nbytes, 0, 8)
    return right(x, dim)


@implementation("sum", backend="numpy")
def writes_outside_of_its_output(x, *, dim):
    """As a kernel does that is handed the output's memory: one element too far."""
    main = sys.modules["__main__"]
    honest = main.Worker._copy_out

    def copy_out(self, *arguments):
        slot = arguments[-2]
        self._memory[slot[1] : slot[1] + 4] = 0
        return honest(self, *arguments)

    main.Worker._copy_out = copy_out
    return right(x, dim)


@implementation("sum", backend="numpy")
def writes_over_all_shared_memory(x, *, dim):
    answer = right(x, dim)
    base = x
    while isinstance(base.base, np.ndarray):
        base = base.base
    base[...] = 0
    return answer


@implementation("sum", backend="numpy")
def dies_while_another_is_running(x, *, dim):
    """A time bomb: its own tasks are fine, the next implementation's worker is gone."""
    main = sys.modules["__main__"]
    honest = main.Worker._open

    def open_another(self, request):
        if request["target"]["implementation"] != "dies_while_another_is_running":
            os._exit(9)
        return honest(self, request)

    main.Worker._open = open_another
    return right(x, dim)


@implementation("sum", backend="numpy")
def leaves_a_thread_that_stops_the_process(x, *, dim):
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return right(x, dim)


@implementation("sum", backend="numpy")
def leaves_a_deep_folder(x, *, dim):
    top = os.getcwd()
    for _ in range(1500):
        os.mkdir("deeper")
        os.chdir("deeper")
    os.chdir(top)
    raise RuntimeError(f"folder {top} is deep")


@implementation("sum", backend="numpy")
def opens_every_descriptor(x, *, dim):
    kept = []
    while True:
        kept.append(socket.socketpair())
