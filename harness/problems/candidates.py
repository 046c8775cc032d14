"""Candidates: found, laid out in a folder of their own as a plugin, or refused with the reason."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.documents import UnreadableFile, bytes_of, harmless, place_inside, read_document
from harness.implement import Declaration
from harness.problems.flashinfer import read_definition
from harness.problems.gpumode import lay_out, read_task
from harness.problems.hosting import Host, Located
from harness.problems.problem import GPUMODE, KERNELBENCH, BadProblem
from harness.problems.wrapping import needs_gpu, write_spec

REFERENCE = "reference"
PLUGIN = "plugin.py"
GPU_LANGUAGES = (
    "triton",
    "cuda",
    "cuda_cpp",
    "cute_dsl",
    "cutile",
    "tilelang",
    "cutlass",
    "cudnn",
    "cublas",
    "tvm_ffi",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate. `missing` says why it cannot run here, or is empty."""

    name: str
    declaration: Declaration
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Calls:
    """How the candidates of a problem are called: arguments and their shapes by workload, how many outputs, and whether
    they may write into their arguments (since the reference does)."""

    templates: Mapping[str, Any]
    shapes: Mapping[str, Sequence[tuple[int, ...]]]
    outputs: int
    in_place: bool


def find(located: Located, given: Sequence[str]) -> list[Path]:
    """The files of the candidates: those that are named (a folder stands for all in it), else the problem's own."""
    if not given:
        return list(located.candidates)
    suffix = ".py" if located.kind in (KERNELBENCH, GPUMODE) else ".json"
    found: list[Path] = []
    for one in map(Path, given):
        if not one.exists():
            raise BadProblem(f"{one}: no such candidate")
        inside = sorted(one.glob(f"*{suffix}")) if one.is_dir() else [one]
        if not inside:
            raise BadProblem(f"{one} holds no candidate (*{suffix})")
        found += inside
    wrong = [one for one in found if one.suffix != suffix]
    if wrong:
        raise BadProblem(f"{wrong[0]}: a candidate for {located.kind} is a {suffix} file")
    return found


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name of each, fit for an id: that of its file, with a number where two have the same."""
    names: list[str] = []
    for path in paths:
        stem = re.sub(r"\W", "_", path.stem)
        stem = stem if stem.isidentifier() and stem != REFERENCE else f"candidate_{stem}"
        numbered = (f"{stem}_{number}" for number in itertools.count(2))
        names.append(next(name for name in itertools.chain([stem], numbered) if name not in names))
    return names


class Shelf:
    """Lays candidates out below a folder, each as a plugin of its own."""

    def __init__(self, root: Path, located: Located, host: Host, operator: str, calls: Calls) -> None:
        self._root, self._located, self._operator, self._calls = root, located, operator, calls
        reply, self._arrays = host.ask({"do": "candidate"})
        self._told = reply["template"]

    def candidate(self, path: Path, name: str) -> Candidate:
        """One candidate; raises BadProblem for a file that is none."""
        folder = self._folder(name)
        if self._located.kind in (KERNELBENCH, GPUMODE):
            try:
                text = bytes_of(path).decode(errors="replace")
            except UnreadableFile as error:
                raise BadProblem(str(error)) from None
            entry = "candidate.py" if self._located.kind == KERNELBENCH else "submission.py"
            (folder / entry).write_text(text)
            return self._made(folder, name, {"entry": entry, "class": "ModelNew"}, needs_gpu(text))
        return self._solution(path, folder, name)

    def reference(self) -> Candidate:
        """The problem's own reference, as if it were a candidate: what it cannot do is asked of nobody."""
        folder = self._folder(REFERENCE)
        if self._located.kind == KERNELBENCH:
            shutil.copyfile(self._located.path, folder / "candidate.py")
            return self._made(folder, REFERENCE, {"entry": "candidate.py", "class": "Model"})
        if self._located.kind == GPUMODE:
            lay_out(self._located.path, read_task(self._located.path), folder)
            (folder / "submission.py").write_text("from reference import ref_kernel as custom_kernel\n")
            return self._made(folder, REFERENCE, {"entry": "submission.py"})
        (folder / "solution_.py").write_text(read_definition(self._located.path)["reference"], encoding="utf-8")
        return self._made(folder, REFERENCE, {"entry": "solution_.py::run", "destination": False})

    def _folder(self, name: str) -> Path:
        folder = self._root / name
        folder.mkdir()
        return folder

    def _solution(self, path: Path, folder: Path, name: str) -> Candidate:
        try:
            data = read_document(path)
            spec, sources = data["spec"], data["sources"]
            for one in sources:
                place = place_inside(folder, one["path"])
                if not isinstance(one["content"], str):
                    raise TypeError(f"the content of {place.name} is no text")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(one["content"], encoding="utf-8")
            said = spec.get("languages") or spec["language"]
            languages = [str(one).lower() for one in (said if isinstance(said, list) else [said])]
            entry = str(spec["entry_point"])
            place_inside(folder, entry.partition("::")[0])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            words = error.strerror if isinstance(error, OSError) else harmless(str(error), 300)
            raise BadProblem(f"{path}: no solution: {type(error).__name__}: {words}") from None
        gpu = [one for one in languages if one in GPU_LANGUAGES]
        missing = f"its language is {gpu[0]}: it needs a GPU; candidates are judged on the CPU here" if gpu else ""
        text = "\n".join(str(one["content"]) for one in sources)
        more = {"entry": entry, "destination": spec.get("destination_passing_style")}
        return self._made(folder, name, more, missing or needs_gpu(text))

    def _made(self, folder: Path, name: str, more: Mapping[str, Any], missing: str = "") -> Candidate:
        spec = {
            "kind": self._located.kind,
            "operator": self._operator,
            "name": name,
            "told": self._told,
            "templates": self._calls.templates,
            "shapes": self._calls.shapes,
            "outputs": self._calls.outputs,
            "in_place": self._calls.in_place,
            "destination": None,
            **more,
        }
        write_spec(folder, spec, [np.asarray(array) for array in self._arrays])
        plugin = folder / PLUGIN
        plugin.write_text(f"from harness.problems.wrapping import wrapped\n\ncandidate = wrapped({str(folder)!r})\n")
        tag = hashlib.sha256(str(plugin).encode()).hexdigest()[:8]
        declared = Declaration(
            self._operator, "torch", name, module=f"harness_candidate_{name}_{tag}", path=str(plugin), has_prepare=True
        )
        return Candidate(name, declared, missing)
