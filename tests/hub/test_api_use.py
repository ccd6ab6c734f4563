"""What programs read of machines and their use through /api/v1, and how they lock one out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from interlock.hub.api import access
from interlock.hub.domain import tokens
from interlock.hub.models import AuditRow, Machine, Node, RoleName, Session, UsageView
from interlock.hub.permissions import Actor
from tests.hub.api_desk import ALL, READS, Desk, desk
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import grow, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def test_a_machine_says_what_it_does_and_whether_its_node_is_heard() -> None:
    one = desk()
    silent = one.ask("GET", "/machines/saw", key=None)[1]
    assert (silent["state"], silent["is_heard"], silent["heard_at"]) == ("free", False, None)
    assert (silent["trainings"], silent["needs"], silent["tariff"]) == (
        ["saw-basics"],
        "all",
        "wood",
    )
    heard = console().now()
    Node.objects.update(last_seen_at=heard)
    told = one.ask("GET", "/machines", key=None)[1]["items"]
    assert told == [{**silent, "is_heard": True, "heard_at": int(heard.timestamp())}]
    Node.objects.update(last_seen_at=heard - timedelta(seconds=91))
    assert one.ask("GET", "/machines/saw", key=None)[1]["is_heard"] is False


def test_a_machine_is_locked_out_and_released_and_each_is_in_the_audit_log() -> None:
    one = desk()
    path = "/machines/saw/lock-out"
    locked = one.ask("PUT", path, {"why": "the blade is cracked"}, key=None)[1]
    assert (locked["state"], locked["lock_out"]["why"]) == ("locked_out", "the blade is cracked")
    # Told again by a program that lost the answer: no second deed, and since when stays.
    assert one.ask("PUT", path, {"why": "the blade is cracked"}, key=None)[1] == locked
    assert one.ask("GET", "/machines?locked_out=true", key=None)[1]["items"] == [locked]
    assert one.ask("GET", "/machines?locked_out=false", key=None)[1]["total"] == 0
    free = one.ask("DELETE", path)[1]
    assert (free["state"], free["lock_out"]) == ("free", None)
    assert one.ask("DELETE", path)[0] == 200
    rows = AuditRow.objects.filter(actor="API: front desk").order_by("seq")
    assert list(rows.values_list("action", "subject", "why")) == [
        ("locked_out", "saw", "the blade is cracked"),
        ("lock_out_cleared", "saw", ""),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/machines/saw/lock-out", {"why": " "}, 409),
        ("/machines/saw/lock-out", {"why": "x" * 201}, 422),
        ("/machines/saw/lock-out", {}, 422),
        ("/machines/none/lock-out", {"why": "blade"}, 404),
        ("/machines/theirs/lock-out", {"why": "blade"}, 404),
    ],
)
def test_a_lock_out_needs_a_reason_and_a_machine_of_this_lab(
    path: str, body: object, status: int
) -> None:
    one = desk()
    other = small_lab(slug="other")
    Machine.objects.filter(pk=other.machine.pk).update(slug="theirs")
    assert one.ask("PUT", path, body)[0] == status
    assert not Machine.objects.exclude(locked_out_at=None).exists()


def test_who_uses_what_now_and_who_did_are_told_by_days_member_and_machine() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    made = tokens.create_token(console(), lab.small.lab, "portal", ALL)
    one = Desk(lab.small, made.token, made.secret)
    (ended,) = one.ask("GET", "/sessions", key=None)[1]["items"]
    assert ended["member"] == {"id": lab.small.member.public_id, "name": "Ada Martin"}
    assert (ended["machine"]["slug"], ended["enabled_ms"]) == ("saw", 60_000)
    assert one.ask("GET", "/use", key=None)[1]["total"] == 0
    assert one.ask("GET", f"/sessions/{ended['number']}", key=None)[1] == ended
    Session.objects.update(how="", ended_at=None)
    (running,) = one.ask("GET", "/use", key=None)[1]["items"]
    assert (running["number"], running["how"], running["ended_at"]) == (ended["number"], "", None)
    Session.objects.update(voided=True)
    assert one.ask("GET", "/use", key=None)[1]["total"] == 0
    day = Session.objects.get().started_at.date()
    Session.objects.update(voided=False, ended_at=Session.objects.get().started_at, how="tap_off")
    member = lab.small.member.public_id
    for query, total in {
        f"member={member}": 1,
        "member=somebody-else": 0,
        "machine=saw": 1,
        "machine=lathe": 0,
        f"from_day={day}&to_day={day}": 1,
        f"from_day={day + timedelta(days=1)}": 0,
        f"to_day={day - timedelta(days=1)}": 0,
    }.items():
        assert one.ask("GET", f"/sessions?{query}", key=None)[1]["total"] == total, query
    assert one.refused("GET", "/sessions?from_day=1850-01-01", key=None) == (422, "invalid")


def test_that_a_program_looked_at_somebodys_use_is_kept() -> None:
    """As a look of its maker; of a token that was made at the console the audit log says so, once a day."""
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    owner = lab.users[RoleName.OWNER.value]
    theirs = tokens.create_token(Actor(settings.HUB_CLOCK, owner), lab.small.lab, "portal", ALL)
    for _turn in range(2):
        Desk(lab.small, theirs.token, theirs.secret).ask("GET", "/sessions", key=None)
    assert list(UsageView.objects.values_list("viewer", "member")) == [
        (owner.pk, lab.small.member.pk)
    ]
    nobodys = tokens.create_token(console(), lab.small.lab, "console", ALL)
    for path in ("/use", "/sessions", "/sessions"):
        Desk(lab.small, nobodys.token, nobodys.secret).ask("GET", path, key=None)
    assert list(AuditRow.objects.filter(action="usage_read").values_list("subject", "actor")) == [
        ("console", "API: console")
    ]
    AuditRow.objects.filter(action="usage_read").update(done_at=console().now() - timedelta(days=1))
    Desk(lab.small, nobodys.token, nobodys.secret).ask("GET", "/sessions", key=None)
    assert AuditRow.objects.filter(action="usage_read").count() == 2


def test_no_list_of_the_api_asks_the_database_more_often_for_being_longer() -> None:
    lab = page_lab()
    made = tokens.create_token(console(), lab.small.lab, "portal", ALL)
    one = Desk(lab.small, made.token, made.secret)
    lists = [path for verb, path, _body, _scope in READS if verb == "GET" and "{held}" not in path]
    asked = []
    for number in (1, 6):
        grow(lab, number, first=number * 10)
        small = lab.small
        for path in lists:
            address = (
                path
                if "{" not in path
                else path.format(member=small.member.public_id, badge=small.badge.pk)
            )
            one.ask("GET", address, key=None)
            with CaptureQueriesContext(connection) as queries:
                assert one.ask("GET", address, key=None)[0] == 200
            asked.append((path, len(queries)))
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
