"""A machine's name, place, kind and grant, changed; and the end of a machine, which keeps its history."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.core.model import BadgeUse
from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.domain.tariffs import check_basis
from interlock.hub.models import Machine, Topic
from interlock.hub.permissions import Actor, Permission, require

REFERENCE_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class Card:
    """What is written on a machine's card. `badge_use` and `has_current_sensor` say how its node is built and
    set up: the node's own file decides, the hub only has to know."""

    name: str
    location: str = ""
    badge_use: str = BadgeUse.TAP.value
    has_current_sensor: bool = False
    grant_name: str = ""
    grant_reference: str = ""


@transaction.atomic
def edit(actor: Actor, machine: Machine, card: Card) -> None:
    """The machine is called and described so. Raises ConfigError."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    _check(machine, card)
    before = asdict(card_of(machine))
    for name, value in asdict(card).items():
        setattr(machine, name, value.strip() if isinstance(value, str) else value)
    # The board may have moved since the caller read the machine: only these fields are written.
    machine.save(update_fields=list(before))
    after = asdict(card_of(machine))
    if before != after:
        _log(actor, machine, "machine_edited", before, after)


@transaction.atomic
def retire(actor: Actor, machine: Machine, why: str) -> None:
    """The lab no longer has it: lists leave it out, its sessions and costs stay. Raises ConfigError while it
    has a node, which would go on admitting people."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    if machine.nodes.filter(revoked_at=None).exists():
        raise ConfigError(
            _("its node is still in service"),
            where=machine.name,
            remedy=_("Take the node out of service first"),
        )
    machine.retired_at = actor.now()
    machine.save(update_fields=["retired_at"])
    _log(actor, machine, "machine_retired", {"in_use": True}, {"in_use": False}, why)


@transaction.atomic
def take_up(actor: Actor, machine: Machine) -> None:
    """The lab has it again."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    machine.retired_at = None
    machine.save(update_fields=["retired_at"])
    _log(actor, machine, "machine_taken_up", {"in_use": False}, {"in_use": True})


def card_of(machine: Machine) -> Card:
    """What its card says now."""
    return Card(
        name=machine.name,
        location=machine.location,
        badge_use=str(machine.badge_use),
        has_current_sensor=machine.has_current_sensor,
        grant_name=machine.grant_name,
        grant_reference=machine.grant_reference,
    )


def _check(machine: Machine, card: Card) -> None:
    limits.check_name(card.name, _("name"))
    for text, most, where in (
        (card.location, limits.NAME_LENGTH_MAX, _("place")),
        (card.grant_name, limits.NAME_LENGTH_MAX, _("grant")),
        (card.grant_reference, REFERENCE_LENGTH_MAX, _("grant")),
    ):
        if text:
            limits.check_name(text, where, most)
    if card.badge_use not in Machine.BadgeUse.values:
        raise ConfigError(_("choose how the badge is used"), where=machine.name)
    check_basis(machine.tariff, has_current_sensor=card.has_current_sensor)


def _log(
    actor: Actor,
    machine: Machine,
    action: str,
    before: dict[str, Any],
    after: dict[str, Any],
    why: str = "",
) -> None:
    log_deed(
        actor,
        machine.lab,
        Topic.RIGHTS,
        action,
        machine.slug,
        before=before,
        after=after,
        why=why,
    )
