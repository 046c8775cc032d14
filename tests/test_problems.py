"""Problems of other projects: every candidate is judged by the source's own rule and by ours, and they may disagree."""

from __future__ import annotations

import dataclasses
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import needs_torch
from typer.testing import CliRunner

from harness.cli import app
from harness.declare import Case
from harness.implement import Declaration, implementations_in
from harness.judge.admission import exposes
from harness.judge.truth import draw_inputs, truth
from harness.judge.verdict import Verdict
from harness.precision import numpy_dtype
from harness.problems import axes, host, measuring, trying, wrapping
from harness.problems.candidates import Candidate, find, names_of
from harness.problems.hosting import Host, HostFailure, Located, locate
from harness.problems.judging import Session, judge
from harness.problems.kernelbench import KernelBench
from harness.problems.opinions import Judged, Opinion
from harness.problems.problem import FLASHINFER, GPUMODE, KERNELBENCH, SOL, BadProblem, Workload
from harness.problems.subjects import measured_subject, with_wrong_answers
from harness.problems.tensors import _generator_on_cpu, put_together, taken_apart, to_tensor
from harness.problems.wrapping import _model, needs_gpu
from harness.registry import load
from harness.store import Store

HERE = Path(__file__).parent / "problems"
EXAMPLES = Path(__file__).parent.parent / "examples" / "problems"


@cache
def judged(problem: Path, *candidates: Path) -> Judged:
    return judge(str(problem), [str(one) for one in candidates], seed=1, deadline_s=120)


def rows(found: Judged, candidate: str) -> list[Opinion]:
    """The rows of a candidate: of the workloads, and of the hard cases after each."""
    return sorted((one for one in found.opinions if one.candidate == candidate), key=lambda one: one.workload)


@needs_torch
def test_zeros_for_a_softmax_are_accepted_by_kernelbench_and_rejected_by_us() -> None:
    found = judged(EXAMPLES / "softmax.py", EXAMPLES / "softmax")
    own, hard = rows(found, "all_zeros")
    assert own.source_accepts and own.accepts is False and own.disagrees and hard.disagrees
    assert "atol = rtol = 0.0001" in own.source_rule and "accepts all zeros here" in own.source_note
    assert "524288 of 524288 elements are wrong" in own.reason and own.truth.startswith("our oracle of softmax(dim=1)")
    assert found.opinions[0].candidate == "all_zeros", "what disagrees is shown first"
    for one in (*rows(found, "honest"), *rows(found, "reference")):
        assert one.accepts and not one.disagrees and one.error_over_bound is not None and one.error_over_bound < 1
    assert own.mutants_killed == own.mutants and found.exit_code == 3


@needs_torch
def test_a_problem_of_ours_is_recognised_by_what_it_computes() -> None:
    found = judged(HERE / "kernelbench" / "mean.py", HERE / "kernelbench" / "mean")
    assert "mean(dim=1, keepdim=True)" in found.recognised
    own, hard = rows(found, "drops_the_last")
    assert own.accepts is False and "last_element_dropped" in own.reason
    own, hard = rows(found, "one_shape_only")
    assert own.accepts and hard.accepts, "to refuse other shapes loudly is not wrong"
    assert hard.cases and hard.cases_refused


@needs_torch
def test_an_unknown_problem_is_judged_by_its_reference_in_float64() -> None:
    found = judged(HERE / "kernelbench" / "linear.py", HERE / "kernelbench" / "linear")
    (honest,) = rows(found, "honest")
    assert honest.accepts and honest.source_accepts is False, "its seed gives its weights another order"
    assert "measured bound" in honest.truth and honest.mutants_killed == honest.mutants == 4
    (narrow,), (kept,), (writes,) = (rows(found, name) for name in ("half_inside", "remembers", "writes_its_input"))
    assert narrow.accepts is False and kept.accepts is False
    assert writes.source_accepts and writes.accepts is False and "modified its input 0" in writes.reason
    (missing,) = rows(found, "on_a_gpu")
    assert missing.status == "missing" and missing.accepts is None and "triton and a GPU" in missing.reason


@needs_torch
def test_a_reference_may_write_into_its_arguments_and_then_so_may_a_candidate() -> None:
    found = judged(HERE / "kernelbench" / "adds_in_place.py", HERE / "kernelbench" / "adds_in_place")
    assert [one.accepts for one in found.opinions] == [True, True] and found.exit_code == 0


@needs_torch
def test_a_bound_that_cannot_tell_says_so() -> None:
    found = judged(HERE / "kernelbench" / "cancels.py", HERE / "kernelbench" / "nothing.py")
    (zeros,) = rows(found, "nothing")
    assert zeros.source_accepts and zeros.status == "unsupported" and "too weak to tell" in zeros.reason
    assert "zeros" in zeros.reason and zeros.mutants_killed == 0 and found.exit_code == 5


@needs_torch
def test_a_random_reference_says_nothing() -> None:
    with pytest.raises(HostFailure, match="another answer each time"):
        judge(str(HERE / "kernelbench" / "drops_out.py"), seed=1)


@needs_torch
def test_flashinfer_bench_both_errors_must_exceed_its_tolerance() -> None:
    found = judged(HERE / "flashinfer")
    assert found.source == FLASHINFER and "logsumexp(dim=1)" in found.recognised
    own, hard = rows(found, "one_percent")
    assert own.disagrees and own.source_accepts and hard.accepts is False
    own, hard = rows(found, "without_maximum")
    assert own.accepts and own.source_accepts and hard.accepts is False and "inf where" in hard.reason
    assert all(one.accepts for one in rows(found, "writes")), "outputs may be handed in"
    assert rows(found, "for_a_gpu")[0].status == "missing"


@needs_torch
def test_sol_execbench_takes_tolerances_from_the_workload_and_all_outputs_count() -> None:
    found = judged(HERE / "sol")
    small, strict = rows(found, "solution_second_output_off")
    assert small.source_accepts and small.accepts is False and "output=1" in small.reason
    assert strict.source_accepts is False and "norm" in strict.source_reason and strict.accepts is False
    assert all(one.accepts and one.source_accepts for one in rows(found, "solution_honest"))


@needs_torch
def test_gpu_mode_asks_its_own_check_and_hands_in_memory_for_the_answer() -> None:
    found = judged(HERE / "gpumode" / "vector_mean", HERE / "gpumode" / "submissions")
    assert found.source == GPUMODE and "mean(dim=0, keepdim=True)" in found.recognised
    assert all(one.accepts and one.source_accepts for one in rows(found, "honest"))
    cheats = rows(found, "every_other")
    assert {one.workload.partition(":")[0] for one in cheats} == {"size=1023,seed=7", "size=2048,seed=11"}
    assert all(one.disagrees for one in cheats)


@needs_torch
def test_the_command_stores_what_it_found(tmp_path: Path) -> None:
    store = tmp_path / "results.sqlite"
    command = [sys.executable, "-m", "harness.cli", "judge", str(HERE / "kernelbench" / "adds_in_place.py")]
    done = subprocess.run([*command, "--store", str(store), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["candidate"] == "reference" and row["source_accepts"] is None and row["accepts"] is True
    with Store.open(str(store)) as opened:
        info = opened.run(None)
        (record,) = opened.records(info.run_id)
    assert info.command == "judge" and record.status == "passed" and record.operator == "adds_in_place"


@needs_torch
@pytest.mark.parametrize(
    ("right", "answer", "source", "accepted"),
    [
        # |error| 0.2 > 0.01, relative 0.002: one of the two is small enough for flashinfer-bench
        (100.0, 100.2, FLASHINFER, True),
        (0.001, 0.009, FLASHINFER, True),
        (1.0, 1.02, FLASHINFER, False),
        (float("inf"), float("inf"), FLASHINFER, False),
        (1.0, 1.0199, SOL, True),
        (1.0, 1.0201, SOL, False),
        (float("nan"), 1.0, SOL, False),
        # there a NaN that is right is a wildcard
        (float("nan"), 1.0, FLASHINFER, True),
    ],
)
def test_rules_of_definitions(right: float, answer: float, source: str, accepted: bool) -> None:
    import torch

    from harness.problems.flashinfer import off

    said = off(torch.tensor([answer]), torch.tensor([right]), source, atol=1e-2, rtol=1e-2, ratio=1.0, cap=None)
    assert (not said) == accepted


@needs_torch
def test_kernelbench_compares_relative_to_the_candidate() -> None:
    import torch

    problem = KernelBench(HERE / "kernelbench" / "mean.py")
    (workload,) = problem.workloads

    def double(value: float) -> torch.Tensor:
        return torch.tensor([value], dtype=torch.float64)

    def says(right: float, answer: float) -> str:
        return problem.accepts(workload, [], [double(right)], [double(answer)])

    # 1e-4 + 1e-4 |answer|: an answer above the truth has the larger tolerance
    assert not says(10.0, 10.00110005) and says(10.0, 9.99889995)
    assert "shape" in problem.accepts(workload, [], [torch.zeros(2)], [torch.zeros(1)])
    assert workload.trials == 5


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (EXAMPLES / "softmax.py", KERNELBENCH),
        (HERE / "flashinfer", FLASHINFER),
        (HERE / "flashinfer" / "definitions" / "logsumexp_v64.json", FLASHINFER),
        (HERE / "sol", SOL),
        (HERE / "sol" / "definition.json", SOL),
        (HERE / "gpumode" / "vector_mean", GPUMODE),
        (HERE / "gpumode" / "vector_mean" / "task.yml", GPUMODE),
    ],
    ids=str,
)
def test_the_kind_of_a_problem_is_told_from_its_files(path: Path, kind: str) -> None:
    assert locate(str(path)).kind == kind


def test_what_is_no_problem_is_refused_with_what_would_be_right(tmp_path: Path) -> None:
    for path, said in (
        (HERE / "kernelbench" / "nothing.py", "defines no Model"),
        (tmp_path, "is no problem"),
        (tmp_path / "absent", "no such file"),
        (HERE / "flashinfer" / "solutions" / "returns.json", "a definition without axes"),
    ):
        with pytest.raises(BadProblem, match=said):
            locate(str(path))
    problem = locate(str(EXAMPLES / "softmax.py"))
    with pytest.raises(BadProblem, match=r"is a \.py file"):
        find(problem, [str(HERE / "flashinfer" / "solutions" / "returns.json")])
    assert names_of([Path("a/x-1.py"), Path("b/x-1.py"), Path("reference.py")]) == [
        "x_1",
        "x_1_2",
        "candidate_reference",
    ]


@needs_torch
def test_a_problem_that_fails_says_where(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("class Model: pass\nraise RuntimeError('of its own')\n")
    with pytest.raises(HostFailure, match="of its own"):
        Host(locate(str(broken)), deadline_s=60)
    broken.write_text("import os\nclass Model: pass\nos._exit(3)\n")
    with pytest.raises(HostFailure, match="ended"):
        Host(locate(str(broken)), deadline_s=60)


def test_axes_are_constants_variables_and_plain_arithmetic() -> None:
    definition = {
        "n": {"type": "var"},
        "k": {"type": "const", "value": 6},
        "half": {"type": "expr", "expression": "whole // 2"},
        "whole": {"type": "expr", "expression": "n * k"},
    }
    assert axes.sizes(definition, {"n": 5}) == {"n": 5, "k": 6, "half": 15, "whole": 30}
    assert axes.bound(definition, {"x": {"shape": ["n", "k"]}}, [(2, 6)])["whole"] == 12
    for shapes, said in (([(2, 7)], "by the definition"), ([(2,)], "dimensions")):
        with pytest.raises(BadProblem, match=said):
            axes.bound(definition, {"x": {"shape": ["n", "k"]}}, shapes)
    for wrong in ("n.__class__", "__import__('os')", "n / 4", "missing", "1 // 0"):
        with pytest.raises(BadProblem, match="axis expression"):
            axes.sizes({**definition, "x": {"type": "expr", "expression": wrong}}, {"n": 5})


def test_a_measured_bound_follows_the_conditioning_of_each_element() -> None:
    x = np.array([[1.0, 1.0], [1000.0, -999.0]], np.float32)
    (true,), (scale,) = measuring.scales(lambda one: [one[0].sum(1)], [x], ["float32"], np.random.default_rng(0))
    assert list(true) == [2.0, 1.0] and scale[1] > 100 * scale[0], "cancelling costs digits"
    bound = measuring.bounds(true, scale, 1.0, "float32")
    assert np.all(bound < 1e-2) and np.all(bound > 2.0**-24)
    assert measuring.own_error(np.array([np.nan, 1.0], np.float32), true, scale, "float32") == np.inf


def test_what_needs_a_gpu_is_told_from_the_source() -> None:
    assert "triton" in needs_gpu("import torch\nimport triton.language as tl\n")
    assert "CUDA compiler" in needs_gpu("load_inline(name='k', cpp_sources=a, cuda_sources=b)")
    assert not needs_gpu("import torch\n# no triton, and no cuda\nx = torch.zeros(3, device='cuda')\n")


class Posed:
    """A problem without a process: softmax of the last axis, from bfloat16 rows; `answers` is its reference."""

    kind, name = FLASHINFER, "posed"
    workloads = (Workload("w", 1, "a rule"),)

    def __init__(self, answers: Callable[[np.ndarray], np.ndarray], dtype: str) -> None:
        self._answers, self._dtype, self.shapes = answers, numpy_dtype(dtype), itertools.repeat((6, 40))

    def generate(self, number: int, seed: int = 0) -> tuple[dict[str, object], tuple[np.ndarray, ...]]:
        drawn = np.random.default_rng(seed).standard_normal(next(self.shapes)).astype(self._dtype)
        return {"template": {"list": [{"array": 0}]}, "in_place": False}, (drawn,)

    def ask(self, asked: dict[str, object], arrays: Sequence[np.ndarray]) -> tuple[dict[str, object], list[np.ndarray]]:
        if asked["do"] == "run":
            return {}, [self._answers(arrays[0])]
        if asked["do"] == "wide":
            return {}, [softmax(arrays[0].astype(np.float64))]
        kind, rng = self._answers(arrays[0]).dtype.name, np.random.default_rng(0)
        (true,), (scale,) = measuring.scales(lambda one: [softmax(one[0])], arrays, [kind], rng)
        own = measuring.own_error(self._answers(arrays[0]), true, scale, kind)
        return {"own": [own]}, [true, measuring.bounds(true, scale, own, kind)]


class Judge:
    """A bench whose verdict on everything is the same."""

    def __init__(self, status: str) -> None:
        self._verdict = Verdict(status, "as told" if status != "passed" else "")

    def check(self, *_: object) -> Verdict:
        return self._verdict

    def accepted(self, *_: object) -> str:
        return "no"


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def a_candidate(name: str) -> Candidate:
    return Candidate(name, Declaration("posed", "torch", name, module=name, path=f"/nowhere/{name}"))


def session(posed: Posed, status: str = "passed") -> Session:
    return Session(Located(KERNELBENCH, Path("posed.py")), posed, load(), Judge(status), 1)  # type: ignore[arg-type]


def test_an_answer_in_another_dtype_than_the_input_is_judged_in_its_own() -> None:
    posed = Posed(lambda x: softmax(x.astype(np.float32)), "bfloat16")
    subject = session(posed).subject(0, a_candidate("reference"))
    (operator,), (case,) = subject.operators, subject.own
    assert "answers in float32 where our softmax has bfloat16" in subject.truth and not subject.weak
    (x,) = draw_inputs(operator, case, np.random.default_rng(3))
    call, right = truth(operator, case, (x,), None), softmax(x.astype(np.float32))
    assert x.dtype.name == case.dtype == "bfloat16" and call.compare(right).reason == ""
    assert "are wrong" in call.compare(right.astype(x.dtype).astype(np.float32)).reason, "a float32 of eight bits"
    assert "dtype bfloat16 where float32" in call.compare(right.astype(x.dtype)).reason


def test_where_the_reference_is_beyond_our_bound_the_bound_is_measured_or_nothing_is_said() -> None:
    posed = Posed(softmax, "float32")
    assert "derived bound" in session(posed).subject(0, a_candidate("reference")).truth
    own = session(posed, "failed")
    subject = own.subject(0, a_candidate("reference"))
    assert "itself beyond the bound of our softmax" in subject.truth
    # also of one with hard cases: those that the reference passes say something, its own case does not
    doubted = dataclasses.replace(subject, hard=subject.own, note=[""])
    assert [one.status for one in own.opinions(a_candidate("reference"), doubted)] == ["failed", "unsupported"]
    first = next(iter(own.opinions(a_candidate("other"), doubted)))
    assert first.status == "unsupported" and "reference is rejected too (as told)" in first.reason


def test_inputs_that_change_their_shapes_are_refused_in_a_line() -> None:
    posed = Posed(softmax, "float32")
    own = session(posed)
    posed.shapes = itertools.cycle(((6, 40), (7, 40)))
    with pytest.raises(BadProblem, match=r"change their shapes from draw to draw \(\[6, 40\], then \[7, 40\]\)"):
        own.subject(0, a_candidate("reference"))


def test_wrong_answers_of_a_measured_problem_have_the_right_dtype() -> None:
    case = Case("float32", ((4,),), (), values="problem")
    flags = np.array([1.0, 1.0, 1.0, 0.0])

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        return (rng.standard_normal(4).astype(np.float32),)

    operator = measured_subject("flags", case, draw, lambda arrays: (flags, np.zeros(4)), "bool")
    armed = with_wrong_answers(operator, case, draw)
    call = truth(armed, case, draw(np.random.default_rng(0)), None)
    alive = [one.name for one in armed.mutants if not exposes(call, one)]
    assert alive == ["any_stale"], "the answer never depends on the inputs: one to other inputs is right"


def test_the_json_of_a_nan_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opinion = Opinion(
        source=KERNELBENCH,
        problem="p",
        candidate="nan",
        workload="problem",
        case="float32[4]",
        status="failed",
        reason="4 of 4 elements are wrong",
        truth="an oracle",
        error_over_bound=float("inf"),
        max_abs_error=float("nan"),
    )
    found = Judged(KERNELBENCH, "p", "it is ours", 1, (opinion,))
    monkeypatch.setattr("harness.problems.judging.judge", lambda *_, **__: found)
    done = CliRunner().invoke(app, ["judge", "p.py", "--json", "--store", str(tmp_path / "s.sqlite")])

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    (row,) = json.loads(done.stdout, parse_constant=refused)
    assert done.exit_code == 3 and row["error_over_bound"] == "Infinity" and row["max_abs_error"] is None


def test_every_candidate_has_a_name_of_its_own() -> None:
    paths = [Path(name) for name in ("softmax-2.py", "softmax.py", "a/softmax.py", "b/softmax.py", "a/softmax-2.py")]
    assert names_of(paths) == ["softmax_2", "softmax", "softmax_3", "softmax_4", "softmax_2_2"]


@needs_torch
def test_a_model_may_have_several_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(sys, "path", list(sys.path))
    source = "import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        return x + 1, x * 2\n"
    (tmp_path / "candidate.py").write_text(source)
    told = {"init": [], "precision": "float32", "state": {}}
    for outputs, count in ((2, 2), (1, 1)):  # where one is right, a pair is one wrong answer
        spec = {"kind": KERNELBENCH, "entry": "candidate.py", "class": "ModelNew", "outputs": outputs}
        assert len(_model(tmp_path, spec, told, seeded=True)([torch.ones(3)])) == count


@needs_torch
def test_flags_are_compared_by_kernelbench() -> None:
    import torch

    problem = KernelBench(HERE / "kernelbench" / "mean.py")
    flags = torch.tensor([True, False])
    says = [problem.accepts(problem.workloads[0], [], [flags], [other]) for other in (flags, ~flags)]
    assert says == ["", "not all close: off by up to 1"]


class Pair(NamedTuple):
    left: object
    right: object


@needs_torch
def test_tuples_of_other_types_are_arguments_too() -> None:
    import torch

    held: list[np.ndarray] = []
    template = json.loads(json.dumps(taken_apart([torch.Size([2, 3]), Pair(torch.ones(2), [4])], held)))
    size, pair = put_together(template, [to_tensor(array) for array in held])
    assert size.numel() == 6 and type(size) is torch.Size
    assert pair.left.tolist() == [1, 1] and pair[1] == pair.right == [4]
    (maxima,) = put_together(taken_apart([torch.ones(2, 2).max(dim=1)], held := []), list(map(to_tensor, held)))
    assert len(maxima) == 2


@needs_torch
def test_without_a_gpu_a_generator_is_still_a_class() -> None:
    import torch

    kind = _generator_on_cpu()
    made = kind("cuda").manual_seed(3)  # type: ignore[attr-defined]
    right = torch.randn(3, generator=torch.Generator().manual_seed(3))
    assert isinstance(made, kind) and isinstance(torch.default_generator, kind) and not isinstance(3, kind)
    assert (kind | None) and torch.equal(torch.randn(3, generator=made), right)


class Worker:
    """Stands for a worker process: only whether it is open."""

    def __init__(self, **_: object) -> None:
        self.open = True

    def close(self) -> None:
        self.open = False


def test_a_few_workers_are_kept_and_a_new_one_gets_its_time_to_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "WorkerProcess", Worker)
    tried = [a_candidate(f"c{number}") for number in range(6)]
    with trying.Bench(load(), 1, 10.0) as bench:
        made = {one.name: bench._worker(one)[0] for one in tried}
        assert [one.open for one in made.values()] == [True, True, True, False, False, True]
        first, again = tried[0], bench._worker(tried[0])
        assert again == (made["c0"], 10.0), "it is prepared, and keeps its worker"
        bench._drop(first)
        replaced, deadline_s = bench._worker(first)
        assert replaced is not made["c0"] and deadline_s > 10.0
        assert bench._worker(tried[3])[1] > 10.0, "so does one that was put away"
    assert not any(one.open for one in (*made.values(), replaced))


class Counting:
    """A problem in its process: whole numbers that float64 does not have, and a trial that is its own answer."""

    outputs = ()
    workloads = (Workload("a", 3, ""), Workload("b", 1, ""))

    def inputs(self, workload: Workload, seed: int, trial: int | None) -> object:
        return [to_tensor(np.array([seed, 2**53 + 1]))]

    def run(self, workload: Workload, arguments: list[object]) -> list[object]:
        return list(arguments)

    run_wide = run

    def accepts(self, workload: Workload, arguments: object, right: list[object], answers: list[object]) -> str:
        return "" if str(right) == str(answers) else "another"


@needs_torch
def test_the_process_of_a_problem_keeps_no_trials_and_no_digits_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_opened", lambda request: Counting())
    held = host.Host({"path": str(HERE / "kernelbench" / "mean.py")})
    for workload, trial in ((0, 0), (0, 1), (0, 2)):
        asked = {"workload": workload, "trial": trial, "seed": trial}
        _, arrays = held.serve({"do": "trial", **asked}, [])
        assert held.serve({"do": "accepts", **asked}, list(arrays))[0] == {"reason": ""}
    assert sorted(held._trials) == [(0, 0), (0, 2)]
    assert held.serve({"do": "zeros", "workload": 0}, [])[0]["accepted"] is False
    _, arrays = held.serve({"do": "trial", "workload": 1, "trial": 0, "seed": 4}, [])
    assert sorted(held._trials) == [(1, 0)]
    _, (true, bound) = held.serve({"do": "truth", "workload": 1, "seed": 1}, list(arrays))
    assert true.dtype == np.int64 and true.tolist() == [4, 2**53 + 1] and not bound.any()


def test_an_interrupt_while_a_problem_starts_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            started.append(self)

    def interrupted(self: Host, *_: object) -> None:
        connections.append(self._connection)
        raise KeyboardInterrupt

    connections: list[socket.socket] = []
    monkeypatch.setattr(subprocess, "Popen", Kept)
    monkeypatch.setattr(Host, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Host(Located(KERNELBENCH, tmp_path / "p.py"), deadline_s=60)
    assert [one.returncode for one in started] == [-9] and connections[0].fileno() == -1
    assert not list(tmp_path.iterdir())


def test_inputs_of_all_workloads_are_not_kept_at_once() -> None:
    posed = Posed(softmax, "float32")
    drawn: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def generate(number: int, seed: int = 0) -> tuple[dict[str, object], tuple[np.ndarray, ...]]:
        told, (x,) = Posed.generate(posed, number, seed)
        alive.append(sum(one() is not None for one in drawn))
        drawn.append(weakref.ref(x))
        return told, (x,)

    posed.workloads = tuple(Workload(f"w{number}", 1, "a rule") for number in range(5))
    posed.generate = generate  # type: ignore[method-assign]
    session(posed)
    assert len(drawn) >= 5 and max(alive) <= 1


@needs_torch
def test_too_few_outputs_or_too_many_are_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    case = Case("float32", ((3,),), (("workload", "w"), ("output", 1)))
    given = [torch.ones(3)] * 3
    for count, right in ((0, False), (1, False), (2, True), (3, False)):
        monkeypatch.setattr(wrapping, "_built", lambda *_, count=count: lambda arguments: given[:count])
        told = {"kind": KERNELBENCH, "operator": "p", "name": "c", "outputs": 2, "in_place": False}
        spec = {**told, "templates": {"w": {"list": [{"array": 0}]}}, "shapes": {"w": [[3]]}}
        wrapping.write_spec(tmp_path, spec, [])
        (declared,) = implementations_in([wrapping.wrapped(str(tmp_path))])
        assert declared.prepare is not None
        run = declared.prepare(case)
        if count == 1:
            with pytest.raises(ValueError, match="1 outputs where 2 are right"):
                run(torch.ones(3), output=1)
        else:
            assert isinstance(run(torch.ones(3), output=1), torch.Tensor) == right, count
