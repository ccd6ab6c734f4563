"""ADS1115 and MCP3008 at register level: voltages at their inputs in, the bytes of their buses out.

The buses have what is used of `smbus2.SMBus` and `spidev.SpiDev`; messages are smbus2's own.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

Volts = Callable[[int], float]
"""Millivolts at an input, by its number."""


class Ads1115Chip:
    """Two 16-bit registers behind a pointer, as in section 9.6 of SBAS444D, on its own bus.

    A conversion register that is read before 1/860 s has passed holds the last one: the model always
    converts at the moment of reading, which no test of ours can tell apart.
    """

    RESET_CONFIG = 0x8583
    RANGES_MV = (6_144, 4_096, 2_048, 1_024, 512, 256, 256, 256)

    def __init__(self, address: int, volts: Volts) -> None:
        self.address = address
        self.volts = volts
        self.config = self.RESET_CONFIG
        self.pointer = 0
        self.plugged = True
        self.closed = 0

    def i2c_rdwr(self, *messages: Any) -> None:
        """Each message in turn; nobody at the address is EREMOTEIO, as the kernel says it."""
        for message in messages:
            if not self.plugged or message.addr != self.address:
                raise OSError(errno.EREMOTEIO, "Remote I/O error")
            if message.flags & 1:
                content = self._register()
                for place in range(message.len):
                    message.buf[place] = bytes([content[place % 2]])
            else:
                self._written(bytes(message))

    def close(self) -> None:
        self.closed += 1

    def _written(self, content: bytes) -> None:
        self.pointer = content[0] & 0x03
        if len(content) == 3 and self.pointer == 1:
            self.config = int.from_bytes(content[1:], "big")

    def _register(self) -> bytes:
        if self.pointer == 1:
            # In continuous mode the chip is always converting: OS reads 0 (table 8, bit 15).
            return (self.config & 0x7FFF).to_bytes(2, "big")
        return self._conversion().to_bytes(2, "big", signed=True)

    def _conversion(self) -> int:
        mux = self.config >> 12 & 7
        assert mux & 4, "single-ended inputs only"
        assert not self.config & 0x0100, "it has been put to sleep after one conversion"
        range_mv = self.RANGES_MV[self.config >> 9 & 7]
        steps = round(self.volts(mux & 3) * 32_768 / range_mv)
        return max(-32_768, min(32_767, steps))


class Mcp3008Chip:
    """Start bit, single/differential, three channel bits, a null bit and ten bits (figure 6-1)."""

    def __init__(self, volts: Volts, reference_mv: int = 3_300) -> None:
        self.volts = volts
        self.reference_mv = reference_mv
        self.plugged = True
        self.dead_bus = False
        self.closed = 0

    def xfer2(self, values: list[int]) -> list[int]:
        """One chip select, bit by bit, most significant first."""
        if self.dead_bus:
            raise OSError(errno.EIO, "Input/output error")
        if not self.plugged:
            return [0xFF] * len(values)
        sent = "".join(f"{value:08b}" for value in values)
        start = sent.index("1")
        single, channel = sent[start + 1], int(sent[start + 2 : start + 5], 2)
        assert single == "1", "single-ended inputs only"
        steps = min(1_023, int(self.volts(channel) * 1_024 / self.reference_mv))
        # Nobody drives the line until the sample is taken, one and a half clocks after the channel.
        answer = "1" * (start + 6) + "0" + f"{steps:010b}"
        answer = (answer + "0" * len(sent))[: len(sent)]
        return [int(answer[at : at + 8], 2) for at in range(0, len(answer), 8)]

    def close(self) -> None:
        self.closed += 1
