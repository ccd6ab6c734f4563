"""The printed sheet and the command walk the same steps, under the same names, in the same order, in both languages."""

from __future__ import annotations

import gettext
import re

import pytest

from interlock.node.commission import PLANS
from interlock.node.commission_words import ACTS, LOOKS, MEASURED, PARTS, TITLES, Step
from interlock.node.panel import DOMAIN, LANGUAGES, LOCALE_DIR
from tests.node import catalogue
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

LINE = re.compile(r"^- \[ \] ◆ \*\*(.+?)\*\* \(`([\w-]+)`\)", re.MULTILINE)
OURS = ("node/commission", "node/doctor", "cli/commission")


def sheet(language: str) -> str:
    ending = "" if language == "en" else f".{language}"
    return (REPOSITORY / f"docs/commissioning-sheet{ending}.md").read_text(encoding="utf-8")


def steps(text: str) -> list[tuple[str, str, str]]:
    """(part, title, word for --only) of every marked line of a sheet."""
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        found += [(part[0], title, word) for title, word in LINE.findall(part)]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_lists_the_steps_of_the_command_by_name_and_in_order(language: str) -> None:
    say = gettext.translation(DOMAIN, LOCALE_DIR, [language], fallback=True).gettext
    walked = [(PARTS[plan.step], say(TITLES[plan.step]), plan.step.value) for plan in PLANS]
    assert steps(sheet(language)) == walked
    assert sheet(language).count("◆ **") == len(Step), "a marked line without a step's word"


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_lines_exchanged_on_the_sheet_are_noticed(language: str) -> None:
    text = sheet(language)
    (one, other) = LINE.findall(text)[4:6]
    swapped = text.replace(one[1], "?").replace(other[1], one[1]).replace("?", other[1])
    assert steps(swapped) != steps(text)


def test_everything_that_is_said_at_the_machine_is_said_in_french_too() -> None:
    french = {message.id: message.string for message in catalogue.read_french() if message.id}
    said = {*ACTS.values(), *LOOKS.values(), *TITLES.values(), *MEASURED.values()}
    for message in catalogue.messages_in_use():
        if any(where.startswith(OURS) for where, _ in message.locations):
            said.add(str(message.id))
    assert len(said) > 200, "the catalogue was looked for in the wrong place"
    assert sorted(text for text in said if not french.get(text)) == []


def test_no_translation_loses_or_invents_a_value() -> None:
    place = re.compile(r"%(?:\(\w+\))?[ds]")
    for message in catalogue.read_french():
        if message.id and message.string:
            assert sorted(place.findall(str(message.id))) == sorted(
                place.findall(str(message.string))
            ), message.id
