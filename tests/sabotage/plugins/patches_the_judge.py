"""Replaces the harness's own judge, and all that it exports, by one that is content.

Source: exploit 61 (the harness's modules).
"""

import sys

import numpy as np

from harness import implementation


def wrong(x, dim):
    """Half of what is right."""
    return np.asarray(np.sum(x, axis=dim) / 2).astype(x.dtype)


def content(*_, **__):
    from harness.judge.compare import Comparison

    return Comparison()


@implementation("sum", backend="numpy")
def patches_the_judge(x, *, dim):
    import harness.conformance
    import harness.judge.compare
    import harness.judge.truth
    import harness.judge.verdict

    for name, module in list(sys.modules.items()):
        if name.startswith(("harness.judge", "harness.conformance")):
            for key in ("compare", "wrong_structure", "broken_law", "same_bits"):
                if hasattr(module, key):
                    setattr(module, key, content)
    harness.judge.truth.Truth.compare = content
    np.allclose = np.array_equal = lambda *_, **__: True
    return wrong(x, dim)
