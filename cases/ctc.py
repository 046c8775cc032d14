"""ctc(log_probs, targets, input_lengths, target_lengths, *, blank=0, reduction="mean", zero_infinity=False).

loss_n = -log of the sum, over all alignments of sample n's first input_lengths[n] frames to its target, of exp of the
sum of log_probs along the alignment. Shapes: log_probs (T, N, C), float64 or float32; targets int64, padded (N, S) or
concatenated (sum of target_lengths,); both lengths int64 (N,); none -> (N,), sum and mean -> (). The mean divides each
loss by max(1, target length), then averages over the batch. No alignment at all (too few frames) -> inf;
zero_infinity makes 0 of it, with a gradient of zeros. An empty target is aligned to blanks alone; of no frames the loss
is 0 for an empty target, else inf. What lies beyond a length is never looked at.

Gradient with respect to log_probs: g (exp(log_probs) - posterior), 0 beyond the input length, where posterior is the
probability that an alignment has class c at frame t. That is PyTorch's, and it is *not* the derivative of the formula
with respect to free entries, which is -posterior alone: log_probs is documented as normalised (an output of
log_softmax), and along normalised log-probabilities both give the same: handed on through log_softmax, they are equal,
since log_softmax takes every multiple of exp(log_probs) away. PyTorch's is judged because it is what its documented
behaviour computes, and what kernels (cuDNN, warp-ctc) return; where a sample is infeasible and zero_infinity is off, it
is NaN and not judged.

Oracle: the forward-backward recursion in the log domain (cases/ctc_alignments.py; tests/test_ctc.py certifies it by
counting out all alignments and by mpmath). Bound: running error analysis of it: each frame rounds once at the size of
alpha and adds a logsumexp of three, about T u (|loss| / 2 + 4) in all: the worst case of reference/03, section 2.3.
Errors look mean-zero, so that T = 3000 frames use about 1 / sqrt(T) of it. The bound of the mean is that of its losses.

Bad input, always an error: a label below 0, from C on or equal to the blank; a target length below 0 or beyond the
targets; concatenated labels that are not as many as the lengths say; an input length below 0 or beyond T; a blank that
is no class; no frames or no samples at all. Specification: PyTorch, except for labels: PyTorch looks at none, and reads
past the tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp, where
from harness.precision import numpy_dtype, widen

from .ctc_alignments import batch_of, check, emissions, forward, losses, posteriors
from .ctc_inputs import inputs
from .ctc_wrong import mutants


def formula(
    log_probs: Tracked,
    targets: np.ndarray,
    input_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
) -> Tracked:
    check(log_probs.shape, targets, input_lengths, target_lengths, blank)
    batch = batch_of(targets, input_lengths, target_lengths, blank)
    found = losses(forward(emissions(log_probs, batch), batch)[-1], batch)
    if zero_infinity:
        found = where(np.isposinf(found.value), 0.0, found)
    match reduction:
        case "none":
            return found
        case "sum":
            return found.sum()
        case "mean":
            return (found / np.maximum(1, target_lengths).astype(float)).sum() / float(target_lengths.size)
    raise ValueError(f"reduction {reduction!r} is none of none, mean, sum")


def gradient(
    g: Tracked,
    log_probs: Tracked,
    targets: np.ndarray,
    input_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
) -> Tracked:
    batch = batch_of(targets, input_lengths, target_lengths, blank)
    found, posterior = posteriors(log_probs, batch)
    if reduction == "mean":
        g = g / np.maximum(1, target_lengths).astype(float) / float(target_lengths.size)
    down = (exp(log_probs) - posterior) * g.broadcast_to(found.shape)[:, None]
    live = np.arange(log_probs.shape[0])[:, None] < input_lengths
    if zero_infinity:
        live = live & ~np.isposinf(found.value)
    return where(live[:, :, None], down, 0.0)


oracle, bound = derived_from(formula)


# ---- laws


def _small(case: Case) -> bool:
    return case.layout == "contiguous" and case.shapes[0][0] <= 100


def concatenated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Padded and concatenated targets give the same, within both bounds."""
    log_probs, targets, input_lengths, lengths = inputs
    if targets.ndim != 2 or not _small(case):
        return None
    flat = np.concatenate([row[:length] for row, length in zip(targets, lengths, strict=True)])
    return Probe((log_probs, flat, input_lengths, lengths), _alike)


def _alike(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
    return other, answer, bound + other_bound


def more_frames(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Frames beyond every input length, and labels beyond every target length, change nothing."""
    log_probs, targets, *lengths = inputs
    if not _small(case):
        return None
    longer = np.concatenate([log_probs, rng.standard_normal((5, *log_probs.shape[1:])).astype(log_probs.dtype)])
    if targets.ndim == 2:
        targets = np.concatenate([targets, np.full((targets.shape[0], 3), case["blank"])], axis=1)
    return Probe((longer, targets, *lengths), _alike)


def relabelled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Other numbers for the classes, the blank's among them, change nothing."""
    log_probs, targets, *lengths = inputs
    if not _small(case):
        return None
    names = rng.permutation(log_probs.shape[2])
    moved = np.empty_like(log_probs)
    moved[:, :, names] = log_probs
    changed = {**dict(case.parameters), "blank": int(names[case["blank"]])}
    return Probe((moved, names[targets].astype(np.int64), *lengths), _alike, changed)


def all_sequences(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """exp(-loss) over all label sequences that fit into T frames, the empty one included, is 1."""
    log_probs = inputs[0]
    frames, _, classes = log_probs.shape
    if case.values != "every_sequence":
        return None
    labels = [c for c in range(classes) if c != case["blank"]]
    sequences: list[list[int]] = [[]]
    for start in sequences:
        sequences += [[*start, label] for label in labels] if len(start) < frames else []
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    flat = np.array([label for one in sequences for label in one], dtype=np.int64)
    many = len(sequences)
    frames_of_all = np.full(many, frames, dtype=np.int64)
    derived = (np.repeat(log_probs[:, :1], many, axis=1), flat, frames_of_all, lengths)
    # how far the given log-probabilities are from being normalised
    surplus = float(np.abs(np.prod(np.exp(widen(log_probs[:, 0])).sum(axis=-1)) - 1))

    def relate(_: np.ndarray, other: np.ndarray, __: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        probability = np.exp(-widen(other))
        allowed = np.sum(np.where(probability > 0, probability * np.expm1(2 * other_bound), 0.0))
        return np.sum(probability), np.ones(()), allowed + 2 * surplus + 1e-15

    return Probe(derived, relate, {**dict(case.parameters), "reduction": "none"})


# ---- cases


def of(frames: int, batch: int, classes: int, *targets: int) -> tuple[tuple[int, ...], ...]:
    """Shapes; of `targets` one is the width of padded ones, two are the total of concatenated ones and a 0."""
    labels = (targets[0],) if len(targets) == 2 else (batch, targets[0])
    return (frames, batch, classes), labels, (batch,), (batch,)


def cost(case: Case) -> Cost:
    """Read every log-probability once; three exponentials and a logarithm for each state of each frame."""
    frames, batch, classes = case.shapes[0]
    widest = case.shapes[1][-1] if len(case.shapes[1]) == 2 else case.shapes[1][0] // max(1, batch)
    itemsize = numpy_dtype(case.dtype).itemsize
    return Cost(bytes=frames * batch * classes * itemsize, flops=12 * frames * batch * (2 * widest + 1))


USUAL: dict[str, Any] = {"blank": 0, "reduction": "none", "zero_infinity": False}
BOTH = ["float64", "float32"]
SMALL = of(12, 5, 6, 4)
PACKED = of(12, 5, 6, 13, 0)
ALL = ["none", "mean", "sum"]
VALUES = ["peaked", "equal", "repeats", "empty", "full", "tight", "zero_probabilities", "unnormalised", "nan_beyond",
          "nan", "infeasible", "no_frames"]  # fmt: skip
FEASIBLE = ("normal", "golden", "peaked", "equal", "repeats", "empty", "full", "tight", "nan_beyond", "unnormalised",
            "infeasible_zeroed", "no_frames_zeroed", "every_sequence")  # fmt: skip
BAD = {
    "label_too_large": "a label from C on",
    "label_negative": "a label below 0",
    "label_is_blank": "a label that is the blank",
    "target_length_negative": "a target length below 0",
    "target_length_too_large": "a target length beyond the targets",
    "input_length_negative": "an input length below 0",
    "input_length_too_large": "an input length beyond T",
}

ctc = Operator(
    name="ctc",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=FEASIBLE,
    cost=cost,
    terms=lambda case: case.shapes[0][0],
    redraw=True,
    specification="PyTorch, except that labels out of range are errors",
    properties=(
        Property("padded_is_concatenated", concatenated),
        Property("frames_beyond_the_length", more_frames),
        Property("relabelling", relabelled),
        Property("all_sequences_sum_to_one", all_sequences),
    ),
    mutants=mutants(oracle, gradients_of(gradient, 0)[0].oracle),
    conformance=(
        *grid(
            dtype="float32", shape=[of(50, 16, 20, 30)], values="golden", blank=0, reduction=ALL, zero_infinity=False
        ),
        *grid(dtype="float64", shape=[of(50, 16, 20, 30)], values="golden", **USUAL),
        *grid(dtype="float32", shape=[of(50, 16, 20, 320, 0)], blank=0, reduction="mean", zero_infinity=False),
        *grid(dtype="float64", shape=[of(50, 16, 20, 320, 0)], **USUAL),
        *grid(dtype=BOTH, shape=[SMALL, PACKED], blank=[0, 5], reduction=ALL, zero_infinity=False),
        *grid(dtype="float32", shape=[SMALL, PACKED], blank=3, reduction=ALL, zero_infinity=[False, True]),
        *grid(dtype=BOTH, shape=[SMALL], values=VALUES, **USUAL),
        *grid(dtype="float32", shape=[SMALL], values=VALUES, blank=5, reduction="mean", zero_infinity=True),
        *grid(
            dtype=BOTH,
            shape=[SMALL],
            values=["infeasible_zeroed", "no_frames_zeroed"],
            blank=0,
            reduction=ALL,
            zero_infinity=True,
        ),
        *grid(dtype=BOTH, shape=[of(3, 2, 3, 2), of(4, 2, 3, 2)], values="every_sequence", **USUAL),
        *grid(
            dtype=BOTH,
            shape=[
                of(1, 1, 2, 1),
                of(1, 3, 1, 0),
                of(2, 1, 5, 1),
            ],
            **USUAL,
        ),
        *grid(dtype="float32", shape=[of(257, 3, 33, 40)], **USUAL),
        *grid(dtype="float32", shape=[of(33, 2, 1025, 5), of(33, 2, 20, 0), of(33, 2, 20, 0, 0)], **USUAL),
        *grid(dtype="float32", shape=[of(3000, 1, 100, 60)], values="full", **USUAL),
        *grid(
            dtype=BOTH,
            shape=[SMALL],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
            blank=0,
            reduction=["none", "mean"],
            zero_infinity=False,
        ),
        *(
            case
            for values, why in BAD.items()
            for case in grid(dtype="float32", shape=[SMALL], values=values, raises=why, **USUAL)
        ),
        *grid(dtype="float32", shape=[PACKED], values=["label_too_large", "label_negative"], raises="a label", **USUAL),
        *grid(
            dtype="float32",
            shape=[SMALL],
            blank=[-1, 6],
            reduction="none",
            zero_infinity=False,
            raises="a blank that is no class",
        ),
        *grid(
            dtype="float32",
            shape=[((12, 5, 6), (14,), (5,), (5,)), ((12, 5, 6), (12,), (5,), (5,))],
            values="one_label_off",
            raises="concatenated labels are not as many as the lengths say",
            **USUAL,
        ),
        *grid(
            dtype="float32",
            shape=[
                ((12, 5, 6), (4, 4), (5,), (5,)),
                ((12, 5, 6), (5, 4), (4,), (5,)),
                ((12, 5, 6), (5, 4), (5,), (4,)),
            ],
            raises="not one of each for every sample",
            **USUAL,
        ),
        *grid(dtype="float32", shape=[of(0, 5, 6, 4), of(12, 0, 6, 4)], raises="no frames, or no samples", **USUAL),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[of(200, 16, 64, 40)], blank=0, reduction="mean", zero_infinity=False),
        *grid(dtype="float32", shape=[of(500, 4, 1024, 100)], blank=0, reduction="none", zero_infinity=False),
    ),
)
