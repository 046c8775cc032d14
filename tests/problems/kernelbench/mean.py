"""The mean along the middle of three dimensions, which is kept."""

import torch


class Model(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return torch.mean(x, dim=self.dim, keepdim=True)


def get_inputs():
    return [torch.rand(8, 64, 32)]


def get_init_inputs():
    return [1]
