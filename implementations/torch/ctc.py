"""ctc in PyTorch.

builtin    torch.nn.functional.ctc_loss
composed   the same recursion in tensor operations, one frame at a time, differentiated by autograd
"""

import torch

from harness import Accumulation, Tree, implementation

CLAIM = Accumulation(Tree("any"))
LONGEST = 1000

NO_LABEL_IS_CHECKED = {
    "*values=label_too_large,raises": "PyTorch looks at no label: one from C on reads past the tensor",
    "*values=label_negative,raises": "PyTorch looks at no label: a negative one reads before the tensor",
    "*values=label_is_blank,raises": "PyTorch looks at no label: the blank, which is documented to be none, is taken",
}


def no_half(case):
    return "PyTorch has no half ctc_loss on the CPU" if case.dtype in ("float16", "bfloat16") else None


def too_much(case):
    if case.shapes[0][0] > LONGEST:
        return f"more than {LONGEST} frames, each a row of small tensor operations, take too long"
    return no_half(case)


@implementation("ctc", backend="torch", accumulation=CLAIM, supports=no_half, known=NO_LABEL_IS_CHECKED)
def builtin(log_probs, targets, input_lengths, target_lengths, *, blank=0, reduction="mean", zero_infinity=False):
    return torch.nn.functional.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity
    )


def check(log_probs, targets, input_lengths, target_lengths, blank):
    frames, batch, classes = log_probs.shape
    if frames == 0 or batch == 0:
        raise ValueError(f"log_probs of shape {tuple(log_probs.shape)}")
    if input_lengths.shape != (batch,) or target_lengths.shape != (batch,):
        raise ValueError(f"{batch} samples need as many lengths of each kind")
    if not 0 <= blank < classes:
        raise ValueError(f"blank {blank} is none of {classes} classes")
    if int(input_lengths.min()) < 0 or int(input_lengths.max()) > frames or int(target_lengths.min()) < 0:
        raise ValueError("lengths are out of range")
    if targets.dim() == 2:
        fits = targets.shape[0] == batch and int(target_lengths.max()) <= targets.shape[1]
    else:
        fits = targets.numel() == int(target_lengths.sum())
    if not fits:
        raise ValueError(f"targets of shape {tuple(targets.shape)} do not fit their lengths")


def states_of(targets, target_lengths, blank, classes):
    """The class of each state (N, 2 S + 1), whether it is the sample's own, and whether it is reached past a blank."""
    inside = torch.arange(int(target_lengths.max())) < target_lengths[:, None]
    used = targets[:, : inside.shape[1]][inside] if targets.dim() == 2 else targets
    if bool(((used < 0) | (used >= classes) | (used == blank)).any()):
        raise ValueError(f"labels must be classes below {classes}, and not the blank {blank}")
    labels = torch.full((inside.shape[0], 2 * inside.shape[1] + 1), blank, dtype=torch.int64)
    labels[:, 1::2][inside] = used
    skips = torch.zeros(labels.shape, dtype=torch.bool)
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    return labels, torch.arange(labels.shape[1]) <= 2 * target_lengths[:, None], skips


def _log_sum(*terms):
    """logsumexp of -inf alone has a gradient of NaN; those entries are taken out before, and put back."""
    stacked = torch.stack(terms)
    nothing = (stacked == -torch.inf).all(0)
    safe = torch.where(nothing, torch.zeros((), dtype=stacked.dtype), stacked)
    return torch.where(nothing, -torch.inf, torch.logsumexp(safe, 0))


def _later(alpha, by):
    return torch.nn.functional.pad(alpha, (by, 0), value=-torch.inf)[:, : alpha.shape[1]]


def _losses(log_probs, labels, real, skips, input_lengths, target_lengths):
    frames = log_probs.shape[0]
    emitted = log_probs.gather(2, labels.expand(frames, *labels.shape))
    alpha = torch.where(real & (torch.arange(labels.shape[1]) < 2), emitted[0], -torch.inf)
    for frame in range(1, frames):
        reached = _log_sum(alpha, _later(alpha, 1), torch.where(skips, _later(alpha, 2), -torch.inf)) + emitted[frame]
        alpha = torch.where((frame < input_lengths)[:, None] & real, reached, alpha)
    last = 2 * target_lengths[:, None]
    label = torch.where(last > 0, alpha.gather(1, (last - 1).clamp(min=0)), -torch.inf)
    found = -_log_sum(alpha.gather(1, last), label)[:, 0]
    nothing = torch.where(target_lengths > 0, torch.inf, 0.0).to(log_probs.dtype)
    return torch.where(input_lengths > 0, found, nothing)


@implementation("ctc", backend="torch", accumulation=CLAIM, supports=too_much)
def composed(log_probs, targets, input_lengths, target_lengths, *, blank=0, reduction="mean", zero_infinity=False):
    check(log_probs, targets, input_lengths, target_lengths, blank)
    labels, real, skips = states_of(targets, target_lengths, blank, log_probs.shape[2])
    live = (torch.arange(log_probs.shape[0])[:, None] < input_lengths)[:, :, None]
    used = torch.where(live, log_probs, 0.0)
    found = _losses(used, labels, real, skips, input_lengths, target_lengths)
    # 0, and its gradient exp(log_probs): PyTorch's gradient is the one with respect to normalised log-probabilities
    surplus = torch.where(live, used.exp(), 0.0).sum((0, 2))
    found = found + (surplus - surplus.detach()).nan_to_num(0.0)
    if zero_infinity:
        found = torch.where(found == torch.inf, 0.0, found)
    if reduction == "none":
        return found
    if reduction == "mean":
        return (found / target_lengths.clamp(min=1)).mean()
    return found.sum()
