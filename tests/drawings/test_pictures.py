"""The sheets in Debian's Chromium: nothing is printed over anything else, and nothing leaves the paper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.drawings.canvas import SHEET
from tests.drawings.source import SOURCES

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
SHEETS = sorted(path.name for path in SOURCES.glob("*.svg"))
TOUCH = 1.0
"""Two texts may share this many units of their line boxes, which are higher than their letters."""
MEASURE = """() => [...document.querySelectorAll('text')].map(text => {
    const box = text.getBBox();
    const size = Number(text.getAttribute('font-size'));
    const line = Number(text.getAttribute('y'));
    return {words: text.textContent, x: box.x, w: box.width, y: line - 0.74 * size, h: 0.95 * size};
}).filter(box => box.words.trim())"""

Box = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


def words_of(browser: Browser, picture: str) -> list[Box]:
    page = browser.new_page()
    try:
        page.set_content(f"<body style='margin:0'>{picture}</body>")
        measured: list[Box] = page.evaluate(MEASURE)
    finally:
        page.close()
    return measured


def overlapping(boxes: list[Box]) -> list[tuple[str, str]]:
    return [
        (one["words"], two["words"])
        for one, two in combinations(boxes, 2)
        if min(one["x"] + one["w"], two["x"] + two["w"]) - max(one["x"], two["x"]) > TOUCH
        and min(one["y"] + one["h"], two["y"] + two["h"]) - max(one["y"], two["y"]) > TOUCH
    ]


@pytest.mark.parametrize("name", SHEETS)
def test_no_words_are_printed_over_others_or_off_the_paper(browser: Browser, name: str) -> None:
    boxes = words_of(browser, (SOURCES / name).read_text(encoding="utf-8"))
    assert len(boxes) > 60
    assert overlapping(boxes) == []
    wide, high = SHEET
    outside = [
        box["words"]
        for box in boxes
        if box["x"] < 4 or box["x"] + box["w"] > wide - 4 or box["y"] + box["h"] > high - 2
    ]
    assert outside == []


def test_words_over_others_would_be_seen(browser: Browser) -> None:
    text = (SOURCES / "printer.svg").read_text(encoding="utf-8")
    doubled = text.replace("</svg>", '<text x="18" y="32" font-size="11.5">over</text></svg>')
    assert ("3D printer", "over") in overlapping(words_of(browser, doubled))
