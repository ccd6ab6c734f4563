"""One of something is told as one, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

import interlock.hub
from interlock.hub.models import PayerKind
from interlock.hub.models.workshop import Public
from interlock.hub.pages.workshop.activities import came
from tests.hub.catalogue import read_french

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("language", "number", "said"),
    [
        ("en", 1, ["1 child (under 12)", "1 adult", "1 job seeker"]),
        ("en", 24, ["24 children (under 12)", "24 adults", "24 job seekers"]),
        ("fr", 1, ["1 enfant (moins de 12 ans)", "1 adulte", "1 demandeur d’emploi"]),
        ("fr", 2, ["2 enfants (moins de 12 ans)", "2 adultes", "2 demandeurs d’emploi"]),
    ],
)
def test_a_headcount_agrees_with_its_number(language: str, number: int, said: list[str]) -> None:
    with translation.override(language):
        told = [came(one, number) for one in (Public.CHILDREN, Public.ADULTS, Public.JOBSEEKERS)]
        assert told == said
        assert all(came(public, 1) != came(public, 2).replace("2", "1") for public in Public)


def test_no_word_is_counted_and_named_alike() -> None:
    """gettext finds no French for a word whose entry in the catalogue has a plural (Python 3.11)."""
    counted = {
        one.id[0] for one in read_french() if isinstance(one.id, tuple) and one.context is None
    }
    package = Path(interlock.hub.__file__).parent
    sources = [path for path in package.rglob("*") if path.suffix in (".py", ".html")]
    named = re.compile(r"(?<!\w)(?:_|gettext|gettext_lazy)\(\s*\"([^\"]+)\"|translate \"([^\"]+)\"")
    clashes = {
        one[0] or one[1]
        for path in sources
        for one in named.findall(path.read_text(encoding="utf-8"))
        if (one[0] or one[1]) in counted
    }
    assert not clashes
    with translation.override("fr"):
        assert [str(label) for label in PayerKind.labels] == ["personne", "structure"]
