"""Which implementations have only another name than before: their own source is the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.comparing.identity import closure_of, others_of, relative
from harness.comparing.syntax import digest_of, parse

PLACEHOLDER = "__implementation__"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def function_digest(
    file: Path, root: Path, where: int | str, sources: Sequence[str] = (), package_root: Path | None = None
) -> str | None:
    """A digest of one implementation apart from its name: the function (by its name, or by a line of its own or of its
    decorators), what it uses in its file, and all other files that it can reach.

    None where that cannot be told: no such function, no Python, or files that cannot be followed. A function that is
    made inside another one counts with all of its file.
    """
    closure = closure_of(file, root, sources, package_root)
    path = file.resolve()
    tree = parse(path.read_bytes()) if path.is_file() else None
    if tree is None or closure.doubt:
        return None
    found = [node for node in ast.walk(tree) if isinstance(node, Function) and _is_at(node, where)]
    if not found:
        return None
    function = max(found, key=lambda node: node.lineno)
    own = _without_its_name(tree, function) if function in tree.body else [ast.dump(tree), f"line {function.lineno}"]
    parts = {relative(name, closure.root): digest for name, digest in closure.modules.items() if name != path}
    parts |= others_of(closure)
    return digest_of(*own, *(text for name in sorted(parts) for text in (name, parts[name])))


def renames(base: Mapping[str, str | None], head: Mapping[str, str | None]) -> dict[str, str]:
    """`{id in HEAD: id in BASE}` of implementations that are new in HEAD under the source of one that is missing there.

    Ids are operator/backend/implementation, and their values function_digest's. Only within an operator and a backend,
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


def _without_its_name(tree: ast.Module, function: Function) -> list[str]:
    """The function and, in their order, the statements of its module that it depends on."""
    name = function.name
    needed = _needed(tree, function)
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call):
            kept = [
                one for one in decorator.keywords if not (one.arg == "name" and isinstance(one.value, ast.Constant))
            ]
            decorator.keywords = kept
    for node in ast.walk(ast.Module([function, *needed], [])):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = PLACEHOLDER
    function.name = PLACEHOLDER
    return [ast.dump(function), *(ast.dump(statement) for statement in needed)]


def _needed(tree: ast.Module, function: Function) -> list[ast.stmt]:
    """Statements that bind what the function uses, and those that bind what these use; and those that bind nothing,
    since they may change anything."""
    waiting: list[ast.stmt] = [function]
    chosen: set[ast.stmt] = {function}
    binders: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        bound = _bound_by(statement)
        for name in bound:
            binders.setdefault(name, []).append(statement)
        if not bound and not _is_text(statement) and statement is not function:
            chosen.add(statement)
            waiting.append(statement)
    while waiting:
        for name in _names(waiting.pop()):
            for statement in binders.get(name, ()):
                if statement not in chosen:
                    chosen.add(statement)
                    waiting.append(statement)
    return [statement for statement in tree.body if statement in chosen and statement is not function]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bound_by(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module binds, also deep inside of it."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        elif isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found


def _names(statement: ast.stmt) -> Iterator[str]:
    return (node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
