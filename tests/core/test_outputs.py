"""Every situation a person can stand in front of looks different from every other."""

from __future__ import annotations

import pytest

from interlock.core.effects import Message, Panel, ShowPanel
from interlock.core.events import BadgeRemoved, JournalFailed, ReaderFailed
from interlock.core.model import Fault
from interlock.core.states import Recovered
from tests.core.rig import ADA, HOLD, UNTRAINED, Rig, enabled

pytestmark = pytest.mark.fast


def situations() -> dict[str, Panel]:
    panels = {"ready": Rig().panel}
    starting = Rig(durable=False)
    starting.arrive(ADA)
    panels["starting"] = starting.panel
    panels["in use"] = enabled().panel
    missing = enabled(HOLD)
    missing.give(BadgeRemoved())
    panels["badge missing"] = missing.panel
    ending = enabled()
    ending.sample(busy=True)
    ending.arrive(ADA)
    panels["ending"] = ending.panel
    refused = Rig()
    refused.arrive(UNTRAINED)
    panels["refused"] = refused.panel
    panels["locked out"] = Rig(recovered=Recovered(locked_out=True)).panel
    panels["fault"] = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_WELDED}))).panel
    stopped = Rig()
    stopped.sample(emergency_stop_closed=False)
    panels["emergency stop"] = stopped.panel
    for name, event in (("reader", ReaderFailed("x")), ("journal", JournalFailed("x"))):
        rig = Rig()
        rig.give(event)
        panels[name] = rig.panel
    return panels


def test_no_two_situations_say_the_same_words() -> None:
    panels = situations()
    assert len({panel.message for panel in panels.values()}) == len(panels)


def test_no_meaning_is_carried_by_colour_alone() -> None:
    """Powered and unpowered situations differ in pattern or colour AND in words; red never means powered."""
    panels = situations()
    looks = {name: (panel.colour, panel.lamp) for name, panel in panels.items()}
    alike = [name for name in looks if list(looks.values()).count(looks[name]) > 1]
    assert sorted(alike) == ["journal", "reader"], "both mean: call somebody"
    powered = {"in use", "badge missing", "ending"}
    assert all(panels[name].colour != "red" for name in powered)
    assert all(panels[name].colour in ("green", "yellow") for name in powered)


def test_the_panel_counts_down_to_every_planned_cut() -> None:
    panels = situations()
    assert panels["ending"].seconds == 5
    assert panels["badge missing"].seconds == 2


def test_the_panel_is_told_only_when_it_changes() -> None:
    rig = Rig()
    before = len([e for e in rig.effects if isinstance(e, ShowPanel)])
    rig.pass_ms(10_000)
    assert len([e for e in rig.effects if isinstance(e, ShowPanel)]) == before
    assert rig.panel.message is Message.READY


def test_the_member_is_spoken_to_in_their_language() -> None:
    panels = situations()
    assert {panels[name].language for name in ("starting", "in use", "refused", "ending")} == {"fr"}
