"""What runs inside a dask worker: functions that the client names, and the runs that this node takes part in.

Only texts come and go, and one archive: the harness unpickles nothing here. (What carries them does: whoever reaches a
scheduler of dask runs code on its workers.)
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from harness.fleet.lanes import EngineLost, Lanes, Message, Over, Refused, environment, opening

TOPIC = "kernel-harness"
"""Under it, and the token of a run, nodes say what they begin."""
TLS = "distributed.comm.tls"

MEASURE = "harness-measure"
"""The resource that each node has one of: who takes times holds it."""
OFFER_S = 30.0
"""For the scheduler to hear of it."""

_lanes: dict[str, Lanes] = {}
"""By the token of the run."""
_offering: set[str] = set()
"""Addresses of this process whose scheduler knows that they have that resource."""


class Stay:
    """This node's part in a run. dask keeps it for as long as the client wants it: when the client has gone, however it
    went, it is let go, and all that it started ends. Where dask would move it, only words are moved."""

    def __init__(self, token: str, lanes: Lanes, announced: str, worker: Any) -> None:
        self.announced = announced
        _lanes[token] = lanes
        _sample_stacks(worker, False)
        # a process that ends takes its engines along as it is
        weakref.finalize(self, _leave, token, lanes, worker).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("a part in a run, which stays on its node",)


def _leave(token: str, lanes: Lanes, worker: Any) -> None:
    if _lanes.get(token) is lanes:
        del _lanes[token]
    if not _lanes:
        _sample_stacks(worker, True)
    # not in the thread that lets go: it may be the one by which the node answers
    threading.Thread(target=lanes.close, name="harness-leaves").start()


def join(commission: str, archive: bytes) -> Stay:
    """Take part in a run: start an engine, and have it load what is to be run."""
    from distributed import get_worker

    from harness.fleet.facts import installed

    asked = json.loads(commission)
    here = installed()
    worker = get_worker()
    if (asked["version"], asked["digest"]) != (here["version"], here["digest"]):
        return Stay(asked["token"], Lanes(0, {}, {}), json.dumps({**here, "other": True}), worker)
    told = opening(commission, archive, secrets(worker.security))
    lanes = Lanes(max(1, worker.state.nthreads), told, environment(_set_by_nanny(worker)))
    try:
        answer = lanes.open()
        _offer(worker)
    except (EngineLost, OSError) as lost:
        answer = {"refused": str(lost)}
    return Stay(asked["token"], lanes, json.dumps({**answer, "lanes": max(1, worker.state.nthreads)}), worker)


def announced(stay: Stay) -> str:
    """What a node says of itself, or why it cannot take part, as JSON."""
    return stay.announced


def run(token: str, unit: str, request: str, wanted: str) -> str:
    """One unit, as JSON: rows and `at`, this node's address; or `lost`, how its engine ended; or `gone`, why the run is
    not known here; or `stopped`, why this node cannot go on."""
    from distributed import get_worker

    worker = get_worker()
    topic = f"{TOPIC}-{token}"

    def say(what: str, words: str = "") -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone hears nothing
            worker.log_event(topic, {"unit": unit, "at": worker.address, "what": what, "words": words})

    asked = json.loads(request)
    say("begins")
    if asked["do"] == "time":
        logging.getLogger("distributed.worker").info("kernel-harness takes times for run %s", token)
    return json.dumps({**_answer(_lanes.get(token), asked, wanted, say), "at": worker.address})


def _answer(lanes: Lanes | None, request: dict[str, Any], wanted: str, say: Callable[[str, str], None]) -> Message:
    if lanes is None:
        return {"gone": "the run is not known there any more"}
    try:
        if request["do"] == "rest":
            lanes.rest()
            return {}
        return lanes.ask(request, wanted, lambda words: say("goes on", words))
    except EngineLost as lost:
        return {"lost": str(lost)}
    except Refused as refused:
        return {"stopped": str(refused)}
    except Over as over:
        return {"gone": str(over)}


def _offer(worker: Any) -> None:
    """Let this node be given times to take, one at a time. It tells the scheduler so itself: a client that asked it to
    would wait for as long as it stands still. Raises OSError."""
    from distributed.utils import sync

    if worker.address not in _offering:  # said again, the scheduler would forget what is being measured there
        sync(worker.loop, worker.set_resources, callback_timeout=OFFER_S, **{MEASURE: 1})
        _offering.add(worker.address)


def _sample_stacks(worker: Any, wanted: bool) -> None:
    """Whether dask looks every 10 ms at what its worker does, as it does by itself: beside the clock, and four nodes
    that did took 0.2 of a core in all."""
    sampling = worker.periodic_callbacks.get("profile")
    if sampling is not None and sampling.is_running() is not wanted:
        worker.loop.add_callback(sampling.start if wanted else sampling.stop)


def _set_by_nanny(worker: Any) -> dict[str, Any] | None:
    import dask

    if not worker.nanny:
        return None
    settings = [dask.config.get(f"distributed.nanny.{name}", {}) for name in ("pre-spawn-environ", "environ")]
    return {name: value for one in settings for name, value in (one or {}).items()}


def secrets(security: Any = None) -> list[str]:
    """Files by which this process shows who it is: those that dask's configuration names, and those that it was started
    with (`security`, a distributed.Security). Raises ImportError."""
    import dask

    settings = dask.config.get(TLS, {}) or {}
    values = [value for one in settings.values() for value in (one.values() if isinstance(one, dict) else [one])]
    values += [getattr(security, name) for name in dir(security) if name.startswith("tls_")]
    paths = {os.path.abspath(value) for value in values if isinstance(value, str)}
    return sorted(path for path in paths if os.path.exists(path))  # a key may also be given as text
