"""A viewer goes in; what waits for somebody like them comes out: the board's "To do"."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET

from interlock.hub.domain import unknown
from interlock.hub.domain.badges import random_tag
from interlock.hub.models import AlarmKind, Badge, BadgeCondition, Machine, Node
from interlock.hub.pages import alarms, formats, grants
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.machine_facts import is_rewired
from interlock.hub.pages.words import Words
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
    return [
        *_alarms(viewer),
        *_bypassed(viewer),
        *_grants(viewer),
        *_uncommissioned(viewer),
        *_unknown_badges(viewer),
        *_enrol_again(viewer),
    ]


def _alarms(viewer: Viewer) -> list[Waiting]:
    return [
        Waiting(
            state,
            state if state == "fault" else "sessions",
            str(said) % {"machine": machine.name},
            reverse("machine", args=[machine.slug]),
        )
        for kind, state, said in _SAID
        for machine in alarms.machines_with(kind, viewer)
    ]


def _bypassed(viewer: Viewer) -> list[Waiting]:
    """Machines that run without asking anybody, for those who look after nodes."""
    if not viewer.may(Permission.VIEW_NODES):
        return []
    said = gettext(
        "%(machine)s: the bypass key is on since %(moment)s. Nobody is asked for a badge."
    )
    return [
        Waiting(
            "unmetered",
            "unmetered",
            said
            % {
                "machine": machine.name,
                "moment": formats.moment(machine.live_bypass_at, viewer.zone, viewer.now),
            },
            reverse("machine", args=[machine.slug]),
        )
        for machine in Machine.objects.filter(lab=viewer.lab, live_bypass_at__isnull=False)
        if machine.live_bypass_at is not None
    ]


def _grants(viewer: Viewer) -> list[Waiting]:
    count = len(grants.to_decide(viewer))
    said = ngettext(
        "%(n)s training granted at a machine has to be confirmed",
        "%(n)s trainings granted at a machine have to be confirmed",
        count,
    )
    waiting = Waiting("ending", "training", said % {"n": count}, reverse("grants"))
    return [waiting] if count else []


def _uncommissioned(viewer: Viewer) -> list[Waiting]:
    """Machines whose node nobody has walked through, or not as it is wired now."""
    if not viewer.may(Permission.VIEW_NODES):
        return []
    never = gettext("%(machine)s was never commissioned")
    other = gettext("%(machine)s was commissioned with another wiring")
    waiting = []
    nodes = Node.objects.filter(lab=viewer.lab, revoked_at=None).select_related("machine")
    for node in nodes.prefetch_related("commissionings").order_by("machine__name"):
        walks = list(node.commissionings.all())
        if not walks or is_rewired(node, walks[0]):
            said = (other if walks else never) % {"machine": node.machine.name}
            address = reverse("machine", args=[node.machine.slug])
            waiting.append(Waiting("ending", "machines", said, address))
    return waiting


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


_SAID: tuple[tuple[AlarmKind, str, Words], ...] = (
    (
        AlarmKind.UNEXPECTED_START,
        "fault",
        gettext_lazy("%(machine)s started by itself and was cut off."),
    ),
    (
        AlarmKind.STOLEN_BADGE,
        "fault",
        gettext_lazy("A stolen or lost badge was presented at %(machine)s."),
    ),
    (
        AlarmKind.POSSIBLE_CLONE,
        "fault",
        gettext_lazy(
            "%(machine)s: a badge did not prove that it is genuine. Somebody may have a copy."
        ),
    ),
    (
        AlarmKind.GRANT_REFUSED,
        "fault",
        gettext_lazy("%(machine)s: a training granted there does not count."),
    ),
    (
        AlarmKind.SESSION_TO_CHECK,
        "ending",
        gettext_lazy("%(machine)s: sessions to check"),
    ),
)
"""The alarms that somebody should not have to look for, the most serious first."""
