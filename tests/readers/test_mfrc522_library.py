"""The unmodified PyPI library misreads the model exactly as it misreads a real chip.

This keeps the model honest: it was written against the data sheet, and a library that nobody here
wrote shows on it, bug for bug, what 3-cards.md measured.
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from interlock.sim.cards import Card, append_crc
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522
from interlock.sim.rc522_air import POWER_UP_US, CardAnswer, bits_of
from interlock.sim.rc522_faults import BitsFlipped, CardsRemoved, miso_stuck_high, miso_stuck_low
from interlock.sim.spi_inprocess import InProcessSpi, spidev_module

pytestmark = [
    pytest.mark.fast,
    # The library inverts a bool with `~`, which Python 3.12 and later warn about.
    pytest.mark.filterwarnings("ignore:Bitwise inversion:DeprecationWarning"),
]

# Our reader's file knows how to import the library off a Pi; what it imported is unmodified.
importlib.import_module("interlock.readers.mfrc522")
library = importlib.import_module("mfrc522")
TRANSFER_US = 30
SEVEN = "04112233445566"
OTHER_SEVEN = "041122AABBCCDD"


class PinRecorder(ModuleType):
    """An `RPi.GPIO` that does nothing but remember what was done to the pins."""

    BCM, BOARD, OUT = 11, 10, 0

    def __init__(self, mode: int | None) -> None:
        super().__init__("RPi.GPIO")
        self.mode = mode
        self.calls: list[tuple[str, tuple[int, ...]]] = []

    def getmode(self) -> int | None:
        return self.mode

    def setmode(self, *arguments: int) -> None:
        self.calls.append(("setmode", arguments))

    def setup(self, *arguments: int) -> None:
        self.calls.append(("setup", arguments))

    def output(self, *arguments: int) -> None:
        self.calls.append(("output", arguments))

    def cleanup(self, *arguments: int) -> None:
        self.calls.append(("cleanup", arguments))


@dataclass
class Stock:
    """The library's two classes on the chip model."""

    clock: VirtualClock
    chip: Rc522
    pins: PinRecorder
    bus: InProcessSpi = field(init=False)

    def __post_init__(self) -> None:
        self.bus = InProcessSpi(self.chip, clock=self.clock, transfer_us=TRANSFER_US)

    def simple(self) -> Any:
        """A `SimpleMFRC522`, initialised on the chip."""
        reader = library.SimpleMFRC522()
        self.clock.advance_us(POWER_UP_US)
        return reader

    def place(self, uid: str) -> Card:
        card = Card(bytes.fromhex(uid))
        self.chip.place(card)
        self.clock.advance_us(POWER_UP_US)
        return card

    def ids(self, reader: Any, polls: int) -> list[int | None]:
        return [reader.read_id_no_block() for _ in range(polls)]


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stock]:
    clock = VirtualClock()
    made = Stock(clock, Rc522(clock.now_us), PinRecorder(None))
    module = sys.modules["mfrc522.MFRC522"]
    monkeypatch.setattr(module, "spidev", spidev_module(lambda: made.bus))
    monkeypatch.setattr(module, "GPIO", made.pins)
    log = logging.getLogger("mfrc522Logger")
    before = list(log.handlers)
    yield made
    for handler in log.handlers[len(before) :]:
        log.removeHandler(handler)


def number_of(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "big")


def test_a_poll_without_card_makes_2013_transfers(stock: Stock) -> None:
    reader = stock.simple()
    for _ in range(2):
        stock.bus.count_from_zero()
        assert reader.read_id_no_block() is None
        assert stock.bus.transfers == 2013


def test_a_four_byte_uid_is_read_with_its_check_byte_in_the_number(stock: Stock) -> None:
    reader = stock.simple()
    stock.place("deadbeef")
    assert reader.read_id_no_block() == number_of("deadbeef22")


def test_two_different_seven_byte_badges_are_the_same_number(stock: Stock) -> None:
    reader = stock.simple()
    first = stock.place(SEVEN)
    first_id = reader.read_id_no_block()
    stock.chip.remove(first)
    stock.place(OTHER_SEVEN)
    assert first_id == reader.read_id_no_block() == number_of("88041122bf")


def test_a_card_lying_still_is_seen_at_every_second_poll(stock: Stock) -> None:
    reader = stock.simple()
    stock.place("deadbeef")
    expected = number_of("deadbeef22")
    assert stock.ids(reader, 6) == [expected, None, expected, None, expected, None]


def test_two_cards_are_never_read(stock: Stock) -> None:
    reader = stock.simple()
    stock.place("deadbeef")
    stock.place("deadbeee")
    assert stock.ids(reader, 6) == [None] * 6


def test_a_card_removed_half_way_still_gives_its_number(stock: Stock) -> None:
    reader = stock.simple()
    stock.place("deadbeef")
    before_select = stock.chip.air.frames + 2
    stock.chip.air.faults.append(CardsRemoved(before_select))
    number, text = reader.read_no_block()
    assert (number, text) == (number_of("deadbeef22"), "")
    assert stock.chip.air.cards == ()


@pytest.mark.parametrize("miso", [miso_stuck_low, miso_stuck_high])
def test_a_dead_reader_looks_like_an_empty_field(stock: Stock, miso: Any) -> None:
    reader = stock.simple()
    stock.place("deadbeef")
    stock.chip.miso = miso
    assert stock.ids(reader, 4) == [None] * 4


def test_an_answer_with_a_wrong_crc_is_believed(stock: Stock) -> None:
    reader = stock.simple().READER
    stock.place("deadbeef")
    reader.MFRC522_Request(reader.PICC_REQIDL)
    _, level = reader.MFRC522_Anticoll()
    sak_bit_and_its_parity = frozenset({0, 8})
    flipped = BitsFlipped(in_answers={stock.chip.air.frames: sak_bit_and_its_parity})
    stock.chip.air.faults.append(flipped)
    assert reader.MFRC522_SelectTag(level) == 0x09


class LongTalker(Card):
    """Answers READ with 16 bytes and their CRC, as every type 2 tag does."""

    def _answer_when_active(self, command: bytes) -> CardAnswer | None:
        return CardAnswer(bits_of(append_crc(bytes(range(16)))))


def test_an_answer_of_eighteen_bytes_is_cut_after_sixteen(stock: Stock) -> None:
    reader = stock.simple().READER
    stock.chip.place(LongTalker(bytes.fromhex("deadbeef")))
    stock.clock.advance_us(POWER_UP_US)
    reader.MFRC522_Request(reader.PICC_REQIDL)
    _, level = reader.MFRC522_Anticoll()
    assert reader.MFRC522_SelectTag(level) == 0x08
    command = [0x30, 0x00, *reader.CalulateCRC([0x30, 0x00])]
    _, heard, bits = reader.MFRC522_ToCard(reader.PCD_TRANSCEIVE, command)
    assert (len(heard), bits) == (16, 18 * 8)


@pytest.mark.parametrize(("content", "crc"), [("5000", "57cd"), ("1234", "26cf")])
def test_the_chip_computes_the_crc_the_library_asks_for(
    stock: Stock, content: str, crc: str
) -> None:
    reader = stock.simple().READER
    assert bytes(reader.CalulateCRC(list(bytes.fromhex(content)))).hex() == crc


@pytest.mark.parametrize(("mode", "pin"), [(None, 22), (PinRecorder.BCM, 15)])
def test_it_drives_a_reset_pin_nobody_gave_it(stock: Stock, mode: int | None, pin: int) -> None:
    stock.pins.mode = mode
    stock.simple()
    assert ("setup", (pin, 0)) in stock.pins.calls
    assert ("output", (pin, 1)) in stock.pins.calls


def test_closing_cleans_up_every_pin_of_the_process(stock: Stock) -> None:
    stock.simple().READER.Close_MFRC522()
    assert stock.pins.calls[-1] == ("cleanup", ())


def test_every_object_adds_a_log_handler(stock: Stock) -> None:
    log = logging.getLogger("mfrc522Logger")
    before = len(log.handlers)
    for _ in range(3):
        stock.simple()
    assert len(log.handlers) == before + 3


UNDER_FAKE_RPI = """
import sys
import fake_rpi
sys.modules["RPi"] = fake_rpi.RPi
sys.modules["RPi.GPIO"] = fake_rpi.RPi.GPIO
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522
from interlock.sim.spi_inprocess import InProcessSpi, spidev_module
clock = VirtualClock()
bus = InProcessSpi(Rc522(clock.now_us), clock=clock, transfer_us=30)
sys.modules["spidev"] = spidev_module(lambda: bus)
import mfrc522
reader = mfrc522.SimpleMFRC522()
bus.count_from_zero()
reader.read_id_no_block()
sys.stderr.write(f"transfers {bus.transfers}")
"""


@pytest.mark.real
def test_under_fake_rpi_in_a_process_of_its_own_it_behaves_the_same() -> None:
    """Nothing of ours is imported but chip and bus, so our stand-ins cannot be the reason."""
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_FAKE_RPI], capture_output=True, text=True, check=False
    )
    assert ran.stderr.endswith("transfers 2013"), ran.stderr
