"""A viewer goes in; what waits for somebody like them comes out: the board's "To do"."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET

from interlock.hub.domain import unknown
from interlock.hub.domain.badges import random_tag
from interlock.hub.models import Badge, BadgeCondition
from interlock.hub.pages import alarms
from interlock.hub.pages.access import Viewer, page
from interlock.hub.permissions import Permission


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing to do: how urgent it looks, what it is, where it is done."""

    state: str
    icon: str
    words: str
    address: str


@require_GET
@page(Permission.VIEW_BOARD)
def todo(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Only the list: what live.js fetches when something changed."""
    return render(request, "hub/parts/todo.html", {"todo": waiting_for(viewer)})


def waiting_for(viewer: Viewer) -> list[Waiting]:
    """What the viewer may look at and do something about, the most serious first."""
    return [*_clones(viewer), *_unknown_badges(viewer), *_enrol_again(viewer)]


def _clones(viewer: Viewer) -> list[Waiting]:
    said = gettext(
        "%(machine)s: a badge did not prove that it is genuine. Somebody may have a copy."
    )
    return [
        Waiting(
            "fault",
            "fault",
            said % {"machine": machine.name},
            reverse("machine", args=[machine.slug]),
        )
        for machine, _count in alarms.possible_clones(viewer)
    ]


def _unknown_badges(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.EDIT_BADGES):
        return []
    met = unknown.listed(viewer.lab, viewer.now).exclude(tag=random_tag())
    count = met.values("tag").distinct().count()
    said = ngettext(
        "%(n)s unknown badge was held to a reader",
        "%(n)s unknown badges were held to a reader",
        count,
    )
    waiting = Waiting("ending", "badge", said % {"n": count}, reverse("unknown-badges"))
    return [waiting] if count else []


def _enrol_again(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.EDIT_BADGES):
        return []
    count = Badge.objects.filter(lab=viewer.lab, condition=BadgeCondition.ENROL_AGAIN).count()
    said = ngettext(
        "%(n)s badge has to be enrolled again", "%(n)s badges have to be enrolled again", count
    )
    waiting = Waiting("idle", "badge", said % {"n": count}, reverse("badges-to-enrol"))
    return [waiting] if count else []
