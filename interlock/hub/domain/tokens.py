"""Tokens by which programs (the desk) use the hub's API: made, found by their hash, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import ApiToken, Lab, Topic
from interlock.hub.permissions import Actor, Permission, require

PREFIX = "ilk_"
"""So that a token that was pasted where it does not belong is recognised, by people and by scanners."""
TOKEN_BYTES = 32
"""256 random bits: nobody guesses one while it lives."""
TOKEN_LENGTH_MAX = 128
DAYS_MAX = 730
DAYS_DEFAULT = 365
"""A desk is set up once a year; a token that was forgotten somewhere ends by itself."""
USE_NOTED_EVERY = timedelta(hours=1)
"""How exactly a token's last use is known: each note takes the hub's single writer."""


class Scope(StrEnum):
    """What a token may do; its maker needs the permission behind it, then and at every use."""

    MEMBERS_READ = "members:read"
    BADGES_READ = "badges:read"
    BADGES_WRITE = "badges:write"
    CARD_KEYS_WRITE = "card-keys:write"
    MEMBERS_WRITE = "members:write"
    MEMBERS_ERASE = "members:erase"
    MACHINES_READ = "machines:read"
    LOCK_OUTS_WRITE = "lock-outs:write"
    TRAININGS_READ = "trainings:read"
    AUTHORISATIONS_WRITE = "authorisations:write"
    SESSIONS_READ = "sessions:read"
    BILLS_READ = "bills:read"
    LINES_WRITE = "lines:write"
    METRICS_READ = "metrics:read"


OF_THE_DESK = frozenset(
    {Scope.MEMBERS_READ, Scope.BADGES_READ, Scope.BADGES_WRITE, Scope.CARD_KEYS_WRITE}
)
"""What the enrolment desk needs, and what a form proposes: every other scope is chosen on purpose."""

PERMISSION_OF = {
    Scope.MEMBERS_READ: Permission.VIEW_MEMBERS,
    Scope.BADGES_READ: Permission.VIEW_MEMBERS,
    Scope.BADGES_WRITE: Permission.EDIT_BADGES,
    Scope.CARD_KEYS_WRITE: Permission.EDIT_BADGES,
    Scope.MEMBERS_WRITE: Permission.EDIT_MEMBERS,
    Scope.MEMBERS_ERASE: Permission.ERASE_MEMBERS,
    Scope.MACHINES_READ: Permission.VIEW_MACHINES,
    Scope.LOCK_OUTS_WRITE: Permission.LOCK_OUT,
    Scope.TRAININGS_READ: Permission.VIEW_MEMBERS,
    # A token is made by whoever may grant any training: a trainer's own are granted by their login.
    Scope.AUTHORISATIONS_WRITE: Permission.GRANT_ANY,
    Scope.SESSIONS_READ: Permission.VIEW_SESSIONS,
    Scope.BILLS_READ: Permission.VIEW_PRICES,
    Scope.LINES_WRITE: Permission.CORRECT_USE,
    Scope.METRICS_READ: Permission.VIEW_NODES,
}


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; `secret` is shown this once, the hub keeps only its SHA-256."""

    token: ApiToken
    secret: str


@transaction.atomic
def create_token(
    actor: Actor, lab: Lab, name: str, scopes: Iterable[str], days: int = DAYS_DEFAULT
) -> NewToken:
    """A token of that name for `days` days. Raises ConfigError: a name in use, an unknown scope."""
    require(actor, lab, Permission.EDIT_TOKENS)
    limits.check_name(name, "name", limits.LABEL_LENGTH_MAX)
    limits.check_number(days, DAYS_MAX, "days")
    wanted = _checked(scopes)
    for scope in wanted:
        require(actor, lab, PERMISSION_OF[scope])
    if ApiToken.objects.filter(lab=lab, name=name.strip(), revoked_at=None).exists():
        raise ConfigError(
            _("a token of this name exists already"),
            where=name.strip(),
            remedy=_("Revoke it first, or choose another name"),
        )
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    token = ApiToken.objects.create(
        lab=lab,
        name=name.strip(),
        maker=actor.user,
        token_hash=_hashed(secret),
        scopes=[scope.value for scope in wanted],
        created_at=actor.now(),
        expires_at=actor.now() + timedelta(days=days),
    )
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "api_token_created",
        token.name,
        after={"scopes": token.scopes, "days": days},
    )
    return NewToken(token, secret)


@transaction.atomic
def revoke_token(actor: Actor, token: ApiToken, why: str = "") -> None:
    """The token is nobody's from its next request on. Raises ConfigError when it was revoked before."""
    require(actor, token.lab, Permission.EDIT_TOKENS)
    if token.revoked_at is not None:
        raise ConfigError(_("this token was revoked before"), where=token.name)
    token.revoked_at = actor.now()
    token.save(update_fields=["revoked_at"])
    # What its writes were answered with is of no use to anybody any more.
    token.answers.all().delete()
    log_deed(actor, token.lab, Topic.OTHER, "api_token_revoked", token.name, why=why)


def find_token(secret: str, clock: Clock) -> ApiToken | None:
    """The live token of that secret, None for every other text."""
    if not secret.startswith(PREFIX) or len(secret) > TOKEN_LENGTH_MAX:
        return None
    now = Actor(clock).now()
    live = ApiToken.objects.filter(token_hash=_hashed(secret), revoked_at=None, expires_at__gt=now)
    return live.select_related("lab", "maker").first()


def note_use(token: ApiToken, clock: Clock) -> None:
    """When the token was last used is known to the hour."""
    now = Actor(clock).now()
    if token.last_used_at is None or now - token.last_used_at >= USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def actor_of(token: ApiToken, clock: Clock) -> Actor:
    """The token as the author of a change: its maker, whose permissions count."""
    return Actor(clock, token.maker, label=f"API: {token.name}")


def _checked(scopes: Iterable[str]) -> list[Scope]:
    wanted = []
    for name in dict.fromkeys(scopes):
        try:
            wanted.append(Scope(name))
        except ValueError as error:
            raise ConfigError(
                _("there is no %(name)s") % {"name": name},
                where="scopes",
                remedy=_("Known are: %(names)s") % {"names": ", ".join(Scope)},
            ) from error
    if not wanted:
        raise ConfigError(
            _("a token has to be good for something"),
            where="scopes",
            remedy=_("Known are: %(names)s") % {"names": ", ".join(Scope)},
        )
    return wanted


def _hashed(secret: str) -> bytes:
    return sha256(secret.encode(errors="replace")).digest()
