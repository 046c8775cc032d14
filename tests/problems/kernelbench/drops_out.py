"""A reference that gives another answer every time."""

import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.5) + x


def get_inputs():
    return [torch.randn(16, 64)]


def get_init_inputs():
    return []
