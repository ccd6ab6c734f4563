"""Turns a machine takes once in years: each lived here from the first badge to the last record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import faults, hours, promises
from interlock.core.effects import Colour, Exit, Message, Pattern, ReportRefusal, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    EndRequested,
    InterlockOpened,
    JournalFailed,
    ReaderFailed,
    RecordsDelivered,
    SeveralBadgesSeen,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import (
    Assurance,
    Demands,
    Ending,
    Fault,
    Granted,
    Now,
    Presented,
    Reason,
    Rules,
)
from interlock.core.states import Company, EndingFacts, FaultFacts, LockedOutFacts, State
from tests.core.rig import ADA, CACHE, HOLD, TAP, TECHNICIAN, TRAINEE, TRAINER, Rig, enabled
from tests.core.test_extraction import AIR_FLOW, AIRED
from tests.core.test_people import BRIEF, supervised
from tests.core.test_promises import SAW, taught

pytestmark = pytest.mark.fast


def asked(rig: Rig, kind: str) -> WriteRecord:
    """The record of this kind that the machine wants to be written."""
    return next(e for e in rig.effects if isinstance(e, WriteRecord) and e.type == kind)


def waiting_to_be_recorded() -> Rig:
    """Ada's badge is accepted, and the journal has not answered yet."""
    rig = Rig(durable=False)
    rig.arrive(ADA)
    assert rig.at() is State.STARTING
    return rig


def test_broken_pressed_between_badge_and_power_locks_out_and_the_late_record_closes_nothing() -> (
    None
):
    rig = waiting_to_be_recorded()
    start = asked(rig, "session_started")
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    assert rig.at() is State.LOCKED_OUT
    rig.durable = True
    rig.answer(start)
    rig.pass_ms(1_000)
    assert (rig.relay, rig.at()) == ([], State.LOCKED_OUT)
    assert rig.types() == ["session_started", "lock_out_set", "session_voided"]
    rig.arrive(ADA)
    assert rig.refusals()[-1] == "MACHINE_LOCKED_OUT"


def test_broken_pressed_behind_a_fault_is_remembered_once_and_outlives_it() -> None:
    rig = enabled()
    rig.follows = False
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False)
    rig.sample(mirror_closed=False)
    rig.pass_ms(2_000)
    assert rig.at() is State.FAULT
    for pressed in (True, False, True, False):
        rig.sample(broken_pressed=pressed)
    assert rig.state.facts == FaultFacts(frozenset({Fault.CONTACTOR_WELDED}), locked_out=True)
    assert rig.types().count("lock_out_set") == 1
    rig.sample(mirror_closed=True)
    rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert rig.at() is State.LOCKED_OUT, "the fault is mended, what the person saw is not"
    rig.pass_ms(100)
    rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert (rig.at(), rig.relay[-1][1]) == (State.LOCKED, False)


def test_a_contactor_that_closes_itself_between_badge_and_power_is_a_fault_and_no_session() -> None:
    rig = waiting_to_be_recorded()
    rig.sample(mirror_closed=False)
    rig.pass_ms(TAP.open_time_ms + 60)
    assert rig.at() is State.FAULT
    assert rig.written("fault_raised") == [{"fault": "contactor_welded"}]
    assert rig.relay == []


def test_a_second_fault_is_recorded_and_the_first_one_not_again() -> None:
    rig = Rig()
    state, effects = faults.latch(rig.state, Fault.CONTACTOR_WELDED, rig.now)
    assert [type(effect).__name__ for effect in effects] == ["WriteRecord"]
    again, effects = faults.latch(state, Fault.CONTACTOR_WELDED, rig.now)
    assert effects == ()
    assert again.facts == state.facts
    both, effects = faults.latch(state, Fault.CONTACTOR_FAILED, rig.now)
    assert both.facts == FaultFacts(frozenset({Fault.CONTACTOR_WELDED, Fault.CONTACTOR_FAILED}))
    assert [effect.body for effect in effects] == [{"fault": "contactor_failed"}]  # type: ignore[union-attr]


def test_a_fault_behind_a_lock_out_keeps_it() -> None:
    rig = Rig()
    state, _ = faults.latch(
        replace(rig.state, facts=LockedOutFacts()), Fault.CONTACTOR_WELDED, rig.now
    )
    assert state.facts == FaultFacts(frozenset({Fault.CONTACTOR_WELDED}), locked_out=True)
    again, _ = faults.latch(state, Fault.CONTACTOR_FAILED, rig.now)
    assert isinstance(again.facts, FaultFacts)
    assert again.facts.locked_out


# ------------------------------------------------------------------------------------------- hours

OFFSETS = ((1_000_000, 3_600), (2_000_000, 7_200), (3_000_000, 3_600))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, ()),
        (1_000_000, OFFSETS[:1]),
        (2_000_000 - 2 * 86_400, OFFSETS[:2]),
        (2_000_000 - 2 * 86_400 - 1, OFFSETS[:1]),
        (2_000_000 - 1, OFFSETS[:2]),
        (2_000_000, OFFSETS[1:2]),
        (9_000_000, OFFSETS[2:]),
    ],
)
def test_a_record_carries_the_offsets_that_its_decision_may_need(
    at: int | None, expected: object
) -> None:
    assert hours.offsets_around(OFFSETS, at) == expected


def test_a_day_is_utc_s_where_nobody_said_how_far_east_the_lab_is() -> None:
    assert [hours.local_day(at, ()) for at in (0, 86_399, 86_400)] == [0, 0, 1]


def test_a_day_that_ends_with_a_change_of_the_clock_has_its_midnight() -> None:
    """Set back at midnight itself: the hour before it comes twice, and the day ends an hour later."""
    offsets = ((0, 3_600), (82_800, 0))
    assert hours.midnight_after(80_000, offsets) == 86_400
    assert hours.midnight_after(82_799, offsets) == 86_400


# ---------------------------------------------------------------------------------- promises, starts


def test_a_long_job_is_declared_once_however_often_the_button_is_pressed() -> None:
    rig = enabled(replace(HOLD, long_jobs=True))
    rig.durable = False
    for pressed in (True, False, True, False):
        rig.sample(long_job_pressed=pressed)
    assert rig.types().count("long_job_declared") == 1
    rig.durable = True
    declared = asked(rig, "long_job_declared")
    rig.answer(declared)
    session = rig.state.session
    assert session is not None
    assert session.long_job
    rig.sample(long_job_pressed=True)
    assert rig.types().count("long_job_declared") == 1


def test_a_long_job_whose_session_ended_meanwhile_changes_nothing() -> None:
    rig = enabled(replace(HOLD, long_jobs=True))
    rig.durable = False
    rig.sample(long_job_pressed=True)
    declared = asked(rig, "long_job_declared")
    rig.sample(stop_pressed=True)
    assert rig.at() is State.LOCKED
    before = rig.state
    rig.answer(declared)
    assert replace(rig.state, shown=before.shown) == replace(before, promises=())


def test_what_was_granted_is_kept_when_its_member_left_before_it_was_recorded() -> None:
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.durable = False
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    granted = asked(rig, "training_granted")
    rig.sample(long_job_pressed=False, stop_pressed=True)
    assert rig.state.session is None
    rig.durable = True
    rig.answer(granted)
    assert [(one.member, one.training) for one in rig.state.grants] == [("m-tin", "saw")]
    assert rig.panel.message is not Message.TRAINING_GRANTED, "nobody is there to read it"


def test_a_badge_that_can_be_cloned_grants_nothing_where_nobody_knows_when_midnight_is() -> None:
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, Demands(("saw",))))
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.UID)
    assert rig.refusals()[-1] == "CLOCK_UNTRUSTED"
    assert rig.written("training_granted") == []


def test_a_grant_ends_with_the_trainer_s_own_right() -> None:
    ends_at = (supervised().now.wall_at or 0) + 60
    theirs = replace(TRAINER.rights[0], until_at=ends_at)
    of_another = replace(theirs, training="lathe", until_at=1)
    rig = taught(Assurance.AES, replace(TRAINER, rights=(of_another, theirs)))
    assert [body["until_at"] for body in rig.written("training_granted")] == [ends_at]


def test_a_grant_delivered_to_the_hub_gives_way_to_its_next_word() -> None:
    rig = taught(Assurance.AES)
    record = rig.state.grants[0].record
    assert record is not None
    rig.give(RecordsDelivered((record, "9.9")))
    assert [one.delivered for one in rig.state.grants] == [True]
    rig.give(SnapshotActivated(CACHE, SAW))
    assert rig.state.grants == ()


def test_a_start_that_never_reached_the_disk_leaves_nothing_behind() -> None:
    rig = waiting_to_be_recorded()
    write = asked(rig, "session_started")
    rig.sample(stop_pressed=True)
    assert len(rig.state.abandoned) == 1
    rig.answer(write, failed=True)
    assert rig.state.abandoned == frozenset()
    rig.answer(write, failed=True)
    assert (rig.relay, rig.types()) == ([], ["session_started"])


def test_two_badges_while_a_start_is_recorded_end_it_in_a_slot_and_not_after_a_tap() -> None:
    for rules, state in ((HOLD, State.LOCKED), (TAP, State.STARTING)):
        rig = Rig(rules, durable=False)
        rig.arrive(ADA)
        rig.give(SeveralBadgesSeen())
        assert rig.at() is state


def test_an_unwritable_journal_refuses_the_grant_too() -> None:
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.give(JournalFailed("disk full"))
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    assert rig.refusals()[-1] == Reason.CANNOT_RECORD.value
    assert rig.state.grants == ()


def test_a_start_that_failed_late_does_not_take_the_next_one_with_it() -> None:
    rig = waiting_to_be_recorded()
    first = asked(rig, "session_started")
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False)
    rig.arrive(ADA)
    assert (rig.at(), rig.state.abandoned) == (State.STARTING, frozenset({first.ticket}))
    rig.answer(first, failed=True)
    assert (rig.at(), rig.state.abandoned, rig.relay) == (State.STARTING, frozenset(), [])
    second = [e for e in rig.effects if isinstance(e, WriteRecord)][-1]
    rig.answer(second)
    assert (rig.at(), rig.is_on) == (State.ENABLED, True)
    assert rig.types() == ["session_started", "session_started"]


def test_a_grant_that_fails_while_the_next_start_is_recorded_is_said_and_that_start_goes_on() -> (
    None
):
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.durable = False
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    granted = asked(rig, "training_granted")
    rig.sample(long_job_pressed=False)
    rig.arrive(ADA)
    assert rig.at() is State.STARTING
    rig.answer(granted, failed=True)
    assert (rig.at(), rig.state.promises, rig.state.grants) == (State.STARTING, (), ())
    assert rig.panel.reason is Reason.CANNOT_RECORD
    rig.answer(rig.asked("session_started"))
    rig.pass_ms(1_000)
    assert (rig.at(), rig.is_on) == (State.ENABLED, True)


# ------------------------------------------------------------------------- between badge and power


def test_a_trainer_s_second_tap_before_power_neither_refuses_nor_ends_the_start() -> None:
    rig = Rig(BRIEF, durable=False)
    rig.tap(TRAINEE)
    rig.arrive(TRAINER)
    assert rig.at() is State.STARTING
    before = rig.state
    assert rig.arrive(TRAINER) == ()
    assert (rig.state, rig.refusals()) == (before, [])


def test_air_that_falters_while_a_start_is_recorded_is_asked_for_after_the_pre_run_only() -> None:
    """An interlock that needs the extraction cannot be closed before it runs, so its opening is no news yet."""
    rig = Rig(replace(AIRED, interlocks=(AIR_FLOW,)), durable=False)
    rig.arrive(ADA)
    before = rig.state
    rig.give(InterlockOpened((AIR_FLOW.name,)))
    assert rig.state == before
    assert rig.at() is State.STARTING
    rig.give(InterlockOpened((AIR_FLOW.name, "lid")))
    notice = rig.state.notice
    assert notice is not None
    assert (rig.at(), notice.reason, notice.detail) == (State.LOCKED, Reason.INTERLOCK_OPEN, "lid")
    assert rig.relay == []


@pytest.mark.parametrize("rules", [TAP, HOLD], ids=["tap", "hold"])
def test_a_reader_that_dies_while_a_start_is_recorded_ends_it_in_a_slot(rules: Rules) -> None:
    rig = Rig(rules, durable=False)
    rig.arrive(ADA)
    rig.give(ReaderFailed("no answer"))
    assert rig.state.reader_trouble == "no answer"
    assert rig.at() is (State.STARTING if rules is TAP else State.LOCKED)
    assert rig.relay == []


def test_a_process_that_stops_while_a_start_is_recorded_powers_nothing_and_says_so() -> None:
    rig = waiting_to_be_recorded()
    effects = rig.give(TerminationRequested())
    assert Exit() in effects
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    rig.durable = True
    rig.answer(asked(rig, "session_started"))
    assert rig.relay == []
    assert rig.written("session_voided") == [{"session": "1.1", "why": "abandoned"}]


def test_work_before_the_contacts_closed_is_a_contactor_that_sticks_and_no_start_by_itself() -> (
    None
):
    rig = Rig(replace(TAP, unexpected_start_ms=3_000, inrush_ms=0))
    rig.follows = False
    rig.arrive(ADA)
    rig.sample(busy=True)
    rig.pass_ms(100)
    assert rig.at() is State.ENABLED, "nothing has closed yet: whose current is it?"
    rig.pass_ms(TAP.close_time_ms + 100)
    assert rig.written("fault_raised") == [{"fault": "contactor_failed"}]
    assert not rig.is_on


def test_a_clock_that_is_trusted_and_has_no_time_grants_nothing() -> None:
    rig = supervised()
    session = rig.state.session
    assert session is not None
    badge = Presented(TRAINER.tag, rig.ms, Assurance.AES, TRAINER, CACHE)
    by = Granted(TRAINER.member, "en")
    _, effects = promises.grant(rig.state, session, badge, by, Now(rig.ms, None, True))
    assert [effect.body["reason"] for effect in effects if isinstance(effect, ReportRefusal)] == [
        "CLOCK_UNTRUSTED"
    ]
    assert not any(isinstance(effect, WriteRecord) for effect in effects)


# ---------------------------------------------------------------------------------- while it ends


def asked_for(rig: Rig) -> tuple[Ending, int]:
    """Why the running session is to end, and when at the latest."""
    assert isinstance(rig.state.facts, EndingFacts)
    return rig.state.facts.cause, rig.state.facts.until_ms


def test_a_badge_held_up_on_its_way_keeps_no_session_alive() -> None:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    missing = rig.state.session and rig.state.session.missing
    assert missing is not None
    rig.arrive(ADA, ago_ms=HOLD.start_deadline_ms + 1)
    assert rig.refusals() == ["PRESENT_AGAIN"]
    assert rig.state.session is not None
    assert rig.state.session.missing == missing
    rig.pass_ms(HOLD.grace_s * 1_000)
    assert not rig.is_on


def test_a_technician_s_badge_held_up_on_its_way_mends_no_lock_out() -> None:
    rig = Rig()
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    rig.arrive(TECHNICIAN, ago_ms=TAP.start_deadline_ms + 1)
    assert (rig.at(), rig.refusals()) == (State.LOCKED_OUT, ["PRESENT_AGAIN"])
    rig.arrive(TECHNICIAN)
    assert rig.at() is State.LOCKED


def test_a_trainer_s_tap_after_the_trainee_asked_for_the_end_takes_nothing_back() -> None:
    rig = supervised()
    rig.sample(busy=True)
    rig.arrive(TRAINEE)
    before = asked_for(rig)
    assert before[0] is Ending.TAP_OFF
    assert rig.arrive(TRAINER) == ()
    assert (asked_for(rig), rig.written("supervision_confirmed")) == (before, [])
    rig.sample(busy=False)
    assert not rig.is_on


def test_a_trainee_takes_no_machine_over_from_somebody_who_may_not_teach_them() -> None:
    rig = enabled(BRIEF)
    rig.arrive(TRAINEE)
    assert (rig.at(), rig.is_on, rig.refusals()) == (State.ENABLED, True, ["MACHINE_IN_USE"])
    assert rig.types() == ["session_started"]


def test_a_warning_that_asks_for_the_trainer_runs_its_time_on_a_machine_that_rests() -> None:
    rig = supervised()
    rig.sample(busy=True)
    rig.pass_ms(BRIEF.supervise_s * 1_000)
    cause, until_ms = asked_for(rig)
    assert cause is Ending.SUPERVISION_OVER
    rig.sample(busy=False)
    rig.pass_ms(until_ms - rig.ms - 20)
    assert (rig.at(), rig.is_on) == (State.ENDING, True)
    rig.pass_ms(20)
    assert (rig.at(), rig.is_on) == (State.LOCKED, False)


def test_an_end_that_the_hub_asks_for_too_is_no_badge_s_to_take_back_and_comes_no_later() -> None:
    rig = enabled(HOLD)
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(HOLD.grace_s * 1_000)
    cause, until_ms = asked_for(rig)
    assert cause is Ending.BADGE_REMOVED
    rig.give(EndRequested())
    assert asked_for(rig) == (Ending.HUB_REQUEST, until_ms)
    rig.arrive(ADA)
    assert asked_for(rig) == (Ending.HUB_REQUEST, until_ms)


def test_an_open_stop_chain_has_a_panel_of_its_own_with_a_silent_buzzer() -> None:
    rig = Rig()
    rig.sample(emergency_stop_closed=False)
    panel = rig.panel
    assert (panel.colour, panel.lamp) == (Colour.RED, Pattern.STEADY)
    assert (panel.buzzer, panel.message) == (Pattern.OFF, Message.EMERGENCY_STOP)


def test_the_trained_member_works_alone_from_then_on() -> None:
    rig = taught(Assurance.AES)
    session = rig.state.session
    assert session is not None
    assert (session.company, session.confirm_by_ms) == (Company(), None)
