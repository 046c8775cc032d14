"""The OpInfo and ModuleInfo samples of PyTorch as cases: float32 (one_hot: int64) on the CPU.

Both lists are part of PyTorch's own test library, which is in the wheel and is no public interface: what another
release calls otherwise shows as fewer cases. An OpInfo gives sample inputs (the longer list, `reference_inputs`, where
it has one), a NumPy reference for some operators, and error inputs for a few. A ModuleInfo gives arguments for the
constructor and for the call, and nearly always a reference (for inputs without a batch, it is the module itself on a
batch of one). A case whose source has no reference, or one that fails here, has no expected value: the operator's own
answer never stands in for it.

A sample whose tensors are not contiguous becomes a case with layout=strided: its numbers in C order, and the harness
lays them out with gaps, which is what these samples are about.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.sources import SIGNATURES, Loaded, Sourced, Unmapped, collect, library, one_dim, sourced, undisturbed

EXTRA = "torch-samples"

FLOAT_TOLERANCE = (1.3e-6, 1e-5)
"""rtol and atol of torch.testing.assert_close for float32, which PyTorch's tests use."""
EXACT = (0.0, 0.0)

_REDUCTION = ("x", "dim", "keepdim")
_SOFTMAX = ("x", "dim")
_LOSSES = {
    "nll_loss": "nll",
    "cross_entropy": "cross_entropy",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits",
    "l1_loss": "l1",
    "mse_loss": "mse",
    "smooth_l1_loss": "smooth_l1",
    "poisson_nll_loss": "poisson_nll",
    "kl_div": "kl_div",
    "soft_margin_loss": "soft_margin",
    "margin_ranking_loss": "margin_ranking",
    "multilabel_margin_loss": "multilabel_margin",
    "multi_margin_loss": "multi_margin",
    "triplet_margin_loss": "triplet_margin",
    "hinge_embedding_loss": "hinge_embedding",
    "cosine_embedding_loss": "cosine_embedding",
    "ctc_loss": "ctc",
}

OPINFOS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sum": ("sum", _REDUCTION),
    "amax": ("max", _REDUCTION),
    "max.reduction_no_dim": ("max", _REDUCTION),
    "max.reduction_with_dim": ("max", _REDUCTION),
    "mean": ("mean", _REDUCTION),
    "argmax": ("argmax", _REDUCTION),
    "logsumexp": ("logsumexp", _REDUCTION),
    "dot": ("dot", ("a", "b")),
    "softmax": ("softmax", _SOFTMAX),
    "softmax.with_dtype": ("softmax", _SOFTMAX),
    "log_softmax": ("log_softmax", _SOFTMAX),
    "log_softmax.with_dtype": ("log_softmax", _SOFTMAX),
    "sigmoid": ("sigmoid", ("x",)),
    "nn.functional.logsigmoid": ("log_sigmoid", ("x",)),
    "expand": ("expand", ("x", "size")),
    # PyTorch's sample has the operand that takes a gradient in front
    "where": ("where", ("x", "condition", "y")),
    "nn.functional.one_hot": ("one_hot", ("classes", "num_classes")),
    **{f"nn.functional.{name}": (operator, SIGNATURES[operator].arrays) for name, operator in _LOSSES.items()},
}
"""By OpInfo (name, and variant after a dot): our operator, and what the positional arguments are called."""

MODULES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Sigmoid": ("sigmoid", {}),
    "LogSigmoid": ("log_sigmoid", {}),
    "Softmax": ("softmax", {}),
    "Softmax2d": ("softmax", {"dim": -3}),
    "LogSoftmax": ("log_softmax", {}),
    "NLLLoss": ("nll", {}),
    "CrossEntropyLoss": ("cross_entropy", {}),
    "BCELoss": ("bce", {}),
    "BCEWithLogitsLoss": ("bce_with_logits", {}),
    "L1Loss": ("l1", {}),
    "MSELoss": ("mse", {}),
    "SmoothL1Loss": ("smooth_l1", {}),
    "PoissonNLLLoss": ("poisson_nll", {}),
    "KLDivLoss": ("kl_div", {}),
    "SoftMarginLoss": ("soft_margin", {}),
    "MarginRankingLoss": ("margin_ranking", {}),
    "MultiLabelMarginLoss": ("multilabel_margin", {}),
    "MultiMarginLoss": ("multi_margin", {}),
    "TripletMarginLoss": ("triplet_margin", {}),
    "HingeEmbeddingLoss": ("hinge_embedding", {}),
    "CosineEmbeddingLoss": ("cosine_embedding", {}),
    "CTCLoss": ("ctc", {}),
}
"""By module: our operator, and the parameters that the module fixes."""

_Test = tuple[str, Callable[[], Sourced]]  # a foreign test's name, and what makes it a case


def load() -> Loaded:
    with undisturbed(), _bare_command_line():
        torch = library("torch", extra=EXTRA)
        operators = library("torch.testing._internal.common_methods_invocations", extra=EXTRA).op_db
        modules = library("torch.testing._internal.common_modules", extra=EXTRA).module_db
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return collect([*_operator_tests(torch, operators), *_module_tests(torch, modules)])


@contextlib.contextmanager
def _bare_command_line() -> Iterator[None]:
    """Older releases of the test library parse the command line on import, and would take our --seed for theirs."""
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        yield
    finally:
        sys.argv = arguments


def _seed(torch: Any) -> None:
    """Each list is drawn from its own seed, so that a new sample in one does not change the numbers in another."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


def _not_ours() -> Sourced:
    raise Unmapped("it tests no operator of ours")


def _operator_tests(torch: Any, operators: Iterable[Any]) -> Iterator[_Test]:
    for info in operators:
        name = ".".join(word for word in (info.name, info.variant_test_name) if word)
        if name not in OPINFOS:
            yield f"opinfo:{name}", _not_ours
            continue
        _seed(torch)
        dtype = torch.int64 if OPINFOS[name][0] == "one_hot" else torch.float32
        samples = (info.reference_inputs_func or info.sample_inputs_func)(info, "cpu", dtype, False)
        for number, sample in enumerate(samples):
            origin = f"opinfo:{name}:{number}"
            yield origin, partial(_operator_case, torch, info, name, origin, sample)
        errors = info.error_inputs_func(info, "cpu") if info.error_inputs_func else ()
        for number, error in enumerate(errors):
            origin = f"opinfo:{name}:error:{number}"
            why = error.error_regex or error.error_type.__name__
            yield origin, partial(_operator_case, torch, info, name, origin, error.sample_input, why)


def _operator_case(torch: Any, info: Any, name: str, origin: str, sample: Any, raises: str = "") -> Sourced:
    operator, positional = OPINFOS[name]
    values = (sample.input, *sample.args)
    if len(values) > len(positional):
        raise Unmapped("it has more positional arguments than our operator knows")
    named = {**dict(zip(positional, values, strict=False)), **sample.kwargs}

    def reference() -> Any:
        if info.ref is None:
            return None
        keywords = {key: _plain(torch, value) for key, value in sample.kwargs.items()}
        return info.ref(*(_plain(torch, value) for value in values), **keywords)

    return _case(torch, operator, origin, named, reference, raises)


def _module_tests(torch: Any, modules: Iterable[Any]) -> Iterator[_Test]:
    for info in modules:
        name = info.module_cls.__name__
        if name not in MODULES:
            yield f"moduleinfo:{name}", _not_ours
            continue
        arguments = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": True}
        _seed(torch)
        for number, sample in enumerate(info.module_inputs_func(info, **arguments)):
            origin = f"moduleinfo:{name}:{number}"
            yield origin, partial(_module_case, torch, info.module_cls, origin, sample)
        errors = info.module_error_inputs_func
        for number, error in enumerate(errors(info, **arguments) if errors else ()):
            origin = f"moduleinfo:{name}:error:{number}"
            why = error.error_regex or error.error_type.__name__
            yield origin, partial(_module_case, torch, info.module_cls, origin, error.module_error_input, why)


def _module_case(torch: Any, module: Any, origin: str, sample: Any, raises: str = "") -> Sourced:
    operator, fixed = MODULES[module.__name__]
    built, called = sample.constructor_input, sample.forward_input
    if called is None:
        raise Unmapped("its constructor alone must raise, and ours has none")
    # the constructor's parameters and those of the call are one list in our operators
    given = inspect.signature(module).bind(*built.args, **built.kwargs).arguments
    if len(called.args) > len(SIGNATURES[operator].arrays):
        raise Unmapped("it is called with more arrays than our operator knows")
    arrays = dict(zip(SIGNATURES[operator].arrays, called.args, strict=False))
    named = {**fixed, **given, **arrays, **called.kwargs}

    def reference() -> Any:
        if sample.reference_fn is None:
            return None
        return sample.reference_fn(module(*built.args, **built.kwargs), *called.args, **called.kwargs)

    return _case(torch, operator, origin, named, reference, raises)


def _case(
    torch: Any, operator: str, origin: str, named: Mapping[str, Any], reference: Callable[[], Any], raises: str
) -> Sourced:
    # None is how PyTorch writes "not given"
    given = {key: value for key, value in named.items() if value is not None}
    # keepdim=False is what ours always does
    if given.pop("keepdim", False):
        raise Unmapped(f"it keeps the reduced dimension (keepdim=True), and our {operator} drops it")
    tensors = [value for value in given.values() if isinstance(value, torch.Tensor)]
    arrays = {key: _named(torch, key, value) for key, value in given.items()}
    if isinstance(arrays.get("dim"), Sequence):
        arrays["dim"] = one_dim(operator, arrays["dim"], arrays["x"].ndim)
    if isinstance(arrays.get("size"), Sequence):
        arrays["size"] = tuple(arrays["size"])
    if operator == "one_hot" and arrays.get("num_classes", -1) == -1:
        raise Unmapped("num_classes=-1 reads the number of classes off the data, and ours is always given")
    if operator == "where" and len({tensor.dtype for tensor in tensors if tensor.dtype != torch.bool}) > 1:
        raise Unmapped("its operands are of two types, and a case has one")
    layout = "contiguous" if all(tensor.is_contiguous() for tensor in tensors) else "strided"
    rtol, atol = FLOAT_TOLERANCE
    one = sourced(operator, origin, arrays, expected=None, rtol=rtol, atol=atol, raises=raises, layout=layout)
    # only now, so that no reference is run for what is no case
    expected = None if raises else _answer(torch, reference)
    if expected is not None and expected.dtype.kind in "iub":
        rtol, atol = EXACT
    return dataclasses.replace(one, expected=expected, rtol=rtol, atol=atol)


def _named(torch: Any, name: str, value: Any) -> Any:
    """One argument of ours: tensors as arrays, and lengths, which may be lists, as arrays too."""
    if isinstance(value, list | tuple) and name in ("input_lengths", "target_lengths"):
        return np.array(value, dtype=np.int64)
    if isinstance(value, torch.dtype):
        raise Unmapped(f"it asks for another type of the answer ({name}={value})")
    return _plain(torch, value)


def _plain(torch: Any, value: Any) -> Any:
    """A tensor as an array of NumPy, anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    try:
        return value.detach().numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Unmapped(f"NumPy cannot hold its tensor of {value.ndim} dimensions: {error}") from error


def _answer(torch: Any, reference: Callable[[], Any]) -> np.ndarray | None:
    """What the source's reference says, None where it has none or it fails."""
    try:
        answer = reference()
    except Exception:
        return None
    if isinstance(answer, tuple | list):
        # the maxima and where they are: ours is the maxima
        answer = answer[0]
    return None if answer is None else np.array(_plain(torch, answer))
