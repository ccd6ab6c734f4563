"""The open session: what ends it in tap and in hold use, after a warning or at once, and what it used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Exit, Message, SetRelay
from interlock.core.events import (
    BadgeRemoved,
    CutRequested,
    EndRequested,
    JournalFailed,
    ReaderFailed,
    SeveralBadgesSeen,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import BadgeState, Cache, Demands, Entry, Inputs, MemberStatus, Rules
from interlock.core.states import State
from tests.core.rig import ADA, BEN, CACHE, HOLD, TAP, Rig, enabled

pytestmark = pytest.mark.fast

NO_SENSOR = Inputs()


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
    rig.sample(busy=True)
    rig.arrive(BEN)
    assert rig.refusals() == ["MACHINE_IN_USE"]
    assert (rig.is_on, rig.at()) == (True, State.ENABLED)
    assert rig.panel.colour == "green", "the lamp of a powered machine never hides it"


def test_removing_the_badge_means_nothing_in_tap_use() -> None:
    rig = enabled()
    rig.give(BadgeRemoved())
    rig.pass_ms(TAP.grace_s * 1_000 + 500)
    assert rig.is_on


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
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(1_000)
    rig.arrive(BEN)
    rig.pass_ms((HOLD.grace_s + HOLD.warning_s) * 1_000)
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


def test_a_busy_machine_has_no_idle_timeout() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.pass_ms(100_000)
    assert rig.at() is State.ENABLED


def test_without_a_current_sensor_a_tap_machine_asks_whether_anybody_is_there() -> None:
    """Nothing else would ever end a session that everybody left, least of all with a dead reader."""
    rig = enabled(inputs=NO_SENSOR)
    rig.pass_ms(30_000)
    assert (rig.is_on, rig.panel.message) == (True, Message.IDLE_SOON_OFF)
    rig.arrive(ADA)
    assert rig.at() is State.ENABLED
    rig.give(ReaderFailed("dead"))
    rig.pass_ms(30_000 + TAP.warning_s * 1_000 + 100)
    assert not rig.is_on


def test_a_current_sensor_that_dies_leaves_a_tap_machine_that_asks_whether_anybody_is_there() -> (
    None
):
    rig = enabled()
    rig.sample(busy=True)
    rig.pass_ms(20_000)
    rig.sample(busy=None)
    rig.pass_ms(29_000)
    assert rig.at() is State.ENABLED, "asked only after the whole time"
    rig.pass_ms(1_500)
    assert (rig.at(), rig.panel.message) == (State.ENDING, Message.IDLE_SOON_OFF)
    rig.pass_ms(5_000)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED)


def test_a_current_sensor_that_dies_while_idle_cuts_nobody_whose_badge_lies_in_the_slot() -> None:
    rig = enabled(HOLD)
    rig.pass_ms(20_000)
    rig.sample(busy=None)
    rig.pass_ms(60_000)
    assert rig.at() is State.ENABLED, "as without a sensor: the badge speaks for its member"


def test_without_a_current_sensor_a_badge_in_the_slot_speaks_for_its_member() -> None:
    rig = enabled(HOLD, inputs=NO_SENSOR)
    rig.pass_ms(100_000)
    assert rig.at() is State.ENABLED


BLOCKED = replace(ADA, badge=BadgeState.BLOCKED)
SUSPENDED = replace(ADA, status=MemberStatus.SUSPENDED)


@pytest.mark.parametrize(
    ("entry", "reason"), [(BLOCKED, "BADGE_BLOCKED"), (SUSPENDED, "MEMBER_SUSPENDED")]
)
@pytest.mark.parametrize("in_grace", [True, False])
def test_a_badge_blocked_meanwhile_keeps_no_session_alive(
    entry: Entry, reason: str, in_grace: bool
) -> None:
    rig = enabled(HOLD)
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(500 if in_grace else HOLD.grace_s * 1_000 + 500)
    rig.arrive(entry)
    assert rig.refusals() == [reason]
    rig.pass_ms((HOLD.grace_s + HOLD.warning_s) * 1_000 + 100)
    assert not rig.is_on


def test_a_hub_that_is_away_for_long_does_not_cut_a_running_session() -> None:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    rig.arrive(ADA, cache=Cache((1, 1), HOLD.max_offline_s + 1))
    rig.pass_ms(HOLD.grace_s * 1_000 + 500)
    assert rig.is_on


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
    assert kinds == ["SetRelay", "SetExtraction", "WriteRecord", "Exit"]
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
    rig.give(SnapshotActivated(Cache((1, 2)), Demands(("laser",), max_offline_s=3_600)))
    rig.pass_ms(5_000)
    assert rig.is_on, "a revocation does not cut the running job"
    rig.give(BadgeRemoved())
    rig.pass_ms(HOLD.grace_s * 1_000 + 100)
    rig.arrive(ADA)
    assert rig.refusals() == ["NOT_TRAINED"]


def test_the_hub_may_tighten_the_age_of_the_cache_and_never_loosen_it() -> None:
    rig = Rig(replace(TAP, max_offline_s=1_000))
    rig.give(SnapshotActivated(CACHE, Demands(max_offline_s=5_000)))
    assert rig.state.rules.max_offline_s == 1_000
    rig.give(SnapshotActivated(CACHE, Demands(max_offline_s=500)))
    assert rig.state.rules.max_offline_s == 500


def test_a_progress_that_is_due_while_the_badge_is_missing_does_not_end_the_grace() -> None:
    rig = enabled(replace(HOLD, progress_s=1))
    rig.give(BadgeRemoved())
    rig.pass_ms(HOLD.grace_s * 1_000 - 100)
    assert rig.at() is State.ENABLED
    assert len(rig.written("session_progress")) >= 1
    rig.pass_ms(200)
    assert rig.at() is not State.ENABLED


def test_the_idle_time_goes_on_through_a_sensor_that_comes_and_goes() -> None:
    """A loose wire must not keep a machine on that everybody left."""
    rig = enabled(replace(TAP, idle_timeout_s=30))
    rig.pass_ms(10_000)
    rig.sample(busy=None)
    rig.pass_ms(10_000)
    rig.sample(busy=False)
    rig.pass_ms(10_000)
    assert rig.at() is State.ENDING


@pytest.mark.parametrize("rules", [TAP, HOLD], ids=["tap", "hold"])
def test_a_long_job_that_an_idle_warning_asked_about_goes_on_as_one_until_its_badge_stays(
    rules: Rules,
) -> None:
    rig = enabled(replace(rules, long_jobs=True))
    rig.sample(long_job_pressed=True)
    rig.sample(long_job_pressed=False)
    rig.pass_ms(31_000)
    assert (rig.at(), rig.panel.message) == (State.ENDING, Message.IDLE_SOON_OFF)
    asked = rig.state.session
    assert asked is not None
    assert asked.long_job is True
    rig.arrive(ADA)
    assert (rig.at(), rig.is_on) == (State.ENABLED, True)
    session = rig.state.session
    assert session == replace(
        asked,
        long_job=rules is TAP,
        idle_since_ms=rig.ms,
        meter=replace(
            asked.meter, at_ms=rig.ms, enabled_ms=rig.ms - 10_021, idle_ms=rig.ms - 10_021
        ),
    )
    assert session.long_job is (rules is TAP)


def test_a_reader_that_died_in_a_session_is_said_after_it_and_starts_nobody() -> None:
    rig = enabled()
    rig.give(ReaderFailed("no answer"))
    assert (rig.is_on, rig.state.reader_trouble) == (True, "no answer")
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False)
    rig.pass_ms(TAP.notice_s * 1_000)
    assert rig.panel.message is Message.NO_READER
    rig.arrive(ADA)
    assert (rig.is_on, rig.refusals()) == (False, ["PRESENT_AGAIN"])
