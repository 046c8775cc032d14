"""The node tests of ONNX as cases.

The tests are built in memory when the modules that hold them are imported: about 1900 for all of ONNX's operators, in a
few seconds. Each holds one model of one node, its inputs, its outputs, rtol 1e-3 and atol 1e-7.

Our operators follow PyTorch, so a test whose outcome ONNX defines otherwise is skipped: the maximum of nothing (-inf
there, an error here), indices that wrap around or lie out of range in OneHot, the last of equal maxima in ArgMax.
Where only the shape or the type of the answer differs and the numbers are the same, the answer is brought into our
form, and the function that does so says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.sources import Loaded, Sourced, Unmapped, collect, library, one_dim, sourced, undisturbed

EXTRA = "onnx"


@dataclass(frozen=True, slots=True)
class _Node:
    """A node test: the inputs that are there by position (None where omitted), and the first output."""

    operator: str
    attributes: Mapping[str, Any]
    inputs: tuple[np.ndarray | None, ...]
    output: np.ndarray

    def input(self, position: int) -> np.ndarray | None:
        return self.inputs[position] if position < len(self.inputs) else None

    @property
    def first(self) -> np.ndarray:
        return np.asarray(self.inputs[0])


_Mapped = tuple[str, dict[str, Any], np.ndarray]  # our operator, what it is given by name, and the answer


def load() -> Loaded:
    with undisturbed():
        # the loader of the same package reads files in older releases, and the wheel has none of them any more
        tests = library("onnx.backend.test.case.node", extra=EXTRA).collect_testcases(None)
        return collect(_all(tests))


def _all(tests: list[Any]) -> Iterator[tuple[str, Callable[[], Sourced]]]:
    ours = {test.name for test in tests if _type(test) in _MAPPERS and "_expanded" not in test.name}
    for test in tests:
        yield f"onnx:{test.name}", partial(_sourced, test, ours)


def _type(test: Any) -> str:
    """The operator of a test's only node, or nothing where it has several."""
    nodes = test.model.graph.node
    return str(nodes[0].op_type) if len(nodes) == 1 else ""


def _sourced(test: Any, ours: set[str]) -> Sourced:
    plain, expanded, _ = test.name.partition("_expanded")
    if expanded and plain in ours:
        raise Unmapped("it has the inputs and outputs of the test without _expanded, and another graph")
    if test.name not in ours:
        raise Unmapped("it tests no operator of ours")
    node = _node(test)
    operator, named, expected = _MAPPERS[node.operator](node)
    given = {name: value for name, value in named.items() if value is not None or name == "dim"}
    return sourced(operator, f"onnx:{test.name}", given, expected=expected, rtol=test.rtol, atol=test.atol)


def _node(test: Any) -> _Node:
    helper = library("onnx.helper", extra=EXTRA)
    proto = test.model.graph.node[0]
    ((arrays, outputs),) = test.data_sets
    # an omitted input has an empty name, and no array stands for it
    there = iter(arrays)
    inputs = tuple(_numpy(next(there)) if name else None for name in proto.input)
    attributes = {one.name: helper.get_attribute_value(one) for one in proto.attribute}
    return _Node(proto.op_type, attributes, inputs, _numpy(outputs[0]))


def _numpy(value: Any) -> np.ndarray:
    if hasattr(value, "SerializeToString"):
        value = library("onnx.numpy_helper", extra=EXTRA).to_array(value)
    return np.asarray(value)


def _axes(node: _Node) -> list[int]:
    """The reduced axes: an input in newer operator sets, an attribute in older ones, empty for all."""
    given = node.input(1)
    axes = list(node.attributes.get("axes", ())) if given is None else given.tolist()
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        raise Unmapped("no axes mean no reduction there (noop_with_empty_axes), and all of them here")
    return [int(axis) for axis in axes]


def _squeezed(node: _Node, dim: int | None) -> np.ndarray:
    """The answer without the reduced dimensions: keepdims=1 leaves them with size 1, and the numbers are the same."""
    if not node.attributes.get("keepdims", 1):
        return node.output
    return node.output.reshape(()) if dim is None else np.squeeze(node.output, axis=dim)


def _reduction(operator: str, node: _Node) -> _Mapped:
    x = node.first
    if x.dtype == np.bool_:
        raise Unmapped(f"it reduces booleans, and our {operator} numbers")
    dim = one_dim(operator, _axes(node), x.ndim)
    if operator == "max" and (x.size == 0 if dim is None else x.shape[dim] == 0):
        raise Unmapped("the maximum of nothing is -inf there, and an error here")
    return operator, {"x": x, "dim": dim}, _squeezed(node, dim)


def _argmax(node: _Node) -> _Mapped:
    if node.attributes.get("select_last_index", 0):
        raise Unmapped("of equal maxima it selects the last (select_last_index=1), and ours the first")
    dim = int(node.attributes.get("axis", 0))
    return "argmax", {"x": node.first, "dim": dim}, _squeezed(node, dim)


def _along(operator: str, node: _Node) -> _Mapped:
    # the meaning since operator set 13; before it, everything behind the axis was one row
    return operator, {"x": node.first, "dim": int(node.attributes.get("axis", -1))}, node.output


def _sigmoid(node: _Node) -> _Mapped:
    return "sigmoid", {"x": node.first}, node.output


def _expand(node: _Node) -> _Mapped:
    # ONNX broadcasts both ways, so its shape may say 1 where the data is larger; the size here is the answer's
    return "expand", {"x": node.first, "size": tuple(node.output.shape)}, node.output


def _where(node: _Node) -> _Mapped:
    return "where", {"condition": node.first, "x": node.input(1), "y": node.input(2)}, node.output


def _one_hot(node: _Node) -> _Mapped:
    indices, depth, values = node.first, node.input(1), node.input(2)
    if depth is None or values is None:
        raise Unmapped("it gives no depth or no values")
    if node.attributes.get("axis", -1) not in (-1, indices.ndim):
        raise Unmapped("its classes are not along the last axis")
    if values.tolist() != [0, 1]:
        raise Unmapped("its values for off and on are not 0 and 1")
    classes = int(depth.reshape(()))
    if indices.dtype.kind not in "iu" or np.any(indices < 0) or np.any(indices >= classes):
        raise Unmapped("its indices are not whole numbers from 0 to depth - 1, which are errors here")
    # the answer has the type of its values there, and is int64 here
    answer = node.output.astype(np.int64)
    return "one_hot", {"classes": indices.astype(np.int64), "num_classes": classes}, answer


def _matmul(node: _Node) -> _Mapped:
    a, b = node.first, node.input(1)
    if b is None or a.ndim != 1 or b.ndim != 1:
        raise Unmapped("a product of matrices is no dot product of two vectors")
    return "dot", {"a": a, "b": b}, node.output


def _class_loss(operator: str, node: _Node) -> _Mapped:
    """The loss is the first output; a second one (log_prob) is no part of ours. Both divide by the sum of weights."""
    target = node.input(1)
    if target is None or target.dtype != np.int64:
        raise Unmapped("its classes are not int64, which PyTorch asks for")
    named = {
        "input": node.first,
        "target": target,
        "weight": node.input(2),
        "ignore_index": node.attributes.get("ignore_index"),
        "reduction": node.attributes.get("reduction", b"mean").decode(),
    }
    return operator, named, node.output


_MAPPERS: Mapping[str, Callable[[_Node], _Mapped]] = {
    "ReduceSum": partial(_reduction, "sum"),
    "ReduceMax": partial(_reduction, "max"),
    "ReduceMean": partial(_reduction, "mean"),
    "ReduceLogSumExp": partial(_reduction, "logsumexp"),
    "ArgMax": _argmax,
    "Softmax": partial(_along, "softmax"),
    "LogSoftmax": partial(_along, "log_softmax"),
    "Sigmoid": _sigmoid,
    "Expand": _expand,
    "Where": _where,
    "OneHot": _one_hot,
    "MatMul": _matmul,
    "NegativeLogLikelihoodLoss": partial(_class_loss, "nll"),
    "SoftmaxCrossEntropyLoss": partial(_class_loss, "cross_entropy"),
}
"""By ONNX's operators, what makes a node a case of ours."""
