"""Role × operation of /api/v1, made from its own description: an operation without a rule is noticed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from interlock.hub.api.access import BearerToken
from interlock.hub.api.v1 import api
from interlock.hub.domain.tokens import PERMISSION_OF, Scope, create_token
from interlock.hub.models import ApiToken, AuditRow, RoleName
from interlock.hub.permissions import ROLE_PERMISSIONS
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PREFIX = "/api/v1"
RULES: dict[str, Scope | None] = {
    "DELETE /badges/{number}/card-key": Scope.CARD_KEYS_WRITE,
    "DELETE /machines/{slug}/lock-out": Scope.LOCK_OUTS_WRITE,
    "GET /authorisations": Scope.TRAININGS_READ,
    "GET /authorisations/{number}": Scope.TRAININGS_READ,
    "GET /badges": Scope.BADGES_READ,
    "GET /badges/{number}": Scope.BADGES_READ,
    "GET /card-keys": Scope.BADGES_READ,
    "GET /groups": Scope.MEMBERS_READ,
    "GET /lines": Scope.BILLS_READ,
    "GET /lines/{number}": Scope.BILLS_READ,
    "GET /machines": Scope.MACHINES_READ,
    "GET /machines/{slug}": Scope.MACHINES_READ,
    "GET /materials": Scope.BILLS_READ,
    "GET /me": None,
    "GET /members": Scope.MEMBERS_READ,
    "GET /members/{member_id}": Scope.MEMBERS_READ,
    "GET /members/{member_id}/badges": Scope.BADGES_READ,
    "GET /members/{member_id}/data": Scope.MEMBERS_ERASE,
    "GET /months": Scope.BILLS_READ,
    "GET /payers": Scope.BILLS_READ,
    "GET /sessions": Scope.SESSIONS_READ,
    "GET /sessions/{number}": Scope.SESSIONS_READ,
    "GET /statements": Scope.BILLS_READ,
    "GET /statements/{number}": Scope.BILLS_READ,
    "GET /trainings": Scope.TRAININGS_READ,
    "GET /unknown-badges": Scope.BADGES_READ,
    "GET /use": Scope.SESSIONS_READ,
    "PATCH /members/{member_id}": Scope.MEMBERS_WRITE,
    "POST /badges/lookup": Scope.BADGES_READ,
    "POST /lines/{number}/corrections": Scope.LINES_WRITE,
    "POST /members": Scope.MEMBERS_WRITE,
    "POST /members/{member_id}/authorisations": Scope.AUTHORISATIONS_WRITE,
    "POST /members/{member_id}/badges": Scope.BADGES_WRITE,
    "POST /old-ids": Scope.BADGES_WRITE,
    "POST /payers/{number}/adjustments": Scope.LINES_WRITE,
    "POST /payers/{number}/materials": Scope.LINES_WRITE,
    "POST /taps": Scope.BADGES_WRITE,
    "PUT /authorisations/{number}/revocation": Scope.AUTHORISATIONS_WRITE,
    "PUT /badges/{number}/card-key": Scope.CARD_KEYS_WRITE,
    "PUT /badges/{number}/condition": Scope.BADGES_WRITE,
    "PUT /machines/{slug}/lock-out": Scope.LOCK_OUTS_WRITE,
    "PUT /members/{member_id}/erasure": Scope.MEMBERS_ERASE,
    "PUT /members/{member_id}/status": Scope.MEMBERS_WRITE,
}
"""What a token has to be made for; None: any token that lives."""


def operations() -> Iterator[tuple[str, Any]]:
    """`VERB path` and the operation, from the routers themselves."""
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for verb in operation.methods:
                    yield f"{verb} {prefix}{path}", operation


def ask(verb: str, path: str, secret: str | None) -> int:
    """The status of a request that carries nothing but the token."""
    address = PREFIX + path.format(member_id="nobody", number=1, slug="nothing")
    headers = {"Idempotency-Key": "0123456789"}
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    answer = Client(headers=headers).generic(verb, address, b"{}", "application/json")
    return answer.status_code


def test_every_operation_has_a_rule_and_it_is_the_one_of_this_table() -> None:
    found = {}
    for name, operation in operations():
        (auth,) = operation.auth_callbacks
        assert isinstance(auth, BearerToken), name
        found[name] = auth.scope
    assert found == RULES


@pytest.mark.parametrize("role", [role.value for role in RoleName])
def test_each_role_may_exactly_its_operations_of_the_api(role: str) -> None:
    lab = page_lab()
    made = create_token(console(), lab.small.lab, "all", list(Scope))
    # Somebody's token is worth what they may today: here, what the role may.
    ApiToken.objects.update(maker=lab.users[role])
    reached, wanted = {}, {}
    for name, scope in RULES.items():
        verb, _space, path = name.partition(" ")
        reached[name] = ask(verb, path, made.secret) != 403
        wanted[name] = scope is None or PERMISSION_OF[scope] in ROLE_PERMISSIONS[role]
    assert reached == wanted


def test_without_a_token_no_operation_answers_and_nothing_is_written() -> None:
    small_lab()
    before = AuditRow.objects.count()
    answers = {}
    for name in RULES:
        verb, _space, path = name.partition(" ")
        answers[name] = ask(verb, path, None)
    assert answers == dict.fromkeys(RULES, 401)
    assert AuditRow.objects.count() == before


def test_a_token_of_one_lab_finds_nothing_of_another() -> None:
    one, other = small_lab(), small_lab(slug="other")
    secret = create_token(console(), one.lab, "all", list(Scope)).secret
    client = Client(headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "0123456789"})
    theirs = {
        f"/members/{other.member.public_id}": 404,
        f"/members/{other.member.public_id}/badges": 404,
        f"/badges/{other.badge.pk}": 404,
        f"/members/{other.member.public_id}/data": 404,
        f"/authorisations/{other.member.authorisations.get().pk}": 404,
    }
    assert {path: client.get(PREFIX + path).status_code for path in theirs} == theirs
    listed = client.get(f"{PREFIX}/members").json()
    assert [row["id"] for row in listed["items"]] == [one.member.public_id]


def test_the_description_itself_names_nobody() -> None:
    small_lab()
    said = Client().get(reverse("api-v1:openapi-json")).content.decode()
    assert "Ada" not in said
    assert set(RULES) == {
        f"{verb.upper()} {path.removeprefix(PREFIX)}"
        for path, verbs in Client().get(reverse("api-v1:openapi-json")).json()["paths"].items()
        for verb in verbs
    }
