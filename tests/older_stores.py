"""Stores as each earlier version made them: the text of their tables, as that version's own code printed it."""

from __future__ import annotations

import json

import sqlalchemy as sa

TABLES = {
    "schema_version": ["version INTEGER NOT NULL PRIMARY KEY"],
    "machines": [
        "machine_id VARCHAR(40) NOT NULL PRIMARY KEY", "first_seen TEXT NOT NULL", "description TEXT NOT NULL",
    ],
    "records": [
        "number {number}", "phase VARCHAR(10) NOT NULL", "run_id TEXT NOT NULL", "started_at TEXT NOT NULL",
        '"commit" TEXT', "dirty BOOLEAN", "machine_id TEXT NOT NULL", "device TEXT NOT NULL", "operator TEXT NOT NULL",
        "backend TEXT NOT NULL", "implementation TEXT NOT NULL", '"case" TEXT NOT NULL', "dtype TEXT",
        "parameters TEXT NOT NULL", "seed BIGINT", "status TEXT NOT NULL", "reason TEXT NOT NULL",
        "error_over_bound FLOAT", "max_abs_error FLOAT", "max_rel_error FLOAT", "max_ulp FLOAT", "tree_height BIGINT",
        "run_to_run_bitwise BOOLEAN", "batch_invariant BOOLEAN", "gradient_status TEXT", "samples BIGINT",
        "median_ns BIGINT", "ci_low_ns BIGINT", "ci_high_ns BIGINT", "min_ns BIGINT", "cpu_median_ns BIGINT",
        "prepare_ns BIGINT", "bytes BIGINT", "flops BIGINT", "gb_per_s FLOAT", "percent_of_limit FLOAT",
        "launches BIGINT", "host_round_trips BIGINT", "peak_bytes BIGINT", "registers BIGINT", "spill_bytes BIGINT",
        'UNIQUE (run_id, phase, operator, backend, implementation, "case")',
    ],
    "runs": [
        "run_id VARCHAR(40) NOT NULL PRIMARY KEY", "started_at TEXT NOT NULL", "finished_at TEXT",
        "command TEXT NOT NULL", "selectors TEXT NOT NULL", "seed BIGINT NOT NULL", "budget_s FLOAT",
        "machine_id VARCHAR(40) NOT NULL", '"commit" TEXT', "dirty BOOLEAN", "exit_code INTEGER", "admission TEXT",
        "notes TEXT", "ceiling TEXT",
    ],
    "samples": [
        "number {number}", "run_id VARCHAR(40) NOT NULL", "operator TEXT NOT NULL", "backend TEXT NOT NULL",
        "implementation TEXT NOT NULL", '"case" TEXT NOT NULL', "process BIGINT NOT NULL", "block BIGINT NOT NULL",
        "position BIGINT NOT NULL", "calls BIGINT NOT NULL", "wall_ns BIGINT NOT NULL", "cpu_ns BIGINT NOT NULL",
        "checked BOOLEAN NOT NULL",
    ],
}  # fmt: skip
"""Those of version 1; the first of its stores had no runs.used_by_others."""
SINCE: dict[int, dict[str, list[str]]] = {
    2: {"records": ["known TEXT"], "runs": ["used_by_others FLOAT"]},
    3: {
        "noise": [
            "number {number}", "machine_id TEXT NOT NULL", "operator TEXT NOT NULL", "backend TEXT NOT NULL",
            "implementation TEXT NOT NULL", '"case" TEXT NOT NULL', "clock TEXT NOT NULL", "spread FLOAT NOT NULL",
            "detectable FLOAT NOT NULL", "comparisons BIGINT NOT NULL", "measured_at TEXT NOT NULL",
        ],
        "samples": [
            "device_ns BIGINT", "minor_faults BIGINT", "major_faults BIGINT", "voluntary_switches BIGINT",
            "involuntary_switches BIGINT", "run_delay_ns BIGINT", "steal_ns BIGINT", "others_share FLOAT",
            "throttled BOOLEAN", "contaminated TEXT",
        ],
    },
    4: {"imports": ["run_id VARCHAR(40) NOT NULL PRIMARY KEY", "format TEXT NOT NULL", "files TEXT NOT NULL"]},
    5: {"imports": ["identity VARCHAR(64)"]},
    6: {"records": ["audit_ns BIGINT", "audit_low_ns BIGINT", "audit_high_ns BIGINT"]},
    7: {
        "records": ["duration_s FLOAT"],
        "runs": ["shard TEXT", "deal TEXT"],
        "members": [
            "run_id VARCHAR(40) NOT NULL", "machine_id VARCHAR(40) NOT NULL", "ceiling TEXT", "used_by_others FLOAT",
            "PRIMARY KEY (run_id, machine_id)",
        ],
    },
}  # fmt: skip
"""What each version added. Version 4 also lets samples.cpu_ns be null."""
NUMBERS = {"sqlite": "INTEGER NOT NULL PRIMARY KEY", "postgresql": "SERIAL NOT NULL PRIMARY KEY"}


def make(url: str, version: int) -> None:
    """A store of this version, with a run that has two records and two readings, and from version 4 on an import that
    is there twice."""
    columns = {table: list(found) for table, found in TABLES.items()}
    for number in range(2, version + 1):
        for table, added in SINCE[number].items():
            columns[table] = [*columns.get(table, []), *added]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table, found in columns.items():
            # constraints stand at the end
            body = ", ".join(sorted(found, key=lambda one: one.startswith(("UNIQUE", "PRIMARY"))))
            if version >= 4:
                body = body.replace("cpu_ns BIGINT NOT NULL", "cpu_ns BIGINT")
            body = body.replace("{number}", NUMBERS[engine.dialect.name])
            connection.exec_driver_sql(f"CREATE TABLE {table} ({body})")
        connection.exec_driver_sql("CREATE INDEX ix_samples_run_id ON samples (run_id)")
        if version >= 5:
            connection.exec_driver_sql("CREATE UNIQUE INDEX ix_imports_identity ON imports (identity)")
        for statement in _rows(version):
            connection.exec_driver_sql(statement)
    engine.dispose()


def _rows(version: int) -> list[str]:
    task = "'softmax', 'numpy', 'builtin', 'float32[8x8]dim=1'"
    names = 'operator, backend, implementation, "case"'
    about = f"run_id, phase, started_at, machine_id, device, parameters, status, reason, {names}, dirty, median_ns"
    reading = f"run_id, {names}, process, block, position, calls, wall_ns, cpu_ns, checked"
    run = 'run_id, started_at, finished_at, command, selectors, seed, machine_id, "commit", dirty, exit_code, notes'
    moment = "'2025-01-01T00:00:00.000+00:00'"
    found = [
        f"INSERT INTO schema_version VALUES ({version})",
        f"INSERT INTO machines VALUES ('m', {moment}, '{{\"cpu\": \"old\"}}')",
        f"INSERT INTO runs ({run}) VALUES ('one', {moment}, {moment}, 'bench', '[\"softmax\"]', 7, 'm', 'c0ffee', "
        "false, 0, '[\"a note\"]')",
        f"INSERT INTO records ({about}) VALUES ('one', 'check', {moment}, 'm', 'cpu', '{{}}', 'failed', 'off by Ω', "
        f"{task}, false, NULL), ('one', 'bench', {moment}, 'm', 'cpu', '{{}}', 'passed', '', {task}, false, 1234)",
        f"INSERT INTO samples ({reading}) VALUES ('one', {task}, 0, 0, 0, 1, 10, 11, true), "
        f"('one', {task}, 1, 0, 0, 1, 20, 21, false)",
    ]
    if version >= 3:
        found.append(
            f"INSERT INTO noise (machine_id, {names}, clock, spread, detectable, comparisons, measured_at) "
            f"VALUES ('m', {task}, 'wall', 0.25, 0.5, 20, {moment})"
        )
    if version >= 4:
        files = json.dumps({"results.json": "[]"})
        for run_id in ("two", "three"):
            found.append(
                f"INSERT INTO runs ({run}) VALUES ('{run_id}', {moment}, {moment}, 'import', '[]', 0, "
                "'unknown-1', NULL, NULL, 0, '[]')"
            )
            found.append(f"INSERT INTO imports (run_id, format, files) VALUES ('{run_id}', 'asv', '{files}')")
    if version >= 7:
        found.append("INSERT INTO members VALUES ('one', 'm', '{\"1024\": 10.0}', 0.5)")
    return found
