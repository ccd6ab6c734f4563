"""A reader that types: key events of one grabbed USB keyboard flow in, the id of a card flows out.

Cheap readers ("wedges", most of them 125 kHz) pretend to be a keyboard and type the card's number
and Enter. What follows from that:

- They tell the moment a card comes and nothing else: a poll shows the card once, and the field is
  empty again at the next. Nobody can tell whether it still lies there, so `hold` is impossible.
- The device is grabbed: nothing it types reaches a console, and no other program hears it.
- Key codes are places on the keyboard, so the layout of the computer does not matter; the reader
  itself has to be set to a US keyboard, as they are delivered.
- Only the form that was chosen is taken. Anything else that is typed, a key that is no digit, a
  number left half-typed or an overrun of the kernel's buffer, is dropped whole and never guessed.
- The number can be copied, and anybody with a USB keyboard can type it: assurance `uid`, never more.

Forms (`IdForm`) and what becomes of them; a UID has 4, 7 or 10 bytes:

    decimal           10 digits, a number below 2**32: its 4 bytes, highest first   0011259375 → 00ABCDEF
                      8 digits, 3 and 5 (below 256 and 65536): 00 and its 3 bytes   17152719 → 00ABCDEF
    decimal-reversed  the same with the bytes in the other order                    0011259375 → EFCDAB00
    hex               8, 14 or 20 digits: the bytes as they are typed               DEADBEEF → DEADBEEF
    hex-reversed      the same with the bytes in the other order                    DEADBEEF → EFBEADDE

Which of them makes the UID that other readers see is found by comparing one card (`interlock reader
test` on both). A 4-byte id beginning with 08 counts as a phone's random one everywhere; such a card
cannot be enrolled.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Protocol

from interlock.clock import Clock
from interlock.errors import ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight

LOG = logging.getLogger(__name__)

EVENT = struct.Struct("@llHHi")
"""struct input_event (linux/input.h): a timeval, type, code and value, in the machine's own sizes."""
READ_BYTES = 64 * EVENT.size
READS_MAX = 16
"""A poll reads at most a thousand events: a stuck key must not hold it up."""
EVIOCGRAB = 0x40044590
"""_IOW('E', 0x90, int): events go to this file alone (linux/input.h)."""
EV_SYN, EV_KEY = 0x00, 0x01
SYN_DROPPED = 3
"""The kernel's buffer overran: events are missing."""
PRESSED = 1

# linux/input-event-codes.h: the row of digits, the keypad, a to f.
DIGITS = (
    dict(zip(range(2, 11), "123456789", strict=True))
    | {11: "0"}
    | dict(zip((82, 79, 80, 81, 75, 76, 77, 71, 72, 73), "0123456789", strict=True))
    | dict(zip((30, 48, 46, 32, 18, 33), "abcdef", strict=True))
)
ENTERS = (28, 96)
SILENT = (42, 54, 58, 69)
"""Shift, caps lock and num lock: readers use them for capitals and the keypad; no digit by themselves."""

HALF_TYPED_MS = 500
"""A reader types a digit in a few milliseconds; what stops for so long is not going on."""
TYPED_MAX = 64
"""Three times the longest id: what grows beyond is no id."""
NO_ATQA, NO_SAK = b"\x00\x00", 0x00
"""A keyboard tells neither."""


class IdForm(Enum):
    """How the reader types an id; see the head of this file."""

    DECIMAL = "decimal"
    DECIMAL_REVERSED = "decimal-reversed"
    HEX = "hex"
    HEX_REVERSED = "hex-reversed"


class Keys(Protocol):
    """An input device. Both raise OSError when it is gone."""

    def read(self) -> bytes:
        """Whole input events that have come; empty when there are none, never waiting."""

    def close(self) -> None:
        """The device belongs to everybody again."""


class KeysFile:
    """An open, non-blocking file of input events."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self) -> bytes:
        """Whole input events that have come."""
        try:
            heard = os.read(self._number, READ_BYTES)
        except BlockingIOError:
            return b""
        if not heard:
            raise OSError(errno.ENODEV, "the device is gone")
        return heard

    def close(self) -> None:
        """The file is closed; with it ends the grab."""
        os.close(self._number)


def evdev_opener(device: str) -> Callable[[], Keys]:
    """What opens and grabs the input device `device`; it raises ReaderError when that cannot be done."""

    def open_keys() -> Keys:
        number = -1
        try:
            number = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(number, EVIOCGRAB, 1)
        except OSError as refused:
            if number >= 0:
                os.close(number)
            raise ReaderError(_why(refused), where=device, remedy=_remedy(refused)) from refused
        return KeysFile(number)

    return open_keys


class UsbKeyboardReader:
    """An `interlock.readers.Reader` on one keyboard; `open_keys` opens and grabs it."""

    def __init__(
        self, open_keys: Callable[[], Keys], clock: Clock, form: IdForm = IdForm.DECIMAL
    ) -> None:
        self._open_keys = open_keys
        self._clock = clock
        self._form = form
        self._keys: Keys | None = None
        self._typed = ""
        self._is_spoiled = False
        self._typed_ms = 0

    @property
    def chip_name(self) -> str:
        """What there is to say of it while it is open."""
        return "USB keyboard" if self._keys else ""

    def open(self) -> None:
        """The keyboard is ours alone; what was typed before is forgotten."""
        self.close()
        try:
            self._keys = self._open_keys()
            for _ in range(READS_MAX):
                if not self._keys.read():
                    break
        except OSError as gone:
            self.close()
            raise _fault(gone) from gone

    def poll(self) -> Sight | None:
        """The card whose id was typed since the last poll, once; several if there were several."""
        if self._keys is None:
            raise ReaderError(
                "the reader is not open", where="reader usb_keyboard", remedy="Call open() first"
            )
        now_ms = self._clock.boot_ms()
        if now_ms - self._typed_ms > HALF_TYPED_MS:
            self._forget()
        try:
            uids = set(self._ids(self._keys, now_ms))
        except OSError as gone:
            raise _fault(gone) from gone
        if len(uids) > 1:
            return SeveralCards()
        return CardSeen(uids.pop(), NO_ATQA, NO_SAK) if uids else None

    def wake(self, card: CardSeen) -> CardSeen | None:
        """None: a keyboard cannot be asked whether a card is there."""
        return None

    def close(self) -> None:
        """The keyboard belongs to everybody again; harmless when called twice, and when it is gone."""
        keys, self._keys = self._keys, None
        self._forget()
        if keys is not None:
            with suppress(OSError):
                keys.close()

    def _ids(self, keys: Keys, now_ms: int) -> Iterator[bytes]:
        for _ in range(READS_MAX):
            heard = keys.read()
            if not heard:
                return
            for kind, code, value in _events(heard):
                if kind == EV_SYN and code == SYN_DROPPED:
                    self._is_spoiled = True
                if kind == EV_KEY and value == PRESSED:
                    self._typed_ms = now_ms
                    yield from self._press(code)

    def _press(self, code: int) -> Iterator[bytes]:
        """The UID, when this key ended the id of a card."""
        if code in ENTERS:
            uid = None if self._is_spoiled else to_uid(self._typed, self._form)
            if uid is None and (self._typed or self._is_spoiled):
                # Not what it was: the number of a badge stands in no log.
                LOG.warning("%d keys were typed that are no id", len(self._typed))
            self._forget()
            if uid is not None:
                yield uid
        elif code in DIGITS and len(self._typed) < TYPED_MAX:
            self._typed += DIGITS[code]
        elif code not in SILENT:
            self._is_spoiled = True

    def _forget(self) -> None:
        self._typed, self._is_spoiled = "", False


def to_uid(typed: str, form: IdForm) -> bytes | None:
    """The UID that `typed` stands for (hexadecimal digits in lower case); None for no id of this form."""
    if form in (IdForm.HEX, IdForm.HEX_REVERSED):
        uid = bytes.fromhex(typed) if len(typed) in (8, 14, 20) else None
    else:
        uid = _from_decimal(typed)
    if uid is not None and form in (IdForm.DECIMAL_REVERSED, IdForm.HEX_REVERSED):
        uid = uid[::-1]
    return uid


def _from_decimal(typed: str) -> bytes | None:
    if len(typed) not in (8, 10) or not typed.isdecimal():
        return None
    if len(typed) == 10:
        number = int(typed)
        return number.to_bytes(4, "big") if number < 2**32 else None
    facility, card = int(typed[:3]), int(typed[3:])
    if facility >= 2**8 or card >= 2**16:
        return None
    return bytes((0, facility)) + card.to_bytes(2, "big")


def _events(heard: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, code and value of each whole event; evdev never hands out half a one."""
    whole = len(heard) - len(heard) % EVENT.size
    for _, _, kind, code, value in EVENT.iter_unpack(heard[:whole]):
        yield kind, code, value


def _fault(gone: OSError) -> ReaderError:
    return ReaderError(_why(gone), where="reader usb_keyboard", remedy=_remedy(gone))


def _why(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "another program has grabbed the keyboard"
    if error.errno in (errno.ENOTTY, errno.EINVAL):
        return "this is no input device"
    return error.strerror or str(error)


def _remedy(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "End the other program; only one node may use a reader"
    if error.errno == errno.EACCES:
        return "Put the user into the group input"
    return "Check that it is plugged in, and the path: ls /dev/input/by-id/"
