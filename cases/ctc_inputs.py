"""Inputs of ctc: log-probabilities, targets and lengths that belong together, and such that do not.

normal, peaked, equal   log_softmax of N(0, 1), of N(0, 100), of equal logits
golden                  target lengths from 10 up           repeats    targets of two classes
full, tight             all frames; as few frames as the target needs
empty, no_frames        no labels; a sample, or two, without frames
infeasible              every second sample has one frame too few (and infeasible_zeroed, no_frames_zeroed: for
                        zero_infinity, where gradients are judged)
zero_probabilities      some -inf                           unnormalised  logits as they are
nan, nan_beyond         a frame of NaN, and NaN only where nobody may look

Wherever nothing else is said, the frames suffice for the target, and one sample has all of them.
"""

from __future__ import annotations

import numpy as np

from harness import Case
from harness.precision import numpy_dtype

TOTAL_OF_BAD = 13
"""The sum of the target lengths where the concatenated labels are one more or one less."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (frames, _, classes), target_shape, frame_lengths, label_lengths = case.shapes
    values = case.values
    lengths = _target_lengths(case, label_lengths[0], rng)
    widest = target_shape[-1]
    rows = _labels(values, (label_lengths[0], max(widest, int(lengths.max(initial=0)))), classes, case["blank"], rng)
    needed = [_least_frames(row[:length]) for row, length in zip(rows, lengths, strict=True)]
    input_lengths = np.array([rng.integers(min(frames, max(1, least)), frames + 1) for least in needed], dtype=np.int64)
    if input_lengths.size:
        input_lengths[int(rng.integers(0, input_lengths.size))] = frames
    match values:
        case "full" | "zero_probabilities":
            input_lengths[:] = frames
        case "tight":
            input_lengths[:] = np.maximum(1, needed)
        case "infeasible" | "infeasible_zeroed":
            input_lengths[::2] = np.maximum(0, np.array(needed)[::2] - 1)
        case "no_frames":
            # an empty target without frames, and a target without frames
            lengths[0], input_lengths[0] = 0, 0
            input_lengths[1:2] = 0
        case "no_frames_zeroed":
            input_lengths[::3] = 0
    # shapes that do not belong together: bad input
    input_lengths = np.resize(input_lengths, frame_lengths)
    rows, lengths, input_lengths, targets = _damaged(case, rows, lengths, input_lengths, target_shape)
    log_probs = _log_probs(case, input_lengths, rng)
    return log_probs, targets, input_lengths, lengths


def _target_lengths(case: Case, batch: int, rng: np.random.Generator) -> np.ndarray:
    frames, target_shape = case.shapes[0][0], case.shapes[1]
    if len(target_shape) == 1:
        # so many labels in all, and none of the targets longer than there are frames for, whatever repeats
        total = TOTAL_OF_BAD if case.values == "one_label_off" else target_shape[0]
        lengths = np.full(batch, total // max(1, batch))
        lengths[: total - lengths.sum()] += 1
        for _ in range(4 * batch):
            one, other = rng.integers(0, batch, 2)
            step = min(int(lengths[one]), max(0, (frames + 1) // 2 - int(lengths[other])), 5)
            lengths[one] -= step
            lengths[other] += step
        return lengths.astype(np.int64)
    widest = target_shape[1]
    least = 10 if case.values == "golden" else 0
    most = widest if case.values == "golden" else min(widest, (frames + 1) // 2)
    lengths = rng.integers(min(least, most), most + 1, batch)
    if case.values in ("full", "tight", "infeasible", "infeasible_zeroed"):
        lengths = np.full(batch, most)
    return (0 * lengths if case.values == "empty" else lengths).astype(np.int64)


def _labels(values: str, shape: tuple[int, ...], classes: int, blank: int, rng: np.random.Generator) -> np.ndarray:
    others = np.array([c for c in range(classes) if c != blank], dtype=np.int64)
    if not others.size:
        return np.zeros(shape, dtype=np.int64)
    if values == "repeats":
        others = rng.permutation(others)[:2]
    return others[rng.integers(0, others.size, shape)]


def _least_frames(labels: np.ndarray) -> int:
    """One for each label, and one for the blank between two that are equal."""
    return int(labels.size + np.sum(labels[1:] == labels[:-1]))


def _damaged(
    case: Case, rows: np.ndarray, lengths: np.ndarray, input_lengths: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """The targets in the shape of the case; where it asks for bad input, with one thing wrong."""
    frames, _, classes = case.shapes[0]
    match case.values:
        case "label_too_large" | "label_negative" | "label_is_blank":
            row = int(np.argmax(lengths))
            lengths[row] = max(1, lengths[row])
            wrong = {"label_too_large": classes, "label_negative": -1, "label_is_blank": case["blank"]}
            rows[row, 0] = wrong[case.values]
        case "target_length_negative":
            lengths[-1] = -1
        case "target_length_too_large":
            lengths[-1] = shape[-1] + 1
        case "input_length_negative":
            input_lengths[-1] = -1
        case "input_length_too_large":
            input_lengths[-1] = frames + 1
    if len(shape) == 2:
        targets = np.full(shape, case["blank"], dtype=np.int64)
        targets[:] = rows[: shape[0], : shape[1]] if rows.shape[0] >= shape[0] else np.resize(rows, shape)
    else:
        flat = [row[:length] for row, length in zip(rows, lengths, strict=True) if length > 0]
        targets = np.resize(np.concatenate([*flat, np.zeros(0, dtype=np.int64)]), shape)
    return rows, lengths, input_lengths, targets.astype(np.int64)


def _log_probs(case: Case, input_lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shape = case.shapes[0]
    logits = {"peaked": 10.0, "equal": 0.0}.get(case.values, 1.0) * rng.standard_normal(shape)
    if case.values == "zero_probabilities":
        logits[rng.random(shape) < 0.1] = -np.inf
        logits[..., case["blank"]] = 0.0
    found = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True)) if logits.size else logits
    if case.values == "unnormalised":
        found = logits
    if case.values == "nan_beyond":
        found[np.arange(shape[0])[:, None] >= input_lengths] = np.nan
    if case.values == "nan":
        # a whole frame, so that no alignment gets around it
        found[input_lengths[0] // 2, 0] = np.nan
    return found.astype(numpy_dtype(case.dtype))
