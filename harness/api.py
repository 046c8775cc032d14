"""The same as the command line, from Python: check, bench, and the runs that they return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime

    import pandas as pd

    from harness.comparing.verdicts import Comparison
    from harness.dealing import Dealt
    from harness.execute import Options, Progress
    from harness.histories import Histories
    from harness.record import Record, Sample
    from harness.sharding import Shard
    from harness.store import RunInfo, Store


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A finished run: what was checked, what was timed, and every raw sample."""

    run_id: str
    checked: tuple[Record, ...]
    timed: tuple[Record, ...]
    raw_samples: tuple[Sample, ...]
    exit_code: int | None = None
    """As that of the command; None for a run that was not made here, or was interrupted."""

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per task; where a case was both checked and timed, the timed one."""
        timed = {record.id for record in self.timed}
        return (*(record for record in self.checked if record.id not in timed), *self.timed)

    def frame(self) -> pd.DataFrame:
        """One row per task; columns are `harness.record.COLUMNS`, times in ns. Ids, dtypes and statuses are categories,
        `started_at` is a time of UTC, what does not apply is <NA>."""
        from harness.reports import records_frame

        frame: pd.DataFrame = records_frame(self.records)
        return frame

    def samples(self) -> pd.DataFrame:
        """One row per timed reading; columns are `harness.record.SAMPLE_COLUMNS` and times per call, in ns."""
        from harness.reports import samples_frame

        frame: pd.DataFrame = samples_frame(self.run_id, self.raw_samples)
        return frame

    def __repr__(self) -> str:
        from harness.reports.display import as_text, of_run

        return str(as_text(of_run(self)))

    def _repr_html_(self) -> str:
        from harness.reports.display import as_html, of_run

        return str(as_html(of_run(self)))

    def _repr_markdown_(self) -> str:
        from harness.reports.display import as_markdown, of_run

        return str(as_markdown(of_run(self)))


def check(*selectors: str, **options: object) -> Run:
    """Conformance of what is selected (everything if nothing is named); options as `bench`."""
    return run("check", selectors, **options)  # type: ignore[arg-type]


def bench(*selectors: str, **options: object) -> Run:
    """Conformance, then timing of what was right; stored like the command line's runs.

    Keyword options: `plugins` and `operators` (paths), `cases` (onnx, torch, or paths), `store` (URL or path), `seed`,
    `cluster` (the address of a dask scheduler, a scheduler file, or `local`),
    `options` (harness.execute.Options), `progress` (called with text, done, total), `shard` ("2/5": the second of five
    parts of the run, of which each is a run of its own) and `durations` (a store or a file of results, by which it is
    dealt). Raises harness.plan.NothingSelected if nothing matches, harness.sharding.ShardError for no such shard.
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
    begun: Callable[[str], None] = lambda run_id: None,
    shard: str | None = None,
    durations: str | None = None,
    told: Callable[[Dealt, str], None] = lambda part, line: None,
    cluster: str | None = None,
    news: Callable[[str, bool], None] = lambda words, trouble: None,
) -> Run:
    """What `check` and `bench` share; `begun` hears the run's id as soon as it is stored, and `told` which part of the
    whole a shard has, also as a line of text. With `cluster` it goes to the nodes of one, and `news` hears who joins,
    leaves or is refused, and whether that is trouble."""
    import harness.machine as machine
    from harness import dealing, execute
    from harness.machines import remember
    from harness.plan import planned, require_match
    from harness.record import stamp_now
    from harness.registry import load
    from harness.store import Store
    from harness.supervisor import fresh_seed

    wanted = dealing.wanted_shard(shard, durations)
    if cluster is not None:
        from harness.fleet.connecting import hide_keys

        hide_keys()
    registry = load(plugins, operators, cases)
    options = options or execute.Options()
    part: Dealt | None = None
    if not resume:
        require_match(registry, selectors)
    with Store.open(store) as opened:
        described = machine.describe()
        if resume:
            # on a cluster each row has the machine of its node
            info = _taken_up(opened, command, described if cluster is None else None, wanted)
            selectors = info.selectors
            part = dealing.dealt_before(command, planned(registry, selectors, command), info, wanted)
        else:
            if wanted is not None:
                whole = planned(registry, selectors, command)
                part, line = dealing.dealt(command, whole, wanted, registry, opened, durations)
                told(part, line)
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
                shard=None if part is None else str(part.shard),
                deal=None if part is None else part.deal,
            )
        remember(opened, info, described, at=stamp_now() if resume else None)
        begun(info.run_id)
        context = execute.Context(info.run_id, info.machine_id, info.commit, info.dirty, info.seed)
        say = progress or (lambda text, done, total: None)
        own, options = (None, options) if part is None else (part.part, part.options(options))
        run_it = execute.execute
        if cluster is not None:
            from harness.fleet.running import Fleet, execute_on

            run_it = execute_on(Fleet(cluster, tuple(plugins), tuple(operators), tuple(cases), news))
        run_it(command, selectors, registry, opened, context, options, say, own)
        run = load_run(opened, info.run_id)
        code = execute.exit_code(command, run.checked, run.timed)
        if part is not None:
            code = dealing.exit_code_of_part(command, part, registry, run.checked, run.timed)
        opened.finish_run(info.run_id, exit_code=code)
        return dataclasses.replace(run, exit_code=code)


def _taken_up(store: Store, command: str, described: Mapping[str, Any] | None, wanted: Shard | None = None) -> RunInfo:
    """The newest run of a command that was interrupted, on this machine (None: on any), and is the `wanted` shard, if
    one is. Raises UnknownRun, ShardError, ValueError; then those of others are left as they are."""
    from harness.dealing import require_wanted
    from harness.likeness import is_continued
    from harness.machine import machine_id

    here = None if described is None else machine_id(described)

    def is_here(info: RunInfo) -> bool:
        if described is None or info.machine_id == here:
            return True
        return is_continued(store.machine(info.machine_id), described)

    def is_ours(info: RunInfo) -> bool:
        return (wanted is None or str(wanted) == info.shard) and is_here(info)

    begun = store.all_unfinished(command)
    if not any(map(is_ours, begun)):
        interrupted = [info for info in begun if not store.goes_on(info.run_id)]
        for info in filter(is_here, interrupted):
            require_wanted(info, wanted)
        for info in interrupted:
            raise ValueError(
                f"run {info.run_id} was begun on machine {info.machine_id}, or with other libraries or thread settings "
                "than now; resume it there, or begin a new run"
            )
    return store.take_up(command, is_ours)


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
    slow_machine: str = "excuse",
    backends: Callable[[str], bool] = lambda backend: True,
    deadline_s: float | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """As `harness compare BASE HEAD`, whose options these are: git revisions, stored runs or result files, or with `ab`
    two implementations. `floor` is the relative change below which nothing is called, for all tasks or by task id;
    `backends` says which backends are used, by name. `slow_machine` is `excuse`, `count` or `refuse`: what is done
    where the machine of two stored runs got slower as a whole in between. `shard` ("2/5") compares a part of the tasks
    of two revisions.

    Raises harness.plan.NothingSelected, harness.comparing.versions.VersionError, and
    harness.comparing.machines.DifferentMachines.
    """
    import harness.machine as machine
    from harness.comparing import asking
    from harness.comparing.live import Effort
    from harness.comparing.revisions import Asked
    from harness.sharding import Shard
    from harness.store import Store
    from harness.supervisor import DEADLINE_S, fresh_seed, memory_limit

    part = None if shard is None else Shard.parse(shard)
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
            shard=part,
        )
        if ab:
            return asking.compare_ab(base, head, asked, say)
        environments = asking.Environments(setup, python)
        return asking.compare_two(
            base,
            head,
            asked,
            environments,
            opened,
            normalise=normalise,
            floor=floors,
            progress=say,
            slow_machine=slow_machine,
        )
