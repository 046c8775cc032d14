"""softmax_regression_step through the array API standard: the gradient in closed form."""

from . import everywhere, namespace, stored, working


def check(x, target, weight, micro_batches):
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1] or target.shape != x.shape[:1]:
        raise ValueError(f"(N, D), (N) and (C, D) are needed, not {x.shape}, {target.shape} and {weight.shape}")
    if micro_batches < 1 or x.shape[0] % micro_batches:
        raise ValueError(f"a batch of {x.shape[0]} cannot be cut into {micro_batches} equal parts")
    xp, classes = namespace(x), weight.shape[0]
    if x.shape[0] and (int(xp.min(target)) < 0 or int(xp.max(target)) >= classes):
        raise IndexError(f"a label is not in [0, {classes - 1}]")


@everywhere("softmax_regression_step")
def softmax_regression_step(x, target, weight, *, lr, micro_batches):
    check(x, target, weight, micro_batches)
    xp = namespace(x)
    if 0 in x.shape:
        return stored(xp.asarray(weight, copy=True), weight)
    features, w = working(x), working(weight)
    classes = xp.arange(weight.shape[0], dtype=target.dtype)
    chosen = xp.astype(target[:, None] == classes[None, :], w.dtype)
    total, size = xp.zeros_like(w), x.shape[0] // micro_batches
    for start in range(0, x.shape[0], size):
        part = features[start : start + size, :]
        logits = xp.matmul(part, xp.matrix_transpose(w))
        e = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
        distance = e / xp.sum(e, axis=1, keepdims=True) - chosen[start : start + size, :]
        total = total + xp.matmul(xp.matrix_transpose(distance), part) / (size * micro_batches)
    return stored(w - lr * total, weight)
