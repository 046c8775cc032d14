"""Masks, limits, seeds, time zone, encodings, switch interval: state that the next task would find.

Source: exploit 70.
"""

import os
import random
import resource
import signal
import sys
import time
import warnings

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def changes_what_outlives_a_call(x, *, dim):
    os.umask(0)
    os.nice(0)
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    random.seed(0)
    np.random.seed(0)
    np.set_printoptions(precision=1)
    np.seterrcall(lambda *_: None)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.setswitchinterval(10)
    sys.setrecursionlimit(10**6)
    warnings.simplefilter("ignore")
    return right(x, dim)
