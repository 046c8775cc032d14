"""The same in other steps; its weights are made in another order, so a seed alone would give it other ones."""

import torch


class ModelNew(torch.nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(outputs) + 0.5)
        self.layer = torch.nn.Linear(features, outputs)

    def forward(self, x):
        total = (x[:, None, :] * self.layer.weight).sum(-1) + self.layer.bias
        e = torch.exp(-2 * total)
        return (1 - e) / (1 + e) * self.scale
