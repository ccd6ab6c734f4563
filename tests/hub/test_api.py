"""The desk's way through /api/v1: changed once and only once, and what is never said."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.test import Client

from interlock.hub.api import access
from interlock.hub.domain import badges, members, tokens
from interlock.hub.models import (
    ApiAnswer,
    AuditRow,
    Badge,
    BadgeCondition,
    CardKey,
    UnknownBadge,
)
from interlock.protocol.card_keys import CardSlot, Scheme
from tests.hub.api_desk import (
    ALL,
    CARD_KEY,
    KEY,
    STRANGER,
    Desk,
    desk,
    tag_of,
)
from tests.hub.lab import UID, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def test_members_are_found_by_name_and_e_mail_and_come_in_pages() -> None:
    one = desk()
    for number in range(5):
        members.create_member(console(), one.small.lab, f"Zoé {number}", email=f"z{number}@x.org")
    status, page = one.ask("GET", "/members?q=zo%C3%A9&size=2&page=3", key=None)
    assert (status, page["pages"], page["total"]) == (200, 3, 5)
    assert [member["name"] for member in page["items"]] == ["Zoé 4"]
    assert one.ask("GET", "/members?q=z3@x", key=None)[1]["items"][0]["name"] == "Zoé 3"
    assert one.ask("GET", "/members?page=99", key=None)[1]["items"] == []
    ada = one.ask("GET", "/members?q=Ada", key=None)[1]["items"]
    assert ada == [
        {
            "id": one.small.member.public_id,
            "name": "Ada Martin",
            "email": "ada@example.org",
            "language": "en",
            "status": "active",
            "until_at": None,
            "joined_on": "2023-11-14",
            "group": None,
            "payer": one.small.member.payer_id,
            "badges": 1,
        }
    ]


def test_a_members_of_another_lab_do_not_exist() -> None:
    one = desk()
    other = small_lab(slug="other")
    assert one.ask("GET", "/members", key=None)[1]["total"] == 1
    assert one.refused("GET", f"/members/{other.member.public_id}", key=None) == (404, "not_found")
    assert one.refused("GET", f"/badges/{other.badge.pk}", key=None) == (404, "not_found")
    put = one.refused("PUT", f"/badges/{other.badge.pk}/condition", {"condition": "lost"})
    assert put == (404, "not_found")
    other.badge.refresh_from_db()
    assert other.badge.condition == "active"


def test_a_card_on_the_reader_is_given_and_looked_up_without_its_uid_being_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = desk()
    with caplog.at_level(logging.DEBUG):
        seen = one.ask("POST", "/badges/lookup", {"uid": STRANGER}, key=None)[1]
        assert (seen["badge"], seen["is_badge"]) == (None, True)
        path = f"/members/{one.small.member.public_id}/badges"
        status, given = one.ask("POST", path, {"uid": "04:FE:ED:FA:CE:00:01", "label": "red"})
        found = one.ask("POST", "/badges/lookup", {"uid": STRANGER}, key=None)[1]
    assert status == 201
    assert given == found["badge"]
    assert given["member"] == {"id": one.small.member.public_id, "name": "Ada Martin"}
    assert (given["label"], given["condition"], given["card"]) == ("red", "active", None)
    assert bytes(Badge.objects.get(pk=given["number"]).tag) == tag_of(STRANGER)
    page = one.ask("GET", path, key=None)[1]
    assert page["items"][0]["number"] == given["number"]
    kept = json.dumps([list(ApiAnswer.objects.values("key", "body")), caplog.text, given]).lower()
    assert STRANGER not in kept
    assert "04:fe:ed" not in kept


@pytest.mark.parametrize(
    ("uid", "status", "code"),
    [
        (UID.hex(), 409, "conflict"),
        ("08010203", 409, "conflict"),
        ("88041122", 409, "conflict"),
        ("04a1b2c3d4", 409, "conflict"),
        ("04", 422, "invalid"),
        ("zz", 422, "invalid"),
        (7, 422, "invalid"),
    ],
)
def test_a_card_that_cannot_be_given_is_refused_and_nothing_changes(
    uid: object, status: int, code: str
) -> None:
    one = desk()
    other = members.create_member(console(), one.small.lab, "Bob")
    path = f"/members/{other.public_id}/badges"
    assert one.refused("POST", path, {"uid": uid}) == (status, code)
    assert Badge.objects.count() == 1


def test_a_badge_is_lost_and_found_and_each_is_in_the_audit_log() -> None:
    one = desk()
    path = f"/badges/{one.small.badge.pk}/condition"
    assert (
        one.ask("PUT", path, {"condition": "lost", "why": "bus"}, key=None)[1]["condition"]
        == "lost"
    )
    # The same again is no deed.
    assert one.ask("PUT", path, {"condition": "lost"}, key=None)[0] == 200
    assert one.ask("PUT", path, {"condition": "active"}, key=None)[1]["condition"] == "active"
    rows = AuditRow.objects.filter(action__startswith="badge_").order_by("seq")
    said = [(row.action, row.why, row.actor) for row in rows][1:]
    assert said == [
        ("badge_blocked", "bus", "API: front desk"),
        ("badge_unblocked", "", "API: front desk"),
    ]
    refused = one.refused("PUT", path, {"condition": "enrol_again"}, key=None)
    assert refused == (422, "invalid")


def test_a_card_key_is_put_and_read_back_without_the_key() -> None:
    one = desk()
    path = f"/badges/{one.small.badge.pk}/card-key"
    status, badge = one.ask("PUT", path, {**CARD_KEY, "key_version": 2})
    assert status == 200
    card = dict(badge["card"])
    assert card.pop("set_at") > 0
    assert card == {"scheme": "desfire_aes", "aid": "f54952", "key_number": 1, "key_version": 2}
    assert KEY not in json.dumps([badge, list(ApiAnswer.objects.values("body"))])
    assert one.ask("GET", f"/badges/{one.small.badge.pk}", key=None)[1] == badge
    assert one.ask("DELETE", path) == (204, None)
    assert not CardKey.objects.exists()
    assert one.refused("DELETE", path) == (409, "conflict")


def test_the_desk_learns_which_key_number_comes_next() -> None:
    one = desk()
    address = "/card-keys?scheme=desfire_aes"
    told = {"scheme": "desfire_aes", "current": 1, "next": 3, "badges": {}}
    assert one.ask("GET", address, key=None)[1] == told
    slot = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("f54952"), 13)
    badges.set_card_key(console(), one.small.badge, slot, bytes(16))
    assert one.ask("GET", address, key=None)[1] == {
        **told,
        "current": 13,
        "next": None,
        "badges": {"13": 1},
    }
    assert one.ask("GET", "/badges?key_number_below=13", key=None)[1]["total"] == 0
    assert one.ask("GET", "/badges?key_number_below=14", key=None)[1]["total"] == 1
    assert one.refused("GET", "/card-keys?scheme=crypto1", key=None) == (422, "invalid")


def test_a_tap_at_the_desk_is_shown_and_the_card_given_from_the_list() -> None:
    one = desk()
    seen = one.ask("POST", "/taps", {"uid": STRANGER})[1]
    assert seen["badge"] is None
    (row,) = one.ask("GET", "/unknown-badges", key=None)[1]["items"]
    assert (row["code"], row["place"], row["is_badge"]) == (seen["code"], "front desk", True)
    path = f"/members/{one.small.member.public_id}/badges"
    status, given = one.ask("POST", path, {"unknown": row["number"], "label": "new"})
    assert (status, given["label"]) == (201, "new")
    assert one.ask("GET", "/unknown-badges", key=None)[1]["total"] == 0
    assert one.refused("POST", path, {"unknown": row["number"]}) == (404, "not_found")
    assert one.ask("POST", "/taps", {"uid": STRANGER})[1]["badge"]["number"] == given["number"]


def test_a_phone_on_the_desks_reader_is_no_badge_whatever_it_shows() -> None:
    one = desk()
    for uid in ("08123456", "08654321"):
        seen = one.ask("POST", "/taps", {"uid": uid})[1]
        assert (seen["badge"], seen["is_badge"]) == (None, False)
    (row,) = one.ask("GET", "/unknown-badges", key=None)[1]["items"]
    assert (row["count"], row["is_badge"]) == (2, False)
    path = f"/members/{one.small.member.public_id}/badges"
    assert one.refused("POST", path, {"unknown": row["number"]}) == (409, "conflict")


def test_old_ids_are_looked_at_then_taken_and_cut_off_ones_wait_to_be_enrolled_again() -> None:
    one = desk()
    whole = int.from_bytes(bytes.fromhex("deadbeef22"), "big")
    cut = int.from_bytes(bytes.fromhex("880411229f"), "big") ^ (0x9F ^ 0x88 ^ 0x04 ^ 0x11 ^ 0x22)
    lines = [
        {"member": "ada@example.org", "old_id": whole, "label": "old"},
        {"member": "Ada Martin", "old_id": cut},
        {"member": "Nobody", "old_id": whole + 1},
    ]
    looked = one.ask("POST", "/old-ids", {"lines": lines})[1]
    assert (looked["taken"], looked["enrol_again"], looked["total"]) == (1, 1, 3)
    assert [bad["line"] for bad in looked["bad"]] == [3]
    assert Badge.objects.count() == 1
    whole_list = one.ask("POST", "/old-ids", {"lines": lines, "dry_run": False})[1]
    assert (whole_list["taken"], Badge.objects.count()) == (0, 1)
    done = one.ask("POST", "/old-ids", {"lines": lines, "dry_run": False, "partial": True})[1]
    assert (done["taken"], done["enrol_again"], done["dry_run"]) == (1, 1, False)
    again = one.ask("GET", "/badges?condition=enrol_again", key=None)[1]
    assert [badge["member"]["name"] for badge in again["items"]] == ["Ada Martin"]
    path = f"/members/{one.small.member.public_id}/badges"
    one.ask("POST", path, {"uid": STRANGER})
    assert one.ask("GET", "/badges?condition=enrol_again", key=None)[1]["total"] == 0


# ------------------------------------------------------------------------------ once, and only once


def test_the_same_write_sent_again_is_answered_again_and_done_once() -> None:
    one = desk()
    path = f"/members/{one.small.member.public_id}/badges"
    first = one.ask("POST", path, {"uid": STRANGER}, key="once-upon-a-time")
    members.block_badge(console(), Badge.objects.get(pk=first[1]["number"]), BadgeCondition.LOST)
    assert one.ask("POST", path, {"uid": STRANGER}, key="once-upon-a-time") == first
    assert Badge.objects.count() == 2
    replayed = Client(
        headers={
            "Authorization": f"Bearer {one.secret}",
            "Idempotency-Key": "once-upon-a-time",
        }
    ).post("/api/v1" + path, json.dumps({"uid": STRANGER}), content_type="application/json")
    assert replayed["Idempotency-Replayed"] == "true"
    other = one.refused("POST", path, {"uid": "04feedface0002"}, key="once-upon-a-time")
    assert other == (409, "key_reused")


def test_a_refused_write_is_asked_anew() -> None:
    one = desk()
    other = members.create_member(console(), one.small.lab, "Bob")
    path = f"/members/{other.public_id}/badges"
    assert one.refused("POST", path, {"uid": UID.hex()}, key="the-same-key") == (409, "conflict")
    assert not ApiAnswer.objects.exists()
    one.small.badge.delete()
    assert one.ask("POST", path, {"uid": UID.hex()}, key="the-same-key")[0] == 201


def test_answers_are_remembered_for_a_day_and_die_with_their_token() -> None:
    one = desk()
    one.ask("POST", "/taps", {"uid": STRANGER}, key="the-same-key")
    ApiAnswer.objects.update(answered_at=console().now() - timedelta(hours=24))
    one.ask("POST", "/taps", {"uid": STRANGER}, key="the-same-key")
    assert UnknownBadge.objects.get().count == 2
    assert ApiAnswer.objects.count() == 1
    tokens.revoke_token(console(), one.token)
    assert not ApiAnswer.objects.exists()


def test_two_tokens_may_use_the_same_key() -> None:
    one = desk()
    two = tokens.create_token(console(), one.small.lab, "back office", ALL)
    one.ask("POST", "/taps", {"uid": STRANGER}, key="the-same-key")
    Desk(one.small, two.token, two.secret).ask(
        "POST", "/taps", {"uid": STRANGER}, key="the-same-key"
    )
    places = UnknownBadge.objects.values_list("desk", flat=True)
    assert sorted(places) == ["back office", "front desk"]


@pytest.mark.parametrize("key", [None, "short", "x" * 65, "with space", "é" * 10])
def test_a_write_without_a_good_key_is_not_done(key: str | None) -> None:
    one = desk()
    headers = {"Authorization": f"Bearer {one.secret}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    answer = Client(headers=headers).post(
        "/api/v1/taps", json.dumps({"uid": STRANGER}), content_type="application/json"
    )
    assert (answer.status_code, answer.json()["where"]) == (400, "Idempotency-Key")
    assert not UnknownBadge.objects.exists()


def test_the_fingerprint_of_a_request_is_not_one_that_a_uid_could_be_guessed_from() -> None:
    from hashlib import blake2b, sha256

    one = desk()
    one.ask("POST", "/taps", {"uid": STRANGER})
    kept = bytes(ApiAnswer.objects.get().fingerprint)
    body = json.dumps({"uid": STRANGER}).encode()
    head = b"POST /api/v1/taps\n"
    assert kept not in {
        blake2b(head + body, digest_size=32).digest(),
        sha256(head + body).digest(),
        sha256(body).digest(),
    }
