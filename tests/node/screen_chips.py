"""SSD1306 and HD44780 behind a PCF8574, at the level of their I2C bytes: bytes in, what is seen out.

Each stands for the bus it hangs on, with what luma uses of smbus2.SMBus.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any


class Ssd1306Chip:
    """Display memory of 128 x 64 and the commands that address it (SSD1306 data sheet, chapter 9)."""

    OPERANDS = {
        **dict.fromkeys((0x20, 0x81, 0x8D, 0xA8, 0xD3, 0xD5, 0xD9, 0xDA, 0xDB), 1),
        **dict.fromkeys((0x21, 0x22), 2),
    }

    def __init__(self, address: int = 0x3C) -> None:
        self.address = address
        self.plugged = True
        self.memory = bytearray(b"\xaa" * 1_024)
        self.is_on = False
        self.columns = (0, 127)
        self.pages = (0, 7)
        self.place = (0, 0)
        self.wakings = 0

    def write_i2c_block_data(self, address: int, register: int, values: Sequence[int]) -> None:
        self._present(address)
        assert len(values) <= 32
        self._take(register, list(values))

    def i2c_rdwr(self, message: Any) -> None:
        self._present(message.addr)
        register, *values = list(message)
        self._take(register, values)

    def close(self) -> None:
        """The bus is closed."""

    def rows(self) -> list[list[bool]]:
        """The 64 rows of 128 dots, as they light."""
        return [
            [bool(self.memory[row // 8 * 128 + column] >> row % 8 & 1) for column in range(128)]
            for row in range(64)
        ]

    def _present(self, address: int) -> None:
        if not self.plugged or address != self.address:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")

    def _take(self, register: int, values: list[int]) -> None:
        if register == 0x40:
            for value in values:
                self._store(value)
            return
        assert register == 0x00
        while values:
            command, values = values[0], values[1:]
            count = self.OPERANDS.get(command, 0)
            self._do(command, values[:count])
            values = values[count:]

    def _do(self, command: int, operands: list[int]) -> None:
        if command == 0x21:
            self.columns = (operands[0], operands[1])
        elif command == 0x22:
            self.pages = (operands[0], operands[1])
        elif command in (0xAE, 0xAF):
            self.is_on = command == 0xAF
            self.wakings += self.is_on
        if command in (0x21, 0x22):
            self.place = (self.pages[0], self.columns[0])

    def _store(self, value: int) -> None:
        page, column = self.place
        self.memory[page * 128 + column] = value
        column += 1
        if column > self.columns[1]:
            page, column = page + 1, self.columns[0]
        self.place = (self.pages[0] if page > self.pages[1] else page, column)


class Hd44780Chip:
    """Display and character memory behind eight port lines: P0 RS, P2 E, P3 backlight, P4-P7 data.

    Powers up in 8-bit mode (data sheet, "Initializing by Internal Reset Circuit"); in 4-bit mode a
    byte is two falls of E. `garble()` loses half a byte, as a contactor's spark does.
    """

    def __init__(self, columns: int = 16, lines: int = 2, address: int = 0x27) -> None:
        self.columns, self.lines, self.address = columns, lines, address
        self.plugged = True
        self.writes = 0
        self.cells = bytearray(b"\xff" * 128)
        self.letters = bytearray(64)
        self.is_on = False
        self.backlight = False
        self._four_bits = False
        self._half: int | None = None
        self._enable = 0
        self._place = 0
        self._into_letters = False

    def write_byte(self, address: int, value: int) -> None:
        if not self.plugged or address != self.address:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        self.writes += 1
        self.backlight = bool(value & 0x08)
        if self._enable and not value & 0x04:
            self._clocked(value >> 4, bool(value & 0x01))
        self._enable = value & 0x04

    def close(self) -> None:
        """The bus is closed."""

    def garble(self) -> None:
        """Half a byte got lost, and the display's memory with it."""
        self._half = 3 if self._half is None else None
        self.cells[:] = b"#" * 128

    def codes(self) -> list[bytes]:
        """What each line shows, as codes of its character ROM."""
        starts = (0x00, 0x40, self.columns, 0x40 + self.columns)
        return [bytes(self.cells[at : at + self.columns]) for at in starts[: self.lines]]

    def letter(self, code: int) -> list[int]:
        """The eight rows of a letter of our own."""
        return list(self.letters[(code & 7) * 8 : (code & 7) * 8 + 8])

    def _clocked(self, half: int, is_text: bool) -> None:
        if not self._four_bits:
            self._byte(half << 4, is_text)
        elif self._half is None:
            self._half = half
        else:
            whole, self._half = self._half << 4 | half, None
            self._byte(whole, is_text)

    def _byte(self, value: int, is_text: bool) -> None:
        if is_text:
            memory = self.letters if self._into_letters else self.cells
            memory[self._place % len(memory)] = value
            self._place += 1
        elif value & 0x80:
            self._place, self._into_letters = value & 0x7F, False
        elif value & 0x40:
            self._place, self._into_letters = value & 0x3F, True
        elif value & 0x20:
            self._four_bits = not value & 0x10
        elif value & 0x08:
            self.is_on = bool(value & 0x04)
        elif value == 0x01:
            self.cells[:] = b" " * 128
            self._place, self._into_letters = 0, False
