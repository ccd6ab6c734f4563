"""The desk as a program with a token, and every address it may ask: what the API's tests begin with."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.test import Client

from interlock.hub.domain import tokens
from interlock.hub.models import (
    ApiToken,
)
from interlock.hub.permissions import Actor
from interlock.protocol.tags import badge_tag
from tests.hub.lab import SmallLab, console, small_lab

STRANGER = "04feedface0001"
KEY = "a8dd63a3b89d54b37ca802473fda9175"
CARD_KEY = {"scheme": "desfire_aes", "aid": "f54952", "key_number": 1, "key": KEY}
ALL = list(tokens.Scope)


@dataclass
class Desk:
    """A program with a token, on this computer."""

    small: SmallLab
    token: ApiToken
    secret: str
    address: str = "127.0.0.1"

    def ask(
        self, method: str, path: str, body: object = None, key: str | None = "", **headers: str
    ) -> tuple[int, Any]:
        """Status and JSON of one request. `key`: "" a new one, None none at all."""
        if key is not None:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        answer = Client(headers={"Authorization": f"Bearer {self.secret}", **headers}).generic(
            method,
            "/api/v1" + path,
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body),
            content_type="application/json",
            REMOTE_ADDR=self.address,
        )
        assert answer["Cache-Control"] == "no-store"
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
            assert set(answer.json()) == {"status", "code", "title", "what", "where", "remedy"}
            assert answer.json()["what"]
        return answer.status_code, answer.json() if answer.content else None

    def refused(self, *request: Any, **more: Any) -> tuple[int, str]:
        """Status and code of a request that must fail."""
        status, problem = self.ask(*request, **more)
        return status, problem["code"]


def desk(scopes: list[str] | None = None, actor: Actor | None = None) -> Desk:
    small = small_lab()
    made = tokens.create_token(
        actor or console(), small.lab, "front desk", ALL if scopes is None else scopes
    )
    return Desk(small, made.token, made.secret)


def tag_of(uid: str) -> bytes:
    return badge_tag(settings.HUB.badge_key(), bytes.fromhex(uid))


S = tokens.Scope
WRITES: list[tuple[str, str, object, tokens.Scope]] = [
    ("POST", "/members/{member}/badges", {"uid": STRANGER}, S.BADGES_WRITE),
    ("PUT", "/badges/{badge}/condition", {"condition": "lost"}, S.BADGES_WRITE),
    ("PUT", "/badges/{badge}/card-key", CARD_KEY, S.CARD_KEYS_WRITE),
    ("DELETE", "/badges/{badge}/card-key", None, S.CARD_KEYS_WRITE),
    ("POST", "/taps", {"uid": STRANGER}, S.BADGES_WRITE),
    ("POST", "/old-ids", {"lines": [{"member": "Ada Martin", "old_id": 0}]}, S.BADGES_WRITE),
    ("POST", "/members", {"name": "Bob"}, S.MEMBERS_WRITE),
    ("PATCH", "/members/{member}", {"language": "fr"}, S.MEMBERS_WRITE),
    ("PUT", "/members/{member}/status", {"status": "suspended"}, S.MEMBERS_WRITE),
    ("PUT", "/members/{member}/erasure", {"name": "Bob", "why": "moved"}, S.MEMBERS_ERASE),
    ("PUT", "/machines/saw/lock-out", {"why": "blade"}, S.LOCK_OUTS_WRITE),
    ("DELETE", "/machines/saw/lock-out", None, S.LOCK_OUTS_WRITE),
    (
        *("POST", "/members/{member}/authorisations"),
        *({"training": "saw-basics", "level": "supervised"}, S.AUTHORISATIONS_WRITE),
    ),
    ("PUT", "/authorisations/{held}/revocation", {"why": "rusty"}, S.AUTHORISATIONS_WRITE),
    (
        *("POST", "/payers/{payer}/adjustments"),
        *({"cents": 500, "words": "Key ring", "why": "lost"}, S.LINES_WRITE),
    ),
]
READS: list[tuple[str, str, object, tokens.Scope]] = [
    ("GET", "/members", None, S.MEMBERS_READ),
    ("GET", "/members/{member}", None, S.MEMBERS_READ),
    ("GET", "/groups", None, S.MEMBERS_READ),
    ("GET", "/members/{member}/badges", None, S.BADGES_READ),
    ("GET", "/badges", None, S.BADGES_READ),
    ("GET", "/badges/{badge}", None, S.BADGES_READ),
    ("POST", "/badges/lookup", {"uid": STRANGER}, S.BADGES_READ),
    ("GET", "/card-keys?scheme=desfire_aes", None, S.BADGES_READ),
    ("GET", "/unknown-badges", None, S.BADGES_READ),
    ("GET", "/machines", None, S.MACHINES_READ),
    ("GET", "/machines/saw", None, S.MACHINES_READ),
    ("GET", "/use", None, S.SESSIONS_READ),
    ("GET", "/sessions", None, S.SESSIONS_READ),
    ("GET", "/trainings", None, S.TRAININGS_READ),
    ("GET", "/authorisations", None, S.TRAININGS_READ),
    ("GET", "/authorisations/{held}", None, S.TRAININGS_READ),
    ("GET", "/payers", None, S.BILLS_READ),
    ("GET", "/materials", None, S.BILLS_READ),
    ("GET", "/months", None, S.BILLS_READ),
    ("GET", "/lines", None, S.BILLS_READ),
    ("GET", "/statements", None, S.BILLS_READ),
]
"""Method, path, body and the one scope it asks for."""


def address_of(path: str, small: SmallLab) -> str:
    """The path with the numbers of that lab."""
    return path.format(
        member=small.member.public_id,
        badge=small.badge.pk,
        held=small.member.authorisations.get(revoked_at=None).pk,
        payer=small.member.payer_id,
    )
