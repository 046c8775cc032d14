"""softmax_regression_step: one step of gradient descent on the mean cross-entropy of a linear classifier.

closed_form   (softmax(x w^T) - onehot)^T x / N for each micro-batch, products of matrices by BLAS
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working


def check(x, target, weight, micro_batches):
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1] or target.shape != x.shape[:1]:
        raise ValueError(f"(N, D), (N) and (C, D) are needed, not {x.shape}, {target.shape} and {weight.shape}")
    if micro_batches < 1 or x.shape[0] % micro_batches:
        raise ValueError(f"a batch of {x.shape[0]} cannot be cut into {micro_batches} equal parts")
    if target.size and (target.min() < 0 or target.max() >= weight.shape[0]):
        raise IndexError(f"a label is not in [0, {weight.shape[0] - 1}]")


def mean_gradient(x, target, weight):
    """The gradient of the mean cross-entropy of a batch with respect to the weights."""
    p = x @ weight.T
    p -= np.max(p, axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= np.sum(p, axis=1, keepdims=True)
    p[np.arange(target.size), target] -= 1
    return p.T @ x / p.dtype.type(target.size)


@implementation("softmax_regression_step", backend="numpy", accumulation=Accumulation(Tree("any")))
def closed_form(x, target, weight, *, lr, micro_batches):
    check(x, target, weight, micro_batches)
    if x.size == 0:
        return weight.copy()
    features, w = working(x), working(weight)
    total = np.zeros_like(w)
    with np.errstate(all="ignore"):
        for part, labels in zip(np.split(features, micro_batches), np.split(target, micro_batches), strict=True):
            total += mean_gradient(part, labels, w) / w.dtype.type(micro_batches)
        return (w - w.dtype.type(lr) * total).astype(weight.dtype)
