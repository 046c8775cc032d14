"""Definitions, workloads and solutions of flashinfer-bench and of SOL-ExecBench, which has nearly the same format.

Two ways to lie in a folder are read. flashinfer-bench (its dataset "flashinfer-trace"): `definitions/**/NAME.json`,
`workloads/**/NAME.jsonl` with one {"definition", "workload"} a line, `solutions/**/*.json`. SOL-ExecBench:
`definition.json` beside `workload.jsonl` with one bare workload a line, and `solution*.json`.

Their rules, as of 2026. flashinfer-bench (bench/config.py, bench/utils.py): three draws without a seed; shape and dtype
must agree and every element be finite; an element is off if its error exceeds 1e-2 *and* its error relative to
|right| + 1e-8 exceeds 1e-2; none may be off (of mixture-of-experts and low-bit operators, 5 % may). SOL-ExecBench
(bench/correctness.py, data/workload.py): ten draws; an element is off if its error exceeds max_atol + max_rtol |right|
(1e-2 each unless the workload says otherwise) or is not finite; the share that is right must reach
required_matched_ratio (1), and no error may exceed max_error_cap where that is set. Both compare in float32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.documents import UnreadableFile, document_of, place_inside, read_document, shown, text_of
from harness.problems import axes
from harness.problems.problem import FLASHINFER, BadProblem, Workload, seed_everything
from harness.problems.tensors import answers_of, in_float64

TRIALS = {"flashinfer-bench": 3, "SOL-ExecBench": 10}
TOLERANCE = 1e-2
LOOSE_TYPES = ("moe", "lowbit")
LOOSE_RATIO = 0.95
INTEGERS = {"int8": (-128, 128)}
OTHER_INTEGERS = (-1024, 1024)
NAME = re.compile(r"(?![.-])[\w.+-]{1,200}", re.ASCII)
"""Of a definition: a file is called so."""
LONGEST_NAME, MOST_AXES = 200, 32
ABOVE = 4
"""How far above its workloads the root of a data set may be, which paths of tensors are relative to."""


def read_definition(path: Path) -> dict[str, Any]:
    """A definition, with the fields that are needed, as what they have to be. Raises BadProblem."""
    try:
        data = read_document(path)
    except UnreadableFile as error:
        raise BadProblem(f"{error}; it is no definition") from None
    if not isinstance(data, dict):
        raise BadProblem(f"{path}: no definition: the whole is {shown(data)}; it has to be an object")
    missing = [name for name in ("name", "axes", "inputs", "outputs", "reference") if name not in data]
    if missing:
        raise BadProblem(f"{path}: a definition without {', '.join(missing)}")
    if not isinstance(data["name"], str) or not NAME.fullmatch(data["name"]):
        raise BadProblem(f"{path}: its name is {shown(data['name'])}; a name is 1 to 200 letters, digits or _.+-")
    if not isinstance(data["reference"], str):
        raise BadProblem(f"{path}: its reference is {shown(data['reference'])}; it has to be the text of a program")
    for part in ("axes", "inputs", "outputs"):
        named = data[part]
        if not isinstance(named, dict) or not all(isinstance(one, dict) for one in named.values()):
            raise BadProblem(f"{path}: {part} is {shown(named)}; it has to be an object with an object for each name")
        if not all(key.isidentifier() and len(key) <= LONGEST_NAME for key in named):
            wrong = next(key for key in named if not (key.isidentifier() and len(key) <= LONGEST_NAME))
            raise BadProblem(f"{path}: {part}: {shown(wrong)} is no name")
    for part in ("inputs", "outputs"):
        for name, spec in data[part].items():
            _check_spec(spec, data["axes"], f"{path}: {part}.{name}")
    return data


def _check_spec(spec: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """That an input or output has a shape of axes and a dtype. Raises BadProblem."""
    shape = spec.get("shape", False)
    if shape is not None and not (isinstance(shape, list) and len(shape) <= MOST_AXES):
        raise BadProblem(f"{where}.shape is {shown(shape)}; it has to be a list of axes, or null for a number")
    for axis in shape or ():
        if not isinstance(axis, str) or axis not in known:
            raise BadProblem(f"{where}.shape: {shown(axis)} is none of its axes")
    if not isinstance(spec.get("dtype"), str) or not spec["dtype"].isidentifier():
        raise BadProblem(f"{where}.dtype is {shown(spec.get('dtype'))}; it has to be the name of a dtype")


def read_workloads(path: Path, definition: str) -> list[dict[str, Any]]:
    """The workloads of a definition in a file of lines; those of flashinfer-bench are wrapped."""
    try:
        text = text_of(path)
    except UnreadableFile as error:
        raise BadProblem(str(error)) from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            data = document_of(line, Path(where))
        except UnreadableFile as error:
            raise BadProblem(f"{error}; it is no workload") from None
        if not isinstance(data, dict):
            raise BadProblem(f"{where}: {shown(data)} is no workload, which is an object")
        if data.get("definition", definition) == definition:
            found.append(_workload(data.get("workload", data), where))
    return found


def _workload(data: Any, where: str) -> dict[str, Any]:
    """A workload as what it has to be. Raises BadProblem."""
    if not isinstance(data, dict):
        raise BadProblem(f"{where}: {shown(data)} is no workload, which is an object")
    name = data.get("uuid")
    if not isinstance(name, str | int) or not str(name).isprintable() or not 0 < len(str(name)) <= LONGEST_NAME:
        raise BadProblem(f"{where}: uuid is {shown(name)}; it has to be a text of visible characters")
    sources = data.get("inputs", {})
    if not isinstance(data.get("axes"), dict):
        raise BadProblem(f"{where}: axes is {shown(data.get('axes'))}; it has to be an object with a size for each")
    if not isinstance(sources, dict) or not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) for one in sources.values()
    ):
        raise BadProblem(f"{where}: inputs is {shown(sources)}; it has to be an object with the type of each")
    for part in ("tolerance", "correctness"):
        said = data.get(part) or {}
        if not isinstance(said, dict):
            raise BadProblem(f"{where}: {part} is {shown(said)}; it has to be an object")
        for key in ("max_atol", "max_rtol", "required_matched_ratio", "max_error_cap"):
            value = said.get(key)
            if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
                raise BadProblem(f"{where}: {part}.{key} is {shown(value)}; it has to be a number from 0 on")
    return {**data, "uuid": str(name)}


def in_order(specs: Mapping[str, Any], result: Any) -> list[Any]:
    """What a call returned, in the order of the outputs; a Python number becomes a tensor of its output's dtype."""
    import torch

    found = answers_of(result, tuple(specs))
    if len(found) != len(specs):
        raise ValueError(f"{len(found)} outputs where {len(specs)} are right")
    kinds = [getattr(torch, spec["dtype"], None) for spec in specs.values()]
    return [
        one if isinstance(one, torch.Tensor) else torch.tensor(one, dtype=kind)
        for one, kind in zip(found, kinds, strict=True)
    ]


class Definition:
    """A definition with its workloads, in its process."""

    def __init__(self, path: Path, workloads: Path, kind: str) -> None:
        definition = read_definition(path)
        self.name, self._definition, self._kind, self._folder = definition["name"], definition, kind, workloads.parent
        self.outputs = tuple(definition["outputs"])
        module: dict[str, Any] = {"__name__": "harness_problem"}
        try:
            exec(compile(definition["reference"], f"{path.name}:reference", "exec"), module)
        except Exception as error:
            raise BadProblem(f"{path}: its reference: {type(error).__name__}: {error}") from error
        if not callable(module.get("run")):
            raise BadProblem(f"{path}: its reference defines no function called run")
        self._run, self._module = module["run"], module
        self.workloads = [self._workload(one) for one in read_workloads(workloads, self.name)]
        if not self.workloads:
            raise BadProblem(f"{workloads} holds no workload of {self.name}")

    def _workload(self, data: dict[str, Any]) -> Workload:
        if self._kind == FLASHINFER:
            ratio = LOOSE_RATIO if self._definition.get("op_type") in LOOSE_TYPES else 1.0
            rule = {"atol": TOLERANCE, "rtol": TOLERANCE, "ratio": ratio, "cap": None}
            words = f"off only if |error| > {TOLERANCE:g} and relative error > {TOLERANCE:g}"
        else:
            said = data.get("tolerance") or data.get("correctness") or {}
            rule = {
                "atol": float(said.get("max_atol", TOLERANCE)),
                "rtol": float(said.get("max_rtol", TOLERANCE)),
                "ratio": float(said.get("required_matched_ratio", 1.0)),
                "cap": said.get("max_error_cap"),
            }
            words = f"|error| <= {rule['atol']:g} + {rule['rtol']:g} |right|"
        share = float(rule["ratio"] or 1.0)
        if share < 1:
            words += f", for {share:.0%} of the elements"
        sizes = axes.sizes(self._definition["axes"], data["axes"])
        details = {"data": data, "rule": rule, "sizes": sizes}
        return Workload(data["uuid"], TRIALS[self._kind], words, details)

    def inputs(self, workload: Workload, seed: int, trial: int | None) -> Any:
        import torch

        seed_everything(seed)  # its own checker draws without a seed, too
        data, sizes = workload.details["data"], workload.details["sizes"]
        sources = data.get("inputs", {})
        if any(one.get("type") == "custom" for one in sources.values()):
            make = self._module.get(str(self._definition.get("custom_inputs_entrypoint")))
            if make is None:
                raise BadProblem(f"{self.name}: custom inputs, and no function custom_inputs_entrypoint")
            scalars = {name: one["value"] for name, one in sources.items() if one.get("type") == "scalar"}
            made = make({**sizes, **scalars}, torch.device("cpu"))
            return [made[name] for name in self._definition["inputs"]]
        return [self._input(name, spec, sources, sizes) for name, spec in self._definition["inputs"].items()]

    def _input(self, name: str, spec: Mapping[str, Any], sources: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
        import torch

        source = sources.get(name, {"type": "random"})
        if source["type"] == "scalar":
            return source["value"]
        if source["type"] == "safetensors":
            return self._stored(source)
        kind = getattr(torch, spec["dtype"], None)
        if kind is None:
            raise BadProblem(f"{self.name}: the input {name} is {spec['dtype']}, which the harness does not have")
        shape = () if spec["shape"] is None else tuple(sizes[axis] for axis in spec["shape"])
        drawn: Any
        if kind.is_floating_point:
            drawn = torch.randn(shape, dtype=kind)
        elif kind == torch.bool:
            drawn = torch.randint(0, 2, shape, dtype=kind)
        else:
            drawn = torch.randint(*INTEGERS.get(spec["dtype"], OTHER_INTEGERS), shape, dtype=kind)
        if self._definition.get("op_type") == "sampling" and name == "probs":
            drawn = torch.softmax(drawn, dim=-1)
        return drawn.item() if spec["shape"] is None else drawn

    def _stored(self, source: Mapping[str, Any]) -> Any:
        try:
            import safetensors as stored  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise BadProblem("safetensors are missing; type: pip install 'kernel-harness[problems]'") from None
        for root in (self._folder, *list(self._folder.parents)[:ABOVE]):
            try:
                place = place_inside(root, source.get("path"))
            except ValueError as error:
                raise BadProblem(f"{self.name}: safetensors: {error}") from None
            if place.is_file():
                with stored.safe_open(str(place), framework="pt") as file:
                    if source.get("tensor_key") not in file.keys():  # noqa: SIM118 - it is no dictionary
                        raise BadProblem(f"{place}: holds no tensor {shown(source.get('tensor_key'))}")
                    return file.get_tensor(source["tensor_key"])
        raise BadProblem(f"{source['path']}: no such file in {self._folder}, or in {ABOVE} folders above it")

    def run(self, workload: Workload, arguments: Any) -> list[Any]:
        import torch

        with torch.no_grad():
            return in_order(self._definition["outputs"], self._run(*arguments))

    def run_wide(self, workload: Workload, arguments: Any) -> list[Any]:
        import torch

        with torch.no_grad(), in_float64():
            return answers_of(self._run(*arguments), self.outputs)

    def accepts(self, workload: Workload, arguments: Any, right: list[Any], answers: list[Any]) -> str:
        if len(right) != len(answers):
            return f"{len(answers)} outputs where {len(right)} are right"
        for name, expected, answer in zip(self.outputs, right, answers, strict=True):
            if expected.shape != answer.shape:
                return f"{name}: shape {tuple(answer.shape)} where {tuple(expected.shape)} is right"
            if expected.dtype != answer.dtype:
                return f"{name}: dtype {answer.dtype} where {expected.dtype} is right"
            said = off(answer, expected, self._kind, **workload.details["rule"])
            if said:
                return f"{name}: {said}"
        return ""

    def candidate(self) -> dict[str, Any]:
        return {name: self._definition[name] for name in ("axes", "inputs", "outputs")}


def off(answer: Any, right: Any, kind: str, *, atol: float, rtol: float, ratio: float, cap: float | None) -> str:
    """Why an answer is rejected, by the rule of `kind`; empty if it is accepted."""
    import torch

    if kind == FLASHINFER and not bool(torch.isfinite(answer.to(torch.float32)).all()):
        return "an element that is not finite"
    x, y = answer.to(torch.float32), right.to(torch.float32)
    error = (x - y).abs()
    if not error.numel():
        return ""
    if kind == FLASHINFER:
        wrong = (error > atol) & (error / (y.abs() + 1e-8) > rtol)
    else:
        wrong = (error > atol + rtol * y.abs()) | ~torch.isfinite(error)
    share = 1.0 - float(wrong.sum()) / error.numel()
    largest = float(error.max())
    if cap is not None and not largest <= cap:
        return f"an error of {largest:.3g} above the cap of {cap:g}"
    return "" if share >= ratio else f"{1 - share:.2%} of the elements are off, by up to {largest:.3g}"


def solutions_of(root: Path, definition: str) -> Sequence[Path]:
    """The solutions of a definition in a folder, by name."""
    found = []
    for path in sorted({*root.glob("solutions/**/*.json"), *root.glob("solution*.json")}):
        try:
            data = read_document(path)
        except UnreadableFile:
            continue
        if isinstance(data, dict) and data.get("definition") == definition:
            found.append(path)
    return found
