"""What to check when a badge reader sees nothing: a kind of reader to sentences, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping


def N_(text: str) -> str:  # noqa: N802 # the name gettext's tools look for
    """`text` itself: a msgid that is translated where it is shown."""
    return text


WHEN_SILENT: Mapping[str, tuple[str, ...]] = {
    "mfrc522": (
        N_("Power: 3.3 V from pin 1 (never 5 V); the lamp on the board is lit."),
        N_(
            "Wires, shorter than 20 cm: SDA to pin 24, SCK 23, MOSI 19, MISO 21, GND 6, RST 22. "
            "The pins of the header are soldered."
        ),
        N_("SPI is on: `raspi-config nonint get_spi` says 0, and /dev/spidev0.0 is there."),
        N_("Rights: `id -nG` names the group spi."),
        N_("Path: reader.spi_bus and reader.spi_device name the /dev/spidevBUS.DEVICE it is at."),
    ),
    "pn532": (
        N_("Power: the lamp on the board is lit; both switches stand at HSU (0 0)."),
        N_("Wires crossed: TXD of the board to pin 10, RXD to pin 8, GND to pin 6; under 1 m."),
        N_(
            "The serial port is on and no console uses it: `raspi-config nonint do_serial_hw 0` "
            "and `do_serial_cons 1`, then restart."
        ),
        N_("Rights: `id -nG` names the group dialout."),
        N_("Path: reader.device is /dev/serial0, or /dev/serial/by-id/… of a USB adapter."),
    ),
    "pcsc": (
        N_("Cable: `lsusb` names the reader, and its lamp is lit."),
        N_("pcscd runs: `systemctl status pcscd.socket`."),
        N_("The kernel has not taken it for itself: `modprobe -r pn533_usb` (ACR122U)."),
        N_("Rights: as root it works, and as this user polkit lets it."),
        N_("Path: reader.device is a part of the name that the fault above lists, or nothing."),
    ),
    "usb_keyboard": (
        N_("Cable: `lsusb` names the reader; it beeps when a badge comes near."),
        N_("Nobody else has grabbed it: no other node or program reads it."),
        N_("Rights: `id -nG` names the group input."),
        N_("Path: reader.device is a /dev/input/by-id/…-event-kbd."),
    ),
}
"""The reader itself does not answer."""

_CONTACTLESS = (
    N_("The badge: 13.56 MHz (MIFARE, NTAG, DESFire). A 125 kHz badge is never seen."),
    N_("The place: flat on the antenna, no metal behind it or the badge, at most 3 cm away."),
    N_("Power: a thin or long supply wire sags when the field is on. Shorten it."),
    N_("Another badge, then another reader: antennas of cheap boards are often badly tuned."),
)
WHEN_EMPTY: Mapping[str, tuple[str, ...]] = {
    "mfrc522": _CONTACTLESS,
    "pn532": _CONTACTLESS,
    "pcsc": _CONTACTLESS,
    "usb_keyboard": (
        N_("The badge: the reader beeps when it sees one. Most of them see only 125 kHz."),
        N_("The digits: in an editor a badge types 8 or 10 digits and ends the line."),
        N_("Path: the keyboard that reader.device names is this reader, and no other one."),
    ),
}
"""The reader answers, and no badge was seen."""
