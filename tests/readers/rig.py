"""A reader on the chip model under virtual time: cards are laid down, what a poll saw comes out."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.readers import Sight
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.cards import Card
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522
from interlock.sim.rc522_air import POWER_UP_US, AirCard
from interlock.sim.rc522_registers import VERSION_GENUINE
from interlock.sim.spi_inprocess import InProcessSpi

TRANSFER_US = 30
"""What a transfer of a few bytes costs on a Pi (7-targets.md)."""
POLL_INTERVAL_US = 50_000
"""20 polls a second."""


@dataclass
class PollCost:
    """What one poll saw and spent."""

    sight: Sight | None
    transfers: int
    us: int


class Rig:
    """Chip, bus, clock and an open reader."""

    def __init__(self, *, version: int = VERSION_GENUINE, transfer_us: int = TRANSFER_US) -> None:
        self.clock = VirtualClock()
        self.chip = Rc522(self.clock.now_us, version=version)
        self.buses: list[InProcessSpi] = []
        self._transfer_us = transfer_us
        self.reader = Mfrc522Reader(self._open_spi, self.clock)

    def opened(self) -> Rig:
        """This rig with its reader open."""
        self.reader.open()
        return self

    def place(self, card: AirCard | str) -> AirCard:
        """The card (or one with this UID in hex) lies on the antenna and has powered up."""
        laid = Card(bytes.fromhex(card)) if isinstance(card, str) else card
        self.chip.place(laid)
        self.clock.advance_us(POWER_UP_US)
        return laid

    def poll(self) -> PollCost:
        """One poll, and the wait until the next is due."""
        transfers, began_us = self.chip.transfers, self.clock.now_us()
        sight = self.reader.poll()
        cost = PollCost(sight, self.chip.transfers - transfers, self.clock.now_us() - began_us)
        self.clock.advance_us(POLL_INTERVAL_US)
        return cost

    def sights(self, polls: int) -> list[Sight | None]:
        """What the next `polls` polls see."""
        return [self.poll().sight for _ in range(polls)]

    def _open_spi(self) -> InProcessSpi:
        self.buses.append(
            InProcessSpi(self.chip, clock=self.clock, transfer_us=self._transfer_us),
        )
        return self.buses[-1]
