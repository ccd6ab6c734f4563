"""A node's loop on the bench: real core, real pins over gpiozero's mock, real inbox; a clock
moved by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import machine
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import BadgeArrived, RecordDurable, SnapshotActivated
from interlock.core.model import (
    Assurance,
    Cache,
    Demands,
    Entry,
    Level,
    Presented,
    Right,
    Rules,
)
from interlock.core.states import Recovered, State
from interlock.node.flight import Step
from interlock.node.inbox import Inbox
from interlock.node.loop import Loop, Silence
from interlock.node.pins import MachinePins
from interlock.node.timekeeping import Timekeeper
from interlock.sim.clocks import US_PER_MS, VirtualClock
from tests.node.pin_contract import ENABLE, RELAY, pin_config
from tests.node.test_pins import MockBench

ADA = Entry(tag=b"\x01" * 16, member="m-ada", rights=(Right("saw", Level.ALONE),), name="Ada")
CACHE = Cache(version=(1, 1), age_s=0)
TICK_MS = 20
START_MS = 10_000


class LoopBench:
    """Ticks by hand. `told` is everything that left the loop, in order, relay levels included."""

    def __init__(
        self,
        *,
        step: Step = machine.step,
        silences: tuple[Silence, ...] = (),
        rules: Rules | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.clock.advance_us(START_MS * US_PER_MS)
        self.outside = MockBench()
        self.inbox = Inbox()
        self.told: list[Any] = []
        self.fed = 0
        self.pins = RecordedPins(pin_config(), self.outside.factory)
        self.pins.told = self.told
        self.loop = Loop(
            step=step,
            state=machine.initial(rules or Rules(), Recovered(), Timekeeper(self.clock).now()),
            pins=self.pins,
            inbox=self.inbox,
            submit=self.told.append,
            now=Timekeeper(self.clock).now,
            silences=silences,
            feed_watchdog=self._feed,
        )

    @property
    def relay_on(self) -> bool:
        return self.outside.level(RELAY)

    @property
    def enable_on(self) -> bool:
        return self.outside.level(ENABLE)

    @property
    def records(self) -> list[str]:
        return [effect.type for effect in self.told if isinstance(effect, WriteRecord)]

    @property
    def refusals(self) -> list[str]:
        return [e.body["reason"] for e in self.told if isinstance(e, ReportRefusal)]

    def tick(self, times: int = 1, *, scheduled: bool = True) -> None:
        for _ in range(times):
            self.clock.advance_us(TICK_MS * US_PER_MS)
            self.loop.tick(scheduled)

    def arrival(self, entry: Entry | None = ADA) -> BadgeArrived:
        tag = entry.tag if entry is not None else b"\xff" * 16
        seen_ms = self.clock.boot_ms()
        return BadgeArrived(Presented(tag, seen_ms, Assurance.UID, entry, CACHE))

    def enable(self) -> None:
        """Ada's session is open and the contactor has closed."""
        self.inbox.put(SnapshotActivated(CACHE, Demands(("saw",))))
        self.tick()
        self.inbox.put(self.arrival())
        self.tick()
        assert self.loop.state.state is State.STARTING
        self.inbox.put(RecordDurable(self.ticket, "1.1"))
        self.tick()
        assert self.relay_on
        self.outside.conduct(12, False)
        self.tick()

    @property
    def ticket(self) -> int:
        return next(e.ticket for e in reversed(self.told) if isinstance(e, WriteRecord))

    def _feed(self) -> None:
        self.fed += 1


class RecordedPins(MachinePins):
    """The real pins, with each relay command noted among what the loop told others."""

    told: list[Any]

    def relay(self, on: bool) -> None:
        self.told.append(("relay", on))
        super().relay(on)


def unknown(entry: Entry = ADA) -> Entry:
    """Somebody without a right."""
    return replace(entry, rights=())
