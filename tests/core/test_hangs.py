"""A loop that nobody ran for a while: what the dynamic enable did meanwhile is known, and not billed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.model import Inputs
from interlock.core.states import State
from tests.core.rig import ADA, TAP, Rig, enabled

pytestmark = pytest.mark.fast

WITH_ENABLE = replace(TAP, hang_ms=240)


@pytest.mark.parametrize(("hung_ms", "ends"), [(240, False), (241, True), (5_000, True)])
def test_a_hang_in_which_the_enable_let_go_ends_the_session_and_is_not_billed(
    hung_ms: int, ends: bool
) -> None:
    rig = enabled(WITH_ENABLE, inputs=Inputs())
    rig.pass_ms(1_000)
    rig.ms += hung_ms
    rig.sample()
    assert rig.is_on is not ends
    ended = rig.written("session_ended")
    assert [(one["how"], one["enabled_ms"]) for one in ended] == ([("contact_lost", 1_100)] * ends)


def test_a_badge_seen_during_such_a_hang_starts_nobody() -> None:
    rig = enabled(WITH_ENABLE, inputs=Inputs())
    rig.ms += 500
    rig.sample()
    rig.arrive(ADA, ago_ms=100)
    assert not rig.is_on
    rig.arrive(ADA)
    assert rig.is_on


def test_without_a_dynamic_enable_a_hang_opens_nothing_and_the_session_goes_on() -> None:
    rig = enabled(TAP, inputs=Inputs())
    rig.ms += 5_000
    rig.sample()
    assert rig.is_on


def test_a_hang_right_after_closing_is_not_taken_for_a_broken_contactor() -> None:
    rig = Rig(WITH_ENABLE)
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(20)
    rig.ms += 460
    rig.sample(mirror_closed=True)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED)
