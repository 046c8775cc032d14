"""Test material of other projects, as cases of our operators: arrays, parameters, and what the project calls right.

`onnx_cases()` reads the node tests of ONNX, `torch_cases()` the OpInfo and ModuleInfo samples of PyTorch's own test
library. Both are read from the installed package, so nothing of theirs is copied here. A test becomes a case where it
maps exactly onto one of the operators in `SIGNATURES`; every other test is named in `Loaded.skipped` with the reason.

What these suites are good for: shapes and combinations of parameters that others found worth testing, and errors that
must be raised. What they are not: a verdict. Their tolerances are guesses (1e-3 in ONNX), and many samples come
without an expected value, so an oracle and a derived bound still decide what is right.

Imported without ONNX and without PyTorch; calling a source whose library is missing says what to type.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Case


@dataclass(frozen=True, eq=False, slots=True)
class Sourced:
    """One foreign test as a case of ours.

    `inputs` are the arrays by position, in our operator's order. `expected` is what the source says is right, None
    where it does not say (and always None where the case must raise); `rtol` and `atol` are the source's own.
    """

    operator: str
    case: Case
    inputs: tuple[np.ndarray, ...]
    expected: np.ndarray | None
    rtol: float
    atol: float


@dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """What a source holds for us. `skipped` are pairs: the foreign test, and one sentence on why it is no case."""

    cases: tuple[Sourced, ...]
    skipped: tuple[tuple[str, str], ...]


def onnx_cases() -> Loaded:
    """The node tests of ONNX (Apache-2.0)."""
    from harness.sources.onnx_nodes import load

    return load()


def torch_cases() -> Loaded:
    """The OpInfo and ModuleInfo samples of PyTorch (BSD-3).

    PyTorch's test library changes settings of the whole process when it is imported (it forbids changes to the flags
    in torch.backends), so a process that measures must not call this.
    """
    from harness.sources.torch_samples import load

    return load()


class Unmapped(Exception):
    """A foreign test that is no case of ours; the message is the reason, as one sentence."""


REQUIRED = object()
"""In place of a default: the parameter has none."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How an operator is called: `operator(*arrays, *optional arrays, **parameters)`.

    `optional` pairs an array that may be absent with the parameter that says whether it is there. `main` is the array
    whose dtype is the case's.
    """

    arrays: tuple[str, ...]
    parameters: tuple[tuple[str, Any], ...] = ()
    optional: tuple[tuple[str, str], ...] = ()
    main: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters of a case, in order."""
        return (*(flag for _, flag in self.optional), *(name for name, _ in self.parameters))


_X = ("x",)
_ONE_DIM = Signature(_X, (("dim", REQUIRED),))
_ANY_DIM = Signature(_X, (("dim", None),))
_LOSS = ("input", "target")
_PAIR = ("input1", "input2", "target")
_MEAN = ("reduction", "mean")
_IGNORE = ("ignore_index", -100)
_WEIGHT = (("weight", "weighted"),)
_MARGIN_ONE = ("margin", 1.0)

SIGNATURES: Mapping[str, Signature] = {
    "sum": _ANY_DIM,
    "max": _ANY_DIM,
    "mean": _ANY_DIM,
    "argmax": _ANY_DIM,
    "logsumexp": _ONE_DIM,
    "dot": Signature(("a", "b")),
    "softmax": _ONE_DIM,
    "log_softmax": _ONE_DIM,
    "sigmoid": Signature(_X),
    "log_sigmoid": Signature(_X),
    "expand": Signature(_X, (("size", REQUIRED),)),
    "where": Signature(("condition", "x", "y"), main=1),
    "one_hot": Signature(("classes",), (("num_classes", REQUIRED),)),
    "nll": Signature(_LOSS, (_IGNORE, _MEAN), _WEIGHT),
    "cross_entropy": Signature(_LOSS, (_IGNORE, _MEAN, ("label_smoothing", 0.0)), _WEIGHT),
    "bce": Signature(_LOSS, (_MEAN,), _WEIGHT),
    "bce_with_logits": Signature(_LOSS, (_MEAN,), (*_WEIGHT, ("pos_weight", "positive_weighted"))),
    "l1": Signature(_LOSS, (_MEAN,)),
    "mse": Signature(_LOSS, (_MEAN,)),
    "smooth_l1": Signature(_LOSS, (_MEAN, ("beta", 1.0))),
    "poisson_nll": Signature(_LOSS, (("log_input", True), ("full", False), ("eps", 1e-8), _MEAN)),
    "kl_div": Signature(_LOSS, (_MEAN, ("log_target", False))),
    "soft_margin": Signature(_LOSS, (_MEAN,)),
    "margin_ranking": Signature(_PAIR, (("margin", 0.0), _MEAN)),
    "multilabel_margin": Signature(_LOSS, (_MEAN,)),
    "multi_margin": Signature(_LOSS, (("p", 1), _MARGIN_ONE, _MEAN), _WEIGHT),
    "triplet_margin": Signature(
        ("anchor", "positive", "negative"), (_MARGIN_ONE, ("p", 2.0), ("eps", 1e-6), ("swap", False), _MEAN)
    ),
    "hinge_embedding": Signature(_LOSS, (_MARGIN_ONE, _MEAN)),
    "cosine_embedding": Signature(_PAIR, (("margin", 0.0), _MEAN)),
    "ctc": Signature(
        ("log_probs", "targets", "input_lengths", "target_lengths"),
        (("blank", 0), _MEAN, ("zero_infinity", False)),
    ),
}
"""The operators that foreign tests are mapped onto, with PyTorch's parameter names and defaults."""


def sourced(
    operator: str,
    origin: str,
    named: Mapping[str, Any],
    *,
    expected: np.ndarray | None,
    rtol: float,
    atol: float,
    raises: str = "",
    layout: str = "contiguous",
) -> Sourced:
    """A case of `operator` from what a foreign test passes by name: arrays and parameters together.

    Raises Unmapped where something is missing, or is there that the operator does not take.
    """
    signature = SIGNATURES[operator]
    rest = dict(named)
    inputs = [_array(name, rest.pop(name, None)) for name in signature.arrays]
    parameters: list[tuple[str, Any]] = []
    for name, flag in signature.optional:
        value = rest.pop(name, None)
        parameters.append((flag, value is not None))
        if value is not None:
            inputs.append(_array(name, value))
    for name, default in signature.parameters:
        value = rest.pop(name, default)
        if value is REQUIRED:
            raise Unmapped(f"it gives no {name}, which our {operator} needs")
        # 1 and 1.0 are one value, and must not be two in the ids of cases
        parameters.append((name, float(value) if isinstance(default, float) else value))
    if rest:
        raise Unmapped(f"our {operator} has no parameter called {' or '.join(sorted(rest))}")
    case = Case(
        inputs[signature.main].dtype.name,
        tuple(array.shape for array in inputs),
        tuple(parameters),
        values=origin,
        layout=layout,
        raises=raises,
    )
    return Sourced(operator, case, tuple(inputs), None if raises else expected, rtol, atol)


def _array(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise Unmapped(f"{name} is {'absent' if value is None else 'a Python number'} where ours is an array")
    # a copy in C order: the source keeps its own, and the layout is the case's to say
    return np.array(value, order="C")


def one_dim(operator: str, axes: Sequence[int], rank: int) -> int | None:
    """The `dim` that stands for these axes: one axis is itself, all of them (or none named) are None."""
    if len(axes) == 1:
        return int(axes[0])
    if len(axes) not in (0, rank) or len({axis % max(rank, 1) for axis in axes}) != len(axes):
        raise Unmapped(f"it reduces several dimensions at once, and our {operator} one or all")
    if dict(SIGNATURES[operator].parameters)["dim"] is REQUIRED:
        raise Unmapped(f"it reduces all dimensions, and our {operator} one, as PyTorch's does")
    return None


def collect(tests: Iterable[tuple[str, Callable[[], Sourced]]]) -> Loaded:
    """Map each test (its name, and what makes it a case); those that cannot be mapped are skipped with the reason."""
    cases: list[Sourced] = []
    skipped: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    for origin, make in tests:
        try:
            one = make()
        except Unmapped as reason:
            skipped.append((origin, str(reason)))
            continue
        key = (one.operator, one.case.id)
        if key in seen:
            skipped.append((origin, f"a case of {one.operator} called {one.case.id} is there already"))
            continue
        seen.add(key)
        cases.append(one)
    return Loaded(tuple(cases), tuple(skipped))


def library(module: str, *, extra: str) -> Any:
    """A module of a foreign library, or an ImportError that says what to type."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{error.name or module} is missing ({error}); type: pip install 'kernel-harness[{extra}]'",
            name=error.name,
        ) from error


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Foreign code that draws numbers: from fixed seeds, quietly, and without a trace in the caller's generators."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
