"""Machines and their nodes as stored go in; what the board says of each comes out.

A node that has been silent for greeting.SILENT_AFTER makes its machine "offline": what the hub last heard is
then shown as the past, never as the present.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Lab, LiveState, Machine, Node
from interlock.hub.pages import formats, words

LOCKED_OUT_AT_THE_MACHINE = "machine"
"""The `source` of a lock-out record that the "broken" button made."""

STATE_WORDS: dict[str, str | Promise] = {
    "free": gettext_lazy("Free"),
    "in-use": gettext_lazy("In use"),
    "idle": gettext_lazy("In use, idle"),
    "ending": gettext_lazy("Ending"),
    "fault": gettext_lazy("Fault"),
    "unmetered": gettext_lazy("Bypass key"),
    "locked-out": gettext_lazy("Locked out"),
    "offline": gettext_lazy("Offline"),
}

_STATE_OF_LIVE = {
    LiveState.FREE: "free",
    LiveState.IN_USE: "in-use",
    LiveState.ENDING: "ending",
    LiveState.FAULT: "fault",
    LiveState.LOCKED_OUT: "locked-out",
    LiveState.UNMETERED: "unmetered",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One machine on the board. `state` names the colour and the icon, `words` says it."""

    slug: str
    name: str
    place: str
    address: str
    state: str
    words: str
    details: tuple[str, ...] = ()
    member: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """How many machines are in one state."""

    state: str
    words: str
    number: int


def machines_of(lab: Lab, *, retired: bool = False) -> QuerySet[Machine]:
    """The lab's machines with everything a tile needs: two queries, whatever their number. With `retired`
    those too that the lab no longer has."""
    in_service = Node.objects.filter(revoked_at=None).only("machine_id", "last_seen_at")
    return (
        Machine.objects.filter(lab=lab, **({} if retired else {"retired_at": None}))
        .select_related("live_session__member")
        .prefetch_related(Prefetch("nodes", in_service, to_attr="in_service"))
    )


def tile(machine: Machine, zone: ZoneInfo, now: datetime, *, show_member: bool) -> Tile:
    """What the board says of `machine`; who uses it only where `show_member`."""
    state = live_state(machine, last_seen_at(machine), now)
    return Tile(
        slug=machine.slug,
        name=machine.name,
        place=machine.location,
        address=reverse("machine", args=[machine.slug]),
        state=state,
        words=str(STATE_WORDS[state]),
        details=tuple(_details(machine, state, zone, now)),
        member=_member(machine) if show_member and state != "offline" else "",
    )


def tally(tiles: Iterable[Tile]) -> list[Count]:
    """How many machines are in each state that occurs, in the order of STATE_WORDS."""
    numbers = Counter(one.state for one in tiles)
    return [
        Count(state, str(words), numbers[state])
        for state, words in STATE_WORDS.items()
        if numbers[state]
    ]


def live_state(machine: Machine, seen_at: datetime | None, now: datetime) -> str:
    """The state's key: one of STATE_WORDS. A hub lock-out holds whatever the node says."""
    if seen_at is None or now - seen_at > SILENT_AFTER:
        return "offline"
    live = _STATE_OF_LIVE[LiveState(machine.live_state)]
    if live == "free" and machine.locked_out_at is not None:
        return "locked-out"
    if live == "in-use" and machine.live_busy is False:
        return "idle"
    return live


def last_seen_at(machine: Machine) -> datetime | None:
    """When the machine's node last spoke to the hub; None: never, or no node."""
    nodes: list[Node] = getattr(machine, "in_service", [])
    return nodes[0].last_seen_at if nodes else None


def fault_words(machine: Machine) -> list[str]:
    """The machine's latched faults in words; an unknown code stands for itself."""
    known = {fault.value: text for fault, text in words.FAULTS.items()}
    return [str(known.get(code, code)) for code in machine.live_faults]


def _details(machine: Machine, state: str, zone: ZoneInfo, now: datetime) -> Iterable[str]:
    since = machine.live_since_at
    if state == "offline":
        yield from _silence(machine, zone, now)
        return
    if state == "fault":
        yield from fault_words(machine)
    if state == "locked-out":
        since = machine.locked_out_at or since
        yield from _lock_out_words(machine)
    if machine.live_bypass_at is not None:
        on_since = formats.moment(machine.live_bypass_at, zone, now)
        said = gettext("on since %(moment)s: nobody is asked for a badge")
        if state != "unmetered":
            said = gettext("bypass key on since %(moment)s: nobody is asked for a badge")
        yield said % {"moment": on_since}
    if state not in ("free", "unmetered") and since is not None:
        yield gettext("since %(moment)s") % {"moment": formats.moment(since, zone, now)}
    if state == "in-use" and machine.live_busy:
        yield gettext("working")


def _silence(machine: Machine, zone: ZoneInfo, now: datetime) -> Iterable[str]:
    seen_at = last_seen_at(machine)
    if not getattr(machine, "in_service", []):
        yield gettext("no node yet")
    elif seen_at is None:
        yield gettext("its node has not called yet")
    else:
        yield gettext("since %(moment)s") % {"moment": formats.moment(seen_at, zone, now)}
        if machine.live_state == LiveState.IN_USE:
            yield gettext("was in use")
        if machine.live_bypass_at is not None:
            yield gettext("its bypass key was on")


def _lock_out_words(machine: Machine) -> Iterable[str]:
    if machine.locked_out_why:
        yield machine.locked_out_why
    if LOCKED_OUT_AT_THE_MACHINE in machine.live_lock_outs:
        yield gettext("reported broken at the machine")


def _member(machine: Machine) -> str:
    session = machine.live_session
    return session.member.name if session is not None and session.member is not None else ""
