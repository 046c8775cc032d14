"""softmax_regression_step in PyTorch.

autograd   cross_entropy of each micro-batch divided by their number, backward() into one .grad that starts from none,
           and a step of torch.optim.SGD at the end
composed   the gradient in closed form: (softmax - onehot)^T x

Both compute half types in float32, since a step in bfloat16 would lose most of a small update.
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

PRODUCTS = Accumulation(Tree("any"))


def check(x, target, weight, micro_batches):
    if x.dim() != 2 or weight.dim() != 2 or x.shape[1] != weight.shape[1] or target.shape != x.shape[:1]:
        raise ValueError(
            f"(N, D), (N) and (C, D) are needed, not {tuple(x.shape)}, {tuple(target.shape)} and {tuple(weight.shape)}"
        )
    if micro_batches < 1 or x.shape[0] % micro_batches:
        raise ValueError(f"a batch of {x.shape[0]} cannot be cut into {micro_batches} equal parts")
    # cross_entropy itself would leave out the label -100
    if target.numel() and (int(target.min()) < 0 or int(target.max()) >= weight.shape[0]):
        raise IndexError(f"a label is not in [0, {weight.shape[0] - 1}]")


@implementation("softmax_regression_step", backend="torch", accumulation=PRODUCTS)
def autograd(x, target, weight, *, lr, micro_batches):
    check(x, target, weight, micro_batches)
    features = working(x)
    leaf = working(weight).detach().clone().requires_grad_()
    size = x.shape[0] // micro_batches
    with torch.enable_grad():
        for part in range(micro_batches):
            rows = slice(part * size, (part + 1) * size)
            loss = torch.nn.functional.cross_entropy(features[rows] @ leaf.T, target[rows])
            (loss / micro_batches).backward()
    with torch.no_grad():
        leaf -= lr * leaf.grad
    return leaf.detach().to(weight.dtype)


@implementation("softmax_regression_step", backend="torch", accumulation=PRODUCTS)
def composed(x, target, weight, *, lr, micro_batches):
    check(x, target, weight, micro_batches)
    if x.numel() == 0:
        return weight.clone()
    w = working(weight)
    total = torch.zeros_like(w)
    for part, labels in zip(working(x).chunk(micro_batches), target.chunk(micro_batches), strict=True):
        distance = torch.softmax(part @ w.T, 1)
        distance[torch.arange(len(labels)), labels] -= 1
        total += distance.T @ part / (len(labels) * micro_batches)
    return (w - lr * total).to(weight.dtype)
