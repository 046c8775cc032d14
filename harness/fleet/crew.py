"""The nodes of a run as its client sees them: who joins, who may take part and why not, who is gone."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import machine
from harness.documents import harmless
from harness.fleet import node
from harness.fleet.commission import Commission
from harness.fleet.facts import closes_network
from harness.supervisor import Stopped, Trust

if TYPE_CHECKING:
    from distributed import Client, Future

Tell = Callable[[str, bool], None]
"""Hears what happens to nodes: words, and whether it is trouble."""

JOIN_S = 60.0
"""A node that has not answered for so long is not waited for; it joins when it does."""
RETURN_S = 30.0
"""How long tasks wait for a node that can run them, once the last one was lost: dask's nannies start them again."""
FETCH_S = 2.0
"""For what a node has announced to come from there."""
LOOK_EVERY_S = 5.0
LONGEST = 600


@dataclass
class Node:
    """One dask worker. `facts` is None until it has announced itself; `warm` is what it was given work of; `times` says
    whether it was chosen to take times."""

    address: str
    since_s: float
    stay: Future[Any]
    said: Future[str]
    facts: Mapping[str, Any] | None = None
    warm: set[Trust] = field(default_factory=set)
    times: bool = False

    @property
    def name(self) -> str:
        return self.address.partition("://")[2] or self.address

    @property
    def lanes(self) -> int:
        return int(self.facts["lanes"]) if self.facts else 0

    @property
    def machine_id(self) -> str:
        return str(self.facts["machine_id"]) if self.facts else ""

    @property
    def host(self) -> str:
        return str(self.facts["host"]) if self.facts else ""

    @property
    def cores(self) -> frozenset[int]:
        """The numbers of its host's cores that it may use."""
        return frozenset(self.facts["cores"]) if self.facts else frozenset()

    def missing(self, backend: str) -> str | None:
        """Why a backend cannot run there, or None."""
        assert self.facts is not None
        found = self.facts["missing"].get(backend, "it is not known there")
        return None if found is None else str(found)


def with_cores(nodes: Sequence[Node]) -> list[Node]:
    """Of nodes that share a host, in their order, as many as there are cores for: more of them would take turns, and
    each would have to get warm."""
    cores: dict[str, frozenset[int]] = defaultdict(frozenset)
    for one in nodes:
        cores[one.host] |= one.cores
    lanes: Counter[str] = Counter()
    found = []
    for one in nodes:
        if lanes[one.host] < len(cores[one.host]):
            lanes[one.host] += one.lanes
            found.append(one)
    return found


class Crew:
    """All nodes of a cluster. `refused` says by name why some take no part; `lost` are the names of those that died."""

    def __init__(
        self,
        client: Client,
        commission: Commission,
        archive: bytes,
        tasks: Mapping[str, str],
        tell: Tell,
    ) -> None:
        """`tasks` is the digest of those that are run (harness.fleet.facts.tasks_digest)."""
        self._client = client
        self._commission = commission
        self._archive = archive
        self._tasks = tasks
        self._tell = tell
        self._nodes: dict[str, Node] = {}
        self._joins = itertools.count(1)
        self.refused: dict[str, str] = {}
        self.lost: list[tuple[float, Node]] = []
        self._alone_since_s: float | None = None
        self._looked_s = -LOOK_EVERY_S

    def appeared(self, address: str) -> None:
        """A worker joined the cluster, or was there."""
        if address in self._nodes or address in self.refused:
            return
        only = {"workers": [address], "allow_other_workers": False, "pure": False, "priority": 1000}
        # dask gives back what it has of a key: nobody is asked anew under one that was there before
        key = f"harness-join-{self._commission.token}-{next(self._joins)}-{address}"
        stay = self._client.submit(node.join, self._commission.as_json(), self._archive, key=key, **only)
        said = self._client.submit(node.announced, stay, key=f"{key}-said", **only)
        self._nodes[address] = Node(address, time.monotonic(), stay, said)

    def vanished(self, address: str) -> None:
        """A worker left the cluster."""
        gone = self._nodes.pop(address, None)
        self.refused.pop(address, None)
        if gone is not None and gone.facts is not None:
            self.lost.append((time.monotonic(), gone))
            self._tell(f"node {gone.name} is gone; {self._count()}", True)

    def forgotten(self, address: str) -> None:
        """A node knows nothing of the run any more: it is asked again."""
        if address in self._nodes:
            del self._nodes[address]
            self.appeared(address)

    def refuse(self, address: str, why: str) -> None:
        """A node takes no part from now on."""
        gone = self._nodes.pop(address, None)
        if gone is not None:
            self.refused[address] = harmless(why, LONGEST)
            self._tell(f"node {gone.name} takes no part: {self.refused[address]}", True)

    def look(self) -> None:
        """Hear who has announced itself; now and then, ask who is there. Raises Stopped where nobody is left."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            # all of them: some versions of dask tell of five unless asked for more
            present = set(self._client.scheduler_info(n_workers=-1)["workers"])
            for address in present:
                self.appeared(address)
            for address in (self._nodes.keys() | self.refused.keys()) - present:
                self.vanished(address)
        for one in [one for one in self._nodes.values() if one.facts is None and one.said.done()]:
            self._welcome(one)
        self._require_somebody(now_s)

    def _welcome(self, one: Node) -> None:
        if one.said.status != "finished":
            error = one.said.exception() if one.said.status == "error" else "it did not answer"
            why = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)
            here = f"kernel-harness {self._commission.version}"
            self.refuse(
                one.address, f"{why}; {here} and its extra `cluster` have to be installed there, and with the scheduler"
            )
            return
        try:
            found = json.loads(one.said.result(timeout=FETCH_S))
        except (OSError, TimeoutError, CancelledError):
            return  # it stands still; it joins when it goes on
        why = self._hindrance(found)
        if why:
            self.refuse(one.address, why)
            return
        one.facts = found
        lanes = f"{one.lanes} at a time" if one.lanes > 1 else "one at a time"
        gpus = f", {len(found['gpus'])} GPUs" if found["gpus"] else ""
        self._tell(f"node {one.name} ({found['hostname']}) joins: {lanes}{gpus}; {self._count()}", False)

    def _hindrance(self, found: Mapping[str, Any]) -> str:
        """Why a node cannot take part, or an empty string."""
        mine = self._commission
        if found.get("other"):
            theirs = f"kernel-harness {found['version']} (files {found['digest']})"
            return (
                f"it has {theirs}, and this is {mine.version} (files {mine.digest}): install the same there, "
                f"pip install 'kernel-harness[cluster]=={mine.version}' or the same checkout"
            )
        if "refused" in found:
            return str(found["refused"])
        try:
            possible = found["lanes"] >= 1 and found["cores"] and all(isinstance(one, int) for one in found["cores"])
            if machine.machine_id(dict(found["machine"])) != found["machine_id"] or not possible:
                return "it describes a machine that cannot be"
            different = sorted(name for name, ids in self._tasks.items() if found["tasks"].get(name) != ids)
            is_closed = closes_network(found["layers"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            return f"it announces itself in a way that cannot be: {type(error).__name__}: {error}"
        if different:
            names = ", ".join(different[:3]) + (", ..." if len(different) > 3 else "")
            return (
                f"its tasks of {names} are others than here: install there the same plugin packages, and the same "
                "versions of what --cases are read from"
            )
        if mine.has_plugins and mine.sandbox != "off" and not is_closed:
            return (
                "its sandbox cannot keep plugins from the network, where they would reach the scheduler and with it "
                "every node (it needs seccomp, or Linux 6.7 with landlock; `harness doctor` there says more); if you "
                "trust these plugins with all of the cluster, type --sandbox off"
            )
        return ""

    def _require_somebody(self, now_s: float) -> None:
        if any(one.facts is not None for one in self._nodes.values()):
            self._alone_since_s = None
            return
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        waits = any(now_s - one.since_s < JOIN_S for one in self._nodes.values())
        if waits or (now_s - self._alone_since_s < RETURN_S and not self.refused):
            return
        if self.refused:
            reasons = dict.fromkeys(self.refused.values())
            raise Stopped(f"none of the {len(self.refused)} nodes can take part: {'; '.join([*reasons][:3])}")
        what = f"all nodes were lost ({', '.join(one.name for _, one in self.lost)})" if self.lost else "no node"
        address = self._client.scheduler.address
        raise Stopped(f"{what}: none joined for {RETURN_S:.0f} s; start some with: dask worker {address}")

    def ready(self) -> list[Node]:
        return [one for one in self._nodes.values() if one.facts is not None]

    def having(self, backend: str) -> list[Node]:
        """The nodes that can run a backend."""
        return [one for one in self.ready() if one.missing(backend) is None]

    def lost_with(self, backend: str) -> list[str] | None:
        """The names of the lost nodes that had a backend; None while one of them may still come back."""
        had = [(when_s, one) for when_s, one in self.lost if one.missing(backend) is None]
        if had and time.monotonic() - had[-1][0] < RETURN_S:
            return None
        return [one.name for _, one in had]

    def node(self, address: str) -> Node | None:
        return self._nodes.get(address)

    def is_waiting(self) -> bool:
        """Whether a node is expected to announce itself soon."""
        now_s = time.monotonic()
        return any(one.facts is None and now_s - one.since_s < JOIN_S for one in self._nodes.values())

    def _count(self) -> str:
        count = len(self.ready())
        return f"{count} node{'' if count == 1 else 's'} now"

    def close(self) -> None:
        """The run is over for all of them."""
        for one in self._nodes.values():
            one.stay.release()
            one.said.release()
        self._nodes.clear()
