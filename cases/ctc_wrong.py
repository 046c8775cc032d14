"""Wrong versions of ctc: what authors of the recursion, of its ends, of its reduction and of its gradient get wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Mutant
from harness.precision import round_to, widen

from .ctc_alignments import Batch, batch_of
from .wrong import Oracle, always, answer, general, of_changed_inputs

Arrays = tuple[np.ndarray, ...]


def _recursion(
    arrays: Arrays,
    parameters: dict[str, Any],
    *,
    change: Callable[[Batch], Batch] = lambda batch: batch,
    add: Any = np.logaddexp,
    starts: int = 2,
    merge: bool = True,
    linear: bool = False,
) -> np.ndarray:
    """The losses by the plain recursion, with something wrong in it; reduced as asked for."""
    log_probs, targets, input_lengths, target_lengths = arrays
    batch = change(batch_of(targets, input_lengths, target_lengths, parameters["blank"], merge=merge))
    work = log_probs if linear else widen(log_probs)
    emitted = np.take_along_axis(work, batch.labels[None], axis=2)
    if linear:
        emitted = np.exp(emitted)
    nothing = 0.0 if linear else -np.inf
    step, join = (np.multiply, np.add) if linear else (np.add, add)
    state = np.arange(batch.labels.shape[1])
    alpha = np.where(batch.real & (state < starts), emitted[0], nothing)
    for frame in range(1, len(emitted)):
        one, two = np.full_like(alpha, nothing), np.full_like(alpha, nothing)
        one[:, 1:], two[:, 2:] = alpha[:, :-1], alpha[:, :-2]
        reached = step(join(join(alpha, one), np.where(batch.skips, two, nothing)), emitted[frame])
        alpha = np.where((batch.real & (frame < batch.frames[:, None])), reached, alpha)
    ending = np.where(batch.ends, alpha, nothing)
    if linear:
        return _reduced(-np.log(ending.sum(axis=1)), target_lengths, parameters).astype(log_probs.dtype)
    found = np.where(batch.frames > 0, -add.reduce(ending, axis=1), np.where(target_lengths > 0, np.inf, 0.0))
    return round_to(_reduced(found, target_lengths, parameters), log_probs.dtype.name)


def _reduced(found: np.ndarray, target_lengths: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
    if parameters["zero_infinity"]:
        found = np.where(np.isposinf(found), 0, found)
    match parameters["reduction"]:
        case "none":
            return found
        case "sum":
            return np.asarray(found.sum())
    return np.asarray((found / np.maximum(1, target_lengths)).mean())


def _wrong(name: str, lesson: str = "", **options: Any) -> Mutant:
    return Mutant(name, lambda *arrays, **parameters: _recursion(arrays, parameters, **options), lesson)


def _ends(shift: int) -> Callable[[Batch], Batch]:
    """A path may end in the last state only (0), or in the one before only (-1)."""

    def change(batch: Batch) -> Batch:
        last = batch.real.sum(axis=1)[:, None] - 1
        return dataclasses.replace(batch, ends=np.arange(batch.labels.shape[1]) == np.maximum(0, last + shift))

    return change


def _mean(name: str, divide: Callable[..., Any], oracle: Oracle, lesson: str = "") -> Mutant:
    """Another mean of the right losses: `divide(losses, input_lengths, target_lengths)`."""

    def function(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        if parameters["reduction"] != "mean":
            return answer(oracle, *arrays, **parameters)
        found = oracle(*arrays, **{**parameters, "reduction": "none"})
        return round_to(np.asarray(divide(found, *arrays[2:])), arrays[0].dtype.name)

    return Mutant(name, function, lesson)


def _overlapping(log_probs: np.ndarray, targets: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> Arrays:
    """Concatenated targets are read as if each had the longest one's length."""
    if targets.ndim == 1 and targets.size:
        starts = np.arange(lengths.size) * int(lengths.max())
        rows = [np.take(targets, start + np.arange(n), mode="wrap") for start, n in zip(starts, lengths, strict=True)]
        targets = np.concatenate(rows)
    return log_probs, targets, frames, lengths


def _one_short(log_probs: np.ndarray, targets: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> Arrays:
    if targets.ndim == 2:
        lengths = np.maximum(0, lengths - 1)
    return log_probs, targets, frames, lengths


def _batch_first(log_probs: np.ndarray, *rest: np.ndarray) -> Arrays:
    frames, batch, classes = log_probs.shape
    return log_probs.reshape(batch, frames, classes).swapaxes(0, 1), *rest


def _renormalised(log_probs: np.ndarray, *rest: np.ndarray) -> Arrays:
    total = np.log(np.sum(np.exp(log_probs), axis=-1, keepdims=True))
    return (log_probs - total).astype(log_probs.dtype), *rest


def _gradients(oracle: Oracle, right: Oracle) -> tuple[Mutant, ...]:
    def mutant(name: str, function: Callable[..., Any], lesson: str = "") -> Mutant:
        def wrong(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
            return round_to(np.asarray(function(arrays, parameters)), arrays[0].dtype.name)

        return Mutant(f"gradient_{name}", wrong, lesson, gradient=0)

    def weights(arrays: Arrays, parameters: dict[str, Any]) -> np.ndarray:
        """What reaches each loss of the cotangent."""
        lengths, g = arrays[3], widen(arrays[4])
        share = np.maximum(1, lengths) * lengths.size if parameters["reduction"] == "mean" else 1.0
        return np.broadcast_to(g / share, lengths.shape)

    def surplus(arrays: Arrays, parameters: dict[str, Any], *, beyond: bool) -> np.ndarray:
        """exp(log_probs), weighted, at the frames of each sample; or at all others."""
        live = np.arange(arrays[0].shape[0])[:, None] < arrays[2]
        if parameters["zero_infinity"]:
            live = live & np.isfinite(
                oracle(*arrays[:4], **{**parameters, "reduction": "none", "zero_infinity": False})
            )
        part = np.exp(widen(arrays[0])) * weights(arrays, parameters)[:, None]
        return np.where((live ^ beyond)[:, :, None], part, 0.0)

    return (
        mutant(
            "minus_posterior",
            lambda a, p: right(*a, **p) - surplus(a, p, beyond=False),
            "this is the derivative with respect to free entries; PyTorch's for normalised log-probabilities has "
            "exp(log_probs) beside it",
        ),
        mutant(
            "beyond_the_input_length",
            lambda a, p: right(*a, **p) + surplus(a, p, beyond=True),
            "frames beyond the input length have a gradient of 0",
        ),
        mutant(
            "not_divided_by_the_target_length",
            lambda a, p: right(*a, **p) * (np.maximum(1, a[3])[:, None] if p["reduction"] == "mean" else 1),
            "the mean divides each loss by its target length",
        ),
        mutant(
            "not_divided_by_the_batch", lambda a, p: right(*a, **p) * (a[3].size if p["reduction"] == "mean" else 1)
        ),
        mutant("sign_of_exp", lambda a, p: right(*a, **p) - 2 * surplus(a, p, beyond=False)),
        mutant(
            "without_zero_infinity",
            lambda a, p: right(*a, **{**p, "zero_infinity": False}),
            "where zero_infinity makes 0 of a loss, its gradient is 0 too, not NaN",
        ),
        mutant("one_frame_late", lambda a, p: np.roll(right(*a, **p), 1, axis=0)),
    )


def mutants(oracle: Oracle, gradient: Oracle) -> tuple[Mutant, ...]:
    return (
        *general(oracle),
        always(oracle, "mean_is_sum", "a mean divides by target lengths and batch", reduction="sum"),
        always(oracle, "sum_is_mean", reduction="mean"),
        always(oracle, "never_reduced", reduction="none"),
        always(oracle, "blank_is_0", "the blank is the class that is asked for", blank=0),
        always(
            oracle, "zero_infinity_always", "inf is the answer unless zero_infinity is asked for", zero_infinity=True
        ),
        always(oracle, "zero_infinity_never", zero_infinity=False),
        of_changed_inputs(
            oracle,
            "input_lengths_ignored",
            lambda x, t, frames, lengths: (x, t, np.full_like(frames, x.shape[0]), lengths),
            "samples end at their own input length",
        ),
        of_changed_inputs(
            oracle,
            "one_frame_short",
            lambda x, t, frames, lengths: (x, t, np.maximum(0, frames - 1), lengths),
            "the last frame is left out",
        ),
        of_changed_inputs(oracle, "one_label_short", _one_short, "the last label is left out"),
        of_changed_inputs(
            oracle, "concatenated_as_if_padded", _overlapping, "concatenated targets begin where the one before ends"
        ),
        of_changed_inputs(oracle, "batch_first", _batch_first, "log_probs is (T, N, C)"),
        of_changed_inputs(oracle, "inputs_normalised_again", _renormalised, "log_probs is used as it is"),
        of_changed_inputs(
            oracle, "targets_backwards", lambda x, t, f, n: (x, t[..., ::-1].copy() if t.ndim == 1 else t[::-1], f, n)
        ),
        _wrong(
            "equal_labels_without_a_blank",
            "two equal labels in a row need a blank between them: there the skip is forbidden",
            merge=False,
        ),
        _wrong("no_skips", change=lambda batch: dataclasses.replace(batch, skips=np.zeros_like(batch.skips))),
        _wrong(
            "skips_to_blanks",
            "only a label is reached past a blank, not a blank past a label",
            change=lambda batch: dataclasses.replace(
                batch, skips=np.arange(batch.labels.shape[1]) > 1 + 0 * batch.labels
            ),
        ),
        _wrong("best_path", "the loss sums over all alignments, it does not take the best", add=np.maximum),
        _wrong("must_end_in_a_blank", "the last label may be the end", change=_ends(0)),
        _wrong("must_not_end_in_a_blank", "the last blank may be the end", change=_ends(-1)),
        _wrong("must_begin_with_a_blank", "the first label may be the beginning", starts=1),
        _wrong(
            "probabilities_instead_of_logarithms",
            "products of probabilities underflow, and their logarithm is -inf; add up logarithms",
            linear=True,
        ),
        _mean("mean_of_the_losses", lambda x, f, n: x.mean(), oracle, "the mean divides by the target lengths first"),
        _mean("mean_per_frame", lambda x, f, n: (x / np.maximum(1, f)).mean(), oracle),
        _mean("mean_per_label_of_the_batch", lambda x, f, n: x.sum() / max(1, n.sum()), oracle),
        _mean("mean_by_zero", lambda x, f, n: (x / n).mean(), oracle, "an empty target divides by 1, not by 0"),
        _mean("not_averaged_over_the_batch", lambda x, f, n: (x / np.maximum(1, n)).sum(), oracle),
        *_gradients(oracle, gradient),
    )
