"""A lab goes in; its wall screen comes out: every machine's state in letters that are read across the room.

Reached with a login, or by the lab's unguessable address, which lives as long as the screen does: nobody
types a password into a television each morning. It names people only where the lab says so.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.models import Lab
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, hub_now, page, public
from interlock.hub.pages.context import LIVE_ADDRESS
from interlock.hub.pages.tiles import Count, Tile, machines_of, tally, tile
from interlock.hub.permissions import Permission

SHOWN_MAX = 30
"""Tiles that are still read at five metres on 1920 × 1080; beyond, free machines are only counted."""

_DENSITIES = ((6, "few"), (12, "some"), (20, "many"), (SHOWN_MAX, "crowd"))
"""Up to so many tiles: the grid of wall.css that they fill."""

_URGENT = ("fault", "unmetered", "locked-out", "in-use", "idle", "ending", "offline")
"""Which states are shown first where not all of them fit."""


@dataclass(frozen=True, slots=True)
class Wall:
    """What the screen shows: tiles in the order of names, the rest as numbers."""

    tiles: tuple[Tile, ...]
    left_out: tuple[Count, ...]
    tally: tuple[Count, ...]
    density: str
    clock: str


@require_GET
@page(Permission.VIEW_BOARD)
def wall(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The wall screen of somebody who has signed in."""
    return _whole(request, viewer.lab, reverse("wall-tiles"), LIVE_ADDRESS)


@require_GET
@page(Permission.VIEW_BOARD)
def wall_tiles(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Only what changes: wall.js fetches it."""
    return _part(request, viewer.lab)


@require_GET
@public
def open_wall(request: HttpRequest, lab: str, key: str) -> HttpResponse:
    """The wall screen by its own address, without a login."""
    found = _lab_of(lab, key)
    with translation.override(found.language):
        return _whole(request, found, reverse("open-wall-tiles", args=[lab, key]), "")


@require_GET
@public
def open_wall_tiles(request: HttpRequest, lab: str, key: str) -> HttpResponse:
    """Only what changes, by the screen's own address."""
    found = _lab_of(lab, key)
    with translation.override(found.language):
        return _part(request, found)


def wall_of(lab: Lab) -> Wall:
    """The screen as it is now: two queries, whatever the number of machines."""
    zone, now = ZoneInfo(lab.time_zone), hub_now()
    tiles = [tile(one, zone, now, show_member=lab.wall_names) for one in machines_of(lab)]
    tiles = [_short(one) for one in tiles]
    shown = _that_fit(tiles)
    chosen = {one.slug for one in shown}
    return Wall(
        tiles=tuple(shown),
        left_out=tuple(tally(one for one in tiles if one.slug not in chosen)),
        tally=tuple(tally(tiles)),
        density=next((name for most, name in _DENSITIES if len(shown) <= most), "crowd"),
        clock=formats.time_of_day(now, zone),
    )


def _short(one: Tile) -> Tile:
    """Nobody reads a second line of details from the other end of the workshop."""
    return replace(one, details=one.details[:1])


def _that_fit(tiles: list[Tile]) -> list[Tile]:
    """All of them, or else those that somebody should see, still in the order of names: a machine keeps
    its place on the screen."""
    if len(tiles) <= SHOWN_MAX:
        return tiles
    wanted = [one for state in _URGENT for one in tiles if one.state == state][:SHOWN_MAX]
    chosen = {one.slug for one in wanted}
    return [one for one in tiles if one.slug in chosen]


def _lab_of(slug: str, key: str) -> Lab:
    found = Lab.objects.filter(slug=slug).exclude(wall_key="").first()
    if found is None or not hmac.compare_digest(found.wall_key.encode(), key.encode()):
        raise Http404(gettext("There is no wall screen at this address."))
    return found


def _whole(request: HttpRequest, lab: Lab, part: str, live: str) -> HttpResponse:
    context = {**_context(lab), "part_address": part, "live_address": live}
    return _uncached(render(request, "hub/wall.html", context))


def _part(request: HttpRequest, lab: Lab) -> HttpResponse:
    return _uncached(render(request, "hub/parts/wall_tiles.html", _context(lab)))


def _context(lab: Lab) -> dict[str, Any]:
    return {"wall": wall_of(lab), "lab_name": lab.name}


def _uncached(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    return response
