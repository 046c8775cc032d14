"""Three steps: the largest element of a row, the exponentials, and their sum."""

import torch


class ModelNew(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        weights = torch.exp(x - x.amax(self.dim, keepdim=True))
        return weights / weights.sum(self.dim, keepdim=True)
