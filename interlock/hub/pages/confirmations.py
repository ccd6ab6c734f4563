"""Nodes and the versions they confirmed go in; the machines that may still decide by older rights come out.

A right that was taken away is only gone where its node has said so. Silence is never taken for a yes: a
node without a confirmed version, or whose newest list is still being made, is named too.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.models import Lab, Node, Snapshot
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.permissions import Permission


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A machine that has not confirmed the current rights, and when its node last spoke."""

    machine: str
    contact: str


@require_GET
@page(Permission.VIEW_MEMBERS)
def confirmations(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Only the list: what live.js fetches when something changed."""
    return render(request, "hub/parts/confirmations.html", {"unconfirmed": unconfirmed(viewer)})


def unconfirmed(viewer: Viewer) -> list[Unconfirmed]:
    """The machines in question, by name: two queries, whatever their number."""
    current = Prefetch("snapshot", Snapshot.objects.defer("body"))
    nodes = (
        Node.objects.filter(lab=viewer.lab, revoked_at=None)
        .select_related("machine")
        .prefetch_related(current)
        .order_by("machine__name")
    )
    return [
        Unconfirmed(node.machine.name, _contact(node, viewer))
        for node in nodes
        if not is_confirmed(node, viewer.lab)
    ]


def is_confirmed(node: Node, lab: Lab) -> bool:
    """Whether `node` said that it decides by the list that holds every change up to now."""
    try:
        snapshot = node.snapshot
    except Snapshot.DoesNotExist:
        return False
    is_newest = snapshot.rights_seq == lab.rights_seq and snapshot.epoch == lab.hub_epoch
    said = (node.confirmed_epoch, node.confirmed_counter)
    return is_newest and said == (snapshot.epoch, snapshot.counter)


def _contact(node: Node, viewer: Viewer) -> str:
    if node.last_seen_at is None:
        return gettext("never heard of yet")
    silent_s = int((viewer.now - node.last_seen_at).total_seconds())
    return gettext("last contact %(ago)s") % {"ago": formats.ago(max(0, silent_s))}
