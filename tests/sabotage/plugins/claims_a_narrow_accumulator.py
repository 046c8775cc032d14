"""Claims to add up in bfloat16, so that its bound is wide, and does so. No claim buys less than the case's own type.

[ours]
"""

import ml_dtypes
import numpy as np

from harness import Accumulation, Tree, implementation


@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("any"), dtype="bfloat16"))
def claims_a_narrow_accumulator(x, *, dim):
    return np.asarray(np.sum(x.astype(ml_dtypes.bfloat16).astype(np.float32), axis=dim)).astype(x.dtype)
