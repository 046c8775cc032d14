"""RUN on a cluster: the plan becomes units, what comes back is looked at and stored. This process alone writes.

Conformance first, wherever there is room; when all of it is over, times: a case with all of its implementations on one
node, and on each machine one case at a time.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.fleet.checking import Checking
from harness.fleet.commission import Commission
from harness.fleet.connecting import connected
from harness.fleet.crew import Crew, Tell
from harness.fleet.facts import installed, tasks_digest
from harness.fleet.flights import Flights
from harness.fleet.ledger import Ledger, Progress
from harness.fleet.measuring import Measuring
from harness.fleet.parcel import pack
from harness.outcome import Context
from harness.plan import Planned, Task, planned
from harness.registry import Registry
from harness.sandbox import policy
from harness.schema import StoreError

if TYPE_CHECKING:
    from harness.execute import Options
    from harness.store import Store


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where a run goes: the address of a scheduler, a scheduler file, or `local`; what of the run is given by path and
    so has to be sent; and who hears of nodes."""

    cluster: str
    plugins: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    tell: Tell = lambda words, trouble: None


def execute_on(fleet: Fleet) -> Callable[..., None]:
    """As harness.execute.execute, on the nodes of a cluster."""
    return functools.partial(_execute, fleet)


def _is_of_plugin(task: Task) -> bool:
    """Whether an implementation comes from a file that was named, or from another package that is installed."""
    declared = task.declaration
    return bool(declared.path) or not declared.module.startswith("harness.implementations.")


def _execute(
    fleet: Fleet,
    command: str,
    selectors: Sequence[str],
    registry: Registry,
    store: Store,
    context: Context,
    options: Options,
    progress: Progress,
    part: Planned | None = None,
) -> None:
    """Raises harness.supervisor.Stopped where no node is left, or the scheduler is lost; what was stored is stored."""
    chosen = planned(registry, selectors, command) if part is None else part
    operators = {task.declaration.operator for task in (*chosen.checked, *chosen.timed)}
    parcel = pack(fleet.plugins, fleet.operators, fleet.cases)
    commission = Commission(
        token=secrets.token_hex(8),
        **installed(),
        context=context,
        deadline_s=options.deadline_s,
        memory_limit_bytes=options.memory_limit_bytes,
        sandbox=policy.chosen(),
        operators=tuple(sorted(operators)),
        hidden=tuple(policy.hidden()),
        parcel=parcel.digest,
        plugins=parcel.plugins,
        trusted=parcel.operators,
        cases=parcel.cases,
        has_plugins=bool(parcel.plugins) or any(map(_is_of_plugin, (*chosen.checked, *chosen.timed))),
    )
    progress("starting nodes" if fleet.cluster == "local" else "looking for nodes", 0, 0)
    with connected(fleet.cluster, options.jobs) as client:
        has_files = parcel.plugins or parcel.operators or parcel.cases
        archive = parcel.archive if has_files else b""
        crew = Crew(client, commission, archive, tasks_digest(registry, operators), fleet.tell)
        with contextlib.closing(crew), Flights(client, crew, commission.token) as flights:
            run = Ledger(registry, store, context, progress, crew, flights)
            try:
                run.report_problems()
                Checking(run).check(chosen.checked)
                if chosen.timed:
                    Measuring(run, options).time(chosen.timed)
                run.remember()
            except StoreError:
                raise
            except Exception:
                flights.require_scheduler()
                raise
