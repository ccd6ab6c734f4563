"""Lamp, buzzer and words are pure functions; every text fits its screen in both languages."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Fault, Reason
from interlock.node import panel as panels
from interlock.node import words
from interlock.node.panel import COLUMNS, LANGUAGES, LONG_COLUMNS, LONG_LINES, RHYTHMS
from tests.node import catalogue

pytestmark = pytest.mark.fast

LONGEST_S = 999 * 3_600
"""Nobody leaves a machine enabled for longer than six weeks."""

NARROW_COLUMNS = 20
"""The larger HD44780; what fits it fits the 21 columns of an OLED."""

INTERLOCK = "Refroidissement!"
"""As long as config/ allows an interlock's name to be."""

CODE = "7K3PX"
"""An unknown badge's code has five characters."""

FIXED = {
    *words.MESSAGES.values(),
    *words.FAULTS.values(),
    *words.REASONS.values(),
    *words.DETAILED.values(),
    *words.LONG_MESSAGES.values(),
    *words.LONG_FAULTS.values(),
    *words.LONG_REASONS.values(),
    *words.LONG_DETAILED.values(),
    words.IN_USE_BY_NAME,
    words.LONG_IN_USE_BY_NAME,
}

TIMED = (Message.IN_USE, Message.SESSION_ENDED, Message.SUPERVISED, Message.LONG_JOB)


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
        shown(message, name=name, seconds=seconds, detail=INTERLOCK)
        for message, name, seconds in product(Message, (None, "Maximilienne"), (0, 600))
    ]
    made += [
        shown(message, name=name, seconds=LONGEST_S)
        for message in TIMED
        for name in (None, "Maximilienne")
    ]
    made += [shown(Message.REFUSED, reason=reason) for reason in Reason]
    made += [shown(Message.REFUSED, reason=Reason.UNKNOWN_BADGE, detail=CODE)]
    made += [shown(Message.REFUSED, reason=Reason.INTERLOCK_OPEN, detail=INTERLOCK)]
    made += [shown(Message.WOULD_BE_REFUSED, reason=reason) for reason in Reason]
    return made + [shown(Message.FAULT, fault=fault) for fault in Fault]


def whole(panel: Panel, language: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The short text as it would be on an endless line."""
    monkeypatch.setattr(panels, "COLUMNS", 10_000)
    return panels.screen(panel, language, 10_000)


def long(panel: Panel, language: str, lines: int = LONG_LINES) -> tuple[str, ...]:
    """The long text as the smaller of its screens shows it."""
    return panels.screen(panel, language, NARROW_COLUMNS, lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_wider_than_the_screen(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for panel in every_panel():
        for line in whole(panel, language, monkeypatch):
            assert len(line) <= COLUMNS, f"{line!r} ({panel.message}, {panel.reason})"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_long_text_is_cut_on_four_lines_of_20(language: str) -> None:
    for panel in every_panel():
        endless = long(panel, language, lines=100)
        assert [line for line in endless[LONG_LINES:] if line] == [], long(panel, language)
        assert all(len(line) <= NARROW_COLUMNS for line in endless)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_of_a_long_text_is_broken(language: str) -> None:
    for panel in every_panel():
        on_one_line = " ".join(panels.screen(panel, language, 10_000, LONG_LINES)).split()
        assert " ".join(long(panel, language)).split() == on_one_line


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_says_something_on_its_first_line(language: str) -> None:
    for panel in every_panel():
        assert panels.screen(panel, language)[0].strip(), panel
        assert long(panel, language)[0].strip(), panel


def test_a_text_has_as_many_lines_as_the_screen_and_none_is_wider() -> None:
    for panel, (columns, lines) in product(every_panel(), ((16, 2), (20, 4), (21, 4))):
        text = panels.screen(panel, "fr", columns, lines)
        assert len(text) == lines
        assert all(len(line) <= columns for line in text)


def test_the_long_text_of_a_refusal_says_more_than_the_short_one() -> None:
    for language, reason in product(LANGUAGES, Reason):
        panel = shown(Message.REFUSED, reason=reason)
        said = " ".join(panels.screen(panel, language)).split()
        assert len(" ".join(long(panel, language)).split()) > len(said), (language, reason)


def test_every_text_has_a_french_one_of_its_own() -> None:
    named = {words.IN_USE_BY_NAME}
    for panel in every_panel():
        if panels._short(panel) not in named:
            assert panels.screen(panel, "fr") != panels.screen(panel, "en"), panel
        assert long(panel, "fr") != long(panel, "en"), panel


def test_the_compiled_catalogue_is_the_written_one_and_has_every_text() -> None:
    from babel.messages.mofile import read_mo

    written = {m.id: m.string for m in catalogue.read_french() if m.id and m.string}
    with catalogue.FRENCH.with_suffix(".mo").open("rb") as source:
        compiled = {m.id: m.string for m in read_mo(source) if m.id}
    assert compiled == written, "run: python -m tests.node.catalogue"
    assert set(written) >= FIXED, "translate: " + repr(FIXED - set(written))


def test_every_reason_and_every_fault_says_what_to_do() -> None:
    assert set(words.REASONS) == set(words.LONG_REASONS) == set(Reason)
    assert set(words.FAULTS) == set(words.LONG_FAULTS) == set(Fault)
    assert set(words.MESSAGES) == set(words.LONG_MESSAGES) == set(Message)
    for text in (*words.REASONS.values(), *words.FAULTS.values()):
        why, what_to_do = text.split("\n")
        assert why
        assert what_to_do


def test_the_badges_language_comes_before_the_machines_and_an_unknown_one_does_not() -> None:
    refused = {"message": Message.REFUSED, "reason": Reason.NOT_TRAINED}
    french = ("Il vous faut", "une habilitation")
    assert panels.screen(shown(**refused, language="fr"), "en") == french  # type: ignore[arg-type]
    assert panels.screen(shown(**refused, language="tlh"), "fr") == french  # type: ignore[arg-type]


def test_an_unknown_badge_shows_the_code_by_which_the_desk_finds_it() -> None:
    panel = shown(Message.REFUSED, reason=Reason.UNKNOWN_BADGE, detail="7K3PX", language="fr")
    assert panels.screen(panel, "en") == ("Badge inconnu", "Code 7K3PX")
    assert "Code 7K3PX" in long(panel, "en")


def test_an_open_interlock_is_named_wherever_it_stops_somebody() -> None:
    for message in (Message.INTERLOCK_OPEN, Message.INTERLOCK_TRIPPED, Message.INTERLOCK_UNKNOWN):
        assert panels.screen(shown(message, detail="Lid"), "en")[1] == "Lid"
    refused = shown(Message.REFUSED, reason=Reason.INTERLOCK_OPEN, detail="Lid")
    assert panels.screen(refused, "en") == ("Close first:", "Lid")


def test_what_would_be_refused_says_why() -> None:
    panel = shown(Message.WOULD_BE_REFUSED, reason=Reason.NOT_TRAINED)
    assert "Not trained" in " ".join(long(panel, "en"))
    assert "Pas d'habilitation" in " ".join(long(panel, "fr"))


def test_a_number_keeps_its_unit_and_a_french_sign_its_word() -> None:
    for panel in every_panel():
        for line in long(panel, "fr"):
            assert not line.startswith(("s ", "s.", "s,", "?", "!", ":")), long(panel, "fr")
            assert "\N{NO-BREAK SPACE}" not in line


def test_a_long_name_is_cut_and_takes_nothing_from_the_time() -> None:
    panel = shown(Message.IN_USE, name="Anne-Sophie de la Tour du Pin", seconds=3_725)
    assert panels.screen(panel, "en") == ("Anne-Sophie de l", "1:02:05")
    endless = shown(Message.IN_USE, name="x" * 200, seconds=3_725)
    assert long(endless, "en") == ("In use 1:02:05", *["x" * 20] * 3)


def test_a_name_with_a_percent_sign_or_a_line_break_breaks_nothing() -> None:
    panel = shown(Message.IN_USE, name="50%s\nLab", seconds=1)
    assert panels.screen(panel, "en") == ("50%s Lab", "0:00:01")
    assert long(panel, "en") == ("In use 0:00:01", "50%s Lab", "", "")


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


def test_the_wire_carries_both_texts() -> None:
    panel = shown(Message.REFUSED, reason=Reason.NOT_TRAINED)
    wire = panels.to_wire(panel, "en", 0)
    assert wire["lines"] == ["Not trained", "Book a training"]
    assert wire["long_lines"] == list(panels.screen(panel, "en", LONG_COLUMNS, LONG_LINES))


def test_no_sentence_of_the_screen_escapes_the_catalogue() -> None:
    tree = ast.parse(Path(words.__file__).read_text(encoding="utf-8"))
    texts = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "N_"
        and isinstance(node.args[0], ast.Constant)
    }
    assert texts == FIXED
    assert {message.id for message in catalogue.messages_in_use()} >= FIXED
