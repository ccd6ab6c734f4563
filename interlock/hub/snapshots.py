"""Members, badges and authorisations to the signed snapshot of each node, renewed only when it differs.

The version (hub epoch, counter) rises when, and only when, something in it changed for that node. So
a change that concerns one machine wakes one node, and an unchanged cache stays fresh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from interlock.core import model as core
from interlock.hub.models import (
    Authorisation,
    Badge,
    BadgeCondition,
    Lab,
    Machine,
    Member,
    Node,
    Snapshot,
)
from interlock.protocol import canonical
from interlock.protocol.snapshots import (
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
    entry_lines,
    signed_snapshot,
)

CONTENT_BYTES = 32


def current_version(node: Node) -> SnapshotVersion:
    """The version `node` should decide by, renewed first if anything changed for it."""
    known = (
        Snapshot.objects.filter(node=node)
        .values_list(
            "epoch", "counter", "rights_seq", "node__lab__rights_seq", "node__lab__hub_epoch"
        )
        .first()
    )
    if known is not None and known[2] == known[3] and known[0] == known[4]:
        return (known[0], known[1])
    return refresh(node.lab, nodes=[node.pk])[node.pk]


def refresh(lab: Lab, nodes: Iterable[int] | None = None) -> dict[int, SnapshotVersion]:
    """Current versions of the lab's nodes (all, or those); snapshots that differ are signed anew."""
    at_ms = settings.HUB_CLOCK.wall_ms()
    with transaction.atomic():
        # The lab's row is locked, so that no right changes between reading it and its number.
        fresh = Lab.objects.select_for_update().get(pk=lab.pk)
        found = Node.objects.filter(lab=fresh, revoked_at=None).select_related("machine")
        if nodes is not None:
            found = found.filter(pk__in=nodes)
        mill = _Mill(fresh, settings.HUB.signing_key(), at_ms // 1_000)
        old = {s.node_id: s for s in Snapshot.objects.filter(node__in=found).defer("body")}
        return {node.pk: mill.renew(node, old.get(node.pk)) for node in found}


def body_of(node: Node) -> bytes:
    """The signed file of the current version."""
    current_version(node)
    return bytes(Snapshot.objects.values_list("body", flat=True).get(node=node))


def entries_of(lab: Lab, trainings: frozenset[str]) -> list[core.Entry]:
    """One entry per badge of `lab`, with the rights that count for those trainings."""
    held: dict[int, list[core.Right]] = defaultdict(list)
    for authorisation in Authorisation.objects.filter(
        lab=lab, revoked_at=None, training__slug__in=trainings
    ).select_related("training"):
        held[authorisation.member_id].append(right_of(authorisation))
    badges = Badge.objects.filter(lab=lab).select_related("member")
    return [entry_of(lab, badge, held[badge.member_id]) for badge in badges]


def entry_of(lab: Lab, badge: Badge, rights: list[core.Right]) -> core.Entry:
    """What a node may know of one badge."""
    member = badge.member
    active = badge.condition == BadgeCondition.ACTIVE
    return core.Entry(
        tag=bytes(badge.tag),
        member=member.public_id,
        language=member.language,
        name=member.name if lab.sends_names else None,
        badge=core.BadgeState.ACTIVE if active else core.BadgeState.BLOCKED,
        status=core.MemberStatus(member.status),
        member_until_at=_second(member.until_at),
        rights=tuple(sorted(rights, key=lambda right: right.training)),
        technician=member.technician,
    )


def right_of(authorisation: Authorisation) -> core.Right:
    """An authorisation as the core decides by it; lapsing counts from the last practice."""
    days = authorisation.training.lapse_days
    practised_at = max(
        authorisation.granted_at, authorisation.practised_at or authorisation.granted_at
    )
    return core.Right(
        training=authorisation.training.slug,
        level=core.Level(authorisation.level),
        since_at=_second(authorisation.granted_at),
        until_at=_second(authorisation.until_at),
        lapses_at=None if days is None else _second(practised_at + timedelta(days=days)),
    )


def rights_of(member: Member) -> tuple[core.Right, ...]:
    """Every right `member` holds, as a node would see it: for "what may I use, what do I miss"."""
    held = member.authorisations.filter(revoked_at=None).select_related("training")
    return tuple(right_of(authorisation) for authorisation in held)


def demands_of(machine: Machine) -> tuple[tuple[str, ...], core.Needs]:
    """The trainings `machine` asks for, and whether all or any of them."""
    slugs = sorted(machine.trainings.values_list("slug", flat=True))
    return tuple(slugs), core.Needs(machine.needs)


class _Mill:
    """Snapshots of one lab at one moment; machines that ask for the same share their entries."""

    def __init__(self, lab: Lab, key: Ed25519PrivateKey, issued_at: int) -> None:
        self._lab, self._key, self._issued_at = lab, key, issued_at
        self._lines: dict[frozenset[str], tuple[list[bytes], bytes]] = {}

    def renew(self, node: Node, old: Snapshot | None) -> SnapshotVersion:
        trainings, needs = demands_of(node.machine)
        lines, digest = self._entries(frozenset(trainings))
        content = self._content(node, trainings, needs, digest)
        epoch = self._lab.hub_epoch
        if old is not None and old.epoch == epoch and bytes(old.content_hash) == content:
            if old.rights_seq != self._lab.rights_seq:
                Snapshot.objects.filter(pk=old.pk).update(rights_seq=self._lab.rights_seq)
            return (epoch, old.counter)
        counter = 1 if old is None else old.counter + 1
        header = SnapshotHeader(
            lab=self._lab.slug,
            node=node.slug,
            version=(epoch, counter),
            issued_at=self._issued_at,
            machine_name=node.machine.name,
            trainings=trainings,
            needs=needs,
            entries=len(lines),
            digest=digest,
            max_offline_s=node.machine.max_offline_s,
            locked_out=node.machine.locked_out_at is not None,
        )
        Snapshot.objects.update_or_create(
            node=node,
            defaults={
                "epoch": epoch,
                "counter": counter,
                "rights_seq": self._lab.rights_seq,
                "content_hash": content,
                "issued_at": datetime.fromtimestamp(self._issued_at, tz=UTC),
                "body": signed_snapshot(self._key, header, lines),
            },
        )
        return (epoch, counter)

    def _entries(self, trainings: frozenset[str]) -> tuple[list[bytes], bytes]:
        if trainings not in self._lines:
            lines = entry_lines(entries_of(self._lab, trainings))
            self._lines[trainings] = (lines, digest_lines(lines))
        return self._lines[trainings]

    def _content(
        self, node: Node, trainings: tuple[str, ...], needs: core.Needs, digest: bytes
    ) -> bytes:
        """Everything a node is told but when and under which number."""
        told = {
            "machine": node.machine.name,
            "trainings": list(trainings),
            "locked_out": node.machine.locked_out_at is not None,
            "needs": needs.value,
            "max_offline_s": node.machine.max_offline_s,
            "digest": digest.hex(),
        }
        return blake2b(canonical.dumps(told), digest_size=CONTENT_BYTES).digest()


def _second(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
