"""Nodes and the versions they confirmed go in; the machines that may still decide by older rights come out.

A right that was taken away is only gone where its node has said so. Silence is never taken for a yes: a
node without a confirmed version, or whose newest list is still being made, is named too; and so is one
that was revoked while nothing says that another took its place at the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.domain.limits import OFFLINE_S_MAX
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
    current = Prefetch("snapshot", Snapshot.objects.defer("head"))
    # Longer than that no node believes any list.
    since = viewer.now - timedelta(seconds=OFFLINE_S_MAX)
    nodes = (
        Node.objects.filter(Q(revoked_at=None) | Q(revoked_at__gt=since), lab=viewer.lab)
        .select_related("machine")
        .prefetch_related(current)
        .order_by("machine__name", "machine", "-pk")
    )
    return [one for _, own in groupby(nodes, _machine) for one in _of_machine(list(own), viewer)]


def _machine(node: Node) -> int:
    return node.machine_id


def _of_machine(nodes: list[Node], viewer: Viewer) -> Iterable[Unconfirmed]:
    """What is open of one machine, whose nodes are given newest first."""
    for node in nodes:
        if node.revoked_at is None and not is_confirmed(node, viewer.lab):
            yield Unconfirmed(node.machine.name, _contact(node, viewer))
    at_the_machine = next((node for node in nodes if _has_a_list(node)), None)
    if at_the_machine is not None and at_the_machine.revoked_at is not None:
        # Its last list may have been fresh until then; what its own file tightens the hub cannot know.
        longest_s = at_the_machine.machine.max_offline_s or OFFLINE_S_MAX
        until = at_the_machine.revoked_at + timedelta(seconds=longest_s)
        if until > viewer.now:
            said = gettext("its revoked node may still decide until %(moment)s")
            shown = formats.moment(until, viewer.zone, viewer.now)
            yield Unconfirmed(at_the_machine.machine.name, said % {"moment": shown})


def _has_a_list(node: Node) -> bool:
    """Whether `node` may hold a list of rights. One in service is believed to be at the machine when it
    said so; of a revoked one nobody hears any more, so that it ever spoke is enough."""
    if node.revoked_at is None:
        return node.confirmed_epoch is not None
    return node.last_seen_at is not None


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
