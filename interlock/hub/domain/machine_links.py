"""Unguessable addresses of a machine that need no login: made when first wanted, renewed when they leaked."""

from __future__ import annotations

import secrets

from django.db import transaction

from interlock.hub.changes import log_deed
from interlock.hub.models import Machine, MachineLink, Topic
from interlock.hub.permissions import Actor, Permission, require

TOKEN_BYTES = 18
"""144 bits, 24 letters: as unguessable as a password can be, and a QR code that a phone reads at arm's
length (version 4 or 5 with a short address)."""

Purpose = MachineLink.Purpose


@transaction.atomic
def link_of(actor: Actor, machine: Machine, purpose: MachineLink.Purpose) -> MachineLink:
    """The machine's link for that; made when there is none yet."""
    require(actor, machine.lab, Permission.VIEW_MACHINES)
    found = MachineLink.objects.filter(machine=machine, purpose=purpose).first()
    return found or _made(actor, machine, purpose)


@transaction.atomic
def renew(actor: Actor, machine: Machine, purpose: MachineLink.Purpose) -> MachineLink:
    """Another link; whoever has the old one, or an old label, reaches nothing any more."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    MachineLink.objects.filter(machine=machine, purpose=purpose).delete()
    log_deed(actor, machine.lab, Topic.OTHER, f"{purpose.value}_link_renewed", machine.slug)
    return _made(actor, machine, purpose)


def machine_behind(token: str, purpose: MachineLink.Purpose) -> Machine | None:
    """The machine whose link that is; None: nobody's, or a machine the lab no longer has."""
    found = (
        MachineLink.objects.filter(token=token, purpose=purpose, machine__retired_at=None)
        .select_related("machine__lab")
        .first()
    )
    return None if found is None else found.machine


def _made(actor: Actor, machine: Machine, purpose: MachineLink.Purpose) -> MachineLink:
    return MachineLink.objects.create(
        machine=machine,
        purpose=purpose,
        token=secrets.token_urlsafe(TOKEN_BYTES),
        made_at=actor.now(),
    )
