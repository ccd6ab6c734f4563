"""Trainings granted at a machine: a node's record in, a right at once, one to confirm, or a reason why not out.

A badge that proved itself grants at once. One that can be copied grants at its machine until midnight, by the
node's own word; here it asks the trainer, who confirms or rejects it with a login. Nobody grants what they do
not teach at this moment, and nobody grants to themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.core.model import Level
from interlock.errors import ConfigError
from interlock.hub.changes import log_change, log_deed
from interlock.hub.domain.trainings import check_prerequisite, held_of, hold
from interlock.hub.models import (
    Authorisation,
    Badge,
    BadgeCondition,
    Member,
    Node,
    PendingGrant,
    Role,
    Topic,
    Training,
    User,
)
from interlock.hub.permissions import Actor, Permission, may, may_grant, taught_by
from interlock.hub.snapshots import tell_anew
from interlock.protocol import fields
from interlock.protocol.snapshots import RIGHTS_MAX
from interlock.protocol.tags import TAG_BYTES

GENUINE = "aes"
"""The trainer's badge proved that it is no copy; "uid": nobody knows."""
KEEPS = frozenset({Level.ALONE.value, Level.TRAINER.value})
"""Who holds one of these is given nothing by a grant at the machine."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A training_granted record, as it was said. `tag` is the trainer's badge."""

    record: str
    member: str
    trainings: tuple[str, ...]
    trainer: str
    genuine: bool
    tag: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """What of it does not count, and why: words for the alarm, which names nobody; its badge may."""

    why: str
    badge: Badge | None = None


def read_grant(record: str, body: Mapping[str, Any]) -> Granted:
    """The typed record. Raises ProtocolError."""
    assurance = fields.text(body, "assurance", length_max=8)
    slugs = body.get("trainings")
    listed = slugs if isinstance(slugs, list) else []
    seen = body.get("evidence")
    tag = seen.get("tag") if isinstance(seen, dict) else None
    return Granted(
        record=record,
        member=fields.text(body, "member", length_max=64),
        trainings=tuple(
            fields.text({"training": slug}, "training", length_max=64)
            for slug in listed[:RIGHTS_MAX]
        ),
        trainer=fields.text(body, "by", length_max=64),
        genuine=assurance == GENUINE,
        tag=None if tag is None else fields.octets({"tag": tag}, "tag", TAG_BYTES),
    )


def take(node: Node, granted: Granted, clock: Clock) -> list[Refused]:
    """Every training that counts is held, or waits to be confirmed; the others are said. In a transaction."""
    if granted.genuine:
        # It made the right itself until it hears our word: it shall hear it, whatever the word is.
        tell_anew(node)
        log_change(node.lab, Topic.RIGHTS, "grant_heard", node.slug, Actor(clock).now())
    named = Member.objects.filter(lab=node.lab_id, public_id__in=(granted.member, granted.trainer))
    people = {one.public_id: one for one in named}
    badge = Badge.objects.filter(lab=node.lab_id, tag=granted.tag or b"").first()
    member, trainer = people.get(granted.member), people.get(granted.trainer)
    if member is None or trainer is None:
        return [Refused(f"{granted.record}: of somebody the hub does not know", badge)]
    why = _why_not(trainer, member, badge)
    if why:
        return [Refused(f"{granted.record}: {why}", badge)]
    actor = _at_the_machine(trainer, node, clock)
    refused = []
    for slug in granted.trainings:
        training = Training.objects.filter(lab=node.lab_id, slug=slug).first()
        why = _training_why_not(trainer, member, training, actor)
        if training is None or why:
            refused.append(Refused(f"{granted.record}: {slug}: {why}", badge))
        elif granted.genuine:
            _hold(actor, member, training, trainer, f"{node.slug} {granted.record}")
        else:
            _ask(actor, node, granted, member, training, trainer)
    return refused


def may_decide(user: User, pending: PendingGrant, clock: Clock) -> bool:
    """Whether `user` may confirm or reject it: the trainer whose badge it was, or who grants anything."""
    if may(user, pending.lab, Permission.GRANT_ANY):
        return True
    own = Role.objects.filter(user=user, lab=pending.lab, member=pending.trainer).exists()
    return own and may_grant(user, pending.lab, pending.training, Actor(clock).now())


@transaction.atomic
def confirm(actor: Actor, pending: PendingGrant) -> None:
    """The member holds the training: the trainer says that it was them. Raises ConfigError: decided before."""
    _decide(actor, pending, PendingGrant.State.CONFIRMED)
    check_prerequisite(pending.member, pending.training)
    evidence = f"{pending.node.slug} {pending.record}"
    _hold(actor, pending.member, pending.training, pending.trainer, evidence)


@transaction.atomic
def reject(actor: Actor, pending: PendingGrant, why: str) -> None:
    """The training was not granted: at its machine too it ends at midnight. Raises ConfigError."""
    _decide(actor, pending, PendingGrant.State.REJECTED)
    log_deed(
        actor,
        pending.lab,
        Topic.OTHER,
        "grant_rejected",
        f"{pending.member.public_id} {pending.training.slug}",
        before={"trainer": pending.trainer.public_id, "record": pending.record},
        why=why,
    )


_ACTOR_MAX = 150
"""What the audit log's column holds."""


def _decide(actor: Actor, pending: PendingGrant, state: PendingGrant.State) -> None:
    if actor.user is not None and not may_decide(actor.user, pending, actor.clock):
        raise PermissionDenied(_("Only the trainer whose badge it was, or a manager, can say so."))
    waiting = PendingGrant.objects.filter(pk=pending.pk, state=PendingGrant.State.WAITING)
    if not waiting.update(state=state, decided_at=actor.now()):
        raise ConfigError(_("this was decided before"), where=str(pending))


def _why_not(trainer: Member, member: Member, badge: Badge | None) -> str:
    """What speaks against all of it, whatever the training."""
    if trainer == member:
        return "nobody grants to themselves"
    if badge is None or badge.member_id != trainer.pk:
        return "the badge is not the trainer's"
    if badge.condition != BadgeCondition.ACTIVE:
        return f"the trainer's badge is {badge.condition}"
    return ""


def _training_why_not(
    trainer: Member, member: Member, training: Training | None, actor: Actor
) -> str:
    if training is None:
        return "no such training"
    if training not in taught_by(trainer, actor.now()):
        return "not taught by who granted it"
    try:
        check_prerequisite(member, training)
    except ConfigError:
        return "another training has to come first"
    return ""


def _hold(actor: Actor, member: Member, training: Training, trainer: Member, evidence: str) -> None:
    held = held_of(member, training)
    if held is not None and held.level in KEEPS and not _over(held, actor):
        return
    hold(
        actor,
        member,
        training,
        Authorisation.Level.ALONE,
        evidence=evidence,
        trainer=trainer,
    )
    PendingGrant.objects.filter(
        member=member, training=training, state=PendingGrant.State.WAITING
    ).update(state=PendingGrant.State.CONFIRMED, decided_at=actor.now())


def _over(held: Authorisation, actor: Actor) -> bool:
    """Whether it opens nothing any more: then the grant makes it new."""
    return held.until_at is not None and held.until_at <= actor.now()


def _ask(
    actor: Actor,
    node: Node,
    granted: Granted,
    member: Member,
    training: Training,
    trainer: Member,
) -> None:
    PendingGrant.objects.update_or_create(
        member=member,
        training=training,
        state=PendingGrant.State.WAITING,
        defaults={
            "lab_id": node.lab_id,
            "trainer": trainer,
            "node": node,
            "record": granted.record,
            "given_at": actor.now(),
        },
    )


def _at_the_machine(trainer: Member, node: Node, clock: Clock) -> Actor:
    """The trainer as the author of a change: with their login where they have one, else by name."""
    role = Role.objects.filter(member=trainer, lab=trainer.lab_id).select_related("user").first()
    if role is None:
        return Actor(clock, None, f"{trainer.name} ({node.machine.name})"[:_ACTOR_MAX])
    return Actor(clock, role.user, node.machine.name[: _ACTOR_MAX - len(role.user.name) - 3])
