"""Calls the built-in implementation that it is compared with: right, and no faster than that.

gpu-mode reference-kernels #159; field guides of 2026 (library call).
"""

from harness.implementations.numpy import softmax

from harness import implementation


@implementation("softmax", backend="numpy")
def calls_the_builtin(x, *, dim):
    return softmax.builtin(x, dim=dim)
