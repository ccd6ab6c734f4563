"""The network process: a control socket, a spool and a hub's address in, deliveries until SIGTERM.

Two threads, each around one step function: the courier (greetings, records) and the fetcher (news,
snapshots); a third, the neighbours, where interlocks are declared. The main thread only watches: it
feeds systemd's watchdog as long as all return from their steps in time. Nothing here is worth saving,
so the process may die at any moment.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

from interlock.clock import Clock
from interlock.config import NodeConfig
from interlock.config.secret_files import read_hub_access
from interlock.config.sections import InterlockConfig
from interlock.protocol.credentials import HubAccess
from interlock.sync.backoff import CAP_MS, Backoff
from interlock.sync.courier import Courier
from interlock.sync.fetcher import Fetcher
from interlock.sync.hub_client import HubClient, Timeouts
from interlock.sync.neighbours import Neighbours
from interlock.sync.node_link import NodeClient
from interlock.sync.notify import Notifier
from interlock.sync.orders import Answers, Orders
from interlock.sync.trust import Trust
from interlock.sync.versions import Versions
from interlock.sync.vitals import vitals

log = logging.getLogger(__name__)

WATCH_S = 0.5
"""How often the threads are looked at: well within a watchdog of two seconds."""

STEP_S_MAX = 120.0
"""Longer than any step but a download: 20 s of HTTP, and name resolution that takes its minute."""

LEAVE_S = 1.0
"""How long threads may take to leave after their calls were cut; they hold nothing that matters."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """What one sync process works with."""

    control_socket: Path
    spool: Path
    access: HubAccess
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_ms_max: int = CAP_MS
    interlocks: tuple[InterlockConfig, ...] = ()


def settings_of(config: NodeConfig) -> SyncSettings:
    """What a node's file says about its sync. Raises ConfigError: the credentials cannot be read."""
    return SyncSettings(
        control_socket=config.paths.socket,
        spool=config.paths.spool_dir,
        access=read_hub_access(config.sync.credentials_file),
        retry_ms_max=config.sync.retry_s_max * 1_000,
        interlocks=config.interlocks,
    )


def run_sync(
    settings: SyncSettings, clock: Clock, randomness: Random, notifier: Notifier | None = None
) -> int:
    """Carry between node and hub until SIGTERM or SIGINT; the exit code (1: a thread died)."""
    notifier = notifier or Notifier()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    hubs, workers = _assemble(settings, clock, randomness, notifier)
    for worker in workers:
        worker.start()
    notifier.ready()
    try:
        return _watch(workers, stop, notifier)
    finally:
        notifier.stopping()
        for worker in workers:
            worker.leave()
        for hub in hubs:
            hub.cut()
        for worker in workers:
            worker.join(LEAVE_S)


def _assemble(
    settings: SyncSettings, clock: Clock, randomness: Random, notifier: Notifier
) -> tuple[list[HubClient], list[Worker]]:
    def reached() -> None:
        """The courier reached the hub: nobody sits out the rest of a back-off."""
        for worker in workers[1:]:
            worker.wake()

    access, versions = settings.access, Versions()
    trust = Trust(access, clock, settings.spool) if access.is_pinned else None
    courier_hub = HubClient(
        access, settings.timeouts, trust, partial(vitals, clock, settings.spool)
    )
    fetcher_hub = HubClient(access, settings.timeouts, trust)
    node, answers = NodeClient(settings.control_socket, clock), Answers()
    courier = Courier(
        identity=(access.lab, access.node),
        node=node,
        hub=courier_hub,
        clock=clock,
        backoff=Backoff(randomness, settings.retry_ms_max),
        records_backoff=Backoff(randomness, settings.retry_ms_max),
        versions=versions,
        report=notifier.status,
        reached=reached,
        orders=Orders(node, courier_hub, answers),
    )
    fetcher = Fetcher(
        node=node,
        hub=fetcher_hub,
        clock=clock,
        backoff=Backoff(randomness, settings.retry_ms_max),
        versions=versions,
        spool=settings.spool,
        reached=lambda: carrying.wake(),
        lost=courier.distrust,
        orders=Orders(node, fetcher_hub, answers),
    )
    carrying = Worker("courier", courier, clock, STEP_S_MAX)
    download_s = settings.timeouts.download_total_s
    fetching = Worker("fetcher", fetcher, clock, STEP_S_MAX + download_s)
    hubs, workers = [courier_hub, fetcher_hub], [carrying, fetching]
    if settings.interlocks:
        hubs.append(HubClient(access, settings.timeouts, trust))
        exchange = Neighbours(
            node=NodeClient(settings.control_socket, clock),
            hub=hubs[-1],
            declared=settings.interlocks,
            clock=clock,
            backoff=Backoff(randomness, settings.retry_ms_max),
        )
        workers.append(Worker("neighbours", exchange, clock, STEP_S_MAX))
    return hubs, workers


class Stepper(Protocol):
    """Courier or fetcher."""

    def step(self) -> int:
        """Do one thing; the milliseconds after which the next is due."""

    def wake(self) -> None:
        """Something happened that makes waiting pointless; any thread may call this."""


class Worker(threading.Thread):
    """Steps whenever the last step asked for it, or sooner when woken."""

    def __init__(self, name: str, stepper: Stepper, clock: Clock, step_s_max: float) -> None:
        super().__init__(name=name, daemon=True)
        self._stepper = stepper
        self._clock = clock
        self._step_ms_max = round(step_s_max * 1000)
        self._woken = threading.Event()
        self._leaving = False
        self._began_ms: int | None = None

    def run(self) -> None:
        """Step until told to leave. An unexpected exception ends the thread, then the process."""
        while not self._leaving:
            self._began_ms = self._clock.boot_ms()
            wait_ms = self._stepper.step()
            self._began_ms = None
            self._woken.wait(wait_ms / 1000)
            self._woken.clear()

    def wake(self) -> None:
        """The present wait is over."""
        self._stepper.wake()
        self._woken.set()

    def leave(self) -> None:
        """No further step begins."""
        self._leaving = True
        self._woken.set()

    def trouble(self) -> str | None:
        """What is wrong with this thread, None when it is well."""
        if not self.is_alive():
            return f"the {self.name} thread died"
        began_ms = self._began_ms
        if began_ms is not None and self._clock.boot_ms() - began_ms > self._step_ms_max:
            return f"the {self.name} thread hangs"
        return None


def _watch(workers: Sequence[Worker], stop: threading.Event, notifier: Notifier) -> int:
    while not stop.wait(WATCH_S):
        for worker in workers:
            trouble = worker.trouble()
            if trouble is not None:
                log.critical("%s: ending, so that systemd starts this process anew", trouble)
                return 1
        notifier.alive()
    return 0
