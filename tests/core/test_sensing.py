"""What the sensors say of the machine itself: a start by itself, and buttons that are pressed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import SetRelay
from interlock.core.events import FaultCleared, LongJobPressed
from interlock.core.model import Assurance, Fault, Inputs
from interlock.core.sensing import Watch, sense
from interlock.core.states import FaultFacts, Recovered, State
from tests.core.rig import ADA, QUIET, TAP, TECHNICIAN, TICK_MS, Rig

pytestmark = pytest.mark.fast

WATCHED = replace(TAP, unexpected_start_ms=1_000, inrush_ms=200)
DETECTED_MS_MAX = 200
"""2-machine.md S4."""


def closed(inputs: Inputs = QUIET) -> Rig:
    rig = Rig(WATCHED, inputs=inputs)
    rig.arrive(ADA)
    rig.sample()
    assert rig.is_on
    return rig


@pytest.mark.parametrize("inputs", [QUIET, replace(QUIET, mirror_closed=None)])
def test_a_machine_that_starts_by_itself_is_opened_at_once_and_latched(inputs: Inputs) -> None:
    rig = closed(inputs)
    rig.pass_ms(400)
    effects = rig.sample(busy=True)
    assert effects[0] == SetRelay(False)
    assert rig.types()[-2:] == ["session_ended", "fault_raised"]
    assert rig.written("session_ended")[0]["how"] == "fault"
    assert rig.written("fault_raised") == [{"fault": "unexpected_start"}]
    rig.sample(busy=False)
    rig.pass_ms(5_000)
    rig.arrive(ADA)
    assert (rig.is_on, rig.refusals()) == (False, ["MACHINE_FAULT"])


def test_current_that_never_stops_after_the_inrush_is_found_in_time() -> None:
    rig = closed()
    closed_ms = rig.ms
    rig.sample(busy=True)
    rig.pass_ms(1_000)
    off_ms, on = rig.relay[-1]
    assert not on
    assert off_ms - closed_ms - WATCHED.inrush_ms <= DETECTED_MS_MAX


def test_charging_right_after_closing_is_no_start() -> None:
    rig = closed()
    rig.sample(busy=True)
    rig.pass_ms(180)
    rig.sample(busy=False)
    rig.pass_ms(2_000)
    assert rig.is_on


def test_a_start_after_the_watched_time_is_the_persons_own() -> None:
    rig = closed()
    rig.pass_ms(1_000 + TICK_MS)
    rig.sample(busy=True)
    rig.pass_ms(2_000)
    assert (rig.is_on, rig.at()) == (True, State.ENABLED)


def test_a_machine_that_is_not_watched_may_start_when_it_likes() -> None:
    rig = Rig(TAP)
    rig.arrive(ADA)
    rig.pass_ms(400)
    rig.sample(busy=True)
    rig.pass_ms(1_000)
    assert rig.is_on


def test_a_start_by_itself_while_the_end_is_asked_is_one_too() -> None:
    rig = Rig(replace(WATCHED, unexpected_start_ms=3_000), inputs=replace(QUIET, busy=None))
    rig.arrive(ADA)
    rig.pass_ms(300)
    rig.arrive(ADA)
    assert rig.at() is State.ENDING
    rig.sample(busy=True)
    assert (rig.is_on, rig.at()) == (False, State.FAULT)


def test_current_at_a_machine_that_is_off_is_nobodys_start() -> None:
    rig = Rig(WATCHED)
    rig.sample(busy=True)
    rig.pass_ms(2_000)
    assert rig.at() is State.LOCKED


@pytest.mark.parametrize("by", ["badge", "u-7", "break-glass"])
def test_a_start_by_itself_is_cleared_like_any_fault_and_says_by_whom(by: str) -> None:
    rig = Rig(recovered=Recovered(frozenset({Fault.UNEXPECTED_START})))
    assert isinstance(rig.state.facts, FaultFacts)
    if by == "badge":
        rig.arrive(TECHNICIAN)
        assert rig.at() is State.FAULT, "a badge that can be cloned does not"
        rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    else:
        rig.give(FaultCleared(by))
    (body,) = rig.written("fault_cleared")
    assert (body["fault"], body["by"]) == (
        "unexpected_start",
        TECHNICIAN.member if by == "badge" else by,
    )
    assert (rig.at(), rig.relay) == (State.LOCKED, [])


def test_the_long_job_button_is_heard_once_for_each_press() -> None:
    watch = Watch(Inputs(), coil_on=False, commanded_ms=0)
    heard = []
    for at_ms, pressed in enumerate([False, True, True, False, True]):
        watch, signals = sense(watch, Inputs(long_job_pressed=pressed), TAP, at_ms * TICK_MS)
        heard.append(LongJobPressed() in signals)
    assert heard == [False, True, False, False, True]
