"""A viewer goes in; the board comes out, whole or as the fragment that the live page fetches again."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.tiles import machines_of, tally, tile
from interlock.hub.pages.todo import waiting_for
from interlock.hub.permissions import Permission


@require_GET
@page(Permission.VIEW_BOARD)
def board(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every machine, as it is now."""
    return render(request, "hub/board.html", {**_context(viewer), "todo": waiting_for(viewer)})


@require_GET
@page(Permission.VIEW_BOARD)
def board_tiles(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Only the tiles: what live.js fetches when something changed."""
    return render(request, "hub/parts/tiles.html", _context(viewer))


def _context(viewer: Viewer) -> dict[str, Any]:
    tiles = [
        tile(machine, viewer.zone, viewer.now, show_member=viewer.sees_names)
        for machine in machines_of(viewer.lab)
    ]
    return {
        "tiles": tiles,
        "tally": tally(tiles),
        "opens_machines": viewer.may(Permission.VIEW_MACHINES),
    }
