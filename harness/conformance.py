"""RUN: check one task in a worker and judge what comes back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from harness.declare import Case, Operator, Probe
from harness.heavy import outweighed_inputs
from harness.judge.diagnosis import diagnose
from harness.judge.truth import Truth, derived, draw_inputs, generator, gradient_truth, has_gradient, in_parts, truth
from harness.judge.verdict import Judged, Verdict, broken_law, judge_answer, same_bits, worst_of
from harness.plan import Task
from harness.process import WorkerProcess
from harness.registry import Registry
from harness.stage import Received, Refused, Stage

LARGE = 1 << 16
"""Elements above which a case is not also put to the laws: its own answers are judged, on every draw."""


@dataclass(frozen=True, slots=True)
class Law:
    """A property at work on one task: the probe, and which call holds its derived inputs (None: one answer will do)."""

    name: str
    probe: Probe
    call: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls of one request, and what each is for."""

    calls: list[Truth]
    laws: list[Law]
    repeat: int
    batch: int | None
    gradients: range


def check_task(
    task: Task, operator: Operator, registry: Registry, worker: WorkerProcess, seed: int, deadline_s: float
) -> Verdict:
    """All gates on one task. Every draw is fresh; the second request puts new values at the first one's addresses.

    Raises WorkerFailure if the worker is lost.
    """
    try:
        if task.case.raises:
            return _check_bad_input(task, operator, registry, worker, seed, deadline_s)
        first = _plan(task, operator, registry, seed)
        received = _ask(task, registry, worker, first.calls, deadline_s)
        verdict = _judge_first(task, operator, registry, first, received)
        if verdict.status != "passed":
            return verdict
        return _judge_again(task, operator, registry, worker, seed, deadline_s, verdict)
    except Refused as refusal:
        return Verdict(refusal.status, refusal.reason)


def check_given(
    task: Task,
    operator: Operator,
    registry: Registry,
    worker: WorkerProcess,
    inputs: tuple[np.ndarray, ...],
    deadline_s: float,
) -> Verdict:
    """One call on these inputs, judged, and once more for its bits. Raises WorkerFailure if the worker is lost."""
    try:
        call = truth(operator, task.case, inputs, task.declaration.accumulation)
        if not np.all(np.isfinite(call.bound)):
            return Verdict(
                "unsupported", "not a digit is guaranteed here: a step overflows, or too many roundings add up"
            )
        received = _ask(task, registry, worker, [call, dataclasses.replace(call)], deadline_s)
        answers, failure = _judge_all(task, operator, registry, [call, call], received)
        worst = worst_of(one.comparison for one in answers)
        return Verdict("passed", "", worst) if failure is None else dataclasses.replace(failure, worst=worst)
    except Refused as refusal:
        return Verdict(refusal.status, refusal.reason)


def _check_bad_input(
    task: Task, operator: Operator, registry: Registry, worker: WorkerProcess, seed: int, deadline_s: float
) -> Verdict:
    inputs = draw_inputs(operator, task.case, generator(seed, task.id, 0))
    nothing = np.zeros(task.case.shapes[0])
    received = _ask(task, registry, worker, [Truth(task.case, inputs, nothing, nothing)], deadline_s)
    answer = received.reply.answers[0]
    if damage := received.damage():
        return Verdict("failed", damage, tainted=True)
    if answer.error and answer.error_kind == "error":
        return Verdict("passed")
    if answer.error:
        return Verdict(answer.error_kind, answer.error)
    shapes = ", ".join(f"{output.dtype}{list(output.shape)}" for output in answer.outputs)
    return Verdict("failed", f"returned {shapes} for bad input instead of raising: {task.case.raises}")


def _plan(task: Task, operator: Operator, registry: Registry, seed: int) -> Plan:
    """The first request: the case itself, what its laws derive from it, part of its batch, its gradients, and the same
    once more."""
    rng = generator(seed, task.id, 0)
    claim = task.declaration.accumulation
    inputs = draw_inputs(operator, task.case, rng)
    calls = [truth(operator, task.case, inputs, claim)]
    laws: list[Law] = []
    batch = None
    if operator.accept is None and sum(array.size for array in inputs) < LARGE:
        for law in operator.properties:
            probe = law.probe(task.case, inputs, rng)
            if probe is None:
                continue
            if probe.inputs is not None:
                calls.append(truth(operator, derived(task.case, probe.inputs, probe.parameters), probe.inputs, claim))
            laws.append(Law(law.name, probe, None if probe.inputs is None else len(calls) - 1))
        part = _part_of_batch(task.case)
        if part is not None:
            smaller = (inputs[0][:part],)
            batch = len(calls)
            calls.append(truth(operator, derived(task.case, smaller, None), smaller, claim))
    before = len(calls)
    if registry.has_gradient(task.declaration) and has_gradient(operator, task.case):
        calls += [gradient_truth(operator, calls[0], one, rng, claim) for one in operator.gradients]
        if registry.backends[task.declaration.backend].differentiates and not task.declaration.has_gradient:
            # the same in two parts, which the library has to accumulate
            calls.append(in_parts(calls[before], 2))
    gradients = range(before, len(calls))
    calls.append(dataclasses.replace(calls[0]))
    return Plan(calls, laws, len(calls) - 1, batch, gradients)


def _part_of_batch(case: Case) -> int | None:
    """How many leading rows make up half of a batch, where the first axis is one: reduced along a later axis."""
    dim = dict(case.parameters).get("dim")
    if len(case.shapes) != 1 or len(case.shapes[0]) < 2 or case.layout != "contiguous" or not isinstance(dim, int):
        return None
    rows = case.shapes[0][0]
    return rows // 2 if dim % len(case.shapes[0]) != 0 and rows >= 2 and 0 not in case.shapes[0] else None


def _ask(task: Task, registry: Registry, worker: WorkerProcess, calls: list[Truth], deadline_s: float) -> Received:
    stage = Stage(worker, calls, slots=len(calls))
    # one sample: all answers are alive together, so that none can share memory with another
    return stage.ask(task, registry, [list(range(len(calls)))], deadline_s)


def _judge_first(task: Task, operator: Operator, registry: Registry, plan: Plan, received: Received) -> Verdict:
    answers, failure = _judge_all(task, operator, registry, plan.calls, received)
    repeat = answers[plan.repeat]
    bitwise = same_bits(answers[0].array, repeat.array)
    invariant = None
    if plan.batch is not None and answers[0].array is not None:
        part = answers[plan.batch].array
        invariant = same_bits(answers[0].array[: task.case.shapes[0][0] // 2], part)
    worst = worst_of(one.comparison for one in answers)
    gradient = None
    if plan.gradients:
        gradient = next((answers[one].status for one in plan.gradients if answers[one].status != "passed"), "passed")
    if failure is not None:
        return dataclasses.replace(failure, worst=worst, gradient_status=gradient)
    for law in plan.laws:
        other, second = (None, None) if law.call is None else (answers[law.call], plan.calls[law.call])
        reason = broken_law(law.name, law.probe, answers[0], other, plan.calls[0], second)
        if reason:
            return Verdict("failed", reason, worst, bitwise, invariant, gradient_status=gradient)
    return Verdict("passed", "", worst, bitwise, invariant, gradient_status=gradient)


def _judge_again(
    task: Task,
    operator: Operator,
    registry: Registry,
    worker: WorkerProcess,
    seed: int,
    deadline_s: float,
    verdict: Verdict,
) -> Verdict:
    """New values at the addresses of the first request, and an answer that must outlive the next call."""
    claim = task.declaration.accumulation
    # in the first of them half of a long sum is not as near as the whole
    draws = [
        draw(operator, task.case, generator(seed, task.id, number))
        for number, draw in enumerate((outweighed_inputs, draw_inputs), 1)
    ]
    calls = [truth(operator, task.case, inputs, claim) for inputs in draws]
    received = _ask(task, registry, worker, calls, deadline_s)
    answers, failure = _judge_all(task, operator, registry, calls, received)
    worst = worst_of([verdict.worst, *(one.comparison for one in answers)])
    if failure is not None:
        reason = failure.reason
        if failure.status == "failed":
            reason = f"on new values at the same address: {reason}"
        return dataclasses.replace(failure, reason=reason, worst=worst)
    # both calls are of the case itself, so half of what was counted is one call's
    device = received.reply.device
    return dataclasses.replace(verdict, worst=worst, device=None if device is None else device.of_one(len(calls)))


def _judge_all(
    task: Task, operator: Operator, registry: Registry, calls: list[Truth], received: Received
) -> tuple[list[Judged], Verdict | None]:
    """Every answer judged, and the first failure: of an answer, of what was damaged, or of an answer that changed."""
    array_type = registry.backends[task.declaration.backend].array_type
    answers = [
        judge_answer(received.reply.answers[number], received.read(number), call, array_type)
        for number, call in enumerate(calls)
    ]
    if damage := received.damage():
        return answers, Verdict("failed", damage, tainted=True)
    for judged, call in zip(answers, calls, strict=True):
        if judged.status != "passed":
            lesson = "" if judged.array is None else diagnose(operator, call, judged.array)
            what = "" if call.gradient is None else f"gradient of input {call.gradient}: "
            reason = what + "; ".join(filter(None, (judged.comparison.reason, lesson)))
            return answers, Verdict(judged.status, reason, tainted=bool(received.reply.state_changes))
    if same_bits(answers[0].array, received.read(len(calls))) is False:
        return answers, Verdict(
            "failed", "its output was written again by a later call: each call must return a new array"
        )
    if received.reply.state_changes:
        return answers, Verdict(
            "failed", f"changed the state of the process: {received.reply.state_changes}", tainted=True
        )
    return answers, None
