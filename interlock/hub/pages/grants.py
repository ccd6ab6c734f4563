"""Trainings granted at a machine with a badge that can be copied go in; who waits for whose word comes out."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.domain import grants as deeds
from interlock.hub.models import Member, PendingGrant
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, hub_clock, page
from interlock.hub.permissions import Permission


@dataclass(frozen=True, slots=True)
class Row:
    """One grant that waits, in words."""

    number: int
    training: str
    member: str
    address: str
    trainer: str
    where: str
    may_decide: bool


@require_GET
@page(Permission.GRANT_ANY, Permission.GRANT_OWN)
def grants(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the viewer may confirm or reject."""
    return render(request, "hub/grants.html", {"rows": to_decide(viewer)})


def to_decide(viewer: Viewer) -> list[Row]:
    """The grants that wait for a word of the viewer."""
    if not viewer.may(Permission.GRANT_ANY, Permission.GRANT_OWN):
        return []
    return [row for row in _rows(_waiting(viewer), viewer) if row.may_decide]


def about(found: Member, viewer: Viewer) -> list[Row]:
    """The grants that wait about `found`: as the one who learnt, or as the one who taught."""
    return _rows(_waiting(viewer).filter(Q(member=found) | Q(trainer=found)), viewer)


def _waiting(viewer: Viewer) -> QuerySet[PendingGrant]:
    waiting = PendingGrant.objects.filter(lab=viewer.lab, state=PendingGrant.State.WAITING)
    return waiting.select_related("lab", "member", "training", "trainer", "node__machine").order_by(
        "given_at"
    )


def _rows(waiting: QuerySet[PendingGrant], viewer: Viewer) -> list[Row]:
    opens = viewer.may(Permission.VIEW_MEMBERS)
    return [
        Row(
            number=one.pk,
            training=one.training.name,
            member=one.member.name,
            address=reverse("member", args=[one.member.public_id]) if opens else "",
            trainer=one.trainer.name,
            where=gettext("%(machine)s, %(moment)s")
            % {
                "machine": one.node.machine.name,
                "moment": formats.moment(one.given_at, viewer.zone, viewer.now),
            },
            may_decide=deeds.may_decide(viewer.user, one, hub_clock()),
        )
        for one in waiting
    ]
