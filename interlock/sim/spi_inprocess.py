"""The chip on a bus of this process: `xfer2` as `spidev.SpiDev` has it goes in, chip bytes out.

`InProcessSpi` is both what a reader is handed as its SPI device and, wrapped by `spidev_module()`,
what `import spidev` gives to a library that opens the bus itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from types import ModuleType

from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522


class InProcessSpi:
    """One SPI device with the chip behind it; every transfer takes `transfer_us` of `clock`.

    As with the real one a closed device raises OSError. `transfers` counts since the last
    `count_from_zero()`.
    """

    def __init__(
        self, chip: Rc522, *, clock: VirtualClock | None = None, transfer_us: int = 0
    ) -> None:
        if transfer_us and clock is None:
            raise ValueError("transfers can only take time of a virtual clock")
        self.max_speed_hz = 0
        self.mode = 0
        self.transfers = 0
        self.is_open = True
        self._chip = chip
        self._clock = clock
        self._transfer_us = transfer_us

    def open(self, bus: int, device: int) -> None:
        """The device is open; there is one chip, so any bus and device lead to it."""
        self.is_open = True

    def close(self) -> None:
        """The device is closed; harmless when called again."""
        self.is_open = False

    def xfer2(self, values: Sequence[int]) -> list[int]:
        """One chip select: as many bytes back as sent. Raises OSError when closed."""
        if not self.is_open:
            raise OSError(errno.EBADF, "the SPI device is closed")
        self.transfers += 1
        if self._clock is not None:
            self._clock.advance_us(self._transfer_us)
        return self._chip.xfer2(values)

    def count_from_zero(self) -> None:
        """`transfers` is 0."""
        self.transfers = 0


def spidev_module(make: Callable[[], InProcessSpi]) -> ModuleType:
    """A module like `spidev`, whose `SpiDev()` is `make()`."""
    module = ModuleType("spidev", "A bus inside this process.")
    module.SpiDev = make  # type: ignore[attr-defined] # a module made at run time
    return module
