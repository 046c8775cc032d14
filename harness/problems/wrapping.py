"""The worker's side of a candidate: its source becomes an ordinary implementation of a plugin.

A generated plugin calls `wrapped(folder)`. The folder holds what a candidate may know, and nothing of what is right:
its own source, the arguments that its model is built from, the weights of the reference, the shapes of its outputs.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.declare import Case
from harness.implement import Unsupported, implementation
from harness.problems import axes
from harness.problems.kernelbench import SEED
from harness.problems.problem import GPUMODE, KERNELBENCH, BadProblem, module_from, seed_everything
from harness.problems.tensors import answers_of, poisoned, put_together, to_tensor, without_gpu

SPEC, STATE = "spec.json", "state.npz"
SEEDED = "seeded"
"""In a case: the weights are those that the seed gives."""
Call = Callable[[Sequence[Any]], list[Any]]
NEEDS_GPU = (
    (re.compile(r"^\s*(?:import|from)\s+(triton|tilelang|cutlass|cupy|pycuda|tilus|thunderkittens)\b", re.M), "{}"),
    (re.compile(r"cuda_sources\s*=|__global__\s+void|CUDAExtension|\.cu['\"]"), "the CUDA compiler"),
    (re.compile(r"torch\.cuda\.(?:Stream|Event|CUDAGraph|graph)\b"), "CUDA streams or graphs"),
)
"""What in a source says that it runs on a GPU only, and how that is called in the reason."""


def needs_gpu(source: str) -> str:
    """Why a source cannot run on a CPU, or an empty text."""
    for pattern, name in NEEDS_GPU:
        found = pattern.search(source)
        if found:
            return f"it needs {name.format(*found.groups())} and a GPU; candidates are judged on the CPU here"
    return ""


def write_spec(folder: Path, spec: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
    """Write what a candidate may know. Arrays are kept as bytes: NumPy's files have no bfloat16."""
    heads = [{"dtype": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    (folder / SPEC).write_text(json.dumps({**spec, "arrays": heads}))
    held = {str(number): np.frombuffer(array.tobytes(), np.uint8) for number, array in enumerate(arrays)}
    np.savez(folder / STATE, **held)  # type: ignore[arg-type]


def wrapped(folder: str) -> Callable[..., Any]:
    """The candidate in `folder`, marked as an implementation; its source runs when it is first prepared."""
    place = Path(folder)
    spec = json.loads((place / SPEC).read_text())
    made: dict[bool, Call] = {}

    def prepare(case: Case) -> Callable[..., Any]:
        # the source's own checker trusts the seed to give a candidate the reference's weights; we hand them over
        seeded = dict(case.parameters).get("weights") == SEEDED
        if seeded not in made:
            made[seeded] = _built(place, spec, seeded)
        call, template = made[seeded], spec["templates"][dict(case.parameters)["workload"]]
        own_shapes = [tuple(shape) for shape in spec["shapes"][dict(case.parameters)["workload"]]]
        if _has_buffer(template) and list(case.shapes) != own_shapes:
            raise Unsupported("the memory for its answer is known for the problem's own shapes only")

        def run(*arrays: Any, **parameters: Any) -> Any:
            import torch

            own = [one.clone() for one in arrays] if spec["in_place"] else arrays
            with torch.no_grad():
                answers = call(put_together(template, own))
            number = int(parameters.get("output", 0))
            if 0 < len(answers) <= number:
                raise ValueError(f"{len(answers)} outputs where {spec['outputs']} are right")
            # too many are wrong, and the judge says so
            return answers[number] if number < len(answers) <= spec["outputs"] else tuple(answers)

        return run

    def candidate(*arrays: Any, **parameters: Any) -> Any:
        raise Unsupported("a candidate is called as it was prepared")

    mark = implementation(spec["operator"], backend="torch", name=spec["name"], prepare=prepare)
    return mark(candidate)


def _has_buffer(template: Any) -> bool:
    ((kind, held),) = template.items()
    if kind == "buffer":
        return True
    inside = held.values() if kind in ("dict", "namedtuple") else held if kind in ("list", "tuple") else ()
    return any(_has_buffer(one) for one in inside)


def _built(place: Path, spec: Mapping[str, Any], seeded: bool) -> Call:
    if any("cuda" in file.read_text(errors="replace") for file in place.glob("**/*.py")):
        without_gpu()
    with np.load(place / STATE, allow_pickle=False) as stored:
        tensors = [
            to_tensor(_array(stored[str(number)], head["dtype"], head["shape"]))
            for number, head in enumerate(spec["arrays"])
        ]
    told = put_together(spec["told"], tensors)
    if spec["kind"] == KERNELBENCH:
        return _model(place, spec, told, seeded)
    return (_submission if spec["kind"] == GPUMODE else _solution)(place, spec, told)


def _array(raw: np.ndarray, dtype: str, shape: Sequence[int]) -> np.ndarray:
    from harness.precision import numpy_dtype

    return np.asarray(np.frombuffer(raw.tobytes(), numpy_dtype(dtype)).reshape(shape))


def _model(place: Path, spec: Mapping[str, Any], told: Mapping[str, Any], seeded: bool) -> Call:
    """KernelBench: built from the reference's arguments under the reference's seed; unless `seeded`, the reference's
    weights are handed over, where it has the same ones by name and shape."""
    import torch

    module = module_from(place / spec["entry"], "candidate", place)
    kind = getattr(module, spec["class"], None)
    if kind is None:
        raise AttributeError(f"it defines no {spec['class']}")
    with torch.no_grad():
        seed_everything(SEED)
        model = kind(*told["init"]).to(dtype=getattr(torch, told["precision"]))
    own, state = model.state_dict(), told["state"]
    if not seeded and own.keys() == state.keys() and all(own[name].shape == state[name].shape for name in own):
        model.load_state_dict(state)
    return lambda arguments: answers_of(model(*arguments)) if spec["outputs"] > 1 else [model(*arguments)]


def _submission(place: Path, spec: Mapping[str, Any], told: Mapping[str, Any]) -> Call:
    """GPU MODE: `custom_kernel(data)`, beside the small modules of the problem that it may import."""
    # a worker writes in its own folder only; what the problem brings is found before what lies beside the candidate
    beside = Path(tempfile.mkdtemp())
    for name, text in told["modules"].items():
        (beside / f"{name}.py").write_text(text)
    sys.path[0:0] = [str(beside), str(place)]
    module = module_from(place / spec["entry"], "submission")
    kernel = getattr(module, "custom_kernel", None)
    if kernel is None:
        raise AttributeError("it defines no custom_kernel")
    return lambda arguments: answers_of(kernel(*arguments)) if spec["outputs"] > 1 else [kernel(*arguments)]


def _solution(place: Path, spec: Mapping[str, Any], told: Mapping[str, Any]) -> Call:
    """flashinfer-bench, SOL-ExecBench: returns its outputs, or is handed memory for them (destination passing)."""
    file, _, entry = spec["entry"].partition("::")
    module = module_from(place / file, "solution", place)
    run = getattr(module, entry or "run", None)
    if run is None:
        raise AttributeError(f"it defines no {entry or 'run'}")
    inputs, outputs = told["inputs"], told["outputs"]
    destination = spec["destination"]
    if destination is None:
        destination = _positional(run) != len(inputs)

    def call(arguments: Sequence[Any]) -> list[Any]:
        if not destination:
            return answers_of(run(*arguments), tuple(outputs))
        shapes = [tuple(one.shape) if hasattr(one, "shape") else None for one in arguments]
        try:
            sizes = axes.bound(told["axes"], inputs, shapes)
        except BadProblem as error:
            raise Unsupported(str(error)) from None
        held = [poisoned([sizes[axis] for axis in one["shape"] or ()], one["dtype"]) for one in outputs.values()]
        run(*arguments, *held)
        return held

    return call


def _positional(function: Callable[..., Any]) -> int:
    code = getattr(function, "__code__", None)
    return int(code.co_argcount) if code is not None else -1
