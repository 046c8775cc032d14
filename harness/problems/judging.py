"""Two opinions on every candidate: that of the source's own rule, and ours; and where they disagree."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.declare import Case, Operator
from harness.judge.admission import LOOSEST, admit, exposes
from harness.judge.truth import answer_dtype, draw_inputs, generator, truth
from harness.judge.verdict import Verdict, worst_of
from harness.precision import is_float
from harness.problems import axes, measuring
from harness.problems.candidates import REFERENCE, Calls, Candidate, Shelf, find, names_of
from harness.problems.flashinfer import read_definition
from harness.problems.hosting import Host, HostFailure, Located, locate
from harness.problems.nasty import nasty_cases
from harness.problems.opinions import Judged, Opinion, columns
from harness.problems.problem import FLASHINFER, SOL, BadProblem
from harness.problems.recognising import recognised
from harness.problems.subjects import PROBLEM, Known, known_subject, measured_subject, with_wrong_answers
from harness.problems.trying import Bench
from harness.record import WRONG
from harness.registry import Registry, load
from harness.scratch import Scratch

HARD = "hard values and small shapes"
LOST = ("crashed", "timeout", "out_of_memory", "untrusted")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What one workload is judged by: an operator for each output, their own cases, and hard cases (of one output)."""

    workload: int
    operators: tuple[Operator, ...]
    own: tuple[Case, ...]
    hard: tuple[Case, ...]
    shapes: tuple[tuple[int, ...], ...]
    truth: str
    weak: tuple[str, ...]
    score: tuple[int, int, str]
    excluded: list[str] = field(default_factory=list)
    note: list[str] = field(default_factory=list)
    """What the source's own rule lets through on these very inputs, once that is known."""
    doubts: list[str] = field(default_factory=list)
    """Why the reference is rejected by what it is itself the truth of."""


def judge(
    given: str,
    candidates: Sequence[str] = (),
    *,
    seed: int,
    deadline_s: float = 300.0,
    dtype: str = "",
    old: bool = False,
    benchmarks: bool = False,
    progress: Progress = lambda text, done, total: None,
) -> Judged:
    """Judge candidates for a problem, twice each. Raises BadProblem for what cannot be read, HostFailure where the
    problem's own code fails."""
    located = locate(given)
    paths = find(located, candidates)
    progress(f"reading {given}", 0, 1)
    registry = load()
    missing = registry.backends["torch"].missing
    if missing:
        raise BadProblem(missing)
    with (
        Host(located, deadline_s=deadline_s, dtype=dtype, old=old, benchmarks=benchmarks) as host,
        Scratch("candidates") as folder,
        Bench(registry, seed, deadline_s) as bench,
    ):
        session = Session(located, host, registry, bench, seed)
        shelf = Shelf(Path(folder), located, host, session.operator, session.calls)
        reference = shelf.reference()
        tried = [shelf.candidate(path, name) for path, name in zip(paths, names_of(paths), strict=True)]
        done, total = itertools.count(), (len(tried) + 1) * len(host.workloads)
        opinions: list[Opinion] = []
        for number in range(len(host.workloads)):
            subject = session.subject(number, reference)
            for one in (reference, *tried):
                progress(f"judging {one.name} on {host.workloads[number].name}", next(done), total)
                opinions += session.opinions(one, subject)
        ordered = sorted(
            opinions, key=lambda one: (not one.disagrees, one.status == "passed", one.candidate == REFERENCE)
        )
        return Judged(host.kind, host.name, session.how, seed, tuple(ordered))


class Session:
    """One problem in progress: what is known of its workloads, and how candidates are called."""

    def __init__(self, located: Located, host: Host, registry: Registry, bench: Bench, seed: int) -> None:
        self._located, self._host, self._registry, self._bench, self._seed = located, host, registry, bench, seed
        self.operator = re.sub(r"\W", "_", host.name)
        self._outputs: list[list[tuple[tuple[int, ...], str]]] = []
        templates: dict[str, Any] = {}
        self._shapes: list[tuple[tuple[int, ...], ...]] = []
        in_place = False
        for number, workload in enumerate(host.workloads):
            # no inputs are kept: those of all workloads together may be more than there is memory
            told, arrays = host.generate(number)
            answers = host.ask({"do": "run", "workload": number}, arrays)[1]
            self._outputs.append([(one.shape, one.dtype.name) for one in answers])
            self._shapes.append(tuple(x.shape for x in arrays))
            templates[workload.name] = told["template"]
            in_place = in_place or told["in_place"]
        shapes = {one.name: its for one, its in zip(host.workloads, self._shapes, strict=True)}
        self.calls = Calls(templates, shapes, max(map(len, self._outputs)), in_place)
        self._known, self.how = self._recognise(*host.generate(0))

    def _recognise(self, told: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> tuple[Known | None, str]:
        if len(self._outputs[0]) != 1:
            return None, "it has several outputs"
        if _has_constants(told["template"]):
            return None, "it takes arguments that are no arrays"

        def run(probes: Sequence[np.ndarray]) -> list[np.ndarray]:
            try:
                return self._host.ask({"do": "wide", "workload": 0}, probes)[1]
            except HostFailure as failure:
                if failure.kind in ("timeout", "crashed"):
                    raise
                return []

        return recognised(self._registry.operators, arrays, run)

    def subject(self, number: int, reference: Candidate) -> Subject:
        """What a workload is judged by: our oracle and bound only where the reference itself passes them. Raises
        HostFailure where it fails on its own inputs, BadProblem where these change their shapes."""
        name, right = self._host.workloads[number].name, self._shapes[number]

        def draw(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
            fresh = self._host.generate(number, int(rng.integers(2**31)))[1]
            now = tuple(x.shape for x in fresh)
            if now != right:
                raise BadProblem(
                    f"{self._host.name}, {name}: its inputs change their shapes from draw to draw "
                    f"({_words(right)}, then {_words(now)}); a workload is judged at one shape: fix the sizes "
                    "in the problem"
                )
            return fresh

        kinds = [x.dtype.name for x in draw(np.random.default_rng(self._seed))]
        dtype = next(filter(is_float, kinds), kinds[0] if kinds else "float32")
        own = Case(dtype, right, (("workload", name),), values=PROBLEM)
        known, shapes = self._known, tuple(shape for shape, _ in self._outputs[number])
        why = ""
        if known is not None and len(right[0]) == len(self._shapes[0][0]):
            theirs, ours = self._outputs[number][0][1], answer_dtype(known.operator, known.inner(own))
            hard = nasty_cases(known, own, self._allowed) if theirs == ours else ()
            operator = known_subject(known, self.operator, (own, *hard), draw)
            if theirs != ours:
                why = f", since it answers in {theirs} where our {known.operator.name} has {ours}"
            elif self._bench.check(reference, operator, own).status == "failed":
                why = f", since it is itself beyond the bound of our {known.operator.name}"
            else:
                told = f"our oracle of {known} and its derived bound"
                return self._weighed(Subject(number, (operator,), (own,), hard, shapes, told, (), (0, 0, "")), draw)
        return self._measured(number, own, draw, shapes, why)

    def _measured(
        self, number: int, own: Case, draw: Callable[..., Any], shapes: Sequence[tuple[int, ...]], why: str = ""
    ) -> Subject:
        several = len(shapes) > 1
        cases = [
            dataclasses.replace(own, parameters=(*own.parameters, ("output", k))) if several else own
            for k in range(len(shapes))
        ]
        latest: dict[str, list[np.ndarray]] = {}
        own_errors: list[float] = []

        def told(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
            # the judge asks for the truth and then for the bound of the same inputs, and the reference is slow
            key = hashlib.blake2b(b"".join(array.tobytes() for array in arrays)).hexdigest()
            if key not in latest:
                latest.clear()
                asked = {"do": "truth", "workload": number, "seed": self._seed % 2**31}
                reply, latest[key] = self._host.ask(asked, arrays)
                own_errors[:] = reply["own"]
            return latest[key]

        def truths(k: int) -> Callable[[tuple[np.ndarray, ...]], tuple[np.ndarray, np.ndarray]]:
            return lambda arrays: (told(arrays)[k], told(arrays)[len(shapes) + k])

        operators = tuple(
            measured_subject(self.operator, case, draw, truths(k), self._outputs[number][k][1])
            for k, case in enumerate(cases)
        )
        told(draw(np.random.default_rng(self._seed)))
        worst = max(1.0, *own_errors)
        factors = f"{measuring.FACTOR:g} x {worst:.3g} x its response to rounding"
        words = f"the reference at float64, with a measured bound ({factors}){why}"
        subject = Subject(number, operators, tuple(cases), (), tuple(shapes), words, (), (0, 0, ""))
        return self._weighed(subject, draw)

    def _weighed(self, subject: Subject, draw: Callable[..., Any]) -> Subject:
        """The subject with its mutants, and which of them its own case and all of its cases let through."""
        operators: list[Operator] = []
        weak: list[str] = []
        alive: list[str] = []
        killed = total = 0
        for operator, case in zip(subject.operators, subject.own, strict=True):
            armed = with_wrong_answers(operator, case, draw)
            inputs = draw_inputs(armed, case, generator(self._seed, f"admission/{case.id}", 0))
            true = truth(armed, case, inputs, LOOSEST)
            weak += [one.name for one in armed.mutants if one.name.startswith("any_") and not exposes(true, one)]
            admission = admit(armed, self._seed)
            killed, total, alive = killed + admission.killed, total + admission.mutants, [*alive, *admission.survivors]
            operators.append(armed)
        return dataclasses.replace(
            subject, operators=tuple(operators), weak=tuple(weak), score=(killed, total, ", ".join(alive))
        )

    def _allowed(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Whether the problem's signature has room for inputs of these shapes."""
        if self._located.kind not in (FLASHINFER, SOL):
            return True
        definition = read_definition(self._located.path)
        try:
            axes.bound(definition["axes"], definition["inputs"], list(shapes))
        except BadProblem:
            return False
        return True

    def opinions(self, candidate: Candidate, subject: Subject) -> Iterator[Opinion]:
        """The row of a workload, and (where there are hard cases) the row of those."""
        workload = self._host.workloads[subject.workload]
        shared: dict[str, Any] = {
            "source": self._host.kind,
            "problem": self._host.name,
            "candidate": candidate.name,
            "workload": workload.name,
            "source_rule": workload.rule,
            "truth": subject.truth,
            "mutants_killed": subject.score[0],
            "mutants": subject.score[1],
            "mutants_alive": subject.score[2],
        }
        if candidate.missing:
            yield Opinion(**shared, case=subject.own[0].id, status="missing", reason=candidate.missing)
            return
        if candidate.name != REFERENCE:
            said = self._bench.accepted(candidate, self._host, subject.workload, subject.own, subject.shapes)
            shared |= {"source_accepts": not said, "source_reason": said, "source_note": self._note(subject)}
        verdict = self._own(candidate, subject)
        if candidate.name == REFERENCE and verdict.status in WRONG:
            subject.doubts.append(verdict.reason)
        elif subject.doubts and verdict.status in WRONG:
            reason = f"nothing can be said: the problem's own reference is rejected too ({subject.doubts[0]})"
            verdict = Verdict("unsupported", reason, verdict.worst)
        yield Opinion(**shared, case=subject.own[0].id, **columns(verdict))
        if subject.hard:
            verdict, judged, refused = (verdict, 0, 0) if verdict.status in LOST else self._hard(candidate, subject)
            shared |= {"cases": judged, "cases_refused": refused}
            yield Opinion(
                **{**shared, "workload": f"{workload.name}: {HARD}"}, case=_hard_id(subject), **columns(verdict)
            )

    def _own(self, candidate: Candidate, subject: Subject) -> Verdict:
        if subject.weak:
            names = ", ".join(name.removeprefix("any_") for name in subject.weak)
            return Verdict("unsupported", f"the bound is too weak to tell: it accepts wrong answers too ({names})")
        found = [
            self._bench.check(candidate, operator, case)
            for operator, case in zip(subject.operators, subject.own, strict=True)
        ]
        return _first_wrong(
            [(case.id, one) for case, one in zip(subject.own, found, strict=True)], named=len(found) > 1
        )

    def _note(self, subject: Subject) -> str:
        """What the source's own rule says of all zeros, on the inputs of its first trial."""
        if not subject.note:
            told, _ = self._host.ask({"do": "zeros", "workload": subject.workload})
            largest = float(told["largest"])
            accepted = f"it accepts all zeros here: no right element exceeds {largest:.3g}"
            subject.note.append(accepted if told["accepted"] else "")
        return subject.note[0]

    def _hard(self, candidate: Candidate, subject: Subject) -> tuple[Verdict, int, int]:
        """The verdict on the hard cases, how many were judged, and how many the candidate refused."""
        found, refused = [], 0
        (operator,) = subject.operators
        for case in subject.hard:
            if case.id in subject.excluded:
                continue
            verdict = self._bench.check(candidate, operator, case)
            if candidate.name == REFERENCE and verdict.status != "passed":
                subject.excluded.append(case.id)
                continue
            if verdict.status == "unsupported" or (verdict.status == "error" and case.shapes != subject.own[0].shapes):
                refused += 1  # it refuses loudly what is not the problem's own shape
                continue
            found.append((case.id, verdict))
            if verdict.status in LOST:
                break  # each further case might cost a worker, or the whole of its time, too
        if not found:
            reason = f"it refuses all {refused} cases" if refused else "the problem's own reference passes none of them"
            return Verdict("unsupported", reason), 0, refused
        return _first_wrong(found, named=True), len(found), refused


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    return " ".join(str(list(shape)) for shape in shapes) or "no array"


def _hard_id(subject: Subject) -> str:
    own = subject.own[0]
    return f"{own.dtype}[{len(subject.hard)} cases]workload={dict(own.parameters)['workload']},values=hard"


def _first_wrong(found: Sequence[tuple[str, Verdict]], *, named: bool) -> Verdict:
    """The first verdict that is not passed, with the worst errors over all."""
    worst = worst_of(one.worst for _, one in found)
    for name, verdict in found:
        if verdict.status != "passed":
            wrong = sum(one.status != "passed" for _, one in found)
            reason = f"{wrong} of {len(found)} cases, the first {name}: {verdict.reason}" if named else verdict.reason
            return dataclasses.replace(verdict, reason=reason, worst=worst)
    return Verdict("passed", "", worst)


def _has_constants(template: Any) -> bool:
    ((kind, held),) = template.items()
    if kind in ("list", "tuple", "dict", "namedtuple"):
        return any(map(_has_constants, held.values() if isinstance(held, dict) else held))
    return kind in ("value", "dtype", "size")
