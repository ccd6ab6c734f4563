"""docs/badges in both languages: its commands and options exist, and it says what it must."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from interlock.cli import interlock
from interlock.cli.desk_desfire import KEYS_MAX
from interlock.core.model import Reason
from interlock.desk.hub import SCOPES
from interlock.desk.ntag424_keys import KEYS
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

PAGES = {name: (REPOSITORY / "docs" / name) for name in ("badges.md", "badges.fr.md")}
COMMAND = re.compile(r"(?:^|`)(interlock [^`\n]+)", re.MULTILINE)
both = pytest.mark.parametrize("name", sorted(PAGES))


def commands_of(text: str) -> list[list[str]]:
    """Every command line of a page, in words."""
    return [shlex.split(line) for line in COMMAND.findall(text)]


def trouble_with(words: list[str]) -> str:
    """Why the command line cannot be typed so; empty when it can."""
    known: click.Command = interlock
    rest = words[1:]
    while isinstance(known, click.Group):
        if not rest or rest[0] not in known.commands:
            return f"no such command: {' '.join(words)}"
        known = known.commands[rest.pop(0)]
    try:
        known.make_context(words[-1], rest, resilient_parsing=False).close()
    except click.UsageError as error:
        return f"{' '.join(words)}: {error.format_message()}"
    return ""


@both
def test_every_command_can_be_typed_as_it_stands(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    found = commands_of(text)
    assert len(found) > 12
    assert [wrong for words in found if (wrong := trouble_with(words))] == []


def test_a_command_or_an_option_that_does_not_exist_is_noticed() -> None:
    text = "`interlock desk fly`\n`interlock desk rotate --fast`\n`interlock desk assign`"
    assert [bool(trouble_with(words)) for words in commands_of(text)] == [True] * 3


@both
def test_every_desk_command_is_explained(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    desk = interlock.commands["desk"]
    assert isinstance(desk, click.Group)
    missing = [verb for verb in desk.commands if f"interlock desk {verb}" not in text]
    assert missing == []
    assert all(f"--scope {scope}" in text for scope in SCOPES)


@both
def test_it_says_plainly_what_is_not_stopped_and_what_a_figure_is(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    for word in ("uid", "aes", Reason.BADGE_NOT_GENUINE.value, f"{KEYS_MAX}", f"{KEYS}", "2026"):
        assert word in text
    assert re.search(r"not stopped|n'est pas arrêté", text)
    assert len(re.findall(r"estimat|estimation", text)) >= 3


def test_both_languages_have_the_same_sections_commands_and_rows() -> None:
    shapes = []
    for path in PAGES.values():
        text = path.read_text(encoding="utf-8")
        headings = len(re.findall(r"^## ", text, re.MULTILINE))
        rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
        commands = [words[:3] for words in commands_of(text)]
        shapes.append((headings, rows, commands))
    assert shapes[0] == shapes[1]
