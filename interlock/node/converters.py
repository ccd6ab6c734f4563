"""The analogue-digital converters a current clamp hangs on: a bus in, millivolts at one input out.

ADS1115 (TI SBAS444D) on I2C and MCP3008 (Microchip DS21295D) on SPI. Both measure single-ended: a
clamp's output is alternating, so it is biased to half of the supply and swings around that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from interlock.config import CurrentConfig
from interlock.errors import DeviceError


class Converter(Protocol):
    """One input of a converter."""

    def read_mv(self) -> float:
        """The voltage at the input now. Raises DeviceError."""

    def close(self) -> None:
        """The bus is released; harmless when called again."""


class Ads1115:
    """One input of an ADS1115, converting by itself at its fastest (section 9.6 of the data sheet)."""

    CONVERSION: Final = 0
    CONFIG: Final = 1

    # 9.6.3: start, input to ground, +-4.096 V, continuous, 860 samples a second, comparator off.
    START: Final = 0x8000
    SINGLE_ENDED: Final = 0x4000
    CHANNEL_SHIFT: Final = 12
    RANGE_4096_MV: Final = 0x0200
    RATE_860: Final = 0x00E0
    NO_COMPARATOR: Final = 0x0003
    MV_PER_STEP: Final = 4_096 / 32_768

    def __init__(self, open_bus: Callable[[], Any], address: int, channel: int, where: str) -> None:
        """The chip converts `channel`. Raises DeviceError: no chip answers, or another one does."""
        self._address = address
        self._where = where
        self._bus = open_bus()
        # Lazily, and here only: not every node has an I2C bus.
        from smbus2 import i2c_msg

        self._message = i2c_msg
        wanted = (
            self.SINGLE_ENDED
            | channel << self.CHANNEL_SHIFT
            | self.RANGE_4096_MV
            | self.RATE_860
            | self.NO_COMPARATOR
        )
        try:
            self._write(self.CONFIG, self.START | wanted)
            found = self._read(self.CONFIG) & ~self.START
            if found != wanted:
                raise DeviceError(
                    f"answers 0x{found:04X} where 0x{wanted:04X} was written",
                    where=where,
                    remedy="Is another chip at this address? See: i2cdetect -y 1",
                )
            self._write(self.CONVERSION)
        except DeviceError:
            self.close()
            raise

    def read_mv(self) -> float:
        """The last conversion. Raises DeviceError."""
        steps: int = struct.unpack(">h", self._transfer(self._message.read(self._address, 2)))[0]
        return steps * self.MV_PER_STEP

    def close(self) -> None:
        """The bus is released; harmless when called again."""
        self._bus.close()

    def _write(self, register: int, value: int | None = None) -> None:
        """`value` stands in `register`; without a value, the next reads come from there."""
        content = [] if value is None else list(struct.pack(">H", value))
        self._transfer(self._message.write(self._address, [register, *content]))

    def _read(self, register: int) -> int:
        self._write(register)
        answer = self._transfer(self._message.read(self._address, 2))
        value: int = struct.unpack(">H", answer)[0]
        return value

    def _transfer(self, message: Any) -> bytes:
        try:
            self._bus.i2c_rdwr(message)
        except OSError as error:
            raise DeviceError(
                f"the ADS1115 does not answer: {error}",
                where=self._where,
                remedy="Check its four wires and the address (i2cdetect -y 1)",
            ) from error
        return bytes(message)


class Mcp3008:
    """One input of an MCP3008; each read is one conversion (figure 6-1 of the data sheet)."""

    START: Final = 0x01
    SINGLE_ENDED: Final = 0x80
    CHANNEL_SHIFT: Final = 4
    NULL_BIT: Final = 0x04
    STEPS: Final = 1_024

    def __init__(
        self, open_spi: Callable[[], Any], channel: int, reference_mv: int, where: str
    ) -> None:
        """The chip answers. Raises DeviceError."""
        self._request = [self.START, self.SINGLE_ENDED | channel << self.CHANNEL_SHIFT, 0]
        self._reference_mv = reference_mv
        self._where = where
        self._spi = open_spi()
        try:
            self.read_mv()
        except DeviceError:
            self.close()
            raise

    def read_mv(self) -> float:
        """A conversion made now. Raises DeviceError."""
        try:
            answer: list[int] = self._spi.xfer2(list(self._request))
        except OSError as error:
            raise self._silent(str(error)) from error
        _, high, low = answer
        if high & self.NULL_BIT:
            # Before its ten bits the chip sends a zero: a line that nobody drives reads as ones.
            raise self._silent("nobody drives its data line")
        return ((high & 0x03) << 8 | low) * self._reference_mv / self.STEPS

    def close(self) -> None:
        """The bus is released; harmless when called again."""
        self._spi.close()

    def _silent(self, why: str) -> DeviceError:
        return DeviceError(
            f"the MCP3008 does not answer: {why}",
            where=self._where,
            remedy="Check its wires and chip select, and that SPI is on (dtparam=spi=on)",
        )


def open_converter(current: CurrentConfig) -> Converter:
    """The converter that `current` describes, on the Pi's own bus. Raises DeviceError."""
    if current.kind == "ads1115":
        where = f"/dev/i2c-{current.i2c_bus} at 0x{current.i2c_address:02X}"
        bus = _i2c_opener(current.i2c_bus, where)
        return Ads1115(bus, current.i2c_address, current.channel, where)
    # Not at the top: it drags in the badge reader's library.
    from interlock.readers.mfrc522 import spidev_opener

    where = f"/dev/spidev{current.spi_bus}.{current.spi_device}"
    spi = spidev_opener(current.spi_bus, current.spi_device)
    return Mcp3008(spi, current.channel, current.reference_mv, where)


def _i2c_opener(bus: int, where: str) -> Callable[[], Any]:
    def open_bus() -> Any:
        try:
            from smbus2 import SMBus

            return SMBus(bus)
        except ImportError as missing:
            remedy = "Install it: apt install python3-smbus2"
            raise DeviceError("smbus2 is not installed", where=where, remedy=remedy) from missing
        except OSError as refused:
            remedy = "Enable I2C (dtparam=i2c_arm=on) and put the user into the group i2c"
            raise DeviceError(str(refused), where=where, remedy=remedy) from refused

    return open_bus
