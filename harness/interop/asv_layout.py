"""A run as asv keeps results: a folder with benchmarks.json, and in it one of the machine with machine.json."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.documents import is_device
from harness.interop.asv import BENCHMARKS, MACHINE, NAME, OURS, VERSION, median_interval, quartiles
from harness.interop.files import document_of, shown, text_of
from harness.interop.imported import UnreadableFile
from harness.interop.stored import Export, NotWritable, StoredRun, left_out, per_call_ns
from harness.record import TIMED, WRONG, Record, Sample

COLUMNS = (
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b", "stats_q_25",
    "stats_q_75", "stats_number", "stats_repeat", "samples",
)  # fmt: skip

LONGEST_PART = 200
"""Bytes of a file's name: file systems take 255, and a partial file has a longer one."""


def write(run: StoredRun) -> Export:
    """The files of asv's layout by their path; as they were, if the run came from there.

    What failed is null, what is missing or unsupported NaN, as asv has them. Raises NotWritable where there is no
    commit, or the tree was changed since: asv keeps results by their commit, and has no word for "and more".
    """
    if run.source and run.source.format == NAME:
        return Export(_as_they_were(run.source.files))
    commit = run.info.commit
    if not commit:
        raise NotWritable(
            f"run {run.info.run_id} was made outside of a git repository, and asv keeps results by their commit"
        )
    if run.info.dirty:
        raise NotWritable(
            f"run {run.info.run_id} measured a changed tree, and asv would show its times as those of commit "
            f"{commit[:12]}; commit the changes and run again"
        )
    if not run.timed:
        raise NotWritable(f"run {run.info.run_id} has no time, and asv has nothing to show without one")
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in run.records:
        is_benchmark = record.median_ns is not None or record.status not in TIMED
        if is_benchmark and record.operator and record.id:
            groups.setdefault((record.operator, record.backend, record.implementation), []).append(record)
    # a group whose cases were only checked has nothing that asv measures
    groups = {task: records for task, records in groups.items() if any(one.median_ns is not None for one in records)}
    machine = _machine(run)
    environment = "kernel-harness"
    started_ms = round(run.started_at.timestamp() * 1000)
    results = {
        "commit_hash": commit,
        "env_name": environment,
        "date": _commit_ms(commit) or started_ms,
        "params": {**{key: machine[key] for key in machine if key != "version"}, "python": _python(run.machine)},
        "python": _python(run.machine),
        "requirements": {},
        "env_vars": {},
        "result_columns": list(COLUMNS),
        "results": {_name(task): _row(task, records, run, started_ms) for task, records in groups.items()},
        "durations": {},
        "version": VERSION,
    }
    benchmarks = {_name(task): _benchmark(task, records) for task, records in groups.items()}
    folder = machine["machine"]
    files = {
        BENCHMARKS: _text({**benchmarks, "version": 2}),
        f"{folder}/{MACHINE}": _text(machine),
        f"{folder}/{path_part(f'{commit[:8]}-{environment}.json')}": _text(results),
    }
    written = {record.id for records in groups.values() for record in records}
    return Export(files, left_out(run, written))


def _as_they_were(files: Mapping[str, str]) -> dict[str, str]:
    """The files of an imported run, at their places in the layout."""
    name = next(iter(files))
    folder = path_part(str(json.loads(files[name])["params"].get("machine") or "machine"))
    found = {f"{folder}/{path_part(name)}": files[name]}
    if MACHINE in files:
        found[f"{folder}/{MACHINE}"] = files[MACHINE]
    if f"../{BENCHMARKS}" in files:
        found[BENCHMARKS] = files[f"../{BENCHMARKS}"]
    return found


def merged(path: Path, name: str, text: str) -> str:
    """A file of the layout with what is at its place already: what others or an earlier run wrote must not vanish.

    `name` is its place in the layout. A benchmark that is in both is the new one, with the cases that only the old one
    has. Raises UnreadableFile.
    """
    if not path.exists() or path.name == MACHINE:
        return text
    there = text_of(path)
    if there == text:
        return text
    before, now = document_of(there, path), json.loads(text)
    if name == BENCHMARKS:
        if not isinstance(before, dict) or before.get("version") != 2:
            raise UnreadableFile(f"{path}: is no benchmarks.json of version 2; name another folder with --output")
        both = {one for one in now if isinstance(now[one], dict) and isinstance(before.get(one), dict)}
        return _text({**before, **now, **{one: _merged_benchmark(before[one], now[one]) for one in both}})
    if not isinstance(before, dict) or before.get("version") != VERSION or not _is_table(before):
        raise UnreadableFile(f"{path}: is no file of asv's results; name another folder with --output")
    if before.get("commit_hash") != now["commit_hash"]:
        raise UnreadableFile(
            f"{path}: is of commit {shown(before.get('commit_hash'))}, and the run of {shown(now['commit_hash'])}; "
            "name another folder with --output"
        )
    return _text(_merged_results(before, now))


def _is_table(document: Mapping[str, Any]) -> bool:
    rows, columns = document.get("results"), document.get("result_columns")
    return (
        isinstance(rows, dict)
        and isinstance(columns, list)
        and all(isinstance(one, str) for one in columns)
        and isinstance(document.get("durations", {}), dict)
        and all(isinstance(one, list) and len(one) <= len(columns) for one in rows.values())
    )


def _merged_benchmark(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """A benchmark of ours with the cases of all its runs: asv shows those only that are listed here."""
    if OURS not in now or not (_has_cases(before) and _has_cases(now)):
        return now
    new = [case for case in now["params"][0] if case not in before["params"][0]]
    return {**now, "params": [[*before["params"][0], *new]]}


def _merged_results(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    columns = [*now["result_columns"], *(one for one in before["result_columns"] if one not in now["result_columns"])]
    old = {name: dict(zip(before["result_columns"], row, strict=False)) for name, row in before["results"].items()}
    new = {name: dict(zip(now["result_columns"], row, strict=False)) for name, row in now["results"].items()}
    both = {name: _merged_row(old[name], row) for name, row in new.items() if name in old}
    rows = {name: [row.get(column) for column in columns] for name, row in {**old, **new, **both}.items()}
    durations = {**before.get("durations", {}), **now.get("durations", {})}
    return {**before, **now, "result_columns": columns, "results": rows, "durations": durations}


def _merged_row(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of results with the cases of both; the new ones count where both have them."""
    if before.get("version") != now.get("version") or not (_has_cases(before) and _has_cases(now)):
        return now
    old, new = before["params"][0], now["params"][0]
    kept = [number for number, case in enumerate(old) if case not in new]
    row = {**now, "params": [[*(old[number] for number in kept), *new]]}
    for column in {*before, *now} - {"params"}:
        was, comes = before.get(column), now.get(column)
        if not isinstance(was, list) and not isinstance(comes, list):
            continue
        # asv writes a list of nothing but null as null
        was, comes = was or [None] * len(old), comes or [None] * len(new)
        if not (isinstance(was, list) and len(was) == len(old) and isinstance(comes, list) and len(comes) == len(new)):
            return now
        row[column] = [*(was[number] for number in kept), *comes]
    return row


def _has_cases(one: Mapping[str, Any]) -> bool:
    """Whether a benchmark or a row has a single parameter."""
    params = one.get("params")
    return isinstance(params, list) and len(params) == 1 and isinstance(params[0], list)


def _text(document: Mapping[str, Any]) -> str:
    # asv itself writes and reads bare NaN and Infinity
    return json.dumps(document, indent=4) + "\n"


def path_part(name: str) -> str:
    """A name that is one file's or folder's and no path, as it is where it is harmless, like asv takes any name."""
    found = "".join(char if char.isprintable() and char not in "/\\" else "_" for char in name)
    if not found.strip(". "):
        return "unnamed"
    if is_device(found):
        found = f"_{found}"
    if len(found.encode()) <= LONGEST_PART:
        return found
    end = ".json" if found.endswith(".json") else ""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return found.encode()[: LONGEST_PART - 20].decode("utf-8", "ignore") + f"-{digest}{end}"


def _machine(run: StoredRun) -> dict[str, Any]:
    about = run.machine
    memory = about.get("memory_gib")
    found = {
        "arch": about.get("architecture"),
        "cpu": about.get("cpu"),
        "machine": path_part(run.info.machine_id or "unknown"),
        "num_cpu": about.get("cores"),
        "os": " ".join(str(about[key]) for key in ("system", "kernel") if about.get(key)),
        "ram": None if memory is None else f"{memory} GiB",
    }
    # asv's own machine.json holds text throughout
    return {**{key: "" if value is None else str(value) for key, value in found.items()}, "version": 1}


def _python(machine: Mapping[str, Any]) -> str:
    return str(machine.get("python") or "").rpartition(" ")[2]


def _commit_ms(commit: str) -> int | None:
    """When a commit was made, in ms since 1970; None if the repository here does not know it."""
    from harness.machine import commit_date

    found = commit_date(commit)
    return None if found is None else round(datetime.datetime.timestamp(found) * 1000)


def _name(task: tuple[str, str, str]) -> str:
    """A dotted name whose last part says to asv that it is a time."""
    operator, backend, implementation = (re.sub(r"[^\w-]", "_", one) for one in task)
    short = hashlib.sha256("/".join(task).encode()).hexdigest()[:6]
    exact = task == (operator, backend, implementation)
    return f"{operator}.{backend}.time_{implementation}{'' if exact else f'_{short}'}"


def _version(task: tuple[str, str, str]) -> str:
    """asv compares results of equal versions only; ours is the task's identity."""
    return hashlib.sha256("/".join(task).encode()).hexdigest()


def _benchmark(task: tuple[str, str, str], records: Sequence[Record]) -> dict[str, Any]:
    return {
        "code": f"# harness bench '{'/'.join(task)}'",
        "name": _name(task),
        "param_names": ["case"],
        "params": [[repr(record.case) for record in records]],
        "timeout": 60.0,
        "type": "time",
        "unit": "seconds",
        "version": _version(task),
        OURS: {"operator": task[0], "backend": task[1], "implementation": task[2]},
    }


def _row(task: tuple[str, str, str], records: Sequence[Record], run: StoredRun, started_ms: int) -> list[Any]:
    """The columns of a benchmark: one entry per case."""
    times = [_seconds(run.samples_of(record)) if record.median_ns is not None else [] for record in records]
    intervals = [median_interval(one) if one else (None, None) for one in times]
    middles = [quartiles(one) if one else (None, None) for one in times]
    calls = [_calls(run.samples_of(record)) if one else None for record, one in zip(records, times, strict=True)]
    columns = {
        "result": [_result(record, one) for record, one in zip(records, times, strict=True)],
        "params": [[repr(record.case) for record in records]],
        "version": _version(task),
        "started_at": started_ms,
        "duration": None,
        "stats_ci_99_a": [low for low, _ in intervals],
        "stats_ci_99_b": [high for _, high in intervals],
        "stats_q_25": [low for low, _ in middles],
        "stats_q_75": [high for _, high in middles],
        "stats_number": calls,
        "stats_repeat": [len(one) or None for one in times],
        "samples": [one or None for one in times],
    }
    return [columns[name] for name in COLUMNS]


def _seconds(samples: Sequence[Sample]) -> list[float]:
    return [per_call_ns(one) / 1e9 for one in samples]


def _calls(samples: Sequence[Sample]) -> int:
    """Calls per sample; ours differ, and asv has one number."""
    return round(statistics.median(one.calls for one in samples))


def _result(record: Record, times: Sequence[float]) -> float | None:
    if record.status in WRONG:
        return None
    if record.status not in TIMED:
        return math.nan
    return statistics.median(times) if times else (record.median_ns or 0) / 1e9
