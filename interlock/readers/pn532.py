"""The PN532 on a serial line: commands flow out, whole UIDs and the answers of genuine cards flow in.

The chip does ISO 14443-3 and -4 itself (RATS, blocks, chaining, waiting time extensions); the host
lists what is in the field and exchanges whole commands. What had to be settled here:

- `InListPassiveTarget` calls with REQA, which a selected or halted card does not answer. So the
  field goes off for a moment before each poll that follows a sight; an empty field needs none.
- A phone draws a new UID whenever the field comes back. While one lies there the chip is asked
  whether that very card still answers (`Diagnose`, card presence), and the field stays on.
- A frame is protected by sums of eight bits, which two errors can leave right. So a card that was
  not there a moment ago is read twice, and shown when both readings agree.
- Two targets are asked for, so two cards are several cards and none of them is chosen.
- Every command is acknowledged within `ACK_MS` and answered within a bound, or it is a ReaderError;
  the command after a failure begins with an abort and a wake-up, and an answer that comes late is
  not taken for the next one's.

Section numbers are those of the user manual UM0701-02 (firmware 1.6).
"""

from __future__ import annotations

import termios
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from interlock.cards.iso14443a import UID_SIZES, is_random_uid, is_uid
from interlock.clock import Clock
from interlock.errors import CardError, ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.readers.pn532_frames import (
    ACK,
    CHIP_TO_HOST,
    NACK,
    Frame,
    FrameReader,
    Mark,
    command_frame,
)

BAUD = 115_200
"""What the chip starts with (6.2.2)."""
WAKE_UP = b"\x55\x55" + bytes(14)
"""Edges that end any power-down, and two byte times for the oscillator (7.2.11); harmless awake."""

DIAGNOSE, GET_FIRMWARE_VERSION, SAM_CONFIGURATION = 0x00, 0x02, 0x14
RF_CONFIGURATION, IN_LIST_PASSIVE_TARGET, IN_DATA_EXCHANGE = 0x32, 0x4A, 0x40
CARD_PRESENCE = 0x06
"""Diagnose: does the selected ISO 14443-4 card answer R(NAK)? (7.2.1)"""
NORMAL_MODE = bytes((0x01, 0x00, 0x00))
"""SAM not used, no time-out, no IRQ line (7.2.10); the command that ends the low-battery mode."""
FIELD, MAX_RETRIES = 0x01, 0x05
"""Items of RFConfiguration (7.3.1)."""
FIELD_OFF, FIELD_ON = b"\x00", b"\x01"
RETRIES = bytes((0x01, 0x01, 0x01))
"""ATR, PSL, passive activation: without it the chip waits for a card for ever (7.3.1)."""
TARGETS_MAX = 2
ISO_14443A_106 = 0x00
FIRST_TARGET = 0x01
PN532_IC = 0x32

ACK_MS = 100
"""The chip acknowledges within 15 ms (6.2.1.3); USB adapters hold bytes back for 16 ms and more."""
ANSWER_MS = 100
"""Settings and version come at once."""
LIST_MS = 250
"""Two attempts for each of two targets, RATS included: some 50 ms with cards that are in time."""
EXCHANGE_MS = 500
"""One exchange with a card, its waiting time extensions included: below the 600 ms of a whole badge."""
NACKS_MAX = 2
OPEN_ATTEMPTS = 2
"""The first bytes to a chip that slept, or through an adapter just opened, may be lost."""
FIELD_OFF_S = 0.006
"""A card without a field for 5 ms is reset (ISO 14443-3, 5.2.1 and EMV)."""
WAKE_OFF_S = 0.010
FIELD_SETTLE_S = 0.005
"""Cards listen at the latest so long after the field came up (ISO 14443-3, 5.2.1)."""
CHUNK_BYTES = 252
"""Longer commands go to the chip in parts; with Tg and codes a part still fits a normal frame."""
ANSWER_BYTES_MAX = 4_096
"""No card used here answers more; one that never ends its answer is no card."""

STATUS_ERROR, STATUS_MORE, MORE_FOLLOWS = 0x3F, 0x40, 0x40
OVERHEATED = 0x0D
CASCADE_BIT, ISO_14443_4_BIT = 0x04, 0x20
CARD_TROUBLES = {
    0x01: "the card does not answer",
    0x02: "the card's answers are disturbed",
    0x03: "the card's answers are disturbed",
    0x05: "the card's answers are disturbed",
    0x0B: "the card breaks its protocol",
    0x27: "the card is not selected any more",
    0x2B: "the card has gone",
}


class Wire(Protocol):
    """A serial line. All three raise OSError when it is gone."""

    def write(self, content: bytes) -> None:
        """`content` is on its way."""

    def read(self, timeout_s: float) -> bytes:
        """What has come; waits at most `timeout_s` for a first byte, and is empty after that."""

    def close(self) -> None:
        """The line is released."""


def serial_opener(device: str) -> Callable[[], Wire]:
    """What opens the serial line `device`; it raises ReaderError when that cannot be done."""

    def open_wire() -> Wire:
        try:
            import serial
        except ImportError as missing:
            remedy = "Install it: pip install interlock-fablab[readers]"
            raise ReaderError("pyserial is not installed", where=device, remedy=remedy) from missing
        try:
            port = serial.Serial(device, BAUD, timeout=0, write_timeout=1, exclusive=True)
        except (OSError, termios.error) as refused:
            remedy = (
                "Check the cable and the path, put the user into the group dialout, and see that "
                "no console or other program uses the line"
            )
            raise ReaderError(str(refused), where=device, remedy=remedy) from refused
        return _SerialWire(port)

    return open_wire


class _Port(Protocol):
    """What of `serial.Serial` is used."""

    timeout: float | None

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def write(self, content: bytes, /) -> int | None: ...
    def close(self) -> None: ...


class _SerialWire:
    """pyserial as a `Wire`; its errors and those of termios are OSErrors."""

    def __init__(self, port: _Port) -> None:
        self._port = port

    def write(self, content: bytes) -> None:
        try:
            self._port.write(content)
        except termios.error as gone:
            raise OSError(str(gone)) from gone

    def read(self, timeout_s: float) -> bytes:
        try:
            self._port.timeout = timeout_s
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (termios.error, TypeError) as gone:
            # pyserial meets TypeError where another thread closed the line under a read.
            raise OSError(str(gone)) from gone

    def close(self) -> None:
        self._port.close()


class _Link:
    """Commands out, answers in, over one wire; ReaderError for everything a chip may not do."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._frames = FrameReader()
        self._in_doubt = True

    def command(self, code: int, parameters: bytes = b"", *, answer_ms: int = ANSWER_MS) -> bytes:
        """The answer to one command, without its code. Raises _Unanswered (acknowledged, then silence)."""
        try:
            return self._command(code, parameters, answer_ms)
        except OSError as gone:
            raise _fault(f"the serial line failed ({gone})", "Check cable and adapter") from gone

    def close(self) -> None:
        try:
            self._wire.close()
        except OSError as gone:
            raise _fault(f"the serial line failed ({gone})", "Check cable and adapter") from gone

    def _command(self, code: int, parameters: bytes, answer_ms: int) -> bytes:
        while self._wire.read(0):
            pass
        self._frames.forget()
        if self._in_doubt:
            # Whatever the chip was doing: an ACK from the host ends it (6.2.1.3).
            self._wire.write(WAKE_UP + ACK)
        self._in_doubt = True
        self._wire.write(command_frame(bytes((code,)) + parameters))
        heard = self._until(ACK_MS, lambda frame: frame is Mark.ACK)
        if heard is None:
            raise _fault("no chip answers", "Check power, TX and RX, and the switches for HSU")
        answer = self._answer(code, heard[1], answer_ms)
        self._in_doubt = False
        return answer

    def _answer(self, code: int, begun: list[Frame], answer_ms: int) -> bytes:
        def is_wanted(frame: Frame) -> bool:
            if isinstance(frame, Mark):
                return frame in (Mark.DAMAGED, Mark.SYNTAX_ERROR)
            return frame.direction == CHIP_TO_HOST and frame.content[:1] == bytes((code + 1,))

        for _ in range(1 + NACKS_MAX):
            heard = self._until(answer_ms, is_wanted, begun)
            if heard is None:
                raise _Unanswered
            frame, begun = heard
            if frame is Mark.SYNTAX_ERROR:
                raise _fault(f"it does not know command {code:02X}", "Use a PN532 (firmware 1.6)")
            if not isinstance(frame, Mark):
                return frame.content[1:]
            # The chip says its answer once more (6.2.1.4).
            begun = []
            self._frames.forget()
            self._wire.write(NACK)
        raise _fault("its answers are damaged", "Check ground and cable; keep it below a metre")

    def _until(
        self, within_ms: int, is_wanted: Callable[[Frame], bool], begun: list[Frame] | None = None
    ) -> tuple[Frame, list[Frame]] | None:
        """The first wanted frame and what came behind it; None when none came in time."""
        deadline_ms = self._clock.boot_ms() + within_ms
        frames = list(begun or [])
        while True:
            while frames:
                frame = frames.pop(0)
                if is_wanted(frame):
                    return frame, frames
            left_ms = deadline_ms - self._clock.boot_ms()
            if left_ms <= 0:
                return None
            frames = self._frames.feed(self._wire.read(left_ms / 1_000))


class _Unanswered(ReaderError):
    """The chip acknowledged a command and never answered it: dead since, or busy with a card."""

    def __init__(self) -> None:
        super().__init__(
            "the chip fell silent", where="reader pn532", remedy="Check its supply, or replace it"
        )


class Pn532Reader:
    """An `interlock.readers.Reader` on one PN532; `open_wire` gives it a line of its own."""

    def __init__(self, open_wire: Callable[[], Wire], clock: Clock) -> None:
        self._open_wire = open_wire
        self._clock = clock
        self._link: _Link | None = None
        self._firmware = ""
        self._sight: Sight | None = None
        self._is_fresh = False
        self._looks = 0

    @property
    def chip_name(self) -> str:
        """Which chip answered when it was opened; empty before."""
        return self._firmware

    def open(self) -> None:
        """The chip is awake, known and configured; its field is on."""
        self.close()
        try:
            self._link = _Link(self._open_wire(), self._clock)
        except OSError as refused:
            raise _fault(f"no serial line ({refused})", "Check the cable and the path") from refused
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                self._configure()
                return
            except ReaderError:
                if attempt == OPEN_ATTEMPTS:
                    self.close()
                    raise

    def poll(self) -> Sight | None:
        """The card in the field, several cards, or None. Raises ReaderError for a dead chip."""
        before, self._sight = self._sight, None
        if isinstance(before, CardSeen) and is_random_uid(before.uid) and self._still_answers():
            self._sight = before
            return before
        self._looks += 1
        if not self._is_fresh:
            self._restart_field(FIELD_OFF_S)
        sight = self._list()
        if isinstance(sight, CardSeen) and sight != before and not is_random_uid(sight.uid):
            sight = self._confirmed(sight)
        self._sight = sight
        return sight

    def wake(self, card: CardSeen) -> CardSeen | None:
        """`card` once more, after 10 ms without field; None when just this card does not answer alone."""
        self._looks += 1
        self._sight = None
        self._restart_field(WAKE_OFF_S)
        self._sight = self._list()
        return self._sight if isinstance(self._sight, CardSeen) and self._sight == card else None

    def close(self) -> None:
        """Field off, line released; harmless when called again, and on a dead line."""
        link, self._link = self._link, None
        self._firmware, self._sight, self._is_fresh = "", None, False
        self._looks += 1
        if link is None:
            return
        # It may be closed because it failed: then field and line are as free as they can be.
        with suppress(ReaderError):
            link.command(RF_CONFIGURATION, bytes((FIELD,)) + FIELD_OFF)
        with suppress(ReaderError):
            link.close()

    def _configure(self) -> None:
        self._command(SAM_CONFIGURATION, NORMAL_MODE)
        version = self._command(GET_FIRMWARE_VERSION)
        if len(version) != 4 or version[0] != PN532_IC:
            raise _fault(f"an unknown chip (version {version.hex()})", "Use a PN532")
        self._command(RF_CONFIGURATION, bytes((MAX_RETRIES,)) + RETRIES)
        self._restart_field(FIELD_OFF_S)
        self._firmware = f"PN532 v{version[1]}.{version[2]}"

    # -------------------------------------------------------------------------------- what is there

    def _list(self) -> Sight | None:
        self._is_fresh = False
        asked = bytes((TARGETS_MAX, ISO_14443A_106))
        listed = self._command(IN_LIST_PASSIVE_TARGET, asked, answer_ms=LIST_MS)
        if not listed or listed[0] > TARGETS_MAX:
            raise _nonsense()
        cards, rest = [], listed[1:]
        for number in range(1, 1 + listed[0]):
            card, rest = self._card(number, rest, is_last=number == listed[0])
            cards.append(card)
        if not cards:
            self._is_fresh = True
            return None
        # A selected card that hears REQA goes idle and may be found once more; two different ones
        # never have all of this in common, and two copies of one UID are one identity anyway.
        if any(card != cards[0] for card in cards):
            return SeveralCards()
        # Cut off at a cascade tag, as no card may be: that is the card's doing, and the chip only tells of it.
        return cards[0] if is_uid(cards[0].uid) else None

    def _card(self, number: int, target: bytes, *, is_last: bool) -> tuple[CardSeen, bytes]:
        """Tg, SENS_RES (high byte first), SEL_RES, UID and ATS with their lengths (7.3.5); and the rest."""
        if len(target) < 5 or target[0] != number:
            raise _nonsense()
        sak, uid_end = target[3], 5 + target[4]
        uid, rest = target[5:uid_end], target[uid_end:]
        has_ats = bool(sak & ISO_14443_4_BIT and rest)
        end = rest[0] if has_ats else 0
        if (
            len(uid) not in UID_SIZES
            or sak & CASCADE_BIT
            or (len(rest) != end if is_last else len(rest) < end)
        ):
            raise _nonsense()
        speaks = partial(self._exchange, self._looks) if has_ats else None
        return CardSeen(uid, target[2:0:-1], sak, speaks), rest[end:]

    def _still_answers(self) -> bool:
        """Whether the selected ISO 14443-4 card answers; False for any other card too."""
        status = self._command(DIAGNOSE, bytes((CARD_PRESENCE,)), answer_ms=LIST_MS)
        return status == b"\x00"

    def _confirmed(self, first: CardSeen) -> CardSeen | None:
        """The card as it was read a second time; None when the two readings differ."""
        self._looks += 1
        self._restart_field(FIELD_OFF_S)
        second = self._list()
        return second if isinstance(second, CardSeen) and second == first else None

    def _restart_field(self, off_s: float) -> None:
        """Every card forgot that it was selected, and listens."""
        self._command(RF_CONFIGURATION, bytes((FIELD,)) + FIELD_OFF)
        self._clock.sleep(off_s)
        self._command(RF_CONFIGURATION, bytes((FIELD,)) + FIELD_ON)
        self._clock.sleep(FIELD_SETTLE_S)
        self._is_fresh = True

    # --------------------------------------------------------------------------- speaking to a card

    def _exchange(self, look: int, command: bytes) -> bytes:
        """The card's whole answer to `command`; bound to the poll that saw it."""
        if look != self._looks:
            raise _card_trouble("the card is not selected any more")
        *parts, last = [
            command[at : at + CHUNK_BYTES] for at in range(0, len(command), CHUNK_BYTES)
        ] or [b""]
        for part in parts:
            self._part(part, FIRST_TARGET | MORE_FOLLOWS)
        answer, goes_on = self._part(last, FIRST_TARGET)
        while goes_on:
            more, goes_on = self._part(b"", FIRST_TARGET)
            answer += more
            if len(answer) > ANSWER_BYTES_MAX:
                raise self._lost("its answer does not end")
        return answer

    def _part(self, content: bytes, target: int) -> tuple[bytes, bool]:
        asked = bytes((target,)) + content
        try:
            heard = self._command(IN_DATA_EXCHANGE, asked, answer_ms=EXCHANGE_MS)
        except _Unanswered as silent:
            # A card may keep the chip waiting for ever; a chip that answers this is well.
            self._command(GET_FIRMWARE_VERSION)
            raise self._lost("the card takes too long") from silent
        if not heard:
            raise _nonsense()
        error = heard[0] & STATUS_ERROR
        if error == OVERHEATED:
            raise _fault("the chip is too hot", "Give it air, and keep metal off its antenna")
        if error:
            raise self._lost(CARD_TROUBLES.get(error, f"the exchange failed (error {error:02X})"))
        return heard[1:], bool(heard[0] & STATUS_MORE)

    def _lost(self, what: str) -> CardError:
        """The selected card is not usable any more, and nothing is sent to it again."""
        self._looks += 1
        self._sight = None
        return _card_trouble(what)

    def _command(self, code: int, parameters: bytes = b"", *, answer_ms: int = ANSWER_MS) -> bytes:
        if self._link is None:
            raise _fault("the reader is not open", "Call open() first")
        return self._link.command(code, parameters, answer_ms=answer_ms)


def _fault(what: str, remedy: str) -> ReaderError:
    return ReaderError(what, where="reader pn532", remedy=remedy)


def _nonsense() -> ReaderError:
    return _fault("it tells of cards that cannot be", "Check ground and supply, or replace it")


def _card_trouble(what: str) -> CardError:
    return CardError(
        what, where="reader pn532", remedy="Present the badge once more and hold still"
    )
