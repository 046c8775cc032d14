"""one_hot in PyTorch.

builtin    torch.nn.functional.one_hot
composed   zeros, and a 1 scattered to each class
compared   the classes compared with 0, 1, 2, ...
"""

import torch

from harness import implementation


def check_classes(classes, num_classes):
    if num_classes < 1:
        raise ValueError(f"num_classes={num_classes}; at least 1 is needed")
    if classes.numel() and (int(classes.min()) < 0 or int(classes.max()) >= num_classes):
        raise ValueError(f"classes from {int(classes.min())} to {int(classes.max())} are not in [0, {num_classes})")


@implementation("one_hot", backend="torch")
def builtin(classes, *, num_classes):
    return torch.nn.functional.one_hot(classes, num_classes)


@implementation("one_hot", backend="torch")
def composed(classes, *, num_classes):
    check_classes(classes, num_classes)
    return torch.zeros((*classes.shape, num_classes), dtype=torch.int64).scatter(-1, classes[..., None], 1)


@implementation("one_hot", backend="torch")
def compared(classes, *, num_classes):
    check_classes(classes, num_classes)
    return (classes[..., None] == torch.arange(num_classes)).to(torch.int64)
