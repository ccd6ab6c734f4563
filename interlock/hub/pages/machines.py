"""Machines and nodes as stored go in; the list and the page of one machine come out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.models import ClockAnchor, Machine, Node, Snapshot
from interlock.hub.pages import alarms, commands, formats, machine_facts, sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.confirmations import is_confirmed
from interlock.hub.pages.machine_facts import Fact, machine_of, trainings_words
from interlock.hub.pages.tiles import Tile, machines_of, tile
from interlock.hub.permissions import Permission

LAST_SESSIONS = 8
RESERVATIONS_SHOWN = 3
"""The next ones; the others are behind the link."""


@dataclass(frozen=True, slots=True)
class Row:
    """One machine as the list shows it: its tile, what it asks for, how its node is."""

    tile: Tile
    trainings: str
    tariff: str
    contact: str


@require_GET
@page(Permission.VIEW_MACHINES)
def machines(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab's machines by name."""
    found = machines_of(viewer.lab).select_related("live_session__member", "tariff")
    rows = [_row(one, viewer) for one in found.prefetch_related("trainings")]
    may_edit = viewer.may(Permission.EDIT_MACHINES)
    return render(request, "hub/machines.html", {"rows": rows, "may_edit": may_edit})


@require_GET
@page(Permission.VIEW_MACHINES)
def machine(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One machine: state, rules, node, last sessions."""
    found = machine_of(viewer, slug)
    return render(request, "hub/machine.html", machine_context(found, viewer))


@require_GET
@page(Permission.VIEW_MACHINES)
def machine_state(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Only what changes while one looks: what live.js fetches."""
    found = machine_of(viewer, slug)
    return render(request, "hub/parts/machine_live.html", _live(found, viewer))


def machine_context(found: Machine, viewer: Viewer) -> dict[str, Any]:
    """Everything the page of one machine shows."""
    node = _node(found, viewer)
    shows_sessions = viewer.may(Permission.VIEW_SESSIONS)
    last = sessions.last_of(found.sessions.all(), LAST_SESSIONS, viewer) if shows_sessions else []
    return {
        **(shown := _live(found, viewer)),
        "closable": [alarm for alarm in shown["alarms"] if alarm.may_close],
        "rules": machine_facts.rules(found),
        "may_edit": viewer.may(Permission.EDIT_MACHINES),
        "may_maintain": viewer.may(Permission.MAINTAIN),
        "reserved": machine_facts.reserved(found, viewer, RESERVATIONS_SHOWN),
        "commissioned": machine_facts.commissioning(node, viewer) if node else None,
        "unmetered": machine_facts.unmetered(found, viewer) if shows_sessions else None,
        "shows_node": viewer.may(Permission.VIEW_NODES),
        "node": node,
        "node_facts": node_facts(node, viewer) if node else [],
        "shows_sessions": shows_sessions,
        "shows_prices": viewer.may(Permission.VIEW_PRICES),
        "opens_sessions": shows_sessions,
        "sessions": sessions.rows(last, viewer),
        "may_lock_out": viewer.may(Permission.LOCK_OUT),
        "commands": commands.of_node(_in_service(found), viewer),
        "locked_out": found.locked_out_at is not None,
    }


def _row(found: Machine, viewer: Viewer) -> Row:
    nodes: list[Node] = getattr(found, "in_service", [])
    seen_at = nodes[0].last_seen_at if nodes else None
    contact = gettext("never")
    if seen_at is not None:
        contact = formats.ago(int((viewer.now - seen_at).total_seconds()))
    return Row(
        tile=tile(found, viewer.zone, viewer.now, show_member=viewer.sees_names),
        trainings=trainings_words(found),
        tariff=found.tariff.name if found.tariff else gettext("free of charge"),
        contact=contact,
    )


def _live(found: Machine, viewer: Viewer) -> dict[str, Any]:
    """What changes while one looks."""
    shown = tile(found, viewer.zone, viewer.now, show_member=viewer.sees_names)
    if found.locked_out_at is not None:
        shown = replace(shown, details=(*shown.details, _lock_out_words(found, viewer)))
    return {
        "machine": found,
        "tile": shown,
        "alarms": alarms.of_machine(found, viewer),
    }


def _lock_out_words(found: Machine, viewer: Viewer) -> str:
    """Whether the hub's lock-out is in force: the node decides, so it is when the node says so."""
    node = _in_service(found)
    if node is not None and is_confirmed(node, viewer.lab):
        return gettext("its node has confirmed the lock-out")
    return gettext("its node has not confirmed the lock-out yet: people may still start it")


def _node(found: Machine, viewer: Viewer) -> Node | None:
    """The node in service, for those who look after nodes."""
    return _in_service(found) if viewer.may(Permission.VIEW_NODES) else None


def _in_service(found: Machine) -> Node | None:
    current = Prefetch("snapshot", Snapshot.objects.defer("head"))
    return found.nodes.filter(revoked_at=None).prefetch_related(current).first()


def node_facts(node: Node, viewer: Viewer) -> list[Fact]:
    """What a node last said of itself, and what the hub holds of it, in words."""
    unknown = gettext("not known yet")
    contact = unknown
    if node.last_seen_at is not None:
        silent_s = int((viewer.now - node.last_seen_at).total_seconds())
        moment = formats.moment(node.last_seen_at, viewer.zone, viewer.now)
        contact = f"{formats.ago(silent_s)} ({moment})"
    return [
        Fact(gettext("Node"), node.slug),
        Fact(gettext("Software"), node.software or unknown),
        Fact(gettext("Last contact"), contact),
        _clock_fact(node, viewer),
        *_snapshot_facts(node, viewer),
        *_refused_list(node),
        Fact(gettext("Journal received up to"), f"{node.head_epoch}.{node.head_seq}"),
    ]


def _clock_fact(node: Node, viewer: Viewer) -> Fact:
    anchor = (
        ClockAnchor.objects.filter(boot__node=node, boot__boot_id=node.boot_id)
        .order_by("-boot_ms")
        .first()
    )
    name = gettext("Clock")
    if anchor is None:
        return Fact(
            name, gettext("not set since the node started"), "ending" if node.boot_id else ""
        )
    at = formats.from_wall_ms(anchor.wall_ms)
    set_at = formats.moment(at, viewer.zone, viewer.now)
    return Fact(name, gettext("set by the hub, %(moment)s") % {"moment": set_at})


def _snapshot_facts(node: Node, viewer: Viewer) -> Iterable[Fact]:
    """Which list of rights the node decides by, and how old it is where that is known."""
    name = gettext("List of rights")
    if node.confirmed_epoch is None or node.confirmed_counter is None:
        yield Fact(name, gettext("none confirmed yet: the node refuses everybody"), "ending")
        return
    confirmed = f"{node.confirmed_epoch}.{node.confirmed_counter}"
    current = _current_version(node)
    age = gettext("Age of the list")
    if is_confirmed(node, viewer.lab):
        yield Fact(name, gettext("%(version)s, confirmed") % {"version": confirmed}, "free")
        if node.last_seen_at is not None:
            silent_s = int((viewer.now - node.last_seen_at).total_seconds())
            yield Fact(age, formats.duration(max(0, silent_s)))
        return
    if current in (None, confirmed):
        # The newest list is not even signed yet.
        older = gettext("%(confirmed)s; the newest list is not confirmed yet")
        yield Fact(name, older % {"confirmed": confirmed}, "ending")
        return
    waiting = gettext("%(confirmed)s; %(current)s is not confirmed yet")
    yield Fact(name, waiting % {"confirmed": confirmed, "current": current}, "ending")


def _refused_list(node: Node) -> Iterable[Fact]:
    if node.list_refused:
        yield Fact(gettext("Refused the last list"), node.list_refused, "ending")


def _current_version(node: Node) -> str | None:
    try:
        return f"{node.snapshot.epoch}.{node.snapshot.counter}"
    except Snapshot.DoesNotExist:
        return None
