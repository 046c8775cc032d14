"""What the losses share, in the words of the array API standard."""

from . import namespace


def reduce(losses, reduction):
    """Elementwise losses as they are, averaged or summed."""
    if reduction == "none":
        return losses
    xp = namespace(losses)
    return xp.mean(losses) if reduction == "mean" else xp.sum(losses)


def same_shape(x, target):
    if x.shape != target.shape:
        raise ValueError(f"two arrays of one shape are needed, not {x.shape} and {target.shape}")
