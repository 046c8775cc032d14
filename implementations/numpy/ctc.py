"""ctc in NumPy: the forward-backward recursion in the log domain, in the type of the inputs.

builtin    one frame at a time over batch and states; np.logaddexp twice for the three ways into a state
"""

import numpy as np

from harness import Accumulation, Tree, implementation

CLAIM = Accumulation(Tree("any"))


def check(log_probs, targets, input_lengths, target_lengths, blank):
    """What indexing would let pass: lengths and labels that are out of range, or wrap."""
    frames, batch, classes = log_probs.shape
    if frames == 0 or batch == 0:
        raise ValueError(f"log_probs of shape {log_probs.shape}")
    if input_lengths.shape != (batch,) or target_lengths.shape != (batch,):
        raise ValueError(f"{batch} samples need as many lengths of each kind")
    if not 0 <= blank < classes:
        raise ValueError(f"blank {blank} is none of {classes} classes")
    if input_lengths.min() < 0 or input_lengths.max() > frames or target_lengths.min() < 0:
        raise ValueError("lengths are out of range")
    fits = targets.shape[0] == batch and target_lengths.max() <= targets.shape[1] if targets.ndim == 2 else None
    if fits is False or (fits is None and targets.size != target_lengths.sum()):
        raise ValueError(f"targets of shape {targets.shape} do not fit their lengths")


def states_of(targets, target_lengths, blank, classes):
    """The class of each state (N, 2 S + 1), and whether it is reached past a blank."""
    inside = np.arange(target_lengths.max()) < target_lengths[:, None]
    rows = np.full(inside.shape, blank, dtype=np.int64)
    rows[inside] = targets[:, : inside.shape[1]][inside] if targets.ndim == 2 else targets
    used = rows[inside]
    if np.any((used < 0) | (used >= classes) | (used == blank)):
        raise ValueError(f"labels must be classes below {classes}, and not the blank {blank}")
    labels = np.full((rows.shape[0], 2 * rows.shape[1] + 1), blank, dtype=np.int64)
    labels[:, 1::2] = rows
    skips = np.zeros(labels.shape, dtype=bool)
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    return labels, skips


def forward(emitted, skips, input_lengths):
    """The sum over all paths up to each state, with its emission, at every frame."""
    alphas = np.full(emitted.shape, -np.inf, dtype=emitted.dtype)
    alphas[0, :, :2] = emitted[0, :, :2]
    for frame in range(1, len(emitted)):
        before = alphas[frame - 1]
        reached = before.copy()
        reached[:, 1:] = np.logaddexp(reached[:, 1:], before[:, :-1])
        skipped = np.where(skips[:, 2:], before[:, :-2], -np.inf)
        reached[:, 2:] = np.logaddexp(reached[:, 2:], skipped)
        reached += emitted[frame]
        alphas[frame] = np.where((frame < input_lengths)[:, None], reached, before)
    return alphas


def backward(emitted, skips, input_lengths, target_lengths):
    """The sum over all paths from each state on, without its emission, at every frame."""
    betas = np.full(emitted.shape, -np.inf, dtype=emitted.dtype)
    batch = np.arange(target_lengths.size)
    betas[-1, batch, 2 * target_lengths] = 0
    betas[-1, batch, np.maximum(0, 2 * target_lengths - 1)] = 0
    for frame in range(len(emitted) - 1, 0, -1):
        after = betas[frame] + emitted[frame]
        reached = after.copy()
        reached[:, :-1] = np.logaddexp(reached[:, :-1], after[:, 1:])
        skipped = np.where(skips[:, 2:], after[:, 2:], -np.inf)
        reached[:, :-2] = np.logaddexp(reached[:, :-2], skipped)
        betas[frame - 1] = np.where((frame < input_lengths)[:, None], reached, betas[frame])
    return betas


def losses(alpha, input_lengths, target_lengths):
    batch = np.arange(target_lengths.size)
    last = alpha[batch, 2 * target_lengths]
    label = np.where(target_lengths > 0, alpha[batch, np.maximum(0, 2 * target_lengths - 1)], -np.inf)
    nothing = np.where(target_lengths > 0, np.inf, 0)
    return np.where(input_lengths > 0, -np.logaddexp(last, label), nothing).astype(alpha.dtype)


def gradient(
    cotangent, log_probs, targets, input_lengths, target_lengths, *, blank=0, reduction="mean", zero_infinity=False
):
    frames, batch, classes = log_probs.shape
    labels, skips = states_of(targets, target_lengths, blank, classes)
    with np.errstate(all="ignore"):
        emitted = np.take_along_axis(log_probs, labels[None], axis=2)
        alphas = forward(emitted, skips, input_lengths)
        found = losses(alphas[-1], input_lengths, target_lengths)
        paths = np.exp(alphas + backward(emitted, skips, input_lengths, target_lengths) + found[:, None])
        posterior = np.zeros_like(log_probs)
        index = (np.arange(frames)[:, None, None], np.arange(batch)[:, None], labels[None])
        np.add.at(posterior, index, paths)
        g = cotangent
        if reduction == "mean":
            g = cotangent / np.maximum(1, target_lengths).astype(log_probs.dtype) / log_probs.dtype.type(batch)
        down = (np.exp(log_probs) - posterior) * np.broadcast_to(g, batch)[:, None]
        live = np.arange(frames)[:, None] < input_lengths
        if zero_infinity:
            live &= ~np.isposinf(found)
        return np.where(live[:, :, None], down, 0).astype(log_probs.dtype)


@implementation("ctc", backend="numpy", accumulation=CLAIM, gradient=gradient)
def builtin(log_probs, targets, input_lengths, target_lengths, *, blank=0, reduction="mean", zero_infinity=False):
    check(log_probs, targets, input_lengths, target_lengths, blank)
    labels, skips = states_of(targets, target_lengths, blank, log_probs.shape[2])
    with np.errstate(all="ignore"):
        emitted = np.take_along_axis(log_probs, labels[None], axis=2)
        found = losses(forward(emitted, skips, input_lengths)[-1], input_lengths, target_lengths)
        if zero_infinity:
            found[np.isposinf(found)] = 0
        if reduction == "mean":
            found = np.mean(found / np.maximum(1, target_lengths).astype(found.dtype))
        elif reduction == "sum":
            found = np.sum(found)
        return np.asarray(found, dtype=log_probs.dtype)
