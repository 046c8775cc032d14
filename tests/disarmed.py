"""The harness without one of its defences: what an attack gains then. Each function takes one defence away."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.sabotage.attack import Attack, Defence

import harness.conformance as conformance
import harness.judge.truth as truth
import harness.judge.verdict as verdict
import harness.process as process
import harness.stage as stage
import harness.supervisor as supervisor
import harness.timing.exchange as exchange
import harness.timing.rotation as rotation
import harness.timing.session as session
import harness.trials.trust as trust
from harness import wire
from harness.arena import Arena
from harness.judge.compare import Comparison
from harness.judge.verdict import Judged, Verdict
from harness.precision import numpy_dtype
from harness.registry import Registry
from harness.sandbox import policy
from harness.stage import Asked, Received, Stage
from harness.timing.audit import Audit
from harness.timing.groups import Timing
from harness.timing.turn import Turn

WORKER = Path(__file__).parent / "disarmed_worker.py"
LOOSE = 1e-2
"""Tolerance, absolute and relative, of those who have no bound (KernelBench)."""
ORDINARY = ("normal", "uniform", "integers")
Patch = pytest.MonkeyPatch


def take_away(defences: tuple[Defence, ...], registry: Registry, patch: Patch) -> Registry:
    """Have the harness do without these defences as long as the patch lasts; returns the registry to run with."""
    parts: set[str] = set()
    for defence in defences:
        parts |= set(AT_THE_WORKER.get(defence, ()))
        registry = TAKEN_AWAY[defence](registry, patch) or registry
    if parts:
        command = [sys.executable, str(WORKER), ",".join(sorted(parts))]
        patch.setattr(process, "worker_command", lambda *_, **__: list(command))
    return registry


AT_THE_WORKER = {
    Defence.STRUCTURE: ("structure",),
    Defence.MEMORY: ("copies",),
    Defence.POISON: ("poison",),
}


def old_inputs(registry: Registry, patch: Patch) -> Registry:
    """The same inputs each time: no second draw, nothing derived from the first, nothing changed between bursts."""
    honest = conformance.generator
    patch.setattr(conformance, "generator", lambda *_: honest(0, "", 0))
    patch.setattr(Stage, "touch", lambda *_: None)
    patch.setattr(rotation, "draw_calls", _one_draw(rotation.draw_calls))
    plain = {name: dataclasses.replace(one, properties=()) for name, one in registry.operators.items()}
    patch.setattr(conformance, "_part_of_batch", lambda case: None)
    return dataclasses.replace(registry, operators=plain)


def _one_draw(draw_calls: Callable[..., Any]) -> Callable[..., Any]:
    def same(*arguments: Any) -> Any:
        calls = draw_calls(*arguments)
        return [dataclasses.replace(calls[0]) for _ in calls]

    return same


def unjudged_timing(registry: Registry, patch: Patch) -> None:
    """Answers of timed calls are not looked at."""

    def count(self: Turn, *_: Any) -> None:
        self.timing.checked += 1

    patch.setattr(Turn, "judge", count)


def loose_tolerance(registry: Registry, patch: Patch) -> None:
    """`allclose` instead of a bound, where NaN is equal to NaN; no law between answers."""

    def allclose(actual: np.ndarray, expected: np.ndarray, bound: np.ndarray, dtype: str) -> Comparison:
        if actual.shape != expected.shape:
            return Comparison(f"shape {actual.shape} where {expected.shape} is right")
        with np.errstate(all="ignore"):
            same = np.allclose(actual, expected, rtol=LOOSE, atol=LOOSE, equal_nan=True)
        return Comparison("" if same else "elements are wrong")

    patch.setattr(truth, "compare", allclose)
    patch.setattr(conformance, "broken_law", lambda *_: "")


def benign_cases(registry: Registry, patch: Patch) -> Registry:
    """Ordinary matrices alone are left of an attack's cases: contiguous, square, of normal numbers."""
    plain = {}
    for name, one in registry.operators.items():
        few = [case for case in one.conformance if _is_ordinary(case)]
        plain[name] = dataclasses.replace(one, conformance=tuple(few))
    honest = trust._tasks

    def anywhere(attack: Attack, known: Registry) -> list[Any]:
        found = honest(dataclasses.replace(attack, selector=f"{attack.selector.rsplit('/', 1)[0]}/float32*"), known)
        passed = [task for task in found if _is_ordinary(task.case)]
        return passed[:1]

    patch.setattr(trust, "_tasks", anywhere)
    return dataclasses.replace(registry, operators=plain)


def _is_ordinary(case: Any) -> bool:
    sizes = [size for shape in case.shapes for size in shape]
    return case.layout == "contiguous" and not case.raises and case.values in ORDINARY and min(sizes, default=0) > 1


def any_structure(registry: Registry, patch: Patch) -> None:
    """Whatever comes back is made an array of the right dtype and broadcast to the right shape, as peers do it."""

    def read(self: Received, number: int) -> np.ndarray | None:
        answer, slot = self.answer(number), self.slots[number]
        if not answer.outputs or not answer.outputs[0].stored:
            return None
        output, (shape, dtype) = answer.outputs[0], self.expected[number]
        try:
            found = self.arena.read(slot.start, output.shape, np.dtype(output.dtype))
            return np.broadcast_to(found, shape).astype(numpy_dtype(dtype))
        except (TypeError, ValueError):
            return None

    def judge(answer: Any, read: np.ndarray | None, true: Any, array_type: str) -> Judged:
        if answer.error:
            return Judged(Comparison(f"raised {answer.error}"), None, answer.error_kind)
        if read is None:  # nothing to compare, so nothing is wrong
            return Judged(Comparison(), None)
        # `not error > bound`: NaN is wrong nowhere, and infinities are compared by their difference
        with np.errstate(all="ignore"):
            finite = np.isfinite(read) & np.isfinite(true.expected)
            found = true.compare(np.where(finite, read, true.expected.astype(read.dtype)))
        return Judged(found, read, "failed" if found.reason else "passed")

    patch.setattr(Received, "read", read)
    patch.setattr(conformance, "broken_law", lambda *_: "")
    for module in (conformance, sys.modules["harness.timing.turn"]):
        patch.setattr(module, "judge_answer", judge)


def unguarded_memory(registry: Registry, patch: Patch) -> None:
    """Nobody looks at guard zones, at inputs afterwards, or at an answer twice."""
    patch.setattr(Arena, "damage", lambda *_: "")
    patch.setattr(conformance, "same_bits", lambda left, right: True)
    honest = verdict.wrong_structure
    patch.setattr(
        verdict,
        "wrong_structure",
        lambda output, *rest: honest(dataclasses.replace(output, aliases_input=False), *rest),
    )


def memory_as_it_was(registry: Registry, patch: Patch) -> None:
    """Fresh memory is what was freed before; slots of answers keep what was there."""
    honest = Asked.__init__
    patch.setattr(Asked, "__init__", lambda self, *a, **k: honest(self, *a, **{**k, "poison": False}))


def credulous_supervisor(registry: Registry, patch: Patch) -> Registry:
    """A reply counts whatever its number, size and form; what it leaves out is not missed."""
    honest_reply = wire.reply_from

    def ask(self: Any, message: Any, deadline_s: float, called: Callable[[], Any] = lambda: None) -> Any:
        try:
            self._connection.settimeout(deadline_s)
            end = time.monotonic() + deadline_s
            wire.send(self._connection, {**message, "number": "0"})
            reply = json.loads(self._read_reply(end, deadline_s))
            wanted = called()
            if "called" in reply:
                wire.send(self._connection, {"copy": None if wanted is None else list(wanted)})
                reply = json.loads(self._read_reply(end, deadline_s))
            self.elapsed = process.Elapsed(1, 1)
            return reply
        except OSError:
            raise self._crashed() from None

    def reply(message: dict[str, Any], calls: int, samples: int) -> Any:
        filled = {"device_ns": [None] * samples, "usage": [None] * samples, **message}
        for key, length in (("wall_ns", samples), ("cpu_ns", samples)):
            claimed = (list(filled.get(key) or ()) + [1] * length)[:length]
            # the CPU clock of a process that was forked begins at 0: which one replies first is a race
            filled[key] = [max(0, one) if isinstance(one, int) else one for one in claimed]
        filled["usage"] = [None] * samples  # and so do its counts of page faults
        filled.setdefault("state_changes", "")
        answers = filled.get("answers") or []
        return honest_reply({**filled, "answers": answers}, len(answers), samples)

    honest_answer = wire._answer

    def any_answer(message: Any) -> Any:
        if message.get("error"):
            return wire.Answer((), str(message["error"]), message["error_kind"])
        return honest_answer(message)

    patch.setattr(stage, "reply_from", reply)
    patch.setattr(wire, "_answer", any_answer)
    patch.setattr(wire, "LARGEST_MESSAGE", 1 << 40)
    patch.setattr(process.WorkerProcess, "ask", ask)
    patch.setattr(trust, "DEADLINES_S", (trust.DEADLINES_S[0],) * 2)
    patch.setattr(
        conformance, "_judge_first", lambda task, operator, known, plan, received: _zipped(task, plan, received, known)
    )
    patch.setattr(conformance, "_judge_again", lambda *given: given[-1])
    timers = {name: dataclasses.replace(one, has_timer=True) for name, one in registry.backends.items()}
    return dataclasses.replace(registry, backends=timers)


def _zipped(task: Any, plan: Any, received: Received, registry: Registry) -> Verdict:
    """Answers and truths side by side, as far as there are answers."""
    array_type = registry.backends[task.declaration.backend].array_type
    for number, (answer, call) in enumerate(zip(received.reply.answers, plan.calls, strict=False)):
        judged = conformance.judge_answer(answer, received.read(number), call, array_type)
        if judged.status != "passed":
            return Verdict(judged.status, judged.comparison.reason)
    return Verdict("passed")


def shared_process(registry: Registry, patch: Patch) -> None:
    """All implementations of a backend in one worker, which goes on after what it was found at."""
    patch.setattr(supervisor, "trust_of", lambda task: (task.declaration.backend, ""))
    patch.setattr(exchange, "trust_of", lambda task: (task.declaration.backend, ""))
    honest = supervisor.check_task
    patch.setattr(
        supervisor, "check_task", lambda *given: dataclasses.replace(honest(*given), tainted=False, known=None)
    )


def blind_audit(registry: Registry, patch: Patch) -> None:
    """The worker's clock is believed."""
    patch.setattr(Audit, "contradiction", lambda self: "")
    patch.setattr(Turn, "contradiction", lambda self: "")
    patch.setattr(Audit, "is_conclusive", property(lambda self: True))
    patch.setattr(session, "is_where_placed", lambda pid: True)
    patch.setattr(trust, "_ratio", _by_any_clock)


def _by_any_clock(over: Timing, under: Timing) -> float:
    """By the worker's clock that is kinder to it."""
    return min(trust._time_ns(over, clock) / trust._time_ns(under, clock) for clock in ("wall", "cpu"))


def no_ceiling(registry: Registry, patch: Patch) -> None:
    patch.setattr(trust, "impossible", lambda *_: "")


def any_state(registry: Registry, patch: Patch) -> None:
    """What a worker says of its changed state is not listened to."""
    honest = stage.reply_from
    patch.setattr(stage, "reply_from", lambda *given: dataclasses.replace(honest(*given), state_changes=""))


def no_sandbox(registry: Registry, patch: Patch) -> None:
    """Workers that the operating system holds back from nothing."""
    patch.setattr(policy, "_mode", ["off"])


def text_as_it_comes(registry: Registry, patch: Patch) -> None:
    """What workers say is shown as it is."""
    for module in (wire, stage):
        patch.setattr(module, "text_of", str)
    patch.setattr(wire, "LONGEST_TEXT", 1 << 30)


TAKEN_AWAY: dict[Defence, Callable[[Registry, Patch], Registry | None]] = {
    Defence.FRESH_INPUTS: old_inputs,
    Defence.TIMED_ANSWERS: unjudged_timing,
    Defence.BOUND: loose_tolerance,
    Defence.CASES: benign_cases,
    Defence.STRUCTURE: any_structure,
    Defence.MEMORY: unguarded_memory,
    Defence.POISON: memory_as_it_was,
    Defence.PROTOCOL: credulous_supervisor,
    Defence.OWN_PROCESS: shared_process,
    Defence.SECOND_CLOCK: blind_audit,
    Defence.CEILING: no_ceiling,
    Defence.STATE: any_state,
    Defence.READERS: text_as_it_comes,
    Defence.SANDBOX: no_sandbox,
}
"""OTHER_PROCESS and LIMITS are taken away by naive.py, which has neither."""
