"""Local time from offsets alone, both daylight-saving nights, hours, reservations, credit, daily limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import day_use, hours
from interlock.core.model import (
    Assurance,
    Credit,
    DayUse,
    Demands,
    Entry,
    Granted,
    Level,
    LocalGrant,
    Now,
    Reason,
    Refusal,
    Reservation,
    Right,
    Rules,
    Schedule,
)
from interlock.core.policy import Circumstances, decide, trains, unsupervised
from tests.core.rig import ADA, CACHE

pytestmark = pytest.mark.fast

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    """A UTC instant, `2027-03-28 01:30`."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())


OFFSETS = (
    (at("2026-10-25 01:00"), 3_600),
    (at("2027-03-28 01:00"), 7_200),
    (at("2027-10-31 01:00"), 3_600),
)
TWO_TO_THREE = Schedule("small hours", (((6 * 24 + 2) * 60, (6 * 24 + 3) * 60),))
"""Sundays from two to three: the hour that one night does not have and another has twice."""
EVENINGS = Schedule("evenings", tuple((d * 1_440 + 18 * 60, d * 1_440 + 22 * 60) for d in range(5)))


def demands(**changes: object) -> Demands:
    plain = Demands(("saw",), schedules=(TWO_TO_THREE, EVENINGS), offsets=OFFSETS)
    return replace(plain, **changes)  # type: ignore[arg-type]


def reason(
    asked: Demands,
    when: str,
    entry: Entry = ADA,
    *,
    trusted: bool = True,
    around: Circumstances | None = None,
) -> Reason | None:
    decision = decide(
        entry,
        Rules().tightened(asked),
        Now(1_000, at(when), trusted),
        CACHE,
        Assurance.UID,
        around or Circumstances(),
    )
    return decision.reason if isinstance(decision, Refusal) else None


@given(st.integers(OFFSETS[0][0], at("2027-12-31 23:59")))
def test_local_time_is_what_a_time_zone_database_says(when: int) -> None:
    there = datetime.fromtimestamp(when, BERLIN)
    local = hours.local_s(when, OFFSETS)
    assert local is not None
    assert hours.week_minute(local) == (there.weekday() * 24 + there.hour) * 60 + there.minute
    assert hours.local_day(when, OFFSETS) == (there.date() - datetime(1970, 1, 1).date()).days  # noqa: DTZ001


@given(st.integers(OFFSETS[0][0], at("2027-12-31 23:59")))
def test_the_next_midnight_is_the_first_second_of_the_next_day(when: int) -> None:
    midnight_at = hours.midnight_after(when, OFFSETS)
    assert midnight_at is not None
    assert midnight_at > when
    assert hours.local_day(midnight_at, OFFSETS) == hours.local_day(when, OFFSETS) + 1
    assert hours.local_day(midnight_at - 1, OFFSETS) == hours.local_day(when, OFFSETS)


def test_a_clock_set_forward_over_midnight_begins_the_day_with_the_change() -> None:
    offsets = ((0, 0), (86_400, 3_600))
    assert hours.midnight_after(80_000, offsets) == 86_400


def test_before_the_first_offset_nobody_knows_the_lab_s_clock() -> None:
    assert hours.local_s(OFFSETS[0][0] - 1, OFFSETS) is None
    assert hours.midnight_after(OFFSETS[0][0] - 1, OFFSETS) is None


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2027-03-21 01:30", None),
        ("2027-03-28 00:59", Reason.OUTSIDE_HOURS),
        ("2027-03-28 01:00", Reason.OUTSIDE_HOURS),
        ("2027-03-28 01:30", Reason.OUTSIDE_HOURS),
        ("2027-04-04 00:30", None),
        ("2027-10-30 23:59", Reason.OUTSIDE_HOURS),
        ("2027-10-31 00:00", None),
        ("2027-10-31 00:59", None),
        ("2027-10-31 01:00", None),
        ("2027-10-31 01:59", None),
        ("2027-10-31 02:00", Reason.OUTSIDE_HOURS),
    ],
)
def test_an_hour_is_missing_on_one_night_and_open_twice_on_the_other(
    when: str, expected: Reason | None
) -> None:
    assert reason(demands(hours="small hours"), when) is expected


def test_the_group_of_the_member_goes_before_the_machine() -> None:
    evening, night = "2027-01-04 18:00", "2027-01-03 01:15"
    in_group = replace(ADA, hours="evenings")
    assert reason(demands(hours="small hours"), evening) is Reason.OUTSIDE_HOURS
    assert reason(demands(hours="small hours"), evening, in_group) is None
    assert reason(demands(hours="small hours"), night, in_group) is Reason.OUTSIDE_HOURS
    assert reason(demands(), evening, replace(ADA, hours="forgotten")) is Reason.OUTSIDE_HOURS


def test_the_first_minute_is_inside_and_the_last_is_not() -> None:
    evenings = demands(hours="evenings")
    assert reason(evenings, "2027-01-04 16:59") is Reason.OUTSIDE_HOURS
    assert reason(evenings, "2027-01-04 17:00") is None
    assert reason(evenings, "2027-01-04 20:59") is None
    assert reason(evenings, "2027-01-04 21:00") is Reason.OUTSIDE_HOURS


def test_hours_without_a_trusted_clock_or_offsets_are_refused() -> None:
    evenings = demands(hours="evenings")
    assert reason(evenings, "2027-01-04 17:00", trusted=False) is Reason.CLOCK_UNTRUSTED
    assert reason(replace(evenings, offsets=()), "2027-01-04 17:00") is Reason.CLOCK_UNTRUSTED
    assert reason(demands(), "2027-01-04 17:00", trusted=False) is None


def test_a_reservation_keeps_everybody_else_away_while_it_lasts() -> None:
    booked = Reservation(at("2027-01-04 10:00"), at("2027-01-04 12:00"), "m-ben")
    held = demands(reservations=(booked,))
    assert reason(held, "2027-01-04 09:59") is None
    assert reason(held, "2027-01-04 10:00") is Reason.RESERVED
    assert reason(held, "2027-01-04 12:00") is None
    assert reason(held, "2027-01-04 11:00", replace(ADA, member="m-ben")) is None
    assert reason(held, "2027-01-04 09:59", trusted=False) is Reason.CLOCK_UNTRUSTED
    assert reason(held, "2027-01-04 09:59", replace(ADA, member="m-ben"), trusted=False) is None
    closed = demands(reservations=(replace(booked, member=None),))
    assert reason(closed, "2027-01-04 11:00") is Reason.RESERVED
    twice = demands(reservations=(booked, replace(booked, member="m-ada")))
    assert reason(twice, "2027-01-04 11:00") is None


def test_no_credit_refuses_and_little_credit_is_granted_with_a_word() -> None:
    day = "2027-01-04 11:00"
    assert reason(demands(), day, replace(ADA, credit=Credit.NONE)) is Reason.NO_CREDIT
    now = Now(0, at(day), True)
    low = replace(ADA, credit=Credit.LOW)
    decision = decide(low, Rules(demands=demands()), now, CACHE, Assurance.UID)
    assert decision == Granted("m-ada", "fr", "Ada", low_credit=True)


DAY = hours.local_day(at("2027-01-04 11:00"), OFFSETS)


def used(ms: int, day: int = DAY) -> Circumstances:
    return Circumstances(day_use=DayUse(day, (("m-ada", ms),)))


def test_the_daily_limit_refuses_the_next_start_until_the_lab_s_midnight() -> None:
    hour = demands(daily_limit_s=3_600)
    assert reason(hour, "2027-01-04 11:00", around=used(3_599_999)) is None
    assert reason(hour, "2027-01-04 11:00", around=used(3_600_000)) is Reason.DAILY_LIMIT
    assert reason(hour, "2027-01-04 22:59", around=used(3_600_000)) is Reason.DAILY_LIMIT
    assert reason(hour, "2027-01-04 23:00", around=used(3_600_000)) is None
    ben = replace(ADA, member="m-ben")
    assert reason(hour, "2027-01-04 11:00", ben, around=used(3_600_000)) is None


def test_with_an_untrusted_clock_the_day_does_not_move_on() -> None:
    hour, spent = demands(daily_limit_s=3_600), used(3_600_000)
    assert reason(hour, "2027-01-05 11:00", around=spent, trusted=False) is Reason.DAILY_LIMIT
    assert reason(hour, "2027-01-05 11:00", around=spent) is None
    assert reason(hour, "2027-01-01 11:00", around=spent) is Reason.DAILY_LIMIT, "nor back"


def test_a_new_day_forgets_the_old_one_and_the_list_is_bounded() -> None:
    use = DayUse()
    for number in range(day_use.MEMBERS_MAX + 10):
        use = day_use.counted(use, f"m-{number:04}", number + 1, 5)
    assert len(use.used) == day_use.MEMBERS_MAX
    assert day_use.used_ms(use, "m-0509", 5) == 510
    assert day_use.counted(use, "m-1", 7, 6) == DayUse(6, (("m-1", 7),))
    late = day_use.counted(DayUse(6, (("m-1", 7),)), "m-1", 3, 5)
    assert late == DayUse(6, (("m-1", 10),))


SUPERVISED = replace(ADA, rights=(Right("saw", Level.SUPERVISED), Right("laser", Level.ALONE)))
TRAINER = replace(ADA, member="m-tra", rights=(Right("saw", Level.TRAINER),))
NOON = Now(0, at("2027-01-04 11:00"), True)


def test_supervision_is_asked_for_last_so_that_a_trainer_is_never_called_in_vain() -> None:
    when = "2027-01-04 11:00"
    assert reason(demands(), when, SUPERVISED) is Reason.NEEDS_SUPERVISOR
    assert reason(demands(hours="evenings"), when, SUPERVISED) is Reason.OUTSIDE_HOURS
    poor = replace(SUPERVISED, credit=Credit.NONE)
    assert reason(demands(), when, poor) is Reason.NO_CREDIT
    both = demands(trainings=("saw", "mill"))
    assert reason(both, when, SUPERVISED) is Reason.NOT_TRAINED


def test_a_trainer_beside_answers_only_for_what_they_teach() -> None:
    when = "2027-01-04 11:00"
    beside = Circumstances(trainer_of=("saw",))
    assert reason(demands(), when, SUPERVISED, around=beside) is None
    other = Circumstances(trainer_of=("laser",))
    assert reason(demands(), when, SUPERVISED, around=other) is Reason.NEEDS_SUPERVISOR
    untrained = replace(ADA, rights=())
    assert reason(demands(), when, untrained, around=beside) is Reason.NOT_TRAINED


def test_who_teaches_and_who_is_only_supervised_follows_the_machine_s_trainings() -> None:
    rules = Rules(demands=demands(trainings=("laser", "saw")))
    assert unsupervised(SUPERVISED, rules, NOON, Circumstances()) == ("saw",)
    assert trains(TRAINER, rules, NOON) == ("saw",)
    over = replace(TRAINER, rights=(Right("saw", Level.TRAINER, until_at=NOON.wall_at),))
    assert trains(over, rules, NOON) == ()


def test_a_short_supervised_right_is_refused_with_an_untrusted_clock() -> None:
    taster = Right(
        "saw", Level.SUPERVISED, since_at=at("2027-01-04 08:00"), until_at=at("2027-01-04 20:00")
    )
    guest = replace(ADA, rights=(taster,))
    assert reason(demands(), "2027-01-04 11:00", guest, trusted=False) is Reason.CLOCK_UNTRUSTED
    assert reason(demands(), "2027-01-04 11:00", guest) is Reason.NEEDS_SUPERVISOR


def test_a_second_person_is_asked_for_when_the_machine_or_the_hub_wants_one() -> None:
    when = "2027-01-04 11:00"
    together = demands(second_person=True)
    assert reason(together, when) is Reason.NEEDS_SECOND_PERSON
    assert reason(together, when, around=Circumstances(accompanied=True)) is None
    assert reason(together, when, around=Circumstances(trainer_of=("saw",))) is None


def test_a_grant_made_here_counts_until_it_ends_and_for_nobody_else() -> None:
    grant = LocalGrant("m-ada", "saw", at("2027-01-04 10:00"), at("2027-01-04 23:00"))
    around = Circumstances(grants=(grant,))
    learner = replace(ADA, rights=(Right("saw", Level.SUPERVISED),))
    assert reason(demands(), "2027-01-04 11:00", learner, around=around) is None
    assert reason(demands(), "2027-01-04 23:00", learner, around=around) is Reason.NEEDS_SUPERVISOR
    other = replace(learner, member="m-ben")
    assert reason(demands(), "2027-01-04 11:00", other, around=around) is Reason.NEEDS_SUPERVISOR
    untrusted = reason(demands(), "2027-01-04 11:00", learner, around=around, trusted=False)
    assert untrusted is Reason.NEEDS_SUPERVISOR, "a day's grant needs a clock, a trainer does not"


def test_a_grant_made_here_does_not_outlive_what_the_hub_takes_away() -> None:
    grant = LocalGrant("m-ada", "saw", at("2027-01-04 10:00"), at("2027-01-04 23:00"))
    around = Circumstances(grants=(grant,))
    ended = Right("saw", Level.SUPERVISED, until_at=at("2027-01-04 10:30"))
    elsewhere = Right("lathe", Level.SUPERVISED)
    for left, why in (
        ((), Reason.NOT_TRAINED),
        ((elsewhere,), Reason.NOT_TRAINED),
        ((ended,), Reason.TRAINING_EXPIRED),
    ):
        learner = replace(ADA, rights=left)
        assert reason(demands(), "2027-01-04 11:00", learner, around=around) is why


def test_a_schedule_of_the_whole_week_bounds_nobody_and_needs_no_clock() -> None:
    day_and_night = (Schedule("any", hours.ANY_TIME), Schedule("lab", ()))
    asked = replace(demands(), hours="lab", schedules=day_and_night)
    staff = replace(ADA, hours="any")
    assert reason(asked, "2027-01-04 03:00", staff) is None
    assert reason(asked, "2027-01-04 03:00", staff, trusted=False) is None
    assert reason(asked, "2027-01-04 03:00") is Reason.OUTSIDE_HOURS
    assert reason(asked, "2027-01-04 03:00", trusted=False) is Reason.CLOCK_UNTRUSTED


def test_a_clock_set_back_over_midnight_has_its_next_midnight_ahead_of_it() -> None:
    """At 00:30 it becomes 23:30: the midnight that was half an hour ago comes once more."""
    change_at = at("2027-10-30 22:30")
    back = ((0, 7_200), (change_at, 3_600))
    assert hours.midnight_after(change_at - 1_801, back) == change_at - 1_800
    for second in (change_at, change_at + 1, change_at + 1_799):
        assert hours.midnight_after(second, back) == change_at + 1_800
    assert hours.midnight_after(change_at + 1_800, back) == change_at + 1_800 + 86_400


def test_of_too_many_people_in_a_day_the_one_who_had_least_is_forgotten() -> None:
    use = DayUse(7, tuple((f"m-{n:04}", 1_000 + n) for n in range(day_use.MEMBERS_MAX)))
    use = replace(use, used=tuple(sorted({**dict(use.used), "m-0042": 5}.items())))
    after = day_use.counted(use, "m-new", 900, 7)
    assert set(dict(after.used)) == set(dict(use.used)) - {"m-0042"} | {"m-new"}
    assert day_use.counted(DayUse(7, (("m-a", 4),)), "m-a", 6, 7) == DayUse(7, (("m-a", 10),))
    assert day_use.counted(DayUse(7, (("m-a", 4),)), "m-b", -6, 8) == DayUse(8, (("m-b", 0),))
