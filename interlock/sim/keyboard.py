"""A reader that types, at the level of its wire: a card's number goes in, packed input events come out.

Written from linux/input.h and linux/input-event-codes.h, apart from the driver: each key is a scan
code, a press and a release, each followed by a report, with the time in front. A pipe stands for
/dev/input/event*: packets are whole, reading without events would block, and pulling the plug ends
the stream. The grab (EVIOCGRAB) is not modelled: a pipe knows no such request.
"""

from __future__ import annotations

import os
import struct

EV_SYN, EV_KEY, EV_MSC = 0, 1, 4
SYN_REPORT, SYN_DROPPED, MSC_SCAN = 0, 3, 4
KEY_1, KEY_0, KEY_ENTER, KEY_LEFTSHIFT = 2, 11, 28, 42
KEY_OF_LETTER = {"A": 30, "B": 48, "C": 46, "D": 32, "E": 18, "F": 33, "Q": 16}
KEYPAD = {"7": 71, "8": 72, "9": 73, "4": 75, "5": 76, "6": 77, "1": 79, "2": 80, "3": 81, "0": 82}
USAGE_PAGE_KEYS = 0x70000
MICROSECONDS_PER_KEY = 4_000
"""Common readers report at 125 or 250 keys a second."""


class Wedge:
    """One keyboard reader; `number` is the file its events are read from, without blocking."""

    def __init__(self, *, keypad: bool = False) -> None:
        self.number, self._out = os.pipe()
        os.set_blocking(self.number, False)
        self._keypad = keypad
        self._now_us = 1_000_000

    def reopened(self) -> int:
        """A further file on the same events, as each open() of the device gives one."""
        return os.dup(self.number)

    def type(self, text: str, *, enter: bool = True) -> None:
        """The reader types `text`: digits, capital letters A to F with shift; and Enter."""
        for letter in text:
            is_capital = letter.isalpha() and letter.isupper()
            if is_capital:
                self._events((EV_KEY, KEY_LEFTSHIFT, 1))
            self.key(self._code(letter))
            if is_capital:
                self._events((EV_KEY, KEY_LEFTSHIFT, 0))
        if enter:
            self.key(KEY_ENTER)

    def key(self, code: int) -> None:
        """One key is pressed and released."""
        scan = (EV_MSC, MSC_SCAN, USAGE_PAGE_KEYS + code)
        self._events(scan, (EV_KEY, code, 1))
        self._events(scan, (EV_KEY, code, 0))

    def hold(self, code: int, repeats: int) -> None:
        """One key is held: the kernel repeats it."""
        self._events((EV_KEY, code, 1))
        for _ in range(repeats):
            self._events((EV_KEY, code, 2))
        self._events((EV_KEY, code, 0))

    def overrun(self) -> None:
        """The kernel dropped events."""
        self._events((EV_SYN, SYN_DROPPED, 0))

    def unplug(self) -> None:
        """The reader is pulled out of its socket; harmless when called again."""
        if self._out >= 0:
            os.close(self._out)
        self._out = -1

    def close(self) -> None:
        """Both ends are gone."""
        self.unplug()
        os.close(self.number)

    def _code(self, letter: str) -> int:
        if letter.isdigit():
            return self.digit(letter)
        return KEY_OF_LETTER[letter.upper()]

    def digit(self, digit: str) -> int:
        """The code of the key with this digit, in the row or on the keypad."""
        if self._keypad:
            return KEYPAD[digit]
        return KEY_0 if digit == "0" else KEY_1 + int(digit) - 1

    def _events(self, *events: tuple[int, int, int]) -> None:
        self._now_us += MICROSECONDS_PER_KEY
        seconds, microseconds = divmod(self._now_us, 1_000_000)
        packed = b"".join(
            struct.pack("@llHHi", seconds, microseconds, *event)
            for event in (*events, (EV_SYN, SYN_REPORT, 0))
        )
        os.write(self._out, packed)
