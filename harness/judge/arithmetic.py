"""What a declared accumulation means for one case: unit roundoffs, the errors of exp and log, the error of a sum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.declare import Accumulation, Case, Tree
from harness.judge import trees
from harness.precision import Format, format_of, is_float

FAILURE = 1e-9
"""The probability, per case, with which a probabilistic bound may be exceeded by a correct implementation."""

EXP_ERROR = 5.0
LOG_ERROR = 5.0
"""Largest relative error of a correct exp and log, in unit roundoffs of the type that they work in.

Measured over float32 bit patterns: numpy's AVX2 exp 3.34 and log 4.29, torch's 1.06 and 1.59; CUDA's expf is within 2
ulp of the correctly rounded result, hence 5, and logf within 1, hence 3. A fast-math exp is a class of its own.
"""

UNDECLARED = Accumulation(Tree("any"))
SYSTEMATIC = ("stagnation", "equal")
"""Value families whose rounding errors all point the same way: there only worst-case bounds hold."""
NO_DIGITS = 0.5
"""Where height times unit roundoff exceeds this, a worst-case bound permits any answer at all, so nothing passes."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The precision and the order by which one case of one implementation is judged.

    `unit` is the accumulator's unit roundoff, `unit_between` that of intermediate values, `output` the format of the
    result, `outputs` the number of elements among which the failure probability is shared; `systematic` says that
    rounding errors need not look mean-zero.
    """

    tree: Tree
    unit: float
    unit_between: float
    output: Format
    outputs: int = 1
    rescale: int = 0
    systematic: bool = False
    exp_error: float = EXP_ERROR
    log_error: float = LOG_ERROR

    @property
    def factor(self) -> float:
        """lambda in the probabilistic bounds: sqrt(2 ln(2 outputs / failure))."""
        return math.sqrt(2.0 * math.log(2.0 * max(1, self.outputs) / FAILURE))

    def height(self, n: int) -> int:
        return trees.height(self.tree, n)

    def rescales(self, n: int) -> float:
        """How often an online algorithm multiplies its running sum over n terms by a new factor; where rounding errors
        look mean-zero, by how many such errors their sum is bounded: who claims to rescale at each of a thousand terms
        has no thousand roundings to spend."""
        count = math.ceil(n / self.rescale) if self.rescale and n > 1 else 0
        return min(float(count), self.factor * math.sqrt(count)) if self._mean_zero(count) else float(count)

    def _mean_zero(self, h: int) -> bool:
        """Whether rounding errors in a tree of height h look mean-zero, as probabilistic bounds need (measured)."""
        return not self.systematic and h * math.sqrt(self.unit) <= 1.0

    def growth(self, n: int) -> float:
        """The relative error of a sum of n positive terms: gamma_h, or its probabilistic form where that holds.

        Infinite where not even one digit is guaranteed.
        """
        h = self.height(n)
        if h * self.unit >= NO_DIGITS:
            return math.inf
        worst = h * self.unit / (1.0 - h * self.unit)
        if not self._mean_zero(h):
            return worst
        factor = self.factor
        return min(worst, math.expm1(factor * math.sqrt(h) * self.unit + h * self.unit**2))

    def sum_error(self, terms: np.ndarray) -> np.ndarray:
        """A bound on the error of adding up `terms` over the last axis, without the final rounding of the output.

        The smallest of: the height bound gamma_h * sum |terms|; where errors look mean-zero its probabilistic form;
        and there, for a tree that is known exactly, lambda * u * sqrt(sum of squared partial sums).
        """
        n = terms.shape[-1]
        wide = np.asarray(terms, dtype=np.float64)
        with np.errstate(all="ignore"):
            bound = self.growth(n) * np.sum(np.abs(wide), axis=-1) if n else np.zeros(wide.shape[:-1])
            h = self.height(n)
            if h > 0 and self._mean_zero(h):
                squares = trees.square_sum(self.tree, wide)
                if squares is not None:
                    # 1.01 for the second order, which is below h * u of the first
                    bound = np.minimum(bound, 1.01 * self.factor * self.unit * np.sqrt(squares))
        return bound


def arithmetic_for(case: Case, accumulation: Accumulation | None, outputs: int, innermost: bool) -> Arithmetic:
    """The arithmetic by which `case` is judged under a claim (None: any order, in the case's own dtype).

    `innermost` says that the reduced dimension is the contiguous one. No claim buys an accumulator narrower than the
    case's own dtype.
    """
    declared = accumulation or UNDECLARED
    # what is computed on integers is exact or in float64
    output = format_of(case.dtype if is_float(case.dtype) else "float64")
    default = output.name if accumulation is None else ("float32" if output.digits < 24 else output.name)
    accumulator = min(output.unit, _unit(declared.dtype or default, output))
    between = min(output.unit, _unit(declared.intermediate or declared.dtype or default, output))
    tree = declared.tree if innermost or declared.strided is None else declared.strided
    return Arithmetic(tree, accumulator, between, output, outputs, declared.rescale, case.values in SYSTEMATIC)


def _unit(declared: str, output: Format) -> float:
    return output.unit if declared == "case" else format_of(declared).unit
