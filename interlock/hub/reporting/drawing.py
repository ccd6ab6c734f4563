"""Numbers go in; small drawings come out, as SVG made here: bars, columns, and how dark a square is.

Each stands beside, or in, a table with the same numbers: drawings are silent to screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

BAR_WIDTH, BAR_HEIGHT = 100, 10
SHADES = 8
"""Steps from nothing to everything: more are not told apart."""

COLUMN_WIDTH, COLUMN_GAP = 30, 20
COLUMNS_HEIGHT = 150
HEAD_ROOM, FOOT_ROOM = 20, 24
BEHIND = 9
"""How far the column before stands out at the left of its own."""
RULES = 4
"""Lines behind columns, the lowest at nothing."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A column: what stands under and over it, its number and the one before."""

    label: str
    said: str
    number: int
    previous: int


def bar(number: int, most: int) -> SafeString:
    """A bar as long as `number` is of `most`."""
    width = 0 if most <= 0 else round(BAR_WIDTH * max(0, number) / most, 1)
    return format_html(
        '<svg class="bar" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false"><rect width="{}" height="{}"/></svg>',
        BAR_WIDTH,
        BAR_HEIGHT,
        width,
        BAR_HEIGHT,
    )


def shade(number: int, most: int) -> int:
    """How dark the square of `number` is, from 0 (nothing) to SHADES."""
    if number <= 0 or most <= 0:
        return 0
    return max(1, min(SHADES, -(-SHADES * number // most)))


def columns(bars: Sequence[Bar]) -> SafeString:
    """Columns side by side, each before the outline of the one it is compared with."""
    most = max([1, *(one.number for one in bars), *(one.previous for one in bars)])
    width = len(bars) * (COLUMN_WIDTH + COLUMN_GAP) + COLUMN_GAP
    foot = HEAD_ROOM + COLUMNS_HEIGHT
    rules = format_html_join(
        "",
        '<line class="rule" x1="0" x2="{}" y1="{}" y2="{}"/>',
        ((width, y, y) for y in (foot - COLUMNS_HEIGHT * n // RULES for n in range(RULES + 1))),
    )
    drawn = format_html_join(
        "",
        '<rect class="before" x="{}" y="{}" width="{}" height="{}"/>'
        '<rect class="now" x="{}" y="{}" width="{}" height="{}"/>'
        '<text class="over" x="{}" y="{}">{}</text><text class="under" x="{}" y="{}">{}</text>',
        (_column(index, one, most) for index, one in enumerate(bars)),
    )
    return format_html(
        '<svg class="columns-chart" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}{}</svg>',
        width,
        foot + FOOT_ROOM,
        rules,
        drawn,
    )


def _column(index: int, one: Bar, most: int) -> tuple[object, ...]:
    left = COLUMN_GAP + index * (COLUMN_WIDTH + COLUMN_GAP)
    foot = HEAD_ROOM + COLUMNS_HEIGHT
    tall = round(COLUMNS_HEIGHT * one.number / most, 1)
    before = round(COLUMNS_HEIGHT * one.previous / most, 1)
    middle = left + COLUMN_WIDTH / 2
    return (
        *(left - BEHIND, foot - before, COLUMN_WIDTH, before),
        *(left, foot - tall, COLUMN_WIDTH, tall),
        *(middle, foot - tall - 5, one.said),
        *(middle, foot + 16, one.label),
    )
