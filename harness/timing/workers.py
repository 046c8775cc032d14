"""The workers of one process round: one per backend (and plugin file) and side, started when they are first needed."""

from __future__ import annotations

import os
from collections.abc import Mapping

from harness.process import WorkerProcess
from harness.registry import Registry
from harness.supervisor import cannot_start
from harness.timing.evidence import Machine, Watch
from harness.timing.groups import Settings, Side
from harness.timing.pinning import unpin

Trust = tuple[str, str, str]
"""What shares a worker: the backend and the plugin's file ("" for all that is built in), on each side."""


class Workers:
    """Workers by trust, each with a watch over what the system says of it. They must be closed."""

    def __init__(self, registry: Registry, settings: Settings, ahead: Mapping[Trust, WorkerProcess]) -> None:
        """`ahead` are workers that were started before (`started_ahead`); those that are not asked for are closed."""
        self._registry = registry
        self._settings = settings
        self._ahead = dict(ahead)
        self._machine = Machine()
        self._running: dict[Trust, tuple[WorkerProcess, Watch]] = {}
        self.own = Watch(os.getpid(), self._machine)
        """Over the supervisor itself."""

    def get(self, trust: Trust, side: Side | None) -> WorkerProcess:
        if trust not in self._running:
            worker = self._ahead.pop(trust, None) or self._start(trust, side)
            unpin([worker.pid])
            self._running[trust] = worker, Watch(worker.pid, self._machine)
        self._running[trust][0].go_on()
        return self._running[trust][0]

    def take(self, ahead: Mapping[Trust, WorkerProcess]) -> None:
        """Have these, which were started before, for those that are asked for."""
        self._ahead.update(ahead)

    def turn_to(self, trust: Trust) -> None:
        """Have all other workers stand still until it is their turn: what a plugin leaves running slows no rival down,
        and works on nothing ahead."""
        for other, (worker, _) in self._running.items():
            if other == trust:
                worker.go_on()
            else:
                worker.stand_still()

    def watch(self, trust: Trust) -> Watch:
        """The watch over a worker, whose turn it is."""
        self.turn_to(trust)
        return self._running[trust][1]

    def pid(self, trust: Trust) -> int | None:
        """The process of a worker, while there is one."""
        return self._running[trust][0].pid if trust in self._running else None

    def pids(self) -> list[int]:
        return [worker.pid for worker, _ in self._running.values()]

    def lose(self, trust: Trust) -> None:
        if trust in self._running:
            worker, watch = self._running.pop(trust)
            watch.close()
            worker.close()

    def started_ahead(self, sides: Mapping[Trust, Side | None]) -> dict[Trust, WorkerProcess]:
        """Workers for the next round: they import their libraries while this one goes on. On one core that would be in
        its way: there are none then."""
        if len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()) < 2:
            return {}
        ahead: dict[Trust, WorkerProcess] = {}
        try:
            for trust, side in sides.items():
                ahead[trust] = self._start(trust, side)
        except BaseException:
            for worker in ahead.values():
                worker.close()
            raise
        return ahead

    def _start(self, trust: Trust, side: Side | None) -> WorkerProcess:
        checkout = None if side is None else side.checkout
        declared = self._registry if side is None else side.registry
        # drivers of a device reserve address space without using it
        devices = declared.backends[trust[0]].reserves
        limit = 0 if devices else self._settings.memory_limit
        try:
            return WorkerProcess(
                memory_limit=limit,
                checkout=checkout,
                variables=self._settings.variables,
                plugin=None if checkout else trust[1],
                devices=devices,
            )
        except OSError as error:
            raise cannot_start(error) from error

    def close(self) -> None:
        for trust in list(self._running):
            self.lose(trust)
        for worker in self._ahead.values():
            worker.close()
        self.own.close()
        self._machine.close()
