"""FUZZ: Hypothesis searches for inputs on which an implementation is wrong, makes them small, and keeps them as a case.

A candidate is one of the operator's own cases with other sizes (equal sizes stay equal, so that shapes still fit),
another dtype, layout and value family, and single elements overwritten: by special values, by numbers that are uniform
over bit patterns (Herbie's sampling: normal numbers never visit where formulas break), by thresholds of exp. What the
operator's oracle refuses is no candidate. The search is steered towards a large error / bound.

A finding is shrunk twice: by Hypothesis over the choices above, then by overwriting elements with 0 or 1 for as long
as the implementation stays wrong.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.declare import LAYOUTS, Case, Operator
from harness.implement import Declaration
from harness.judge.truth import draw_inputs, generator, repeated
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.precision import format_of, is_float, numpy_dtype
from harness.record import WRONG
from harness.sources import Sourced
from harness.sources.files import named
from harness.supervisor import Supervisor

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

EXAMPLES = 200
"""Candidates of one round of Hypothesis; rounds follow each other until the budget is spent."""
LARGEST = 1 << 16
"""Elements of all inputs of a candidate."""
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 33, 64, 127, 129, 255, 256, 257, 1023, 1024, 1025, 4097)
THRESHOLDS = (88.72, 88.73, -87.34, -103.98, 11.09, -17.33, 709.78, -745.14, 16777217.0, 2049.0, 1e4, 1e20, 1e-20)
"""Where exp overflows and underflows in a format, where integers stop being exact, where squares do."""
SHRINKING_S = 20.0
"""Seconds beyond the budget that each of the two shrinkings may take."""


class _Wrong(Exception):
    """A candidate on which the implementation is wrong."""


class _Spent(BaseException):
    """The budget is spent. No Exception, so that Hypothesis does not take it for a failure of the candidate."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case and its inputs, and the choices that made them, for a search that looks for smaller ones."""

    case: Case
    inputs: tuple[np.ndarray, ...]

    @property
    def size(self) -> int:
        return sum(array.size for array in self.inputs)


@dataclass(frozen=True, slots=True)
class Finding:
    """An input on which an implementation is wrong."""

    declaration: Declaration
    sourced: Sourced
    verdict: Verdict
    examples: int

    @property
    def id(self) -> str:
        return f"{self.declaration.id}/{self.sourced.case.id}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to: `examples` candidates judged, and the finding if there is one; `worst` is the largest
    error / bound that a right answer had."""

    declaration: Declaration
    examples: int
    worst: float
    finding: Finding | None


def search(
    declaration: Declaration,
    operator: Operator,
    supervisor: Supervisor,
    budget_s: float,
    progress: Callable[[str, int, int], None],
) -> Outcome:
    """Look for a wrong answer of one implementation for `budget_s` seconds. Needs the package hypothesis."""
    import hypothesis
    from hypothesis.errors import HypothesisException

    end = time.monotonic() + budget_s
    examples, worst = 0, 0.0
    smallest: tuple[Candidate, Verdict] | None = None
    strategy = candidates(operator)

    def judge(candidate: Candidate | None) -> None:
        nonlocal examples, worst, smallest
        if time.monotonic() > (end if smallest is None else end + SHRINKING_S):
            raise _Spent
        if candidate is None:
            hypothesis.reject()
        assert candidate is not None
        verdict = supervisor.check_given(Task(declaration, candidate.case), candidate.inputs)
        examples += 1
        progress(f"searching {declaration.id}: {candidate.case.id}", examples, 0)
        if verdict.status in WRONG:
            if smallest is None or candidate.size <= smallest[0].size:
                smallest = candidate, verdict
            raise _Wrong(verdict.reason)
        ratio = verdict.worst.error_over_bound
        if ratio is not None and math.isfinite(ratio) and ratio > 0:
            worst = max(worst, ratio)
            hypothesis.target(math.log10(ratio))

    order = random.Random(supervisor.seed)
    while smallest is None and time.monotonic() < end:
        run = hypothesis.seed(order.getrandbits(64))(hypothesis.given(strategy)(judge))
        run = hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink],
        )(run)
        # a failure that does not repeat (Flaky) is a failure too; a round that rejected everything is none
        with contextlib.suppress(_Wrong, _Spent, HypothesisException):
            run()
    if smallest is None:
        return Outcome(declaration, examples, worst, None)
    candidate, verdict = _Shrinking(declaration, supervisor, *smallest).smallest()
    name = f"fuzz:{named(operator.name, candidate.case, candidate.inputs)}"
    sourced = Sourced(operator.name, replace(candidate.case, values=name), candidate.inputs, None, 0.0, 0.0)
    return Outcome(declaration, examples, worst, Finding(declaration, sourced, verdict, examples))


def candidates(operator: Operator) -> SearchStrategy[Candidate | None]:
    """The strategy over candidates of an operator; None stands for choices that fit no valid input."""
    from hypothesis import strategies as st

    bases = [
        case
        for case in operator.conformance
        if not case.raises and ":" not in case.values and sum(int(np.prod(s)) for s in case.shapes) <= LARGEST
    ]
    dtypes = sorted({case.dtype for case in bases}, key=lambda name: (name != "float32", name))
    families = sorted({case.values for case in bases}, key=lambda name: (name != "normal", name))
    sizes = st.one_of(st.integers(1, 9), st.sampled_from(SIZES))

    @st.composite
    def candidate(draw: Any) -> Candidate | None:
        base = draw(st.sampled_from(bases))
        dtype = draw(st.sampled_from(dtypes))
        symbols = sorted({size for shape in base.shapes for size in shape if size > 1})
        renamed = {size: draw(sizes) for size in symbols} if draw(st.booleans()) else {}
        family = draw(st.sampled_from(families)) if draw(st.booleans()) else base.values
        layout = draw(st.sampled_from(LAYOUTS)) if draw(st.booleans()) else "contiguous"
        case = _resized(replace(base, dtype=dtype, values=family, layout=layout), renamed)
        drawn = _drawn(operator, case, draw(st.integers(0, 2**32 - 1)))
        if drawn is None:
            return None
        free = [number for number in _free(operator, drawn) if drawn[number].size]
        poke = st.tuples(st.sampled_from(free or [0]), st.integers(0, 2**20), _numbers(dtype))
        for number, place, value in draw(st.lists(poke, max_size=6)) if free else ():
            flat = drawn[number].reshape(-1)
            with np.errstate(all="ignore"):
                flat[place % flat.size] = value
        if layout == "expanded":
            drawn = [repeated(x) for x in drawn]
        return Candidate(case, tuple(drawn)) if _valid(operator, case, drawn) else None

    return candidate()


def _numbers(dtype: str) -> SearchStrategy[float]:
    """Special values first, since Hypothesis shrinks towards what comes first; then any bit pattern."""
    from hypothesis import strategies as st

    if not is_float(dtype):
        return st.integers(-3, 3).map(float)
    form = format_of(dtype)
    kind = numpy_dtype(dtype)
    largest, tiny = form.largest, form.underflow
    special = [0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, largest, -largest, tiny, -tiny, -0.0]
    special += [2.0**form.lowest_exponent, 1.0 + 2 * form.unit, 1.0 - form.unit, largest / 2, *THRESHOLDS]

    def from_bits(bits: int) -> float:
        return float(np.frombuffer(bits.to_bytes(8, "little")[: kind.itemsize], kind)[0])

    return st.one_of(
        st.sampled_from(special),
        st.integers(-16, 16).map(float),
        st.floats(-1e3, 1e3, allow_nan=False),
        st.integers(0, 2**64 - 1).map(from_bits),
    )


def _resized(case: Case, renamed: dict[int, int]) -> Case:
    """A case with other sizes, in its shapes and in parameters that are sizes."""
    shapes = tuple(tuple(renamed.get(size, size) for size in shape) for shape in case.shapes)
    parameters = tuple(
        (name, tuple(renamed.get(one, one) for one in value) if isinstance(value, tuple) else value)
        for name, value in case.parameters
    )
    return replace(case, shapes=shapes, parameters=parameters)


def _drawn(operator: Operator, case: Case, seed: int) -> list[np.ndarray] | None:
    if sum(int(np.prod(shape)) for shape in case.shapes) > LARGEST:
        return None
    try:
        return [array.copy() for array in draw_inputs(operator, case, generator(seed, case.id, 0))]
    except Exception:
        return None  # sizes or a family that this operator has no inputs for


def _valid(operator: Operator, case: Case, inputs: Sequence[np.ndarray]) -> bool:
    """Whether the operator has an answer for these inputs."""
    try:
        with np.errstate(all="ignore"):
            operator.oracle(*inputs, **dict(case.parameters))
    except Exception:
        return False
    return True


def _free(operator: Operator, inputs: Sequence[np.ndarray]) -> list[int]:
    """The inputs that may hold any number: floating ones, except where the operator says that they have a domain."""
    if operator.free is not None:
        return list(operator.free)
    return [] if operator.redraw else [n for n, array in enumerate(inputs) if is_float(array.dtype.name)]


class _Shrinking:
    """Makes a wrong candidate smaller for as long as the implementation stays wrong in the same way."""

    def __init__(
        self, declaration: Declaration, supervisor: Supervisor, candidate: Candidate, verdict: Verdict
    ) -> None:
        self._declaration = declaration
        self._supervisor = supervisor
        self._operator = supervisor.registry.operators[declaration.operator]
        self._candidate = candidate
        self._verdict = verdict
        self._end = time.monotonic() + SHRINKING_S

    def smallest(self) -> tuple[Candidate, Verdict]:
        self._crop()
        self._simplify()
        return self._candidate, self._verdict

    def _accepts(self, candidate: Candidate) -> bool:
        """Whether the candidate is wrong too; then it is the new one."""
        if time.monotonic() > self._end or not _valid(self._operator, candidate.case, candidate.inputs):
            return False
        verdict = self._supervisor.check_given(Task(self._declaration, candidate.case), candidate.inputs)
        if verdict.status != self._verdict.status:
            return False
        self._candidate, self._verdict = candidate, verdict
        return True

    def _crop(self) -> None:
        """Cut every axis of one size down to its front or its end, in all inputs at once."""
        tried: set[tuple[tuple[tuple[int, ...], ...], int]] = set()
        while True:
            shapes = self._candidate.case.shapes
            sizes = sorted({size for shape in shapes for size in shape if size > 1}, reverse=True)
            waiting = [size for size in sizes if (shapes, size) not in tried]
            if not waiting:
                return
            size = waiting[0]
            tried.add((shapes, size))
            smaller = dict.fromkeys(one for one in (1, 2, 3, 5, size // 4, size // 2, size - 1) if 0 < one < size)
            any(self._accepts(_cropped(self._candidate, size, to, front)) for to in smaller for front in (True, False))

    def _simplify(self) -> None:
        """Overwrite elements by 0 or 1, in ever smaller pieces."""
        for number in _free(self._operator, self._candidate.inputs):
            size = piece = self._candidate.inputs[number].size
            while piece >= 1:
                for start in range(0, size, piece):
                    for simple in (0.0, 1.0):
                        part = self._candidate.inputs[number].reshape(-1)[start : start + piece].astype(np.float64)
                        if not bool(np.all((part == 0.0) | (part == simple))):
                            self._accepts(_with(self._candidate, number, slice(start, start + piece), simple))
                piece //= 2


def _cropped(candidate: Candidate, size: int, to: int, front: bool) -> Candidate:
    """Every axis of `size` elements cut to the first or the last `to`."""
    part = slice(0, to) if front else slice(size - to, size)
    inputs = tuple(
        np.ascontiguousarray(array[tuple(part if length == size else slice(None) for length in array.shape)])
        for array in candidate.inputs
    )
    case = _resized(candidate.case, {size: to})
    return Candidate(replace(case, shapes=tuple(array.shape for array in inputs)), inputs)


def _with(candidate: Candidate, number: int, places: slice, value: float) -> Candidate:
    inputs = [array.copy() for array in candidate.inputs]
    inputs[number].reshape(-1)[places] = value
    if candidate.case.layout == "expanded":
        inputs = [repeated(x) for x in inputs]
    return Candidate(candidate.case, tuple(inputs))


def literal(array: np.ndarray) -> str:
    """An array as Python text that makes the very same bits; bfloat16 through float32."""
    kind = "float32" if array.dtype.name == "bfloat16" else array.dtype.name
    values = array.astype(kind).tolist()
    text = repr(values).replace("nan", "np.nan").replace("inf", "np.inf")
    made = f"np.array({text}, np.{'bool_' if kind == 'bool' else kind}).reshape({array.shape})"
    return f"{made}.astype(ml_dtypes.bfloat16)" if array.dtype.name == "bfloat16" else made
