"""The people at the machine: waiting for somebody, supervised, together, and one after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import people
from interlock.core.effects import Message, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    CutRequested,
    EndRequested,
    Event,
    JournalFailed,
    ReaderFailed,
    SeveralBadgesSeen,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Demands,
    Entry,
    Granted,
    Inputs,
    Level,
    MemberStatus,
    Presented,
    Reason,
    Right,
    Rules,
)
from interlock.core.states import Company, State
from tests.core.rig import (
    ADA,
    BEN,
    CACHE,
    HOLD,
    QUIET,
    TAP,
    TECHNICIAN,
    TRAINEE,
    TRAINER,
    UNTRAINED,
    Rig,
)

pytestmark = pytest.mark.fast

BRIEF = replace(TAP, second_wait_s=5, supervise_s=60, idle_timeout_s=None)
BRIEF_HOLD = replace(BRIEF, badge_use=HOLD.badge_use)
TOGETHER = replace(BRIEF, second_person=True)


def supervised(rules: Rules = BRIEF, *, inputs: Inputs = QUIET) -> Rig:
    """A machine that a trainee runs under their trainer's eyes."""
    rig = Rig(rules, inputs=inputs)
    rig.tap(TRAINEE)
    rig.arrive(TRAINER)
    rig.pass_ms(100)
    assert rig.at() is State.ENABLED
    return rig


def test_a_trainee_alone_waits_for_a_trainer_with_nothing_powered_and_is_refused_at_the_end() -> (
    None
):
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    assert (rig.at(), rig.relay) == (State.WAITING_FOR_SECOND, [])
    assert (rig.panel.message, rig.panel.seconds) == (Message.WAITING_FOR_TRAINER, 5)
    rig.pass_ms(BRIEF.second_wait_s * 1_000 - 300)
    assert (rig.at(), rig.refusals()) == (State.WAITING_FOR_SECOND, [])
    rig.pass_ms(200)
    assert (rig.at(), rig.refusals()) == (State.LOCKED, ["NEEDS_SUPERVISOR"])
    assert (rig.panel.reason, rig.panel.training) == (Reason.NEEDS_SUPERVISOR, "saw")
    rig.arrive(TRAINER)
    assert rig.state.session is not None
    assert rig.state.session.granted.member == TRAINER.member, "too late: it is their own session"


def test_a_trainer_who_comes_in_time_opens_a_supervised_session_in_the_trainee_s_name() -> None:
    rig = Rig(BRIEF, durable=False)
    rig.tap(TRAINEE)
    (write,) = [e for e in rig.arrive(TRAINER) if isinstance(e, WriteRecord)]
    assert (rig.at(), rig.relay) == (State.STARTING, [])
    rig.answer(write)
    rig.pass_ms(100)
    assert rig.is_on
    body = write.body
    assert (body["member"], body["supervisor"], body["second"]) == ("m-tin", "m-tra", None)
    assert body["tag"] == TRAINEE.tag.hex()
    assert rig.panel.message is Message.SUPERVISED


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (ADA, "MACHINE_IN_USE"),
        (replace(TRAINER, rights=(Right("laser", Level.TRAINER),)), "MACHINE_IN_USE"),
        (replace(TRAINER, rights=(Right("saw", Level.TRAINER, until_at=1),)), "MACHINE_IN_USE"),
        (replace(TRAINER, badge=BadgeState.BLOCKED), "BADGE_BLOCKED"),
        (replace(TRAINER, status=MemberStatus.SUSPENDED), "MEMBER_SUSPENDED"),
        (replace(TRAINER, member_until_at=1), "MEMBERSHIP_EXPIRED"),
        (None, "UNKNOWN_BADGE"),
    ],
)
def test_nobody_but_a_trainer_of_that_training_answers_for_a_trainee(
    other: Entry | None, reason: str
) -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.arrive(other)
    assert (rig.at(), rig.refusals()) == (State.WAITING_FOR_SECOND, [reason])
    rig.arrive(TRAINER)
    assert rig.at() in (State.STARTING, State.ENABLED), "the first one waited on"


def test_an_untrained_member_cannot_be_supervised() -> None:
    rig = Rig(BRIEF)
    rig.tap(UNTRAINED)
    assert (rig.at(), rig.refusals()) == (State.LOCKED, ["NOT_TRAINED"])


def test_the_first_one_s_own_badge_again_opens_nothing() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    second_badge = replace(TRAINEE, tag=b"\x15" * 16)
    rig.tap(second_badge)
    assert (rig.at(), rig.relay, rig.refusals()) == (State.WAITING_FOR_SECOND, [], [])


def test_a_trainer_seen_before_the_last_stop_completes_nothing() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False)
    assert (rig.at(), rig.refusals()) == (State.LOCKED, ["NEEDS_SUPERVISOR"])
    rig.tap(TRAINEE)
    rig.arrive(TRAINER, ago_ms=1_000)
    assert (rig.at(), rig.refusals()[-1]) == (State.WAITING_FOR_SECOND, "PRESENT_AGAIN")


@pytest.mark.parametrize(
    "event",
    [
        CutRequested(),
        EndRequested(),
        JournalFailed("disk full"),
        ReaderFailed("dead"),
        TerminationRequested(),
    ],
)
def test_whatever_ends_a_start_ends_the_waiting_too(event: Event) -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.give(event)
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    assert rig.refusals() == ["NEEDS_SUPERVISOR"], "every decision is recorded"


@pytest.mark.parametrize(
    ("levels", "state"),
    [
        ({"emergency_stop_closed": False}, State.LOCKED),
        ({"broken_pressed": True}, State.LOCKED_OUT),
        ({"bypass_on": True}, State.UNMETERED),
    ],
)
def test_a_level_that_ends_the_waiting_leads_where_it_always_leads(
    levels: dict[str, bool], state: State
) -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.sample(**levels)
    rig.pass_ms(200)
    assert (rig.at(), rig.relay) == (state, [])


def test_nobody_waits_at_a_machine_that_could_not_start_anyhow() -> None:
    rig = Rig(BRIEF)
    rig.sample(machine_switch_on=True)
    rig.tap(TRAINEE)
    assert (rig.at(), rig.refusals()) == (State.LOCKED, ["MACHINE_SWITCH_ON"])


def test_what_came_in_the_way_meanwhile_is_said_when_the_trainer_comes() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.sample(machine_switch_on=True)
    rig.arrive(TRAINER)
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    assert (rig.panel.reason, rig.panel.language) == (Reason.MACHINE_SWITCH_ON, TRAINEE.language)


def test_a_right_taken_away_while_waiting_gives_nothing() -> None:
    """A4: what the first badge's entry says now is known only when it is presented again."""
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    newer = Cache((1, 2))
    rig.give(SnapshotActivated(newer, Demands(("saw",))))
    rig.arrive(TRAINER, cache=newer)
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    assert rig.panel.reason is Reason.PRESENT_AGAIN
    rig.arrive(replace(TRAINEE, status=MemberStatus.SUSPENDED), cache=newer)
    assert rig.refusals() == ["NEEDS_SUPERVISOR", "MEMBER_SUSPENDED"]


def test_two_badges_at_once_are_nobody_s_and_the_first_waits_on() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.give(SeveralBadgesSeen())
    assert (rig.at(), rig.refusals()) == (State.WAITING_FOR_SECOND, ["SEVERAL_BADGES"])


def test_a_trainer_who_does_not_confirm_again_is_asked_and_then_the_session_ends() -> None:
    rig = supervised()
    rig.sample(busy=True)
    rig.pass_ms(BRIEF.supervise_s * 1_000)
    assert (rig.panel.message, rig.is_on) == (Message.CONFIRM_SUPERVISION, True)
    asked_ms = rig.ms
    rig.sample(busy=False)
    rig.pass_ms(BRIEF.warning_s * 1_000 - 500)
    assert rig.is_on, "an idle machine gets the whole warning, too"
    rig.pass_ms(500)
    assert 0 <= rig.relay[-1][0] - asked_ms - BRIEF.warning_s * 1_000 + 100 <= 120
    assert rig.written("session_ended")[0]["how"] == "supervision_over"


def test_a_trainer_s_tap_confirms_and_never_ends_the_trainee_s_session() -> None:
    rig = supervised()
    for _ in range(3):
        rig.pass_ms(BRIEF.supervise_s * 1_000 - 1_000)
        rig.arrive(TRAINER)
        assert rig.at() is State.ENABLED
    rig.pass_ms(BRIEF.supervise_s * 1_000 + 500)
    assert rig.at() is State.ENDING
    rig.arrive(TRAINER)
    assert rig.at() is State.ENABLED
    rig.pass_ms(BRIEF.supervise_s * 1_000 - 500)
    assert [on for _, on in rig.relay] == [True]
    confirmed = rig.written("supervision_confirmed")
    assert [(body["session"], body["by"]) for body in confirmed] == [("1.1", "m-tra")] * 4


def test_neither_the_trainee_nor_a_trainer_of_something_else_confirms() -> None:
    rig = supervised()
    rig.pass_ms(BRIEF.supervise_s * 1_000 + 500)
    rig.arrive(TRAINEE)
    rig.arrive(replace(TRAINER, rights=(Right("laser", Level.TRAINER),)))
    rig.arrive(replace(TRAINER, badge=BadgeState.BLOCKED))
    assert rig.at() is State.ENDING
    rig.pass_ms(BRIEF.warning_s * 1_000)
    assert not rig.is_on


def test_another_trainer_of_the_training_may_take_the_watch_over() -> None:
    rig = supervised()
    colleague = replace(TRAINER, tag=b"\x16" * 16, member="m-col")
    rig.arrive(colleague)
    assert rig.state.session is not None
    assert rig.state.session.company.supervisor == "m-col"
    assert rig.written("supervision_confirmed")[0]["by"] == "m-col"


def test_a_trainer_confirms_although_the_hub_is_away() -> None:
    rig = supervised()
    rig.arrive(TRAINER, cache=Cache((1, 1), BRIEF.max_offline_s + 1))
    assert len(rig.written("supervision_confirmed")) == 1


def test_the_trainee_s_tap_ends_their_session() -> None:
    rig = supervised()
    rig.arrive(TRAINEE)
    assert rig.written("session_ended")[0]["how"] == "tap_off"


def test_in_hold_either_badge_of_the_company_may_lie_in_the_slot() -> None:
    rig = Rig(BRIEF_HOLD)
    rig.arrive(TRAINEE)
    rig.give(BadgeRemoved())
    assert rig.at() is State.WAITING_FOR_SECOND, "one slot: the first badge has to leave it"
    rig.arrive(TRAINER)
    rig.pass_ms(1_000)
    assert rig.is_on
    for entry in (TRAINEE, TRAINER):
        rig.give(BadgeRemoved())
        rig.pass_ms(500)
        rig.arrive(entry)
        rig.pass_ms(BRIEF_HOLD.grace_s * 1_000 + 500)
        assert rig.at() is State.ENABLED
    rig.give(BadgeRemoved())
    rig.pass_ms(BRIEF_HOLD.grace_s * 1_000 + 500)
    assert not rig.is_on


def test_a_machine_for_two_waits_for_any_other_active_member() -> None:
    rig = Rig(TOGETHER)
    rig.tap(ADA)
    assert (rig.at(), rig.panel.message) == (
        State.WAITING_FOR_SECOND,
        Message.WAITING_FOR_SECOND,
    )
    rig.tap(UNTRAINED)
    assert rig.is_on
    body = rig.written("session_started")[0]
    assert (body["member"], body["supervisor"], body["second"]) == ("m-ada", None, "m-new")


def test_nobody_is_their_own_second_person() -> None:
    rig = Rig(TOGETHER)
    rig.tap(ADA)
    rig.tap(replace(ADA, tag=b"\x11" * 16))
    rig.pass_ms(TOGETHER.second_wait_s * 1_000)
    assert (rig.relay, rig.refusals()) == ([], ["NEEDS_SECOND_PERSON"])


def test_the_second_person_s_tap_neither_ends_nor_takes_over() -> None:
    rig = Rig(TOGETHER)
    rig.tap(ADA)
    rig.tap(BEN)
    rig.tap(BEN)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, [])


def test_a_trainer_is_company_enough_for_a_trainee_at_a_machine_for_two() -> None:
    rig = supervised(TOGETHER)
    assert rig.written("session_started")[0]["supervisor"] == "m-tra"


def test_a_badge_that_is_not_genuine_is_refused_first_of_all_in_every_path() -> None:
    rig = Rig(BRIEF)
    rig.arrive(ADA, trouble=Reason.BADGE_NOT_GENUINE, cache=Cache(None))
    assert (rig.at(), rig.refusals()) == (State.LOCKED, ["BADGE_NOT_GENUINE"])
    rig.tap(TRAINEE)
    rig.arrive(TRAINER, trouble=Reason.BADGE_NOT_GENUINE)
    assert (rig.at(), rig.refusals()[-1]) == (State.WAITING_FOR_SECOND, "BADGE_NOT_GENUINE")
    rig = supervised()
    rig.arrive(TRAINEE, trouble=Reason.BADGE_NOT_GENUINE)
    rig.arrive(TRAINER, trouble=Reason.PRESENT_AGAIN)
    rig.arrive(ADA, trouble=Reason.BADGE_NOT_GENUINE)
    assert rig.at() is State.ENABLED
    assert rig.refusals() == ["BADGE_NOT_GENUINE", "PRESENT_AGAIN", "BADGE_NOT_GENUINE"]
    assert rig.written("supervision_confirmed") == []
    rig.sample(busy=True)
    rig.give(EndRequested())
    rig.arrive(TRAINER, trouble=Reason.BADGE_NOT_GENUINE)
    assert rig.at() is State.ENDING
    locked = Rig(BRIEF)
    locked.sample(broken_pressed=True)
    locked.arrive(TECHNICIAN, trouble=Reason.BADGE_NOT_GENUINE)
    assert (locked.at(), locked.refusals()) == (State.LOCKED_OUT, ["BADGE_NOT_GENUINE"])


def test_a_false_badge_while_starting_is_refused_and_changes_nothing() -> None:
    rig = Rig(BRIEF, durable=False)
    rig.arrive(ADA)
    rig.arrive(ADA, trouble=Reason.BADGE_NOT_GENUINE)
    assert (rig.at(), rig.refusals()) == (State.STARTING, ["BADGE_NOT_GENUINE"])


def test_an_unknown_badge_is_refused_with_the_code_the_desk_finds_it_by() -> None:
    rig = Rig(BRIEF)
    rig.arrive(None, code="7K2M")
    assert (rig.panel.reason, rig.panel.detail) == (Reason.UNKNOWN_BADGE, "7K2M")


def test_a_blocked_badge_is_reported_with_its_evidence() -> None:
    rig = Rig(BRIEF)
    effects = rig.arrive(replace(ADA, badge=BadgeState.BLOCKED), cache=CACHE)
    (report,) = [e for e in effects if type(e).__name__ == "ReportRefusal"]
    body = report.body  # type: ignore[union-attr]
    assert (body["reason"], body["member"]) == ("BADGE_BLOCKED", "m-ada")
    assert body["evidence"]["entry"]["badge"] == "blocked"


# ------------------------------------------------------------------- whose the machine is, and who teaches


@pytest.mark.parametrize(
    ("granted", "entry", "tag", "is_theirs"),
    [
        (Granted("m-ada", "fr", tag=b"1"), ADA, b"1", True),
        (Granted("m-ada", "fr", tag=b"1"), ADA, b"2", True),
        (Granted("m-ada", "fr", tag=b"1"), BEN, b"1", False),
        (Granted("m-ada", "fr", tag=b"1"), None, b"1", True),
        (Granted("m-ada", "fr", tag=b"1"), None, b"2", False),
        (Granted(None, None, tag=b"1"), ADA, b"1", True),
        (Granted(None, None, tag=b"1"), ADA, b"2", False),
        (Granted(None, None, tag=b"1"), None, b"1", True),
        (Granted(None, None, tag=b"1"), None, b"2", False),
    ],
)
def test_whoever_has_a_name_is_told_by_it_and_everybody_else_by_the_card(
    granted: Granted, entry: Entry | None, tag: bytes, is_theirs: bool
) -> None:
    badge = Presented(tag, 0, Assurance.UID, entry, CACHE)
    assert people.is_holder(granted, badge) is is_theirs


def test_a_trainer_who_works_with_a_second_person_has_not_stayed_for_a_trainee() -> None:
    """Their tap was for their own work: whoever they teach asks them again."""
    alone = Rig(BRIEF)
    alone.tap(TRAINER)
    alone.tap(TRAINEE)
    assert alone.written("session_started")[-1]["supervisor"] == "m-tra"
    accompanied = Rig(TOGETHER)
    accompanied.tap(TRAINER)
    accompanied.tap(BEN)
    accompanied.tap(TRAINEE)
    assert (accompanied.at(), accompanied.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])
    assert [body["member"] for body in accompanied.written("session_started")] == ["m-tra"]


def test_a_trainee_whose_right_has_an_end_takes_over_from_their_trainer_like_any_other() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINER)
    rig.tap(replace(TRAINEE, rights=(Right("saw", Level.SUPERVISED, until_at=4_000_000_000),)))
    rig.pass_ms(1_000)
    assert rig.state.session is not None
    assert rig.state.session.company == Company(supervisor="m-tra", trainings=("saw",))


def test_in_hold_the_second_person_s_badge_keeps_the_session_and_the_third_s_does_not() -> None:
    rig = Rig(replace(TOGETHER, badge_use=HOLD.badge_use))
    rig.arrive(ADA)
    rig.give(BadgeRemoved())
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    rig.sample(busy=True)
    for entry, missing in ((BEN, False), (UNTRAINED, True)):
        rig.give(BadgeRemoved())
        rig.arrive(entry)
        assert rig.state.session is not None
        assert (rig.state.session.missing is not None) is missing
    rig.pass_ms((HOLD.grace_s + HOLD.warning_s) * 1_000 + 100)
    assert not rig.is_on


def test_a_machine_that_could_not_close_asks_the_journal_for_nothing_when_a_trainer_comes() -> None:
    rig = Rig(BRIEF)
    rig.tap(TRAINEE)
    rig.sample(machine_switch_on=True)
    rig.tap(TRAINER)
    assert (rig.types(), rig.at()) == ([], State.LOCKED)
