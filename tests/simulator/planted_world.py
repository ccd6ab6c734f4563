"""Deliberate mistakes in what is wired to a Pi and in what its card keeps: a bench or a platter for the real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from interlock.node.journal_facts import Draft
from interlock.protocol.records import Record
from interlock.sim.physics import Facts
from interlock.sim.simulator.bench import RELAY_LINE, Bench
from interlock.sim.simulator.disk import Platter
from interlock.sim.simulator.fitting import Fitting


class StopChainBypassed(Bench):
    """The emergency stop is wired to the input and not into the coil's circuit."""

    def impose(self, now_us: int, **changes: Any) -> None:
        changes.pop("emergency_stop", None)
        super().impose(now_us, **changes)


class NoMonostable(Bench):
    """The dynamic enable is taken for wired and the relay follows its pin alone."""

    def __init__(self, fit: Fitting, observe: Callable[[Facts], None]) -> None:
        super().__init__(replace(fit, plant=replace(fit.plant, monostable_us=None)), observe)


class FloatsHigh(Bench):
    """No resistor holds the relay's line low while nobody drives it."""

    def __init__(self, fit: Fitting, observe: Callable[[Facts], None]) -> None:
        super().__init__(replace(fit, plant=replace(fit.plant, monostable_us=None)), observe)

    def boot(self, now_us: int) -> None:
        self.pins.wire(RELAY_LINE, True)
        super().boot(now_us)


class Forgetful(Platter):
    """Every ninth record that was called durable is not there."""

    def write(self, drafts: Sequence[Draft], boot_id: str) -> list[Record]:
        written = super().write(drafts, boot_id)
        if len(self.records) % 9 == 0:
            self.records = [*self.records[:-2], self.records[-1]]
        return written


class NumbersAgain(Platter):
    """After ten records numbers begin anew."""

    def _record(self, draft: Draft, boot_id: str) -> Record:
        record = super()._record(draft, boot_id)
        return replace(record, header=replace(record.header, seq=record.header.seq % 10 + 1))


class NoHighWaterMark(Platter):
    """The newest version ever accepted is not remembered."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, replace(value, snapshot=None) if name == "marks" else value)
