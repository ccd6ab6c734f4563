"""Air before the machine, air after it, none in a fire; and a tool that still turns says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Message, SetExtraction, SetRelay, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    ContactorStuckOpen,
    CutRequested,
    EndRequested,
    JournalFailed,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import BadgeUse, Demands, Fault, Interlock, Rules
from interlock.core.states import FaultFacts, StartingFacts, State
from tests.core.rig import ADA, BEN, CACHE, QUIET, TAP, TICK_MS, Rig

pytestmark = pytest.mark.fast

AIR_FLOW = Interlock("air flow", permit_after_ms=500, needs_extraction=True)
FIRE = Interlock("fire", permit_after_ms=0, stops_extraction=True)
AIRED = replace(TAP, pre_run_s=3, run_on_s=8, interlocks=(AIR_FLOW, FIRE))
PLAIN_AIR = replace(TAP, pre_run_s=3, run_on_s=8)
COASTING = replace(TAP, coast_down_s=10)


class AiredRig(Rig):
    """The air flow follows the extraction, unless `blocked`: its switch closes with the fan and opens with it."""

    blocked = False
    fire = False

    def sample(self, **levels: object) -> tuple[object, ...]:  # type: ignore[override]
        flows = self.air_on and not self.blocked
        return super().sample(interlocks_closed=(flows, not self.fire), **levels)


def aired(rules: Rules = AIRED) -> AiredRig:
    return AiredRig(rules)


def enabled(rules: Rules = AIRED) -> AiredRig:
    rig = aired(rules)
    rig.arrive(ADA)
    rig.pass_ms(rules.pre_run_s * 1_000 + 100)
    assert (rig.is_on, rig.air_on) == (True, True)
    return rig


# -------------------------------------------------------------------------------------------- pre-run


def test_the_extraction_runs_its_whole_time_before_the_relay_closes() -> None:
    rig = aired()
    rig.arrive(ADA)
    assert (rig.at(), rig.panel.message, rig.panel.seconds) == (State.STARTING, Message.PRE_RUN, 3)
    rig.pass_ms(4_000)
    ((air_ms, air),) = rig.air
    ((relay_ms, relay),) = rig.relay
    assert (air, relay) == (True, True)
    assert 0 <= relay_ms - air_ms - 3_000 <= TICK_MS


def test_nothing_runs_before_the_start_is_durable() -> None:
    rig = AiredRig(AIRED, durable=False)
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    assert (rig.air, rig.relay) == ([], [])


def test_without_a_pre_run_the_air_comes_with_the_relay_and_first() -> None:
    rig = Rig(TAP)
    effects: list[object] = []
    rig.arrive(ADA)
    effects = [e for e in rig.effects if isinstance(e, SetExtraction | SetRelay)]
    assert effects == [SetExtraction(True), SetRelay(True)]


def test_a_session_begins_when_the_relay_closes_and_not_with_the_pre_run() -> None:
    rig = enabled()
    rig.arrive(ADA)
    (body,) = rig.written("session_ended")
    assert body["enabled_ms"] <= 120


def test_an_air_flow_that_never_came_up_voids_the_start_by_name() -> None:
    rig = aired()
    rig.blocked = True
    rig.arrive(ADA)
    rig.pass_ms(3_100)
    assert (rig.relay, rig.air_on, rig.at()) == ([], False, State.LOCKED)
    assert (rig.panel.reason, rig.panel.detail) == ("INTERLOCK_OPEN", "air flow")
    (void,) = rig.written("session_voided")
    assert void == {"session": "1.1", "why": "INTERLOCK_OPEN", "detail": "air flow"}


def test_an_air_flow_is_asked_for_where_there_is_no_pre_run_too() -> None:
    rig = aired(replace(AIRED, pre_run_s=0))
    rig.arrive(ADA)
    assert (rig.relay, rig.panel.detail) == ([], "air flow")


def test_a_resting_machine_does_not_complain_about_an_air_flow_that_cannot_be_there() -> None:
    rig = aired()
    rig.pass_ms(1_000)
    assert rig.panel.message is Message.READY


def test_an_air_flow_that_fails_while_powered_cuts() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.blocked = True
    rig.pass_ms(TICK_MS)
    assert not rig.is_on
    assert rig.written("session_ended")[0]["interlocks"] == ["air flow"]


@pytest.mark.parametrize(
    "levels",
    [{"stop_pressed": True}, {"emergency_stop_closed": False}, {"broken_pressed": True}],
)
def test_a_hand_on_a_button_ends_the_pre_run_and_voids_the_durable_start(
    levels: dict[str, bool],
) -> None:
    rig = aired()
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.sample(**levels)
    assert (rig.relay, rig.air_on) == ([], False)
    assert rig.written("session_voided") == [{"session": "1.1", "why": "abandoned"}]
    rig.sample(stop_pressed=False, emergency_stop_closed=True, broken_pressed=False)
    rig.pass_ms(5_000)
    assert rig.relay == [], "the end of a pre-run that was given up closes nothing"


@pytest.mark.parametrize(
    "event", [CutRequested(), EndRequested(), JournalFailed("disk"), TerminationRequested()]
)
def test_a_pre_run_that_is_given_up_otherwise_is_voided_too(event: object) -> None:
    rig = aired()
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.give(event)  # type: ignore[arg-type]
    rig.pass_ms(5_000)
    assert (rig.relay, rig.air_on) == ([], False)
    assert len(rig.written("session_voided")) == 1


def test_a_fire_ends_the_pre_run_and_its_air() -> None:
    rig = aired()
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.fire = True
    rig.pass_ms(TICK_MS)
    assert (rig.relay, rig.air_on, rig.panel.detail) == ([], False, "fire")


@pytest.mark.parametrize("levels", [{"machine_switch_on": True}, {"mirror_closed": False}])
def test_a_level_that_turns_bad_during_the_pre_run_voids_the_start(levels: dict[str, bool]) -> None:
    rig = aired()
    rig.arrive(ADA)
    rig.pass_ms(2_800)
    rig.sample(**levels)
    rig.pass_ms(300)
    assert rig.relay == []
    assert rig.types()[-1] in ("session_voided", "fault_raised")


def test_a_lock_out_from_the_hub_during_the_pre_run_gives_no_power() -> None:
    rig = aired()
    rig.arrive(ADA)
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    rig.pass_ms(4_000)
    assert rig.relay == []


def test_in_hold_a_badge_taken_away_during_the_pre_run_gives_no_power() -> None:
    rig = aired(replace(AIRED, badge_use=BadgeUse.HOLD))
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.give(BadgeRemoved())
    rig.pass_ms(4_000)
    assert (rig.relay, rig.air_on) == ([], False)
    assert rig.types()[-1] == "session_voided"


# --------------------------------------------------------------------------------------------- run-on


def test_the_extraction_runs_on_after_the_session_and_then_stops() -> None:
    rig = enabled()
    rig.arrive(ADA)
    ended_ms = rig.ms
    assert (rig.is_on, rig.air_on, rig.at()) == (False, True, State.RUN_ON)
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    assert (rig.panel.message, rig.panel.seconds) == (Message.RUN_ON, 2)
    rig.pass_ms(3_000)
    off_ms, on = rig.air[-1]
    assert (on, rig.at()) == (False, State.LOCKED)
    assert 0 <= off_ms - ended_ms - 8_000 <= TICK_MS


def test_a_start_during_the_run_on_never_stops_the_air() -> None:
    rig = enabled()
    rig.arrive(ADA)
    rig.pass_ms(6_000)
    rig.arrive(BEN)
    rig.pass_ms(20_000)
    assert rig.is_on
    assert [on for _, on in rig.air] == [True]


def test_a_handover_never_stops_the_air() -> None:
    rig = enabled(replace(AIRED, run_on_s=0))
    rig.arrive(BEN)
    rig.pass_ms(5_000)
    assert [on for _, on in rig.relay] == [True, False, True]
    assert [on for _, on in rig.air] == [True]


def test_a_refusal_during_the_run_on_changes_nothing_about_it() -> None:
    rig = enabled()
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.arrive(None)
    rig.pass_ms(8_000)
    assert (rig.at(), [on for _, on in rig.air]) == (State.LOCKED, [True, False])


def test_a_start_given_up_during_the_run_on_leaves_the_rest_of_it() -> None:
    rig = enabled()
    rig.arrive(ADA)
    rig.pass_ms(2_000)
    rig.arrive(BEN)
    rig.give(CutRequested())
    assert (rig.at(), rig.air_on) == (State.RUN_ON, True)
    rig.pass_ms(6_100)
    assert (rig.at(), rig.air_on) == (State.LOCKED, False)


@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_ends_session_and_extraction_and_nothing_runs_on(levels: dict[str, bool]) -> None:
    rig = enabled()
    rig.sample(**levels)
    assert (rig.is_on, rig.air_on, rig.at()) == (False, False, State.LOCKED)


@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_ends_the_run_on(levels: dict[str, bool]) -> None:
    rig = enabled()
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.sample(**levels)
    assert (rig.air_on, rig.at()) == (False, State.LOCKED)


def test_a_fire_takes_power_and_air_at_once_and_before_anything_else() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.fire = True
    effects = rig.sample()
    assert list(effects[:2]) == [SetRelay(False), SetExtraction(False)]
    assert rig.at() is State.LOCKED


@pytest.mark.parametrize("locks_out", [True, False])
def test_a_fire_ends_the_run_on_whatever_the_machine_is_by_then(locks_out: bool) -> None:
    rig = enabled()
    rig.arrive(ADA)
    if locks_out:
        rig.sample(broken_pressed=True)
        assert (rig.at(), rig.air_on) == (State.LOCKED_OUT, True)
    rig.fire = True
    rig.pass_ms(TICK_MS)
    assert not rig.air_on


def test_the_extraction_runs_on_behind_a_fault_and_stops_there() -> None:
    rig = enabled(PLAIN_AIR)
    rig.give(ContactorStuckOpen())
    assert isinstance(rig.state.facts, FaultFacts)
    assert rig.state.facts.faults == {Fault.CONTACTOR_FAILED}
    assert rig.air_on
    rig.pass_ms(8_100)
    assert (rig.air_on, rig.at()) == (False, State.FAULT)


def test_a_hand_on_the_broken_button_is_heard_in_the_instant_in_which_the_run_on_ends() -> None:
    rig = enabled(PLAIN_AIR)
    rig.arrive(ADA)
    assert rig.state.run_on_until_ms is not None
    rig.ms = rig.state.run_on_until_ms
    rig.sample(broken_pressed=True)
    assert (rig.at(), rig.air_on) == (State.LOCKED_OUT, False)


def test_an_interlock_that_tripped_leaves_the_extraction_running_on() -> None:
    rig = enabled()
    rig.blocked = True
    rig.pass_ms(TICK_MS)
    assert (rig.is_on, rig.air_on, rig.at()) == (False, True, State.RUN_ON)


# ----------------------------------------------------------------------------------------- coast-down


def coasted() -> Rig:
    rig = Rig(COASTING)
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    assert not rig.is_on
    return rig


def test_a_tool_that_still_turns_says_so_before_how_long_the_session_was() -> None:
    rig = coasted()
    assert (rig.panel.message, rig.panel.seconds) == (Message.COASTING, 10)
    rig.pass_ms(9_900)
    assert (rig.panel.message, rig.panel.seconds) == (Message.COASTING, 1)
    rig.pass_ms(200)
    told = [rig.panel.message]
    rig.pass_ms(TAP.notice_s * 1_000)
    assert [*told, rig.panel.message] == [Message.SESSION_ENDED, Message.READY]


@pytest.mark.parametrize(
    "levels", [{"emergency_stop_closed": False}, {"broken_pressed": True}, {"stop_pressed": True}]
)
def test_no_stop_hides_that_the_tool_still_turns(levels: dict[str, bool]) -> None:
    rig = Rig(COASTING)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.sample(**levels)
    rig.pass_ms(100)
    assert (rig.is_on, rig.panel.message) == (False, Message.COASTING)


def test_a_fault_does_not_hide_that_the_tool_turns_unless_it_is_still_powered() -> None:
    rig = Rig(COASTING)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.give(ContactorStuckOpen())
    assert (rig.at(), rig.panel.message) == (State.FAULT, Message.COASTING)
    rig.pass_ms(10_100)
    assert rig.panel.message is Message.FAULT
    welded = Rig(COASTING)
    welded.arrive(ADA)
    welded.pass_ms(100)
    welded.follows = False
    welded.arrive(ADA)
    welded.pass_ms(TAP.open_time_ms + 100)
    assert welded.panel.message is Message.FAULT


def test_a_start_while_the_tool_turns_is_a_matter_of_the_person_in_front_of_it() -> None:
    rig = coasted()
    rig.pass_ms(100)
    assert rig.panel.message is Message.COASTING
    rig.arrive(BEN)
    assert rig.is_on


@pytest.mark.parametrize("turns_s", [0, 10])
def test_a_handover_closes_when_contactor_and_tool_have_come_to_rest(turns_s: int) -> None:
    """`not_before_ms` is what a handover sets; the contactor is still closed when its start is durable."""
    rig = Rig(replace(TAP, coast_down_s=turns_s), durable=False)
    ready_ms = rig.ms + (turns_s * 1_000 or TAP.open_time_ms)
    rig.arrive(BEN)
    (write,) = [e for e in rig.effects if isinstance(e, WriteRecord)]
    assert isinstance(rig.state.facts, StartingFacts)
    rig.state = replace(
        rig.state,
        facts=replace(rig.state.facts, not_before_ms=ready_ms),
        coasting_until_ms=ready_ms if turns_s else None,
    )
    rig.sample(mirror_closed=False)
    rig.answer(write)
    assert (rig.at(), rig.relay) == (State.STARTING, [])
    assert rig.panel.message is (Message.COASTING if turns_s else Message.STARTING)
    rig.sample(mirror_closed=True)
    rig.pass_ms(11_000)
    ((closed_ms, on),) = rig.relay
    assert on
    assert 0 <= closed_ms - ready_ms <= TICK_MS


def test_a_machine_without_a_coast_down_time_says_nothing_of_the_kind() -> None:
    rig = Rig(TAP, inputs=QUIET)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.arrive(ADA)
    assert rig.panel.message is Message.SESSION_ENDED


def test_an_obstacle_at_the_moment_the_start_is_durable_gives_up_its_pre_run() -> None:
    """The contacts look closed before anybody closed them: the extraction need not run first to find out."""
    rig = Rig(PLAIN_AIR, durable=False)
    rig.arrive(ADA)
    rig.follows = False
    rig.sample(mirror_closed=False)
    rig.durable = True
    rig.answer(rig.asked("session_started"))
    assert (rig.relay, rig.at()) == ([], State.LOCKED)
    assert rig.types() == ["session_started", "session_voided"]
