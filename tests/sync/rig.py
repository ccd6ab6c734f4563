"""Courier and fetcher over a model node and hub under one virtual clock, each stepped when it asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from interlock.protocol.records import Record
from interlock.sim.clocks import VirtualClock
from interlock.sync.backoff import Backoff
from interlock.sync.courier import Courier
from interlock.sync.fetcher import Fetcher
from interlock.sync.orders import Answers, Orders
from interlock.sync.versions import Versions
from tests.sync.models import LAB, NODE, BadNetwork, ModelHub, ModelNode, Weather


@dataclass
class Rig:
    spool: Path
    node: ModelNode = field(default_factory=ModelNode)
    hub: ModelHub = field(default_factory=ModelHub)
    weather: Weather = field(default_factory=Weather)
    clock: VirtualClock = field(default_factory=VirtualClock)
    said: list[str] = field(default_factory=list)
    seed: int = 1

    def __post_init__(self) -> None:
        randomness = Random(self.seed)
        self.network = BadNetwork(self.hub, self.weather)
        self.versions, answers = Versions(), Answers()
        self.courier = Courier(
            identity=(LAB, NODE),
            node=self.node,
            hub=self.network,
            clock=self.clock,
            backoff=Backoff(randomness),
            records_backoff=Backoff(randomness),
            versions=self.versions,
            report=self.said.append,
            reached=lambda: self.fetcher.wake(),
            orders=Orders(self.node, self.network, answers),
        )
        self.fetcher = Fetcher(
            node=self.node,
            hub=self.network,
            clock=self.clock,
            backoff=Backoff(randomness),
            versions=self.versions,
            spool=self.spool,
            reached=self.courier.wake,
            lost=self.courier.distrust,
            orders=Orders(self.node, self.network, answers),
        )
        self.due_ms = [0, 0]

    def run_ms(self, duration_ms: int) -> None:
        """Both have made every step that was due within `duration_ms`; the fetcher goes first."""
        end_ms = self.clock.boot_ms() + duration_ms
        steppers = (self.fetcher, self.courier)
        while min(self.due_ms) <= end_ms:
            which = self.due_ms.index(min(self.due_ms))
            self.clock.advance_us(max(0, self.due_ms[which] - self.clock.boot_ms()) * 1000)
            # A step that may be repeated at once costs a millisecond: no virtual endless loop.
            self.due_ms[which] = self.clock.boot_ms() + max(1, steppers[which].step())
        self.clock.advance_us(max(0, end_ms - self.clock.boot_ms()) * 1000)

    def restart_sync(self) -> None:
        """kill -9 and a new process: everything it knew is gone."""
        self.__post_init__()
        now_ms = self.clock.boot_ms()
        self.due_ms = [now_ms, now_ms]

    def restart_hub(self, backup: list[Record]) -> None:
        """The hub went down and came back from `backup`; the open long poll broke at that moment."""
        self.hub.restore(backup)
        self.network.late.clear()
        self.network.broken = True
        self.due_ms[0] = self.clock.boot_ms()
