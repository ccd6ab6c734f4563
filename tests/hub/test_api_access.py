"""Who may ask /api/v1 for what: token, scope, maker, wire."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.test.client import RequestFactory

from interlock.hub.api import access
from interlock.hub.domain import accounts, tokens
from interlock.hub.models import (
    ApiToken,
    AuditRow,
    Badge,
    RoleName,
)
from interlock.hub.permissions import Actor
from tests.hub.api_desk import (
    ALL,
    READS,
    STRANGER,
    WRITES,
    Desk,
    address_of,
    desk,
)
from tests.hub.lab import console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def test_a_token_says_whose_it_is_and_only_its_hash_is_kept() -> None:
    one = desk()
    status, me = one.ask("GET", "/me", key=None)
    assert status == 200
    assert me["lab"] == {"slug": "lab", "name": "Test lab", "language": "en"}
    assert me["token"]["name"] == "front desk"
    assert me["token"]["scopes"] == [scope.value for scope in ALL]
    row = ApiToken.objects.get()
    assert one.secret.startswith("ilk_")
    assert all(one.secret not in str(value) for value in vars(row).values())
    assert row.last_used_at is not None
    assert one.secret not in json.dumps(list(AuditRow.objects.values("after", "subject")))


@pytest.mark.parametrize("what", ["unknown", "revoked", "expired", "missing", "no prefix"])
def test_a_token_that_does_not_live_opens_nothing(what: str) -> None:
    one = desk()
    if what == "revoked":
        tokens.revoke_token(console(), one.token)
    elif what == "expired":
        ApiToken.objects.update(expires_at=console().now() - timedelta(seconds=1))
    else:
        one.secret = {"unknown": "ilk_" + "x" * 43, "missing": "", "no prefix": one.secret[4:]}[
            what
        ]
    assert one.refused("GET", "/me", key=None) == (401, "token")
    status = one.ask("POST", f"/members/{one.small.member.public_id}/badges", {"uid": STRANGER})[0]
    assert (status, Badge.objects.count()) == (401, 1)


def test_wrong_tokens_of_an_address_are_slowed_down_and_the_right_one_is_not() -> None:
    one = desk()
    right = one.secret
    one.secret = "ilk_wrong"
    seen = [one.refused("GET", "/me", key=None) for _ in range(6)]
    assert seen == [(401, "token")] * 5 + [(429, "too_many")]
    answer = Client(headers={"Authorization": "Bearer ilk_wrong"}).get("/api/v1/me")
    assert 0 < int(answer["Retry-After"]) <= 60
    one.secret = right
    assert one.ask("GET", "/me", key=None)[0] == 200


@pytest.mark.parametrize("address", ["192.168.1.20", "10.0.0.7", "2001:db8::1", ""])
def test_nothing_is_answered_over_an_open_wire(address: str) -> None:
    one = desk()
    one.address = address
    assert one.refused("GET", "/me", key=None) == (403, "insecure")


def test_this_computer_and_https_are_no_open_wire() -> None:
    for address in ("127.0.0.1", "::1"):
        access.refuse_open_wire(RequestFactory().get("/", REMOTE_ADDR=address))
    access.refuse_open_wire(RequestFactory().get("/", REMOTE_ADDR="10.0.0.7", secure=True))


@pytest.mark.parametrize(("method", "path", "body", "needed"), READS + WRITES)
def test_each_address_asks_for_its_own_scope_and_no_other(
    method: str, path: str, body: object, needed: tokens.Scope
) -> None:
    small = desk([needed])
    address = address_of(path, small.small)
    assert small.ask(method, address, body)[0] in (200, 201, 409)
    others = [scope for scope in ALL if scope is not needed]
    wide = tokens.create_token(console(), small.small.lab, "other", others)
    before = AuditRow.objects.count()
    assert Desk(small.small, wide.token, wide.secret).refused(method, address, body) == (
        403,
        "scope",
    )
    assert AuditRow.objects.count() == before


def test_a_token_may_no_more_than_its_maker_may_today() -> None:
    small = small_lab()
    user = accounts.create_user("m@example.org", "Max")
    role = accounts.give_role(console(), small.lab, user, RoleName.MANAGER)
    actor = Actor(settings.HUB_CLOCK, user)
    made = tokens.create_token(actor, small.lab, "front desk", ALL)
    one = Desk(small, made.token, made.secret)
    path = f"/members/{small.member.public_id}/badges"
    assert one.ask("POST", path, {"uid": STRANGER})[0] == 201
    assert AuditRow.objects.latest("seq").actor == "Max (API: front desk)"
    role.delete()
    assert one.refused("POST", path, {"uid": "04feedface0002"}) == (403, "role")
    assert one.refused("GET", "/members", key=None) == (403, "role")


def test_a_signed_in_browser_is_no_token_and_a_token_needs_no_browser() -> None:
    """Or another site's page could write through the browser of whoever is signed in."""
    one = desk()
    user = accounts.create_user("o@example.org", "Olive")
    accounts.give_role(console(), one.small.lab, user, RoleName.OWNER)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    headers = {"Idempotency-Key": "the-same-key"}

    def tap(through: Client) -> int:
        body = json.dumps({"uid": STRANGER})
        kind = "application/json"
        return through.post("/api/v1/taps", body, content_type=kind, headers=headers).status_code

    assert tap(client) == 401
    headers["Authorization"] = f"Bearer {one.secret}"
    assert tap(Client(enforce_csrf_checks=True)) == 200
