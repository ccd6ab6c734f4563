"""A request goes in; who looks, at which lab, when, and with which permissions comes out, or a refusal.

Every view is wrapped by `page(…)` or `public`: the wrapper hangs the rule on the view, and a test walks
the URL table to see that none is without one. The table of roles is permissions.py; nothing is decided here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext

from interlock.clock import Clock
from interlock.hub.domain.second_factor import is_missing
from interlock.hub.models import Lab, User
from interlock.hub.permissions import Actor, Permission, permissions_of

P = ParamSpec("P")
View = Callable[..., HttpResponse]

PUBLIC: frozenset[Permission] = frozenset()
"""The rule of pages that people reach before they have signed in."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page: their lab, its zone, the hub's time and what they may do here."""

    user: User
    lab: Lab
    zone: ZoneInfo
    now: datetime
    permissions: frozenset[Permission]

    def may(self, *any_of: Permission) -> bool:
        """Whether one of these permissions is theirs."""
        return not self.permissions.isdisjoint(any_of)

    @property
    def sees_names(self) -> bool:
        """Whether they may know who uses a machine."""
        return self.may(Permission.VIEW_MEMBERS, Permission.VIEW_SESSIONS)

    @property
    def actor(self) -> Actor:
        """Them as the author of a change."""
        return Actor(hub_clock(), self.user)


def hub_clock() -> Clock:
    """The clock of this hub: settings.py names it, so that tests can give another."""
    clock: Clock = settings.HUB_CLOCK
    return clock


def hub_now() -> datetime:
    """The hub's time, aware UTC."""
    return datetime.fromtimestamp(hub_clock().wall_ms() / 1_000, UTC)


def viewer_of(request: HttpRequest) -> Viewer | None:
    """Who looks; None before sign-in or for somebody without a lab. One query a request."""
    known: Viewer | None = getattr(request, "viewer", None)
    if known is not None:
        return known
    lab: Lab | None = getattr(request, "lab", None)
    if not isinstance(request.user, User) or lab is None:
        return None
    allowed = permissions_of(request.user, lab)
    viewer = Viewer(request.user, lab, ZoneInfo(lab.time_zone), hub_now(), allowed)
    request.viewer = viewer  # type: ignore[attr-defined]
    return viewer


def page(
    *any_of: Permission,
) -> Callable[[Callable[Concatenate[HttpRequest, Viewer, P], HttpResponse]], View]:
    """The view runs for signed-in people who hold one of these permissions; it is given the Viewer."""

    def wrap(view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponse]) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return _to_the_door(request)
            viewer = viewer_of(request)
            if viewer is None or not viewer.may(*any_of):
                raise PermissionDenied(gettext("Your role in this lab does not show this page."))
            if request.path != reverse("my-sign-in") and is_missing(viewer.user, viewer.lab):
                return redirect("my-sign-in")
            response = view(request, viewer, *args, **kwargs)
            # What a page shows depends on who looks: no cache may keep it for the next person.
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        guarded.rule = frozenset(any_of)  # type: ignore[attr-defined]
        return guarded

    if not any_of:
        raise ValueError("a page needs at least one permission; use `public` for the door")
    return wrap


def _to_the_door(request: HttpRequest) -> HttpResponse:
    """Sign in first. A live fragment must not swap the door into the page: it reloads the page."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def public(view: View) -> View:
    """The view is for people who have not signed in: the door, and nothing behind it."""

    @functools.wraps(view)
    def open_to_all(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    open_to_all.rule = PUBLIC  # type: ignore[attr-defined]
    return open_to_all
