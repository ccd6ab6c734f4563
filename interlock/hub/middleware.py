"""Around every page: security headers, static files, limits of a login, and the lab it is about."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from whitenoise.middleware import WhiteNoiseMiddleware

from interlock.hub.permissions import lab_of

GetResponse = Callable[[HttpRequest], HttpResponse]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere: a name typed into a form can never become a script."""

NODES = "/node/"
"""Where nodes speak: they prove themselves, and their lab, by their credential."""

SEEN_EVERY_S = 60
"""How often a login's last use is written: each write takes the hub's single writer."""


HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # A download is what its type says; no browser guesses a page into it.
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Whatever names somebody is kept by no cache; what may be kept says so itself.
    "Cache-Control": "no-store",
}
"""Of every answer of the hub, whoever gives it: this middleware for Django, front.py for the rest."""

_FOR_NODES = {name: HEADERS[name] for name in ("X-Content-Type-Options", "Cache-Control")}
"""No browser is there, and a change has to reach 500 nodes in few bytes."""


def headers_for(path: str) -> dict[str, str]:
    """What an answer at `path` carries at least."""
    return _FOR_NODES if path.startswith(NODES) else HEADERS


class SecurityHeaders:
    """Every answer carries HEADERS, also those of errors; over HTTPS no cookie travels otherwise."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in headers_for(request.path).items():
            response.headers.setdefault(name, value)
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise has no types
    """WhiteNoise, answering whole files: under ASGI Django warns about its streamed ones."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """The file as one plain answer; ours are small."""
        found = static_file.get_response(request.method, request.META)
        body = b""
        if found.file is not None:
            with found.file:
                body = found.file.read()
        response = HttpResponse(body, status=int(found.status))
        del response["content-type"]
        for key, value in found.headers:
            response[key] = value
        return response


class SessionLimits:
    """A login ends after its longest life or after an hour without use, whichever comes first."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            self._apply(request)
        return self.get_response(request)

    def _apply(self, request: HttpRequest) -> None:
        now_s = settings.HUB_CLOCK.wall_ms() // 1_000
        request.session.setdefault("began_s", now_s)
        seen_s = request.session.setdefault("seen_s", now_s)
        if login_is_over(request.session):
            logout(request)
        elif now_s - seen_s >= SEEN_EVERY_S:
            request.session["seen_s"] = now_s


def login_is_over(session: SessionBase) -> bool:
    """Whether this login has lasted too long, or was left alone for too long."""
    now_s = settings.HUB_CLOCK.wall_ms() // 1_000
    age_s, idle_s = now_s - session.get("began_s", now_s), now_s - session.get("seen_s", now_s)
    return bool(idle_s > settings.SESSION_IDLE_S_MAX or age_s > settings.SESSION_COOKIE_AGE)


class CurrentLab:
    """`request.lab` is the lab a request is about (None before one exists); times show in its zone."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(NODES):
            return self.get_response(request)
        lab = lab_of(request.user, request.session.get("lab"))
        request.lab = lab  # type: ignore[attr-defined]
        with timezone.override(zoneinfo.ZoneInfo(lab.time_zone) if lab else None):
            return self.get_response(request)
