"""Readers over a bus that ends in a world process: our reader, and the library nobody here wrote."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interlock.clock import SystemClock, perf_us
from interlock.errors import ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.readers.mfrc522 import Mfrc522Reader, spidev_opener
from interlock.sim.spi_client import SpiDev, install_spidev
from tests.sim.worlds import WorldProcess, world_process
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.real,
    # The library inverts a bool with `~`, which Python 3.12 and later warn about.
    pytest.mark.filterwarnings("ignore:Bitwise inversion:DeprecationWarning"),
]

READ_VERSION = [0x37 << 1 | 0x80, 0]
UIDS = ("deadbeef", "04112233445566", "04112233445566778899")
TRANSFERS = 2_000
TRANSFER_US_MEDIAN_MAX = 2_000
"""Generous: two busy cores. A socket that waited for a timer anywhere would take 10 ms or more."""


@pytest.fixture
def world() -> Iterator[WorldProcess]:
    with world_process() as world:
        yield world


@pytest.fixture
def bus(world: WorldProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`import spidev` means the world's bus, as in `interlock sim node`."""
    path = world.directory / "spi.sock"
    monkeypatch.setitem(sys.modules, "spidev", ModuleType("spidev"))
    install_spidev(path)
    return path


@pytest.fixture
def reader(bus: Path) -> Iterator[Mfrc522Reader]:
    reader = Mfrc522Reader(spidev_opener(0, 0), SystemClock())
    reader.open()
    yield reader
    reader.close()


def seen_soon(reader: Mfrc522Reader, kind: type[Sight] | None) -> Sight | None:
    """What is seen once the card has powered up, or gone."""
    wanted = type(None) if kind is None else kind
    found: list[Sight | None] = []

    def polled() -> bool:
        found[:] = [reader.poll()]
        return isinstance(found[0], wanted)

    wait_until(polled)
    return found[0]


def poll_many(reader: Mfrc522Reader) -> None:
    """A second's worth of polls: a dead reader must be a fault within two."""
    for _ in range(20):
        reader.poll()


@pytest.mark.parametrize("uid", UIDS)
def test_a_badge_put_down_in_another_process_is_read_whole(
    world: WorldProcess, reader: Mfrc522Reader, uid: str
) -> None:
    assert reader.poll() is None
    world.ask("put", label="Ada", uid=uid)
    seen = seen_soon(reader, CardSeen)
    assert isinstance(seen, CardSeen)
    assert seen.uid.hex() == uid
    world.ask("take")
    assert seen_soon(reader, None) is None


def test_two_badges_at_once_are_told_as_such(world: WorldProcess, reader: Mfrc522Reader) -> None:
    for uid in UIDS[:2]:
        world.ask("put", label=uid, uid=uid)
    assert isinstance(seen_soon(reader, SeveralCards), SeveralCards)


def test_an_unplugged_reader_is_a_fault_and_a_plugged_one_reads_again(
    world: WorldProcess, reader: Mfrc522Reader
) -> None:
    world.ask("reader", on=False)
    with pytest.raises(ReaderError):
        poll_many(reader)
    world.ask("reader", on=True)
    reader.open()
    world.ask("put", label="Ada", uid=UIDS[1])
    assert isinstance(seen_soon(reader, CardSeen), CardSeen)


def test_a_power_cut_resets_the_chip_and_the_reader_says_so(
    world: WorldProcess, reader: Mfrc522Reader
) -> None:
    world.ask("put", label="Ada", uid=UIDS[1])
    assert isinstance(seen_soon(reader, CardSeen), CardSeen)
    world.ask("pi", on=False)
    world.ask("pi", on=True)
    with pytest.raises(ReaderError):
        poll_many(reader)


def test_the_unmodified_library_reads_across_processes_and_loses_half_of_the_uid(
    world: WorldProcess, bus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 7-byte UID becomes 88 and three bytes, with their check byte: what 3-cards.md measured."""
    stock = importlib.import_module("mfrc522").MFRC522
    monkeypatch.setattr(sys.modules[stock.__module__], "GPIO", _Pins())
    monkeypatch.setattr(sys.modules[stock.__module__], "spidev", sys.modules["spidev"])
    chip = stock()
    world.ask("put", label="Ada", uid=UIDS[1])

    def requested() -> bool:
        status, _ = chip.MFRC522_Request(chip.PICC_REQIDL)
        return bool(status == chip.MI_OK)

    wait_until(requested, deadline_s=10)
    status, answer = chip.MFRC522_Anticoll()
    assert status == chip.MI_OK
    assert answer == [0x88, 0x04, 0x11, 0x22, 0x88 ^ 0x04 ^ 0x11 ^ 0x22]
    chip.Close_MFRC522()


class _Pins:
    """What of RPi.GPIO the library calls; the world's reader has no reset line."""

    OUT = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_transfer_waits_for_no_timer(world: WorldProcess) -> None:
    """The figure itself is reported by `python -m tests.bench world`."""
    spi = SpiDev(world.directory / "spi.sock")
    spi.open(0, 0)
    took_us = []
    for _ in range(TRANSFERS):
        began_us = perf_us()
        assert spi.xfer2(READ_VERSION) == [0, 0x92]
        took_us.append(perf_us() - began_us)
    spi.close()
    took_us.sort()
    median_us = took_us[TRANSFERS // 2]
    assert median_us < TRANSFER_US_MEDIAN_MAX
