"""An indicator is itself in every language: what is kept about it is found again whoever reads."""

from __future__ import annotations

import pytest
from django.utils import translation

from interlock.hub.reporting import indicators as of
from interlock.hub.reporting.indicators import Indicator

pytestmark = pytest.mark.fast

ALL = sorted(
    (one for one in vars(of).values() if isinstance(one, Indicator)), key=lambda one: one.id
)


def test_what_is_kept_about_an_indicator_in_one_language_is_found_in_the_other() -> None:
    with translation.override("fr"):
        kept = {one: one.id for one in ALL}
    with translation.override("en"):
        found = [kept.get(one) for one in ALL]
    assert len(ALL) > 20
    assert found == [one.id for one in ALL]
