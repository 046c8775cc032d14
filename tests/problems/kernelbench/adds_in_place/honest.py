import torch


class ModelNew(torch.nn.Module):
    def forward(self, total, more):
        total += more.reshape(total.shape[0], 3, -1).sum(1)
        return total
