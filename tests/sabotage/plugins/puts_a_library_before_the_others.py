"""Modules of its own where the worker is started, and others looked for first: what a worker imports next.

Source: ours, after exploit 62; sitecustomize in KernelGuard's list.
"""

import os
import sys

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


planted = []


@implementation("sum", backend="numpy")
def puts_a_library_before_the_others(x, *, dim):
    assert planted or not os.path.exists("planted.py"), "got through: an earlier worker stood in the same folder"
    planted.append(True)
    for name in ("planted", "numpy", "json", "sitecustomize", "usercustomize", "harness"):
        with open(f"{name}.py", "w") as file:
            file.write("raise SystemExit('got through: a worker imports what another one left')\n")
    os.environ["PYTHONPATH"] = os.environ["PYTHONSTARTUP"] = os.getcwd()
    sys.path.insert(0, os.getcwd())
    return right(x, dim)
