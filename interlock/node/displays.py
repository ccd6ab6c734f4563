"""Lines of text in; an OLED (SSD1306) or an LCD (HD44780 behind a PCF8574) on the I2C bus shows them.

Both through luma, which knows the chips. What a screen has no letter for is shown without its
accent. Nothing here is quick: only the screen's own thread may call it.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from interlock.config import ScreenConfig
from interlock.errors import DeviceError

if TYPE_CHECKING:
    from PIL.Image import Image

OLED_SIZE: Final = (128, 64)
LETTER_SIZE: Final = (6, 11)
"""Pillow's built-in Courier, the one font that is the same on every computer; it knows Latin-1."""
LINE_STEP: Final = 16
"""Four lines in 64 rows, five rows apart: read from two metres."""
MARGIN: Final = (1, 3)
"""21 letters of 6 columns leave two of 128."""

UNKNOWN_LETTER: Final = "?"


class Display(Protocol):
    """A text screen that may be gone at any time."""

    def wake(self) -> None:
        """The screen is set up anew and dark. Raises DeviceError."""

    def show(self, lines: Sequence[str]) -> None:
        """The screen shows `lines` and nothing else. Raises DeviceError."""

    def close(self) -> None:
        """The screen is dark, if it still listens; harmless when called again."""


def display_of(screen: ScreenConfig, bus: Any = None) -> Display:
    """The screen that `screen` describes, not yet woken. `bus` stands for the Pi's own in tests.

    Raises DeviceError: its library is not installed.
    """
    try:
        made: Display = (_Oled if screen.kind == "oled" else _Lcd)(screen, bus)
    except ImportError as missing:
        raise DeviceError(
            f"{missing.name} is not installed",
            where="screen",
            remedy="Install it: apt install python3-luma.oled python3-luma.lcd",
        ) from missing
    return made


def drawn(lines: Sequence[str]) -> Image:
    """The picture of 128 x 64 that an OLED shows for `lines`."""
    from PIL import Image, ImageDraw, ImageFont

    # Before Pillow 10.1 this font was the only one that load_default() knew.
    load = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)
    font = load()
    picture = Image.new("1", OLED_SIZE)
    canvas = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        place = (MARGIN[0], MARGIN[1] + number * LINE_STEP)
        canvas.text(place, plain(line, _latin), fill=1, font=font)
    return picture


def plain(text: str, has: LetterTest) -> str:
    """`text` with every letter that the screen has not got replaced by one without its accent."""
    return "".join(_letter(letter, has) for letter in text)


class LetterTest(Protocol):
    """Whether a screen can show a letter."""

    def __call__(self, letter: str, /) -> bool:
        """True if so."""


def _letter(letter: str, has: LetterTest) -> str:
    if has(letter):
        return letter
    base = unicodedata.normalize("NFKD", _SPELT.get(letter, letter))
    kept = "".join(one for one in base if has(one) and not unicodedata.combining(one))
    return kept or UNKNOWN_LETTER


_SPELT: Final = {"œ": "oe", "Œ": "OE", "’": "'", "–": "-", "ł": "l", "Ł": "L", "ß": "ss"}
"""Letters that do not come apart into a base and an accent."""


def _latin(letter: str) -> bool:
    return " " <= letter <= "~" or "\u00a1" <= letter <= "\u00ff"


class _Luma(ABC):
    """What both kinds share: one luma device, set up as often as it takes."""

    def __init__(self, screen: ScreenConfig, bus: Any) -> None:
        self._screen = screen
        self._bus = bus
        self._device: Any = None
        self._serial: Any = None
        self._where = f"/dev/i2c-{screen.i2c_bus} at 0x{screen.i2c_address:02X}"
        self._errors = self._import()

    def wake(self) -> None:
        try:
            if self._serial is None:
                self._serial = self._open()
            # Asked before anything is made for it: a screen that is missing for weeks costs nothing.
            self._ask()
            self._set_up()
        except self._errors as error:
            raise self._silent(error) from error

    def show(self, lines: Sequence[str]) -> None:
        try:
            self._write(lines)
        except self._errors as error:
            raise self._silent(error) from error

    def close(self) -> None:
        serial, self._serial = self._serial, None
        if serial is None:
            return
        try:
            if self._device is not None:
                self._device.hide()
            serial.cleanup()
        except self._errors:
            # A screen that is gone needs no farewell.
            return

    def _set_up(self) -> None:
        """The device's own start sequence.

        luma registers a hook at exit for every device it makes, which keeps it for ever: so there
        is one device, and its __init__ runs again.
        """
        if self._device is None:
            self._device = object.__new__(self._kind())
        self._device.__init__(self._serial, **self._options())

    def _silent(self, error: Exception) -> DeviceError:
        return DeviceError(
            f"the screen does not answer: {error}",
            where=self._where,
            remedy="Check its four wires and the address (i2cdetect -y 1)",
        )

    # ---------------------------------------------------------------------------- what a kind says

    def _import(self) -> tuple[type[Exception], ...]:
        """Its libraries are loaded, before anything waits for them; the errors they raise."""
        from luma.core.error import Error

        return (Error, OSError)

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _ask(self) -> None: ...

    @abstractmethod
    def _kind(self) -> type[Any]: ...

    @abstractmethod
    def _options(self) -> dict[str, Any]: ...

    @abstractmethod
    def _write(self, lines: Sequence[str]) -> None: ...


class _Oled(_Luma):
    NO_OPERATION: Final = 0xE3
    """SSD1306 data sheet, table 9-1."""

    def _import(self) -> tuple[type[Exception], ...]:
        from luma.oled.device import ssd1306

        drawn([""])
        self._ssd1306 = ssd1306
        return super()._import()

    def _open(self) -> Any:
        from luma.core.interface.serial import i2c

        return i2c(self._bus, self._screen.i2c_bus, self._screen.i2c_address)

    def _ask(self) -> None:
        self._serial.command(self.NO_OPERATION)

    def _kind(self) -> type[Any]:
        kind: type[Any] = self._ssd1306
        return kind

    def _options(self) -> dict[str, Any]:
        return {"width": OLED_SIZE[0], "height": OLED_SIZE[1]}

    def _write(self, lines: Sequence[str]) -> None:
        self._device.display(drawn(lines))


class _Lcd(_Luma):
    """The A00 character ROM has no accents: those of the A02 ROM go into the chip's eight spare letters."""

    PULSE_S: Final = 0.0
    """A byte on the I2C bus takes 22 us at its fastest; the chip asks for 0.45 us between the edges."""

    def _import(self) -> tuple[type[Exception], ...]:
        from luma.core.framebuffer import full_frame
        from luma.lcd.device import hd44780

        self._hd44780, self._full_frame = hd44780, full_frame
        return super()._import()

    def _open(self) -> Any:
        from luma.core.interface.serial import pcf8574

        return pcf8574(
            pulse_time=self.PULSE_S,
            bus=self._bus,
            port=self._screen.i2c_bus,
            address=self._screen.i2c_address,
        )

    def _ask(self) -> None:
        self._serial.command(0)

    def _kind(self) -> type[Any]:
        kind: type[Any] = self._hd44780
        return kind

    def _options(self) -> dict[str, Any]:
        return {
            "width": self._screen.columns,
            "height": self._screen.lines,
            "selected_font": "A00",
            # Every letter is written every time: where only what differs is (luma 2.10), a letter of
            # our own that changes its place in the chip's memory leaves a wrong one behind.
            "framebuffer": self._full_frame(),
        }

    def _set_up(self) -> None:
        super()._set_up()
        font = self._device.font
        font.combine(font.load("A02"))

    def _write(self, lines: Sequence[str]) -> None:
        font = self._device.font
        text = [plain(line, lambda letter: font.getlength(letter) > 0) for line in lines]
        self._device.text = "\n".join(text)
