"""The axes of a definition (flashinfer-bench, SOL-ExecBench): constants, variables, and expressions of both."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents import harmless, shown
from harness.problems.problem import BadProblem

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


LONGEST = 1000
"""Characters of an expression."""
LARGEST = 2**62
"""The largest number in an expression, and the largest size."""


def sizes(axes: Mapping[str, Mapping[str, Any]], variables: Mapping[str, int]) -> dict[str, int]:
    """The size of every axis. Raises BadProblem for a variable without a value or an expression that is none."""
    found: dict[str, int] = {}
    for name, axis in axes.items():
        if axis.get("type") == "const":
            found[name] = _size(name, axis.get("value"))
        elif axis.get("type") == "var":
            if name not in variables:
                raise BadProblem(f"the workload gives no value for the axis {name!r}")
            found[name] = _size(name, variables[name])
        elif axis.get("type") != "expr":
            raise BadProblem(f"the axis {name!r} has the type {axis.get('type')!r}; there are const, var and expr")
    for name, axis in axes.items():
        if axis["type"] == "expr":
            found[name] = _value(name, axes, found)
    return found


def _size(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise BadProblem(f"the axis {name!r} is {shown(value)}, which is no size")
    return value


def bound(
    axes: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, Mapping[str, Any]],
    shapes: Sequence[Sequence[int] | None],
) -> dict[str, int]:
    """The sizes that inputs of these shapes imply. Raises BadProblem where they contradict the definition."""
    variables: dict[str, int] = {}
    for (name, spec), shape in zip(specs.items(), shapes, strict=True):
        named = spec["shape"] or ()
        if shape is None:
            continue
        if len(named) != len(shape):
            raise BadProblem(f"the input {name} has {len(shape)} dimensions where {len(named)} are right")
        for axis, size in zip(named, shape, strict=True):
            if variables.setdefault(axis, int(size)) != size:
                raise BadProblem(f"the axis {axis!r} is {variables[axis]} and {size} at once")
    found = sizes(axes, variables)
    for axis, size in variables.items():
        if found[axis] != size:
            raise BadProblem(f"the axis {axis!r} is {found[axis]} by the definition, not {size}")
    return found


def _value(name: str, axes: Mapping[str, Any], known: dict[str, int], above: tuple[str, ...] = ()) -> int:
    """The size of an axis that is an expression; `known` is what is found already, and grows."""
    expression = axes[name].get("expression")
    if not isinstance(expression, str) or len(expression) > LONGEST:
        raise BadProblem(f"the axis {name!r} has no expression of at most {LONGEST} characters: {shown(expression)}")
    if name in above:
        raise BadProblem(f"the axis expression {expression!r} refers to itself")

    def visit(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body):
                return visit(body)
            case ast.Constant(int() | float() as number):
                return number
            case ast.Name(other) if other in known:
                return known[other]
            case ast.Name(other) if other in axes:
                known[other] = _value(other, axes, known, (*above, name))
                return known[other]
            case ast.BinOp(left, op, right) if type(op) in _BINARY:
                return _calculated(type(op), visit(left), visit(right))
            case ast.UnaryOp(ast.USub(), operand):
                return -visit(operand)
            case ast.UnaryOp(ast.UAdd(), operand):
                return visit(operand)
        raise BadProblem(f"the axis expression {expression!r} holds more than + - * / // % ** of axes and numbers")

    try:
        value = visit(ast.parse(expression, mode="eval"))
        whole = int(value)
    except (SyntaxError, ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        raise BadProblem(f"the axis expression {harmless(expression)}: {error or type(error).__name__}") from None
    if value != whole or not 0 <= whole <= LARGEST:
        raise BadProblem(f"the axis expression {expression!r} gives {value}, which is no size")
    return whole


def _calculated(op: type[ast.operator], left: float, right: float) -> float:
    """One step. No power of hostile numbers is begun that would not end, and none of them is complex."""
    if op is ast.Pow and (left < 0 or not abs(right) <= 64):
        raise ArithmeticError(f"{left} ** {right}: the base is from 0 on, and the exponent at most 64")
    found = _BINARY[op](left, right)
    if not abs(found) <= LARGEST:
        raise ArithmeticError("a number in it is larger than any size")
    return float(found) if isinstance(found, float) else int(found)
