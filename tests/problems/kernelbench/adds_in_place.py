"""A reference that writes into its argument, as some do."""

import torch


class Model(torch.nn.Module):
    def forward(self, total, more):
        return total.index_add_(0, torch.arange(more.shape[0]) // 3, more)


def get_inputs():
    return [torch.randn(8, 16), torch.randn(24, 16)]


def get_init_inputs():
    return []
