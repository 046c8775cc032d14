"""What the problems below share: a comparison with a tolerance."""

import torch


def matches(right, rtol, atol):
    def check(data, answer):
        expected = right(data)
        if answer.shape != expected.shape:
            return False, f"shape {tuple(answer.shape)}"
        off = (answer - expected).abs() > atol + rtol * expected.abs()
        off |= torch.isnan(answer) != torch.isnan(expected)
        return (False, f"{int(off.sum())} elements are off") if off.any() else (True, "")

    return check
