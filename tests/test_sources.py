"""Foreign tests as cases: every operator gets its share, nothing is dropped without a reason, the numbers are right."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import sources
from harness.sources import REQUIRED, SIGNATURES, Loaded, Sourced, Unmapped, collect, one_dim, sourced

NOT_OURS = "it tests no operator of ours"

# how many cases ONNX 1.23 gave
ONNX_COUNTS = {
    "sum": 10,
    "max": 8,
    "mean": 8,
    "argmax": 8,
    "logsumexp": 7,
    "dot": 1,
    "softmax": 7,
    "log_softmax": 7,
    "sigmoid": 2,
    "expand": 2,
    "where": 2,
    "nll": 18,
    "cross_entropy": 34,
}

# how many samples PyTorch 2.13 gave, OpInfo and ModuleInfo together, without those that must raise
TORCH_COUNTS = {
    "sum": 12,
    "max": 16,
    "mean": 12,
    "argmax": 8,
    "logsumexp": 8,
    "dot": 1,
    "softmax": 12,
    "log_softmax": 11,
    "sigmoid": 43,
    "log_sigmoid": 42,
    "expand": 9,
    "where": 8,
    "one_hot": 3,
    "nll": 89,
    "cross_entropy": 126,
    "bce": 17,
    "bce_with_logits": 32,
    "l1": 11,
    "mse": 14,
    "smooth_l1": 16,
    "poisson_nll": 79,
    "kl_div": 26,
    "soft_margin": 10,
    "margin_ranking": 38,
    "multilabel_margin": 38,
    "multi_margin": 209,
    "triplet_margin": 7,
    "hinge_embedding": 29,
    "cosine_embedding": 11,
    "ctc": 52,
}
TORCH_ERRORS = 46


@pytest.fixture(scope="module")
def onnx_loaded() -> Loaded:
    pytest.importorskip("onnx", reason="ONNX is an extra: pip install 'kernel-harness[onnx]'")
    return sources.onnx_cases()


@pytest.fixture(scope="module")
def torch_loaded() -> Loaded:
    for module in ("torch", "expecttest"):
        pytest.importorskip(module, reason=f"{module} is an extra: pip install 'kernel-harness[torch-samples]'")
    return sources.torch_cases()


@pytest.fixture(scope="module", params=["onnx", "torch"])
def loaded(request: pytest.FixtureRequest) -> Loaded:
    """Each source in turn; reading one takes seconds, so it is read once."""
    one: Loaded = request.getfixturevalue(f"{request.param}_loaded")
    return one


def counts(loaded: Loaded, *, raising: bool = False) -> Counter[str]:
    return Counter(one.operator for one in loaded.cases if bool(one.case.raises) == raising)


def test_onnx_gives_every_operator_its_share(onnx_loaded: Loaded) -> None:
    found = counts(onnx_loaded)
    assert {name: found[name] for name in ONNX_COUNTS if found[name] < ONNX_COUNTS[name]} == {}
    assert all(one.expected is not None for one in onnx_loaded.cases)


def test_torch_gives_every_operator_its_share(torch_loaded: Loaded) -> None:
    found = counts(torch_loaded)
    assert {name: found[name] for name in TORCH_COUNTS if found[name] < TORCH_COUNTS[name]} == {}
    assert sum(counts(torch_loaded, raising=True).values()) >= TORCH_ERRORS
    assert set(found) == set(SIGNATURES)


def test_every_case_has_all_parameters_of_its_operator_in_order(loaded: Loaded) -> None:
    for one in loaded.cases:
        signature = SIGNATURES[one.operator]
        assert tuple(name for name, _ in one.case.parameters) == signature.names, one.case.id
        present = sum(one.case[flag] for _, flag in signature.optional)
        assert len(one.inputs) == len(signature.arrays) + present, one.case.id


def test_cases_describe_their_arrays(loaded: Loaded) -> None:
    for one in loaded.cases:
        assert one.case.shapes == tuple(array.shape for array in one.inputs), one.case.id
        assert one.case.dtype == one.inputs[SIGNATURES[one.operator].main].dtype.name, one.case.id
        assert all(array.flags.c_contiguous for array in one.inputs), one.case.id
        assert one.expected is None or not one.case.raises, one.case.id


def test_ids_are_unique_and_say_where_a_case_comes_from(loaded: Loaded) -> None:
    ids = [(one.operator, one.case.id) for one in loaded.cases]
    assert len(set(ids)) == len(ids)
    assert all(one.case.values.startswith(("onnx:test_", "opinfo:", "moduleinfo:")) for one in loaded.cases)
    # a task's id is parted at slashes, and its selectors are globs
    assert not any(set("/*?") & set(one.case.id) for one in loaded.cases)


def test_every_foreign_test_is_a_case_or_is_skipped_with_a_reason(loaded: Loaded) -> None:
    names = [*(one.case.values for one in loaded.cases), *(name for name, _ in loaded.skipped)]
    assert len(set(names)) == len(names)
    for name, reason in loaded.skipped:
        assert len(reason.split()) > 4, name


def test_onnx_names_all_its_tests(onnx_loaded: Loaded) -> None:
    node = importlib.import_module("onnx.backend.test.case.node")
    assert len(onnx_loaded.cases) + len(onnx_loaded.skipped) == len(node.collect_testcases(None)) > 1000


def test_what_onnx_defines_otherwise_is_skipped(onnx_loaded: Loaded) -> None:
    reasons = dict(onnx_loaded.skipped)
    assert "-inf" in reasons["onnx:test_reduce_max_empty_set"]
    assert "select_last_index" in reasons["onnx:test_argmax_keepdims_example_select_last_index"]
    assert "noop_with_empty_axes" in reasons["onnx:test_reduce_sum_empty_axes_input_noop"]
    assert "_expanded" in reasons["onnx:test_softmax_axis_0_expanded"]
    assert "off and on" in reasons["onnx:test_onehot_negative_indices"]
    assert reasons["onnx:test_relu"] == NOT_OURS


def test_what_torch_asks_otherwise_is_skipped(torch_loaded: Loaded) -> None:
    reasons = dict(torch_loaded.skipped)
    assert "keepdim" in reasons["opinfo:sum:1"]
    assert "dtype" in reasons["opinfo:softmax.with_dtype:0"]
    assert reasons["opinfo:nansum"] == NOT_OURS
    assert reasons["moduleinfo:Softmin"] == NOT_OURS


def test_errors_carry_the_text_of_the_source(torch_loaded: Loaded) -> None:
    texts = {one.case.values: one.case.raises for one in torch_loaded.cases if one.case.raises}
    assert "p == 1 and p == 2" in texts["opinfo:nn.functional.multi_margin_loss:error:8"]
    assert any("label_smoothing" in text for text in texts.values())


def test_reading_a_source_twice_gives_the_same_numbers_and_leaves_generators_alone(torch_loaded: Loaded) -> None:
    random.seed(7)
    np.random.seed(7)
    next_draws = random.random(), np.random.rand()
    random.seed(7)
    np.random.seed(7)
    again = sources.torch_cases()
    assert (random.random(), np.random.rand()) == next_draws
    for one, other in zip(torch_loaded.cases, again.cases, strict=True):
        assert one.case == other.case
        for left, right in zip(one.inputs, other.inputs, strict=True):
            np.testing.assert_array_equal(left, right)


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def _softmax(x: np.ndarray, *, dim: int) -> np.ndarray:
    return np.exp(_log_softmax(x.astype(np.float64), dim if x.ndim else 0)) if x.ndim else np.ones(())


def _sum(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    return np.asarray(np.sum(x.astype(np.float64), axis=dim if x.ndim else None))


def _cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    weighted: bool,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> np.ndarray:
    assert weighted == (weight is not None)
    axis = min(x.ndim - 1, 1)
    logs = np.moveaxis(_log_softmax(x.astype(np.float64), axis), axis, -1)
    classes = logs.shape[-1]
    w = np.ones(classes) if weight is None else weight.astype(np.float64)
    if target.dtype.kind == "f":
        shares = np.moveaxis(target.astype(np.float64), axis, -1)
        counted = np.ones(shares.shape[:-1])
        divisor = counted.sum()
    else:
        counted = np.where(target == ignore_index, 0.0, 1.0)
        shares = np.eye(classes)[np.where(counted > 0, target, 0)]
        divisor = (np.sum(shares * w, axis=-1) * counted).sum()
    smooth = shares * (1 - label_smoothing) + label_smoothing / classes
    losses = np.asarray(-np.sum(smooth * w * logs, axis=-1) * counted)
    if reduction == "none":
        return losses
    # where every class is ignored, the mean is 0/0 = NaN
    with np.errstate(invalid="ignore"):
        return np.asarray(losses.sum() / (divisor if reduction == "mean" else 1.0))


@pytest.mark.parametrize(
    ("operator", "formula"), [("softmax", _softmax), ("sum", _sum), ("cross_entropy", _cross_entropy)]
)
def test_expected_values_agree_with_the_formula(loaded: Loaded, operator: str, formula: Callable[..., Any]) -> None:
    checked = [one for one in loaded.cases if one.operator == operator and one.expected is not None]
    assert len(checked) >= 5
    for one in checked:
        found = formula(*one.inputs, **dict(one.case.parameters))
        assert one.expected is not None
        assert found.shape == one.expected.shape, one.case.id
        np.testing.assert_allclose(one.expected, found, rtol=one.rtol, atol=one.atol, err_msg=one.case.id)


def test_a_missing_library_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx.backend.test.case.node", None)
    with pytest.raises(ImportError, match=r"pip install 'kernel-harness\[onnx\]'"):
        sources.onnx_cases()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'kernel-harness\[torch-samples\]'"):
        sources.torch_cases()


def test_importing_the_sources_imports_no_foreign_library() -> None:
    code = (
        "import sys, harness.sources, harness.sources.onnx_nodes, harness.sources.torch_samples;"
        "print([name for name in ('onnx', 'torch', 'expecttest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def make(operator: str, **named: Any) -> Sourced:
    return sourced(operator, "onnx:test_made_up", named, expected=None, rtol=0.0, atol=0.0)


def test_parameters_that_are_not_given_have_pytorchs_defaults() -> None:
    one = make("triplet_margin", anchor=np.ones(3), positive=np.ones(3), negative=np.ones(3), margin=2, eps=1e-7)
    expected = (("margin", 2.0), ("p", 2.0), ("eps", 1e-7), ("swap", False), ("reduction", "mean"))
    assert one.case.parameters == expected
    assert isinstance(one.case["margin"], float)


def test_what_does_not_fit_the_signature_is_no_case() -> None:
    x = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(Unmapped, match="gives no dim"):
        make("softmax", x=x)
    with pytest.raises(Unmapped, match="no parameter called dtype"):
        make("softmax", x=x, dim=0, dtype="float64")
    with pytest.raises(Unmapped, match="y is a Python number"):
        make("where", condition=x > 0, x=x, y=0.0)


@pytest.mark.parametrize(
    ("axes", "rank", "dim"), [((1,), 3, 1), ((-2,), 3, -2), ((), 3, None), ((0, 1), 2, None), ((0, -1), 2, None)]
)
def test_axes_that_are_one_dim(axes: tuple[int, ...], rank: int, dim: int | None) -> None:
    assert one_dim("sum", axes, rank) == dim


@pytest.mark.parametrize(("operator", "axes"), [("sum", (0, 1)), ("sum", (0, 0, 1)), ("logsumexp", ())])
def test_axes_that_are_no_dim(operator: str, axes: tuple[int, ...]) -> None:
    with pytest.raises(Unmapped):
        one_dim(operator, axes, 3)
    assert dict(SIGNATURES["logsumexp"].parameters)["dim"] is REQUIRED


def test_the_second_case_of_one_name_is_skipped() -> None:
    one = make("sigmoid", x=np.ones(2))
    twice = collect([("first", lambda: one), ("second", lambda: one)])
    assert twice.cases == (one,)
    assert [name for name, _ in twice.skipped] == ["second"]
