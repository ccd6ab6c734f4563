"""The pictures in docs/panels are what lamp, buzzer and screens show today, dot by dot."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from interlock.core.effects import Message
from interlock.core.model import Fault, Reason
from interlock.node.panel import LANGUAGES
from tests.node import pictures
from tests.node.pictures import LCD, SHEETS, Sheet, cells

# luma 2.6 asks Pillow for what Pillow 14 will no longer have; pyproject.toml keeps Pillow below.
pytestmark = [pytest.mark.fast, pytest.mark.filterwarnings("ignore:Image.Image.getdata")]

BYTES_MAX = 300_000

SHADES = 8
"""The kept picture's palette may be off by so much; the dots of a letter differ by a hundred."""


def _worst(differs: Image.Image) -> int:
    """The largest difference of any dot in any colour."""
    return max(
        place for band in differs.split() for place, count in enumerate(band.histogram()) if count
    )


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.path.stem)
def test_a_picture_in_docs_is_what_is_shown_today(sheet: Sheet) -> None:
    with Image.open(sheet.path) as kept:
        now = pictures.drawn(sheet)
        assert kept.size == now.size, "run: python -m tests.node.pictures"
        differs = ImageChops.difference(kept.convert("RGB"), now)
        worst = _worst(differs)
    assert worst <= SHADES, "run: python -m tests.node.pictures"
    assert sheet.path.stat().st_size < BYTES_MAX


def test_another_text_on_one_screen_is_another_picture() -> None:
    sheet = Sheet("en", LCD)
    show = pictures._lcd()
    ready, other = show(("Ready", "Present badge")), show(("Ready", "Present badgs"))
    assert _worst(ImageChops.difference(ready, other)) > SHADES
    assert sheet in SHEETS


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_reason_and_fault_is_on_the_sheet(language: str) -> None:
    shown = [cell.panel for cell in cells(language)]
    assert {panel.message for panel in shown} == set(Message)
    assert {panel.reason for panel in shown if panel.message is Message.REFUSED} == set(Reason)
    assert {panel.fault for panel in shown if panel.message is Message.FAULT} == set(Fault)
    assert len({cell.title for cell in cells(language)}) == len(shown)
    assert {panel.language for panel in shown} == {language}


def test_no_picture_stands_in_docs_that_nobody_draws() -> None:
    assert set(pictures.FOLDER.glob("*.png")) == {sheet.path for sheet in SHEETS}
