"""Every time limit to the millisecond: what still holds at its last instant, and what holds no more after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import admission, day_use, interlocks, outputs, promises
from interlock.core.effects import Message, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    EndRequested,
    JournalFailed,
    RemoteInterlockReported,
    SnapshotActivated,
)
from interlock.core.interlocks import REMOTE_FRESH_MS, Contact, RemoteReport
from interlock.core.model import Assurance, DayUse, Inputs, Interlock, LocalGrant, Presented
from interlock.core.sensing import KEY_BOUNCE_MS, YES_MS_MAX, Watch, hung, sense
from interlock.core.starting import SLOW_JOURNAL
from interlock.core.states import State
from tests.core.rig import ADA, BEN, CACHE, HOLD, TAP, TRAINEE, TRAINER, Rig, enabled
from tests.core.test_outputs import COOLED
from tests.core.test_people import BRIEF, supervised
from tests.core.test_promises import SAW, taught

pytestmark = pytest.mark.fast


def at(rig: Rig, ms: int) -> Rig:
    """The machine looked at again at this millisecond, and not in between."""
    rig.ms = ms
    rig.sample()
    return rig


@pytest.mark.parametrize(
    ("seen_ms", "now_ms", "counts"),
    [
        (10_000, 10_001, False),
        (10_001, 10_001, True),
        (10_001, 10_001 + TAP.start_deadline_ms, True),
        (10_001, 10_002 + TAP.start_deadline_ms, False),
    ],
)
def test_an_arrival_counts_from_the_gate_on_and_for_as_long_as_a_start_may_take(
    seen_ms: int, now_ms: int, counts: bool
) -> None:
    rig = Rig()
    assert rig.state.gate_ms == 10_000
    rig.ms = now_ms
    badge = Presented(ADA.tag, seen_ms, Assurance.UID, ADA, CACHE)
    assert admission.counts_as_arrival(rig.state, badge, rig.now) is counts


def test_a_start_has_its_deadline_and_not_a_millisecond_more() -> None:
    for over_ms, state in ((-1, State.STARTING), (0, State.LOCKED)):
        rig = Rig(durable=False)
        rig.arrive(ADA)
        assert at(rig, rig.ms + TAP.start_deadline_ms + over_ms).at() is state


def test_a_pre_run_lasts_as_long_as_it_has_to() -> None:
    for over_ms, closes in ((-1, False), (0, True)):
        rig = Rig(replace(TAP, pre_run_s=3))
        rig.arrive(ADA)
        assert at(rig, rig.ms + 3_000 + over_ms).is_on is closes


def test_a_first_badge_waits_to_the_end_and_the_next_one_may_come_at_the_last_moment() -> None:
    for over_ms, state in ((-1, State.WAITING_FOR_SECOND), (0, State.LOCKED)):
        rig = Rig(BRIEF)
        rig.arrive(TRAINEE)
        assert at(rig, rig.ms + BRIEF.second_wait_s * 1_000 + over_ms).at() is state


def test_grace_idle_time_supervision_and_warning_end_at_their_millisecond() -> None:
    for over_ms, ends in ((-1, False), (0, True)):
        absent = enabled(HOLD)
        absent.give(BadgeRemoved())
        assert at(absent, absent.ms + HOLD.grace_s * 1_000 + over_ms).is_on is not ends
        idle = enabled(replace(TAP, idle_timeout_s=5))
        assert (at(idle, 10_021 + 5_000 + over_ms).at() is State.ENDING) is ends
        watched = supervised()
        assert (at(watched, 10_222 + BRIEF.supervise_s * 1_000 + over_ms).at() is State.ENDING) is (
            ends
        )
        busy = enabled()
        busy.sample(busy=True)
        busy.give(EndRequested())
        assert at(busy, busy.ms + TAP.warning_s * 1_000 + over_ms).is_on is not ends


def test_progress_is_due_at_its_millisecond_and_once() -> None:
    rig = enabled()
    at(rig, 10_021 + TAP.progress_s * 1_000 - 1)
    assert rig.types() == ["session_started"]
    for _ in range(2):
        at(rig, 10_021 + TAP.progress_s * 1_000)
    assert rig.types() == ["session_started", "session_progress"]


def test_the_next_progress_is_due_as_long_after_the_last_one() -> None:
    rig = enabled(replace(TAP, progress_s=5))
    told = []
    for after_ms in (5_000, 9_999, 10_000, 14_999, 15_000):
        at(rig, 10_021 + after_ms)
        told.append(len(rig.written("session_progress")))
    assert told == [1, 1, 2, 2, 3]


def test_a_grant_asks_for_a_list_of_at_most_its_age_and_is_told_for_the_notice_time() -> None:
    for over_s, refused in ((0, []), (1, ["CACHE_STALE"])):
        cache = replace(CACHE, age_s=BRIEF.max_offline_s + over_s)
        rig = taught(Assurance.AES, cache=cache)
        assert rig.refusals() == refused
    told = taught(Assurance.AES)
    began_ms = told.ms
    for over_ms, message in ((-1, Message.TRAINING_GRANTED), (0, Message.IN_USE)):
        assert at(told, began_ms + BRIEF.notice_s * 1_000 + over_ms).panel.message is message


def test_a_grant_is_kept_whole_from_the_second_of_the_trainer_s_tap() -> None:
    for assurance, clonable in ((Assurance.AES, False), (Assurance.UID, True)):
        rig = taught(assurance)
        (body,) = rig.written("training_granted")
        tapped_at = rig.now.wall_at
        assert tapped_at is not None
        grant = LocalGrant("m-tin", "saw", tapped_at, body["until_at"], "1.3", clonable)
        assert rig.state.grants == (grant,)
        assert body["since_at"] == tapped_at


def test_a_grant_that_ends_as_the_next_one_begins_is_forgotten_and_a_second_later_kept() -> None:
    new = LocalGrant("m-new", "saw", 1_000, 9_000)
    for until_at, kept in ((1_000, ()), (1_001, (LocalGrant("m-old", "saw", 0, 1_001),))):
        held = (LocalGrant("m-old", "saw", 0, until_at),)
        assert promises.with_grants(held, (new,)) == (new, *kept)


def test_a_trainer_s_own_tap_answers_for_a_trainee_as_long_as_a_confirmation_would() -> None:
    for over_ms, supervisors in ((-1, [None, "m-tra"]), (0, [None])):
        rig = Rig(BRIEF)
        rig.arrive(TRAINER)
        began_ms = rig.relay[-1][0]
        rig.pass_ms(100)
        rig.ms = began_ms + BRIEF.supervise_s * 1_000 + over_ms - 1
        rig.arrive(TRAINEE)
        assert [body["supervisor"] for body in rig.written("session_started")] == supervisors


def test_the_day_s_last_second_may_be_used_and_no_start_follows_it() -> None:
    for used_ms, refused in ((9_999, []), (10_000, ["DAILY_LIMIT"])):
        rig = Rig()
        rig.give(SnapshotActivated(CACHE, replace(SAW, daily_limit_s=10)))
        rig.arrive(ADA)
        rig.ms += used_ms - 1
        rig.arrive(ADA)
        assert rig.state.day_use.used == (("m-ada", used_ms),)
        rig.arrive(ADA)
        assert rig.refusals() == refused


def test_what_was_used_on_another_day_counts_for_nothing_today() -> None:
    use = DayUse(7, (("m-ada", 9_999),))
    assert [day_use.used_ms(use, "m-ada", day) for day in (6, 7, 8)] == [0, 9_999, 0]
    assert day_use.used_ms(use, "m-ben", 7) == 0


def test_the_yes_button_the_key_and_a_hang_have_their_limits() -> None:
    watch = Watch(Inputs(), coil_on=True, commanded_ms=0, sampled_ms=1_000, yes_since_ms=1_000)
    assert [watch.says_yes(1_000 + YES_MS_MAX + over_ms) for over_ms in (0, 1)] == [True, False]
    rules = replace(TAP, hang_ms=250)
    assert [hung(watch, rules, 1_250 + over_ms) for over_ms in (0, 1)] == [False, True]
    assert not hung(replace(watch, coil_on=False), rules, 9_000)
    keyed = Inputs(bypass_on=True)
    turning, _ = sense(watch, keyed, TAP, 2_000)
    for over_ms, turned in ((-1, False), (0, True)):
        after, signals = sense(turning, keyed, TAP, 2_000 + KEY_BOUNCE_MS + over_ms)
        assert (after.key_on, len(signals)) == (turned, int(turned))


@pytest.mark.parametrize(
    ("passed_ms", "by_itself"), [(200, False), (201, True), (1_000, True), (1_001, False)]
)
def test_a_start_by_itself_is_one_between_the_inrush_and_the_end_of_the_watch(
    passed_ms: int, by_itself: bool
) -> None:
    rules = replace(TAP, unexpected_start_ms=1_000, inrush_ms=200)
    working = Inputs(busy=True)
    watch = Watch(working, coil_on=True, commanded_ms=5_000, sampled_ms=5_000)
    _, signals = sense(watch, working, rules, 5_000 + passed_ms)
    assert len(signals) == int(by_itself)


def test_a_contact_permits_after_its_time_and_trips_after_its_time() -> None:
    flow = Interlock("flow", permit_after_ms=300, trip_after_ms=200)
    closing = Contact().sampled(flow, True, 1_000)
    assert closing == Contact(False, 1_000, 1_000)
    assert closing.sampled(flow, True, 1_299) == Contact(False, 1_000, 1_000)
    closed = closing.sampled(flow, True, 1_300)
    assert closed == Contact(True, 1_000)
    for level in (False, None):
        opening = closed.sampled(flow, level, 5_000)
        assert opening == Contact(True, None, 5_000)
        assert not opening.is_settled
        assert opening.sampled(flow, level, 5_199).permits
        assert opening.sampled(flow, level, 5_200) == Contact(False, None, 5_000)
    flicker = closed.sampled(flow, False, 5_000).sampled(flow, True, 5_100)
    assert flicker == Contact(True, 5_100, 5_000), "closing for a moment forgives nothing"
    assert flicker.sampled(flow, True, 5_200) == Contact(False, 5_100, 5_000)
    assert flicker.sampled(flow, True, 5_400) == Contact(True, 5_100)


def test_a_report_of_another_node_is_believed_for_ninety_seconds() -> None:
    for over_ms, lost in ((0, ()), (1, ("chiller",))):
        report = (RemoteReport("chiller", True, 1_000),)
        now_ms = 1_000 + REMOTE_FRESH_MS + over_ms
        assert interlocks.lost(COOLED.interlocks, report, now_ms) == lost
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.give(RemoteInterlockReported("another", True))
    assert rig.state.remote == (RemoteReport("chiller", True, rig.ms),)


def test_a_notice_goes_at_its_last_millisecond_and_begins_at_its_first() -> None:
    rig = Rig()
    rig.arrive(None)
    notice = rig.state.notice
    assert notice is not None
    gone = [outputs.notice_over(notice, notice.until_ms + ms) for ms in (-1, 0)]
    assert gone == [False, True]
    assert not outputs.notice_over(None, 0)
    shown = [
        outputs.panel(rig.state, notice.since_ms + ms).message is notice.message for ms in (-1, 0)
    ]
    assert shown == [False, True]


# ------------------------------------------------------------------ a journal that is slow, or really dead


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(
    ("trouble", "after"), [(SLOW_JOURNAL, None), ("disk full", "disk full"), (None, None)]
)
def test_a_late_answer_proves_a_slow_journal_alive_and_mends_no_dead_one(
    trouble: str | None, after: str | None, failed: bool
) -> None:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    start = rig.asked("session_started")
    rig.give(EndRequested())
    rig.state = replace(rig.state, journal_trouble=trouble)
    rig.answer(start, failed=failed)
    assert (rig.state.journal_trouble, rig.state.abandoned) == (after, frozenset())
    rig.durable = True
    rig.arrive(BEN)
    assert rig.is_on is (after is None)


def test_an_answer_to_nothing_we_asked_changes_nothing() -> None:
    rig = Rig(durable=False)
    rig.give(JournalFailed("disk full"))
    before = rig.state
    stray = WriteRecord(99, "session_started", {})
    rig.answer(stray, failed=True)
    assert rig.state == before
    rig.answer(stray)
    assert (rig.state, rig.types()) == (before, [])
