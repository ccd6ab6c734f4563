"""The six words of a first boot on the machine's own screen: all of them, or what tells them apart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from interlock.cli.node_first_boot import BEGINNING, _Screen, lines_of
from interlock.config import load_node
from interlock.node import displays
from interlock.protocol.enrolment import WORDS
from interlock.protocol.words import words_of
from tests.node.screen_chips import Hd44780Chip
from tests.node.test_screens import letters_of
from tests.tidy import REPOSITORY

# As in tests/node/test_screens.py: luma asks Pillow for what Pillow 14 will no longer have.
pytestmark = [pytest.mark.fast, pytest.mark.filterwarnings("ignore:Image.Image.getdata")]

SIZES = ((16, 2), (20, 4), (21, 4))
"""Columns and lines of every screen there is (config)."""
EVERY = {
    language: {
        words_of(number.to_bytes(2, "big"), 1, language)[0] for number in range(0, 1 << 16, 32)
    }
    for language in ("en", "fr")
}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_six_words_fit_every_screen_in_their_order(language: str, columns: int, lines: int) -> None:
    dice = random.Random(columns)
    longest = tuple(sorted(EVERY[language], key=len)[-WORDS:])
    for words in (longest, *(words_of(dice.randbytes(9), WORDS, language) for _ in range(500))):
        shown = lines_of(words, columns, lines)
        assert len(shown) <= lines
        assert max(map(len, shown)) <= columns
        read = " ".join(shown).split()
        assert len(read) == WORDS
        assert all(word.startswith(part) for word, part in zip(words, read, strict=True))
        if columns > 16 and words is not longest:
            assert tuple(read) == words, "there was room for all of it"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_beginning_of_a_word_tells_it_from_every_other(language: str) -> None:
    assert len(EVERY[language]) == 2_048
    assert len({word[:BEGINNING] for word in EVERY[language]}) == 2_048


def test_a_person_reads_them_on_the_lcd_and_it_is_dark_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = REPOSITORY / "config/printer.toml"
    chip = Hd44780Chip()
    display = displays.display_of(load_node(config).screen, chip)
    monkeypatch.setattr(displays, "display_of", lambda _: display)
    screen = _Screen(config)
    words = words_of(bytes(range(9)), WORDS, "fr")
    screen.show(words, "Imprimante")
    assert [line.rstrip() for line in letters_of(chip, display)] == lines_of(words, 16, 2)
    assert f"Imprimante: {' '.join(words)}" in capsys.readouterr().err
    assert chip.is_on
    screen.close()
    assert not chip.is_on


def test_a_screen_that_is_missing_stops_no_first_boot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = REPOSITORY / "config/printer.toml"
    chip = Hd44780Chip()
    chip.plugged = False
    display = displays.display_of(load_node(config).screen, chip)
    monkeypatch.setattr(displays, "display_of", lambda _: display)
    screen = _Screen(config)
    screen.show(("a", "b"), "saw")
    screen.close()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "saw: a b"
    assert len(said) == 2
