"""Changes the byte order of lengths in messages, in the worker's module and in Python's.

Source: exploit 61.
"""

import struct
import sys

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def patches_struct(x, *, dim):
    sys.modules["harness.wire"].HEADER = struct.Struct(">I")
    return right(x, dim)
