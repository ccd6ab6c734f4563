"""One sync process under virtual time: the real courier and fetcher, each in a fiber as in its thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from interlock.clock import Clock
from interlock.config.sections import InterlockConfig
from interlock.protocol.credentials import HubAccess
from interlock.sim.simulator.full.fibers import Fiber
from interlock.sim.simulator.full.net import VirtualHubClient, Wire
from interlock.sim.simulator.schedule import Schedule
from interlock.sync.backoff import Backoff
from interlock.sync.courier import Courier
from interlock.sync.fetcher import Fetcher
from interlock.sync.neighbours import Neighbours
from interlock.sync.node_link import NodeClient
from interlock.sync.orders import Answers, Orders
from interlock.sync.service import Stepper
from interlock.sync.versions import Versions

SOCKET_US = (200, 3_000)
"""What a question on the control socket takes."""
SILENT_US = 5_000_000
"""A node that stands still lets the caller wait for so long (`NodeClient`)."""

Door = Callable[[bytes], bytes | None]
"""One line to the node's control socket, its answer; None: nobody listens, b"": it stands still."""


@dataclass(frozen=True)
class SyncParts:
    """What the process is made of; tests put broken ones in their places."""

    versions: Callable[[], Versions] = Versions
    fetcher: type[Fetcher] = Fetcher
    courier: type[Courier] = Courier
    neighbours: type[Neighbours] = Neighbours


class Sync:
    """From its start to `end()`; nothing of it outlives that."""

    def __init__(
        self,
        *,
        access: HubAccess,
        wire: Wire,
        door: Door,
        spool: Path,
        clock: Clock,
        schedule: Schedule,
        chance: Random,
        node: int,
        parts: SyncParts,
        declared: Sequence[InterlockConfig] = (),
    ) -> None:
        versions, answers = parts.versions(), Answers()
        courier_hub, fetcher_hub = VirtualHubClient(access, wire), VirtualHubClient(access, wire)
        asked = [VirtualNodeClient(door, clock, chance) for _ in range(2)]
        self.said: list[str] = []
        courier = parts.courier(
            identity=(access.lab, access.node),
            node=asked[0],
            hub=courier_hub,
            clock=clock,
            backoff=Backoff(chance),
            records_backoff=Backoff(chance),
            versions=versions,
            report=self.said.append,
            reached=self._reached,
            orders=Orders(asked[0], courier_hub, answers),
        )
        fetcher = parts.fetcher(
            node=asked[1],
            hub=fetcher_hub,
            clock=clock,
            backoff=Backoff(chance),
            versions=versions,
            spool=spool,
            reached=lambda: carrying.wake(),
            lost=courier.distrust,
            orders=Orders(asked[1], fetcher_hub, answers),
        )
        carrying = Stepping(courier, schedule, node)
        fetching = Stepping(fetcher, schedule, node)
        self._workers: list[Stepping] = []
        self._clients: list[VirtualHubClient] = []
        self._add(carrying, asked[0], courier_hub)
        self._add(fetching, asked[1], fetcher_hub)
        if declared:
            hub_of_it, node_of_it = (
                VirtualHubClient(access, wire),
                VirtualNodeClient(door, clock, chance),
            )
            exchange = parts.neighbours(
                node=node_of_it,
                hub=hub_of_it,
                declared=declared,
                clock=clock,
                backoff=Backoff(chance),
            )
            self._add(Stepping(exchange, schedule, node), node_of_it, hub_of_it)

    def _reached(self) -> None:
        """As `sync.service`: the courier reached the hub, nobody sits out the rest of a back-off."""
        for worker in self._workers[1:]:
            worker.wake()

    def _add(self, worker: Stepping, link: VirtualNodeClient, client: VirtualHubClient) -> None:
        client.fiber = link.fiber = worker.fiber
        self._workers.append(worker)
        self._clients.append(client)

    def end(self) -> None:
        """kill -9."""
        for worker in self._workers:
            worker.fiber.end()
        for client in self._clients:
            client.close()


class Stepping:
    """`sync.service.Worker` in a fiber."""

    def __init__(self, stepper: Stepper, schedule: Schedule, node: int) -> None:
        self._stepper = stepper
        self._is_woken = self._is_resting = False
        self.fiber = Fiber(schedule, self._run, node)

    def wake(self) -> None:
        """The present wait is over."""
        self._stepper.wake()
        self._is_woken = True
        if self._is_resting:
            self.fiber.answer(self.fiber.wait, True)

    def _run(self) -> None:
        while True:
            wait_ms = self._stepper.step()
            if not self._is_woken:
                self._is_resting = True
                # A step that may be repeated at once costs a millisecond: no virtual endless loop.
                self.fiber.pause(max(1, wait_ms) * 1_000)
                self._is_resting = False
            else:
                self.fiber.pause(1_000)
            self._is_woken = False


class VirtualNodeClient(NodeClient):
    """The real client of the control socket, without the socket."""

    fiber: Fiber

    def __init__(self, door: Door, clock: Clock, chance: Random) -> None:
        super().__init__(Path("control"), clock)
        self._door, self._chance = door, chance

    def _exchange(self, question: bytes) -> bytes:
        self.fiber.pause(self._chance.randrange(*SOCKET_US))
        line = self._door(question.rstrip(b"\n"))
        if line is None:
            raise self._silent("nobody listens")
        if not line:
            self.fiber.pause(SILENT_US)
            raise self._silent("no answer within 5000 ms")
        return line.rstrip(b"\n")
