"""A request of a program in, who asks and for which lab out; or a refusal that tells a stranger nothing.

the way    HTTPS, or this very computer: UIDs and card keys travel here
the token  `Authorization: Bearer ilk_…`; wrong ones are counted by address, right ones never
the scope  what the token was made for; its maker's permissions are asked by the domain, each time
"""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import HttpBearer

from interlock.clock import Clock
from interlock.hub.api.problems import Problem
from interlock.hub.domain import tokens
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import ApiToken, Lab
from interlock.hub.pages.throttle import Throttle
from interlock.hub.permissions import Actor, require

THROTTLED_NAME = "api token"
"""All wrong tokens of an address are counted together: each guess would be a name of its own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token, its lab, and its maker as the author of what it changes."""

    token: ApiToken
    lab: Lab
    actor: Actor


class BearerToken(HttpBearer):
    """The token a request carries, good for `scope` (None: for any)."""

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Who asks; None for a token that is nobody's. Raises Problem."""
        clock: Clock = settings.HUB_CLOCK
        refuse_open_wire(request)
        found = tokens.find_token(token, clock)
        if found is None:
            count_wrong(request)
            return None
        if self.scope is not None and self.scope not in found.scopes:
            raise Problem(
                403,
                "scope",
                _("this token is not for that: it lacks %(scope)s") % {"scope": self.scope.value},
                where=found.name,
                remedy=_("Make one with that scope: interlock hub api-token add"),
            )
        actor = tokens.actor_of(found, clock)
        if self.scope is not None:
            require(actor, found.lab, tokens.PERMISSION_OF[self.scope])
        tokens.note_use(found, clock)
        return Caller(found, found.lab, actor)


def caller_of(request: HttpRequest) -> Caller:
    """Who was let in."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller


def refuse_open_wire(request: HttpRequest) -> None:
    """Return on HTTPS and on loopback. Raises Problem."""
    if not request.is_secure() and not _is_this_computer(request.META.get("REMOTE_ADDR", "")):
        raise Problem(
            403,
            "insecure",
            _("numbers and keys of badges do not travel unencrypted"),
            remedy=_("Use https://, or run the desk on the hub's own computer"),
        )


def count_wrong(request: HttpRequest) -> None:
    """One more wrong token from this address. Raises Problem when there were too many."""
    wait_s = _throttle().begin(THROTTLED_NAME, request.META.get("REMOTE_ADDR", ""))
    if wait_s:
        raise Problem(
            429,
            "too_many",
            _("too many wrong tokens came from this address"),
            where="Authorization",
            remedy=_("Wait, and check the token that the desk was given"),
            wait_s=wait_s,
        )


@functools.cache
def _throttle() -> Throttle:
    return Throttle(settings.HUB_CLOCK)


def _is_this_computer(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
