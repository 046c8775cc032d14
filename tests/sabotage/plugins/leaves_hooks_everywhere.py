"""Hooks for exits, imports, threads, errors and audits, which would act on whatever runs in this process later.

Source: exploits 61 and 63 (exit hooks).
"""

import atexit
import builtins
import os
import sys
import threading

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


hooked = []


def strike(*_, **__):
    os._exit(7)


@implementation("sum", backend="numpy")
def leaves_hooks_everywhere(x, *, dim):
    if not hooked:
        hooked.append(True)
        atexit.register(strike)
        threading._register_atexit(strike)
        os.register_at_fork(before=strike, after_in_child=strike)
        sys.excepthook = threading.excepthook = sys.unraisablehook = strike
        sys.meta_path.insert(0, type("Finder", (), {"find_spec": staticmethod(strike)}))
        sys.addaudithook(lambda event, _: strike() if event in ("exec", "os.fork", "subprocess.Popen") else None)
        builtins.exit = builtins.quit = strike
    return right(x, dim)
