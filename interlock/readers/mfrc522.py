"""The RC522 on SPI: register transfers flow out, whole and confirmed UIDs flow in.

The unmodified PyPI `mfrc522` gives the register map, the command codes and one-register access;
what it does with them misreads cards (3-cards.md), so initialisation and exchange are written here,
and what the exchanges mean in `raw_field`, which knows no chip.

One exchange with the card is: stop, clear interrupts, flush, fill the FIFO in one burst, start,
sleep while the frame is in the air, read all status registers in one transfer, and read the answer
in another. Version and antenna bit come with every status: a chip that fell silent, or came back
from a brown-out with its antenna off, is noticed in that very exchange and never looks like an
empty field. While a card thinks, looks get rarer: one more for every eighth of the time that passed.

Importing the library needs `RPi.GPIO` and `spidev`; this class uses neither through it, and on a
Pi 5 the very import of RPi.GPIO fails. Empty modules stand in for the two while it is imported and
are gone afterwards: whoever really wants a bus still meets the truth.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

from interlock.cards.iso14443_4 import ATTEMPT_MS_MAX
from interlock.cards.iso14443a import HLTA_SILENCE_US, Answer, Trouble
from interlock.clock import Clock
from interlock.errors import ReaderError
from interlock.readers import CardSeen, Sight
from interlock.readers.raw_field import RawField

US_PER_S = 1_000_000
READ = 0x80
POWER_DOWN_BIT = 0x10
ALL_IRQ_BITS = 0x7F
RX_IRQ = 0x20
TIMER_IRQ = 0x01
COLLISION_ERROR = 0x08
FRAME_ERRORS = 0x13
"""Overflow, parity and protocol; the CRC is checked here, the collision has its own answer."""
FLUSH = 0x80
START_SEND = 0x80
LAST_BITS = 0x07
LEVEL_BITS = 0x7F
FIFO_BYTES = 64
ANTENNA_BITS = 0x03

TIMER_AUTO = 0x80
"""TModeReg: start at the end of each frame sent, stop at the fifth bit of an answer."""
TICK_US = 25
TICK_PRESCALER = 169
"""13.56 MHz / (2 × 169 + 1) = one tick in 25 µs."""
TICKS_MAX = 0x10000
ANSWER_US = HLTA_SILENCE_US
"""Answers to frames of ISO 14443-3 begin 86 or 91 µs after the frame, exactly (6.2.1.1); the timer
waits longer for cards that are not exact, and for the silence HLTA needs."""
ANSWER_TICKS = ANSWER_US // TICK_US
FORCE_100_PERCENT_ASK = 0x40
CRC_A_PRESET_MODE = 0x3D
"""ModeReg: wait for the field before sending, CRC preset 6363."""

BIT_US = 128 / 13.56
FRAME_DELAY_US = 92
"""The longer of the two frame delay times of a card, rounded up."""
SLACK_US = 20
"""Added to computed durations, so that one look at the status is normally enough."""
LOOK_AGAIN_US = 1_000
LOOK_AGAIN_SHARE = 8
"""The next look comes after an eighth of the time that already passed, so that an answer is noticed
late by an eighth (or 1 ms) at most, and 77 ms of a card thinking cost 27 looks."""
LATE_LOOK_US = 1_000
LATE_LOOKS_MAX = 6
"""Looks after the chip's timer should have ended the exchange: an answer that began just before may
fill the FIFO, which takes 5.5 ms."""
RESET_LOOKS_MAX = 20
RESET_LOOK_US = 1_000
"""The oscillator runs again a few milliseconds after a reset (data sheet, 8.8.2)."""
FIELD_OFF_US = 10_000
"""After so long without field a card has forgotten everything (3-cards.md; 5 ms by ISO 14443-3, 5.2.3)."""
FIELD_SETTLE_US = 5_000
"""Cards listen at the latest so long after the field came up (ISO 14443-3, 5.2.1)."""
SUSPECT_LOOKS_MAX = 3
"""A disturbed transfer is read again before the chip is called dead."""
UNFINISHED_MAX = 3
"""Exchanges in a row that neither answer nor timer ended: the chip hangs."""

GENUINE_VERSIONS = {0x91: "MFRC522 v1", 0x92: "MFRC522 v2"}
CLONE_VERSIONS = {0x88: "FM17522", 0x89: "FM17522E", 0xB2: "FM17522 (B2)"}
COUNTERFEIT_VERSION = 0x12
NO_CHIP_VERSIONS = (0x00, 0xFF)
CHIP_NAMES = GENUINE_VERSIONS | CLONE_VERSIONS


class Spi(Protocol):
    """What of `spidev.SpiDev` is used. Both raise OSError when the bus is gone."""

    def xfer2(self, values: list[int], /) -> list[int]:
        """One chip select: as many bytes come back as are sent."""

    def close(self) -> None:
        """The bus is released."""


@contextmanager
def _stand_ins(*names: str) -> Iterator[None]:
    """Empty modules take the place of `names` that are not loaded, and leave it again."""
    placed = [name for name in names if name not in sys.modules]
    for name in placed:
        sys.modules[name] = ModuleType(name)
        package, _, member = name.rpartition(".")
        if package:
            setattr(sys.modules[package], member, sys.modules[name])
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


with _stand_ins("RPi", "RPi.GPIO", "spidev"):
    import mfrc522 as library


SPI_SPEED_HZ = 1_000_000
"""Slow enough for the hand-made cables of a lab; the chip itself bears 10 MHz."""


def spidev_opener(bus: int, device: int, speed_hz: int = SPI_SPEED_HZ) -> Callable[[], Spi]:
    """What opens /dev/spidev`bus`.`device`; it raises ReaderError when that cannot be done."""

    def open_spi() -> Spi:
        where = f"/dev/spidev{bus}.{device}"
        try:
            spidev = importlib.import_module("spidev")
            spi: Spi = spidev.SpiDev()
            spi.open(bus, device)  # type: ignore[attr-defined] # only the real one is opened
            spi.max_speed_hz = speed_hz  # type: ignore[attr-defined] # as above
        except ImportError as missing:
            remedy = "Install it: apt install python3-spidev"
            raise ReaderError("spidev is not installed", where=where, remedy=remedy) from missing
        except OSError as refused:
            remedy = "Enable SPI (dtparam=spi=on) and put the user into the group spi"
            raise ReaderError(str(refused), where=where, remedy=remedy) from refused
        return spi

    return open_spi


class _CheckedSpi:
    """A bus whose failures are reader errors, by type; a short answer is one too."""

    def __init__(self, spi: Spi) -> None:
        self._spi = spi

    def xfer2(self, values: list[int]) -> list[int]:
        try:
            heard = list(self._spi.xfer2(values))
        except OSError as gone:
            raise _fault(f"the SPI bus failed ({gone})", "Check cable and kernel log") from gone
        if len(heard) != len(values):
            raise _fault(f"{len(heard)} bytes for {len(values)} sent", "Check the SPI driver")
        return heard

    def close(self) -> None:
        try:
            self._spi.close()
        except OSError as gone:
            raise _fault(f"the SPI bus failed ({gone})", "Check cable and kernel log") from gone


class Mfrc522Reader(library.MFRC522):  # type: ignore[misc] # the library has no types
    """An `interlock.readers.Reader` on one RC522; `open_spi` gives it a bus of its own.

    After a ReaderError `open()` starts afresh: it closes the old bus, resets and configures. A card gets
    `attempt_ms_max` for all its answers between two polls; the enrolment desk, which writes cards, gives it longer.
    """

    def __init__(
        self, open_spi: Callable[[], Spi], clock: Clock, *, attempt_ms_max: int = ATTEMPT_MS_MAX
    ) -> None:
        # Not super().__init__(): it would open a bus, drive a pin and add a log handler.
        self.spi: _CheckedSpi | None = None
        self._open_spi = open_spi
        self._clock = clock
        self._version = 0
        self._unfinished = 0
        self._ticks = 0
        self._field = RawField(self, clock, attempt_ms_max=attempt_ms_max)

    @property
    def chip_name(self) -> str:
        """Which chip answered when it was opened; empty before."""
        return CHIP_NAMES.get(self._version, "")

    def open(self) -> None:
        """The chip is reset, checked and configured, its field is on and cards listen."""
        self.close()
        try:
            self.spi = _CheckedSpi(self._open_spi())
        except OSError as refused:
            raise _fault(f"no SPI bus ({refused})", "Enable SPI: dtparam=spi=on") from refused
        self._unfinished = 0
        try:
            self._reset()
            self._version = self._checked_version()
            self._configure()
        except ReaderError:
            self.close()
            raise
        self._pause(FIELD_SETTLE_US)

    def poll(self) -> Sight | None:
        """The card in the field, several cards, or None. Raises ReaderError for a dead chip."""
        self._bus()
        return self._field.look()

    def wake(self, card: CardSeen) -> CardSeen | None:
        """`card` once more, after 10 ms without field; None when just this card does not answer alone."""
        self._bus()
        return self._field.wake(card)

    def close(self) -> None:
        """Field off, bus released; harmless when called again, and on a dead bus."""
        self._field.leave()
        spi, self._version = self.spi, 0
        if spi is None:
            return
        try:
            self.Write_MFRC522(self.TxControlReg, 0)
            spi.close()
        except ReaderError:
            pass  # it was closed because it failed: the bus is as released as it can be
        finally:
            self.spi = None

    def exchange(
        self, frame: bytes, answer_bytes: int, *, last_bits: int = 0, wait_us: int = ANSWER_US
    ) -> Answer | Trouble:
        """One frame is sent as it is and its answer heard: `iso14443a.Transceive`, with a time to wait.

        `answer_bytes` is what to expect (0: silence); a longer answer is heard too. Raises ReaderError.
        """
        self._wait_for(wait_us)
        self._start(frame, last_bits)
        for pause_us in _pauses_us(len(frame), answer_bytes, wait_us):
            self._pause(pause_us)
            irq, error, level, control = self._status()
            if irq & RX_IRQ:
                self._unfinished = 0
                return self._answer(error, level & LEVEL_BITS, control & LAST_BITS)
            if irq & TIMER_IRQ:
                self._unfinished = 0
                return Trouble.SILENCE
        self._unfinished += 1
        if self._unfinished >= UNFINISHED_MAX:
            raise _fault("the chip hangs: its timer never ends", "Check its supply, or replace it")
        return Trouble.SPOILED

    def reset_field(self) -> None:
        """Every card lost its power and started again."""
        antenna = self.Read_MFRC522(self.TxControlReg)
        self.Write_MFRC522(self.TxControlReg, antenna & ~ANTENNA_BITS)
        self._pause(FIELD_OFF_US)
        self.Write_MFRC522(self.TxControlReg, antenna | ANTENNA_BITS)
        self._pause(FIELD_SETTLE_US)

    # ------------------------------------------------------------------------------------ one frame

    def _wait_for(self, wait_us: int) -> None:
        ticks = max(1, min(wait_us // TICK_US, TICKS_MAX))
        if ticks != self._ticks:
            self.Write_MFRC522(self.TReloadRegH, ticks - 1 >> 8)
            self.Write_MFRC522(self.TReloadRegL, ticks - 1 & 0xFF)
            self._ticks = ticks

    def _start(self, frame: bytes, last_bits: int) -> None:
        self.Write_MFRC522(self.CommandReg, self.PCD_IDLE)
        self.Write_MFRC522(self.CommIrqReg, ALL_IRQ_BITS)
        self.Write_MFRC522(self.FIFOLevelReg, FLUSH)
        self._bus().xfer2([self.FIFODataReg << 1, *frame])
        # StartSend must fall before Transceive begins, or the chip would send at once.
        self.Write_MFRC522(self.BitFramingReg, last_bits)
        self.Write_MFRC522(self.CommandReg, self.PCD_TRANSCEIVE)
        self.Write_MFRC522(self.BitFramingReg, START_SEND | last_bits)

    def _answer(self, error: int, level: int, last_bits: int) -> Answer | Trouble:
        if error & COLLISION_ERROR:
            return Trouble.COLLISION
        if error & FRAME_ERRORS or not 0 < level <= FIFO_BYTES:
            return Trouble.SPOILED
        return Answer(bytes(self._read_many([self.FIFODataReg] * level)), last_bits)

    # ------------------------------------------------------------------------------- is it healthy

    def _status(self) -> tuple[int, int, int, int]:
        """Interrupts, errors, FIFO level and control, read from a chip that proves it is alive."""
        for _ in range(SUSPECT_LOOKS_MAX):
            irq, error, level, control, antenna, version = self._read_many(
                [
                    self.CommIrqReg,
                    self.ErrorReg,
                    self.FIFOLevelReg,
                    self.ControlReg,
                    self.TxControlReg,
                    self.VersionReg,
                ]
            )
            if version == self._version and antenna & ANTENNA_BITS == ANTENNA_BITS:
                return irq, error, level, control
        if version == self._version:
            raise _fault("the chip lost its settings (brown-out)", "Check its 3.3 V supply")
        raise _version_fault(version)

    def _reset(self) -> None:
        self.Write_MFRC522(self.CommandReg, self.PCD_RESETPHASE)
        for _ in range(RESET_LOOKS_MAX):
            self._pause(RESET_LOOK_US)
            if not self.Read_MFRC522(self.CommandReg) & POWER_DOWN_BIT:
                return
        raise _version_fault(self.Read_MFRC522(self.VersionReg))

    def _checked_version(self) -> int:
        for _ in range(SUSPECT_LOOKS_MAX):
            version = int(self.Read_MFRC522(self.VersionReg))
            if version in CHIP_NAMES:
                return version
        raise _version_fault(version)

    def _configure(self) -> None:
        timer = {
            self.TModeReg: TIMER_AUTO | TICK_PRESCALER >> 8,
            self.TPrescalerReg: TICK_PRESCALER & 0xFF,
            self.TReloadRegH: ANSWER_TICKS - 1 >> 8,
            self.TReloadRegL: ANSWER_TICKS - 1 & 0xFF,
        }
        for register, value in timer.items():
            self.Write_MFRC522(register, value)
        self._ticks = ANSWER_TICKS
        # The timer's registers have no reserved bits, so they read back the same on every clone.
        if self._read_many(list(timer)) != list(timer.values()):
            raise _fault("the chip does not keep its settings", "Check the MOSI wire and supply")
        self.Write_MFRC522(self.TxAutoReg, FORCE_100_PERCENT_ASK)
        self.Write_MFRC522(self.ModeReg, CRC_A_PRESET_MODE)
        antenna = self.Read_MFRC522(self.TxControlReg)
        self.Write_MFRC522(self.TxControlReg, antenna | ANTENNA_BITS)

    # -------------------------------------------------------------------------------------- the bus

    def _read_many(self, registers: list[int]) -> list[int]:
        """The values of `registers`, in one transfer and in this order."""
        return self._bus().xfer2([register << 1 | READ for register in registers] + [0])[1:]

    def _bus(self) -> _CheckedSpi:
        if self.spi is None:
            raise _fault("the reader is not open", "Call open() first")
        return self.spi

    def _pause(self, us: float) -> None:
        self._clock.sleep(us / US_PER_S)


def _pauses_us(frame_bytes: int, answer_bytes: int, wait_us: int) -> Iterator[float]:
    """How long to sleep before each look: to the end of the answer, of the timer, and then late."""
    sent_us = _air_us(frame_bytes)
    timer_us = sent_us + max(wait_us, TICK_US) + SLACK_US
    passed_us = 0.0
    look_us = sent_us + FRAME_DELAY_US + _air_us(answer_bytes) + SLACK_US
    while answer_bytes and look_us < timer_us:
        yield look_us - passed_us
        passed_us = look_us
        look_us += max(LOOK_AGAIN_US, (look_us - sent_us) / LOOK_AGAIN_SHARE)
    yield timer_us - passed_us
    yield from (LATE_LOOK_US for _ in range(LATE_LOOKS_MAX))


def _air_us(length_bytes: int) -> float:
    """How long a frame of whole bytes is in the air: parity, start and end included."""
    return (length_bytes * 9 + 2) * BIT_US


def _fault(what: str, remedy: str) -> ReaderError:
    return ReaderError(what, where="reader mfrc522", remedy=remedy)


def _version_fault(version: int) -> ReaderError:
    if version in NO_CHIP_VERSIONS:
        what = f"no chip answers (version {version:02X})"
        return _fault(what, "Check that it has 3.3 V and that MISO, MOSI, SCK and SDA are right")
    if version == COUNTERFEIT_VERSION:
        return _fault("a counterfeit RC522 (version 12)", "Replace it: these misread cards")
    return _fault(f"an unknown chip (version {version:02X})", "Check the wiring, or replace it")
