"""A button for the node of a machine goes in, a signed command waits for it; and what became of the last ones."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from interlock.hub.domain.commands import send_command
from interlock.hub.models import Command, Node
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.permissions import Permission
from interlock.protocol.commands import CommandKind

SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Sent:
    """A command as people read it: what, when and by whom, what became of it, and the node's own words."""

    what: str
    when: str
    outcome: str
    answer: str


@require_POST
@page(Permission.LOCK_OUT)
def command(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The command waits for the machine's node."""
    found = machine_of(viewer, slug)
    given = request.POST.get("command", "")
    node = found.nodes.filter(revoked_at=None).select_related("lab").first()
    if given not in list(CommandKind) or node is None:
        raise Http404(gettext("There is no such command, or no node at this machine."))
    kind = CommandKind(given)
    text = request.POST.get("text", "") if kind is CommandKind.MESSAGE else ""
    attempt(
        request,
        lambda: send_command(viewer.actor, node, kind, text),
        gettext("Sent to the node of %(machine)s; its answer appears below.")
        % {"machine": found.name},
    )
    return redirect("machine", slug)


def of_node(node: Node | None, viewer: Viewer) -> dict[str, object] | None:
    """What the machine's page shows of commands; None: nothing, for want of a node or of the permission."""
    if node is None or not viewer.may(Permission.LOCK_OUT):
        return None
    plain = [
        (CommandKind.IDENTIFY.value, gettext("Blink, to be found")),
        (CommandKind.END_SESSION.value, gettext("End the session when idle")),
        (CommandKind.DIAGNOSE.value, gettext("Collect diagnostics")),
    ]
    return {"plain": plain, "sent": _latest(node, viewer)}


def _latest(node: Node, viewer: Viewer) -> list[Sent]:
    """The node's last commands, newest first: one query."""
    return [_sent(one, viewer) for one in Command.objects.filter(node=node)[:SHOWN_MAX]]


def _sent(one: Command, viewer: Viewer) -> Sent:
    what = one.get_kind_display()
    outcome = one.get_state_display()
    if one.state == Command.State.WAITING and one.expires_at < viewer.now:
        outcome = gettext("expired: the node was not heard in time")
    when = formats.moment(one.issued_at, viewer.zone, viewer.now)
    return Sent(
        f"{what}: “{one.text}”" if one.text else str(what),
        f"{when} · {one.by}",
        str(outcome),
        one.answer,
    )
