"""A viewer goes in; what waits for somebody like them comes out: the board's "To do", the worst first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from interlock.hub.pages import todo_machines, todo_people
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.people import assistant
from interlock.hub.pages.waiting import Source, Waiting
from interlock.hub.pages.workshop import waiting as workshop
from interlock.hub.permissions import Permission

SOURCES: tuple[Source, ...] = (
    assistant.to_set_up,
    *todo_machines.SOURCES,
    *todo_people.SOURCES,
    workshop.waiting_for,
)
"""Every room's part of the list; one room is one line here."""

_WORST_FIRST = ("fault", "unmetered", "in-use", "locked-out", "ending", "offline", "idle", "free")


@require_GET
@page(Permission.VIEW_BOARD)
def todo(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Only the list: what live.js fetches when something changed."""
    return render(request, "hub/parts/todo.html", {"todo": waiting_for(viewer)})


def waiting_for(viewer: Viewer) -> list[Waiting]:
    """What the viewer may look at and do something about, the most serious first."""
    everything = [one for source in SOURCES for one in source(viewer)]
    return sorted(everything, key=lambda one: _WORST_FIRST.index(one.state))
