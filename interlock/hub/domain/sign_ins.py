"""Sign-ins that failed to rows of the audit log, and a person's own logins to a list they can end.

What was typed is never kept: it may be somebody else's address, or a password in the wrong field. A failure is
told of the person whose address it was, or of nobody. A flood writes few rows: the throttle holds it up, the
same failure is told once a quarter of an hour, and no more than ROWS_PER_HOUR_MAX are told at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session as Login
from django.db import transaction

from interlock.clock import Clock
from interlock.hub.changes import log_deed
from interlock.hub.models import AuditRow, Lab, Topic, User
from interlock.hub.permissions import Actor, lab_of, labs_of

FAILED = "sign_in_failed"
ENDED = "logins_ended"
AGAIN_AFTER = timedelta(minutes=15)
"""As long as the throttle remembers: one row says that somebody keeps trying."""
ROWS_PER_HOUR_MAX = 30
"""More say no more, and would bury what people did."""
SUBJECT_LENGTH_MAX = 128
AGENT_LENGTH_MAX = 60
_AGENT, _BEGAN, _SEEN = "agent", "began_s", "seen_s"
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung"), ("Firefox", "Firefox")),
    *(("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari")),
)
"""The first that a User-Agent holds: Edge calls itself Chrome, too, and Chrome Safari."""
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """One browser in which somebody is signed in; `agent` is "Firefox, Linux", or empty where unknown."""

    agent: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


@transaction.atomic
def note_failure(clock: Clock, user: User | None, address: str, step: str) -> None:
    """That a sign-in failed at `step` ("password" or "code") is in the log of each lab of `user`; with nobody
    of that address, in the log of the hub's only lab. `address` is the household it came from."""
    actor = Actor(clock, label="sign-in")
    known = [lab_of(AnonymousUser())] if user is None else labs_of(user)
    subject = "" if user is None else user.name[:SUBJECT_LENGTH_MAX]
    told = {"step": step, "from": address}
    for lab in known:
        if lab is not None and not _was_told(lab, subject, told, actor.now()):
            log_deed(actor, lab, Topic.OTHER, FAILED, subject, after=told)


def agent_of(header: str) -> str:
    """A User-Agent in two words that a person knows their own browser by."""
    browser = next((name for mark, name in _BROWSERS if mark in header), "")
    system = next((name for mark, name in _SYSTEMS if mark in header), "")
    return ", ".join(filter(None, (browser, system)))[:AGENT_LENGTH_MAX]


def own_logins(user: User, this: str | None, now: datetime) -> list[OwnLogin]:
    """Where `user` is signed in, the latest used first; `this` is the key of the session that asks."""
    found = []
    for login in _logins_of(user, now):
        told = login.get_decoded()
        began_s = int(told.get(_BEGAN, now.timestamp()))
        found.append(
            OwnLogin(
                str(told.get(_AGENT, "")),
                datetime.fromtimestamp(began_s, UTC),
                datetime.fromtimestamp(int(told.get(_SEEN, began_s)), UTC),
                login.session_key == this,
            )
        )
    return sorted(found, key=lambda one: (one.is_this, one.seen_at), reverse=True)


@transaction.atomic
def end_others(actor: Actor, this: str | None) -> int:
    """The actor is signed in nowhere but here; how many logins ended."""
    user = actor.user
    if user is None:
        return 0
    others = [login for login in _logins_of(user, actor.now()) if login.session_key != this]
    for login in others:
        login.delete()
    if others:
        for lab in labs_of(user):
            subject = user.name[:SUBJECT_LENGTH_MAX]
            log_deed(actor, lab, Topic.OTHER, ENDED, subject, after={"logins": len(others)})
    return len(others)


def _logins_of(user: User, now: datetime) -> Iterator[Login]:
    """Those that live. What a session holds can only be read by decoding it: a lab has some dozens."""
    for login in Login.objects.iterator():
        told = login.get_decoded()
        if told.get("_auth_user_id") == str(user.pk) and not _is_over(told, now):
            yield login


def _is_over(told: Mapping[str, Any], now: datetime) -> bool:
    """As the next request with it would find (middleware.login_is_over)."""
    now_s = int(now.timestamp())
    age_s, idle_s = now_s - told.get(_BEGAN, now_s), now_s - told.get(_SEEN, now_s)
    return bool(age_s > settings.SESSION_COOKIE_AGE or idle_s > settings.SESSION_IDLE_S_MAX)


def _was_told(lab: Lab, subject: str, told: dict[str, str], now: datetime) -> bool:
    """Whether this failure was told a moment ago, or too many were."""
    rows = AuditRow.objects.filter(lab=lab, action=FAILED).order_by("-seq")[:ROWS_PER_HOUR_MAX]
    latest = list(rows.values_list("subject", "after", "done_at"))
    if len(latest) == ROWS_PER_HOUR_MAX and now - latest[-1][2] < timedelta(hours=1):
        return True
    return any(
        (said, after) == (subject, told) and now - at < AGAIN_AFTER for said, after, at in latest
    )
