"""`--shard`: what earlier runs tell of durations, the deal of a plan, and how a part of it ends."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.comparing.measured import STORES, measured_from_file
from harness.documents import shown_path, storable
from harness.durations import Durations, Rows, learn
from harness.execute import Options, exit_code
from harness.plan import Planned, Task
from harness.record import Record
from harness.registry import Registry
from harness.sharding import Deal, Shard, ShardError, deal_of, group_of, name_of, part_of, shard_words
from harness.store import RunInfo, Store
from harness.strangers import opened_to_read

MOST_RUNS = 20
"""So many of the newest runs are looked at for durations."""
FILES = (".json", ".csv", ".parquet")
PIPELINES = (
    "HARNESS_PIPELINE", "GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILDKITE_BUILD_ID", "CIRCLE_WORKFLOW_ID",
    "SEMAPHORE_WORKFLOW_ID", "BUILD_TAG",
)  # fmt: skip
"""What all jobs of one run of a CI system have alike, the first that is set: by hand, GitHub, GitLab, Buildkite,
CircleCI, Semaphore, Jenkins."""
LONGEST_PIPELINE = 200


@dataclass(frozen=True, slots=True)
class Dealt:
    """One part of a deal, and the whole plan that was dealt."""

    shard: Shard
    deal: Deal
    whole: Planned
    part: Planned

    @property
    def share(self) -> float:
        """How much of a budget for all timing belongs to this part: by benchmark cases."""
        cases = [
            len({(one.declaration.operator, one.case.id) for one in plan.timed}) for plan in (self.part, self.whole)
        ]
        return cases[0] / cases[1] if cases[1] else 1.0

    def options(self, options: Options) -> Options:
        """A budget is that of all parts together."""
        if options.budget_s is None:
            return options
        return dataclasses.replace(options, budget_s=options.budget_s * self.share)


def wanted_shard(typed: str | None, durations: str | None) -> Shard | None:
    """What --shard says. Raises ShardError."""
    if typed is None and durations is not None:
        raise ShardError("--durations says by what --shard deals; write for example --shard 2/5, or leave it out")
    return None if typed is None else Shard.parse(typed)


def dealt(
    command: str, whole: Planned, shard: Shard, registry: Registry, store: Store, source: str | None
) -> tuple[Dealt, str]:
    """A part of a plan, and a line about it. Durations are those of `source` (see `durations_from`), else of the store.

    Raises UnreadableResults, StoreError.
    """
    durations, words = durations_from(whole, store, source)
    deal, forecast = deal_of(command, whole, durations, shard.of)
    if (name := pipeline()) is not None:
        deal = {**deal, "pipeline": name}
    found = Dealt(shard, deal, whole, part_of(command, whole, deal, shard))
    tasks = list(_all(found.part))
    if tasks and all(registry.missing(task.declaration) for task in tasks):
        words += "; all of them are of backends that are missing here"
    return found, shard_words(deal, forecast, shard) + words


def pipeline() -> str | None:
    """What a CI system calls the run of all jobs, also where one of them is run again; None outside of any. Two runs of
    the same commit are told apart by it when their shards are joined."""
    found = (f"{name}={os.environ[name]}" for name in PIPELINES if os.environ.get(name))
    return next((storable(one)[:LONGEST_PIPELINE] for one in found), None)


def dealt_before(command: str, whole: Planned, info: RunInfo, wanted: Shard | None) -> Dealt | None:
    """The part that an interrupted run had; None if it was no part. Raises ShardError where another one is `wanted`, or
    the plan is not what was dealt."""
    require_wanted(info, wanted)
    if info.shard is None or info.deal is None:
        return None
    shard = Shard.parse(info.shard)
    return Dealt(shard, info.deal, whole, part_of(command, whole, info.deal, shard))


def require_wanted(info: RunInfo, wanted: Shard | None) -> None:
    """Raises ShardError where an interrupted run is not the shard that is wanted."""
    if wanted is None or str(wanted) == info.shard:
        return
    what = "no shard" if info.shard is None else f"shard {info.shard}"
    raise ShardError(f"run {info.run_id}, which --resume goes on with, is {what}; leave --shard out")


def durations_from(whole: Planned, store: Store, source: str | None) -> tuple[Durations, str]:
    """What earlier runs took, newest first, by a store (file or URL), or by a file that `harness report --format
    json|csv|parquet` wrote; and words about a source that is not there.

    Only finished runs count that are no part of a deal: what other shards write meanwhile into a store that all of them
    share changes no deal.
    """
    queues = {task.declaration.id: (task.declaration.backend, task.declaration.path) for task in _all(whole)}
    wanted = {name_of(task) for task in whole.checked}, {group_of(task) for task in whole.timed}
    if source is None:
        return learn(_runs(store), queues, *wanted), ""
    path = Path(source)
    if "://" not in source and not path.exists():
        return Durations(), f" (--durations {shown_path(path)}: no such file)"
    if path.suffix.lower() in FILES:
        return learn([_rows(measured_from_file(path).records)], queues, *wanted), ""
    if "://" not in source and path.suffix.lower() not in STORES:
        kinds = ", ".join((*STORES, *FILES))
        raise ShardError(
            f"--durations {shown_path(path)}: write a store or a file of results, whose name ends in {kinds}"
        )
    with opened_to_read(source) as other:
        return learn(_runs(other), queues, *wanted), ""


def exit_code_of_part(
    command: str, found: Dealt, registry: Registry, checked: Sequence[Record], timed: Sequence[Record]
) -> int:
    """As that of any run; but that nothing ran is no failure of a part that has nothing, or whose backends are missing
    here while the whole has others."""
    here = [task for task in found.part.timed if not registry.missing(task.declaration)]
    code = exit_code(command if here else "check", checked, timed)
    if code != 5 or any(not registry.missing(task.declaration) for task in _all(found.part)):
        return code
    rest = found.whole.timed if command == "bench" else found.whole.checked
    return 0 if any(not registry.missing(task.declaration) for task in rest) else code


def _all(planned: Planned) -> Iterator[Task]:
    yield from planned.checked
    yield from planned.timed


def _runs(store: Store) -> Iterator[Rows]:
    """The rows of the newest runs that know what they took."""
    looked_at = 0
    for info in store.runs():
        if info.shard is None and info.finished_at is not None and info.command in ("check", "bench"):
            rows = store.durations(info.run_id)
            if rows:
                looked_at += 1
                yield rows
            if looked_at == MOST_RUNS:
                return


def _rows(records: Sequence[Record]) -> Rows:
    """Of a file, which does not say of which phase a row is: what has samples was timed."""
    names = ("operator", "backend", "implementation", "case", "status", "seed", "machine_id", "duration_s")
    return [
        {**{name: getattr(one, name) for name in names}, "phase": "check" if one.samples is None else "bench"}
        for one in records
        if one.duration_s is not None
    ]
