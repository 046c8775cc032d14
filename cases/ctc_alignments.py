"""The alignments of connectionist temporal classification, summed in the log domain, with a bound on the rounding.

An alignment of T frames to a target of L labels is a path through 2L + 1 states: the labels with a blank before,
between and after them. A path begins in one of the first two states and ends in one of the last two; from frame to
frame it stays, goes on by one state, or skips a blank between two labels that differ. (Graves, Fernandez, Gomez and
Schmidhuber, ICML 2006.)

Here alpha_t(s) is the logarithm of the sum over all paths up to state s at frame t, with the emission at t; beta_t(s)
over all paths from there on, without it. Both are arrays over batch and states, and a frame is one step. Everything is
Tracked (harness.judge.tracked): log(exp(a) + exp(b) + exp(c)) is one operation, whose error is the average of its
operands' errors by their weights, so that errors add up over the frames and do not multiply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.judge.tracked import Tracked, exp, where


@dataclass(frozen=True, slots=True)
class Batch:
    """Targets as states: `labels` (N, S') the class of each state, `skips` whether it is reached past a blank, `real`
    whether it belongs to the sample's own target, `ends` whether a path may end there; frames per sample."""

    labels: np.ndarray
    skips: np.ndarray
    real: np.ndarray
    ends: np.ndarray
    frames: np.ndarray


def padded(targets: np.ndarray, lengths: np.ndarray, fill: int) -> np.ndarray:
    """Targets as (N, S) with `fill` beyond each length, of padded or of concatenated ones."""
    widest = int(lengths.max(initial=0))
    out = np.full((lengths.size, widest), fill, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        source = targets[row] if targets.ndim == 2 else targets[start:]
        out[row, :length] = source[:length]
    return out


def check(
    shape: tuple[int, ...], targets: np.ndarray, input_lengths: np.ndarray, target_lengths: np.ndarray, blank: int
) -> None:
    """Raises ValueError for what is no batch of targets."""
    if len(shape) != 3 or 0 in shape[:2] or targets.ndim not in (1, 2):
        raise ValueError(f"log_probs of shape {shape} and targets of shape {targets.shape}")
    frames, batch, classes = shape
    if input_lengths.shape != (batch,) or target_lengths.shape != (batch,):
        raise ValueError(f"{batch} samples need as many lengths of each kind")
    if not 0 <= blank < classes:
        raise ValueError(f"blank {blank} is none of {classes} classes")
    if input_lengths.min() < 0 or input_lengths.max() > frames:
        raise ValueError(f"input lengths from {input_lengths.min()} to {input_lengths.max()}; there are {frames}")
    if target_lengths.min() < 0:
        raise ValueError(f"a target length of {target_lengths.min()}")
    if targets.ndim == 2 and (targets.shape[0] != batch or target_lengths.max() > targets.shape[1]):
        raise ValueError(f"targets of shape {targets.shape} for lengths up to {target_lengths.max()}")
    if targets.ndim == 1 and target_lengths.sum() != targets.size:
        raise ValueError(f"{targets.size} concatenated labels for lengths of {target_lengths.sum()} in all")
    used = padded(targets, target_lengths, blank)
    inside = np.arange(used.shape[1]) < target_lengths[:, None]
    if np.any(inside & ((used < 0) | (used >= classes) | (used == blank))):
        raise ValueError(f"labels must be classes from 0 to {classes - 1}, and not the blank {blank}")


def batch_of(
    targets: np.ndarray, input_lengths: np.ndarray, target_lengths: np.ndarray, blank: int, *, merge: bool = True
) -> Batch:
    """`merge=False` is wrong: it lets a path skip the blank between equal labels."""
    rows = padded(targets, target_lengths, blank)
    labels = np.full((rows.shape[0], 2 * rows.shape[1] + 1), blank, dtype=np.int64)
    labels[:, 1::2] = rows
    state = np.arange(labels.shape[1])
    skips = np.zeros(labels.shape, dtype=bool)
    skips[:, 3::2] = (labels[:, 3::2] != labels[:, 1:-2:2]) | (not merge)
    last = 2 * target_lengths[:, None]
    return Batch(labels, skips, state <= last, (state == last) | (state == last - 1), input_lengths)


# ---- one operation: the logarithm of a sum of exponentials


def log_sum(*terms: Tracked) -> Tracked:
    """log(exp(a) + exp(b) + ...), elementwise; of nothing but -inf it is -inf.

    With t_i the largest less term i, s = sum exp(-t_i) and weights p_i = exp(-t_i) / s: the errors e_i of the terms
    make at most log(sum p_i exp(e_i)); the roundings are those of a logsumexp, (sum p_i t_i + c_e + 2) u +
    c_l u |log s|, and one of the answer. A single finite term is handed on as it is.
    """
    value = np.stack([term.value for term in terms])
    with np.errstate(all="ignore"):
        largest = np.max(value, axis=0)
        t = np.where(np.isneginf(largest), np.where(np.isneginf(value), np.inf, 0.0), largest - value)
        w = np.exp(-t)
        s = w.sum(axis=0)
        total = np.where(np.isneginf(largest), -np.inf, largest + np.log(s))
        rounding = terms[0].rounding
        if rounding is None:
            return Tracked(total, 0.0, None)
        p = w / s
        errors = np.stack([np.broadcast_to(term.error, total.shape) for term in terms])
        propagated = np.log1p(np.sum(np.where(w > 0, p * np.expm1(errors), 0.0), axis=0))
        spread = np.sum(np.where(w > 0, p * t, 0.0), axis=0)
        steps = spread + rounding.arithmetic.exp_error + 2 + rounding.arithmetic.log_error * np.abs(np.log(s))
        own = np.where(np.sum(w > 0, axis=0) > 1, steps * rounding.form.unit, 0.0)
    return Tracked(total, rounding.of(total, propagated + own), rounding)


def log_sum_by_class(x: Tracked, labels: np.ndarray, classes: int) -> Tracked:
    """The states of each class added up: (T, N, S') -> (T, N, C), for labels (N, S').

    Implementations add them one by one in the log domain, and each such step rounds at the size of the logarithm.
    """
    frames, batch, _ = x.shape
    shape = (frames, batch, classes)
    index = (np.arange(frames)[:, None, None], np.arange(batch)[:, None], labels[None])
    with np.errstate(all="ignore"):
        largest = np.full(shape, -np.inf, dtype=x.value.dtype)
        np.maximum.at(largest, index, x.value)
        w = np.where(np.isneginf(x.value), 0.0, np.exp(x.value - largest[index]))
        s = np.zeros(shape, dtype=x.value.dtype)
        np.add.at(s, index, w)
        total = np.where(np.isneginf(largest), -np.inf, largest + np.log(s))
        if x.rounding is None:
            return Tracked(total, 0.0, None)
        p = np.where(w > 0, w / s[index], 0.0).astype(np.float64)
        grown = np.zeros(shape)
        np.add.at(grown, index, np.where(w > 0, p * np.expm1(x.error.astype(np.float64)), 0.0))
        count = np.zeros(shape)
        np.add.at(count, index, w > 0)
        constants = x.rounding.arithmetic.exp_error + x.rounding.arithmetic.log_error + 3
        own = np.where(count > 1, count * x.rounding.form.unit * (np.abs(total) + constants), 0.0)
    return Tracked(total, x.rounding.of(total, np.log1p(grown) + own), x.rounding)


# ---- forward and backward


def emissions(log_probs: Tracked, batch: Batch) -> Tracked:
    """The log-probability of each state's class: (T, N, S')."""
    return log_probs.gathered(np.broadcast_to(batch.labels, (log_probs.shape[0], *batch.labels.shape)), 2)


def later(x: Tracked, by: int) -> Tracked:
    """Each state holds what the state `by` before it held (after it for a negative number), and -inf at the end."""

    def moved(part: np.ndarray, fill: float) -> np.ndarray:
        out = np.full_like(part, fill)
        if by > 0:
            out[..., by:] = part[..., :-by]
        else:
            out[..., :by] = part[..., -by:]
        return out

    error = 0.0 if x.rounding is None else moved(np.asarray(x.error), 0.0)
    return Tracked(moved(x.value, -np.inf), error, x.rounding)


def stacked(parts: list[Tracked]) -> Tracked:
    rounding = parts[0].rounding
    error = 0.0 if rounding is None else np.stack([part.error for part in parts])
    return Tracked(np.stack([part.value for part in parts]), error, rounding)


def forward(emitted: Tracked, batch: Batch) -> list[Tracked]:
    """alpha at every frame; beyond a sample's last frame it stays as it was."""
    state = np.arange(batch.labels.shape[1])
    alphas = [where(batch.real & (state < 2), emitted[0], -np.inf)]
    for frame in range(1, emitted.shape[0]):
        before = alphas[-1]
        skipped = where(batch.skips, later(before, 2), -np.inf)
        reached = log_sum(before, later(before, 1), skipped) + emitted[frame]
        reached = where(batch.real, reached, -np.inf)
        alphas.append(where((frame < batch.frames)[:, None], reached, before))
    return alphas


def backward(emitted: Tracked, batch: Batch) -> list[Tracked]:
    """beta at every frame; at and beyond a sample's last frame it is 0 where a path may end."""
    final = where(batch.ends & batch.real, _zeros(emitted[0]), -np.inf)
    betas = [final]
    may_skip = np.zeros_like(batch.skips)
    may_skip[:, :-2] = batch.skips[:, 2:]
    for frame in range(emitted.shape[0] - 1, 0, -1):
        after = betas[-1] + where(batch.real, emitted[frame], -np.inf)
        skipped = where(may_skip, later(after, -2), -np.inf)
        reached = log_sum(after, later(after, -1), skipped)
        betas.append(where((frame < batch.frames)[:, None], reached, betas[-1]))
    return betas[::-1]


def _zeros(like: Tracked) -> Tracked:
    return Tracked(np.zeros_like(like.value), np.zeros(like.shape), like.rounding)


def losses(alpha: Tracked, batch: Batch) -> Tracked:
    """-log of the sum over all paths, per sample, of alpha at the last frame; of no frames, 0 or inf."""
    ending = where(batch.ends, alpha, -np.inf)
    last = (batch.ends.sum(axis=1) - 1 + np.argmax(batch.ends, axis=1))[:, None]
    before = np.maximum(last - 1, 0)
    both = where(last > 0, ending.gathered(before, 1), -np.inf)
    found = -log_sum(ending.gathered(last, 1), both)[:, 0]
    nothing = np.where(batch.real[:, 1:].any(axis=1), np.inf, 0.0)
    return where(batch.frames > 0, found, nothing)


def posteriors(log_probs: Tracked, batch: Batch) -> tuple[Tracked, Tracked]:
    """The losses, and the probability (T, N, C) that an alignment drawn in proportion to its own has class c at t."""
    emitted = emissions(log_probs, batch)
    alphas = forward(emitted, batch)
    lost = losses(alphas[-1], batch)
    joint = stacked(alphas) + stacked(backward(emitted, batch))
    by_class = log_sum_by_class(joint, batch.labels, log_probs.shape[2])
    # implementations have the emission in both factors, and take it out of their product
    by_class = by_class.widened(np.where(np.isfinite(by_class.value), 2 * np.abs(log_probs.value), 0.0))
    return lost, exp(by_class + lost[:, None])
