"""step(): sessions from badge to record, in both badge uses, and everything that ends them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Exit, Message, SetRelay, WriteRecord
from interlock.core.events import (
    BadgeFound,
    BadgeRemoved,
    CutRequested,
    EndRequested,
    FaultCleared,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    SeveralBadgesSeen,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import Assurance, Cache, Fault, Inputs, Needs, Rules
from interlock.core.states import EndingFacts, FaultFacts, Recovered, State
from tests.core.rig import ADA, BEN, CACHE, HOLD, QUIET, TAP, TECHNICIAN, UNTRAINED, Rig, enabled

pytestmark = pytest.mark.fast

NO_SENSOR = Inputs()


# --- starting


def test_a_trained_member_gets_power_only_after_the_start_record_is_durable() -> None:
    rig = Rig(durable=False)
    effects = rig.arrive(ADA)
    writes = [e for e in effects if isinstance(e, WriteRecord)]
    assert [w.type for w in writes] == ["session_started"]
    rig.pass_ms(500)
    assert rig.relay == []
    rig.answer(writes[0])
    assert [on for _, on in rig.relay] == [True]


def test_the_start_record_names_member_and_tag_and_carries_its_evidence() -> None:
    rig = Rig()
    rig.arrive(ADA)
    (body,) = rig.written("session_started")
    assert (body["member"], body["tag"]) == (ADA.member, ADA.tag.hex())
    evidence = body["evidence"]
    assert evidence["entry"]["rights"][0]["training"] == "saw"
    assert evidence["rules"]["trainings"] == ["saw"]
    assert evidence["snapshot"] == [1, 1]
    assert evidence["state"] == "locked"


def test_an_untrained_member_is_refused_with_reason_and_training_and_no_power() -> None:
    rig = Rig()
    rig.arrive(UNTRAINED)
    rig.pass_ms(3_000)
    assert rig.relay == []
    assert rig.refusals() == ["NOT_TRAINED"]
    assert (rig.panel.message, rig.panel.training) == (Message.REFUSED, "saw")


def test_a_refusal_leaves_the_screen_after_its_notice_time() -> None:
    rig = Rig()
    rig.arrive(UNTRAINED)
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    assert rig.panel.message is Message.READY


def test_a_start_that_is_not_durable_within_its_deadline_is_refused_and_never_closes() -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.pass_ms(TAP.start_deadline_ms + 40)
    assert rig.at() is State.LOCKED
    assert rig.panel.reason == "CANNOT_RECORD"
    rig.arrive(BEN)
    assert rig.refusals() == ["CANNOT_RECORD"], "the journal is suspect: refused at once"
    rig.answer(write)
    assert rig.relay == []
    assert rig.written("session_voided") == [{"session": "1.1", "why": "abandoned"}]
    rig.durable = True
    rig.arrive(BEN)
    assert rig.is_on, "the late answer proved that the journal works again"


def test_a_failed_start_record_refuses_and_the_next_badge_may_try_again() -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.answer(write, failed=True)
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    rig.durable = True
    rig.arrive(ADA)
    assert rig.is_on


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ({"emergency_stop_closed": False}, "EMERGENCY_STOP"),
        ({"machine_switch_on": True}, "MACHINE_SWITCH_ON"),
        ({"mirror_closed": False}, "MACHINE_FAULT"),
        ({"stop_pressed": True}, "INTERLOCK_OPEN"),
    ],
)
def test_an_input_that_forbids_closing_refuses_the_badge(
    levels: dict[str, bool], reason: str
) -> None:
    rig = Rig()
    rig.sample(**levels)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], [reason])


@pytest.mark.parametrize("levels", [{"machine_switch_on": True}, {"mirror_closed": False}])
def test_a_level_that_turns_bad_while_the_start_is_recorded_voids_it(
    levels: dict[str, bool],
) -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels)
    rig.answer(write)
    assert (rig.relay, rig.at()) == ([], State.LOCKED)
    assert rig.types()[-1] == "session_voided"


@pytest.mark.parametrize("use", [TAP, HOLD])
@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_while_the_start_is_recorded_abandons_it(
    use: Rules, levels: dict[str, bool]
) -> None:
    rig = Rig(use, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels)
    rig.sample(stop_pressed=False, emergency_stop_closed=True)
    rig.answer(write)
    rig.pass_ms(200)
    assert (rig.relay, rig.at()) == ([], State.LOCKED)


def test_in_hold_a_badge_taken_away_before_the_relay_closed_abandons_the_start() -> None:
    rig = Rig(HOLD, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(BadgeRemoved())
    rig.answer(write)
    assert (rig.relay, rig.types()[-1]) == ([], "session_voided")


def test_in_tap_a_badge_taken_away_before_the_relay_closed_still_starts() -> None:
    rig = Rig(TAP, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(BadgeRemoved())
    rig.answer(write)
    assert rig.is_on


def test_a_journal_that_dies_while_starting_gives_no_power() -> None:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    rig.give(JournalFailed("I/O error"))
    assert (rig.relay, rig.at()) == ([], State.LOCKED)
    assert rig.panel.reason == "CANNOT_RECORD"
    rig.give(JournalRecovered())
    assert rig.state.journal_trouble is None


def test_no_snapshot_no_power() -> None:
    rig = Rig()
    rig.arrive(ADA, cache=Cache(None))
    assert (rig.relay, rig.refusals()) == ([], ["NO_CACHE"])


# --- arrivals only


def test_a_badge_found_lying_in_the_field_opens_nothing() -> None:
    rig = Rig()
    rig.give(BadgeFound())
    rig.pass_ms(500)
    assert (rig.relay, rig.panel.reason) == ([], "PRESENT_AGAIN")


@pytest.mark.parametrize(
    "gate",
    [
        {"stop_pressed": True},
        {"emergency_stop_closed": False},
        {"broken_pressed": True},
    ],
)
def test_an_arrival_seen_before_the_last_stop_opens_nothing(gate: dict[str, bool]) -> None:
    rig = Rig()
    rig.ms += 5
    rig.sample(**gate)
    rig.sample(stop_pressed=False, emergency_stop_closed=True, broken_pressed=False)
    rig.arrive(ADA, ago_ms=5)
    assert rig.relay == []


def test_an_arrival_seen_before_the_reader_recovered_opens_nothing() -> None:
    rig = Rig()
    rig.give(ReaderFailed("silent"))
    assert rig.panel.message is Message.NO_READER
    rig.ms += 5
    rig.give(ReaderRecovered())
    rig.arrive(ADA, ago_ms=5)
    assert (rig.relay, rig.refusals()) == ([], ["PRESENT_AGAIN"])


def test_an_arrival_seen_before_the_process_was_ready_opens_nothing() -> None:
    rig = Rig()
    rig.arrive(ADA, ago_ms=60_000)
    assert rig.relay == []


# --- ending in tap use


def test_a_second_tap_of_an_idle_machine_opens_the_relay_at_once() -> None:
    rig = enabled()
    effects = rig.arrive(ADA)
    assert effects[0] == SetRelay(False), "less power acts first and records after"
    assert rig.written("session_ended")[0]["how"] == "tap_off"
    assert rig.at() is State.LOCKED


def test_a_second_tap_of_a_busy_machine_warns_and_opens_at_the_first_idle() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.arrive(ADA)
    rig.pass_ms(2_000)
    assert rig.is_on
    assert rig.panel.message is Message.ENDING
    assert rig.panel.seconds == TAP.warning_s - 2
    rig.sample(busy=False)
    assert not rig.is_on


def test_a_busy_machine_is_opened_when_the_warning_time_is_over_and_not_before() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.arrive(ADA)
    asked_ms = rig.ms
    rig.pass_ms(TAP.warning_s * 1_000 + 100)
    off_ms = rig.relay[-1][0]
    assert not rig.is_on
    assert 0 <= off_ms - asked_ms - TAP.warning_s * 1_000 <= 20


def test_without_a_current_sensor_a_tap_off_is_a_plain_timed_warning() -> None:
    rig = enabled(inputs=NO_SENSOR)
    rig.arrive(ADA)
    rig.pass_ms(TAP.warning_s * 1_000 - 100)
    assert rig.is_on
    rig.pass_ms(200)
    assert not rig.is_on


def test_a_third_tap_does_not_take_an_asked_end_back() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.arrive(ADA)
    rig.pass_ms(500)
    rig.arrive(ADA)
    assert rig.at() is State.ENDING


def test_another_member_is_refused_while_the_machine_is_in_use_and_changes_nothing() -> None:
    rig = enabled()
    rig.arrive(BEN)
    assert rig.refusals() == ["MACHINE_IN_USE"]
    assert (rig.is_on, rig.at()) == (True, State.ENABLED)
    assert rig.panel.colour == "green", "the lamp of a powered machine never hides it"


def test_removing_the_badge_means_nothing_in_tap_use() -> None:
    rig = enabled()
    rig.give(BadgeRemoved())
    rig.pass_ms(TAP.grace_s * 1_000 + 500)
    assert rig.is_on


# --- ending in hold use


def test_a_removed_badge_opens_the_relay_after_the_grace_time_and_not_before() -> None:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    removed_ms = rig.ms
    rig.pass_ms(HOLD.grace_s * 1_000 - 40)
    assert rig.is_on
    assert rig.panel.message is Message.BADGE_MISSING
    rig.pass_ms(100)
    assert 0 <= rig.relay[-1][0] - removed_ms - HOLD.grace_s * 1_000 <= 20
    assert rig.written("session_ended")[0]["how"] == "badge_removed"


def test_a_badge_put_back_within_the_grace_time_goes_on() -> None:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    rig.pass_ms(HOLD.grace_s * 1_000 + 500)
    assert [on for _, on in rig.relay] == [True]


def test_another_badge_put_into_the_slot_does_not_keep_the_session_alive() -> None:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    rig.pass_ms(1_000)
    rig.arrive(BEN)
    rig.pass_ms(HOLD.grace_s * 1_000)
    assert (rig.is_on, rig.refusals()) == (False, ["MACHINE_IN_USE"])


def test_a_busy_machine_whose_badge_is_gone_is_warned_and_the_badge_put_back_resumes() -> None:
    rig = enabled(HOLD)
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(HOLD.grace_s * 1_000 + 1_000)
    assert (rig.at(), rig.is_on) == (State.ENDING, True)
    rig.arrive(ADA)
    assert rig.at() is State.ENABLED
    rig.pass_ms(HOLD.warning_s * 1_000 + 1_000)
    assert rig.is_on


def test_a_second_badge_over_the_first_counts_as_removal() -> None:
    rig = enabled(HOLD)
    rig.give(SeveralBadgesSeen())
    rig.pass_ms(HOLD.grace_s * 1_000 + 100)
    assert (rig.is_on, rig.refusals()) == (False, ["SEVERAL_BADGES"])


def test_a_reader_that_dies_in_mid_session_counts_as_removal_in_hold() -> None:
    rig = enabled(HOLD)
    rig.give(ReaderFailed("silent for 2 s"))
    rig.pass_ms(HOLD.grace_s * 1_000 + 100)
    assert rig.written("session_ended")[0]["how"] == "reader_lost"


def test_a_reader_that_dies_in_mid_session_changes_nothing_in_tap() -> None:
    rig = enabled(TAP)
    rig.give(ReaderFailed("silent for 2 s"))
    rig.pass_ms(TAP.grace_s * 1_000 + 100)
    assert rig.is_on
    rig.sample(stop_pressed=True)
    assert not rig.is_on


def test_a_badge_gone_during_an_idle_warning_does_not_come_back_with_the_motor() -> None:
    rig = enabled(HOLD)
    rig.pass_ms(30_100)
    assert rig.panel.message is Message.IDLE_SOON_OFF
    rig.give(BadgeRemoved())
    rig.sample(busy=True)
    assert rig.at() is State.ENABLED
    rig.pass_ms(HOLD.grace_s * 1_000 + 100)
    assert rig.at() is State.ENDING, "absence was not forgotten"
    rig.pass_ms(HOLD.warning_s * 1_000 + 100)
    assert not rig.is_on


# --- idle timeout


def test_a_machine_idle_for_too_long_is_warned_and_then_opened() -> None:
    rig = enabled()
    rig.pass_ms(30_000)
    assert (rig.is_on, rig.panel.message) == (True, Message.IDLE_SOON_OFF)
    rig.pass_ms(TAP.warning_s * 1_000)
    assert not rig.is_on
    assert rig.written("session_ended")[0]["how"] == "idle_timeout"


def test_work_begun_during_the_idle_warning_goes_on() -> None:
    rig = enabled()
    rig.pass_ms(31_000)
    rig.sample(busy=True)
    rig.pass_ms(60_000)
    assert rig.is_on


def test_a_tap_during_the_idle_warning_continues() -> None:
    rig = enabled()
    rig.pass_ms(31_000)
    rig.arrive(ADA)
    rig.pass_ms(25_000)
    assert (rig.is_on, rig.at()) == (True, State.ENABLED)


def test_a_busy_or_unknown_machine_has_no_idle_timeout() -> None:
    busy, unknown = enabled(), enabled(inputs=NO_SENSOR)
    busy.sample(busy=True)
    for rig in (busy, unknown):
        rig.pass_ms(100_000)
        assert rig.at() is State.ENABLED


# --- forced ends


@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize(
    ("levels", "how"),
    [
        ({"stop_pressed": True}, "stop_button"),
        ({"emergency_stop_closed": False}, "emergency_stop"),
        ({"mirror_closed": True}, "contact_lost"),
    ],
)
def test_a_hazard_opens_on_its_first_sample_busy_or_not(
    levels: dict[str, bool], how: str, is_busy: bool
) -> None:
    rig = enabled()
    rig.sample(busy=is_busy)
    effects = rig.sample(**levels)
    assert effects[0] == SetRelay(False)
    assert rig.written("session_ended")[0]["how"] == how
    rig.sample(stop_pressed=False, emergency_stop_closed=True)
    rig.pass_ms(5_000)
    assert [on for _, on in rig.relay] == [True, False], "release never re-enables"


@pytest.mark.parametrize("in_ending", [False, True])
def test_cut_now_opens_in_every_powered_state(in_ending: bool) -> None:
    rig = enabled()
    rig.sample(busy=True)
    if in_ending:
        rig.arrive(ADA)
    assert rig.give(CutRequested())[0] == SetRelay(False)


def test_the_hub_asking_for_an_end_waits_for_the_first_idle() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.give(EndRequested())
    rig.pass_ms(1_000)
    assert rig.is_on
    rig.sample(busy=False)
    assert rig.written("session_ended")[0]["how"] == "hub_request"


def test_termination_opens_records_and_leaves_in_this_order() -> None:
    rig = enabled()
    effects = rig.give(TerminationRequested())
    kinds = [type(e).__name__ for e in effects if not type(e).__name__.startswith("Show")]
    assert kinds == ["SetRelay", "WriteRecord", "Exit"]
    assert Rig().give(TerminationRequested())[-1] == Exit()


def test_a_running_session_ends_normally_when_the_journal_is_dead() -> None:
    rig = enabled()
    rig.give(JournalFailed("disk full"))
    rig.pass_ms(1_000)
    assert rig.is_on
    rig.arrive(ADA)
    assert not rig.is_on
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    assert rig.panel.message is Message.NO_JOURNAL
    rig.arrive(ADA)
    assert rig.refusals() == ["CANNOT_RECORD"]


# --- usage


def test_the_session_is_split_into_busy_and_idle_time() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.pass_ms(2_000)
    rig.sample(busy=False)
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    (body,) = rig.written("session_ended")
    assert body["busy_ms"] == 2_000
    assert body["busy_ms"] + body["idle_ms"] == body["enabled_ms"]
    assert not body["estimated"]


def test_progress_is_recorded_at_every_interval() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.pass_ms(35_000)
    enabled_ms = [body["enabled_ms"] for body in rig.written("session_progress")]
    assert len(enabled_ms) == 3
    assert [round(ms / 1_000) for ms in enabled_ms] == [10, 20, 30]


def test_progress_goes_on_while_an_end_is_asked() -> None:
    rig = enabled(replace(TAP, warning_s=25))
    rig.sample(busy=True)
    rig.arrive(ADA)
    rig.pass_ms(24_000)
    assert len(rig.written("session_progress")) == 2


def test_a_session_keeps_the_rules_it_started_with() -> None:
    rig = enabled(HOLD)
    rig.give(SnapshotActivated(Cache((1, 2)), ("laser",), Needs.ALL, 3_600))
    rig.pass_ms(5_000)
    assert rig.is_on, "a revocation does not cut the running job"
    rig.give(BadgeRemoved())
    rig.pass_ms(HOLD.grace_s * 1_000 + 100)
    rig.arrive(ADA)
    assert rig.refusals() == ["NOT_TRAINED"]


def test_the_hub_may_tighten_the_age_of_the_cache_and_never_loosen_it() -> None:
    rig = Rig(replace(TAP, max_offline_s=1_000))
    rig.give(SnapshotActivated(CACHE, (), Needs.ALL, 5_000))
    assert rig.state.rules.max_offline_s == 1_000
    rig.give(SnapshotActivated(CACHE, (), Needs.ALL, 500))
    assert rig.state.rules.max_offline_s == 500


# --- the "broken" button and lock-out


def test_broken_locks_an_idle_machine_at_once_and_only_a_technician_clears_it() -> None:
    rig = Rig()
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    assert rig.at() is State.LOCKED_OUT
    rig.pass_ms(100)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["MACHINE_LOCKED_OUT"])
    rig.arrive(TECHNICIAN)
    assert rig.at() is State.LOCKED
    assert rig.written("lock_out_cleared")[0]["by"] == TECHNICIAN.member
    assert rig.relay == [], "clearing closes nothing"


def test_broken_during_somebodys_work_asks_for_the_end_and_locks_out_afterwards() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.pass_ms(1_000)
    assert (rig.is_on, rig.at()) == (True, State.ENDING)
    rig.sample(busy=False)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED_OUT)
    assert rig.types()[-2:] == ["session_ended", "lock_out_set"]


def test_broken_during_an_idle_warning_cannot_be_undone_by_working_on() -> None:
    rig = enabled()
    rig.pass_ms(31_000)
    assert isinstance(rig.state.facts, EndingFacts)
    rig.sample(broken_pressed=True)
    assert rig.at() is State.LOCKED_OUT


@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_does_not_lose_the_lock_out_that_was_asked(levels: dict[str, bool]) -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.sample(**levels)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED_OUT)


def test_a_lock_out_survives_a_restart() -> None:
    rig = Rig(recovered=Recovered(locked_out=True))
    rig.arrive(ADA)
    assert rig.relay == []


# --- the contactor


def test_a_contactor_that_does_not_let_go_is_welded_latched_and_refuses_all() -> None:
    rig = enabled()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.open_time_ms + 100)
    assert isinstance(rig.state.facts, FaultFacts)
    assert rig.written("fault_raised") == [{"fault": "contactor_welded"}]
    rig.sample(mirror_closed=True)
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    assert rig.refusals() == ["MACHINE_FAULT"]
    assert not rig.is_on


def test_a_contactor_that_lets_go_just_in_time_is_no_fault() -> None:
    rig = enabled()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.open_time_ms - 40)
    rig.sample(mirror_closed=True)
    rig.pass_ms(1_000)
    assert rig.at() is State.LOCKED


def test_a_contactor_that_does_not_close_ends_the_session_and_latches() -> None:
    rig = Rig()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.close_time_ms + 100)
    assert not rig.is_on
    assert rig.types() == ["session_started", "session_ended", "fault_raised"]
    assert rig.written("fault_raised") == [{"fault": "contactor_failed"}]


def test_a_contactor_found_closed_at_boot_is_welded() -> None:
    rig = Rig(inputs=replace(QUIET, mirror_closed=False))
    rig.pass_ms(TAP.open_time_ms + 100)
    assert rig.at() is State.FAULT


def test_a_fault_survives_a_restart_and_asks_for_a_badge_that_cannot_be_cloned() -> None:
    rig = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_WELDED}), locked_out=True))
    rig.arrive(TECHNICIAN)
    assert (rig.at(), rig.refusals()) == (State.FAULT, ["BADGE_NOT_SECURE_ENOUGH"])
    rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert rig.at() is State.LOCKED_OUT, "the lock-out behind the fault stands"
    (cleared,) = rig.written("fault_cleared")
    assert (cleared["fault"], cleared["by"]) == ("contactor_welded", "m-tec")
    assert cleared["evidence"]["assurance"] == "aes"


def test_a_cleared_weld_that_is_still_there_is_found_again() -> None:
    rig = Rig(inputs=replace(QUIET, mirror_closed=False))
    rig.pass_ms(TAP.open_time_ms + 100)
    rig.give(FaultCleared("u-7"))
    assert rig.at() is State.LOCKED
    rig.arrive(ADA)
    assert rig.refusals() == ["MACHINE_FAULT"]
    rig.pass_ms(TAP.open_time_ms + 100)
    assert rig.at() is State.FAULT


def test_clearing_a_fault_closes_nothing_and_needs_a_new_arrival() -> None:
    rig = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_FAILED})))
    rig.ms += 5
    rig.give(FaultCleared("u-7"))
    rig.arrive(ADA, ago_ms=5)
    assert rig.relay == []
    rig.arrive(ADA)
    assert rig.is_on


def test_without_a_mirror_contact_nothing_is_claimed_about_the_contactor() -> None:
    rig = enabled(inputs=NO_SENSOR)
    rig.pass_ms(5_000)
    assert rig.at() is State.ENABLED
