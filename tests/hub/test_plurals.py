"""One of something is told as one, in both languages."""

from __future__ import annotations

import pytest
from django.utils import translation

from interlock.hub.models.workshop import Public
from interlock.hub.pages.workshop.activities import came

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
