"""A write and its Idempotency-Key to exactly one deed: sent again, it gets the first answer again.

The answer is stored in the deed's own transaction, so that a hub that dies between the two has done
neither; only deeds that were done are remembered, a refusal is asked anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from interlock.hub.api.access import Caller
from interlock.hub.api.problems import Problem
from interlock.hub.card_keys import Vault
from interlock.hub.models import ApiAnswer, ApiToken

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
"""A desk that lost its answer asks again within the day."""
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")

Told = dict[str, Any] | None
"""A JSON object, or None for an answer without a body."""


def once(
    request: HttpRequest, caller: Caller, status: int, deed: Callable[[], Told]
) -> HttpResponse:
    """The deed is done, unless this very request was: then its answer. Raises Problem."""
    key = _key(request)
    with transaction.atomic():
        # One write of a token at a time: of two alike the second finds the first one's answer.
        ApiToken.objects.select_for_update().get(pk=caller.token.pk)
        fingerprint = _fingerprint(request)
        known = None if key is None else _known(caller, key, fingerprint)
        if known is not None:
            return _answer(known.status, known.body, replayed=True)
        told = deed()
        body = "" if told is None else json.dumps(told, ensure_ascii=False)
        if key is not None:
            ApiAnswer.objects.create(
                token=caller.token,
                key=key,
                fingerprint=fingerprint,
                status=status,
                body=body,
                answered_at=caller.actor.now(),
            )
    return _answer(status, body, replayed=False)


def _known(caller: Caller, key: str, fingerprint: bytes) -> ApiAnswer | None:
    oldest = caller.actor.now() - KEPT
    old = ApiAnswer.objects.filter(answered_at__lte=oldest)
    if old.exists():
        old.delete()
    known = ApiAnswer.objects.filter(token=caller.token, key=key).first()
    if known is not None and bytes(known.fingerprint) != fingerprint:
        raise Problem(
            409,
            "key_reused",
            _("this key was used for another request"),
            where=HEADER,
            remedy=_("Take a new key for each thing you do"),
        )
    return known


def _key(request: HttpRequest) -> str | None:
    key = request.headers.get(HEADER, "")
    if not key and request.method in ("PUT", "PATCH", "DELETE"):
        return None
    if not _KEY.fullmatch(key):
        raise Problem(
            400,
            "malformed",
            _("a write needs a key of 8 to 64 letters, digits, - and _"),
            where=HEADER,
            remedy=_("Send a UUID; the same one when you send the same request again"),
        )
    return key


def _fingerprint(request: HttpRequest) -> bytes:
    head = f"{request.method} {request.get_full_path()}\n".encode()
    return Vault(settings.HUB.card_key()).fingerprint(head + request.body)


def _answer(status: int, body: str, *, replayed: bool) -> HttpResponse:
    response = HttpResponse(body, status=status, content_type="application/json")
    if replayed:
        response["Idempotency-Replayed"] = "true"
    return response
