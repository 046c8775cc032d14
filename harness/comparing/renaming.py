"""Single implementations of a file: whether one is the same as before, also under another name."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.comparing.identity import closure_of, others_of, relative
from harness.comparing.syntax import digest_of, parse

PLACEHOLDER = "__implementation__"
REFLECTION = {"__dict__", "delattr", "globals", "locals", "setattr", "vars"}
"""Names by which code gets at others that it does not spell out."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """A file in which implementations are declared, read once: a digest of each apart from its name."""

    def __init__(self, file: Path, root: Path, sources: Sequence[str] = (), package_root: Path | None = None) -> None:
        path = file.resolve()
        closure = closure_of(file, root, sources, package_root)
        tree = parse(path.read_bytes()) if path.is_file() else None
        self._tree = None if closure.doubt else tree
        if self._tree is None:
            return
        self._functions = [node for node in ast.walk(self._tree) if isinstance(node, Function)]
        self._is_one = _reflects(self._tree) or closure.imports_back(path)
        harness = _of_harness(self._tree)
        self._running = [one for one in self._tree.body if not _is_definition(one, harness)]
        self._binders: dict[str, list[ast.stmt]] = {}
        for statement in self._tree.body:
            for name in _bound_by(statement):
                self._binders.setdefault(name, []).append(statement)
        parts = {relative(name, closure.root): digest for name, digest in closure.modules.items() if name != path}
        parts |= others_of(closure)
        self._others = [text for name in sorted(parts) for text in (name, parts[name])]

    def digest(self, where: int | str) -> str | None:
        """Of one implementation (by its name, or by a line of its own or of its decorators): the function, what may
        change it in its file, and all other files that it can reach.

        Of its file only such functions and constants do not count as it does not name, and whose definition runs no
        code but the harness's: it is assumed that to declare or to run another implementation changes nothing for this
        one. With files that import this one back, or a function that is made inside another one, all of the file
        counts. None where it cannot be told: no such function, no Python, or files that cannot be followed.
        """
        found = [] if self._tree is None else [node for node in self._functions if _is_at(node, where)]
        if self._tree is None or not found:
            return None
        function = max(found, key=lambda node: node.lineno)
        if function not in self._tree.body or self._is_one:
            own = [ast.dump(self._tree), str(self._functions.index(function))]
        else:
            own = _without_its_name(function, self._needed(self._tree, function))
        return digest_of(*own, *self._others)

    def _needed(self, tree: ast.Module, function: Function) -> list[ast.stmt]:
        """The statements of the module that run code, those that bind what the function uses, and those that bind what
        these use."""
        always = [one for one in self._running if one is not function]
        chosen: set[ast.stmt] = {function, *always}
        waiting: list[ast.stmt] = [function, *always]
        while waiting:
            for name in _names(waiting.pop()):
                for statement in self._binders.get(name, ()):
                    if statement not in chosen:
                        chosen.add(statement)
                        waiting.append(statement)
        return [statement for statement in tree.body if statement in chosen and statement is not function]


def renames(base: Mapping[str, str | None], head: Mapping[str, str | None]) -> dict[str, str]:
    """`{id in HEAD: id in BASE}` of implementations that are new in HEAD under the source of one that is missing there.

    Ids are operator/backend/implementation, and their values digests of Source. Only within an operator and a backend,
    and only where no other implementation there has the same source on either side.
    """
    sides = _by_source(base), _by_source(head)
    found = {}
    for key, ids in sides[1].items():
        before = sides[0].get(key, [])
        if len(ids) == len(before) == 1 and ids[0] not in base and before[0] not in head:
            found[ids[0]] = before[0]
    return found


def _by_source(digests: Mapping[str, str | None]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for identity, digest in digests.items():
        if digest is not None:
            found.setdefault((identity.rpartition("/")[0], digest), []).append(identity)
    return found


def _is_at(node: Function, where: int | str) -> bool:
    if isinstance(where, str):
        return node.name == where
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first <= where <= node.body[0].lineno


def _without_its_name(original: Function, needed: Sequence[ast.stmt]) -> list[str]:
    """The function and, in their order, the statements of its module that it depends on."""
    name = original.name
    function, *others = copy.deepcopy([original, *needed])
    assert isinstance(function, Function)
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call):
            kept = [
                one for one in decorator.keywords if not (one.arg == "name" and isinstance(one.value, ast.Constant))
            ]
            decorator.keywords = kept
    for node in ast.walk(ast.Module([function, *others], [])):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = PLACEHOLDER
    function.name = PLACEHOLDER
    return [ast.dump(function), *(ast.dump(statement) for statement in others)]


def _reflects(tree: ast.Module) -> bool:
    """Whether a module may use names that it does not spell out."""
    return any(
        (isinstance(node, ast.Name) and node.id in REFLECTION)
        or (isinstance(node, ast.Attribute) and node.attr in REFLECTION)
        for node in ast.walk(tree)
    )


def _of_harness(tree: ast.Module) -> set[str]:
    """The names that a module has from the harness, and from nowhere else."""
    bound: dict[str, set[bool]] = {}
    for statement in tree.body:
        ours = isinstance(statement, ast.ImportFrom) and statement.level == 0 and _is_engine(statement.module or "")
        for name in _bound_by(statement):
            bound.setdefault(name, set()).add(ours)
    return {name for name, origins in bound.items() if origins == {True}}


def _is_engine(module: str) -> bool:
    return module == "harness" or (module.startswith("harness.") and not module.startswith("harness.implementations"))


def _is_definition(statement: ast.stmt, harness: set[str]) -> bool:
    """Whether a statement only binds names, and runs no code for that but the harness's."""
    if isinstance(statement, Function):
        arguments = statement.args
        evaluated: list[ast.AST] = [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
        return all(_root(one) in harness for one in statement.decorator_list) and not _calls(evaluated, harness)
    if isinstance(statement, ast.Assign):
        return all(map(_is_name, statement.targets)) and not _calls([statement.value], harness)
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_name(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) or (isinstance(target, ast.Tuple) and all(map(_is_name, target.elts)))


def _calls(nodes: Sequence[ast.AST], harness: set[str]) -> bool:
    return any(isinstance(node, ast.Call) and _root(node) not in harness for one in nodes for node in ast.walk(one))


def _root(node: ast.AST) -> str:
    """The name at which a call or a chain of attributes begins."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _bound_by(statement: ast.stmt) -> set[str]:
    """The names that a statement binds, or whose attributes or elements it sets, also deep inside of it."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            inner: ast.AST = node
            while isinstance(inner, ast.Attribute | ast.Subscript):
                inner = inner.value
            if isinstance(inner, ast.Name):
                found.add(inner.id)
        elif isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found


def _names(statement: ast.stmt) -> Iterator[str]:
    return (node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
