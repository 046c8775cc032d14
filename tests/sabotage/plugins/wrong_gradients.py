"""Right answers with wrong gradients, and marks of known failures that are wrong themselves."""

import numpy as np

from harness import Accumulation, Tree, implementation

PAIRWISE = Accumulation(Tree("pairwise", 26))


def right(x, target, *, reduction):
    with np.errstate(all="ignore"):
        losses = np.square(x.astype(np.float64) - target.astype(np.float64))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / losses.size if reduction == "mean" else total).astype(x.dtype)


def right_gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        down = 2 * (x.astype(np.float64) - target.astype(np.float64)) * cotangent.astype(np.float64)
        down = np.asarray(down / x.size if reduction == "mean" else down).astype(x.dtype)
    return down, np.asarray(-down)


def variant(name, gradient):
    def function(x, target, *, reduction):
        if x.shape != target.shape:
            raise ValueError("two shapes")
        return right(x, target, reduction=reduction)

    return implementation("mse", backend="numpy", name=name, accumulation=PAIRWISE, gradient=gradient)(function)


def changed(change):
    def gradient(cotangent, x, target, *, reduction):
        return tuple(np.asarray(one) for one in change(cotangent, x, target, reduction))

    return gradient


def _ones(g, x, t, reduction):
    return right_gradient(np.ones_like(g), x, t, reduction=reduction)


def _half(g, x, t, reduction):
    return tuple(one / one.dtype.type(2) for one in right_gradient(g, x, t, reduction=reduction))


def _same_sign(g, x, t, reduction):
    down, _ = right_gradient(g, x, t, reduction=reduction)
    return down, down.copy()


def _scalar(g, x, t, reduction):
    return tuple(np.asarray(one.sum()).astype(x.dtype) for one in right_gradient(g, x, t, reduction=reduction))


def _not_averaged(g, x, t, reduction):
    return right_gradient(g, x, t, reduction="sum" if reduction == "mean" else reduction)


def _nan(g, x, t, reduction):
    return tuple(np.full_like(one, np.nan) for one in right_gradient(g, x, t, reduction=reduction))


def _input_changed(g, x, t, reduction):
    answer = right_gradient(g, x, t, reduction=reduction)
    if x.size:
        x.flat[0] += 1
    return answer


honest_gradient = variant(name="honest_gradient", gradient=right_gradient)
cotangent_ignored = variant(name="cotangent_ignored", gradient=changed(_ones))
two_forgotten = variant(name="two_forgotten", gradient=changed(_half))
target_with_the_same_sign = variant(name="target_with_the_same_sign", gradient=changed(_same_sign))
gradient_summed_up = variant(name="gradient_summed_up", gradient=changed(_scalar))
mean_not_divided = variant(name="mean_not_divided", gradient=changed(_not_averaged))
gradient_of_nan = variant(name="gradient_of_nan", gradient=changed(_nan))
gradient_changes_its_input = variant(name="gradient_changes_its_input", gradient=changed(_input_changed))


@implementation("mse", backend="numpy", accumulation=PAIRWISE, gradient=right_gradient, known={"*": "said to be wrong"})
def right_and_marked_as_wrong(x, target, *, reduction):
    if x.shape != target.shape:
        raise ValueError("two shapes")
    return right(x, target, reduction=reduction)


@implementation("mse", backend="numpy", known={"float32[7x33*": "it is always 3"})
def three(x, target, *, reduction):
    return np.full(x.shape if reduction == "none" else (), 3, x.dtype)
