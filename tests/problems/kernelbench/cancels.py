"""Everything but rounding errors cancels: no tolerance, and no bound, can tell an answer from zeros."""

import torch


class Model(torch.nn.Module):
    def forward(self, x):
        wide = x.sum(1, keepdim=True)
        return (x * 3).sum(1, keepdim=True) - wide - wide - wide


def get_inputs():
    return [torch.randn(16, 64)]


def get_init_inputs():
    return []
