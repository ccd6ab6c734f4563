"""One after the other: a session is handed over, from a trainer to a trainee or between members."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Message, WriteRecord
from interlock.core.events import BadgeRemoved, SnapshotActivated
from interlock.core.model import (
    Cache,
    Demands,
    Enforcement,
    Entry,
    Inputs,
    Level,
    Right,
    Rules,
)
from interlock.core.states import State
from tests.core.rig import (
    ADA,
    BEN,
    CACHE,
    QUIET,
    TAP,
    TRAINEE,
    TRAINER,
    UNTRAINED,
    WALL_AT,
    Rig,
    enabled,
)
from tests.core.test_people import BRIEF, BRIEF_HOLD

pytestmark = pytest.mark.fast


def trainer_first(**levels: bool) -> Rig:
    rig = enabled_by(TRAINER)
    rig.sample(**levels)
    rig.arrive(TRAINEE)
    return rig


def enabled_by(entry: Entry, rules: Rules = BRIEF, *, inputs: Inputs = QUIET) -> Rig:
    rig = Rig(rules, inputs=inputs)
    rig.tap(entry)
    assert rig.at() is State.ENABLED
    return rig


def test_a_trainee_who_comes_after_the_trainer_takes_over_under_supervision_while_idle() -> None:
    rig = trainer_first()
    assert (rig.at(), rig.is_on) == (State.STARTING, False)
    assert rig.written("session_ended")[0]["how"] == "handed_over"
    rig.pass_ms(BRIEF.open_time_ms - 40)
    assert not rig.is_on, "the contactor gets its time to let go"
    rig.pass_ms(60)
    assert rig.is_on
    last = rig.written("session_started")[-1]
    assert (last["member"], last["supervisor"]) == ("m-tin", "m-tra")
    assert rig.types() == ["session_started", "session_ended", "session_started"]


def test_a_trainee_does_not_take_over_a_machine_that_works() -> None:
    rig = trainer_first(busy=True)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_a_trainer_of_an_older_snapshot_has_to_come_again() -> None:
    rig = enabled_by(TRAINER)
    rig.give(SnapshotActivated(Cache((1, 2)), Demands(("saw",))))
    rig.arrive(TRAINEE)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_a_trainer_who_tapped_long_ago_answers_for_nobody() -> None:
    rig = enabled_by(TRAINER)
    rig.pass_ms(BRIEF.supervise_s * 1_000)
    rig.arrive(TRAINEE)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_a_trainer_confirms_in_time_after_their_own_tap_not_after_the_handover() -> None:
    rig = enabled_by(TRAINER)
    rig.pass_ms((BRIEF.supervise_s - 10) * 1_000)
    rig.arrive(TRAINEE)
    rig.pass_ms(9_000)
    assert (rig.at(), rig.panel.message) == (State.ENABLED, Message.SUPERVISED)
    rig.pass_ms(1_000)
    assert (rig.at(), rig.panel.message) == (State.ENDING, Message.CONFIRM_SUPERVISION)
    rig.arrive(TRAINER)
    assert (rig.at(), rig.panel.message) == (State.ENABLED, Message.SUPERVISED)


def test_where_people_are_only_warned_the_one_before_is_nobody_s_supervisor() -> None:
    rig = enabled_by(ADA, replace(BRIEF, enforcement=Enforcement.WARN_ONLY))
    rig.arrive(TRAINEE)
    rig.pass_ms(1_000)
    last = rig.written("session_started")[-1]
    assert (last["member"], last["would_refuse"]) == ("m-tin", "NEEDS_SUPERVISOR")
    assert last["supervisor"] is None
    rig.pass_ms(2 * BRIEF.supervise_s * 1_000)
    assert rig.at() is State.ENABLED, "nobody supervises, so nobody is asked to confirm it"


def test_a_trainee_does_not_take_over_from_somebody_who_is_no_trainer() -> None:
    rig = enabled_by(ADA)
    rig.arrive(TRAINEE)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_another_trained_member_takes_an_idle_machine_over_and_each_pays_their_own() -> None:
    rig = enabled_by(ADA)
    rig.pass_ms(3_000)
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    assert [on for _, on in rig.relay] == [True, False, True]
    assert rig.relay[2][0] - rig.relay[1][0] >= BRIEF.open_time_ms
    ended = rig.written("session_ended")[0]
    assert (ended["session"], ended["how"]) == ("1.1", "handed_over")
    assert [body["member"] for body in rig.written("session_started")] == ["m-ada", "m-ben"]
    assert rig.types() == ["session_started", "session_ended", "session_started"]


def test_a_handover_waits_until_the_tool_has_come_to_rest() -> None:
    rig = enabled_by(ADA, replace(BRIEF, coast_down_s=3))
    rig.arrive(BEN)
    rig.pass_ms(2_900)
    assert not rig.is_on
    rig.pass_ms(200)
    assert rig.is_on


@pytest.mark.parametrize("busy", [True, None])
def test_a_machine_busy_or_not_known_to_be_idle_is_not_handed_over(busy: bool | None) -> None:
    rig = enabled_by(ADA)
    rig.sample(busy=busy)
    rig.arrive(BEN)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_a_handover_whose_start_cannot_be_recorded_leaves_the_machine_off() -> None:
    rig = enabled_by(ADA)
    rig.durable = False
    (_, start) = [e for e in rig.arrive(BEN) if isinstance(e, WriteRecord)]
    rig.answer(start, failed=True)
    rig.pass_ms(2_000)
    assert (rig.at(), [on for _, on in rig.relay]) == (State.LOCKED, [True, False])


def test_somebody_refused_takes_nothing_over() -> None:
    rig = enabled_by(ADA)
    rig.arrive(UNTRAINED)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["NOT_TRAINED"])
    rig.sample(machine_switch_on=True)
    rig.arrive(BEN)
    assert (rig.at(), rig.refusals()[-1]) == (State.ENABLED, "MACHINE_SWITCH_ON")


def test_an_idle_warning_may_be_answered_by_the_next_member() -> None:
    rig = enabled(replace(TAP, idle_timeout_s=30))
    rig.pass_ms(30_500)
    assert rig.at() is State.ENDING
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    assert rig.state.session is not None
    assert rig.state.session.granted.member == "m-ben"


def test_an_end_that_a_person_asked_for_is_not_turned_into_a_handover() -> None:
    rig = enabled_by(ADA)
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    rig.arrive(BEN)
    assert (rig.at(), rig.refusals()) == (State.ENDING, ["MACHINE_IN_USE"])


def test_a_swapped_badge_in_the_slot_takes_an_idle_machine_over() -> None:
    rig = Rig(BRIEF_HOLD)
    rig.arrive(ADA)
    rig.pass_ms(200)
    rig.give(BadgeRemoved())
    rig.pass_ms(400)
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    assert [body["member"] for body in rig.written("session_started")] == ["m-ada", "m-ben"]
    assert rig.state.session is not None
    assert rig.state.session.missing is None


def test_nobody_takes_over_from_a_trainee_while_the_trainer_is_called_for() -> None:
    rig = enabled_by(TRAINER)
    rig.arrive(TRAINEE)
    rig.pass_ms(BRIEF.supervise_s * 1_000)
    assert (rig.at(), rig.panel.message) == (State.ENDING, Message.CONFIRM_SUPERVISION)
    rig.arrive(BEN)
    assert (rig.at(), rig.is_on, rig.refusals()) == (State.ENDING, True, ["MACHINE_IN_USE"])
    rig.pass_ms(BRIEF.warning_s * 1_000)
    assert [body["how"] for body in rig.written("session_ended")] == [
        "handed_over",
        "supervision_over",
    ]


def test_a_long_job_of_a_machine_that_rests_for_a_while_stays_its_member_s() -> None:
    rig = enabled_by(ADA, replace(BRIEF, long_jobs=True))
    rig.sample(long_job_pressed=True)
    rig.sample(long_job_pressed=False)
    assert rig.state.inputs.busy is False
    rig.arrive(BEN)
    assert (rig.at(), rig.is_on, rig.refusals()) == (State.ENABLED, True, ["MACHINE_IN_USE"])
    assert rig.state.session is not None
    assert (rig.state.session.granted.member, rig.state.session.long_job) == ("m-ada", True)


def test_a_trainer_answers_for_a_training_until_it_ends_and_no_second_longer() -> None:
    both = Demands(("saw", "dust"))
    trainer = replace(TRAINER, rights=(*TRAINER.rights, Right("dust", Level.TRAINER)))
    for over_s, expected in ((1, ("m-tin", ("saw", "dust"))), (0, ("m-tra", ()))):
        rig = Rig(BRIEF)
        rig.give(SnapshotActivated(CACHE, both))
        ends_at = WALL_AT + rig.ms // 1_000 + over_s
        dust = Right("dust", Level.SUPERVISED, until_at=ends_at)
        rig.arrive(replace(TRAINEE, rights=(*TRAINEE.rights, dust)))
        rig.arrive(trainer)
        session = rig.state.session
        assert session is not None
        assert (session.granted.member, session.company.trainings) == expected
