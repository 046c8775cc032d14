"""Problems of GPU MODE: a folder with `task.yml` and `reference.py`; a submission has `custom_kernel(data)`.

`task.yml` lists the files of the problem (each with the place it is taken from), the parameters of `generate_input` for
every test and benchmark, and where it starts. The source's rule is the problem's own `check_implementation(data,
answer)`: it is called as its runner calls it, with a copy of the data from before the call. It returns a text (empty:
accepted) or a pair of a truth value and a text. By default it compares with `ref_kernel(data)`: positions of NaN and of
infinities must agree, and |answer - right| <= 1e-8 + 1e-5 |right|; problems set other tolerances (up to 1e-1 was seen).

Data may hold memory for the answer, as its last tensor: it is told by the reference, which does not read it. Problems
name the device `cuda` in their code; without a GPU that is read as the CPU, and the random numbers are other ones.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

from harness.documents import UnreadableFile, harmless, place_inside, text_of
from harness.problems.problem import BadProblem, Workload, module_from, seed_everything
from harness.problems.tensors import answers_of, in_float64

SEED = 42
SUBMISSION = "@SUBMISSION@"
LARGEST_BYTES = 10_000_000
LONGEST_TEXT, MOST_VALUES = 200, 64
"""Of a parameter: characters of a text, and entries of a list."""


def read_task(folder: Path) -> dict[str, Any]:
    """`task.yml` as data. Raises BadProblem, also where PyYAML is missing."""
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise BadProblem("task.yml needs PyYAML; type: pip install 'kernel-harness[problems]'") from None
    where = folder / "task.yml"
    try:
        data = yaml.safe_load(text_of(where, LARGEST_BYTES))
    except UnreadableFile as error:
        raise BadProblem(str(error)) from None
    except RecursionError:
        raise BadProblem(f"{where}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise BadProblem(f"{where}: is no YAML: {harmless(' '.join(str(error).split()), 300)}") from None
    if not isinstance(data, dict) or not isinstance(data.get("tests"), list) or not data["tests"]:
        raise BadProblem(f"{where} lists no tests")
    benchmarks, files = data.get("benchmarks") or [], data.get("files") or []
    if not isinstance(benchmarks, list) or not isinstance(files, list):
        raise BadProblem(f"{where}: benchmarks and files are lists, if they are there")
    for number, case in enumerate((*data["tests"], *benchmarks)):
        if not isinstance(case, dict) or not all(_is_parameter(*one) for one in case.items()):
            raise BadProblem(
                f"{where}: case {number} is no set of parameters, each a number, a text, or a list of those"
            )
    for one in files:
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("name", "source")):
            raise BadProblem(f"{where}: files: each is an object with name and source")
    return data


def _is_parameter(name: object, value: object) -> bool:
    """Whether this can be handed to `generate_input`, and stand in the name of a workload. An alias of YAML may stand
    for what is far larger than the file, so that nothing is looked into more than once."""
    if not isinstance(name, str) or not name.isidentifier():
        return False
    held = value if isinstance(value, list) else [value]
    return len(held) <= MOST_VALUES and all(
        one is None
        or isinstance(one, bool | float)
        or (isinstance(one, int) and abs(one) < 2**63)
        or (isinstance(one, str) and one.isprintable() and len(one) <= LONGEST_TEXT)
        for one in held
    )


def lay_out(folder: Path, task: dict[str, Any], target: Path) -> None:
    """Put the problem's files where its code expects them; without the submission."""
    for one in task.get("files") or [{"name": file.name, "source": file.name} for file in folder.glob("*.py")]:
        name, source = str(one["name"]), str(one["source"])
        if source == SUBMISSION or name == "submission.py":
            continue
        try:
            place = place_inside(target, name)
            # what several problems share lies beside them, and is named `../utils.py`
            above = source.startswith("../")
            taken = place_inside(folder.resolve().parent if above else folder, source.removeprefix("../"))
        except ValueError as error:
            raise BadProblem(f"{folder / 'task.yml'}: {error}") from None
        if not taken.is_file():
            raise BadProblem(f"{folder / 'task.yml'}: no file {source}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(taken, place)


class Task:
    """A GPU MODE problem in its process; the working directory is its own."""

    outputs: tuple[str, ...] = ()

    def __init__(self, folder: Path, benchmarks: bool = False) -> None:
        """`benchmarks` are taken besides the tests."""
        task = read_task(folder)
        here = Path.cwd() / "problem"
        here.mkdir()
        lay_out(folder, task, here)
        seed_everything(SEED)
        module = module_from(here / "reference.py", "reference", here)
        for wanted in ("generate_input", "check_implementation"):
            if not callable(getattr(module, wanted, None)):
                raise BadProblem(f"{folder / 'reference.py'} has no {wanted}")
        self.name = folder.resolve().name
        self._generate, self._check = module.generate_input, module.check_implementation
        self._reference = getattr(module, "ref_kernel", None)
        cases = [*task["tests"], *((task.get("benchmarks") or ()) if benchmarks else ())]
        names = [",".join(f"{key}={value}" for key, value in case.items()) for case in cases]
        self.workloads = [
            Workload(name, 1, "its check_implementation", {"case": case})
            for number, (name, case) in enumerate(zip(names, cases, strict=True))
            if name not in names[:number]
        ]

    def inputs(self, workload: Workload, seed: int, trial: int | None) -> Any:
        case = dict(workload.details["case"])
        seed_everything(SEED if trial is not None else seed)
        if trial is None and "seed" in case:
            case["seed"] = seed % 2**31
        return [self._generate(**case)]

    def run(self, workload: Workload, arguments: Any) -> list[Any]:
        import torch

        if self._reference is None:
            raise BadProblem(f"{self.name}: reference.py has no ref_kernel, so nothing says what is right")
        with torch.no_grad():
            return answers_of(self._reference(*arguments))

    def run_wide(self, workload: Workload, arguments: Any) -> list[Any]:
        with in_float64():
            return self.run(workload, arguments)

    def accepts(self, workload: Workload, arguments: Any, right: list[Any], answers: list[Any]) -> str:
        answer = answers[0] if len(answers) == 1 else tuple(answers)
        try:
            said = self._check(*arguments, answer)
        except Exception as error:
            return f"check_implementation raised {type(error).__name__}: {error}"
        if isinstance(said, tuple):
            good, text = bool(said[0]), str(said[1] if len(said) > 1 else "")
        else:
            good, text = not said, str(said)
        return "" if good else (" ".join(text.split())[:300] or "rejected without a reason")

    def candidate(self) -> dict[str, Any]:
        # what the problem lets a submission import: its types and helpers, and not the reference
        return {"modules": {name: text for name in ("task", "utils") if (text := _text_of(name))}}


def _text_of(name: str) -> str:
    """The source of a module of the problem that its reference imported, or an empty text."""
    module = sys.modules.get(name)
    return "" if module is None else inspect.getsource(module)
