"""What every template may use besides its own values: the lab, the way round the hub, the languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from interlock.hub.models import User
from interlock.hub.pages.access import viewer_of
from interlock.hub.pages.navigation import navigation_of

LIVE_ADDRESS = "/live"
"""The stream of changes, answered by asgi.py in front of Django."""

LANGUAGE_NAMES = {"en": "English", "fr": "Français"}
"""Each language in its own words: whoever looks for it reads it, not ours."""


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
        "navigation": navigation_of(request, viewer) if viewer else None,
        "person_name": user.name if isinstance(user, User) else "",
        "live_address": LIVE_ADDRESS,
        "other_languages": [
            Language(code, LANGUAGE_NAMES.get(code, code))
            for code, _name in settings.LANGUAGES
            if code != current.split("-")[0]
        ],
    }
