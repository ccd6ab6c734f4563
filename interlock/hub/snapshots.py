"""Members, badges and authorisations to the signed snapshot of each node, renewed only when it differs.

The version (hub epoch, counter) rises when, and only when, something in it changed for that node. So
a change that concerns one machine wakes one node, and an unchanged cache stays fresh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from interlock.core import model as core
from interlock.errors import ProtocolError
from interlock.hub import card_keys, erased
from interlock.hub.alarms import raise_alarm
from interlock.hub.card_keys import KeyedLines, Vault
from interlock.hub.changes import log_change
from interlock.hub.demands import Hours, demands_of, hours_of
from interlock.hub.entries import entry_of, right_of
from interlock.hub.models import (
    AlarmKind,
    Authorisation,
    Badge,
    BadgeCondition,
    Lab,
    Member,
    Node,
    Snapshot,
    Topic,
)
from interlock.hub.timeline import moment
from interlock.protocol import canonical
from interlock.protocol.demands import to_wire as demands_to_wire
from interlock.protocol.snapshots import (
    ENTRIES_MAX,
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
    entry_from_wire,
    entry_lines,
    signed_snapshot,
)

CONTENT_BYTES = 32

_Asked = tuple[frozenset[str], bool]
"""Which trainings a machine asks for, and whether it asks for opening hours: what its entries depend on."""


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
        found = Node.objects.filter(lab=fresh, revoked_at=None).select_related("machine__lab")
        if nodes is not None:
            found = found.filter(pk__in=nodes)
        vault = Vault(settings.HUB.card_key())
        mill = _Mill(fresh, settings.HUB.signing_key(), vault, at_ms // 1_000)
        old = {s.node_id: s for s in Snapshot.objects.filter(node__in=found).defer("body")}
        renewed = {node.pk: mill.renew(node, old.get(node.pk)) for node in found}
        for node in found:
            _say_who_was_left_out(node, mill.left_out[node.pk], moment(at_ms))
        return renewed


def body_of(node: Node) -> bytes:
    """The signed file of the current version."""
    current_version(node)
    return bytes(Snapshot.objects.values_list("body", flat=True).get(node=node))


def entries_of(
    lab: Lab, trainings: frozenset[str], kept: Hours | None = None
) -> tuple[list[core.Entry], list[str]]:
    """One entry per badge of `lab`, with the rights that count for those trainings and (`kept`) the
    hours that count where hours are asked for; and the badges left out: a node would refuse a whole
    list for one entry that it cannot read."""
    held: dict[int, list[core.Right]] = defaultdict(list)
    for authorisation in Authorisation.objects.filter(
        lab=lab, revoked_at=None, training__slug__in=trainings
    ).select_related("training"):
        held[authorisation.member_id].append(right_of(authorisation))
    entries: list[core.Entry] = []
    left_out: list[str] = []
    # What stands for an old id is nobody's card: no node can meet it.
    cards = Badge.objects.filter(lab=lab).exclude(condition=BadgeCondition.ENROL_AGAIN)
    for badge in cards.select_related("member"):
        try:
            if len(entries) == ENTRIES_MAX:
                raise ProtocolError("the list is full")
            own = None if kept is None else kept.of(badge.member.group_id)
            entry = entry_of(lab, badge, held[badge.member_id], own)
            entries.append(entry_from_wire(entry.to_wire()))
        except (ProtocolError, ValueError) as error:
            what = error.what if isinstance(error, ProtocolError) else str(error)
            left_out.append(f"{bytes(badge.tag)[:4].hex()}: {what}")
    return entries, left_out


def tell_anew(node: Node) -> None:
    """The node's next list is a new one, whether or not anything in it changed: it waits for our word.
    Call it in a transaction that logs a change of rights."""
    Snapshot.objects.filter(node=node).update(content_hash=bytes(CONTENT_BYTES))


def rights_of(member: Member) -> tuple[core.Right, ...]:
    """Every right `member` holds, as a node would see it: for "what may I use, what do I miss"."""
    held = member.authorisations.filter(revoked_at=None).select_related("training")
    return tuple(right_of(authorisation) for authorisation in held)


def _say_who_was_left_out(node: Node, left_out: list[str], at: datetime) -> None:
    if not left_out:
        return
    if raise_alarm(node, AlarmKind.BADGE_LEFT_OUT, "; ".join(left_out), at):
        log_change(node.lab, Topic.USE, "badge_left_out", node.slug, at)


class _Mill:
    """Snapshots of one lab at one moment; machines that ask for the same share their entries."""

    def __init__(self, lab: Lab, key: Ed25519PrivateKey, vault: Vault, issued_at: int) -> None:
        self._lab, self._key, self._vault, self._issued_at = lab, key, vault, issued_at
        self._cards = card_keys.rows_of(lab)
        self._hours = hours_of(lab)
        self._forget = erased.digests_of(lab, moment(issued_at * 1_000))
        self._lines: dict[_Asked, tuple[KeyedLines, bytes]] = {}
        self._left_out: dict[_Asked, list[str]] = {}
        self.left_out: dict[int, list[str]] = {}
        """By node: the badges that its list does not name, and why."""

    def renew(self, node: Node, old: Snapshot | None) -> SnapshotVersion:
        demands = demands_of(node.machine, self._hours, self._issued_at)
        asked = frozenset(demands.trainings), demands.hours is not None
        shared, digest = self._entries(asked)
        self.left_out[node.pk] = self._left_out[asked]
        content = self._content(node, demands, digest, shared.fingerprint)
        epoch = self._lab.hub_epoch
        if old is not None and old.epoch == epoch and bytes(old.content_hash) == content:
            if old.rights_seq != self._lab.rights_seq:
                Snapshot.objects.filter(pk=old.pk).update(rights_seq=self._lab.rights_seq)
            return (epoch, old.counter)
        counter = 1 if old is None else old.counter + 1
        lines = shared.lines
        wrapping_key = shared.sealed_wrapping_key(self._vault, node)
        if wrapping_key is not None:
            lines, closed = shared.for_node(self._vault, node)
            self.left_out[node.pk] = [*self.left_out[node.pk], *closed]
            digest = digest_lines(lines)
        header = SnapshotHeader(
            lab=self._lab.slug,
            node=node.slug,
            version=(epoch, counter),
            issued_at=self._issued_at,
            machine_name=node.machine.name,
            demands=demands,
            entries=len(lines),
            digest=digest,
            wrapping_key=wrapping_key,
            forget=self._forget,
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

    def _entries(self, asked: _Asked) -> tuple[KeyedLines, bytes]:
        """The lines without keys, which all nodes share that ask for the same; and their digest."""
        if asked not in self._lines:
            trainings, in_hours = asked
            entries, self._left_out[asked] = entries_of(
                self._lab, trainings, self._hours if in_hours else None
            )
            lines = entry_lines(entries)
            tags = sorted(entry.tag for entry in entries)
            self._lines[asked] = (
                KeyedLines(self._lab.slug, tags, lines, self._cards),
                digest_lines(lines),
            )
        return self._lines[asked]

    def _content(self, node: Node, demands: core.Demands, digest: bytes, cards: str) -> bytes:
        """Everything a node is told but when and under which number: the shared lines stand for its
        own, since what is wrapped for it follows from the sealed keys and from its enrolment."""
        told = {
            "cards": cards,
            "machine": node.machine.name,
            "demands": demands_to_wire(demands),
            "digest": digest.hex(),
            **({"forget": [one.hex() for one in self._forget]} if self._forget else {}),
        }
        return blake2b(canonical.dumps(told), digest_size=CONTENT_BYTES).digest()
