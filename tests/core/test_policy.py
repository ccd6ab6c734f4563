"""decide(): each reason, in its order, and what an untrusted clock may not extend."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Demands,
    Entry,
    Granted,
    Level,
    MemberStatus,
    Needs,
    Now,
    Reason,
    Refusal,
    Right,
    Rules,
)
from interlock.core.policy import SHORT_RIGHT_S, decide
from tests.core.rig import ADA, CACHE, WALL_AT

pytestmark = pytest.mark.fast

RULES = Rules(demands=Demands(("saw",)))
NOW = Now(1_000, WALL_AT, True)
UNTRUSTED = Now(1_000, WALL_AT, False)
DAY_S = 86_400


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


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        (reason(cache=Cache(None)), Reason.NO_CACHE),
        (reason(cache=Cache((1, 1), RULES.max_offline_s + 1)), Reason.CACHE_STALE),
        (reason(cache=Cache((1, 1), RULES.max_offline_s)), None),
        (reason(None), Reason.UNKNOWN_BADGE),
        (reason(replace(ADA, badge=BadgeState.BLOCKED)), Reason.BADGE_BLOCKED),
        (reason(rules=replace(RULES, min_assurance=Assurance.AES)), Reason.BADGE_NOT_SECURE_ENOUGH),
        (reason(replace(ADA, status=MemberStatus.SUSPENDED)), Reason.MEMBER_SUSPENDED),
        (reason(replace(ADA, member_until_at=WALL_AT)), Reason.MEMBERSHIP_EXPIRED),
        (reason(replace(ADA, member_until_at=WALL_AT + 1)), None),
        (reason(replace(ADA, rights=())), Reason.NOT_TRAINED),
        (reason(with_right(training="laser")), Reason.NOT_TRAINED),
        (reason(with_right(until_at=WALL_AT)), Reason.TRAINING_EXPIRED),
        (reason(with_right(lapses_at=WALL_AT)), Reason.TRAINING_LAPSED),
        (reason(with_right(level=Level.SUPERVISED)), Reason.NEEDS_SUPERVISOR),
        (reason(with_right(level=Level.TRAINER)), None),
    ],
)
def test_each_refusal_has_its_own_reason(why: Reason | None, expected: Reason | None) -> None:
    assert why is expected


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
    assert reason(ADA, rules) is Reason.NOT_TRAINED


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
