"""A code, a claim and a click to a node: nobody is one before all three, and no code works twice."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.errors import ConfigError, ProtocolError
from interlock.hub.changes import log_deed
from interlock.hub.directory import bare_host, host_in_url
from interlock.hub.domain.nodes import FIRST_EPOCH, free_slug, revoke_node
from interlock.hub.models import Enrolment, Machine, Node, Session, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol import card_keys
from interlock.protocol.enrolment import (
    SECRET_BYTES,
    Claim,
    EnrolmentCode,
    Welcome,
    six_words,
)

CODE_LIFE = timedelta(minutes=15)
FILE_LIFE = timedelta(days=7)
"""4-protocol.md, "Transport": a code is used at once, a card is written, carried and put into a Pi."""
CLAIM_LIFE = {Enrolment.Kind.CODE: timedelta(hours=1), Enrolment.Kind.FILE: FILE_LIFE}
"""How long the six words wait for their click, counted from the claim."""
WAITING_AFTER = timedelta(seconds=20)
"""A computer that asks every two seconds and has not asked for this long is not there."""

CLAIMANT = "enrolment code"


class EnrolmentRefused(ProtocolError):
    """The hub takes no claim by this code; `code` is the answer's word for programs."""

    def __init__(self, code: str, what: str, remedy: str = "") -> None:
        self.code = code
        super().__init__(what, where="enrolment", remedy=remedy or _NEW_CODE)


_NEW_CODE = "Make a new code on the hub's page “Computers at machines”"


@dataclass(frozen=True, slots=True)
class Opened:
    """A code that waits for a computer; its secret is told this once."""

    enrolment: Enrolment
    code: EnrolmentCode


def live() -> QuerySet[Enrolment]:
    """Enrolments that can still become a node, if their time is not over."""
    return Enrolment.objects.filter(ended_at=None, confirmed_at=None)


def deadline_of(enrolment: Enrolment) -> datetime:
    """When it is over: for its code, or once claimed for the click."""
    return enrolment.claim_until_at or enrolment.expires_at


@transaction.atomic
def open_enrolment(actor: Actor, machine: Machine, kind: str, host: str, port: int) -> Opened:
    """A fresh code for a computer at `machine`; an earlier one of the machine works no more.

    `host` and `port` are where the computer will look for the hub. Raises ConfigError: the hub's
    certificate does not name `host`.
    """
    require(actor, machine.lab, Permission.EDIT_NODES)
    bare = bare_host(host)
    config = settings.HUB.config()
    if bare not in (name.lower() for name in config.names()):
        raise ConfigError(
            _("the hub's certificate does not name “%(host)s”") % {"host": bare},
            where="hub.toml",
            remedy=_("Write it there as nodes.address or in hub.hosts, and start the hub again"),
        )
    at = actor.now()
    _end(live().filter(machine=machine), Enrolment.Ending.REPLACED, at)
    secret = secrets.token_bytes(SECRET_BYTES)
    enrolment = Enrolment.objects.create(
        lab=machine.lab,
        machine=machine,
        kind=kind,
        secret_hash=sha256(secret).digest(),
        created_at=at,
        created_by=actor.name,
        expires_at=at + (FILE_LIFE if kind == Enrolment.Kind.FILE else CODE_LIFE),
    )
    deed = {"kind": str(enrolment.kind), "until": enrolment.expires_at.isoformat()}
    log_deed(actor, machine.lab, Topic.OTHER, "enrolment_opened", machine.slug, after=deed)
    authority = settings.HUB.certificates(actor.clock).fingerprint()
    return Opened(enrolment, EnrolmentCode(host_in_url(bare), port, authority, secret))


@transaction.atomic
def claim(clock: Clock, wanted: Claim) -> Welcome:
    """The computer that knows the code's secret waits for its click; asked again, the same answer.

    Raises EnrolmentRefused, and then nothing has changed.
    """
    actor = Actor(clock, label=CLAIMANT)
    hashed = sha256(wanted.secret).digest()
    found = (
        Enrolment.objects.select_for_update(of=("self",))
        .select_related("lab", "machine")
        .filter(secret_hash=hashed)
        .first()
    )
    if found is None:
        raise EnrolmentRefused("unknown_code", "the hub does not know this code")
    at = actor.now()
    if found.claimed_at is not None:
        return _claimed_before(found, wanted, at)
    _refuse_if_over(found, at)
    found.claimed_at, found.asked_at = at, at
    found.claim_until_at = at + CLAIM_LIFE[Enrolment.Kind(found.kind)]
    found.credential_hash = wanted.credential_hash
    found.chain_key = wanted.chain_key
    found.decryption_public_key = wanted.decryption_public_key
    found.slug = free_slug(found.machine)
    found.epoch = _next_epoch(found.machine)
    welcome = _welcome(found)
    authority = settings.HUB.certificates(clock).fingerprint()
    found.words = " ".join(six_words(authority, wanted, welcome))
    found.save()
    log_deed(actor, found.lab, Topic.OTHER, "enrolment_claimed", found.machine.slug)
    return welcome


def badge_key_for(clock: Clock, credential_hash: bytes) -> bytes | None:
    """The lab badge key, sealed, for a computer that a person has confirmed; None: it waits on.

    Raises EnrolmentRefused: it was cancelled, refused or forgotten, or nobody knows it.
    """
    found = Enrolment.objects.filter(credential_hash=credential_hash).select_related("node").first()
    if found is None:
        raise EnrolmentRefused("unknown_credential", "the hub does not know this computer")
    at = Actor(clock).now()
    if found.confirmed_at is None:
        _refuse_if_over(found, at)
        Enrolment.objects.filter(pk=found.pk).update(asked_at=at)
        return None
    node = found.node
    if node is None or node.revoked_at is not None or node.decryption_public_key is None:
        raise EnrolmentRefused("revoked", "this computer was revoked again")
    return card_keys.seal(bytes(node.decryption_public_key), settings.HUB.badge_key())


@transaction.atomic
def confirm(actor: Actor, enrolment: Enrolment) -> Node:
    """The computer with these six words is the machine's node; the one before it is revoked.

    Raises ConfigError: nothing has claimed the code, its time is over, or somebody was faster.
    """
    require(actor, enrolment.lab, Permission.EDIT_NODES)
    found = (
        Enrolment.objects.select_for_update(of=("self",))
        .select_related("lab", "machine")
        .get(pk=enrolment.pk)
    )
    at = actor.now()
    if found.ended_at is not None or found.confirmed_at is not None or at >= deadline_of(found):
        raise ConfigError(
            _("this code is over"), where=found.machine.name, remedy=_("Make a new code")
        )
    if found.claimed_at is None or found.credential_hash is None:
        raise ConfigError(
            _("no computer has used this code yet"),
            where=found.machine.name,
            remedy=_("Wait until six words stand here and on its screen"),
        )
    _replace(actor, found)
    node = Node.objects.create(
        lab=found.lab,
        slug=found.slug,
        machine=found.machine,
        credential_hash=found.credential_hash,
        chain_key=found.chain_key,
        decryption_public_key=found.decryption_public_key,
        epoch=found.epoch,
        head_epoch=found.epoch,
        journal_epoch=found.epoch,
        enrolled_at=at,
    )
    found.node, found.confirmed_at, found.chain_key = node, at, None
    found.save()
    after = {"machine": found.machine.slug, "epoch": found.epoch}
    log_deed(actor, found.lab, Topic.RIGHTS, "node_enrolled", node.slug, after=after)
    return node


@transaction.atomic
def cancel(actor: Actor, enrolment: Enrolment, ending: Enrolment.Ending) -> None:
    """The code, or the computer that waits, comes to nothing."""
    require(actor, enrolment.lab, Permission.EDIT_NODES)
    at = actor.now()
    if not _end(live().filter(pk=enrolment.pk), ending, at):
        raise ConfigError(_("this code is over"), where=enrolment.machine.name)
    log_deed(
        actor,
        enrolment.lab,
        Topic.OTHER,
        "enrolment_ended",
        enrolment.machine.slug,
        after={"why": ending.value},
    )


def _claimed_before(found: Enrolment, wanted: Claim, at: datetime) -> Welcome:
    """The same computer asks again: it was interrupted. Any other is too late."""
    same = bytes(found.credential_hash or b"") == wanted.credential_hash and (
        bytes(found.decryption_public_key or b"") == wanted.decryption_public_key
    )
    if not same:
        raise EnrolmentRefused(
            "used",
            "another computer has used this code",
            "If that was not you: cancel it on the hub's page, then make a new code",
        )
    if found.confirmed_at is None:
        _refuse_if_over(found, at)
        if bytes(found.chain_key or b"") != wanted.chain_key:
            raise EnrolmentRefused("used", "this computer used the code with other keys")
    return _welcome(found)


def _refuse_if_over(found: Enrolment, at: datetime) -> None:
    if found.ended_at is not None:
        said = {
            Enrolment.Ending.CANCELLED: "this code was cancelled at the hub",
            Enrolment.Ending.REPLACED: "a newer code was made for this machine",
            Enrolment.Ending.REFUSED: "somebody at the hub said that the words differ",
        }
        raise EnrolmentRefused(found.ending, said[Enrolment.Ending(found.ending)])
    if at >= deadline_of(found):
        raise EnrolmentRefused("expired", "the time of this code is over")


def _welcome(found: Enrolment) -> Welcome:
    public = settings.HUB.signing_key().public_key()
    return Welcome(
        lab=found.lab.slug,
        node=found.slug,
        epoch=found.epoch,
        machine=found.machine.name,
        hub_public_key=public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        language=found.lab.language,
    )


def _next_epoch(machine: Machine) -> int:
    """Above every epoch that a computer of this machine has used."""
    used: Sequence[tuple[int, int, int]] = list(
        Node.objects.filter(machine=machine).values_list("epoch", "journal_epoch", "branch_epoch")
    )
    return max((max(pair) for pair in used), default=FIRST_EPOCH - 1) + 1


def _replace(actor: Actor, found: Enrolment) -> None:
    """The machine's node so far is revoked; what it may have kept to itself is counted."""
    old = Node.objects.filter(machine=found.machine, revoked_at=None).first()
    if old is None:
        return
    health = getattr(old, "health", None)
    if health is not None and health.told_epoch == old.head_epoch:
        found.missing_records = max(0, health.told_seq - old.head_seq)
    found.missing_sessions = Session.objects.filter(node=old, ended_at=None).count()
    found.replaced = old
    revoke_node(actor, old, "replaced by another computer")


def _end(those: QuerySet[Enrolment], ending: Enrolment.Ending, at: datetime) -> int:
    """They are over, and the chain key of whoever waited is forgotten."""
    return those.update(ended_at=at, ending=ending, chain_key=None)
