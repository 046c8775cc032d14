"""What the composed torch strategies share."""

import torch


def working(x):
    """x in the type that is computed in: half types in float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
