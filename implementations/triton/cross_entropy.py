"""cross_entropy in Triton: forward and gradient without a tensor of log-probabilities in memory.

fused      a program takes several samples: one pass over the classes for the running maximum and sum of exp (one more
           for label smoothing and for targets that are distributions), then the loss of each sample; the losses are
           added up by Triton's sum. The gradient, softmax minus label, is one pass more. Labels are looked at first,
           which waits for the device
"""

import torch
import triton
import triton.language as tl
from harness.implementations.torch import class_losses

from harness import Accumulation, Tree, implementation

from .rows import exp_below_zero, not_interpreted, quotient, split, split_shape, tile_of, work_type
from .sum import row_sums

BLOCK = 4096


@triton.jit
def top_and_total(
    x, first, rows, row, n, inner, TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """The largest logit of each row, and the sum of exp(logit - largest)."""
    top = tl.full([HEIGHT], float("-inf"), TYPE)
    total = tl.zeros([HEIGHT], TYPE)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < n)[None, :]
        place = first[:, None] + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
        higher = tl.maximum(top, tl.max(values, 1))
        # nothing but -inf so far: there is nothing to rescale, and -inf - -inf would be NaN
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * exp_below_zero(top - shift) + tl.sum(exp_below_zero(values - shift[:, None]), 1)
        top = higher
    return top, total


@triton.jit
def label_losses(
    x, labels, weights, losses, shares, rows, n, inner, ignored,
    OWN: tl.constexpr, EACH: tl.constexpr, WEIGHTED: tl.constexpr,
    TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The loss of each sample, and its weight in the mean; both are 0 for ignored samples.

    OWN is what smoothing leaves to the label, EACH what it gives to every class.
    """
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    valid = row < rows
    first = row // inner * n * inner + row % inner
    label = tl.load(labels + row, mask=valid, other=ignored)
    counts = label != ignored
    safe = tl.where(counts, label, 0)
    weight = tl.where(counts, 1.0, 0.0).to(TYPE)
    if WEIGHTED:
        weight = tl.where(counts, tl.load(weights + safe).to(TYPE), 0.0)
    top, total = top_and_total(x, first, rows, row, n, inner, TYPE, HEIGHT, WIDTH)
    logarithm = tl.log(total)
    own = tl.load(x + first + safe * inner, mask=valid, other=0.0).to(TYPE)
    # (x - max) - log(sum): x - (max + log(sum)) would cancel where logits are large
    loss = -weight * ((own - top) - logarithm)
    if EACH > 0:
        spread = tl.zeros([HEIGHT], TYPE)
        for start in range(0, n, WIDTH):
            column = start + tl.arange(0, WIDTH)
            inside = valid[:, None] & (column < n)[None, :]
            place = first[:, None] + column[None, :].to(tl.int64) * inner
            values = tl.load(x + place, mask=inside, other=0.0).to(TYPE)
            terms = (values - top[:, None]) - logarithm[:, None]
            if WEIGHTED:
                terms *= tl.load(weights + column, mask=column < n, other=0.0).to(TYPE)[None, :]
            spread += tl.sum(tl.where(inside, terms, 0.0), 1)
        loss = OWN * loss - EACH * spread
    tl.store(losses + row, tl.where(counts, loss, 0.0), mask=valid)
    tl.store(shares + row, weight, mask=valid)


@triton.jit
def wanted_tile(
    target, weights, place, inside, column, n,
    OWN: tl.constexpr, EACH: tl.constexpr, WEIGHTED: tl.constexpr, TYPE: tl.constexpr,
):  # fmt: skip
    """The probabilities that are wanted of a tile of classes: smoothed, and times the weights of the classes."""
    wanted = tl.load(target + place, mask=inside, other=0.0).to(TYPE) * OWN + EACH
    if WEIGHTED:
        wanted *= tl.load(weights + column, mask=column < n, other=0.0).to(TYPE)[None, :]
    return wanted


@triton.jit
def probability_losses(
    x, target, weights, losses, rows, n, inner,
    OWN: tl.constexpr, EACH: tl.constexpr, WEIGHTED: tl.constexpr,
    TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The loss of each sample whose target is a distribution over the classes."""
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    valid = row < rows
    first = row // inner * n * inner + row % inner
    top, total = top_and_total(x, first, rows, row, n, inner, TYPE, HEIGHT, WIDTH)
    logarithm = tl.log(total)
    loss = tl.zeros([HEIGHT], TYPE)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = valid[:, None] & (column < n)[None, :]
        place = first[:, None] + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=0.0).to(TYPE)
        wanted = wanted_tile(target, weights, place, inside, column, n, OWN, EACH, WEIGHTED, TYPE)
        terms = ((values - top[:, None]) - logarithm[:, None]) * wanted
        loss -= tl.sum(tl.where(inside, terms, 0.0), 1)
    tl.store(losses + row, loss, mask=valid)


@triton.jit
def label_gradients(
    x, labels, weights, weight_sum, down, out, rows, n, inner, ignored,
    OWN: tl.constexpr, EACH: tl.constexpr, WEIGHTED: tl.constexpr,
    TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """down * (sum of q * softmax - q), where q is the weighted and smoothed label; 0 for ignored samples."""
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    valid = row < rows
    first = row // inner * n * inner + row % inner
    label = tl.load(labels + row, mask=valid, other=ignored)
    counts = label != ignored
    safe = tl.where(counts, label, 0)
    of_label = tl.full([HEIGHT], OWN, TYPE)
    if WEIGHTED:
        of_label *= tl.load(weights + safe).to(TYPE)
    top, total = top_and_total(x, first, rows, row, n, inner, TYPE, HEIGHT, WIDTH)
    coming = tl.load(down + row, mask=valid, other=0.0).to(TYPE)
    of_all = of_label + EACH * tl.load(weight_sum)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = valid[:, None] & (column < n)[None, :]
        place = first[:, None] + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
        p = quotient(exp_below_zero(values - top[:, None]), tl.broadcast_to(total[:, None], [HEIGHT, WIDTH]))
        of_each = tl.full([WIDTH], EACH, TYPE)
        if WEIGHTED:
            of_each *= tl.load(weights + column, mask=column < n, other=0.0).to(TYPE)
        q = tl.where(column[None, :] == safe[:, None], of_label[:, None], 0.0) + of_each[None, :]
        gradients = coming[:, None] * (p * of_all[:, None] - q)
        tl.store(out + place, tl.where(counts[:, None], gradients, 0.0), mask=inside)


@triton.jit
def probability_gradients(
    x, target, weights, down, out, rows, n, inner,
    OWN: tl.constexpr, EACH: tl.constexpr, WEIGHTED: tl.constexpr,
    TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """down * (sum of q * softmax - q), where q is the weighted and smoothed target."""
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    valid = row < rows
    first = row // inner * n * inner + row % inner
    top, total = top_and_total(x, first, rows, row, n, inner, TYPE, HEIGHT, WIDTH)
    coming = tl.load(down + row, mask=valid, other=0.0).to(TYPE)
    of_all = tl.zeros([HEIGHT], TYPE)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = valid[:, None] & (column < n)[None, :]
        place = first[:, None] + column[None, :].to(tl.int64) * inner
        q = wanted_tile(target, weights, place, inside, column, n, OWN, EACH, WEIGHTED, TYPE)
        of_all += tl.sum(tl.where(inside, q, 0.0), 1)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = valid[:, None] & (column < n)[None, :]
        place = first[:, None] + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
        p = quotient(exp_below_zero(values - top[:, None]), tl.broadcast_to(total[:, None], [HEIGHT, WIDTH]))
        q = wanted_tile(target, weights, place, inside, column, n, OWN, EACH, WEIGHTED, TYPE)
        tl.store(out + place, coming[:, None] * (p * of_all[:, None] - q), mask=inside)


def launch(kernel, x, target, weight, more, smoothing):
    """Run a kernel over the samples; `more` are its own arguments: tensors, then ignore_index where it has labels."""
    outer, n, inner = split(x, class_losses.class_axis(x))
    height, width, warps = tile_of(n, BLOCK)
    tensors = [one for one in more if isinstance(one, torch.Tensor)]
    # a pointer that is not read has to be one all the same
    weights = x if weight is None else weight.contiguous()
    kernel[(triton.cdiv(outer * inner, height),)](
        x.contiguous(), target.contiguous(), weights, *tensors, outer * inner, n, inner, *more[len(tensors) :],
        1 - smoothing, smoothing / n, weight is not None, work_type(x), height, width, num_warps=warps,
    )  # fmt: skip


def wide_type(x):
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def total_of(values):
    return row_sums(values.contiguous(), 1, values.numel(), 1).reshape(())


def gradient(cotangent, x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if not out.numel():
        return out
    axis = class_losses.class_axis(x)
    down = cotangent.to(wide_type(x)).expand(x.shape[:axis] + x.shape[axis + 1 :])
    if target.shape == x.shape:
        if reduction == "mean":
            down = down / down.numel()
        launch(probability_gradients, x, target, weight, [down.contiguous(), out], label_smoothing)
        return out
    if reduction == "mean":
        down = down / total_of(class_losses.weights_of(x, target, weight, ignore_index)[2])
    every = torch.ones(x.shape[axis], dtype=wide_type(x), device=x.device) if weight is None else weight
    launch(label_gradients, x, target, weight, [total_of(every), down.contiguous(), out, ignore_index], label_smoothing)
    return out


def few_programs(case):
    logits = case.shapes[0]
    outer, n, inner = split_shape(logits, 0 if len(logits) == 1 else 1)
    return not_interpreted(case, outer * inner, n, BLOCK, passes=2)


@implementation(
    "cross_entropy",
    backend="triton",
    accumulation=Accumulation(Tree("chunks", BLOCK), rescale=BLOCK),
    supports=few_programs,
    gradient=gradient,
)
def fused(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    axis = class_losses.class_axis(x)
    losses = torch.empty(x.shape[:axis] + x.shape[axis + 1 :], dtype=wide_type(x), device=x.device)
    if target.shape == x.shape:
        class_losses.check_distributions(x, target, weight, ignore_index)
        shares = torch.ones_like(losses)
        if losses.numel():
            launch(probability_losses, x, target, weight, [losses], label_smoothing)
    else:
        class_losses.check_labels(x, target, weight, ignore_index)
        shares = torch.empty_like(losses)
        if losses.numel():
            launch(label_losses, x, target, weight, [losses, shares, ignore_index], label_smoothing)
    if reduction == "none":
        return losses.to(x.dtype)
    total = total_of(losses)
    return (total / total_of(shares) if reduction == "mean" else total).to(x.dtype)
