"""What takes effect once it is recorded (grants, long jobs), people who are only warned, and the day's use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import hours, promises
from interlock.core.effects import Message, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    JournalFailed,
    RecordsDelivered,
    SnapshotActivated,
)
from interlock.core.model import (
    Assurance,
    BadgeState,
    BadgeUse,
    Cache,
    Credit,
    DayUse,
    Demands,
    Enforcement,
    Entry,
    Inputs,
    Level,
    LocalGrant,
    MemberStatus,
    Reason,
    Right,
    Rules,
)
from interlock.core.sensing import YES_MS_MAX
from interlock.core.states import Recovered, State
from tests.core.rig import ADA, BEN, CACHE, HOLD, QUIET, TAP, TRAINEE, TRAINER, UNTRAINED, Rig
from tests.core.test_people import BRIEF, TOGETHER, supervised

pytestmark = pytest.mark.fast

OFFSETS = ((0, 3_600),)
SAW = Demands(("saw",), offsets=OFFSETS)


def taught(
    assurance: Assurance, entry: Entry = TRAINER, *, cache: Cache = CACHE, trusted: bool = True
) -> Rig:
    """A trainee's session in which the trainer held the button and showed their badge."""
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.wall_trusted = trusted
    rig.sample(long_job_pressed=True)
    rig.arrive(entry, assurance=assurance, cache=cache)
    rig.sample(long_job_pressed=False)
    return rig


def grants_of(rig: Rig) -> tuple[LocalGrant, ...]:
    return rig.state.grants


def test_a_genuine_badge_grants_at_once_and_for_as_long_as_the_node_may_be_alone() -> None:
    rig = taught(Assurance.AES)
    (body,) = rig.written("training_granted")
    at = rig.now.wall_at
    assert at is not None
    told = (body["member"], body["trainings"], body["by"], body["assurance"], body["session"])
    assert told == ("m-tin", ["saw"], "m-tra", "aes", "1.1")
    assert body["until_at"] - body["since_at"] == BRIEF.max_offline_s
    assert rig.panel.message is Message.TRAINING_GRANTED
    rig.arrive(TRAINEE)
    assert not rig.is_on
    rig.pass_ms(1_000)
    rig.tap(TRAINEE)
    assert rig.is_on, "alone from now on"
    assert rig.written("session_started")[-1]["supervisor"] is None


def test_a_badge_that_can_be_cloned_grants_until_the_lab_s_midnight() -> None:
    rig = taught(Assurance.UID)
    (body,) = rig.written("training_granted")
    assert body["until_at"] == hours.midnight_after(body["since_at"], OFFSETS)
    rig.arrive(TRAINEE)
    rig.pass_ms(1_000)
    rig.tap(TRAINEE)
    assert rig.is_on
    rig.tap(TRAINEE)
    rig.pass_ms(1_000)
    rig.ms += (body["until_at"] - body["since_at"]) * 1_000
    rig.arrive(TRAINEE)
    assert rig.at() is State.WAITING_FOR_SECOND, "at midnight they are a trainee again"


def test_without_the_button_a_trainer_s_badge_grants_nothing() -> None:
    rig = supervised()
    rig.arrive(TRAINER, assurance=Assurance.AES)
    assert rig.written("training_granted") == []
    assert rig.state.grants == ()


def test_a_button_that_is_stuck_grants_nothing() -> None:
    rig = supervised()
    rig.sample(long_job_pressed=True)
    rig.pass_ms(YES_MS_MAX + 1_000)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    assert (rig.types()[-1], rig.state.grants) == ("supervision_confirmed", ())
    rig.sample(long_job_pressed=False)
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    assert rig.types()[-1] == "training_granted", "pressed on purpose it does"


def test_a_grant_counts_only_when_its_record_is_durable() -> None:
    rig = supervised()
    rig.durable = False
    rig.sample(long_job_pressed=True)
    writes = [e for e in rig.arrive(TRAINER, assurance=Assurance.AES) if isinstance(e, WriteRecord)]
    granted = next(write for write in writes if write.type == "training_granted")
    assert rig.state.grants == ()
    rig.answer(granted, failed=True)
    assert (rig.state.grants, rig.state.promises) == ((), ())
    assert rig.panel.reason is Reason.CANNOT_RECORD
    writes = [e for e in rig.arrive(TRAINER, assurance=Assurance.AES) if isinstance(e, WriteRecord)]
    rig.answer(next(write for write in writes if write.type == "training_granted"))
    granted_now = [(one.member, one.training, one.clonable, one.record) for one in grants_of(rig)]
    assert granted_now == [("m-tin", "saw", False, f"1.{rig.records}")]


@pytest.mark.parametrize(
    ("trusted", "age_s", "reason"),
    [
        (False, 0, "CLOCK_UNTRUSTED"),
        (True, BRIEF.max_offline_s + 1, "CACHE_STALE"),
    ],
)
def test_without_time_or_fresh_rights_nothing_is_granted(
    trusted: bool, age_s: int, reason: str
) -> None:
    rig = taught(Assurance.AES, trusted=trusted, cache=Cache((1, 1), age_s))
    assert (rig.refusals(), rig.written("training_granted")) == ([reason], [])
    assert rig.at() is State.ENABLED


def test_a_clonable_badge_grants_nothing_where_nobody_knows_when_midnight_is() -> None:
    rig = supervised()
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER)
    assert rig.refusals() == ["CLOCK_UNTRUSTED"]


def test_a_dead_journal_grants_nothing() -> None:
    rig = supervised()
    rig.give(JournalFailed("disk full"))
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    assert (rig.refusals(), rig.state.grants) == (["CANNOT_RECORD"], ())


def test_a_grant_never_outlives_the_trainer_s_own_right() -> None:
    rig = Rig()
    at = rig.now.wall_at
    assert at is not None
    brief = replace(TRAINER, rights=(Right("saw", Level.TRAINER, since_at=0, until_at=at + 600),))
    (body,) = taught(Assurance.AES, brief).written("training_granted")
    assert body["until_at"] == at + 600


def test_the_trained_member_needs_no_confirmation_any_more_and_pays_on() -> None:
    rig = taught(Assurance.AES)
    rig.sample(busy=True)
    rig.pass_ms((BRIEF.supervise_s + BRIEF.warning_s) * 1_000 + 1_000)
    assert (rig.at(), rig.written("session_ended")) == (State.ENABLED, [])


def test_the_snapshot_s_own_word_replaces_a_delivered_grant_and_only_that() -> None:
    rig = taught(Assurance.AES)
    record = rig.state.grants[0].record
    rig.give(SnapshotActivated(Cache((1, 2)), SAW))
    assert len(rig.state.grants) == 1, "the hub did not know yet"
    rig.give(RecordsDelivered((record,)))
    assert len(rig.state.grants) == 1
    rig.give(SnapshotActivated(Cache((1, 3)), SAW))
    assert not rig.state.grants
    rig.arrive(TRAINEE)
    rig.pass_ms(1_000)
    rig.tap(TRAINEE)
    assert rig.at() is State.WAITING_FOR_SECOND, "revoked at the hub means revoked here"


def test_a_clonable_grant_stands_until_midnight_whatever_snapshots_say() -> None:
    rig = taught(Assurance.UID)
    rig.give(RecordsDelivered((rig.state.grants[0].record,)))
    rig.give(SnapshotActivated(Cache((1, 2)), SAW))
    assert len(rig.state.grants) == 1


def test_grants_are_bounded_and_the_ended_ones_make_room() -> None:
    held: tuple[LocalGrant, ...] = ()
    for number in range(promises.GRANTS_MAX + 5):
        one = LocalGrant(f"m-{number:03}", "saw", 100, 200 + number)
        held = promises.with_grants(held, (one,))
    assert len(held) == promises.GRANTS_MAX
    assert held[0].member == "m-005"
    assert promises.with_grants(held, (LocalGrant("m-x", "saw", 1_000, 2_000),)) == (
        LocalGrant("m-x", "saw", 1_000, 2_000),
    )


def test_a_recovered_grant_counts_after_a_restart() -> None:
    grant = LocalGrant("m-tin", "saw", 0, 4_000_000_000, record="1.7", clonable=False)
    rig = Rig(recovered=Recovered(grants=(grant,)))
    rig.tap(TRAINEE)
    assert rig.is_on


# ------------------------------------------------------------------------------------------ long jobs

PRINTER = replace(BRIEF, long_jobs=True, idle_timeout_s=30, badge_use=BadgeUse.HOLD)


def declared(rules: Rules = PRINTER, *, inputs: Inputs = QUIET) -> Rig:
    rig = Rig(rules, inputs=inputs)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.sample(long_job_pressed=True)
    rig.sample(long_job_pressed=False)
    return rig


def test_the_badge_may_leave_a_declared_long_job_and_the_session_stays_theirs() -> None:
    rig = declared()
    assert rig.written("long_job_declared") == [{"session": "1.1", "member": "m-ada"}]
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(600_000)
    assert (rig.at(), rig.panel.message) == (State.ENABLED, Message.LONG_JOB)
    rig.sample(busy=False)
    rig.pass_ms(1_000)
    rig.arrive(BEN)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])


def test_a_finished_long_job_ends_by_the_idle_timeout_where_idle_is_known() -> None:
    rig = declared()
    rig.sample(busy=True)
    rig.give(BadgeRemoved())
    rig.pass_ms(60_000)
    rig.sample(busy=False)
    rig.pass_ms((30 + PRINTER.warning_s) * 1_000 + 200)
    assert rig.written("session_ended")[0]["how"] == "idle_timeout"


@pytest.mark.parametrize("use", BadgeUse)
def test_a_long_job_never_ends_by_mere_absence(use: BadgeUse) -> None:
    rig = declared(replace(PRINTER, badge_use=use), inputs=Inputs())
    rig.give(BadgeRemoved())
    rig.pass_ms(600_000)
    assert rig.is_on


def test_a_job_is_long_only_when_its_record_is_durable() -> None:
    rig = Rig(PRINTER)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.durable = False
    rig.sample(long_job_pressed=True)
    rig.give(BadgeRemoved())
    rig.pass_ms((PRINTER.grace_s + PRINTER.warning_s) * 1_000 + 200)
    assert not rig.is_on


@pytest.mark.parametrize("rules", [BRIEF, replace(TOGETHER, long_jobs=True)])
def test_no_long_job_where_the_machine_allows_none_or_nobody_may_leave(rules: Rules) -> None:
    rig = Rig(rules)
    rig.tap(ADA)
    rig.tap(BEN)
    rig.sample(long_job_pressed=True)
    assert rig.written("long_job_declared") == []
    watched = supervised(replace(BRIEF, long_jobs=True))
    watched.sample(long_job_pressed=True)
    assert watched.written("long_job_declared") == []


def test_a_declared_job_keeps_the_idle_time_it_has_and_forgets_one_that_nobody_knows() -> None:
    idle = declared()
    idle.pass_ms((30 + PRINTER.warning_s) * 1_000)
    assert idle.written("session_ended")[0]["how"] == "idle_timeout", "counted from the badge on"
    blind = declared(replace(PRINTER, badge_use=BadgeUse.TAP), inputs=Inputs())
    assert blind.state.session is not None
    assert (blind.state.session.long_job, blind.state.session.idle_since_ms) == (True, None)


def test_a_badge_that_left_while_the_job_was_recorded_was_free_to() -> None:
    rig = Rig(PRINTER, durable=False)
    rig.arrive(ADA)
    rig.answer(rig.asked("session_started"))
    rig.pass_ms(100)
    rig.sample(long_job_pressed=True)
    rig.give(BadgeRemoved())
    rig.answer(rig.asked("long_job_declared"))
    assert rig.panel.message is Message.LONG_JOB
    rig.pass_ms(PRINTER.grace_s * 1_000 + 100)
    assert rig.at() is State.ENABLED


def test_a_badge_back_in_the_slot_takes_the_long_job_back() -> None:
    rig = declared()
    rig.give(BadgeRemoved())
    rig.pass_ms(5_000)
    rig.arrive(ADA)
    rig.give(BadgeRemoved())
    rig.pass_ms((PRINTER.grace_s + PRINTER.warning_s) * 1_000 + 200)
    assert not rig.is_on


# ------------------------------------------------------------------------------------- only warned

LENIENT = replace(BRIEF, enforcement=Enforcement.WARN_ONLY)


@pytest.mark.parametrize(
    ("entry", "cache", "reason"),
    [
        (UNTRAINED, CACHE, "NOT_TRAINED"),
        (replace(ADA, status=MemberStatus.SUSPENDED), CACHE, "MEMBER_SUSPENDED"),
        (replace(ADA, member_until_at=1), CACHE, "MEMBERSHIP_EXPIRED"),
        (replace(ADA, credit=Credit.NONE), CACHE, "NO_CREDIT"),
        (TRAINEE, CACHE, "NEEDS_SUPERVISOR"),
        (ADA, Cache((1, 1), BRIEF.max_offline_s + 1), "CACHE_STALE"),
        (None, CACHE, "UNKNOWN_BADGE"),
        (None, Cache(None), "NO_CACHE"),
    ],
)
def test_a_person_who_would_be_refused_works_and_it_is_recorded(
    entry: Entry | None, cache: Cache, reason: str
) -> None:
    rig = Rig(LENIENT)
    rig.arrive(entry, cache=cache)
    rig.pass_ms(100)
    assert rig.is_on
    (body,) = rig.written("session_started")
    assert body["would_refuse"] == reason
    assert body["member"] == (None if entry is None else entry.member)
    assert (rig.panel.message, rig.panel.reason) == (Message.WOULD_BE_REFUSED, Reason(reason))


def test_a_machine_that_enforces_lets_none_of_them_in() -> None:
    rig = Rig(BRIEF)
    rig.arrive(UNTRAINED)
    rig.arrive(None)
    assert (rig.relay, rig.refusals()) == ([], ["NOT_TRAINED", "UNKNOWN_BADGE"])


@pytest.mark.parametrize(
    ("entry", "cache", "trouble", "reason"),
    [
        (replace(ADA, badge=BadgeState.BLOCKED), CACHE, None, "BADGE_BLOCKED"),
        (
            replace(ADA, badge=BadgeState.BLOCKED),
            Cache((1, 1), BRIEF.max_offline_s + 1),
            None,
            "BADGE_BLOCKED",
        ),
        (ADA, CACHE, Reason.BADGE_NOT_GENUINE, "BADGE_NOT_GENUINE"),
        (None, CACHE, Reason.PRESENT_AGAIN, "PRESENT_AGAIN"),
    ],
)
def test_a_bad_badge_never_passes(
    entry: Entry | None, cache: Cache, trouble: Reason | None, reason: str
) -> None:
    rig = Rig(LENIENT)
    rig.arrive(entry, cache=cache, trouble=trouble)
    assert (rig.relay, rig.refusals()) == ([], [reason])


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ({"machine_switch_on": True}, "MACHINE_SWITCH_ON"),
        ({"stop_pressed": True}, "INTERLOCK_OPEN"),
    ],
)
def test_the_machine_s_own_obstacles_are_never_only_warned_of(
    levels: dict[str, bool], reason: str
) -> None:
    rig = Rig(LENIENT)
    rig.sample(**levels)
    rig.arrive(UNTRAINED)
    assert (rig.relay, rig.refusals()) == ([], [reason])


def test_a_hub_lock_out_and_a_dead_journal_are_never_only_warned_of() -> None:
    rig = Rig(LENIENT)
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    rig.arrive(UNTRAINED)
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.give(JournalFailed("disk full"))
    rig.arrive(None)
    assert (rig.relay, rig.refusals()) == ([], ["MACHINE_LOCKED_OUT", "CANNOT_RECORD"])


def test_a_stranger_is_told_by_their_card_from_another_stranger() -> None:
    rig = Rig(replace(LENIENT, badge_use=BadgeUse.TAP))
    rig.arrive(None, tag=b"\xa1" * 16)
    rig.pass_ms(300)
    rig.sample(busy=True)
    rig.arrive(None, tag=b"\xa2" * 16)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])
    rig.sample(busy=False)
    rig.arrive(None, tag=b"\xa1" * 16)
    assert rig.written("session_ended")[0]["how"] == "tap_off"


def test_a_stranger_s_badge_back_in_the_slot_goes_on_where_people_are_only_warned() -> None:
    rig = Rig(replace(HOLD, enforcement=Enforcement.WARN_ONLY))
    rig.arrive(None)
    rig.pass_ms(200)
    rig.give(BadgeRemoved())
    rig.pass_ms(500)
    rig.arrive(None)
    rig.pass_ms(HOLD.grace_s * 1_000 + 200)
    assert rig.at() is State.ENABLED


# ----------------------------------------------------------------------------- credit and the day's use


def test_low_credit_is_said_when_the_session_begins() -> None:
    rig = Rig()
    rig.tap(replace(ADA, credit=Credit.LOW))
    assert (rig.is_on, rig.panel.message) == (True, Message.LOW_CREDIT)
    told = []
    for at_ms in (-1, 0):
        rig.ms = 10_021 + TAP.notice_s * 1_000 + at_ms
        rig.sample()
        told.append(rig.panel.message)
    assert told == [Message.LOW_CREDIT, Message.IN_USE]


def test_the_day_s_use_grows_with_every_progress_and_end_and_refuses_the_next_start_only() -> None:
    rig = Rig(replace(TAP, idle_timeout_s=None))
    rig.give(SnapshotActivated(CACHE, replace(SAW, daily_limit_s=25)))
    rig.tap(ADA)
    rig.pass_ms(30_000)
    assert rig.is_on, "a running session is never cut by it"
    rig.arrive(ADA)
    ended = rig.written("session_ended")[0]
    at = rig.now.wall_at
    assert at is not None
    day = hours.local_day(at, OFFSETS)
    assert rig.state.day_use == DayUse(day, (("m-ada", ended["enabled_ms"]),))
    assert {body["day"] for body in (*rig.written("session_progress"), ended)} == {day}
    rig.pass_ms(1_000)
    rig.tap(ADA)
    rig.tap(BEN)
    assert rig.refusals() == ["DAILY_LIMIT"]
    assert rig.is_on, "Ben has had nothing yet"


def test_a_session_over_midnight_is_counted_to_both_days() -> None:
    rig = Rig(replace(TAP, idle_timeout_s=None))
    rig.give(SnapshotActivated(CACHE, replace(SAW, daily_limit_s=3_600)))
    rig.tap(ADA)
    rig.pass_ms(10_500)
    before = rig.state.day_use
    rig.ms += 86_400_000
    rig.pass_ms(100)
    rig.arrive(ADA)
    days = [
        body["day"] for body in (*rig.written("session_progress"), *rig.written("session_ended"))
    ]
    assert days[0] == before.day
    assert days[-1] == before.day + 1
    assert rig.state.day_use.day == before.day + 1


def test_without_a_limit_nothing_is_counted() -> None:
    rig = Rig()
    rig.tap(ADA)
    rig.pass_ms(11_000)
    rig.arrive(ADA)
    assert rig.state.day_use == DayUse()
    assert "day" not in rig.written("session_ended")[0]


def test_only_the_grant_whose_record_the_hub_has_gives_way() -> None:
    rig = taught(Assurance.AES)
    (ours,) = rig.state.grants
    other = replace(ours, member="m-other", record="1.99")
    rig.state = replace(rig.state, grants=(ours, other))
    rig.give(RecordsDelivered((ours.record,)))
    assert [one.delivered for one in rig.state.grants] == [True, False]
    rig.give(SnapshotActivated(Cache((1, 2)), SAW))
    assert rig.state.grants == (other,)
