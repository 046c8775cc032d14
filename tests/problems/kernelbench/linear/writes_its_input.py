"""Right, and it leaves its input doubled."""

import torch


class ModelNew(torch.nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(features, outputs)
        self.scale = torch.nn.Parameter(torch.rand(outputs) + 0.5)

    def forward(self, x):
        answer = torch.tanh(self.layer(x)) * self.scale
        x.mul_(2)
        return answer
