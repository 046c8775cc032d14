"""DECLARE: what exists. Operators are imported (they are trusted); implementations are read by a worker, as data."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness.checkout import Checkout
from harness.declare import Accumulation, Case, DeclarationError, Operator, Tree
from harness.documents import harmless, shown
from harness.implement import Declaration
from harness.judge.trees import FAMILIES
from harness.nearest import nearest
from harness.precision import FLOATS
from harness.reading import Source, builtin_sources, entry_points, plugin_sources, read
from harness.sources import Sourced
from harness.sources.files import read_cases

ENTRY_POINTS = "harness"
OPERATOR_ENTRY_POINTS = "harness.operators"
LONGEST_NAME = 200
LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A Backend as data. `missing` says why it cannot run here, or is None."""

    name: str
    library: str
    missing: str | None
    array_type: str
    dtypes: tuple[str, ...]
    differentiates: bool
    timed: bool
    reserves: bool
    has_timer: bool
    module: str
    path: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was declared and cannot be used; everything else goes on."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Registry:
    """All that exists here. `declarations` are sorted by operator, backend and name."""

    operators: Mapping[str, Operator]
    backends: Mapping[str, BackendInfo]
    declarations: tuple[Declaration, ...]
    problems: tuple[Problem, ...] = field(default=())

    def missing(self, declaration: Declaration) -> str | None:
        """Why a declaration cannot run here, or None."""
        return self.backends[declaration.backend].missing

    def is_timed(self, declaration: Declaration) -> bool:
        """Whether its backend is one for timing; some are for conformance alone."""
        return self.backends[declaration.backend].timed

    def has_gradient(self, declaration: Declaration) -> bool:
        """Whether a declaration can be asked for gradients: by its own, or by its backend's reverse mode."""
        return declaration.has_gradient or self.backends[declaration.backend].differentiates


def load(
    plugins: Sequence[str] = (),
    operators: Sequence[str] = (),
    cases: Sequence[str] = (),
    checkout: Checkout | None = None,
) -> Registry:
    """Everything built in, installed under the entry-point groups, or named by path.

    `plugins` are files or folders with implementations: they are read in a worker. `operators` are files with
    Operators: they are trusted, and imported here. `cases` are further cases with given inputs: `onnx`, `torch`, files
    or folders (harness.sources.files). With a `checkout`, implementations are its own. Raises DeclarationError for a
    path that does not exist, ImportError for a source whose library is missing.
    """
    problems: list[Problem] = []
    found = _with_cases(_operators(operators, problems), cases, problems)
    sources = [*builtin_sources(checkout), *entry_points(ENTRY_POINTS), *plugin_sources(plugins)]
    declared = read(sources, checkout)
    backends = _backends(sources, declared, problems)
    declarations = _declarations(sources, declared, found, backends, problems)
    return Registry(found, backends, declarations, tuple(problems))


def _operators(paths: Sequence[str], problems: list[Problem]) -> dict[str, Operator]:
    import harness.cases

    modules: list[ModuleType] = []
    builtin = [info.name for info in pkgutil.iter_modules(harness.cases.__path__, "harness.cases.")]
    for name in (*builtin, *(source.name for source in entry_points(OPERATOR_ENTRY_POINTS))):
        try:
            modules.append(importlib.import_module(name))
        except Exception as error:
            problems.append(Problem(name, f"{type(error).__name__}: {error}"))
    for path in paths:
        modules.append(_import_operator_file(path))
    found: dict[str, Operator] = {}
    owner: dict[str, ModuleType] = {}
    for module in modules:
        for thing in vars(module).values():
            if not isinstance(thing, Operator) or found.get(thing.name) is thing:
                continue
            if thing.name in found:
                first = owner[thing.name].__name__
                problems.append(Problem(module.__name__, f"operator {thing.name} is already declared by {first}"))
                continue
            found[thing.name], owner[thing.name] = thing, module
    return dict(sorted(found.items()))


def _with_cases(
    operators: Mapping[str, Operator], sources: Sequence[str], problems: list[Problem]
) -> dict[str, Operator]:
    """The operators with further conformance cases, whose inputs are given and not drawn."""
    given: dict[str, dict[str, Sourced]] = defaultdict(dict)
    for source in sources:
        for one in read_cases(source):
            if one.operator in operators:
                given[one.operator][one.case.id] = one
            else:
                problems.append(Problem(source, f"{one.case.id}: no operator is called {one.operator!r}"))
    return {name: with_given(one, given[name]) if given[name] else one for name, one in operators.items()}


def with_given(operator: Operator, given: Mapping[str, Sourced]) -> Operator:
    """An operator with further conformance cases by id, whose inputs are given and not drawn."""
    by_origin = {(one.case.values, one.case.parameters, one.case.dtype): one.inputs for one in given.values()}

    def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        found = by_origin.get((case.values, case.parameters, case.dtype))
        return operator.inputs(case, rng) if found is None else found

    own = {case.id for case in operator.conformance}
    more = tuple(one.case for one in given.values() if one.case.id not in own)
    return dataclasses.replace(operator, conformance=(*operator.conformance, *more), inputs=inputs)


def _import_operator_file(path: str) -> ModuleType:
    file = Path(path).resolve()
    spec = importlib.util.spec_from_file_location(f"harness_operators_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise DeclarationError(f"--operators {path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _backends(
    sources: Sequence[Source], declared: Mapping[str, dict[str, Any]], problems: list[Problem]
) -> dict[str, BackendInfo]:
    found: dict[str, BackendInfo] = {}
    for source in sources:
        for data in declared[source.name].get("backends", ()):
            if trouble := _wrong_backend(data):
                problems.append(Problem(source.name, f"backend {shown(data['name'])}: {trouble}"))
                continue
            info = BackendInfo(**{**data, "dtypes": tuple(data["dtypes"])}, module=source.name, path=source.path)
            if info.name in found and found[info.name].module != source.name:
                first = found[info.name].module
                problems.append(Problem(source.name, f"backend {info.name} is already declared by {first}"))
                continue
            found[info.name] = info
    return found


def _wrong_backend(data: Mapping[str, Any]) -> str:
    """What is wrong with a backend as its module describes it; empty if nothing is."""
    if not all(isinstance(data[key], str) for key in ("name", "library", "array_type")):
        return "name, library and array_type are texts"
    if not data["name"].isidentifier() or len(data["name"]) > LONGEST_NAME:
        return (
            f"its name is no Python identifier of at most {LONGEST_NAME} characters; it would break ids and selectors"
        )
    if not (data["missing"] is None or isinstance(data["missing"], str)):
        return "missing() gives a reason, or None"
    if not isinstance(data["dtypes"], list) or not all(isinstance(one, str) for one in data["dtypes"]):
        return "dtypes are a list of texts"
    if not all(isinstance(data[key], bool) for key in ("differentiates", "timed", "reserves", "has_timer")):
        return "timed, reserves and the like are true or false"
    return ""


def _declarations(
    sources: Sequence[Source],
    declared: Mapping[str, dict[str, Any]],
    operators: Mapping[str, Operator],
    backends: Mapping[str, BackendInfo],
    problems: list[Problem],
) -> tuple[Declaration, ...]:
    found: dict[str, Declaration] = {}
    for source in sources:
        data = declared[source.name]
        if "error" in data:
            problems.append(Problem(source.file, harmless(str(data["error"]), LONGEST_REASON)))
            continue
        for one in data["implementations"]:
            try:
                new = _declaration(source, one)
            except (DeclarationError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
                what = f"{shown(one.get('implementation'))}: {harmless(str(error), LONGEST_REASON)}"
                problems.append(Problem(f"{source.file}:{shown(one.get('line'))}", what))
                continue
            trouble = _trouble(new, operators, backends, found)
            if trouble:
                problems.append(Problem(f"{source.file}:{new.line}", trouble))
            else:
                found[new.id] = new
    return tuple(found[key] for key in sorted(found))


def check_claim(claim: Accumulation) -> None:
    """Raises DeclarationError for a claim by which nothing can be judged."""
    for tree in (claim.tree, claim.strided or Tree()):
        if tree.family not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise DeclarationError(f"accumulation tree {tree.family!r}: no such family; there are {known}")
        least = {"pairwise": 1, "lanes": 1, "chunks": 1, "blocks": 2}.get(tree.family, 0)
        if type(tree.width) is not int or not least <= tree.width <= 2**30:
            raise DeclarationError(
                f"accumulation tree {tree.family} of width {tree.width!r}: it must be at least {least}"
            )
        if tree.family == "blocks" and tree.width & (tree.width - 1):
            raise DeclarationError(f"accumulation tree blocks of width {tree.width}: it must be a power of two")
    for dtype in (claim.dtype, claim.intermediate):
        if dtype and dtype not in (*FLOATS, "case"):
            raise DeclarationError(f"accumulation in {dtype!r}: there are {', '.join(FLOATS)} and case")
    if type(claim.rescale) is not int or claim.rescale < 0:
        raise DeclarationError(f"accumulation with rescale={claim.rescale!r}: it counts terms, 0 for none")


def _declaration(source: Source, data: Mapping[str, Any]) -> Declaration:
    """A declaration as its module describes it. Raises DeclarationError, TypeError, ValueError, KeyError."""
    for key in ("operator", "backend", "implementation", "summary"):
        if not isinstance(data[key], str):
            raise DeclarationError(f"{key} is {shown(data[key])}; it has to be a text")
    if type(data["line"]) is not int or not 0 <= data["line"] < 2**31:
        raise DeclarationError(f"line is {shown(data['line'])}, which is no line of a file")
    accumulation = data["accumulation"]
    if accumulation is not None:
        strided = accumulation["strided"]
        accumulation = Accumulation(
            **{**accumulation, "tree": Tree(**accumulation["tree"]), "strided": Tree(**strided) if strided else None}
        )
        check_claim(accumulation)
    return Declaration(
        operator=data["operator"],
        backend=data["backend"],
        implementation=data["implementation"],
        accumulation=accumulation,
        module=source.name,
        path=source.path,
        line=data["line"],
        has_gradient=bool(data["has_gradient"]),
        has_prepare=bool(data["has_prepare"]),
        summary=harmless(data["summary"], LONGEST_REASON),
        known=_known(data["known"]),
        sources=tuple((str(path), tuple(map(str, instances))) for path, instances in data["sources"]),
    )


def _known(marks: Any) -> tuple[tuple[str, str], ...]:
    """Marks of known failures; DeclarationError for one that gives no reason."""
    if not isinstance(marks, Mapping):
        raise DeclarationError("known= maps globs over case ids to reasons")
    for pattern, reason in marks.items():
        if not isinstance(reason, str) or not reason.strip():
            raise DeclarationError(f"known={{{pattern!r}: ...}} gives no reason; say what fails and why it is known")
    return tuple((str(pattern), harmless(reason, LONGEST_REASON)) for pattern, reason in marks.items())


def _trouble(
    declared: Declaration,
    operators: Mapping[str, Operator],
    backends: Mapping[str, BackendInfo],
    found: Mapping[str, Declaration],
) -> str:
    """What is wrong with a declaration: where, what was found, and what would be right; empty if nothing is."""
    if declared.operator not in operators:
        return f"{shown(declared.implementation)}: no operator is called {_wrong(declared.operator, operators)}"
    if declared.backend not in backends:
        return f"{shown(declared.implementation)}: no backend is called {_wrong(declared.backend, backends)}"
    if not declared.implementation.isidentifier() or len(declared.implementation) > LONGEST_NAME:
        return (
            f"the name {shown(declared.implementation)} is no Python identifier of at most {LONGEST_NAME} characters; "
            "it would break ids and selectors"
        )
    if not declared.implementation.isascii():
        return (
            f"the name {declared.implementation!a} has letters beyond ASCII, which can be taken for others; "
            "give it another name="
        )
    if declared.id in found:
        first = found[declared.id]
        return f"{declared.id} is already declared by {first.path or first.module}; give this one another name="
    return ""


def _wrong(name: str, known: Iterable[str]) -> str:
    """A name that does not exist, and those that were perhaps meant."""
    close = nearest(name, known) if len(name) <= LONGEST_NAME else []
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(sorted(known))}"
    return f"{shown(name)}; {hint}"
