"""RC522 and PN532 keep the contract of every reader; the PN532 on a real serial line too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlock.clock import SystemClock
from interlock.readers.pn532 import Pn532Reader, serial_opener
from interlock.sim.cards import Card
from interlock.sim.rc522_faults import miso_healthy, miso_stuck_low
from tests.readers.contract import Bench, SeveralContract
from tests.readers.pn532_rig import Pn532Rig, PtyChip
from tests.readers.rig import Rig


class Rc522Bench:
    """The chip model on an SPI bus of this process."""

    def __init__(self) -> None:
        self._rig = Rig()
        self.reader, self.clock = self._rig.reader, self._rig.clock

    def place(self, card: Card) -> None:
        self._rig.place(card)

    def remove(self, card: Card) -> None:
        self._rig.chip.remove(card)

    def die(self) -> None:
        self._rig.chip.miso = miso_stuck_low

    def revive(self) -> None:
        self._rig.chip.miso = miso_healthy


class Pn532Bench:
    """The chip model on a line of this process."""

    def __init__(self) -> None:
        self._rig = Pn532Rig()
        self.reader, self.clock = self._rig.reader, self._rig.clock

    def place(self, card: Card) -> None:
        self._rig.chip.place(card)

    def remove(self, card: Card) -> None:
        self._rig.chip.remove(card)

    def die(self) -> None:
        self._rig.chip.dead = True

    def revive(self) -> None:
        self._rig.chip.power_cycle()


class SerialBench:
    """The chip model behind a pseudo-terminal, pyserial before it, real time."""

    def __init__(self, port: PtyChip) -> None:
        self._port = port
        self.clock = SystemClock()
        self.reader = Pn532Reader(serial_opener(port.path), self.clock)

    def place(self, card: Card) -> None:
        self._port.do(lambda chip: chip.place(card))

    def remove(self, card: Card) -> None:
        self._port.do(lambda chip: chip.remove(card))

    def die(self) -> None:
        self._port.do(lambda chip: setattr(chip, "dead", True))

    def revive(self) -> None:
        self._port.do(lambda chip: chip.power_cycle())


@pytest.mark.fast
class TestRc522(SeveralContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return Rc522Bench()


@pytest.mark.fast
class TestPn532(SeveralContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return Pn532Bench()


@pytest.mark.real
class TestPn532OnASerialLine(SeveralContract):
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        port = PtyChip()
        bench = SerialBench(port)
        yield bench
        bench.reader.close()
        port.close()
