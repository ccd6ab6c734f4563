"""What the sensors say of the machine itself: a start by itself, and buttons that are pressed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import machine
from interlock.core.effects import SetRelay
from interlock.core.events import FaultCleared, LongJobPressed
from interlock.core.model import Assurance, DayUse, Fault, Inputs, LocalGrant, Now
from interlock.core.sensing import Watch, sense
from interlock.core.states import (
    FaultFacts,
    LockedFacts,
    LockedOutFacts,
    MachineState,
    Recovered,
    State,
)
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


# ------------------------------------------------------------------------ does the contactor obey, and when

LIMITS = replace(TAP, close_time_ms=200, open_time_ms=500)
LIVE, OPEN = Inputs(mirror_closed=False), Inputs(mirror_closed=True)
"""The mirror contact is closed when the contactor is open."""


def told(watch: Watch, *samples: tuple[int, Inputs]) -> list[tuple[int, str]]:
    """What is signalled when, samples being (ms, levels)."""
    heard = []
    for at_ms, inputs in samples:
        watch, signals = sense(watch, inputs, LIMITS, at_ms)
        heard += [(at_ms, type(signal).__name__) for signal in signals]
    return heard


def test_a_contactor_has_its_time_to_the_millisecond_and_is_told_of_once() -> None:
    on, off = Watch(OPEN, coil_on=True, commanded_ms=0), Watch(LIVE, coil_on=False, commanded_ms=0)
    assert told(on, (0, OPEN), (200, OPEN)) == []
    assert told(on, (201, OPEN), (202, OPEN), (900, OPEN)) == [(201, "ContactorStuckOpen")]
    assert told(off, (0, LIVE), (500, LIVE)) == []
    assert told(off, (501, LIVE), (502, LIVE), (2_000, LIVE)) == [(501, "ContactorStuckClosed")]


def test_a_contact_may_bounce_for_one_tick_after_it_closed_and_is_lost_after_that() -> None:
    on = Watch(OPEN, coil_on=True, commanded_ms=0)
    assert told(on, (10, LIVE), (30, OPEN), (31, LIVE), (60, LIVE)) == []
    lost = told(on, (10, LIVE), (20, LIVE), (31, OPEN), (32, OPEN), (1_000, OPEN))
    assert lost == [(31, "ContactLost")], "said once, and no fault of the contactor besides"


def test_a_contactor_that_closes_by_itself_has_the_opening_time_from_then_on() -> None:
    off = Watch(OPEN, coil_on=False, commanded_ms=0)
    rested = ((0, OPEN), (10_000, OPEN))
    assert told(off, *rested, (10_020, LIVE), (10_520, LIVE)) == []
    assert told(off, *rested, (10_020, LIVE), (10_521, LIVE)) == [(10_521, "ContactorStuckClosed")]


def test_a_weld_that_lets_go_is_told_again_only_after_a_command_or_a_retest() -> None:
    watch, signals = sense(Watch(LIVE, coil_on=False, commanded_ms=0), LIVE, LIMITS, 501)
    assert len(signals) == 1
    again = ((600, OPEN), (700, LIVE), (2_000, LIVE))
    assert told(watch, *again) == []
    assert told(watch.retest(550), *again) == [(2_000, "ContactorStuckClosed")]
    assert watch.command(False, 550) == watch, "no command is no reason"
    assert watch.command(True, 550) == replace(
        watch, coil_on=True, commanded_ms=550, followed=False, reported=False
    )


def test_while_the_key_closes_the_contactor_it_is_no_weld_until_the_opening_time_after() -> None:
    off, keyed = Watch(OPEN, coil_on=False, commanded_ms=0), replace(LIVE, bypass_on=True)
    back = replace(LIVE, bypass_on=False)
    turned = [(5_100, "BypassTurnedOn")]
    heard = told(off, (0, OPEN), (5_000, keyed), (5_100, keyed), (9_000, keyed), (9_500, back))
    assert heard == turned, "the opening time is not over"
    heard = told(off, (0, OPEN), (5_000, keyed), (5_100, keyed), (9_000, keyed), (9_501, back))
    assert heard == [(9_501, "ContactorStuckClosed"), *turned][::-1]


def test_a_retest_and_a_key_begin_the_opening_time_anew_and_leave_all_else() -> None:
    watch = Watch(
        *(OPEN, False, 100),
        followed=True,
        followed_ms=110,
        reported=True,
        sampled_ms=300,
        key_on=True,
    )
    anew = replace(watch, commanded_ms=550, followed=False, reported=False)
    assert watch.retest(550) == anew
    keyed = replace(LIVE, bypass_on=True)
    for before in (watch, replace(watch, followed=False)):
        after, signals = sense(before, keyed, LIMITS, 320)
        expected = replace(
            before,
            inputs=keyed,
            sampled_ms=320,
            commanded_ms=320,
            followed=False,
            key_turned_ms=None,
        )
        assert (after, signals) == (expected, ())


def test_a_contactor_that_moved_without_a_command_is_watched_as_if_it_had_been_told_to() -> None:
    resting = Watch(OPEN, False, 100, followed=True, followed_ms=110, sampled_ms=300)
    moved, signals = sense(resting, LIVE, LIMITS, 320)
    expected = replace(resting, inputs=LIVE, sampled_ms=320, commanded_ms=320, followed=False)
    assert (moved, signals) == (expected, ())


def test_a_stop_chain_is_told_when_it_opens_and_when_it_closes_and_never_between() -> None:
    watch, heard = Watch(Inputs(), coil_on=False, commanded_ms=0), []
    for at_ms, closed in enumerate(
        (True, None, False, False, None, False, True, True, False, True)
    ):
        watch, signals = sense(watch, Inputs(emergency_stop_closed=closed), TAP, at_ms)
        heard += [(at_ms, type(signal).__name__) for signal in signals]
    assert heard == [
        (2, "EmergencyStopOpened"),
        (5, "EmergencyStopOpened"),
        (6, "EmergencyStopClosed"),
        (8, "EmergencyStopOpened"),
        (9, "EmergencyStopClosed"),
    ]


def test_a_key_that_was_turned_may_be_turned_back_only_after_its_chatter() -> None:
    keyed, back = Inputs(bypass_on=True), Inputs(bypass_on=False)
    watch = Watch(back, coil_on=False, commanded_ms=0)
    heard = told(watch, (0, keyed), (100, keyed), (120, back), (219, back), (220, back))
    assert heard == [(100, "BypassTurnedOn"), (220, "BypassTurnedOff")]
    heard = told(watch, (0, keyed), (20, back), (200, keyed), (299, keyed), (300, keyed))
    assert heard == [(300, "BypassTurnedOn")], "a flicker long ago is no part of it"


def test_the_watch_for_a_start_by_itself_begins_when_the_contacts_closed() -> None:
    rules = replace(TAP, unexpected_start_ms=1_000, inrush_ms=200)
    working = Inputs(mirror_closed=False, busy=True)
    watch = Watch(working, True, 5_000, followed=True, followed_ms=5_150, sampled_ms=5_150)
    heard = [
        [type(signal).__name__ for signal in sense(watch, working, rules, 5_150 + passed_ms)[1]]
        for passed_ms in (200, 201, 1_000, 1_001)
    ]
    assert heard == [[], ["MachineStartedByItself"], ["MachineStartedByItself"], []]


def test_a_fresh_process_has_seen_nothing_and_commands_nothing() -> None:
    now = Now(77_000, 1, wall_trusted=True)
    grants = (LocalGrant("m-tin", "saw", 0, 9),)
    for recovered, facts in (
        (Recovered(), LockedFacts()),
        (Recovered(locked_out=True, grants=grants, day_use=DayUse(3)), LockedOutFacts()),
        (Recovered(frozenset(Fault)), FaultFacts(frozenset(Fault))),
        (Recovered(frozenset(Fault), locked_out=True), FaultFacts(frozenset(Fault), True)),
    ):
        assert machine.initial(TAP, recovered, now) == MachineState(
            facts=facts,
            base_rules=TAP,
            rules=TAP,
            watch=Watch(Inputs(), coil_on=False, commanded_ms=77_000),
            gate_ms=77_000,
            grants=recovered.grants,
            day_use=recovered.day_use,
        )
