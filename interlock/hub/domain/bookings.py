"""A booking tool's calendar, as read, to the reservations it means; nothing is guessed.

An event belongs to the member one of its attendees' addresses names, or whose whole name stands in its title.
Where that is nobody, or several, it reserves nothing and is shown. A calendar that could not be fetched or
read changes nothing; one that was read is believed: what vanished from it is reserved no more. Reservations
made on our own pages are never touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from interlock.errors import ConfigError, LinkError
from interlock.hub import calendars, outgoing
from interlock.hub.calendars import Booking
from interlock.hub.changes import log_deed
from interlock.hub.domain.reservations import LENGTH_MAX
from interlock.hub.models import (
    CalendarEvent,
    CalendarSource,
    Lab,
    Machine,
    Member,
    Reservation,
    Topic,
)
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol.demands import RESERVATIONS_MAX

NAME_WORDS_MAX = 8
"""Longer names are found by their address only."""
TROUBLE_LENGTH_MAX = 200

Why = CalendarEvent.Why


@dataclass(frozen=True, slots=True)
class People:
    """The lab's members by address and by whole name, in small letters."""

    by_address: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    by_name: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))


@transaction.atomic
def set_source(
    actor: Actor, machine: Machine, address: str, allowed: Sequence[str] = ()
) -> CalendarSource:
    """The machine's bookings are read there from now on. Raises ConfigError."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    try:
        outgoing.checked_address(address, allowed)
    except LinkError as error:
        raise ConfigError(error.what, where=_("calendar"), remedy=error.remedy) from error
    found = CalendarSource.objects.filter(machine=machine).first()
    if found is not None and found.address != address:
        _forget(actor, found)
        found = None
    if found is None:
        found = CalendarSource.objects.create(
            lab=machine.lab, machine=machine, address=address, added_at=actor.now()
        )
        # The address itself often is the key to the calendar: it is in no log.
        log_deed(actor, machine.lab, Topic.OTHER, "calendar_named", machine.slug)
    return found


@transaction.atomic
def remove_source(actor: Actor, source: CalendarSource) -> None:
    """Nothing is read any more, and what was read reserves nothing."""
    require(actor, source.lab, Permission.EDIT_MACHINES)
    _forget(actor, source)


def read(actor: Actor, source: CalendarSource, allowed: Sequence[str] = ()) -> bool:
    """Whether the calendar could be read; then its reservations are as it says, otherwise as before, and
    why stands beside it."""
    lab = source.lab
    trouble = ""
    try:
        fetched = outgoing.fetch(source.address, actor.clock, allowed)
        said = calendars.bookings(fetched.content, ZoneInfo(lab.time_zone), actor.now())
    except LinkError as error:
        trouble = f"{error.what}. {error.remedy}".strip(". ")[:TROUBLE_LENGTH_MAX]
    else:
        believe(actor, source, said)
        CalendarSource.objects.filter(pk=source.pk).update(read_at=actor.now())
    CalendarSource.objects.filter(pk=source.pk).update(tried_at=actor.now(), trouble=trouble)
    return not trouble


def read_all(actor: Actor, lab: Lab, allowed: Sequence[str] = ()) -> tuple[int, int]:
    """(calendars read, calendars that could not be) of the lab, in its language."""
    sources = CalendarSource.objects.filter(lab=lab, machine__retired_at=None)
    with translation.override(lab.language):
        done = [read(actor, one, allowed) for one in sources.select_related("lab", "machine")]
    return sum(done), len(done) - sum(done)


@transaction.atomic
def believe(actor: Actor, source: CalendarSource, said: Iterable[Booking]) -> None:
    """The machine's imported reservations are those, and no others."""
    require(actor, source.lab, Permission.EDIT_MACHINES)
    CalendarSource.objects.select_for_update().get(pk=source.pk)
    wanted = {one.key: one for one in said}
    people = _people(source.lab)
    known = {row.key: row for row in source.events.select_related("reservation__member")}
    gone, added, standing = [], [], set()
    for key, row in known.items():
        if row.until_at <= actor.now():
            # It is over: the reservation made of it stays, as history.
            row.delete()
        elif key in wanted and _still(row, wanted[key], people):
            standing.add(key)
        else:
            gone += _unreserved(row)
    for key, booking in sorted(wanted.items(), key=lambda item: item[1].from_at):
        if key not in standing:
            added += _reserved(actor, source, booking, people)
    if gone or added:
        log_deed(
            actor,
            source.lab,
            Topic.RIGHTS,
            "calendar_read",
            source.machine.slug,
            before={"reserved": gone},
            after={"reserved": added},
        )


def _still(row: CalendarEvent, booking: Booking, people: People) -> bool:
    """Whether the reservation made of the event is still what the calendar says."""
    if row.reservation is None:
        return False
    member, _why = _meant(booking, people)
    same = (row.reservation.member, row.from_at, row.until_at)
    return same == (member, booking.from_at, booking.until_at)


def _unreserved(row: CalendarEvent) -> list[dict[str, Any]]:
    said = [] if row.reservation is None else [_described(row.reservation)]
    if row.reservation is not None:
        row.reservation.delete()
    row.delete()
    return said


def _reserved(
    actor: Actor, source: CalendarSource, booking: Booking, people: People
) -> list[dict[str, Any]]:
    """The event is kept with its reservation, or with why there is none."""
    member, why = _meant(booking, people)
    why = why or _hindrance(actor.now(), source.machine, booking)
    made = None
    if not why and member is not None:
        made = Reservation.objects.create(
            lab=source.lab,
            machine=source.machine,
            member=member,
            from_at=booking.from_at,
            until_at=booking.until_at,
        )
    CalendarEvent.objects.update_or_create(
        source=source,
        key=booking.key,
        defaults={
            # A title names people: it is kept only where somebody has to look at it.
            "title": "" if made else booking.title,
            "from_at": booking.from_at,
            "until_at": booking.until_at,
            "reservation": made,
            "why": why,
        },
    )
    return [] if made is None else [_described(made)]


def _hindrance(now: datetime, machine: Machine, booking: Booking) -> str:
    """Why the machine cannot be reserved then; empty when it can."""
    if booking.until_at - booking.from_at > LENGTH_MAX:
        return Why.TOO_LONG
    theirs = Reservation.objects.filter(machine=machine)
    if theirs.filter(from_at__lt=booking.until_at, until_at__gt=booking.from_at).exists():
        return Why.TAKEN
    if theirs.filter(until_at__gt=now).count() >= RESERVATIONS_MAX:
        return Why.TOO_MANY
    return ""


def _meant(booking: Booking, people: People) -> tuple[Member | None, str]:
    """The one member the event is for, or why there is none."""
    named = {one.pk: one for who in booking.people for one in people.by_address.get(who, ())}
    if not named:
        named = {
            one.pk: one for words in _runs(booking.title) for one in people.by_name.get(words, ())
        }
    if len(named) == 1:
        return next(iter(named.values())), ""
    return None, Why.SEVERAL if named else Why.NOBODY


def _runs(title: str) -> set[str]:
    """Every run of up to eight whole words of the title, in small letters."""
    words = _folded(title).split()
    return {
        " ".join(words[first : first + length])
        for first in range(len(words))
        for length in range(2, NAME_WORDS_MAX + 1)
    }


def _people(lab: Lab) -> People:
    people = People()
    for member in Member.objects.filter(lab=lab).only("pk", "name", "email", "public_id"):
        if member.email:
            people.by_address[member.email.casefold()].append(member)
        people.by_name[" ".join(_folded(member.name).split())].append(member)
    return people


def _folded(text: str) -> str:
    """Small letters, and punctuation as spaces: "Laser (Ada Martin)" holds a name."""
    return "".join(c if c.isalnum() or c in "-'’" else " " for c in text.casefold())


def _forget(actor: Actor, source: CalendarSource) -> None:
    ahead = source.events.filter(until_at__gt=actor.now()).select_related("reservation__member")
    gone = [said for row in ahead for said in _unreserved(row)]
    machine = source.machine
    source.delete()
    log_deed(
        actor,
        machine.lab,
        Topic.RIGHTS,
        "calendar_removed",
        machine.slug,
        before={"reserved": gone},
    )


def _described(reservation: Reservation) -> dict[str, Any]:
    return {
        "member": None if reservation.member is None else reservation.member.public_id,
        "from_at": int(reservation.from_at.timestamp()),
        "until_at": int(reservation.until_at.timestamp()),
    }
