"""A sentence and a width in, its lines out: enough typography to lay out a drawing without a browser."""

from __future__ import annotations

from collections.abc import Iterator

LANGUAGES = ("en", "fr")

TITLE = 20.0
HEAD = 14.0
TEXT = 11.5
"""Type sizes in drawing units: 13, 9 and 7.5 points on A4."""
LEADING = 14.0
"""From one line of TEXT to the next."""

_WIDTHS = (
    (" .,:;'|!ijl’", 0.28),
    ("()[]-/frtI·°", 0.33),
    ("cksvxyzJ", 0.51),
    ("mMW@%", 0.87),
    ("ABCDEFGHKLNOPQRSTUVXYZÉÈÀ→≥≤<>+=~w", 0.68),
)
"""Widths of Liberation Sans in ems, by group; everything else is as wide as a digit."""
_DIGIT = 0.56
_BOLD = 1.07


def width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """How wide `text` stands in drawing units, to about 3 %; the browser test has the last word."""
    ems = sum(next((w for group, w in _WIDTHS if letter in group), _DIGIT) for letter in text)
    return ems * size * (_BOLD if bold else 1.0)


def wrapped(text: str, room: float, size: float = TEXT) -> list[str]:
    """`text` broken between words into lines that fit `room`; a longer word keeps a line of its own."""
    return list(_lines(text.split(" "), room, size))


def _lines(words: list[str], room: float, size: float) -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if line and width(longer, size) > room:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line
