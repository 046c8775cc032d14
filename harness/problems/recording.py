"""Opinions as records of a run, so that `harness report` shows them like every other verdict."""

from __future__ import annotations

import harness.machine as machine
from harness.problems.opinions import Judged, Opinion
from harness.record import Record, new_run_id
from harness.store import RunInfo, Store


def recorded(store: Store, judged: Judged, selectors: tuple[str, ...]) -> str:
    """Store all opinions as one run, and return its id. The operator of a row is the problem; reasons name both
    verdicts where they disagree."""
    described = machine.describe()
    machine_id = machine.machine_id(described)
    commit, dirty = machine.commit()
    run_id, now = new_run_id()
    records = []
    for one in judged.opinions:
        record = Record(
            run_id=run_id,
            started_at=now,
            commit=commit,
            dirty=dirty,
            machine_id=machine_id,
            operator=one.problem,
            backend="torch",
            implementation=one.candidate,
            case=one.case,
            dtype=one.case.partition("[")[0],
            seed=judged.seed,
            status=one.status,
            reason=reason_of(one),
            error_over_bound=one.error_over_bound,
            max_abs_error=one.max_abs_error,
            max_rel_error=one.max_rel_error,
            max_ulp=one.max_ulp,
        )
        records.append(record)
    known = [one for one in judged.opinions if one.mutants is not None][:1]
    admission = {
        one.problem: {"mutants": one.mutants, "killed": one.mutants_killed, "survivors": alive_of(one)} for one in known
    }
    judged_by = sorted({one.truth for one in judged.opinions})
    notes = (f"A problem of {judged.source}; {judged.recognised}.", *(f"Judged by {text}." for text in judged_by))
    info = RunInfo(
        run_id=run_id,
        started_at=now,
        finished_at=now,
        command="judge",
        selectors=selectors,
        seed=judged.seed,
        budget_s=None,
        machine_id=machine_id,
        commit=commit,
        dirty=dirty,
        exit_code=judged.exit_code,
        admission=admission,
        notes=notes,
    )
    store.add_finished(info, described, records)
    return run_id


def reason_of(one: Opinion) -> str:
    """The reason of a row; where the source's rule says otherwise, that comes first."""
    if one.disagrees and one.reason:
        rule = "; ".join(filter(None, (one.source_rule, one.source_note)))
        return f"accepted by {one.source}'s own rule ({rule}), and wrong: {one.reason}"
    return one.reason


def alive_of(one: Opinion) -> list[str]:
    return [name for name in one.mutants_alive.split(", ") if name]
