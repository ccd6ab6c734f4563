"""What the pages are made of: vendored bytes, no inline script or style, colours that can be read."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from tests.hub.page_lab import grow, page_lab

pytestmark = pytest.mark.fast

HUB = Path(__file__).resolve().parents[2] / "interlock" / "hub"
STATIC = HUB / "static"
VENDORED = [STATIC / "vendor", Path(__file__).resolve().parents[1] / "browser" / "vendor"]
TEMPLATES = sorted((HUB / "templates").rglob("*.html"))
STYLES = sorted((STATIC / "hub").glob("*.css"))

ROW = re.compile(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", re.MULTILINE)
INLINE = re.compile(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)|hx-on", re.I)
ELSEWHERE = re.compile(r"(?:src|href|action)=[\"'](?:https?:)?//|url\((?!#)|@import", re.I)


@pytest.mark.parametrize("folder", VENDORED, ids=lambda one: str(one.parent.name))
def test_every_vendored_file_is_the_one_its_readme_names(folder: Path) -> None:
    promised = dict(ROW.findall((folder / "README.md").read_text(encoding="utf-8")))
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.js")}
    assert promised, "the table of the README was not understood"
    assert found == promised


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda one: one.name)
def test_no_template_has_inline_script_or_style_or_asks_another_computer(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert INLINE.findall(text) == []
    assert ELSEWHERE.findall(text) == []


@pytest.mark.parametrize("path", STYLES, ids=lambda one: one.name)
def test_no_style_sheet_asks_for_another_file(path: Path) -> None:
    assert ELSEWHERE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted", ['<p style="x">', "<script>x()</script>", '<a onclick="x">', "<style>"]
)
def test_the_search_for_inline_code_finds_it(planted: str) -> None:
    assert INLINE.search(planted)


@pytest.mark.django_db
def test_everything_a_page_loads_exists_and_comes_from_here() -> None:
    lab = page_lab()
    grow(lab, 1)
    names = ["board", "members", "machines", "sessions"]
    member = reverse("member", args=[lab.small.member.public_id])
    machine = reverse("machine", args=[lab.small.machine.slug])
    for where in [*map(reverse, names), member, machine]:
        answer = lab.client("owner").get(where)
        page = answer.content.decode()
        assert INLINE.findall(page) == []
        assert ELSEWHERE.findall(page) == []
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        loaded = set(re.findall(r'(?:src|href)="/static/([^"#]+)', page))
        assert len(loaded) >= 5
        assert [one for one in loaded if finders.find(one) is None] == []


def test_every_icon_that_is_asked_for_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "hub/icons.svg").read_text()))
    asked = {
        name for path in TEMPLATES for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())
    }
    states = set(re.findall(r'\[data-state="([\w-]+)"\]', (STATIC / "hub/parts.css").read_text()))
    assert asked | states <= drawn


def themes() -> dict[str, dict[str, str]]:
    """The colours of tokens.css by theme; dark replaces what it names."""
    text = (STATIC / "hub/tokens.css").read_text(encoding="utf-8")
    light_text, dark_text = text.split("@media (prefers-color-scheme: dark)")
    pair = re.compile(r"--([\w-]+):\s*(#[0-9a-f]{3,6});")
    light = dict(pair.findall(light_text))
    return {"light": light, "dark": light | dict(pair.findall(dark_text))}


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


STATES = ("free", "in-use", "idle", "ending", "fault", "locked-out", "offline")
READ = [
    *((ink, paper) for ink in ("ink", "ink-soft") for paper in ("paper", "sheet", "sunk")),
    *((state, f"{state}-wash") for state in STATES),
    *(("on-plate", f"{state}-plate") for state in ("fault", "locked-out")),
    ("bench-ink", "bench"),
    ("bench-soft", "bench"),
    ("sheet", "ink"),
]
SEEN = [
    *(("on-solid", f"{state}-solid") for state in STATES if state not in ("idle", "offline")),
    *((f"{state}-solid", f"{state}-wash") for state in ("idle", "offline")),
    ("rule-strong", "sheet"),
    ("rule-strong", "paper"),
    ("focus", "paper"),
    ("mark", "bench"),
]
TEXT_RATIO_MIN, SHAPE_RATIO_MIN = 4.5, 3.0
"""WCAG 2.2, 1.4.3 for text and 1.4.11 for shapes that carry meaning."""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_pair_can_be_read_in_both_themes(theme: str) -> None:
    colours = themes()[theme]
    text = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in READ}
    shape = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in SEEN}
    assert {pair: ratio for pair, ratio in text.items() if ratio < TEXT_RATIO_MIN} == {}
    assert {pair: ratio for pair, ratio in shape.items() if ratio < SHAPE_RATIO_MIN} == {}


def test_the_contrast_formula_is_the_standards() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
