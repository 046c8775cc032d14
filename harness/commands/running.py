"""What `harness check` and `harness bench` share: they run, print the end of it, and say what to type next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import typer

from harness.progress import Limit
from harness.terminal import (
    INTERRUPTED,
    NOTHING,
    USAGE,
    fail,
    interrupted,
    load,
    progress_of,
    say,
    say_next,
    settled,
    stored_words,
)

if TYPE_CHECKING:
    from harness.api import Run
    from harness.dealing import Dealt


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed for a check or a bench, as far as it is typed again in the next command."""

    command: str
    selectors: list[str]
    plugin: list[str] | None
    operators: list[str] | None
    cases: list[str] | None
    store: str | None
    as_json: bool
    shard: str | None = None
    durations: str | None = None
    cluster: str | None = None

    @property
    def loaded(self) -> str:
        from harness.next_step import typed

        return typed(plugin=self.plugin, operators=self.operators, cases=self.cases)

    @property
    def kept(self) -> str:
        from harness.next_step import typed

        return typed(store=self.store)


def execute(
    given: Given, seed: int | None, budget: float | None, timeout: float | None, resume: bool, processes: int | None
) -> Run:
    from harness import api, configuration
    from harness.database import StoreLost
    from harness.declare import DeclarationError
    from harness.execute import Options
    from harness.next_step import typed
    from harness.plan import NothingSelected
    from harness.supervisor import DEADLINE_S, Stopped
    from harness.timing.groups import Settings

    file = configuration.with_options(
        settled(), plugins=given.plugin, operators=given.operators, seed=seed, budget_s=budget, processes=processes
    )
    options = Options(
        budget_s=file.budget_s,
        deadline_s=timeout or file.timeout_s or DEADLINE_S,
        settings=Settings() if file.processes is None else Settings(processes=file.processes),
    )
    store = configuration.store_of(given.store, file)
    cluster = given.cluster or file.cluster
    cluster = None if cluster == "off" else cluster
    again = given.loaded + given.kept + typed(cluster=given.cluster)
    # on a cluster a step is a whole case
    each_s = options.settings.budget_s / (options.settings.processes if cluster is None else 1)
    parts: list[Dealt] = []
    timing = Limit(lambda steps: (options.budget_s or 0.0) * (parts[0].share if parts else 1.0) or steps * each_s)
    progress = progress_of(given.as_json, {"timing": timing})
    begun: list[str] = []

    def told(part: Dealt, line: str) -> None:
        parts.append(part)
        if not given.as_json:
            say(line)

    try:
        return api.run(
            given.command,
            given.selectors,
            plugins=file.plugins,
            operators=file.operators,
            cases=given.cases or [],
            store=store,
            seed=file.seed,
            options=options,
            progress=progress,
            resume=resume,
            begun=begun.append,
            shard=given.shard,
            durations=given.durations,
            told=told,
            cluster=cluster,
            news=lambda words, trouble: None if given.as_json and not trouble else say(f"harness: {words}"),
        )
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    except LookupError as unknown:
        fail(str(unknown.args[0]), NOTHING)
    except (StoreLost, Stopped) as lost:
        kept = stored_words(given.command, store, again, next(iter(begun), None))
        fail(f"{lost}; the run ended here{kept}", NOTHING)
    except (DeclarationError, ImportError, ValueError) as wrong:
        fail(str(wrong), USAGE)
    except KeyboardInterrupt:
        interrupted(given.command, store, again, next(iter(begun), None))
    finally:
        progress.close()


def print_run(given: Given, run: Run) -> NoReturn:
    try:
        _print_run(given, run)
    except KeyboardInterrupt:
        report = f"harness report {run.run_id}{given.kept}"
        fail(f"interrupted; run {run.run_id} is complete and stored: {report}", INTERRUPTED)
    raise typer.Exit(NOTHING if run.exit_code is None else run.exit_code)


def _print_run(given: Given, run: Run) -> None:
    if given.as_json:
        from harness.reports import json_rows

        print(json_rows(run.records))
    elif run.records or given.shard is None:
        from harness.configuration import store_of
        from harness.next_step import after_run
        from harness.reporting import print_summary

        latest = print_summary(given.command, run, store_of(given.store, settled()))
        if given.shard is not None and run.exit_code == 0:
            return  # what follows needs the other shards
        registry = load(given.plugin, given.operators, given.cases)
        say_next(after_run(given.command, run, registry, given.selectors, given.loaded, given.kept, latest))
