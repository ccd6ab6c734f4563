"""Which badge reader a configuration names flows in, a reader that is not open yet flows out.

Each kind is imported when it is asked for: none of their libraries is needed by a node with another
reader, and none by a laptop without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from interlock.cards.iso14443_4 import ATTEMPT_MS_MAX
from interlock.clock import Clock
from interlock.errors import ConfigError, ReaderError
from interlock.readers import Reader

if TYPE_CHECKING:
    from interlock.config import NodeConfig

ID_FORMS = ("decimal", "decimal-reversed", "hex", "hex-reversed")
"""The values of `usb_keyboard.IdForm`, for those who do not import it."""
KINDS = ("mfrc522", "pn532", "pcsc", "usb_keyboard")
SPI_SPEED_HZ = 1_000_000


class NamedReader(Reader, Protocol):
    """A reader that can say what it is."""

    @property
    def chip_name(self) -> str:
        """Which chip or device answered when it was opened; empty before."""


def reader_of(config: NodeConfig, clock: Clock) -> NamedReader:
    """The badge reader of a node, as its file (which was checked) names it. Raises ReaderError."""
    chosen = config.reader
    return reader_for(
        chosen.kind,
        chosen.device or "",
        clock,
        spi_bus=chosen.spi_bus,
        spi_device=chosen.spi_device,
        spi_speed_hz=chosen.spi_speed_hz,
        id_form=chosen.id_form,
    )


def reader_for(
    kind: str,
    device: str,
    clock: Clock,
    *,
    spi_bus: int = 0,
    spi_device: int = 0,
    spi_speed_hz: int = SPI_SPEED_HZ,
    id_form: str = "decimal",
    attempt_ms_max: int | None = None,
) -> NamedReader:
    """A reader of `kind` at `device`: a serial line, a part of a PC/SC name ("" for the first), an
    input device, whose ids have the form `id_form` (`usb_keyboard.IdForm`); an mfrc522 is where its
    SPI bus is. `attempt_ms_max` is what one card gets for all its answers: None as at a machine, longer for the
    desk, which writes cards. Raises ConfigError for another kind, and ReaderError where the library of the
    mfrc522 is missing; the others' are missed by `open()`.
    """
    if kind == "mfrc522":
        try:
            from interlock.readers.mfrc522 import Mfrc522Reader, spidev_opener
        except ImportError as missing:
            raise ReaderError(
                "the library mfrc522 is not installed",
                where="reader mfrc522",
                remedy="Install it: pip install --no-deps mfrc522 spidev",
            ) from missing
        opener = spidev_opener(spi_bus, spi_device, spi_speed_hz)
        return Mfrc522Reader(opener, clock, attempt_ms_max=attempt_ms_max or ATTEMPT_MS_MAX)
    if kind == "pn532":
        from interlock.readers.pn532 import Pn532Reader, serial_opener

        return Pn532Reader(serial_opener(device), clock)
    if kind == "pcsc":
        from interlock.readers.pcsc import PcscReader

        return PcscReader(device, clock)
    if kind == "usb_keyboard":
        from interlock.readers.usb_keyboard import IdForm, UsbKeyboardReader, evdev_opener

        return UsbKeyboardReader(evdev_opener(device), clock, IdForm(id_form))
    raise ConfigError(
        f"there is no reader {kind!r}", where="reader.kind", remedy=f"Choose of {', '.join(KINDS)}"
    )
