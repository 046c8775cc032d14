"""The same as the command line, from Python: check, bench, and the runs that they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime

    import pandas as pd

    from harness.comparing.verdicts import Comparison
    from harness.execute import Options, Progress
    from harness.histories import Histories
    from harness.record import Record, Sample
    from harness.store import Store


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what was checked, what was timed, and every raw sample."""

    run_id: str
    checked: tuple[Record, ...]
    timed: tuple[Record, ...]
    raw_samples: tuple[Sample, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per task; where a case was both checked and timed, the timed one."""
        timed = {record.id for record in self.timed}
        return (*(record for record in self.checked if record.id not in timed), *self.timed)

    def frame(self) -> pd.DataFrame:
        """One row per task; columns are `harness.record.COLUMNS`, times in ns."""
        from harness.reports import records_frame

        frame: pd.DataFrame = records_frame(self.records)
        return frame

    def samples(self) -> pd.DataFrame:
        """One row per timed reading; columns are `harness.record.SAMPLE_COLUMNS` and times per call, in ns."""
        from harness.reports import samples_frame

        frame: pd.DataFrame = samples_frame(self.run_id, self.raw_samples)
        return frame


def check(*selectors: str, **options: object) -> Run:
    """Conformance of what is selected (everything if nothing is named); options as `bench`."""
    return run("check", selectors, **options)  # type: ignore[arg-type]


def bench(*selectors: str, **options: object) -> Run:
    """Conformance, then timing of what was right; stored like the command line's runs.

    Keyword options: `plugins` and `operators` (paths), `cases` (onnx, torch, or paths), `store` (URL or path), `seed`,
    `options` (harness.execute.Options), `progress` (called with text, done, total). Raises
    harness.plan.NothingSelected if nothing matches.
    """
    return run("bench", selectors, **options)  # type: ignore[arg-type]


def history(
    *selectors: str,
    store: str | None = None,
    machine: str | None = None,
    last: int | None = None,
    since: datetime.datetime | None = None,
) -> Histories:
    """Trend and change points of the selected tasks (all if nothing is named) over the runs of one machine: that of the
    newest run, or the one whose id `machine` begins. Of each task the newest `last` runs, and those from `since` on.

    Raises harness.series.NoSeries where there is no such time, ImportError where the extra `stats` is missing.
    """
    from harness.histories import histories
    from harness.store import Store

    with Store.open(store) as opened:
        return histories(opened, selectors, machine=machine, last=last, since=since)


def run(
    command: str,
    selectors: Sequence[str],
    *,
    plugins: Sequence[str] = (),
    operators: Sequence[str] = (),
    cases: Sequence[str] = (),
    store: str | None = None,
    seed: int | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> Run:
    import harness.machine as machine
    from harness import execute
    from harness.plan import require_match
    from harness.registry import load
    from harness.store import Store
    from harness.supervisor import fresh_seed

    registry = load(plugins, operators, cases)
    options = options or execute.Options()
    if not resume:
        require_match(registry, selectors)
    with Store.open(store) as opened:
        described = machine.describe()
        if resume:
            info = opened.unfinished(command)
            selectors = info.selectors
            if info.machine_id != machine.machine_id(described):
                raise ValueError(
                    f"run {info.run_id} was begun on machine {info.machine_id}, or with other libraries or thread "
                    f"settings than now; resume it there, or begin a new run"
                )
        else:
            commit, dirty = machine.commit()
            info = opened.start_run(
                command=command,
                selectors=selectors,
                seed=fresh_seed() if seed is None else seed,
                budget_s=options.budget_s,
                machine=described,
                machine_id=machine.machine_id(described),
                commit=commit,
                dirty=dirty,
            )
        context = execute.Context(info.run_id, info.machine_id, info.commit, info.dirty, info.seed)
        execute.execute(
            command, selectors, registry, opened, context, options, progress or (lambda text, done, total: None)
        )
        run = load_run(opened, info.run_id)
        opened.finish_run(info.run_id, exit_code=execute.exit_code(command, run.checked, run.timed))
        return run


def load_run(store: Store, run_id: str) -> Run:
    """A stored run, as the run that it was."""
    return Run(
        run_id,
        tuple(store.records(run_id, "check")),
        tuple(store.records(run_id, "bench")),
        tuple(store.samples(run_id)),
    )


def compare(
    base: str,
    head: str,
    *selectors: str,
    ab: bool = False,
    plugins: Sequence[str] = (),
    operators: Sequence[str] = (),
    store: str | None = None,
    seed: int | None = None,
    budget_s: float | None = None,
    floor: float | Callable[[str], float] = 0.01,
    setup: str | None = None,
    python: str | None = None,
    measure_identical: bool = False,
    normalise: bool = False,
    backends: Callable[[str], bool] = lambda backend: True,
    deadline_s: float | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """As `harness compare BASE HEAD`, whose options these are: git revisions, stored runs or result files, or with `ab`
    two implementations. `floor` is the relative change below which nothing is called, for all tasks or by task id;
    `backends` says which backends are used, by name.

    Raises harness.plan.NothingSelected, harness.comparing.versions.VersionError, and
    harness.comparing.machines.DifferentMachines.
    """
    import harness.machine as machine
    from harness.comparing import asking
    from harness.comparing.live import Effort
    from harness.comparing.revisions import Asked
    from harness.store import Store
    from harness.supervisor import DEADLINE_S, fresh_seed, memory_limit

    floors = floor if callable(floor) else lambda task: floor
    say = progress or (lambda text, done, total: None)
    with Store.open(store) as opened:
        asked = Asked(
            selectors=selectors,
            plugins=plugins,
            operators=operators,
            seed=fresh_seed() if seed is None else seed,
            effort=Effort(budget_s, deadline_s=deadline_s or DEADLINE_S, memory_limit=memory_limit()),
            floors=asking.thresholds(floors, opened, machine.machine_id(machine.describe())),
            measure_identical=measure_identical,
            backends=backends,
        )
        if ab:
            return asking.compare_ab(base, head, asked, say)
        environments = asking.Environments(setup, python)
        return asking.compare_two(
            base, head, asked, environments, opened, normalise=normalise, floor=floors, progress=say
        )
