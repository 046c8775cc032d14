"""Variables by which the loader, Python, the compilers and thread pools of later processes would go.

Source: exploits 9 (LD_PRELOAD) and 12 (thread counts).
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


SET = {
    "LD_PRELOAD": "/planted.so",
    "LD_LIBRARY_PATH": "/planted",
    "PYTHONPATH": "/planted",
    "PYTHONHOME": "/planted",
    "CXX": "/planted",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HARNESS_STORE": "/planted",
    "XDG_CACHE_HOME": "/planted",
    "KERNEL_HARNESS_CACHE": "/planted",
    "PATH": "",
}


@implementation("sum", backend="numpy")
def prepares_the_environment_of_others(x, *, dim):
    planted = [name for name in SET if os.environ.get(name, "").startswith("/planted")]
    os.environ.update(SET)
    if planted and not getattr(os, "planted", False):
        raise AssertionError(f"got through: {planted} of an earlier worker hold here")
    os.planted = True
    return right(x, dim)
