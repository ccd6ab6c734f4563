"""Machines kept for somebody, or for nobody: made and taken back by those who set a machine's rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.models import CalendarEvent, Machine, Member, Reservation, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol.demands import RESERVATIONS_MAX

AHEAD_MAX = timedelta(days=2 * 366)
"""Who writes a later year has mistyped it."""
LENGTH_MAX = timedelta(days=31)
"""Longer than that a machine is lent, or out of order."""
NOTE_LENGTH_MAX = 100


@transaction.atomic
def reserve(
    actor: Actor,
    machine: Machine,
    member: Member | None,
    from_at: datetime,
    until_at: datetime,
    note: str = "",
) -> Reservation:
    """The machine is kept for `member` (None: nobody starts it). Raises ConfigError: impossible times,
    or somebody else's time."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    _check_times(actor.now(), from_at, until_at)
    if len(note.strip()) > NOTE_LENGTH_MAX:
        raise ConfigError(
            _("must have at most %(most)d characters") % {"most": NOTE_LENGTH_MAX}, where=_("note")
        )
    theirs = Reservation.objects.filter(machine=machine)
    if theirs.filter(from_at__lt=until_at, until_at__gt=from_at).exists():
        raise ConfigError(
            _("the machine is reserved then already"),
            where=machine.name,
            remedy=_("Choose another time, or take the other reservation back first"),
        )
    if theirs.filter(until_at__gt=actor.now()).count() >= RESERVATIONS_MAX:
        raise ConfigError(
            _("a machine can have at most %(most)d reservations ahead")
            % {"most": RESERVATIONS_MAX},
            where=machine.name,
        )
    made = Reservation.objects.create(
        lab=machine.lab,
        machine=machine,
        member=member,
        from_at=from_at,
        until_at=until_at,
        note=note.strip(),
    )
    log_deed(actor, machine.lab, Topic.RIGHTS, "reserved", machine.slug, after=_described(made))
    return made


@transaction.atomic
def take_back(actor: Actor, reservation: Reservation) -> None:
    """The machine is not reserved then any more. Raises ConfigError: the booking calendar says it is."""
    require(actor, reservation.lab, Permission.EDIT_MACHINES)
    if CalendarEvent.objects.filter(reservation=reservation).exists():
        # The next reading of the calendar would make it again.
        raise ConfigError(
            _("it comes from the booking calendar"),
            where=reservation.machine.name,
            remedy=_("Take it back there; here it goes within a quarter of an hour"),
        )
    before = _described(reservation)
    machine = reservation.machine
    reservation.delete()
    log_deed(
        actor, machine.lab, Topic.RIGHTS, "reservation_taken_back", machine.slug, before=before
    )


def _check_times(now: datetime, from_at: datetime, until_at: datetime) -> None:
    if until_at <= from_at:
        raise ConfigError(_("it ends before it begins"), where=_("reservation"))
    if until_at <= now:
        raise ConfigError(_("its end lies in the past"), where=_("reservation"))
    if until_at - from_at > LENGTH_MAX:
        raise ConfigError(
            _("longer than %(most)d days") % {"most": LENGTH_MAX.days},
            where=_("reservation"),
            remedy=_("Lock the machine out when nobody should use it for so long"),
        )
    if until_at > now + AHEAD_MAX:
        raise ConfigError(_("more than two years ahead"), where=_("reservation"))


def _described(reservation: Reservation) -> dict[str, Any]:
    return {
        "member": None if reservation.member is None else reservation.member.public_id,
        "from_at": int(reservation.from_at.timestamp()),
        "until_at": int(reservation.until_at.timestamp()),
        "note": reservation.note,
    }
