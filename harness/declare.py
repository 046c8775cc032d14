"""DECLARE: the frozen values that authors write down; nothing here runs, registers or imports a framework."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.judge.arithmetic import Arithmetic

LAYOUTS = ("contiguous", "transposed", "strided", "reversed", "offset", "expanded")


class DeclarationError(ValueError):
    """A declaration that cannot be right; the message says where, what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class Case:
    """One point at which an operator is checked or timed.

    `dtype` and `shapes` are those of the inputs, `parameters` the keyword arguments by PyTorch's names, `values` the
    family that the numbers are drawn from (`harness.draw`), `layout` how the inputs lie in memory. A case with
    `raises` holds bad input: the only right answer is an exception, and `raises` says why.
    """

    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: tuple[tuple[str, Any], ...] = ()
    values: str = "normal"
    layout: str = "contiguous"
    raises: str = ""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise DeclarationError(f"case {self.id}: layout {self.layout!r} is none of {', '.join(LAYOUTS)}")

    def __getitem__(self, parameter: str) -> Any:
        return dict(self.parameters)[parameter]

    @property
    def id(self) -> str:
        """The part of a task's identity that names the case, e.g. `float32[1024x1000]dim=1,values=integers`."""
        shapes = ",".join("x".join(map(str, shape)) for shape in self.shapes)
        words = [f"{name}={_in_words(value)}" for name, value in self.parameters]
        if self.values != "normal":
            words.append(f"values={self.values}")
        if self.layout != "contiguous":
            words.append(f"layout={self.layout}")
        if self.raises:
            words.append("raises")
        return f"{self.dtype}[{shapes}]{','.join(words)}"


def _in_words(value: Any) -> str:
    """A parameter as an id shows it; sizes as `3x4`, so that no blank or bracket gets in."""
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def grid(
    *,
    dtype: str | Sequence[str],
    shape: Sequence[Sequence[int] | Sequence[Sequence[int]]],
    values: str | Sequence[str] = "normal",
    layout: str | Sequence[str] = "contiguous",
    raises: str = "",
    **parameters: Any,
) -> tuple[Case, ...]:
    """Every combination of the axes, as cases.

    A shape is a tuple of sizes (one input) or a tuple of such tuples (several inputs). A parameter whose value is a
    list is an axis of its own.
    """
    axes: list[list[Any]] = [
        [dtype] if isinstance(dtype, str) else list(dtype),
        [_shapes(one) for one in shape],
        [values] if isinstance(values, str) else list(values),
        [layout] if isinstance(layout, str) else list(layout),
        *(list(value) if isinstance(value, list) else [value] for value in parameters.values()),
    ]
    return tuple(
        Case(kind, shapes, tuple(zip(parameters, rest, strict=True)), family, order, raises)
        for kind, shapes, family, order, *rest in itertools.product(*axes)
    )


def _shapes(shape: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    if all(isinstance(size, int) for size in shape):
        return (tuple(shape),)
    return tuple(tuple(one) for one in shape)


@dataclass(frozen=True, slots=True)
class Cost:
    """The least work that a case needs: compulsory memory traffic in bytes, and arithmetic operations."""

    bytes: int
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """The order in which a reduction adds up n terms; `harness.judge.trees` knows what each family implies.

    `sequential` one by one from the front. `pairwise` numpy's and torch's cascades: at most `width` additions inside
    a leaf, then halves. `lanes` `width` running sums, added up at the end, and a short tail one by one (BLAS, vector
    units). `chunks` runs of `width` terms, each added up pairwise, and the chunks one by one (online softmax).
    `blocks` as on a GPU: blocks of `width` threads reduce in `order` (`interleaved`, `halving` or `warp`), and the
    partial sums are finished (`finish`) one by one on the `host`, or by the same reduction again on the `grid`. `any`
    no order at all: only that no term takes part in more than n - 1 additions.
    """

    family: str = "any"
    width: int = 0
    order: str = ""
    finish: str = ""

    def __str__(self) -> str:
        words = [str(word) for word in (self.order, self.width or "", self.finish) if word]
        return f"{self.family}({', '.join(words)})" if words else self.family


@dataclass(frozen=True, slots=True)
class Accumulation:
    """What an author claims about the order and the precision of a reduction; the claim is what is judged.

    `dtype` is the accumulator's (empty: float32 for narrower cases, else the case's own; `case`: always the case's
    own); `intermediate` that of the values between the steps (empty: as `dtype`). `strided` is the tree where the
    reduced dimension is not the innermost contiguous one. `rescale` counts terms per rescaling of a running maximum
    (online softmax), 0 for none.
    """

    tree: Tree = Tree()
    dtype: str = ""
    intermediate: str = ""
    strided: Tree | None = None
    rescale: int = 0

    def __str__(self) -> str:
        words = [str(self.tree)]
        if self.dtype:
            words.append(f"in {_dtype_words(self.dtype)}")
        if self.intermediate and self.intermediate != self.dtype:
            words.append(f"steps in {_dtype_words(self.intermediate)}")
        if self.strided:
            words.append(f"strided {self.strided}")
        return " ".join(words)


def _dtype_words(dtype: str) -> str:
    return "the case's dtype" if dtype == "case" else dtype


@dataclass(frozen=True, slots=True)
class Probe:
    """Inputs derived from a case's own inputs, and the relation that its two answers must keep.

    `relate(answer, derived_answer, bound, derived_bound)` returns `(left, right, allowed)`: every element of
    `|left - right|` must be at most `allowed`. `inputs` is None where one answer is enough.
    """

    inputs: tuple[np.ndarray, ...] | None
    relate: Callable[..., tuple[Any, Any, Any]]
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """A law that every right implementation keeps, e.g. softmax(x + c) = softmax(x).

    `probe(case, inputs, rng)` returns a Probe, or None where the law does not apply to these inputs.
    """

    name: str
    probe: Callable[[Case, tuple[np.ndarray, ...], np.random.Generator], Probe | None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong implementation that the cases of an operator must expose before any verdict on them counts.

    `function` takes NumPy inputs and parameters as an implementation does, and is wrong in the way that `name` says.
    `lesson` is what to tell the author of an implementation that errs in the very same way. With `gradient` it is a
    wrong gradient with respect to the input of that number, and the cotangent is the last of its arrays.
    """

    name: str
    function: Callable[..., Any]
    lesson: str = ""
    gradient: int | None = None


@dataclass(frozen=True, slots=True)
class Gradient:
    """The gradient with respect to one input: a vector-Jacobian product, of the shape and dtype of that input.

    `oracle(*inputs, cotangent, **parameters)` is its closed form in higher precision, and `bound(case, (*inputs,
    cotangent), expected, arithmetic)` the largest permitted |error| of each element; `harness.judge.formula` makes both
    of one formula. The cotangent has the shape of the answer.
    """

    input: int
    oracle: Callable[..., np.ndarray]
    bound: Callable[[Case, tuple[np.ndarray, ...], np.ndarray, Arithmetic], np.ndarray]


@dataclass(frozen=True, slots=True)
class Revealing:
    """How the additions inside an operator are probed: n terms in, and out of the answer something that grows with
    their sum.

    `case(n, dtype)` is the case of one probe, `inputs(weights)` makes its arrays from the n terms, and `total(answer,
    n)` is the sum, exactly (`signed`), or anything that grows with it, where terms cannot be negative: there weights
    are above 0 and the largest is 1.
    """

    case: Callable[[int, str], Case]
    inputs: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    total: Callable[[np.ndarray, int], float]
    signed: bool = True


SMOOTH = ("normal", "uniform", "wide", "negative", "grid", "integers", "golden", "cancelling")
"""Value families without infinities, NaN and overflow: on them a gradient is judged, if an operator names no others."""


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """What to compute, what is true, and how far off a right answer may be. Trusted code: it runs in the judge.

    `inputs(case, rng)` draws the arrays. `oracle(*arrays, **parameters)` returns the answer in higher precision (the
    arrays arrive as drawn). `bound(case, inputs, expected, arithmetic)` returns the largest permitted |error| of each
    element, 0 where a right answer is exact. `cost(case)` is the least work. `conformance` are cases small and
    nasty, `benchmarks` large and few. `specification` names whose edge semantics hold.

    `gradients` are judged on the cases whose values are among `gradient_values`. `output_dtype(case)` is the dtype of
    the answer (default: the case's own). `terms(case)` is how many elements one output adds up (None: nothing is added
    up). `redraw` says that inputs have a domain (labels, probabilities): while calls are timed, changed elements are
    taken from a fresh draw. `free` are the numbers of the inputs that may hold any value (default: all floating ones,
    none where `redraw` is set). `revealing` says how its additions are probed (`harness reveal`). `outweighs(terms)` is
    how large an element of the first input has to be for its term to be as much as that many others together (None: no
    term can be): the timed inputs of long sums hold a few such, since the bound of a sum of a million in any order is
    wider than what half of them are worth. Where no term can be as much as a million of the usual ones, the timed
    inputs of long sums are drawn from the family `light`.

    An operator with a random answer declares `accept(case, inputs, answer)`, which returns why a draw of the answer is
    not what the operator promises, or an empty text, at a stated false-alarm rate; of its oracle only the shape counts,
    and its mutants have to be exposed by `accept` too.
    """

    name: str
    inputs: Callable[[Case, np.random.Generator], tuple[np.ndarray, ...]]
    oracle: Callable[..., np.ndarray]
    bound: Callable[[Case, tuple[np.ndarray, ...], np.ndarray, Arithmetic], np.ndarray]
    cost: Callable[[Case], Cost]
    conformance: tuple[Case, ...]
    benchmarks: tuple[Case, ...] = ()
    properties: tuple[Property, ...] = ()
    mutants: tuple[Mutant, ...] = ()
    specification: str = ""
    gradients: tuple[Gradient, ...] = ()
    gradient_values: tuple[str, ...] = SMOOTH
    output_dtype: Callable[[Case], str] | None = None
    terms: Callable[[Case], int] | None = None
    redraw: bool = False
    revealing: Revealing | None = None
    free: tuple[int, ...] | None = None
    outweighs: Callable[[int], float] | None = None
    light: str = ""
    accept: Callable[[Case, tuple[np.ndarray, ...], np.ndarray], str] | None = None

    def __post_init__(self) -> None:
        for cases in (self.conformance, self.benchmarks):
            seen: set[str] = set()
            for case in cases:
                if case.id in seen:
                    raise DeclarationError(f"operator {self.name}: two cases are called {case.id}; drop one")
                seen.add(case.id)
        for case in self.benchmarks:
            if case.layout == "expanded":  # elements share memory, and change between timed calls
                raise DeclarationError(
                    f"operator {self.name}: benchmark {case.id}: the layout expanded is for conformance only; "
                    "name another layout"
                )
