"""The pictures in docs/ are what their sources say, in both languages, on one sheet of A4."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.drawings.__main__ import pictures
from tests.drawings.canvas import FINE, SHEET, STRONG, WIRE
from tests.drawings.sheet import svg
from tests.drawings.source import SOURCES, Drawing, SourceError, all_drawings, load, parse
from tests.drawings.text import HEAD, LANGUAGES, TEXT, TITLE, width, wrapped

pytestmark = pytest.mark.fast

EVERY = [(drawing, language) for drawing in all_drawings() for language in LANGUAGES]
IDS = [f"{drawing.name}.{language}" for drawing, language in EVERY]


def test_the_pictures_in_docs_are_drawn_from_the_sources_as_they_are() -> None:
    drawn = pictures()
    stored = {path: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.svg")}
    assert stored.keys() == drawn.keys(), "run python -m tests.drawings"
    changed = [path.name for path in drawn if drawn[path] != stored[path]]
    assert changed == [], "run python -m tests.drawings"


def test_a_changed_source_changes_its_picture() -> None:
    text = (SOURCES / "printer.toml").read_text(encoding="utf-8")
    changed = parse("printer", text.replace("GPIO13", "GPIO19"))
    assert svg(changed, "en") != svg(load(SOURCES / "printer.toml"), "en")


@pytest.mark.parametrize(("drawing", "language"), EVERY, ids=IDS)
def test_a_sheet_has_three_type_sizes_and_three_strokes(drawing: Drawing, language: str) -> None:
    picture = svg(drawing, language)
    assert set(re.findall(r'font-size="([\d.]+)"', picture)) == {str(TITLE), str(HEAD), str(TEXT)}
    assert set(re.findall(r'stroke-width="([\d.]+)"', picture)) == {
        str(FINE),
        str(WIRE),
        str(STRONG),
    }


@pytest.mark.parametrize(("drawing", "language"), EVERY, ids=IDS)
def test_a_sheet_is_a4_and_names_every_part_and_pin(drawing: Drawing, language: str) -> None:
    picture = svg(drawing, language)
    root = ElementTree.fromstring(picture)
    assert (root.get("width"), root.get("height")) == ("297mm", "210mm")
    assert SHEET[0] / SHEET[1] == pytest.approx(297 / 210, rel=0.002)
    words = " ".join("".join(text.itertext()) for text in root.iter() if text.tag.endswith("text"))
    assert [name for name in drawing.parts if name not in words.split()] == []
    missing = [
        rung.key
        for rung in (*drawing.inputs, *drawing.outputs)
        for end in (rung.left, rung.right)
        if end.startswith("GPIO") and not re.search(rf"\b{end}\b", words)
    ]
    assert missing == []


def test_a_drawing_that_is_too_high_for_a4_is_an_error() -> None:
    text = (SOURCES / "laser.toml").read_text(encoding="utf-8")
    crowded = parse("laser", text.replace('"BR1 A4 H1 P1"', '"BR1 A4 H1 P1 BR1 BR1"'))
    with pytest.raises(SourceError, match="too high for A4"):
        svg(crowded, "en")


def test_words_are_broken_between_words_and_never_lost() -> None:
    text = "the emergency stop opens the coil circuit by itself"
    lines = wrapped(text, 90)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(width(line) <= 90 or " " not in line for line in lines)
