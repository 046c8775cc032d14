"""Softmax over rows of 32768 numbers from [0, 1), written as KernelBench writes its problems.

No weight of such a row exceeds 4.9e-5, which is less than the 1e-4 by which KernelBench compares in float32.
"""

import torch


class Model(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return torch.softmax(x, dim=self.dim)


def get_inputs():
    return [torch.rand(16, 32768)]


def get_init_inputs():
    return [1]
