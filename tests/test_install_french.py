"""What install.sh says: every sentence for a person stands in it in English and in French."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

SCRIPTS = [REPOSITORY / "install.sh", *sorted((REPOSITORY / "systemd/install").glob("*.sh"))]

PUT_IN = r"\$\(\([^()]*\)\)|\$\([^()]*\)|\$\{[^}]*\}|\$\w+|\$."
"""What the shell puts into a text."""
STRING = rf'"(?:[^"\\$]|\\.|{PUT_IN})*+"'
PAIR = re.compile(rf"(?<![\w-])t\s+({STRING}|\w+)\s+({STRING}|\w+)\s*(?=\)|;)")
"""`t "English" "français"`."""
CALL = re.compile(r"(?<![\w-])t\s+[\"\w]")
TALK = re.compile(
    rf"(?<![\w#'/-])((?:say|complain|record|step|refuse_overlay)(?=[ ])|STEP=|REMEDY=)[ ]?((?:{STRING}|[^\s\"]+|[ ])*)"
)
"""Somebody is told something, and what stands there."""
TEXTS = {"step": slice(0, 2), "refuse_overlay": slice(0, 2), "record": slice(2, 3)}
"""Which of the words of such a line are for a person; the others are a command, or a name."""
TOOLS = re.compile(r"^== .*|sudo .*|apt-get .*|(?:/[\w.*-]+)+")
"""What is the same in every language: a tool's name as a headline, a command to be typed, a path."""


def lines_of(script: Path) -> str:
    """The script without its comments, its help and its two-line commands."""
    said = script.read_text("utf-8").replace("\\\n", " ")
    said = re.sub(r"<<'?(END|TEXT)'?.*?\n\1\n", "\n", said, flags=re.DOTALL)
    return re.sub(r"^\s*#.*$", "", said, flags=re.MULTILINE)


def in_one_language(script: str) -> list[str]:
    """Every text for a person in `script` that is not a pair."""
    # A pair's own `$(…)` becomes one mark, so that what is left of a text is what nobody translated.
    left = re.sub(r"\$\(@\)", "@", PAIR.sub("@", script))
    found = []
    for talk in TALK.finditer(left):
        words = re.findall(rf"{STRING}|[^\s\"]+", talk[2])
        for word in words[TEXTS.get(talk[1], slice(None))]:
            if re.search(r"[^\W\d]{2}", TOOLS.sub("", re.sub(PUT_IN, "", word.strip('"')))):
                found.append(word)
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_nothing_is_said_in_one_language_alone(script: Path) -> None:
    assert in_one_language(lines_of(script)) == [], 'write it with t "English" "français"'


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_every_pair_has_two_texts_with_the_same_facts(script: Path) -> None:
    lines = lines_of(script)
    pairs = [match.groups() for match in PAIR.finditer(lines)]
    assert len(pairs) == len(CALL.findall(lines)) >= 5, "there is a pair that this test cannot read"
    for pair in pairs:
        assert all(re.search(r"[^\W\d]{2}", text) for text in pair)
        # The documents are two as well.
        facts = [
            re.findall(r"\$\{?\w+|--[a-z]+[a-z-]*", text.replace("--lang fr", "")) for text in pair
        ]
        assert sorted(set(facts[0])) == sorted(set(facts[1])), pair


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ('say "Everything is here."', ['"Everything is here."']),
        ('complain "$(t "No." "Non.") Read it."', ['"@ Read it."']),
        ('    x || complain "$1: gone"', ['"$1: gone"']),
        ('step "Making it" "$(t "Wait." "Attendez.")" make it', ['"Making it"']),
        ("REMEDY=Nothing", ["Nothing"]),
        ('step "$(t "Making it" "Création")" "$(t "Wait." "Attendez.")" make it', []),
        ('say "          $(printf \'%q \' "$@")"', []),
        ('say "$(t "done" "fait") ($((SECONDS - began)) s)"', []),
    ],
)
def test_this_test_can_fail(line: str, bare: list[str]) -> None:
    assert in_one_language(line) == bare
