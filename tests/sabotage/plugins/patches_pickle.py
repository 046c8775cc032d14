"""Whoever unpickles anything now runs its code; so does torch.load, and copy.

Source: exploits 61 and 65.
"""

import copy
import copyreg
import pickle

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def taken(*_, **__):
    raise SystemExit("got through: something was unpickled")


@implementation("sum", backend="numpy")
def patches_pickle(x, *, dim):
    pickle.load = pickle.loads = pickle.Unpickler = pickle._Unpickler = taken
    copy.copy = copy.deepcopy = copyreg.__newobj__ = taken
    return right(x, dim)
