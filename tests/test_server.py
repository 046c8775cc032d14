"""Many writers, a run that grows, and a server with its password: on a real server of PostgreSQL, and where it applies
on a file too."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from conftest import readings, record, timed
from postgres_server import PASSWORD, QUOTED, Postgres, Server
from test_store import start
from typer.testing import CliRunner

from harness import location
from harness.checkout import worker_environment
from harness.cli import app
from harness.comparing.measured import measured_from_store
from harness.database import StoreLost
from harness.sandbox import policy, probing
from harness.schema import StoreError
from harness.store import Store, UnknownRun

COMMAND = [sys.executable, "-m", "harness.cli"]
WRITERS = 8
WRITER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import readings, record
from test_store import start
from harness.store import Store
with Store.open(sys.argv[1]) as store:
    run = start(store)
    print(run.run_id, flush=True)
    for number in range(int(sys.argv[2])):
        store.add(record(run_id=run.run_id, case=str(number)), "check")
        store.add_samples(run.run_id, readings(f"i{{number}}", [number, number]))
        print(number + 1, flush=True)
    store.finish_run(run.run_id, exit_code=0)
"""


def test_eight_writers_lose_and_double_nothing_and_one_of_them_is_killed(store_url: str) -> None:
    """They make the store, too. Each says after each row how many there are; what the killed one said is there."""
    counts = [60] * (WRITERS - 1) + [1_000_000]
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, store_url, str(count)], stdout=subprocess.PIPE, text=True)
        for count in counts
    ]
    doomed = children[-1]
    assert doomed.stdout is not None
    ids = [doomed.stdout.readline().strip()]
    promised = 0
    while promised < 50:
        promised = int(doomed.stdout.readline())
    os.kill(doomed.pid, signal.SIGKILL)
    said = doomed.stdout.read().split("\n")[:-1]
    promised = max([promised, *map(int, said)])
    doomed.wait()
    doomed.stdout.close()
    for child, count in zip(children[:-1], counts, strict=False):
        lines = child.communicate()[0].split()
        assert child.returncode == 0 and lines[-1] == str(count)
        ids.append(lines[0])
    with Store.open(store_url) as store:
        assert {run.run_id for run in store.runs()} == set(ids) and len(set(ids)) == WRITERS
        assert store.unfinished("check").run_id == ids[0] and not store.goes_on(ids[0])
        for run_id in ids:
            cases = [int(one.case) for one in store.records(run_id)]
            count = len(cases)
            assert cases == list(range(count)), "in order, each once"
            samples = [one.wall_ns for one in store.samples(run_id)]
            assert samples == [number for number in range(len(samples) // 2) for _ in range(2)]
            if run_id == ids[0]:
                # of the row that was in work all of a transaction is there, or nothing
                assert promised <= len(samples) // 2 <= count <= promised + 1
            else:
                assert count == 60 and len(samples) == 120
        assert store.take_up("check").run_id == ids[0]


def test_a_run_is_seen_while_it_grows(store_url: str, tmp_path: Path) -> None:
    run = CliRunner()
    with Store.open(store_url) as writer, Store.open(store_url) as reader:
        info = start(writer, "bench")
        for number in range(3):
            writer.add(timed(f"i{number}", 1000, run_id=info.run_id, machine_id="abc"), "bench")
            writer.add_samples(info.run_id, readings(f"i{number}", [1000, 1001]))
            assert len(reader.records(info.run_id)) == number + 1
            assert len(reader.samples(info.run_id)) == 2 * (number + 1)
        (note,) = measured_from_store(reader, info.run_id).notes
        assert "still goes on" in note
        page = tmp_path / "page.html"
        done = run.invoke(app, ["report", "--store", store_url, "-o", str(page)])
        assert done.exit_code == 0 and "still goes on" in done.output and "still goes on" in page.read_text()
        writer.close()
        (note,) = measured_from_store(reader, info.run_id).notes
        assert "was interrupted" in note
        done = run.invoke(app, ["report", "--store", store_url, "-o", str(page)])
        assert "was interrupted" in done.output and "still goes on" not in page.read_text()
        assert reader.take_up("bench") == info
        reader.finish_run(info.run_id, exit_code=0)
        assert measured_from_store(reader, info.run_id).notes == ()
        done = run.invoke(app, ["report", "--store", store_url, "-o", str(page)])
        assert done.exit_code == 0 and "interrupted" not in done.output


def test_killing_the_writer_of_one_row_at_a_time_loses_no_row(store_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store_path), "100000"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    promised = 0
    while promised < 200:
        promised = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    promised = max([promised, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    child.wait()
    child.stdout.close()
    with Store.open(str(store_path)) as store:
        assert len(store.records(run_id)) >= promised


def test_a_url_of_postgresql_needs_no_driver_and_may_name_a_schema(
    postgres: Postgres, postgres_cluster: Server
) -> None:
    postgres.run("CREATE SCHEMA team")
    base = postgres.url.removeprefix("postgresql+psycopg://")
    for url in (f"postgresql://{base}", f"postgres://{base}", postgres.url_with_password):
        with Store.open(url) as store:
            start(store)
    with Store.open(f"postgresql://{base}&options=-csearch_path%3Dteam") as store:
        assert store.runs() == []
        start(store)
    assert postgres.run("SELECT count(*) FROM public.runs") == [(3,)]
    assert postgres.run("SELECT count(*) FROM team.runs") == [(1,)]


def test_a_run_goes_on_after_its_server_restarted(postgres: Postgres) -> None:
    """The writer has its claim again with its next row, and nobody else takes the run up; others go on too."""
    with Store.open(postgres.url) as store, Store.open(postgres.url) as other:
        run, second = start(store), start(store, "bench")
        for number in range(2):
            postgres.kill()
            postgres.start()
            store.add(record(run_id=run.run_id, case=str(number)), "check")
            assert other.goes_on(run.run_id) and other.goes_on(second.run_id)
            for command in ("check", "bench"):
                with pytest.raises(UnknownRun, match="still goes on"):
                    other.take_up(command)
        postgres.kill()
        postgres.start()
        third = start(store)  # without a row of another run in between
        assert other.goes_on(third.run_id) and other.goes_on(run.run_id)
        store.finish_run(run.run_id, exit_code=0)
        assert [one.case for one in other.records(run.run_id)] == ["0", "1"]


def test_who_was_slower_than_another_after_a_restart_ends(postgres: Postgres) -> None:
    with Store.open(postgres.url) as store, Store.open(postgres.url) as other:
        run, second = start(store), start(store, "bench")
        postgres.kill()
        postgres.start()
        assert other.take_up("check").run_id == run.run_id
        for _ in range(2):
            with pytest.raises(StoreLost, match=f"let go of run {run.run_id} .* another process has taken it up"):
                store.add(record(run_id=run.run_id), "check")
        assert not other.records(run.run_id)
        store.add(record(run_id=second.run_id), "check")
        other.add(record(run_id=run.run_id), "check")
        with pytest.raises(UnknownRun, match="still goes on"):
            other.take_up("bench")


def test_a_connection_that_breaks_unseen_by_the_server_keeps_its_claim(postgres: Postgres) -> None:
    """As behind a router that forgets: the server still holds the old session, which is of the same process."""
    with Store.open(postgres.url) as store, Store.open(postgres.url) as other:
        run = start(store)
        session = store.database._session
        kept = session._connection
        assert kept is not None
        session._connection = None
        store.add(record(run_id=run.run_id), "check")
        assert other.goes_on(run.run_id) and len(other.records(run.run_id)) == 1
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            kept.execute(sqlalchemy.select(1))
        kept.close()


def test_who_may_only_read_reads(postgres: Postgres) -> None:
    with Store.open(postgres.url) as store:
        run = start(store)
    postgres.run("DROP ROLE IF EXISTS reader")
    postgres.run("CREATE ROLE reader LOGIN")
    url = postgres.url.replace("harness@", "reader@")
    with pytest.raises(StoreError, match=r"permission denied.*GRANT"):
        Store.open(url)
    postgres.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    with Store.open(url) as store:
        assert store.run(None) == run
        with pytest.raises(StoreLost, match=r"permission denied for table records"):
            store.add(record(run_id=run.run_id), "check")
    postgres.run("UPDATE schema_version SET version = 7")
    with pytest.raises(StoreError, match=r"GRANT|owner"):
        Store.open(url)
    postgres.run("REASSIGN OWNED BY reader TO harness; DROP OWNED BY reader")


def test_a_database_that_cannot_hold_every_name_is_refused(postgres: Postgres, postgres_cluster: Server) -> None:
    other = Postgres(postgres_cluster, f"{postgres.name}_latin")
    other.create("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match=r"encoding is LATIN1.*createdb --encoding=UTF8"):
        Store.open(other.url)
    assert other.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    other.drop()


def test_what_a_view_stands_on_stays_as_it_was(postgres: Postgres) -> None:
    import older_stores

    older_stores.make(postgres.url, 7)
    postgres.run("CREATE VIEW mine AS SELECT operator, count(*) FROM records GROUP BY operator")
    with Store.open(postgres.url) as store:
        assert len(store.records("one")) == 2 and len(store.series(lambda task: True)) == 1
        store.add(record(run_id="one", case="new"), "check")
    assert postgres.run("SELECT * FROM mine") == [("softmax", 3)]


# ---- the password


WRONG = (
    "postgresql://harness:hidden-word@127.0.0.1:{port}/{name}", "postgresql://harness:hidden-word@127.0.0.1:1/{name}",
    "postgresql://harness:hidden-word@127.0.0.1:{port}/none", "postgresql://harness@127.0.0.1:{port}/{name}?password=hidden-word",
    "postgresql://harness:hidden-word@host.invalid/x", "postgresql://harness:hidden-word@127.0.0.1:port/x",
    "postgresql+nodriver://harness:hidden-word@127.0.0.1/x", "nosuchbase://me:hidden-word@host/name",
    "mysql+pymysql://me:hidden-word@host/name", "postgresql://a:hidden-word@h/x?sslmode=nonsense",
    "postgresql://a:hidden-word@h/x?nonsense=1", "postgresql:// a b:hidden-word@[::1/x",
)  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_no_error_shows_a_password(url: str, postgres: Postgres, postgres_cluster: Server) -> None:
    given = url.format(port=postgres_cluster.port, name=postgres.name)
    with pytest.raises(StoreError) as refused:
        Store.open(given)
    said = str(refused.value)
    assert "hidden-word" not in said and "--store" in said and "\n" not in said, said
    for arguments in (["report"], ["check", "sum/numpy/builtin"], ["history"], ["import", "x.json"]):
        done = CliRunner().invoke(app, [*arguments, "--store", given])
        assert done.exit_code in (2, 5) and "hidden-word" not in done.output, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit)


def test_a_password_that_is_wrong_or_missing_says_where_it_belongs(postgres: Postgres) -> None:
    with pytest.raises(StoreError, match=r"password authentication failed.*HARNESS_STORE.*pgpass"):
        Store.open(postgres.url_with_password.replace(QUOTED, "wrong"))
    with pytest.raises(StoreError, match=r"no password supplied.*HARNESS_STORE.*pgpass"):
        Store.open(postgres.url_with_password.replace(f":{QUOTED}", ""))


def test_urls_are_shown_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {
        "postgresql://u:p@h/d": "postgresql://u:***@h/d",
        "postgresql://u:p@x:/y@h:5/d?a=1": "postgresql://u:***@h:5/d?a=1",
        "postgresql://u@h/d?password=p&a=1": "postgresql://u@h/d?password=***&a=1",
        "postgresql://u@h/d": "postgresql://u@h/d",
        ".harness/results.sqlite": ".harness/results.sqlite",
        "a:b@c": "a:b@c",
    }
    assert {given: location.shown(given) for given in shown} == shown
    monkeypatch.delenv("HARNESS_STORE", raising=False)
    again = {
        "postgresql://u:p@h/d": "postgresql://u@h/d",
        "postgresql://u@h/d?password=p&a=1": "postgresql://u@h/d?a=1",
        "postgresql://u@h/d?a=1&password=p": "postgresql://u@h/d?a=1",
        "r.sqlite": "r.sqlite",
    }
    assert {given: location.typed_again(given) for given in again} == again
    monkeypatch.setenv("HARNESS_STORE", "postgresql://u:p@h/d")
    assert location.typed_again("postgresql://u:p@h/d") is None


THIEF = """
import glob, os, pathlib, socket
from harness import implementation

def found():
    parts = [repr(dict(os.environ))]
    pids = {os.getppid(), *(int(one) for one in os.listdir("/proc") if one.isdigit())}
    for pid in pids:
        for name in ("environ", "cmdline"):
            try:
                parts.append(open(f"/proc/{pid}/{name}", "rb").read().decode(errors="replace"))
            except OSError:
                pass
    for name in (PASSFILE, os.path.expanduser("~/.pgpass")):
        try:
            parts.append(open(name).read())
        except OSError:
            pass
    for address, family in (((HOST, PORT), socket.AF_INET), (PATH, socket.AF_UNIX)):
        try:
            with socket.socket(family) as one:
                one.connect(address)
                parts.append("REACHED")
        except OSError:
            pass
    return "\\n".join(parts)

@implementation("sum", backend="numpy")
def thief(x, *, dim=None):
    text = found()
    names = [name for name in os.environ if name.startswith(("PG", "HARNESS_S"))]
    stolen = [word for word in (WORD, QUOTED, "from-the-pass-file", "the-environments-pass") if word in text]
    server = "REACHED" if "REACHED" in text else "no server"
    raise RuntimeError(f"saw {len(text) > 100} {len(stolen)} secrets {server} {names}")
"""


def test_a_plugin_finds_neither_the_password_nor_the_server(
    postgres: Postgres, postgres_cluster: Server, tmp_path: Path
) -> None:
    """In no environment, in no command line, in no file of passwords, and over no socket."""
    held = probing.probe()
    if held is None or held.missing:
        pytest.skip(f"layers are missing here: {held and held.missing}")
    passfile = tmp_path / "passwords"
    passfile.write_text("*:*:*:*:from-the-pass-file")
    passfile.chmod(0o600)
    plugin = tmp_path / "thief.py"
    path = f"{postgres_cluster.folder}/.s.PGSQL.{postgres_cluster.port}"
    known = {"WORD": PASSWORD, "QUOTED": QUOTED, "PASSFILE": str(passfile), "HOST": "127.0.0.1"}
    known |= {"PORT": postgres_cluster.port, "PATH": path}  # type: ignore[dict-item]
    plugin.write_text(THIEF + "".join(f"\n{name} = {value!r}" for name, value in known.items()))
    told = {"PGPASSFILE": str(passfile), "PGPASSWORD": "the-environments-pass", "PGUSER": "harness"}
    url = postgres.url_with_password
    for typed, environment in ((["--store", url], {}), ([f"--store={url}"], {}), ([], {"HARNESS_STORE": url})):
        done = subprocess.run(
            [*COMMAND, "check", "sum/numpy/thief", "--plugin", str(plugin), *typed],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, **told, **environment},
        )
        assert done.returncode == 3, done.stderr
        said = done.stdout + done.stderr
        assert PASSWORD not in said and QUOTED not in said
        with Store.open(url) as store:
            records = store.records(store.run(None).run_id)
        reasons = " ".join(one.reason for one in records if one.status == "error")
        assert "saw True 0 secrets no server []" in reasons, reasons
        assert not re.search("[1-9] secrets|REACHED", reasons)
        if typed:
            assert "HARNESS_STORE" in done.stderr, "it is said where a password belongs"


def test_a_command_line_forgets_the_password(tmp_path: Path) -> None:
    """Read by another process, as a plugin's worker is one."""
    code = (
        "import sys; from harness import location; location.wipe_command_line(sys.argv[2]);"
        "print(open('/proc/self/cmdline').read().split(chr(0))[3:6]); print(sys.argv[2])"
    )
    given = "postgresql://u:p%40ss@h/d"
    done = subprocess.run([sys.executable, "-c", code, "--store", given, "p%40ss"], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["['--store', 'postgresql://u:******@h/d', 'p%40ss']", given], done.stderr


@pytest.mark.parametrize("option", ["--store", "--durations"])
def test_each_option_that_takes_a_url_forgets_its_password_and_hides_its_files(option: str, tmp_path: Path) -> None:
    """While it connects, so before any worker is there: to a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"postgresql://u:hidden-word@127.0.0.1:{server.getsockname()[1]}/d?passfile={tmp_path}/passwords"
        code = (
            "import harness.cli, harness.database, harness.sandbox.policy as policy; real = harness.database._options\n"
            "def told(url): print(policy.hidden(), flush=True); return real(url)\n"
            "harness.database._options = told; harness.cli.main()"
        )
        beside = ["--shard", "1/2", "--store", str(tmp_path / "r.sqlite")] if option == "--durations" else []
        command = [sys.executable, "-c", code, "check", "dot/numpy/builtin", option, url, *beside]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            with server.accept()[0]:
                seen = Path(f"/proc/{process.pid}/cmdline").read_text()
            out, said = process.communicate()
    assert "hidden-word" not in seen + said and "postgresql://u:***" in seen and option in seen
    assert f"the password in {option} is seen by every process" in said
    assert f"{tmp_path}/passwords" in out.splitlines()[-1]


def test_what_a_worker_is_told_names_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HARNESS_STORE", "PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGHOST", "PGUSER", "PGSSLKEY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("PGPASSFILE", "PGSERVICEFILE", "PGSSLKEY"):
        (tmp_path / name).write_text("secret")
    assert not [name for name in worker_environment() if name.startswith(("HARNESS_", "PG"))]
    hidden = set(policy._hidden)
    (tmp_path / "key").write_text("secret")
    policy.hide_store(f"postgresql://h/d?sslkey={tmp_path}/key")
    told = policy.Sandbox(str(tmp_path)).as_json()
    policy._hidden.clear()
    policy._hidden.update(hidden)
    assert all(f"{tmp_path}/{name}" in told for name in ("PGPASSFILE", "PGSERVICEFILE", "PGSSLKEY", "key"))


def test_next_names_the_store_without_its_password(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.url_with_password
    arguments = [*COMMAND, "check", "sum/numpy/builtin/float32[33]*", "--store", url]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain = url.replace(f":{QUOTED}", "")
    assert f"--store {plain}" in done.stderr and QUOTED not in done.stderr + done.stdout
    environment = {**os.environ, "HARNESS_STORE": url}
    done = subprocess.run(arguments[:-2], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "--store" not in done.stderr
    page = tmp_path / "page.html"
    done = subprocess.run(
        [*COMMAND, "report", "-o", str(page)], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and QUOTED not in page.read_text() and PASSWORD not in page.read_text()
    assert PASSWORD not in done.stdout + done.stderr


def test_medians_are_asked_for_on_the_command_line(store_url: str, tmp_path: Path) -> None:
    with Store.open(store_url) as store:
        for number, time_ns in enumerate((100, 300, 200, 900)):
            run = start(store, "bench", "machine-a" if number < 3 else "other")
            about = {"run_id": run.run_id, "machine_id": run.machine_id}
            store.add_all(run.run_id, "bench", [timed("builtin", time_ns * 1000, **about)])
            store.finish_run(run.run_id, exit_code=0)
    run = CliRunner()
    command = ["history", "softmax/*", "--store", store_url, "--medians", "50"]
    done = run.invoke(app, [*command, "--machine", "mach", "--json"])
    (row,) = json.loads(done.stdout)
    assert (row["machine_id"], row["runs"], row["median_ns"]) == ("machine-a", 3, 200_000)
    assert (row["least_ns"], row["most_ns"]) == (100_000, 300_000)
    done = run.invoke(app, [*command, "--machine", "mach"])
    assert re.search(r"softmax/numpy/builtin/\S+ +3 +200 µs +100 - 300 µs +200", done.stdout), done.stdout
    assert run.invoke(app, [*command[:3], store_url, "--medians", "1", "--since", "2026-01-01"]).exit_code == 2
    assert run.invoke(app, ["history", "sum/*", "--store", store_url, "--medians", "5"]).exit_code == 5
    done = run.invoke(app, [*command, "--machine", "nosuch"])
    assert done.exit_code == 5 and "machine-a (3 runs" in done.output
