"""Opening hours from the settings to what a node decides, in the lab's zone and on both odd nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.hours import local_s
from interlock.core.model import Granted, Reason
from interlock.errors import ConfigError
from interlock.hub.directory import HubConfig
from interlock.hub.domain import hours, labs, machines, members
from interlock.hub.domain.machines import HouseRules
from interlock.hub.models import AuditRow, Group, Lab, Machine
from interlock.hub.snapshots import current_version, refresh
from interlock.protocol.demands import OFFSETS_MAX
from interlock.sim.clocks import VirtualClock
from tests.hub.decides import Told, local, told
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

EVENINGS = [(day, 14 * 60, 18 * 60) for day in range(5)]
SATURDAY_NIGHT = (5, 20 * 60, 26 * 60)
SUNDAY_NIGHT = (6, 22 * 60, 25 * 60)


def open_lab(*more: hours.Span) -> SmallLab:
    """The lab keeps weekday afternoons and the spans given; its one machine keeps to them."""
    lab = small_lab()
    hours.set_lab_hours(console(), lab.lab, [*EVENINGS, *more])
    machines.set_rules(console(), lab.machine, HouseRules(within_hours=True))
    return lab


def answer(found: Told, lab: SmallLab, when: str, *, trusted: bool = True) -> Reason | None:
    said = found.says(bytes(lab.badge.tag), local(when), trusted=trusted)
    return None if isinstance(said, Granted) else said


def test_a_machine_that_keeps_the_hours_starts_within_them_only() -> None:
    lab = open_lab(SATURDAY_NIGHT, SUNDAY_NIGHT)
    found = told(lab)
    # 2027-01-04 is a Monday, in winter time; 2027-07-05 one in summer time.
    asked = {
        "2027-01-04 13:59": Reason.OUTSIDE_HOURS,
        "2027-01-04 14:00": None,
        "2027-01-04 17:59": None,
        "2027-01-04 18:00": Reason.OUTSIDE_HOURS,
        "2027-07-05 14:00": None,
        "2027-07-05 13:59": Reason.OUTSIDE_HOURS,
        "2027-01-10 01:59": None,  # Sunday, still Saturday's night
        "2027-01-10 02:00": Reason.OUTSIDE_HOURS,
        "2027-01-10 22:00": None,
        "2027-01-11 00:59": None,  # Monday, still Sunday's night
        "2027-01-11 01:00": Reason.OUTSIDE_HOURS,
    }
    assert {when: answer(found, lab, when) for when in asked} == asked
    assert answer(found, lab, "2027-01-04 15:00", trusted=False) is Reason.CLOCK_UNTRUSTED


def test_a_machine_without_the_rule_asks_nobody_for_the_hour() -> None:
    lab = open_lab()
    machines.set_rules(console(), lab.machine, HouseRules())
    assert answer(told(lab), lab, "2027-01-04 03:00") is None


@pytest.mark.parametrize(
    ("keeps", "spans", "night", "afternoon"),
    [
        (Group.Keeps.LAB, [], Reason.OUTSIDE_HOURS, None),
        (Group.Keeps.OWN, [(0, 0, 6 * 60)], None, Reason.OUTSIDE_HOURS),
        (Group.Keeps.ANY, [], None, None),
    ],
)
def test_a_group_keeps_the_labs_hours_its_own_or_none(
    keeps: str, spans: list[hours.Span], night: Reason | None, afternoon: Reason | None
) -> None:
    lab = open_lab()
    group = labs.create_group(console(), lab.lab, "staff", "Staff")
    members.change_member(console(), lab.member, group=group)
    hours.set_group_hours(console(), group, keeps, spans)
    found = told(lab)
    assert answer(found, lab, "2027-01-04 03:00") is night
    assert answer(found, lab, "2027-01-04 15:00") is afternoon
    untrusted = None if keeps == Group.Keeps.ANY else Reason.CLOCK_UNTRUSTED
    assert answer(found, lab, "2027-01-04 15:00", trusted=False) is untrusted


def test_a_groups_hours_bound_nobody_where_no_hours_are_asked_for() -> None:
    lab = open_lab()
    group = labs.create_group(console(), lab.lab, "students", "Students")
    members.change_member(console(), lab.member, group=group)
    hours.set_group_hours(console(), group, Group.Keeps.OWN, [(0, 0, 60)])
    machines.set_rules(console(), lab.machine, HouseRules())
    assert answer(told(lab), lab, "2027-01-04 15:00") is None


def test_another_time_zone_moves_the_hours_of_every_node() -> None:
    lab = open_lab()
    when = datetime(2027, 1, 4, 14, 30, tzinfo=UTC)
    assert isinstance(told(lab).says(bytes(lab.badge.tag), when), Granted)
    config = HubConfig(name="Test lab", time_zone="Pacific/Auckland", language="en")
    labs.apply_config(console(), Lab.objects.get(), config)
    assert told(lab).says(bytes(lab.badge.tag), when) is Reason.OUTSIDE_HOURS


def test_a_night_on_which_the_clock_is_changed_is_open_as_its_own_clock_says() -> None:
    lab = small_lab()
    hours.set_lab_hours(console(), lab.lab, [(6, 2 * 60, 3 * 60)])
    machines.set_rules(console(), lab.machine, HouseRules(within_hours=True))
    found, tag = told(lab), bytes(lab.badge.tag)

    def minutes_open(day: datetime) -> int:
        begin = int(day.timestamp())
        moments = (datetime.fromtimestamp(begin + 60 * minute, UTC) for minute in range(6 * 60))
        return sum(isinstance(found.says(tag, moment), Granted) for moment in moments)

    # 2027: forward on 28 March (02:00 does not happen), back on 31 October (it happens twice).
    assert minutes_open(local("2027-03-28 00:00")) == 0
    assert minutes_open(local("2027-10-31 00:00")) == 120
    assert minutes_open(local("2027-11-07 00:00")) == 60


FIRST_AT = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
LAST_AT = int(datetime(2035, 12, 31, tzinfo=UTC).timestamp())
ZONES = ("Europe/Paris", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "UTC")


@given(
    zone=st.sampled_from(ZONES),
    at=st.integers(FIRST_AT, LAST_AT).map(lambda second: datetime.fromtimestamp(second, UTC)),
)
def test_offsets_show_the_zones_own_clock_for_ten_years(zone: str, at: datetime) -> None:
    found = hours.offsets(zone, 2026)
    assert len(found) <= OFFSETS_MAX
    shown = at.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
    assert local_s(int(at.timestamp()), found) == int(shown.timestamp())


def test_no_day_and_no_week_that_passes_raises_a_version() -> None:
    lab = open_lab()
    node = lab.enrolled.node
    began_ms = settings_wall_ms()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.HUB_CLOCK", VirtualClock(wall_ms=began_ms))
        first = current_version(node)
        for days in (1, 2, 7, 30):
            patch.setattr(
                "django.conf.settings.HUB_CLOCK", VirtualClock(wall_ms=began_ms + days * 86_400_000)
            )
            assert refresh(lab.lab)[node.pk] == first
        assert told(lab).header.version == first


def settings_wall_ms() -> int:
    """The second week of a year, so that a month later it is the same year."""
    now = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    return int(now.replace(month=1, day=10).timestamp() * 1_000)


NONSENSE = {
    "backwards": [(0, 600, 600)],
    "a day and more": [(0, 600, 2_041)],
    "no weekday": [(7, 600, 700)],
    "before midnight": [(0, -1, 60)],
    "overlap": [(0, 600, 700), (0, 650, 800)],
    "the night before reaches into it": [(6, 1_320, 1_560), (0, 60, 120)],
    "three a day": [(0, 0, 1), (0, 2, 3), (0, 4, 5)],
}


@pytest.mark.parametrize("name", NONSENSE)
def test_impossible_hours_change_nothing(name: str) -> None:
    lab = small_lab()
    rows = AuditRow.objects.count()
    with pytest.raises(ConfigError):
        hours.set_lab_hours(console(), lab.lab, NONSENSE[name])
    assert (Lab.objects.get().hours, AuditRow.objects.count()) == ([], rows)


def test_a_machine_cannot_keep_hours_that_nobody_wrote_and_they_cannot_be_taken_from_it() -> None:
    lab = small_lab()
    with pytest.raises(ConfigError, match="keeps no opening hours"):
        machines.set_rules(console(), lab.machine, HouseRules(within_hours=True))
    assert not Machine.objects.get().within_hours
    hours.set_lab_hours(console(), lab.lab, EVENINGS)
    machines.set_rules(console(), lab.machine, HouseRules(within_hours=True))
    with pytest.raises(ConfigError, match="machines keep to the opening hours"):
        hours.set_lab_hours(console(), lab.lab, [])
    assert Lab.objects.get().hours == [list(span) for span in EVENINGS]


def test_every_rule_of_the_house_travels_and_leaves_a_row() -> None:
    lab = open_lab()
    rules = HouseRules(second_person=True, daily_limit_s=7_200, max_offline_s=86_400)
    machines.set_rules(console(), lab.machine, rules)
    demands = told(lab).header.demands
    assert (demands.second_person, demands.daily_limit_s, demands.max_offline_s) == (
        True,
        7_200,
        86_400,
    )
    assert (demands.hours, demands.schedules) == (None, ())
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.subject) == ("rules_changed", "saw")
    assert row.before is not None
    assert row.after is not None
    assert (row.before["second_person"], row.after["second_person"]) == (False, True)
    # The same once more is no change: no row, no version.
    version = current_version(lab.enrolled.node)
    machines.set_rules(console(), lab.machine, rules)
    assert AuditRow.objects.latest("seq").pk == row.pk
    assert current_version(lab.enrolled.node) == version
    with pytest.raises(ConfigError):
        machines.set_rules(console(), lab.machine, replace(rules, max_offline_s=31 * 86_400))


def test_credit_set_by_hand_is_what_the_machine_says() -> None:
    lab = small_lab()
    tag, when = bytes(lab.badge.tag), local("2027-01-04 15:00")
    members.set_credit(console(), lab.member, "low", "asked by phone")
    granted = told(lab).says(tag, when)
    assert isinstance(granted, Granted)
    assert granted.low_credit
    members.set_credit(console(), lab.member, "none", "paid nothing")
    assert told(lab).says(tag, when) is Reason.NO_CREDIT
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.before, row.after, row.why) == (
        "credit_set",
        {"credit": "low"},
        {"credit": "none"},
        "paid nothing",
    )
