"""Declares the operator `sum` anew, with an oracle and a bound that accept everything. Exploit 67 (shadowing an oracle).

Operators of a plugin are not looked at: what is refused is an implementation of one that does not exist.
"""

import dataclasses

import numpy as np
from harness.cases import sum as declared

from harness import implementation

sum = dataclasses.replace(declared.sum, name="sum_", oracle=lambda x, *, dim: np.zeros(()))


@implementation("sum_", backend="numpy")
def zeros(x, *, dim):
    return np.zeros(())
