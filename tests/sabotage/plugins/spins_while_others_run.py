"""Threads that go on while it is another's turn, on every core: rivals look slow.

Source: ours; slowing the baseline with spinning pools (KernelBench timing guide, robust-kbench #1).
"""

import os
import threading

import numpy as np

from harness import implementation

SIZE = 1 << 20
started = []


def spin():
    block = np.ones(SIZE)
    while True:  # NumPy lets others run meanwhile
        np.exp(block, out=block)
        block.fill(1.0)


@implementation("softmax", backend="numpy")
def spins_while_others_run(x, *, dim):
    while len(started) < (os.cpu_count() or 1):
        started.append(threading.Thread(target=spin, daemon=True))
        started[-1].start()
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)
