"""Softmaxes and sums that are right when they are checked and cheat when they are timed, each in another way.

They know that they are timed from the number of calls for a shape of a benchmark case: the worker does not say.
"""

import os
import random
import sys
import threading

import numpy as np

from harness import implementation

LARGE = 1_000_000
honest_calls = 12
"""A check of a benchmark case takes at most this many calls."""
seen = {}


def right(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def timed(name, x):
    """Whether enough calls with a large array have gone by for this to be a timed one."""
    if x.size < LARGE:
        return False
    seen[name] = seen.get(name, 0) + 1
    return seen[name] > honest_calls


def main():
    return sys.modules["__main__"]


@implementation("softmax", backend="numpy")
def stops_the_clock(x, *, dim):
    """Replaces the clock that the worker saved before any plugin was imported."""
    main()._wall_ns = lambda: 0
    main()._cpu_ns = lambda: 0
    return right(x, dim)


@implementation("softmax", backend="numpy")
def stops_the_cpu_clock(x, *, dim):
    """Only the clock that a comparison goes by."""
    main()._cpu_ns = lambda: 0
    return right(x, dim)


@implementation("softmax", backend="numpy")
def claims_a_device_clock(x, *, dim):
    """A time by a clock that its backend does not have."""
    honest = main().clocked
    if not getattr(honest, "patched", False):

        def clocked(*arguments):
            return honest(*arguments)._replace(device_ns=1)

        clocked.patched = True
        main().clocked = clocked
    return right(x, dim)


@implementation("softmax", backend="numpy")
def does_not_say_when_it_is_done(x, *, dim):
    """Keeps the message at which the supervisor reads its clocks."""
    honest = main().wire
    if not hasattr(honest, "quiet"):

        class Quiet:
            quiet = True

            def __getattr__(self, name):
                return getattr(honest, name)

            def send(self, connection, message):
                if "called" not in message:
                    honest.send(connection, message)

        main().wire = Quiet()
        main().Worker._wanted = lambda self, count: []
    return right(x, dim)


@implementation("softmax", backend="numpy")
def moves_to_another_core(x, *, dim):
    """The one that nobody else is on, perhaps."""
    if timed("core", x):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))} if seen["core"] % 2 else {0})
    return right(x, dim)


def slow_down(share):
    """Let the worker's clock run at a share of its speed."""
    honest = main()._wall_ns
    if not getattr(honest, "slow", False):
        start = honest()

        def slow():
            return start + int((honest() - start) * share)

        slow.slow = True
        main()._wall_ns = slow


@implementation("softmax", backend="numpy")
def slows_the_clock(x, *, dim):
    slow_down(0.1)
    return right(x, dim)


@implementation("softmax", backend="numpy")
def slows_the_clock_a_little(x, *, dim):
    slow_down(0.7)
    return right(x, dim)


@implementation("softmax", backend="numpy")
def hides_work_in_the_time_of_poisoning(x, *, dim):
    """The harness's own poisoning of memory is left out; what that would have taken is free for work."""
    main()._poison = lambda sizes, count: None
    slow_down(0.4)
    return right(x, dim)


pending = []


@implementation("softmax", backend="numpy")
def works_when_it_is_read(x, *, dim):
    """Returns an unwritten array, and fills it when the worker comes to copy the answer out."""
    worker = main().Worker
    if not hasattr(worker, "_honest_copy_out"):
        worker._honest_copy_out = worker._copy_out

        def copy_out(self, *arguments):
            while pending:
                out, array, along = pending.pop()
                out[...] = right(array, along)
            return self._honest_copy_out(*arguments)

        worker._copy_out = copy_out
    out = np.empty_like(x)
    pending.append((out, x, dim))
    return out


@implementation("softmax", backend="numpy")
def works_in_place_of_poisoning(x, *, dim):
    """As above, and makes up for the time that went by: the harness's own poisoning of memory is left out."""
    main()._poison = lambda sizes, count: None
    return works_when_it_is_read(x, dim=dim)


@implementation("softmax", backend="numpy")
def works_on_another_thread(x, *, dim):
    """Returns at once; a thread fills the array some time later."""
    out = np.full_like(x, 0.001)

    def fill():
        out[...] = right(x, dim)

    if not timed("thread", x):
        fill()
    else:
        threading.Thread(target=fill).start()
    return out


by_address = {}


@implementation("softmax", backend="numpy")
def remembers_addresses(x, *, dim):
    key = x.__array_interface__["data"][0], x.shape
    if not timed("address", x):
        by_address[key] = right(x, dim)
        return by_address[key].copy()
    if key not in by_address:
        by_address[key] = right(x, dim)
    return by_address[key].copy()


inputs_seen = {}


@implementation("softmax", backend="numpy")
def remembers_whole_inputs(x, *, dim):
    """Never wrong: the answer of an earlier call is handed out only where all of the input is the same."""
    key = x.__array_interface__["data"][0], x.shape
    old = inputs_seen.get(key)
    if old is not None and np.array_equal(old[0], x):
        return old[1].copy()
    inputs_seen[key] = x.copy(), right(x, dim)
    return inputs_seen[key][1].copy()


@implementation("softmax", backend="numpy")
def is_wrong_now_and_then(x, *, dim):
    """Wrong in 30 % of the timed calls, at random."""
    if timed("now_and_then", x) and random.random() < 0.3:
        return np.zeros_like(x)
    return right(x, dim)


@implementation("softmax", backend="numpy")
def gives_up_after_a_while(x, *, dim):
    return np.zeros_like(x) if timed("gives_up", x) else right(x, dim)


@implementation("sum", backend="numpy")
def gives_up_adding_after_a_while(x, *, dim):
    answer = np.asarray(np.sum(x, axis=dim))
    return np.zeros_like(answer) if timed("gives_up_adding", x) else answer


sums = {}


@implementation("sum", backend="numpy")
def remembers_sums_by_address(x, *, dim):
    key = x.__array_interface__["data"][0], x.shape
    if not timed("sums", x) or key not in sums:
        sums[key] = np.asarray(np.sum(x, axis=dim))
    return sums[key].copy()


buffer = {}


@implementation("softmax", backend="numpy")
def saves_its_allocations_when_timed(x, *, dim):
    """One buffer for all answers, which spares the page faults of a fresh one."""
    if not timed("buffer", x):
        return right(x, dim)
    out = buffer.setdefault(x.shape, np.empty_like(x))
    np.subtract(x, x.max(axis=dim, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=dim, keepdims=True)
    return out


@implementation("softmax", backend="numpy")
def works_in_its_input_when_timed(x, *, dim):
    if not timed("in_place", x):
        return right(x, dim)
    x -= x.max(axis=dim, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=dim, keepdims=True)
    return x.copy()


@implementation("softmax", backend="numpy")
def raises_when_timed(x, *, dim):
    if timed("raises", x):
        raise RuntimeError("enough")
    return right(x, dim)


@implementation("softmax", backend="numpy")
def exits_when_timed(x, *, dim):
    if timed("exits", x):
        import os

        os._exit(7)
    return right(x, dim)
