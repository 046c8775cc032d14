"""A real server of PostgreSQL for the tests: a cluster of its own, in a folder of its own, which ends with pytest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "pw:of/the@team"
"""Of the user `harness` over TCP; it needs quoting in a URL."""
QUOTED = "pw%3Aof%2Fthe%40team"
NOBODY = 65534
"""PostgreSQL refuses to run as root."""


def programs() -> Path | None:
    """Where initdb and postgres are: Debian has them outside of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


def why_not() -> str | None:
    """Why there is no server here, or None."""
    import importlib.util

    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is missing: pip install 'kernel-harness[postgres]'"
    return None if programs() else "no server of PostgreSQL is installed: apt-get install postgresql"


class Server:
    """A cluster: without a password on a socket in its folder, with one on a port of the loopback interface."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._rights = tempfile.TemporaryDirectory(prefix="pg-")  # a socket's path is short, and the folder is nobody's
        self.folder = Path(self._rights.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (self.folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                os.chown(path, NOBODY, NOBODY)
        said = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={self.folder}/password"]
        known = ["--username=harness", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        subprocess.run(
            [str(self._programs / "initdb"), f"--pgdata={self.folder}/data", *said, *known],
            check=True,
            capture_output=True,
            **self._rights_of(),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _rights_of(self) -> dict[str, object]:
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"cwd": self.folder, "stdin": subprocess.DEVNULL, **user}

    def url(self, name: str, *, password: bool = False) -> str:
        """A database by its name: over the socket, or over TCP with the password in the URL."""
        if password:
            return f"postgresql://harness:{QUOTED}@127.0.0.1:{self.port}/{name}"
        return f"postgresql+psycopg://harness@/{name}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start it and wait until it answers; after a kill its children take a moment to go, and none starts before."""
        options = {
            "unix_socket_directories": self.folder, "listen_addresses": "127.0.0.1", "port": self.port, "fsync": "off",
            "dynamic_shared_memory_type": "mmap", "max_connections": 60,
        }  # fmt: skip
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(self._programs / "postgres"), "-D", f"{self.folder}/data", *settings],
                    stdout=log,
                    stderr=log,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509
                    **self._rights_of(),  # type: ignore[call-overload]
                )
            while self._process.poll() is None:
                with contextlib.suppress(OSError):
                    self.run("SELECT 1")
                    return
                time.sleep(0.02)

    def run(self, statement: str, name: str = "postgres") -> list[tuple[object, ...]]:
        """Execute a statement by itself, and return its rows."""
        import psycopg

        try:
            with psycopg.connect(
                host=str(self.folder), port=self.port, user="harness", dbname=name, autocommit=True
            ) as connection:
                cursor = connection.execute(statement)  # type: ignore[arg-type]
                return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from None

    def kill(self) -> None:
        """As when its machine goes down; its processes notice that, and end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once
            self._process.wait()
        self._rights.cleanup()


class Postgres:
    """A database of one test. `url` is over the socket, `url_with_password` over TCP."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.name = name
        self.url = server.url(name)
        self.url_with_password = server.url(name, password=True)
        self.kill = server.kill
        self.start = server.start

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Execute a statement in it, and return its rows."""
        return self._server.run(statement, self.name)

    def create(self, options: str = "") -> None:
        self._server.run(f"CREATE DATABASE {self.name} {options}")

    def drop(self) -> None:
        self._server.run(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


def _end_with_parent() -> None:
    """It ends also where pytest is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
