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


WRITES: list[tuple[str, str, object]] = [
    ("POST", "/members/{member}/badges", {"uid": STRANGER}),
    ("PUT", "/badges/{badge}/condition", {"condition": "lost"}),
    ("PUT", "/badges/{badge}/card-key", CARD_KEY),
    ("DELETE", "/badges/{badge}/card-key", None),
    ("POST", "/taps", {"uid": STRANGER}),
    ("POST", "/old-ids", {"lines": [{"member": "Ada Martin", "old_id": 0}]}),
]
READS: list[tuple[str, str, object]] = [
    ("GET", "/members", None),
    ("GET", "/members/{member}", None),
    ("GET", "/members/{member}/badges", None),
    ("GET", "/badges", None),
    ("GET", "/badges/{badge}", None),
    ("POST", "/badges/lookup", {"uid": STRANGER}),
    ("GET", "/card-keys?scheme=desfire_aes", None),
    ("GET", "/unknown-badges", None),
]
SCOPES = {
    "/members": tokens.Scope.MEMBERS_READ,
    "/members/{member}": tokens.Scope.MEMBERS_READ,
    "/badges/{badge}/card-key": tokens.Scope.CARD_KEYS_WRITE,
}
