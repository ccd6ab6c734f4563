"""What programs do with members through /api/v1: created, changed, suspended, handed out, erased; and trained."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client

from interlock.hub.api import access
from interlock.hub.domain import accounts, labs, members, tokens, trainings
from interlock.hub.models import (
    ApiAnswer,
    AuditRow,
    Authorisation,
    Member,
    RoleName,
    UsageView,
)
from interlock.hub.permissions import Actor
from tests.hub.api_desk import ALL, Desk, desk
from tests.hub.lab import console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def deeds() -> list[tuple[str, str]]:
    """Who did what through the API, in order."""
    rows = AuditRow.objects.filter(actor__startswith="API").order_by("seq")
    return list(rows.values_list("actor", "action"))


def test_a_member_is_created_changed_and_suspended_and_each_is_in_the_audit_log() -> None:
    one = desk()
    labs.create_group(console(), one.small.lab, "students", "Students")
    body = {"name": " Zoé Petit ", "email": "zoe@example.org", "group": "students", "minor": True}
    status, zoe = one.ask("POST", "/members", {**body, "joined_on": "2024-02-29"})
    assert status == 201
    made = Member.objects.get(public_id=zoe["id"])
    assert (made.name, made.group and made.group.slug, made.minor) == (
        "Zoé Petit",
        "students",
        True,
    )
    assert (zoe["joined_on"], zoe["language"], zoe["status"]) == ("2024-02-29", "en", "active")
    path = f"/members/{zoe['id']}"
    until = int(console().now().timestamp()) + 86_400
    changed = one.ask("PATCH", path, {"until_at": until, "group": None}, key=None)[1]
    assert changed == {**zoe, "until_at": until, "group": None}
    gone = one.ask("PUT", f"{path}/status", {"status": "suspended", "why": "fees"}, key=None)[1]
    assert gone["status"] == "suspended"
    # The same once more is no deed.
    assert one.ask("PUT", f"{path}/status", {"status": "suspended"}, key=None)[0] == 200
    assert one.ask("PATCH", path, {"until_at": until}, key=None)[1] == gone
    back = one.ask("PUT", f"{path}/status", {"status": "active"}, key=None)[1]
    assert back["status"] == "active"
    words = ["member_created", "member_changed", "member_suspended", "member_reinstated"]
    assert deeds() == [("API: front desk", word) for word in words]
    assert AuditRow.objects.get(action="member_suspended").why == "fees"


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "body.name"),
        ({"name": "  "}, 422, "body.name"),
        ({"name": "A\u0000b"}, 422, "body.name"),
        ({"name": "x" * 151}, 422, "body.name"),
        ({"name": "Bob", "email": "no address"}, 422, "body.email"),
        ({"name": "Bob", "technician": True}, 422, "body.technician"),
        ({"name": "Bob", "joined_on": "1234-01-01"}, 422, "body.joined_on"),
        ({"name": "Bob", "until_at": 10**12}, 422, "body.until_at"),
        ({"name": "Bob", "email": "ADA@example.org"}, 409, "ADA@example.org"),
        ({"name": "Bob", "group": "nobodys"}, 409, "body.group"),
        ({"name": "Bob", "payer": 99_999}, 409, "body.payer"),
    ],
)
def test_a_member_that_cannot_be_is_refused_in_one_shape_and_nothing_changes(
    body: object, status: int, where: str
) -> None:
    one = desk()
    before = AuditRow.objects.count()
    said = one.ask("POST", "/members", body)
    assert (said[0], said[1]["where"]) == (status, where)
    assert (Member.objects.count(), AuditRow.objects.count()) == (1, before)


def test_nobody_is_put_into_another_labs_group_or_on_its_bill() -> None:
    one = desk()
    other = small_lab(slug="other")
    labs.create_group(console(), other.lab, "theirs", "Theirs")
    path = f"/members/{one.small.member.public_id}"
    assert one.refused("PATCH", path, {"group": "theirs"}) == (409, "conflict")
    assert one.refused("PATCH", path, {"payer": other.member.payer_id}) == (409, "conflict")
    assert one.refused("PATCH", f"/members/{other.member.public_id}", {"name": "X"}) == (
        404,
        "not_found",
    )
    assert deeds() == []


def test_an_answer_that_was_lost_makes_no_second_member() -> None:
    one = desk()
    first = one.ask("POST", "/members", {"name": "Bob"}, key="the-same-key")
    assert one.ask("POST", "/members", {"name": "Bob"}, key="the-same-key") == first
    assert Member.objects.filter(name="Bob").count() == 1
    assert one.refused("POST", "/members", {"name": "Bob"}, key=None) == (400, "malformed")


def test_a_training_is_granted_once_replaced_and_revoked_and_its_end_is_told() -> None:
    one = desk()
    bob = members.create_member(console(), one.small.lab, "Bob")
    path = f"/members/{bob.public_id}/authorisations"
    trainings.change_training(console(), one.small.training, lapse_days=10)
    status, held = one.ask("POST", path, {"training": "saw-basics", "evidence": "course"})
    assert (status, held["level"], held["until_at"]) == (201, "alone", None)
    assert held["lapses_at"] == held["granted_at"] + 10 * 86_400
    until = held["granted_at"] + 7 * 86_400
    newer = one.ask("POST", path, {"training": "saw-basics", "until_at": until})[1]
    assert newer["until_at"] == until
    listed = one.ask("GET", f"/authorisations?member={bob.public_id}", key=None)[1]
    assert listed["items"] == [newer]
    revoke = f"/authorisations/{newer['number']}/revocation"
    gone = one.ask("PUT", revoke, {"why": "rusty"}, key=None)[1]
    assert gone == {**newer, "revoked_at": gone["revoked_at"]}
    assert gone["revoked_at"] is not None
    assert one.ask("PUT", revoke, {}, key=None)[1] == gone
    assert one.ask("GET", f"/authorisations?member={bob.public_id}", key=None)[1]["total"] == 0
    taken = one.ask("GET", f"/authorisations?member={bob.public_id}&revoked=true", key=None)[1]
    assert {row["number"] for row in taken["items"]} == {held["number"], newer["number"]}
    assert [action for _actor, action in deeds()] == [
        "training_granted",
        "training_granted",
        "training_revoked",
    ]
    assert AuditRow.objects.get(action="training_revoked").why == "rusty"


def test_a_training_nobody_can_hold_is_not_granted() -> None:
    one = desk()
    other = small_lab(slug="other")
    path = f"/members/{one.small.member.public_id}/authorisations"
    trainings.create_training(
        console(), one.small.lab, "lathe", "Lathe", prerequisite=one.small.training
    )
    trainings.revoke_training(console(), one.small.member.authorisations.get())
    assert one.refused("POST", path, {"training": "lathe"}) == (409, "conflict")
    assert one.refused("POST", path, {"training": "none-such"}) == (404, "not_found")
    assert one.refused("POST", path, {"training": "saw-basics", "until_at": 1}) == (409, "conflict")
    assert one.refused("POST", path, {"training": "saw-basics", "level": "god"}) == (422, "invalid")
    theirs = f"/authorisations/{other.member.authorisations.get().pk}/revocation"
    assert one.refused("PUT", theirs, {}) == (404, "not_found")
    assert Authorisation.objects.filter(revoked_at=None).count() == 1


def test_a_maker_who_became_a_trainer_grants_nothing_through_a_token() -> None:
    """Their own trainings are granted by their own login: a program is no trainer."""
    small = small_lab()
    user = accounts.create_user("m@example.org", "Max")
    role = accounts.give_role(console(), small.lab, user, RoleName.MANAGER)
    made = tokens.create_token(Actor(settings.HUB_CLOCK, user), small.lab, "front desk", ALL)
    role.delete()
    accounts.give_role(console(), small.lab, user, RoleName.TRAINER)
    one = Desk(small, made.token, made.secret)
    path = f"/members/{small.member.public_id}/authorisations"
    assert one.refused("POST", path, {"training": "saw-basics"}) == (403, "role")
    held = small.member.authorisations.get()
    assert one.refused("PUT", f"/authorisations/{held.pk}/revocation", {}) == (403, "role")
    held.refresh_from_db()
    assert held.revoked_at is None


def test_all_that_is_kept_of_a_member_is_handed_out_as_an_archive_and_that_is_noted() -> None:
    small = small_lab()
    user = accounts.create_user("o@example.org", "Olive")
    accounts.give_role(console(), small.lab, user, RoleName.OWNER)
    made = tokens.create_token(Actor(settings.HUB_CLOCK, user), small.lab, "portal", ALL)
    answer = Client(headers={"Authorization": f"Bearer {made.secret}"}).get(
        f"/api/v1/members/{small.member.public_id}/data"
    )
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    found = json.loads(archive.read("data.json"))
    assert found["Member"][0]["name"] == "Ada Martin"
    assert (UsageView.objects.get().viewer, UsageView.objects.get().member) == (user, small.member)


@pytest.mark.django_db(transaction=True)
def test_an_erased_member_is_nowhere_not_even_in_the_answers_programs_were_given() -> None:
    one = desk()
    path = f"/members/{one.small.member.public_id}"
    one.ask("PATCH", path, {"email": "ada.martin@example.org"})
    assert "Ada Martin" in ApiAnswer.objects.get().body
    wrong = one.refused("PUT", f"{path}/erasure", {"name": "Ada", "why": "asked"})
    assert wrong == (409, "conflict")
    assert Member.objects.count() == 1
    done = one.ask("PUT", f"{path}/erasure", {"name": "ada martin", "why": "asked"})
    assert done == (200, {"payers_kept": 0})
    assert one.refused("PUT", f"{path}/erasure", {"name": "Ada Martin", "why": "asked"}) == (
        404,
        "not_found",
    )
    assert not Member.objects.exists()
    assert not ApiAnswer.objects.exists()
    said = json.dumps(list(AuditRow.objects.values("subject", "before", "after", "why")))
    assert "Ada" not in said
    assert AuditRow.objects.get(action="member_erased").actor == "API: front desk"


def test_a_right_that_has_ended_is_told_with_its_end() -> None:
    """Nothing is deleted by a date: whoever reads compares, as a machine does."""
    one = desk()
    ended = console().now() - timedelta(days=1)
    Authorisation.objects.update(until_at=ended)
    (told,) = one.ask("GET", "/authorisations?training=saw-basics", key=None)[1]["items"]
    assert told["until_at"] == int(ended.timestamp())
