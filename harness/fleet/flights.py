"""Units under way: sent to dask with the nodes that may run them, which places them, queues them, and runs those of a
dead node elsewhere. What comes of each is heard here, and over which nodes it was lost."""

from __future__ import annotations

import contextlib
import json
import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.fleet import node
from harness.fleet.crew import Crew, Node
from harness.fleet.units import Unit
from harness.supervisor import Stopped

if TYPE_CHECKING:
    from distributed import Client, Future

FETCH_S = 5.0
"""For an answer that is ready to come from its node; else the unit is run again, elsewhere."""
SHARED = "all"
"""The topic under which a scheduler says who comes and goes."""


class SchedulerLost(Stopped):
    """The connection to the scheduler is gone, and with it all that was under way."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A unit was run, and this is what its node answered."""

    unit: Unit
    node: Node
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fell:
    """A unit was not run; `died` says that a node was lost over it, which its deaths name."""

    unit: Unit
    died: bool


@dataclass
class _Flight:
    unit: Unit
    future: Future[str]
    addresses: frozenset[str]
    at: str = ""
    words: str = ""


class Flights:
    """The units of a run that are under way. Use as a context manager: leaving it cancels them."""

    def __init__(self, client: Client, crew: Crew, token: str) -> None:
        self._client = client
        self._crew = crew
        self._token = token
        self._flights: dict[str, _Flight] = {}
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._sent = 0
        self._topic = f"{node.TOPIC}-{token}"
        client.subscribe_topic(SHARED, lambda event: self._events.put(("cluster", event[1])))
        client.subscribe_topic(self._topic, lambda event: self._events.put(("node", event[1])))

    def __len__(self) -> int:
        return len(self._flights)

    def of(self, wanted: str) -> int:
        """How many units that want the same are under way."""
        return sum(flight.unit.wanted == wanted for flight in self._flights.values())

    def among(self, nodes: Sequence[Node]) -> int:
        """How many units are under way that may run on any of these nodes; each is counted once."""
        addresses = {one.address for one in nodes}
        return sum(not addresses.isdisjoint(flight.addresses) for flight in self._flights.values())

    @property
    def busy(self) -> int:
        """How many nodes are running something, as far as they have said so."""
        return len({flight.at for flight in self._flights.values() if flight.at})

    @property
    def words(self) -> str:
        """What is said of what goes on, by the unit that said something last; else empty."""
        return next((flight.words for flight in reversed(self._flights.values()) if flight.words), "")

    def awaited(self) -> list[str]:
        """The names of the nodes that may run what is under way, those first that said that they run it."""
        said = [flight.at for flight in self._flights.values() if flight.at]
        found = dict.fromkeys([*said, *sorted({one for flight in self._flights.values() for one in flight.addresses})])
        return [known.name for known in map(self._crew.node, found) if known is not None]

    def abandon(self) -> None:
        """Nothing that is under way is wanted any more."""
        for key in list(self._flights):
            self._cancel(key)

    def send(self, unit: Unit, nodes: Sequence[Node], resources: Mapping[str, float] | None = None) -> None:
        """Have one of these nodes run a unit."""
        self._sent += 1
        key = f"harness-{unit.request['do']}-{self._token}-{unit.number}-{self._sent}"
        future = self._client.submit(
            node.run,
            self._token,
            key.replace("harness", "unit"),
            json.dumps(unit.request),
            unit.wanted,
            key=key,
            workers=[one.address for one in nodes],
            allow_other_workers=False,
            resources=dict(resources) if resources else None,
            pure=False,
        )
        self._flights[key] = _Flight(unit, future, frozenset(one.address for one in nodes))
        future.add_done_callback(lambda done: self._events.put(("done", done.key)))

    def heard(self, patience_s: float) -> list[Landed | Fell]:
        """What came of units since the last time; waits for some event. Raises SchedulerLost."""
        found: list[Landed | Fell] = []
        with contextlib.suppress(queue.Empty):
            kind, what = self._events.get(timeout=patience_s)
            while True:
                found += self._take(kind, what)
                kind, what = self._events.get_nowait()
        self.require_scheduler()
        found += self._stranded()
        return found

    def wake(self) -> None:
        """From any thread: whoever waits for something to be heard looks again."""
        self._events.put(("wake", None))

    def require_scheduler(self) -> None:
        if self._client.status != "running":
            raise SchedulerLost(f"the scheduler at {self._client.scheduler.address} was lost")

    def _take(self, kind: str, what: Any) -> list[Landed | Fell]:
        if kind == "done":
            return self._done(what)
        if not isinstance(what, dict):
            return []
        if kind == "node":
            self._said(what)
        elif what.get("action") == "add-worker":
            self._crew.appeared(str(what["worker"]))
        elif what.get("action") == "remove-worker":
            return self._removed(str(what["worker"]))
        return []

    def _said(self, what: Mapping[str, Any]) -> None:
        flight = self._flights.get(str(what.get("unit")).replace("unit", "harness", 1))
        if flight is not None and what.get("at") in flight.addresses:
            flight.at = str(what["at"])
            flight.words = str(what.get("words") or "")

    def _removed(self, address: str) -> list[Landed | Fell]:
        """A node is gone. What it was running is blamed; what waited there, dask runs elsewhere."""
        known = self._crew.node(address)
        self._crew.vanished(address)
        found: list[Landed | Fell] = []
        for key, flight in list(self._flights.items()):
            # that it is done may be heard of later than that its node is gone
            if flight.at == address and not flight.future.done():
                flight.unit.deaths.append(known.name if known else address)
                self._cancel(key)
                found.append(Fell(flight.unit, died=True))
        return found

    def _stranded(self) -> list[Landed | Fell]:
        """Units of which no node is left that may run them."""
        found: list[Landed | Fell] = []
        for key, flight in list(self._flights.items()):
            if all(self._crew.node(address) is None for address in flight.addresses) and not flight.future.done():
                self._cancel(key)
                found.append(Fell(flight.unit, died=False))
        return found

    def _done(self, key: str) -> list[Landed | Fell]:
        flight = self._flights.get(key)
        if flight is None:
            return []
        self.require_scheduler()
        if flight.future.status != "finished":
            return self._failed(key, flight)
        try:
            # the answer still lies at its node, which may be gone, or stand still for ever
            text = flight.future.result(timeout=FETCH_S)
        except (OSError, TimeoutError, CancelledError):
            self._cancel(key)
            return [Fell(flight.unit, died=False)]
        self._forget(key)
        try:
            answer = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            answer = None
        if not isinstance(answer, dict):  # which node it was is not known: it stands in the answer
            flight.unit.deaths.append(f"{flight.at or 'a node'} (it answered what is no JSON object)")
            return [Fell(flight.unit, died=True)]
        address = str(answer.get("at"))
        known = self._crew.node(address)
        if known is None or address not in flight.addresses:
            return [Fell(flight.unit, died=False)]
        if "lost" in answer:
            flight.unit.deaths.append(f"{known.name} ({answer['lost']})")
            return [Fell(flight.unit, died=True)]
        if "gone" in answer:
            self._crew.forgotten(address)
            return [Fell(flight.unit, died=False)]
        if "stopped" in answer:
            self._crew.refuse(address, str(answer["stopped"]))
            return [Fell(flight.unit, died=False)]
        return [Landed(flight.unit, known, answer)]

    def _failed(self, key: str, flight: _Flight) -> list[Landed | Fell]:
        """dask gave it up: nodes died again and again over it, or it could not even begin."""
        from distributed import KilledWorker

        error = flight.future.exception() if flight.future.status == "error" else None
        self._forget(key)
        if error is None:  # cancelled by somebody else
            return [Fell(flight.unit, died=False)]
        flight.unit.deaths.append(
            str(error.last_worker.address)
            if isinstance(error, KilledWorker)
            else f"{flight.at or 'a node'} ({type(error).__name__}: {error})"
        )
        return [Fell(flight.unit, died=True)]

    def _cancel(self, key: str) -> None:
        flight = self._flights[key]
        with contextlib.suppress(Exception):  # a scheduler that is gone has cancelled it
            self._client.cancel([flight.future], force=True)
        self._forget(key)

    def _forget(self, key: str) -> None:
        self._flights.pop(key).future.release()

    def __enter__(self) -> Flights:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._client.cancel([flight.future for flight in self._flights.values()], force=True)
        for key in list(self._flights):
            self._forget(key)
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._topic)
            self._client.unsubscribe_topic(SHARED)
