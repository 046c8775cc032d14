"""Programs that run as another user (su, mount) would run outside of all that: looks whether they still do.

Source: ours.
"""

import ctypes

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def gains_rights_by_a_program(x, *, dim):
    no_new_privileges = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)
    assert no_new_privileges == 1, "got through: programs it starts may gain rights"
    return right(x, dim)
