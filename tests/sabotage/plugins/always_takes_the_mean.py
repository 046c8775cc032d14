"""The mean, whatever the reduction: with one sample, mean and sum are the same. KernelBench #25."""

from harness.implementations.numpy import class_losses

from harness import implementation


@implementation("nll", backend="numpy")
def always_takes_the_mean(x, target, weight=None, *, weighted, ignore_index, reduction):
    if reduction == "sum":
        reduction = "mean"
    return class_losses.nll(x, target, weight, weighted=weighted, ignore_index=ignore_index, reduction=reduction)
