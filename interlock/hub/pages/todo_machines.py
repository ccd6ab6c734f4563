"""Machines and their nodes go in; what somebody has to do about them comes out, for the list "To do"."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext

from interlock.hub.domain import hours
from interlock.hub.models import Alarm, AlarmKind, Machine, Node, UseSetAside
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.confirmations import unconfirmed
from interlock.hub.pages.machine_facts import is_rewired
from interlock.hub.pages.tiles import fault_words, last_seen_at, live_state, machines_of
from interlock.hub.pages.waiting import Source, Waiting
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission

IDLE_S_MAX = 900
"""A machine that has been on for a quarter of an hour without working was most likely forgotten."""
IN_USE_S_MAX = 6 * 3_600
"""Longer than an afternoon in the workshop: a long print, or somebody who went home."""
NAMED_MAX = 3
"""More machines of one kind than these are counted instead of named."""


def left_running(viewer: Viewer) -> Iterable[Waiting]:
    """Who left the laser running: machines that are on and idle, on after closing time, or on for hours."""
    for machine in machines_of(viewer.lab).filter(live_session__isnull=False):
        state = live_state(machine, last_seen_at(machine), viewer.now)
        why = _why_forgotten(machine, state, viewer) if state in ("in-use", "idle") else ""
        if why:
            yield Waiting("in-use", "sessions", why, _address(machine))


def faults(viewer: Viewer) -> Iterable[Waiting]:
    """Machines that latched a fault: nobody can use them until somebody was there."""
    if not viewer.may(Permission.VIEW_MACHINES):
        return
    for machine in Machine.objects.filter(lab=viewer.lab).exclude(live_faults=[]):
        said = f"{machine.name}: {', '.join(fault_words(machine))}"
        yield Waiting("fault", "fault", said, _address(machine))


def alarms(viewer: Viewer) -> Iterable[Waiting]:
    """What nodes reported that somebody has to look at, machine by machine, in one query."""
    if not viewer.may(Permission.VIEW_NODES):
        return
    found = Alarm.objects.filter(lab=viewer.lab, closed_at=None, kind__in=list(_SAID))
    rows = found.values_list("kind", "node__machine__name", "node__machine__slug")
    order = list(_SAID)
    known = {(AlarmKind(kind), name, slug) for kind, name, slug in rows}
    for kind, name, slug in sorted(known, key=lambda row: (order.index(row[0]), row[1])):
        state, said = _SAID[kind]
        icon = state if state == "fault" else "sessions"
        address = reverse("machine", args=[slug])
        yield Waiting(state, icon, str(said) % {"machine": name}, address)


def uses_set_aside(viewer: Viewer) -> Iterable[Waiting]:
    """Uses that a copied SD card tells of: somebody says whether they are billed."""
    if not viewer.may(Permission.CORRECT_USE):
        return
    waiting = UseSetAside.Decision.WAITING
    count = UseSetAside.objects.filter(lab=viewer.lab, decision=waiting).count()
    if count:
        said = ngettext(
            "%(n)s use of a copied SD card has to be billed or left out",
            "%(n)s uses of a copied SD card have to be billed or left out",
            count,
        )
        yield Waiting("ending", "sessions", said % {"n": count}, reverse("set-aside"))


def bypassed(viewer: Viewer) -> Iterable[Waiting]:
    """Machines that run without asking anybody, for those who look after nodes."""
    if not viewer.may(Permission.VIEW_NODES):
        return
    said = gettext(
        "%(machine)s: the bypass key is on since %(moment)s. Nobody is asked for a badge."
    )
    for machine in Machine.objects.filter(lab=viewer.lab, live_bypass_at__isnull=False):
        if machine.live_bypass_at is None:
            continue
        since = formats.moment(machine.live_bypass_at, viewer.zone, viewer.now)
        words = said % {"machine": machine.name, "moment": since}
        yield Waiting("unmetered", "unmetered", words, _address(machine))


def silent_nodes(viewer: Viewer) -> Iterable[Waiting]:
    """Nodes that have not called for long: their machines go by what they last knew."""
    if not viewer.may(Permission.VIEW_NODES):
        return
    silent = [
        machine
        for machine in machines_of(viewer.lab)
        if getattr(machine, "in_service", [])
        and live_state(machine, last_seen_at(machine), viewer.now) == "offline"
    ]
    if len(silent) > NAMED_MAX:
        said = ngettext(
            "%(n)s machine has lost contact with the hub",
            "%(n)s machines have lost contact with the hub",
            len(silent),
        )
        yield Waiting("offline", "offline", said % {"n": len(silent)}, reverse("machines"))
        return
    for machine in silent:
        yield Waiting("offline", "offline", _silence(machine, viewer), _address(machine))


def unconfirmed_nodes(viewer: Viewer) -> Iterable[Waiting]:
    """Machines that have not said yet that they decide by the rights as they are now."""
    if not viewer.may(Permission.VIEW_NODES):
        return
    late = unconfirmed(viewer)
    if not late:
        return
    said = ngettext(
        "%(n)s machine has not confirmed the latest rights",
        "%(n)s machines have not confirmed the latest rights",
        len(late),
    )
    if len(late) <= NAMED_MAX:
        names = ", ".join(one.machine for one in late)
        said = gettext("The latest rights are not confirmed yet by: %(machines)s")
        yield Waiting("idle", "nodes", said % {"machines": names}, reverse("machines"))
        return
    yield Waiting("idle", "nodes", said % {"n": len(late)}, reverse("machines"))


def uncommissioned(viewer: Viewer) -> Iterable[Waiting]:
    """Machines whose node nobody has walked through, or not as it is wired now."""
    if not viewer.may(Permission.VIEW_NODES):
        return
    never: list[Node] = []
    nodes = Node.objects.filter(lab=viewer.lab, revoked_at=None).select_related("machine")
    for node in nodes.prefetch_related("commissionings").order_by("machine__name"):
        walks = list(node.commissionings.all())
        if not walks:
            never.append(node)
        elif is_rewired(node, walks[0]):
            said = gettext("%(machine)s was commissioned with another wiring")
            words = said % {"machine": node.machine.name}
            yield Waiting("ending", "machines", words, _address(node.machine))
    if len(never) > NAMED_MAX:
        said = ngettext(
            "%(n)s machine was never commissioned",
            "%(n)s machines were never commissioned",
            len(never),
        )
        yield Waiting("ending", "machines", said % {"n": len(never)}, reverse("machines"))
        return
    for node in never:
        said = gettext("%(machine)s was never commissioned") % {"machine": node.machine.name}
        yield Waiting("ending", "machines", said, _address(node.machine))


SOURCES: tuple[Source, ...] = (
    left_running,
    faults,
    alarms,
    uses_set_aside,
    bypassed,
    silent_nodes,
    unconfirmed_nodes,
    uncommissioned,
)

_SAID: dict[AlarmKind, tuple[str, Words]] = {
    AlarmKind.UNEXPECTED_START: (
        "fault",
        gettext_lazy("%(machine)s started by itself and was cut off."),
    ),
    AlarmKind.STOLEN_BADGE: (
        "fault",
        gettext_lazy("A stolen or lost badge was presented at %(machine)s."),
    ),
    AlarmKind.POSSIBLE_CLONE: (
        "fault",
        gettext_lazy(
            "%(machine)s: a badge did not prove that it is genuine. Somebody may have a copy."
        ),
    ),
    AlarmKind.CHAIN_DIFFERS: (
        "fault",
        gettext_lazy(
            "%(machine)s: its computer has another past than the hub knows. Was its SD card copied?"
        ),
    ),
    AlarmKind.NODE_BEHIND: (
        "fault",
        gettext_lazy("%(machine)s: an old SD card is in its computer, or a copy of it."),
    ),
    AlarmKind.GRANT_REFUSED: (
        "fault",
        gettext_lazy("%(machine)s: a training granted there does not count."),
    ),
    AlarmKind.SESSION_TO_CHECK: ("ending", gettext_lazy("%(machine)s: sessions to check")),
}
"""The alarms that somebody should not have to look for, the most serious first."""


def _why_forgotten(machine: Machine, state: str, viewer: Viewer) -> str:
    session, since = machine.live_session, machine.live_since_at
    if session is None or since is None:
        return ""
    named = {
        "machine": machine.name,
        "moment": formats.moment(since, viewer.zone, viewer.now),
        "name": _who(machine, viewer),
        "idle": formats.duration(session.idle_ms // 1_000),
    }
    if not _is_open(viewer.lab.hours, viewer.zone, viewer.now):
        said = gettext("%(machine)s is still on and the lab is closed: on since %(moment)s%(name)s")
    elif state == "idle" and session.idle_ms >= IDLE_S_MAX * 1_000:
        said = gettext(
            "%(machine)s is on and does nothing (%(idle)s so far): on since %(moment)s%(name)s"
        )
    elif viewer.now - since > timedelta(seconds=IN_USE_S_MAX):
        said = gettext("%(machine)s has been on for long: since %(moment)s%(name)s")
    else:
        return ""
    return said % named


def _who(machine: Machine, viewer: Viewer) -> str:
    session = machine.live_session
    if not viewer.sees_names or session is None or session.member is None:
        return ""
    return f", {session.member.name}"


def _is_open(spans: list[list[int]], zone: ZoneInfo, now: datetime) -> bool:
    """Whether the lab is open by its own hours; one that keeps none is never closed."""
    local = now.astimezone(zone)
    minute = local.weekday() * hours.DAY_MINUTES + local.hour * 60 + local.minute
    return not spans or any(first <= minute < last for first, last in hours.windows(spans))


def _silence(machine: Machine, viewer: Viewer) -> str:
    seen_at = last_seen_at(machine)
    if seen_at is None:
        return gettext("%(machine)s: its node has not called yet") % {"machine": machine.name}
    since = formats.moment(seen_at, viewer.zone, viewer.now)
    said = gettext("%(machine)s: no contact since %(moment)s")
    return said % {"machine": machine.name, "moment": since}


def _address(machine: Machine) -> str:
    return reverse("machine", args=[machine.slug])
