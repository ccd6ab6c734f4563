"""A long list is paged and counted as a short one is, and asks the database for no more than a page of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.core.paginator import Paginator
from django.db import connection, migrations
from django.db.models import Q, QuerySet
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.hub import days
from interlock.hub.domain import machines, members
from interlock.hub.models import Member, Purpose, Session
from interlock.hub.pages import long_list, sessions
from interlock.hub.pages.access import Viewer
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

BEGAN_AT = datetime(2025, 3, 1, 7, tzinfo=UTC)
SESSIONS = 70
NAMES = ("Ana", "Anatole", "Bo", "Bob", "Chloé", "Zoé")
"""Two of them are part of another."""


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    _use(made, random.Random(1))
    return made


def _use(lab: PageLab, chance: random.Random) -> None:
    """Sessions of some weeks: some run still, some began before others and ended after them, many at one moment."""
    small = lab.small
    people = [members.create_member(console(), small.lab, name) for name in NAMES]
    other = machines.create_machine(console(), small.lab, "lathe", "Lathe")
    rows = []
    for seq in range(SESSIONS):
        member = chance.choice([*people, None])
        began_at = BEGAN_AT + timedelta(hours=12 * chance.randrange(60))
        lasted = timedelta(hours=chance.choice([0, 1, 30, 400]))
        runs = chance.random() < 0.1
        rows.append(
            Session(
                lab=small.lab,
                machine=chance.choice([small.machine, other]),
                node=small.enrolled.node,
                epoch=9,
                seq=seq,
                member=member,
                payer=member.payer if member else None,
                purpose=chance.choice(Purpose.values),
                started_at=began_at,
                ended_at=None if runs else began_at + lasted,
                how="" if runs else "tap_off",
                start_boot_id="b",
                start_boot_ms=seq,
            )
        )
    Session.objects.bulk_create(rows)


def _viewer(lab: PageLab) -> Viewer:
    form: sessions.Filter = lab.client("owner").get(reverse("sessions")).context["form"]
    return form.viewer


def _plainly(viewer: Viewer, asked: dict[str, str]) -> QuerySet[Session]:
    """What the filter means, said without any thought of speed."""
    found = Session.objects.filter(lab=viewer.lab)
    if asked.get("machine"):
        found = found.filter(machine__slug=asked["machine"])
    if asked.get("member"):
        found = found.filter(member__name__icontains=asked["member"])
    if asked.get("payer"):
        found = found.filter(payer__name__icontains=asked["payer"])
    if asked.get("purpose"):
        found = found.filter(purpose=asked["purpose"])
    if asked.get("from_day"):
        begin = days.begin_of(datetime.fromisoformat(asked["from_day"]).date(), viewer.zone)
        found = found.filter(Q(ended_at=None) | Q(ended_at__gte=begin))
    if asked.get("to_day"):
        end = days.end_of(datetime.fromisoformat(asked["to_day"]).date(), viewer.zone)
        found = found.filter(started_at__lt=end)
    return found


def _asked(chance: random.Random) -> dict[str, str]:
    day = [(BEGAN_AT + timedelta(days=3 * n)).date().isoformat() for n in range(14)]
    some = {
        "machine": ["lathe"],
        "member": ["an", "Bob", "o", "nobody"],
        "payer": ["an", "zo", "nobody"],
        "purpose": list(Purpose.values),
        "from_day": day,
        "to_day": day,
    }
    names = chance.sample(sorted(some), chance.choice([1, 1, 2, 3]))
    return {name: chance.choice(some[name]) for name in names}


@pytest.mark.parametrize("few", [0, 1, 100])
@pytest.mark.parametrize("counted", [3, 10_000])
def test_a_filter_finds_what_it_says_whichever_way_the_database_is_asked(
    lab: PageLab, monkeypatch: pytest.MonkeyPatch, few: int, counted: int
) -> None:
    monkeypatch.setattr(sessions, "FEW_PEOPLE", few)
    monkeypatch.setattr(sessions, "COUNTED_MAX", counted)
    viewer, chance, seen = _viewer(lab), random.Random(few + counted), 0
    for _ in range(40):
        asked = _asked(chance)
        form = sessions.Filter(viewer, asked)
        plainly = _plainly(viewer, asked).order_by("-started_at", "-pk")
        wanted = list(plainly.values_list("pk", flat=True))
        assert list(sessions.keys(form.found())) == wanted, asked
        seen += len(wanted)
    assert seen


@pytest.mark.parametrize("counted", [1, 19, 20, 21, 69, 70, 71])
def test_pages_of_a_list_too_long_to_count_are_those_of_a_counted_one(
    lab: PageLab, monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    monkeypatch.setattr(long_list, "COUNTED_MAX", counted)
    keys = sessions.keys(Session.objects.filter(lab=lab.small.lab))
    usual = Paginator(keys, 20)
    for asked in (None, "x", "-3", "0", "1", "2", "3", "4", "5", "9" * 30):
        page = long_list.LongPaginator(keys, 20).get_page(asked)
        plain = usual.get_page(asked)
        assert list(page.object_list) == list(plain.object_list), asked
        shown = (page.number, page.has_previous(), page.has_next())
        assert shown == (plain.number, plain.has_previous(), plain.has_next()), asked
        assert (page.start_index(), page.end_index()) == (plain.start_index(), plain.end_index())


def test_a_list_that_is_longer_than_counted_says_so_and_goes_on(
    lab: PageLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_list, "COUNTED_MAX", 60)
    client = lab.client("owner")
    first = client.get(reverse("sessions")).content.decode()
    assert "More than 60 sessions" in first
    assert "1 to 50 of more than 60" in first
    assert "page=2" in first
    last = client.get(reverse("sessions") + "?page=2").content.decode()
    assert "51 to 70 of more than 60" in last
    assert "page=3" not in last
    one = client.get(reverse("sessions") + "?member=Bob").content.decode()
    assert "More than" not in one


def test_a_page_of_sessions_reads_the_rows_it_shows_and_no_others(lab: PageLab) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("plans are SQLite's own")
    small, client = lab.small, lab.client("owner")
    member = Member.objects.get(name="Ana")
    days = ("", "from_day=2025-03-05", "from_day=2025-03-05&to_day=2025-03-20", "to_day=2025-03-20")
    for asked, index in (
        *((one, "session_listed") for one in (*days, "page=2")),
        *((f"purpose=maintenance&{one}", "session_by_purpose") for one in days),
    ):
        for plan in _plans(client, f"{reverse('sessions')}?{asked}", "ORDER BY"):
            assert f"COVERING INDEX {index} " in plan, (asked, plan)
            assert "TEMP B-TREE" not in plan, (asked, plan)
    for where, index in (
        (reverse("sessions") + "?member=Ana", "member"),
        (reverse("sessions") + "?payer=Ana", "payer"),
        (reverse("sessions") + "?machine=lathe", "machine"),
        (reverse("member", args=[member.public_id]), "member"),
        (reverse("machine", args=[small.machine.slug]), "machine"),
    ):
        for plan in _plans(client, where, "ORDER BY"):
            assert f"({index}_id=" in plan, (where, plan)


def _plans(client: object, where: str, part: str) -> list[str]:
    """How the database finds the keys of the sessions that page lists."""
    with CaptureQueriesContext(connection) as queries:
        client.get(where)  # type: ignore[attr-defined]
    begin = 'SELECT "hub_session"."id" AS "pk" FROM "hub_session"'
    asked = [one["sql"] for one in queries if one["sql"].startswith(begin) and part in one["sql"]]
    assert asked, where
    found = []
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}".replace("%", "%%"))
            found.append("; ".join(str(row[3]) for row in cursor.fetchall()))
    return found


def test_members_on_a_page_have_their_own_counts(lab: PageLab) -> None:
    listed = lab.client("owner").get(reverse("members")).context["rows"]
    assert [row.name for row in listed] == sorted(row.name for row in listed)
    known = {row.name: (row.badges, row.trainings) for row in listed}
    assert known == {
        one.name: (one.badges.count(), one.authorisations.count()) for one in Member.objects.all()
    }
    assert known["Ada Martin"] == (1, 1)


def test_the_migration_for_long_lists_changes_indexes_and_nothing_else() -> None:
    made = import_module("interlock.hub.migrations.0004_long_lists").Migration
    assert {type(one) for one in made.operations} == {migrations.AddIndex, migrations.RemoveIndex}
