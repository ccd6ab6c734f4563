"""Reports: sums equal the sessions they are made of, add up across labs and periods, and hide small groups."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.clock import Clock
from interlock.hub import rollup
from interlock.hub.directory import HubConfig
from interlock.hub.domain import activities, labs, machines
from interlock.hub.history.plan import Sizes
from interlock.hub.history.writing import make_history
from interlock.hub.models import (
    Downtime,
    Lab,
    Line,
    MachineDay,
    MemberMonth,
    Public,
    Session,
    StaleDay,
    UseHour,
)
from interlock.hub.permissions import Actor
from interlock.hub.reporting import files
from interlock.hub.reporting import indicators as of
from interlock.hub.reporting.figures import figures_of
from interlock.hub.reporting.opening import offered, open_within
from interlock.hub.reporting.periods import Period
from interlock.hub.reporting.report import report_of
from interlock.sim.clocks import VirtualClock
from tests.hub.page_lab import page_lab

pytestmark = [pytest.mark.real, pytest.mark.django_db]

NOW_MS = 1_790_000_000_000
TODAY = date(2026, 9, 21)
SMALL = Sizes(machines=3, members=40, sessions=160, years=1)
PARIS = ZoneInfo("Europe/Paris")


def quiet(_: str) -> None:
    """Nobody watches."""


def lab_with_a_past(slug: str = "lab", sizes: Sizes = SMALL) -> Lab:
    clock: Clock = VirtualClock(wall_ms=NOW_MS)
    actor = Actor(clock)
    lab = labs.create_lab(
        actor, slug, HubConfig(name=slug, time_zone="Europe/Paris", language="en")
    )
    make_history(actor, lab, sizes, say=quiet)
    return lab


def counted(lab: Lab, period: Period) -> list[Session]:
    """The sessions of the period, found one by one."""
    begin, end = (datetime.combine(day, time(), PARIS) for day in (period.first, period.end))
    return [
        one
        for one in Session.objects.filter(lab=lab).select_related("machine", "group", "payer")
        if one.ended_at is not None and one.how and not one.voided and begin <= one.ended_at < end
    ]


def summed(pairs: list[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for key, value in pairs:
        total[key] += value
    return dict(total)


@pytest.mark.parametrize(
    "period",
    [
        Period(date(2026, 1, 1), date(2026, 6, 30)),
        Period(date(2026, 2, 11), date(2026, 5, 17)),
        Period(date(2026, 3, 3), date(2026, 3, 19)),
    ],
    ids=["whole months", "odd days", "within a month"],
)
def test_every_sum_is_that_of_the_sessions_themselves(period: Period) -> None:
    lab = lab_with_a_past()
    Session.objects.filter(lab=lab, pk__in=Session.objects.values("pk")[:3]).update(voided=True)
    rollup.rebuild(lab)
    found = counted(lab, period)
    figures = figures_of(lab, period, TODAY, cents_per_hour=1_202)
    assert figures.values[of.USE_BY_MACHINE.id] == summed(
        [(one.machine.slug, one.enabled_ms) for one in found]
    )
    assert figures.values[of.USE_BY_GROUP.id] == summed(
        [(one.group.slug if one.group else "", one.enabled_ms) for one in found]
    )
    assert figures.values[of.USE_BY_PURPOSE.id] == summed(
        [(one.purpose, one.enabled_ms) for one in found]
    )
    assert figures.totals[of.SESSIONS.id] == len(found)
    who = {one.member_id for one in found}
    assert figures.totals[of.PEOPLE_BY_GROUP.id] == len(who)
    before = Period(date(2020, 1, 1), period.first - timedelta(days=1))
    earlier = {one.member_id for one in counted(lab, before)}
    assert figures.totals[of.NEW_PEOPLE.id] == len(who - earlier)
    paid = {one.payer_id for one in found if one.payer and one.payer.kind == "organisation"}
    assert figures.totals[of.ORGANISATIONS.id] == len(paid)
    assert len(found) > 5


def rows(lab: Lab) -> dict[str, list[Any]]:
    """Every stored sum, without its number."""
    columns = {
        MachineDay: ("day", "machine", "sessions", "enabled_ms", "busy_ms"),
        UseHour: ("day", "hour_day", "hour", "enabled_ms"),
        MemberMonth: ("month", "member", "group", "payer", "purpose", "sessions", "enabled_ms"),
    }
    return {
        model.__name__: sorted(model.objects.filter(lab=lab).values_list(*names), key=repr)  # type: ignore[attr-defined]
        for model, names in columns.items()
    }


def test_sums_made_day_by_day_are_those_made_all_at_once() -> None:
    lab = lab_with_a_past()
    day_by_day = rows(lab)
    rollup.rebuild(lab)
    assert rows(lab) == day_by_day
    assert day_by_day["UseHour"]
    assert sum(row[-1] for row in day_by_day["UseHour"]) == sum(
        Session.objects.values_list("enabled_ms", flat=True)
    )


def test_a_session_that_arrives_is_in_the_next_report_and_one_that_is_voided_is_not() -> None:
    lab = page_lab()
    at = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC).date()
    period = Period(at - timedelta(days=4_000), at)
    lab.journal.session(lab.small, 3_600)
    lab.deliver()
    assert StaleDay.objects.count() == 1
    made = report_of(lab.small.lab, period, at)
    assert made.section(of.USE_BY_MACHINE).total.number == 3_600_000
    assert StaleDay.objects.count() == 0
    session = Session.objects.get()
    session.voided = True
    session.save()
    rollup.mark_sessions(lab.small.lab, [session])
    assert report_of(lab.small.lab, period, at).section(of.SESSIONS).total.number == 0


def test_the_json_of_two_labs_adds_up_and_so_do_two_halves_of_a_year() -> None:
    one, other = lab_with_a_past("one"), lab_with_a_past("other", Sizes(2, 30, 120, 1, seed=7))
    year = Period(date(2026, 1, 1), date(2026, 8, 31))
    halves = (Period(year.first, date(2026, 4, 30)), Period(date(2026, 5, 1), year.last))
    said = [json.loads(files.to_json(report_of(lab, year, TODAY))) for lab in (one, other)]
    parts = [json.loads(files.to_json(report_of(one, half, TODAY))) for half in halves]
    assert {i["id"] for i in said[0]["indicators"] if i["adds_up"]} >= {
        "use.by_machine",
        "use.sessions",
    }
    use = [indicator(one_said, "use.by_machine") for one_said in said]
    added: Counter[str] = Counter()
    for section in use:
        added.update({row["key"]: row["value"] for row in section["rows"]})
    both = counted(one, year) + counted(other, year)
    assert {k: v for k, v in added.items() if v} == summed(
        [(session.machine.slug, session.enabled_ms) for session in both]
    )
    for whole in said[0]["indicators"]:
        if whole["adds_up"]:
            totals = [indicator(part, whole["id"])["total"] for part in parts]
            if None not in (whole["total"], *totals):
                # A value in cents is rounded once for each period it is stated for.
                slack = 1 if whole["unit"] == "cents" else 0
                assert abs(whole["total"] - sum(totals)) <= slack, whole["id"]


def indicator(said: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in said["indicators"] if one["id"] == name)
    return found


def test_no_file_shows_what_one_or_two_people_did() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 3_600)
    lab.deliver()
    at = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC).date()
    made = report_of(lab.small.lab, Period(at - timedelta(days=4_000), at), at)
    for one in (of.USE_BY_GROUP, of.USE_BY_PURPOSE, of.PEOPLE_BY_GROUP, of.NEW_PEOPLE):
        section = made.section(one)
        assert section.total.is_masked, one.id
        assert all(row.value.is_masked for row in section.rows), one.id
    said = json.loads(files.to_json(made))
    assert indicator(said, "use.by_group")["total"] is None
    assert "masked" in str(list(files.to_table(made).rows))


def test_periods_are_compared_with_as_many_months_or_days_before() -> None:
    year = Period(date(2026, 1, 1), date(2026, 12, 31))
    assert year.previous == Period(date(2025, 1, 1), date(2025, 12, 31))
    assert Period(date(2026, 3, 1), date(2026, 3, 31)).previous == Period(
        date(2026, 2, 1), date(2026, 2, 28)
    )
    assert Period(date(2026, 3, 3), date(2026, 3, 9)).previous == Period(
        date(2026, 2, 24), date(2026, 3, 2)
    )


def test_a_machine_is_unavailable_only_while_the_lab_is_open() -> None:
    tuesday = [(1, 14 * 60, 18 * 60)]
    begin = datetime(2026, 9, 15, 16, tzinfo=PARIS)
    spans = [(begin, begin + timedelta(hours=20)), (begin, begin + timedelta(hours=1))]
    assert open_within(tuesday, spans, PARIS) == 2 * 3_600_000
    month = offered(tuesday, Period(date(2026, 9, 1), date(2026, 9, 30)))
    assert month == {(1, hour): 5 * 3_600_000 for hour in (14, 15, 16, 17)}


def test_a_lock_out_is_a_downtime_until_it_is_cleared() -> None:
    lab = page_lab()
    actor = Actor(settings.HUB_CLOCK)
    machines.lock_out(actor, lab.small.machine, "belt torn")
    assert list(Downtime.objects.values_list("machine", "until_at")) == [
        (lab.small.machine.pk, None)
    ]
    machines.clear_lock_out(actor, lab.small.machine)
    assert Downtime.objects.get().until_at is not None


def test_a_past_has_no_session_over_another_and_a_line_for_each() -> None:
    lab = lab_with_a_past()
    by_machine: dict[int, list[Session]] = defaultdict(list)
    for one in Session.objects.filter(lab=lab).order_by("started_at"):
        by_machine[one.machine_id].append(one)
    for sessions in by_machine.values():
        for earlier, later in pairwise(sessions):
            assert earlier.ended_at is not None
            assert earlier.ended_at <= later.started_at
    assert Line.objects.filter(lab=lab).count() == Session.objects.filter(lab=lab).count() > 100
    assert {one.started_at.astimezone(PARIS).weekday() for one in by_machine[min(by_machine)]} <= {
        1,
        2,
        3,
        4,
        5,
    }


def test_the_same_seed_makes_the_same_past_and_another_another() -> None:
    columns = ("machine__slug", "started_at", "enabled_ms", "busy_ms", "purpose", "member__name")
    pasts = []
    for slug, seed in (("one", 3), ("two", 3), ("three", 4)):
        lab = lab_with_a_past(slug, Sizes(2, 20, 60, 1, seed))
        pasts.append(list(Session.objects.filter(lab=lab).order_by("pk").values_list(*columns)))
    assert pasts[0] == pasts[1] != pasts[2]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_report_is_read_and_filed_in_both_languages(language: str) -> None:
    lab = page_lab()
    make_history(Actor(settings.HUB_CLOCK), lab.small.lab, SMALL, say=quiet)
    client = lab.client("accountant", language)
    page = client.get(reverse("reports"))
    assert page.status_code == 200
    word = "Heures par mois" if language == "fr" else "Hours by month"
    assert word in page.content.decode()
    kinds = {}
    for name in ("report-pdf", "report-csv", "report-xlsx", "report-json"):
        answer = client.get(reverse(name))
        kinds[name] = (answer.status_code, answer["Content-Type"], bytes(answer.content[:4]))
    assert kinds["report-pdf"][1:] == ("application/pdf", b"%PDF")
    assert kinds["report-csv"][2][:3] == b"\xef\xbb\xbf"
    assert kinds["report-xlsx"][2][:2] == b"PK"
    assert {status for status, _, _ in kinds.values()} == {200}


def test_a_year_with_workshops_and_no_machine_used_draws_no_empty_columns() -> None:
    lab = page_lab()
    held = activities.Held("Robots", date(2026, 1, 5), 60, people={Public.ADULTS: 7})
    activities.enter(Actor(settings.HUB_CLOCK), lab.small.lab, held)
    where = reverse("reports") + "?first=2026-01-01&last=2026-01-31"
    page = lab.client("owner").get(where).content.decode()
    assert "Workshops and visits" in page
    assert "columns-chart" not in page


def test_a_report_asks_as_often_for_few_sessions_as_for_many() -> None:
    counts = []
    lab = page_lab()
    client = lab.client("owner")
    client.get(reverse("reports"))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("reports"))
    counts.append(len(few))
    make_history(Actor(settings.HUB_CLOCK), lab.small.lab, SMALL, say=quiet)
    client.get(reverse("reports"))
    with CaptureQueriesContext(connection) as many:
        client.get(reverse("reports"))
    counts.append(len(many))
    # Without a first day of use nothing is asked of opening hours: once for each period.
    assert counts[1] - counts[0] <= 4
    assert counts[1] <= 64


def test_a_period_that_makes_no_sense_is_said_beside_its_field() -> None:
    lab = page_lab()
    where = reverse("reports") + "?first=2026-03-01&last=2026-02-01"
    assert "The last day is before the first." in lab.client("owner").get(where).content.decode()


def test_only_those_who_may_see_reports_do() -> None:
    lab = page_lab()
    seen = {
        role: lab.client(role).get(reverse("reports")).status_code
        for role in ("owner", "manager", "accountant", "trainer", "technician", "member")
    }
    assert {role for role, status in seen.items() if status == 200} == {
        "owner",
        "manager",
        "accountant",
    }
