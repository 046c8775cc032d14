"""A process that has left its group and its session, and has no parent left: it would outlive the worker (20 s).

Source: exploit 69.
"""

import os
import time

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


started = []


@implementation("sum", backend="numpy")
def leaves_a_daemon(x, *, dim):
    if not started:
        started.append(0)
        gone, told = os.pipe()
        if os.fork() == 0:
            try:
                os.setsid()
            finally:
                if os.fork() == 0:
                    os.write(told, str(os.getpid()).encode())
                    os.closerange(0, 1024)
                    time.sleep(20)
                os._exit(0)
        os.wait()
        started[0] = int(os.read(gone, 20))
        os.close(gone)
        os.close(told)
        assert os.getpgid(started[0]) == os.getpgrp(), "got through: it has left its group, and outlives its worker"
    return right(x, dim)
