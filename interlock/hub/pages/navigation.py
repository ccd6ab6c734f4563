"""A viewer goes in; the ways round the hub that are theirs come out: a bar, and a menu for the rest.

An entry is shown to whoever its page lets in: the page's own rule (access.py) decides, so that the bar and the
door never disagree. A page that does not exist has no entry.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.translation import gettext_lazy

from interlock.hub.pages.access import Viewer
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission

_BAR: tuple[tuple[str, str, Words], ...] = (
    ("board", "board", gettext_lazy("Board")),
    ("members", "members", gettext_lazy("Members")),
    ("machines", "machines", gettext_lazy("Machines")),
    ("sessions", "sessions", gettext_lazy("Usage")),
    ("trainings", "training", gettext_lazy("Trainings")),
    ("billing", "billing", gettext_lazy("Billing")),
    ("reports", "reports", gettext_lazy("Reports")),
)
"""What is wanted every day, most often first: a narrow screen moves the last ones to the menu."""

_MENU: tuple[tuple[str, str, Words], ...] = (
    ("activities", "activities", gettext_lazy("Activities")),
    ("volunteering", "members", gettext_lazy("Volunteers")),
    ("maintenance", "maintenance", gettext_lazy("Maintenance")),
    ("problems", "problems", gettext_lazy("Problems")),
    ("nodes", "nodes", gettext_lazy("Computers at machines")),
    ("import", "import", gettext_lazy("Import and export")),
    ("audit", "audit", gettext_lazy("Audit")),
    ("mail", "mail", gettext_lazy("Mail")),
    ("settings", "settings", gettext_lazy("Settings")),
    ("me", "person", gettext_lazy("My page")),
    ("my-sign-in", "privacy", gettext_lazy("My sign-in")),
)

FITS_A_PHONE = 4
"""Entries beside "More" that a thumb hits on a screen of 360 px."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One way to go; `here` is the value of aria-current, empty elsewhere."""

    address: str
    icon: str
    words: str
    here: str


@dataclass(frozen=True, slots=True)
class Navigation:
    """What stands in the bar and what its menu holds; no menu when the bar has room for everything."""

    bar: tuple[Entry, ...]
    menu: tuple[Entry, ...]

    @property
    def has_menu(self) -> bool:
        """Whether there is more than a phone's bar can show."""
        return bool(self.menu) or len(self.bar) > FITS_A_PHONE + 1

    @property
    def is_in_menu(self) -> bool:
        """Whether the page that is open is one of the menu's own."""
        return any(entry.here for entry in self.menu)

    def __bool__(self) -> bool:
        return bool(self.bar or self.menu)


def navigation_of(request: HttpRequest, viewer: Viewer) -> Navigation:
    """The ways that this viewer may go."""
    bar, menu = (_allowed(request, viewer, entries) for entries in (_BAR, _MENU))
    if len(bar) + len(menu) <= FITS_A_PHONE + 1:
        return Navigation(bar + menu, ())
    return Navigation(bar, menu)


def address_of(name: str) -> str | None:
    """Where the page called `name` is; None: there is no such page, or it is about one thing."""
    known = _page(name)
    return known[0] if known else None


@functools.cache
def _page(name: str) -> tuple[str, frozenset[Permission]] | None:
    """The address and the rule of the page called `name`; None: there is no such page."""
    try:
        address = reverse(name)
    except NoReverseMatch:
        return None
    rule: frozenset[Permission] = vars(resolve(address).func)["rule"]
    return address, rule


def _allowed(
    request: HttpRequest, viewer: Viewer, entries: tuple[tuple[str, str, Words], ...]
) -> tuple[Entry, ...]:
    found = []
    for name, icon, words in entries:
        known = _page(name)
        if known is not None and viewer.may(*known[1]):
            address = known[0]
            found.append(Entry(address, icon, str(words), _here(request.path, address)))
    return tuple(found)


def _here(path: str, address: str) -> str:
    if path == address:
        return "page"
    return "true" if address != "/" and path.startswith(address) else ""
