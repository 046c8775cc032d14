"""A layer with weights, a bias and a scale drawn when the model is built: no operator of ours."""

import torch


class Model(torch.nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(features, outputs)
        self.scale = torch.nn.Parameter(torch.rand(outputs) + 0.5)

    def forward(self, x):
        return torch.tanh(self.layer(x)) * self.scale


def get_inputs():
    return [torch.randn(24, 96)]


def get_init_inputs():
    return [96, 40]
