"""The lab's certificate authority and its successor: begun by a person or in time, finished when all know it."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from interlock.clock import Clock
from interlock.hub.changes import log_deed
from interlock.hub.models import Lab, Node, Topic
from interlock.hub.permissions import Actor, Permission, require


@transaction.atomic
def begin_rollover(actor: Actor, lab: Lab) -> None:
    """There is a next authority, of which every node hears with its next greeting. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_NODES)
    log_deed(actor, lab, Topic.OTHER, "authority_made", lab.slug)
    # Last: what was written to the disk is not taken back with the transaction.
    settings.HUB.certificates(actor.clock).begin_rollover(settings.HUB.config().name)


@transaction.atomic
def finish_rollover(actor: Actor, lab: Lab) -> None:
    """The next authority signs the hub's certificate, the earlier one is gone. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_NODES)
    log_deed(actor, lab, Topic.OTHER, "authority_changed", lab.slug)
    settings.HUB.certificates(actor.clock).finish_rollover(settings.HUB.config().names())


def unaware_of_next(lab: Lab | None, clock: Clock) -> list[str]:
    """Machines whose computer, enrolled by a code, has not said that it trusts the next authority.

    None: of every lab of this hub, because they share it.
    """
    serial = settings.HUB.certificates(clock).trusted("").serial
    # A node that never greeted has no health yet, and one that speaks plain HTTP trusts nobody.
    never = Q(health=None) & ~Q(enrolment=None)
    pinned = Node.objects.filter(never | Q(health__authorities__lt=serial), revoked_at=None)
    if lab is not None:
        pinned = pinned.filter(lab=lab)
    return list(pinned.order_by("machine__name").values_list("machine__name", flat=True))
