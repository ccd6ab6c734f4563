"""Every situation of the core goes in; contact sheets of lamp, buzzer and screen come out.

    python -m tests.node.pictures      writes docs/panels/*.png

Panels are the core's own (tests/core/test_outputs.py has the situations), dots are what the chip
models of the two screens received from luma. The same code gives the same dots on every computer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from interlock.config import ScreenConfig
from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Fault, Reason
from interlock.node import panel as panels
from interlock.node.displays import display_of, plain
from interlock.node.panel import LANGUAGES
from tests.core.test_outputs import SITUATIONS
from tests.node.screen_chips import Hd44780Chip, Ssd1306Chip

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "panels"

LCD = ScreenConfig("lcd", 1, 0x27, 16, 2)
OLED = ScreenConfig("oled", 1, 0x3C, 21, 4)

STRIP_MS = 3_000
"""As long as the slowest pattern takes, and half of it again."""

PAPER, INK, FAINT, DARK = (255, 255, 255), (20, 20, 20), (120, 120, 120), (45, 45, 45)
BACKLIT, LETTER = (160, 200, 40), (20, 40, 20)
GLASS, LIT = (5, 8, 14), (150, 220, 255)

NAMES = {
    "en": {"lid": "Lid", "chiller": "Chiller", None: None},
    "fr": {"lid": "Capot", "chiller": "Refroidisseur", None: None},
}
SESSION_S = 754
CODE = "7K3PX"


@dataclass(frozen=True)
class Cell:
    """One situation: its name in the core's words, and what its panel is."""

    title: str
    panel: Panel


@dataclass(frozen=True)
class Sheet:
    """One picture: a language and a kind of screen."""

    language: str
    screen: ScreenConfig

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.language}-{self.screen.columns}x{self.screen.lines}.png"


SHEETS = [Sheet(language, screen) for language in LANGUAGES for screen in (LCD, OLED)]


def cells(language: str) -> list[Cell]:
    """Every situation, then every reason of a refusal, then every fault."""
    # Without names, as in a lab that has not asked for them, but for the one that shows it.
    made = {name: replace(make().panel, name=None) for name, make in SITUATIONS.items()}
    made["in use by name"] = replace(made["in use"], name="Camille")
    refused, fault = made.pop("refused"), made.pop("fault")
    shown = [Cell(name, panel) for name, panel in made.items()]
    for reason in Reason:
        detail = CODE if reason is Reason.UNKNOWN_BADGE else None
        panel = replace(refused, reason=reason, training=None, detail=detail)
        shown.append(Cell(f"refused: {reason.value}", panel))
    lid = replace(refused, reason=Reason.INTERLOCK_OPEN, detail="lid")
    shown.append(Cell("refused: INTERLOCK_OPEN, named", lid))
    shown += [Cell(f"fault: {one.value}", replace(fault, fault=one)) for one in Fault]
    return [Cell(cell.title, _spoken(cell.panel, language)) for cell in shown]


def _spoken(panel: Panel, language: str) -> Panel:
    """The panel for somebody who speaks `language`, in the middle of a session."""
    names: dict[Any, Any] = NAMES[language]
    seconds = panel.seconds
    if panel.message in (
        Message.IN_USE,
        Message.SESSION_ENDED,
        Message.SUPERVISED,
        Message.LONG_JOB,
    ):
        seconds = SESSION_S
    detail = names.get(panel.detail, panel.detail)
    return replace(panel, language=language, detail=detail, seconds=seconds)


# -------------------------------------------------------------------------------------- one sheet


def drawn(sheet: Sheet) -> Image.Image:
    """The whole sheet."""
    pictures = [_cell(cell, seen) for cell, seen in zip(*_seen(sheet), strict=True)]
    width, height = pictures[0].size
    columns = 6 if sheet.screen is LCD else 5
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * height), PAPER)
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number % columns * width, number // columns * height))
    return whole


def _seen(sheet: Sheet) -> tuple[list[Cell], list[Image.Image]]:
    """The cells of a sheet, and its screen in each of them."""
    show = _lcd() if sheet.screen is LCD else _oled()
    shown = cells(sheet.language)
    size = sheet.screen.columns, sheet.screen.lines
    return shown, [show(panels.screen(cell.panel, sheet.language, *size)) for cell in shown]


def _cell(cell: Cell, screen: Image.Image) -> Image.Image:
    width, height = screen.width + 20, screen.height + 76
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((2, 2, width - 3, height - 3), outline=(210, 210, 210))
    font = _font()
    draw.text((10, 8), plain(cell.title, str.isascii), fill=INK, font=font)
    draw.text((10, 21), _in_words(cell.panel), fill=FAINT, font=font)
    _strip(draw, 38, 16, _lamp(cell.panel, screen.width))
    _strip(draw, 57, 5, _buzzer(cell.panel, screen.width))
    picture.paste(screen, (10, 67))
    return picture


def _in_words(panel: Panel) -> str:
    words = f"{panel.colour.value} {panel.lamp.value}".replace("_", " ")
    if panel.buzzer is Pattern.OFF:
        return words
    return f"{words}, {panel.buzzer.value}".replace("_", " ")


def _strip(draw: ImageDraw.ImageDraw, top: int, height: int, colours: Iterable[Any]) -> None:
    for place, colour in enumerate(colours):
        draw.line((10 + place, top, 10 + place, top + height - 1), fill=colour)


def _times(panel: Panel, dots: int) -> Iterator[int]:
    for dot in range(dots):
        yield panel.since_ms + dot * STRIP_MS // dots


LAMP_RGB = {
    Colour.WHITE: (235, 235, 225),
    Colour.GREEN: (30, 170, 60),
    Colour.BLUE: (40, 90, 230),
    Colour.YELLOW: (240, 190, 0),
    Colour.RED: (215, 30, 30),
}


def _lamp(panel: Panel, dots: int) -> Iterator[tuple[int, int, int]]:
    for now_ms in _times(panel, dots):
        lit = any(panels.lamp(panel, now_ms))
        yield LAMP_RGB[panel.colour] if lit else DARK


def _buzzer(panel: Panel, dots: int) -> Iterator[tuple[int, int, int]]:
    for now_ms in _times(panel, dots):
        yield INK if panels.buzzer(panel, now_ms) else (228, 228, 228)


def _font() -> Any:
    return getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)()


# -------------------------------------------------------------------------------- the two screens


def _oled() -> Any:
    chip = Ssd1306Chip(OLED.i2c_address)
    display = display_of(OLED, chip)
    display.wake()

    def show(lines: Sequence[str]) -> Image.Image:
        display.show(lines)
        picture = Image.new("RGB", (128, 64), GLASS)
        for y, row in enumerate(chip.rows()):
            for x, lit in enumerate(row):
                if lit:
                    picture.putpixel((x, y), LIT)
        return picture.resize((256, 128), Image.Resampling.NEAREST)

    return show


def _lcd() -> Any:
    chip = Hd44780Chip(LCD.columns, LCD.lines, LCD.i2c_address)
    display: Any = display_of(LCD, chip)
    display.wake()
    rom = {code: dots for dots, code in display._device.glyph_index.items()}

    def show(lines: Sequence[str]) -> Image.Image:
        display.show(lines)
        size = (LCD.columns * 6 + 3, LCD.lines * 9 + 3)
        picture = Image.new("RGB", size, BACKLIT)
        for y, line in enumerate(chip.codes()):
            for x, code in enumerate(line):
                rows = chip.letter(code) if code < 8 else [byte >> 3 for byte in rom[code]]
                _letter(picture, (2 + x * 6, 2 + y * 9), rows)
        return picture.resize((size[0] * 2, size[1] * 2), Image.Resampling.NEAREST)

    return show


def _letter(picture: Image.Image, place: tuple[int, int], rows: Sequence[int]) -> None:
    for y, row in enumerate(rows):
        for x in range(5):
            if row >> 4 - x & 1:
                picture.putpixel((place[0] + x, place[1] + y), LETTER)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for sheet in SHEETS:
        drawn(sheet).quantize(64, dither=Image.Dither.NONE).save(sheet.path, optimize=True)
