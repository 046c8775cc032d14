"""exp and log through the array API standard."""

from . import everywhere, namespace, stored, working


@everywhere("exp", accumulation=None)
def exp(x):
    return stored(namespace(x).exp(working(x)), x)


SUBNORMAL = (
    "*values=binades",
    "bfloat16*values=all_patterns",
    *(f"{dtype}*values=subnormal" for dtype in ("float64", "float32", "bfloat16")),
)
FLUSHED = "XLA on the CPU takes subnormal inputs for zeros, and the logarithm of zero is -inf"


@everywhere(
    "log",
    accumulation=None,
    known={"jax": dict.fromkeys(SUBNORMAL, FLUSHED)},
)
def log(x):
    return stored(namespace(x).log(working(x)), x)
