"""Lamp, buzzer and words are pure functions; every text fits two lines of 16 in both languages."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Fault, Reason
from interlock.node import panel as panels
from interlock.node.panel import COLUMNS, LANGUAGES, RHYTHMS

pytestmark = pytest.mark.fast

LONGEST_S = 999 * 3_600
"""Nobody leaves a machine enabled for longer than six weeks."""

FIXED = [*panels.MESSAGES.values(), *panels.FAULTS.values(), *panels.REASONS.values()]
FIXED.append(panels.IN_USE_BY_NAME)


def shown(message: Message = Message.READY, **facts: object) -> Panel:
    """A panel of which only the text matters."""
    values: dict[str, object] = {
        "colour": Colour.WHITE,
        "lamp": Pattern.STEADY,
        "buzzer": Pattern.OFF,
        "message": message,
        **facts,
    }
    return Panel(**values)  # type: ignore[arg-type]


def every_panel() -> list[Panel]:
    """Each message, each reason, each fault, with and without a name, at the longest times."""
    made = [
        shown(message, name=name, seconds=seconds)
        for message, name, seconds in product(Message, (None, "Maximilienne"), (0, 600))
    ]
    made += [
        shown(message, name=name, seconds=LONGEST_S)
        for message in (Message.IN_USE, Message.SESSION_ENDED)
        for name in (None, "Maximilienne")
    ]
    made += [shown(Message.REFUSED, reason=reason) for reason in Reason]
    return made + [shown(Message.FAULT, fault=fault) for fault in Fault]


def whole(panel: Panel, language: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The text as it would be on an endless line."""
    monkeypatch.setattr(panels, "COLUMNS", 10_000)
    return panels.screen(panel, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_wider_than_the_screen(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for panel in every_panel():
        for line in whole(panel, language, monkeypatch):
            assert len(line) <= COLUMNS, f"{line!r} ({panel.message}, {panel.reason})"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_says_something_on_its_first_line(language: str) -> None:
    for panel in every_panel():
        assert panels.screen(panel, language)[0].strip(), panel


def test_every_text_has_a_french_one_of_its_own() -> None:
    for panel in every_panel():
        if panels.MESSAGES[panel.message] != panels.IN_USE_BY_NAME and not (
            panel.message is Message.IN_USE and panel.name
        ):
            assert panels.screen(panel, "fr") != panels.screen(panel, "en"), panel


def test_the_compiled_catalogue_is_the_written_one() -> None:
    from babel.messages.mofile import read_mo
    from babel.messages.pofile import read_po

    folder = panels.LOCALE_DIR / "fr" / "LC_MESSAGES"
    with (folder / "interlock.po").open("rb") as source:
        written = {m.id: m.string for m in read_po(source) if m.id}
    with (folder / "interlock.mo").open("rb") as source:
        compiled = {m.id: m.string for m in read_mo(source) if m.id}
    assert compiled == written, "run: pybabel compile -D interlock -d interlock/locale"
    assert set(FIXED) <= set(written)


def test_every_reason_and_every_fault_says_what_to_do() -> None:
    assert set(panels.REASONS) == set(Reason)
    assert set(panels.FAULTS) == set(Fault)
    assert set(panels.MESSAGES) == set(Message)
    for words in (*panels.REASONS.values(), *panels.FAULTS.values()):
        why, what_to_do = words.split("\n")
        assert why
        assert what_to_do


def test_the_badges_language_comes_before_the_machines_and_an_unknown_one_does_not() -> None:
    refused = {"message": Message.REFUSED, "reason": Reason.NOT_TRAINED}
    french = ("Il vous faut", "une formation")
    assert panels.screen(shown(**refused, language="fr"), "en") == french  # type: ignore[arg-type]
    assert panels.screen(shown(**refused, language="tlh"), "fr") == french  # type: ignore[arg-type]


def test_a_long_name_is_cut_and_takes_nothing_from_the_time() -> None:
    panel = shown(Message.IN_USE, name="Anne-Sophie de la Tour du Pin", seconds=3_725)
    assert panels.screen(panel, "en") == ("Anne-Sophie de l", "1:02:05")


def test_a_name_with_a_percent_sign_or_a_line_break_breaks_nothing() -> None:
    panel = shown(Message.IN_USE, name="50%s\nLab", seconds=1)
    assert panels.screen(panel, "en") == ("50%s Lab", "0:00:01")


@pytest.mark.parametrize("pattern", Pattern)
def test_no_lamp_flashes_more_than_three_times_a_second(pattern: Pattern) -> None:
    panel = shown(lamp=pattern)
    levels = [any(panels.lamp(panel, ms)) for ms in range(0, 10_000, 10)]
    starts = [i for i in range(1, len(levels)) if levels[i] and not levels[i - 1]]
    for first in starts:
        assert sum(first <= start < first + 100 for start in starts) <= 3


def test_each_lamp_pattern_looks_different_over_two_seconds() -> None:
    blinking = (Pattern.OFF, Pattern.STEADY, Pattern.SLOW_BLINK, Pattern.FAST_BLINK)
    seen = {
        tuple(RHYTHMS[pattern].is_on(ms) for ms in range(0, 2_000, 50))
        for pattern in (*blinking, Pattern.DOUBLE_BLINK)
    }
    assert len(seen) == 5


def test_beeps_are_counted_from_when_the_message_began_and_end() -> None:
    panel = shown(buzzer=Pattern.TWO_BEEPS, since_ms=5_000)
    sounding = [panels.buzzer(panel, ms) for ms in range(5_000, 6_000, 10)]
    beeps = sum(
        now and not before for before, now in zip([False, *sounding], sounding, strict=False)
    )
    assert beeps == 2
    assert not panels.buzzer(panel, 60_000)


def test_a_warning_goes_on_beeping_for_as_long_as_it_stands() -> None:
    panel = shown(buzzer=Pattern.WARNING_BEEPS, since_ms=0)
    assert all(panels.buzzer(panel, second * 1_000) for second in range(60))
    assert not any(panels.buzzer(panel, second * 1_000 + 500) for second in range(60))


def test_each_colour_lights_other_lamps() -> None:
    assert len(set(panels.LIGHTS.values())) == len(Colour)
    assert panels.lamp(shown(colour=Colour.YELLOW), 0) == (True, True, False)


def test_no_sentence_of_the_panel_escapes_the_catalogue() -> None:
    tree = ast.parse(Path(panels.__file__).read_text(encoding="utf-8"))
    texts = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "N_"
        and isinstance(node.args[0], ast.Constant)
    }
    assert texts == set(FIXED)
