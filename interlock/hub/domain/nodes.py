"""The Pis at the machines: enrolled with keys of their own, revoked at a stroke."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import live
from interlock.hub.changes import log_deed
from interlock.hub.cut import cut_open_sessions
from interlock.hub.models import Alarm, Machine, Node, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol import card_keys
from interlock.protocol.credentials import HubAccess, NodeKeys
from interlock.protocol.records import CHAIN_KEY_BYTES

CREDENTIAL_BYTES = 16
"""128 random bits (4-protocol.md, "Transport")."""

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new node and the two secrets that its Pi needs; the hub keeps only the credential's hash and
    the public half of the decryption key: what it seals for a node it cannot open again."""

    node: Node
    keys: NodeKeys
    access: HubAccess


@transaction.atomic
def enrol_node(actor: Actor, machine: Machine, hub_url: str) -> Enrolled:
    """A node for `machine`, which must have none. Raises ConfigError."""
    require(actor, machine.lab, Permission.EDIT_NODES)
    busy = Node.objects.filter(machine=machine, revoked_at=None).first()
    if busy is not None:
        raise ConfigError(
            _("node %(node)s serves this machine already") % {"node": busy.slug},
            where=machine.name,
            remedy=_("Revoke it first, then enrol its replacement"),
        )
    credential = secrets.token_hex(CREDENTIAL_BYTES)
    chain_key = secrets.token_bytes(CHAIN_KEY_BYTES)
    decryption_key = card_keys.new_private_key()
    node = Node.objects.create(
        lab=machine.lab,
        slug=free_slug(machine),
        machine=machine,
        credential_hash=sha256(credential.encode()).digest(),
        chain_key=chain_key,
        decryption_public_key=card_keys.public_half(decryption_key),
        epoch=FIRST_EPOCH,
        head_epoch=FIRST_EPOCH,
        journal_epoch=FIRST_EPOCH,
        enrolled_at=actor.now(),
    )
    log_deed(
        actor,
        machine.lab,
        Topic.RIGHTS,
        "node_enrolled",
        node.slug,
        after={"machine": machine.slug},
    )
    keys = NodeKeys(
        lab=machine.lab.slug,
        node=node.slug,
        epoch=node.epoch,
        chain_key=chain_key,
        badge_key=settings.HUB.badge_key(),
        hub_public_key=settings.HUB.signing_key()
        .public_key()
        .public_bytes(Encoding.Raw, PublicFormat.Raw),
        decryption_key=decryption_key,
    )
    return Enrolled(node, keys, _access(actor, node, hub_url, credential, keys.hub_public_key))


def _access(
    actor: Actor, node: Node, hub_url: str, credential: str, hub_public_key: bytes
) -> HubAccess:
    access = HubAccess(node.lab.slug, node.slug, hub_url, credential)
    if not hub_url.startswith("https://"):
        return access
    trusted = settings.HUB.certificates(actor.clock).trusted(node.lab.slug)
    return replace(access, authorities=trusted.certificates, hub_public_key=hub_public_key)


@transaction.atomic
def revoke_node(actor: Actor, node: Node, why: str) -> None:
    """The node is nobody here from its next request on; its records and sessions stay.

    A session it had open is closed at its last proof of life. A fault or a lock-out that only this
    node knew of becomes the hub's: its replacement must not open what a person had closed.
    """
    require(actor, node.lab, Permission.EDIT_NODES)
    if node.revoked_at is not None:
        raise ConfigError(_("this node was revoked before"), where=node.slug)
    node.revoked_at = at = actor.now()
    node.save(update_fields=["revoked_at"])
    cut_open_sessions(node, "its node was revoked", at)
    machine = Machine.objects.select_for_update().get(pk=node.machine_id)
    if live.forget(machine, at) and machine.locked_out_at is None:
        machine.locked_out_at = at
        machine.locked_out_why = _("its earlier node reported a fault or a lock-out")
        live.settle(machine, at)
    machine.save(update_fields=[*live.LIVE_FIELDS, "locked_out_at", "locked_out_why"])
    log_deed(actor, node.lab, Topic.RIGHTS, "node_revoked", node.slug, why=why)


@transaction.atomic
def close_alarm(actor: Actor, alarm: Alarm, why: str) -> None:
    """Somebody has looked at it; the next case opens a new alarm."""
    require(actor, alarm.lab, Permission.CLOSE_ALARMS)
    if alarm.closed_at is not None:
        return
    alarm.closed_at = actor.now()
    alarm.save(update_fields=["closed_at"])
    log_deed(
        actor, alarm.lab, Topic.USE, "alarm_closed", f"{alarm.node.slug} {alarm.kind}", why=why
    )


def free_slug(machine: Machine) -> str:
    """The machine's own name, or with a number when an earlier node had it."""
    taken = set(Node.objects.filter(lab=machine.lab).values_list("slug", flat=True))
    number, slug = 1, machine.slug
    while slug in taken:
        number += 1
        slug = f"{machine.slug}-{number}"
    return slug
