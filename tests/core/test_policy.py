"""decide(): each reason, in its order, and what an untrusted clock may not extend."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Credit,
    Demands,
    Entry,
    Granted,
    Level,
    LocalGrant,
    MemberStatus,
    Needs,
    Now,
    Reason,
    Refusal,
    Reservation,
    Right,
    Rules,
    Schedule,
)
from interlock.core.policy import SHORT_RIGHT_S, Circumstances, accompanies, decide
from tests.core.rig import ADA, CACHE, WALL_AT

pytestmark = pytest.mark.fast

RULES = Rules(demands=Demands(("saw",)))
NOW = Now(1_000, WALL_AT, True)
UNTRUSTED = Now(1_000, WALL_AT, False)
DAY_S = 86_400
BEN_S = Reservation(WALL_AT, WALL_AT + 1, "m-ben")
OUTSIDE = Rules(
    demands=Demands(
        ("saw",), hours="never", schedules=(Schedule("never", ()),), offsets=((0, 3_600),)
    )
)


def reason(
    entry: Entry | None = ADA,
    rules: Rules = RULES,
    now: Now = NOW,
    cache: Cache = CACHE,
    assurance: Assurance = Assurance.UID,
) -> Reason | None:
    decision = decide(entry, rules, now, cache, assurance)
    return decision.reason if isinstance(decision, Refusal) else None


def with_right(**changes: object) -> Entry:
    return replace(ADA, rights=(replace(ADA.rights[0], **changes),))  # type: ignore[arg-type]


def test_a_trained_active_member_is_granted_under_their_own_id() -> None:
    assert decide(ADA, RULES, NOW, CACHE, Assurance.UID) == Granted("m-ada", "fr", "Ada")


ASKED: list[tuple[dict[str, Any], Refusal | None]] = [
    ({"cache": Cache(None)}, Refusal(Reason.NO_CACHE)),
    ({"entry": None, "cache": Cache(None)}, Refusal(Reason.NO_CACHE)),
    ({"cache": Cache((1, 1), RULES.max_offline_s + 1)}, Refusal(Reason.CACHE_STALE, "fr")),
    (
        {"entry": None, "cache": Cache((1, 1), RULES.max_offline_s + 1)},
        Refusal(Reason.CACHE_STALE),
    ),
    ({"cache": Cache((1, 1), RULES.max_offline_s)}, None),
    ({"entry": None}, Refusal(Reason.UNKNOWN_BADGE)),
    ({"entry": replace(ADA, badge=BadgeState.BLOCKED)}, Refusal(Reason.BADGE_BLOCKED, "fr")),
    (
        {"rules": replace(RULES, min_assurance=Assurance.AES)},
        Refusal(Reason.BADGE_NOT_SECURE_ENOUGH, "fr"),
    ),
    ({"rules": replace(RULES, min_assurance=Assurance.AES), "assurance": Assurance.AES}, None),
    (
        {"entry": replace(ADA, status=MemberStatus.SUSPENDED)},
        Refusal(Reason.MEMBER_SUSPENDED, "fr"),
    ),
    (
        {"rules": Rules(demands=Demands(("saw",), locked_out=True))},
        Refusal(Reason.MACHINE_LOCKED_OUT, "fr"),
    ),
    ({"entry": replace(ADA, member_until_at=WALL_AT)}, Refusal(Reason.MEMBERSHIP_EXPIRED, "fr")),
    ({"entry": replace(ADA, member_until_at=WALL_AT + 1)}, None),
    ({"entry": replace(ADA, rights=())}, Refusal(Reason.NOT_TRAINED, "fr", "saw")),
    ({"entry": with_right(training="laser")}, Refusal(Reason.NOT_TRAINED, "fr", "saw")),
    ({"entry": with_right(until_at=WALL_AT)}, Refusal(Reason.TRAINING_EXPIRED, "fr", "saw")),
    ({"entry": with_right(until_at=WALL_AT + 1)}, None),
    ({"entry": with_right(lapses_at=WALL_AT)}, Refusal(Reason.TRAINING_LAPSED, "fr", "saw")),
    ({"entry": with_right(lapses_at=WALL_AT + 1)}, None),
    (
        {"entry": with_right(level=Level.SUPERVISED)},
        Refusal(Reason.NEEDS_SUPERVISOR, "fr", "saw"),
    ),
    ({"entry": with_right(level=Level.TRAINER)}, None),
    (
        {"rules": Rules(demands=Demands(("saw",), hours="nobody described"))},
        Refusal(Reason.CLOCK_UNTRUSTED, "fr"),
    ),
    ({"rules": OUTSIDE}, Refusal(Reason.OUTSIDE_HOURS, "fr")),
    (
        {"rules": Rules(demands=Demands(("saw",), reservations=(BEN_S,)))},
        Refusal(Reason.RESERVED, "fr"),
    ),
    ({"entry": replace(ADA, credit=Credit.NONE)}, Refusal(Reason.NO_CREDIT, "fr")),
    (
        {"rules": Rules(demands=Demands(("saw",), daily_limit_s=0))},
        Refusal(Reason.DAILY_LIMIT, "fr"),
    ),
    ({"rules": replace(RULES, second_person=True)}, Refusal(Reason.NEEDS_SECOND_PERSON, "fr")),
]


@pytest.mark.parametrize(("asked", "expected"), ASKED)
def test_each_refusal_has_its_own_reason_in_the_member_s_language_and_says_what_is_missing(
    asked: dict[str, Any], expected: Refusal | None
) -> None:
    decision = decide(
        asked.get("entry", ADA),
        asked.get("rules", RULES),
        NOW,
        asked.get("cache", CACHE),
        asked.get("assurance", Assurance.UID),
    )
    assert (decision if isinstance(decision, Refusal) else None) == expected


@pytest.mark.parametrize(("asked", "expected"), ASKED)
def test_whoever_is_there_is_refused_for_what_they_are_and_not_for_what_they_may(
    asked: dict[str, Any], expected: Refusal | None
) -> None:
    personal = {
        *(Reason.NO_CACHE, Reason.CACHE_STALE, Reason.UNKNOWN_BADGE, Reason.BADGE_BLOCKED),
        *(Reason.BADGE_NOT_SECURE_ENOUGH, Reason.MEMBER_SUSPENDED, Reason.MEMBERSHIP_EXPIRED),
    }
    refusal = accompanies(
        asked.get("entry", ADA),
        asked.get("rules", RULES),
        NOW,
        asked.get("cache", CACHE),
        asked.get("assurance", Assurance.UID),
    )
    assert refusal == (expected if expected and expected.reason in personal else None)


NEARER: dict[Reason, tuple[Right, ...]] = {
    Reason.NOT_TRAINED: (),
    Reason.TRAINING_EXPIRED: (Right("", Level.ALONE, until_at=WALL_AT),),
    Reason.TRAINING_LAPSED: (Right("", Level.ALONE, lapses_at=WALL_AT),),
    Reason.CLOCK_UNTRUSTED: (Right("", Level.ALONE, WALL_AT, WALL_AT + 60),),
    Reason.NEEDS_SUPERVISOR: (Right("", Level.SUPERVISED),),
}
"""What somebody has of a training while the clock is untrusted, from nothing to nearly all."""


def test_of_two_things_missing_the_furthest_is_named_where_both_are_asked_and_else_the_nearest() -> (
    None
):
    order = list(NEARER)
    for saw, laser in product(order, order):
        rights = tuple(
            replace(right, training=training)
            for training, reason in (("saw", saw), ("laser", laser))
            for right in NEARER[reason]
        )
        entry = replace(ADA, rights=rights)
        asked = {needs: Demands(("saw", "laser"), needs) for needs in Needs}
        named = {
            needs: decide(entry, Rules(demands=demands), UNTRUSTED, CACHE, Assurance.UID)
            for needs, demands in asked.items()
        }
        saw_is_further = order.index(saw) <= order.index(laser)
        saw_is_nearer = order.index(saw) >= order.index(laser)
        assert named == {
            Needs.ALL: Refusal(*((saw, "fr", "saw") if saw_is_further else (laser, "fr", "laser"))),
            Needs.ANY: Refusal(*((saw, "fr", "saw") if saw_is_nearer else (laser, "fr", "laser"))),
        }


def test_of_two_rights_to_one_training_the_better_counts() -> None:
    order = list(NEARER)[1:]
    for one, other in product(order, order):
        rights = tuple(replace(NEARER[reason][0], training="saw") for reason in (one, other))
        better = max(one, other, key=order.index)
        assert reason(replace(ADA, rights=rights), now=UNTRUSTED) is better
        enough = replace(ADA, rights=(*rights, Right("saw", Level.ALONE)))
        assert reason(enough, now=UNTRUSTED) is None


def test_a_machine_that_needs_any_training_takes_one_and_names_the_nearest_otherwise() -> None:
    rules = Rules(demands=Demands(("saw", "laser"), Needs.ANY))
    assert reason(rules=rules) is None
    assert reason(rules=Rules(demands=Demands(("saw", "laser")))) is Reason.NOT_TRAINED
    lapsed = with_right(lapses_at=WALL_AT)
    decision = decide(lapsed, rules, NOW, CACHE, Assurance.UID)
    assert decision == Refusal(Reason.TRAINING_LAPSED, "fr", "saw")


def test_a_machine_without_trainings_takes_every_active_member() -> None:
    assert reason(replace(ADA, rights=()), Rules()) is None


def test_any_of_no_trainings_is_held_by_nobody() -> None:
    rules = Rules(demands=Demands((), Needs.ANY))
    decision = decide(ADA, rules, NOW, CACHE, Assurance.UID)
    assert decision == Refusal(Reason.NOT_TRAINED, "fr")


def test_a_day_pass_is_refused_while_the_clock_is_untrusted() -> None:
    day_pass = with_right(since_at=WALL_AT, until_at=WALL_AT + DAY_S)
    assert reason(day_pass) is None
    assert reason(day_pass, now=UNTRUSTED) is Reason.CLOCK_UNTRUSTED


def test_a_longer_right_survives_a_power_cut_without_internet() -> None:
    year = with_right(since_at=WALL_AT - 364 * DAY_S, until_at=WALL_AT + DAY_S)
    assert reason(year, now=UNTRUSTED) is None
    assert reason(year, now=Now(1_000, None, False)) is None
    two_days = with_right(since_at=WALL_AT, until_at=WALL_AT + SHORT_RIGHT_S)
    assert reason(two_days, now=UNTRUSTED) is None


dates = st.none() | st.integers(WALL_AT - 10, WALL_AT + 10)


@given(
    rights=st.lists(
        st.builds(
            Right,
            st.sampled_from(["saw", "laser"]),
            st.sampled_from(Level),
            st.none(),
            dates,
            dates,
        ),
        max_size=4,
    ),
    member_until_at=dates,
    wall_at=st.integers(WALL_AT - 20, WALL_AT + 20),
    later_s=st.integers(0, 40),
    needs=st.sampled_from(Needs),
)
def test_time_only_takes_rights_away(
    rights: list[Right], member_until_at: int | None, wall_at: int, later_s: int, needs: Needs
) -> None:
    """A5: what is refused now is refused at every later instant."""
    entry = replace(ADA, rights=tuple(rights), member_until_at=member_until_at)
    rules = Rules(demands=Demands(("saw", "laser"), needs))
    now, later = Now(0, wall_at, True), Now(0, wall_at + later_s, True)
    if reason(entry, rules, now) is not None:
        assert reason(entry, rules, later) is not None


@given(st.lists(st.sampled_from(["saw", "laser", "mill"]), max_size=3, unique=True))
def test_more_rights_never_take_power_away(names: list[str]) -> None:
    rules = Rules(demands=Demands(("saw", "laser")))
    rights = tuple(Right(name, Level.ALONE) for name in names)
    decision = reason(replace(ADA, rights=rights), rules)
    assert (decision is None) == ({"saw", "laser"} <= set(names))


@pytest.mark.parametrize(("lapses_at", "may"), [(WALL_AT + 1, True), (WALL_AT, False)])
def test_what_was_granted_here_ends_with_the_right_it_was_granted_upon(
    lapses_at: int, may: bool
) -> None:
    """A supervised training that lapsed is gone (A4): no trainer's grant upon it outlives it."""
    learning = with_right(level=Level.SUPERVISED, lapses_at=lapses_at)
    grant = LocalGrant(ADA.member, "saw", WALL_AT - 600, WALL_AT + 3_600, "1.1")
    found = decide(learning, RULES, NOW, CACHE, Assurance.AES, Circumstances(grants=(grant,)))
    assert isinstance(found, Granted) is may
