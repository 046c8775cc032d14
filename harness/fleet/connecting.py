"""How a client reaches a cluster: by the address of its scheduler, by a scheduler file, or by one that it starts."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.fleet import node
from harness.sandbox import policy
from harness.supervisor import Stopped

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
LOGS = ("distributed", "distributed.client")
"""The second has a level of its own."""
CONNECT_S = 15.0
START_S = 120.0
END_S = 20.0
INSTALL = "the engine for clusters is not installed; type: pip install 'kernel-harness[cluster]'"


def hide_keys() -> None:
    """No plugin of this command reads the files by which it shows a scheduler who it is. Call it before any is read."""
    with contextlib.suppress(ImportError):  # said where the cluster is reached
        for path in node.secrets():
            policy.hide(path)


@contextlib.contextmanager
def connected(cluster: str, jobs: int) -> Iterator[Client]:
    """A client of the cluster; `local` is one of `jobs` nodes on this machine, which ends with the block.

    Raises ImportError where dask.distributed is missing, ValueError for what is no address, Stopped where no scheduler
    answers.
    """
    try:
        import distributed  # noqa: F401 - whether it is there
    except ImportError:
        raise ImportError(f"--cluster {cluster}: {INSTALL}") from None
    with warnings.catch_warnings():
        # of dask's, about sizes that were thought of here
        warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
        if cluster != LOCAL:
            with _client(cluster, None) as client:
                yield client
            return
        with _started(jobs) as (address, credentials), _client(address, credentials) as client:
            yield client


@contextlib.contextmanager
def _client(cluster: str, credentials: dict[str, str] | None) -> Iterator[Client]:
    import dask
    from distributed import Client, Security

    security = Security(require_encryption=True, **credentials) if credentials else None
    is_file = "://" not in cluster and Path(cluster).is_file()
    if not is_file and ":" not in cluster:
        raise ValueError(
            f"--cluster {cluster}: is no address of a scheduler (tcp://host:8786), no scheduler file, and not `local`"
        )
    if cluster.startswith("tls://") and security is None and not dask.config.get("distributed.comm.tls.ca-file", None):
        raise ValueError(
            f"--cluster {cluster}: dask's configuration names no certificates (distributed.comm.tls: ca-file, "
            "client.cert and client.key); docs/fleet.md says how they are made, and where they are named"
        )
    where: dict[str, Any] = {"scheduler_file": cluster} if is_file else {"address": cluster}
    client = None
    logs = [logging.getLogger(name) for name in LOGS]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)  # what it says in several lines is said here in one
    try:
        try:
            client = Client(**where, security=security, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError, KeyError) as error:
            raise Stopped(
                f"--cluster {cluster}: no scheduler answers there ({type(error).__name__}: {error}); start one with: "
                "dask scheduler --host 127.0.0.1"
            ) from None
        yield client
    finally:
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(timeout=END_S)
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


@contextlib.contextmanager
def _started(jobs: int) -> Iterator[tuple[str, dict[str, str]]]:
    """A scheduler and nodes of this machine, in a process of their own (harness.fleet.local): its address, and what is
    needed to speak with it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "harness.fleet.local", str(jobs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends that one
    )
    try:
        yield _address(process)
    finally:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _address(process: subprocess.Popen[bytes]) -> tuple[str, dict[str, str]]:
    assert process.stdout is not None
    said, end_s = b"", time.monotonic() + START_S
    while not said.endswith(b"\n"):
        is_there = select.select([process.stdout], [], [], max(0.0, end_s - time.monotonic()))[0]
        part = os.read(process.stdout.fileno(), 1 << 16) if is_there else b""
        if not part:
            raise Stopped("--cluster local: no cluster could be started on this machine; what it said is above")
        said += part
    found = json.loads(said)
    return found["address"], found["credentials"]
