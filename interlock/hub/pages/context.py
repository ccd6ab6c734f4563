"""What every template may use besides its own values: the lab, the way round the hub, the languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_lazy

from interlock.hub.models import User
from interlock.hub.pages.access import Viewer, viewer_of
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission

LIVE_ADDRESS = "/live"
"""The stream of changes, answered by asgi.py in front of Django."""

LANGUAGE_NAMES = {"en": "English", "fr": "Français"}
"""Each language in its own words: whoever looks for it reads it, not ours."""

_PAGES: tuple[tuple[str, str, Words, tuple[Permission, ...]], ...] = (
    ("board", "board", gettext_lazy("Board"), (Permission.VIEW_BOARD,)),
    ("members", "members", gettext_lazy("Members"), (Permission.VIEW_MEMBERS,)),
    ("machines", "machines", gettext_lazy("Machines"), (Permission.VIEW_MACHINES,)),
    ("sessions", "sessions", gettext_lazy("Sessions"), (Permission.VIEW_SESSIONS,)),
    ("settings", "settings", gettext_lazy("Settings"), (Permission.EDIT_LAB,)),
    ("me", "person", gettext_lazy("My page"), (Permission.VIEW_OWN,)),
)


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One way to go; `here` is the value of aria-current, empty elsewhere."""

    address: str
    icon: str
    words: str
    here: str


@dataclass(frozen=True, slots=True)
class Language:
    """A language the page can be read in."""

    code: str
    name: str


def page(request: HttpRequest) -> dict[str, Any]:
    """The values base.html is made of."""
    user = getattr(request, "user", None)
    viewer = viewer_of(request) if user is not None else None
    lab = getattr(request, "lab", None)
    current = translation.get_language() or settings.LANGUAGE_CODE
    return {
        "viewer": viewer,
        "lab_name": lab.name if lab else "Interlock",
        "navigation": _navigation(request, viewer) if viewer else [],
        "person_name": user.name if isinstance(user, User) else "",
        "live_address": LIVE_ADDRESS,
        "other_languages": [
            Language(code, LANGUAGE_NAMES.get(code, code))
            for code, _name in settings.LANGUAGES
            if code != current.split("-")[0]
        ],
    }


def _navigation(request: HttpRequest, viewer: Viewer) -> list[NavigationItem]:
    own = not viewer.may(Permission.VIEW_MEMBERS)
    return [
        NavigationItem(
            address=(address := reverse(name)),
            icon=icon,
            words=str(words),
            here=_here(request.path, address),
        )
        for name, icon, words, any_of in _PAGES
        if viewer.may(*any_of) and (own or name != "me")
    ]


def _here(path: str, address: str) -> str:
    if path == address:
        return "page"
    return "true" if address != "/" and path.startswith(address) else ""
