"""Members, badges and authorisations to the signed snapshot of each node, renewed only when it differs.

The version (hub epoch, counter) rises when, and only when, something in it changed for that node. So
a change that concerns one machine wakes one node, and an unchanged cache stays fresh. What is shared is made
once: the lab's people are read once, machines that ask for the same share their lines, lines that stay the same
are not made again; each node costs a signature and a row.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from interlock.core import model as core
from interlock.errors import ProtocolError
from interlock.hub import card_keys, erased
from interlock.hub.alarms import raise_alarm
from interlock.hub.card_keys import Vault
from interlock.hub.changes import log_change
from interlock.hub.contents import SHELF, Content, Given, content_of, joined_digest
from interlock.hub.demands import Hours, all_demands, hours_of
from interlock.hub.entries import entry_of, right_from, right_of
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
    Training,
)
from interlock.hub.timeline import moment
from interlock.protocol import canonical
from interlock.protocol.demands import to_wire as demands_to_wire
from interlock.protocol.snapshots import (
    AHEAD_S_MAX,
    ENTRIES_MAX,
    SnapshotHeader,
    SnapshotVersion,
    entry_from_wire,
    signed_head,
)

CONTENT_BYTES = 32
PORTION = 100
"""Nodes whose lists are signed and committed together: a tenth of a second of work, and one commit."""
DEMANDS_MAX = 10_000
"""Machines of all labs of one hub."""

_Asked = tuple[frozenset[str], bool]
"""Which trainings a machine asks for, and whether it asks for opening hours: what its entries depend on."""


def current_version(node: Node) -> SnapshotVersion:
    """The version `node` should decide by, renewed first if anything changed for it."""
    return current_versions([node])[node.pk]


def current_versions(nodes: Sequence[Node]) -> dict[int, SnapshotVersion]:
    """As `current_version` for each of them, one query where nothing changed; without those revoked meanwhile."""
    known = Snapshot.objects.filter(node__in=[node.pk for node in nodes])
    current: dict[int, SnapshotVersion] = {}
    for pk, epoch, counter, made_at, rights_seq, hub_epoch in known.values_list(*_OF_A_VERSION):
        if (made_at, epoch) == (rights_seq, hub_epoch):
            current[pk] = epoch, counter
    stale: dict[Lab, list[int]] = defaultdict(list)
    for node in nodes:
        if node.pk not in current:
            stale[node.lab].append(node.pk)
    for lab, some in stale.items():
        current.update(refresh(lab, nodes=some))
    return current


def refresh(lab: Lab, nodes: Iterable[int] | None = None) -> dict[int, SnapshotVersion]:
    """Current versions of the lab's nodes (all, or those); snapshots that differ are signed anew."""
    versions: dict[int, SnapshotVersion] = {}
    for portion in portions(lab, nodes):
        versions.update(portion)
    return versions


def portions(lab: Lab, nodes: Iterable[int] | None = None) -> Iterator[dict[int, SnapshotVersion]]:
    """As `refresh`, some nodes at a time: they are told while the lists of the others are signed.

    Each portion is committed when it is yielded. Where a right has changed since the portion before, everything
    is read anew for those that are left; the others' turn comes with the change that did it.
    """
    mill: _Mill | None = None
    left = list(_active(lab, nodes).values_list("pk", flat=True))
    while left:
        portion, left = left[:PORTION], left[PORTION:]
        with transaction.atomic():
            # The lab's row is locked, so that no right changes between reading it and its number.
            fresh = Lab.objects.select_for_update().get(pk=lab.pk)
            if mill is None or not mill.is_of(fresh):
                mill = _mill(fresh, [*portion, *left])
            renewed = mill.renew_all(portion)
        yield renewed


def _mill(lab: Lab, nodes: list[int]) -> _Mill:
    """Everything that lists of these nodes are made of, as it is now."""
    every = list(_active(lab, nodes).select_related("machine"))
    for node in every:
        node.lab = node.machine.lab = lab
    vault = Vault(settings.HUB.card_key())
    issued_at = settings.HUB_CLOCK.wall_ms() // 1_000
    return _Mill(lab, every, settings.HUB.signing_key(), vault, issued_at)


def _active(lab: Lab, nodes: Iterable[int] | None) -> QuerySet[Node]:
    """Those of `lab` that may be told anything (of `nodes`, or all)."""
    found = Node.objects.filter(lab=lab, revoked_at=None).order_by("pk")
    return found if nodes is None else found.filter(pk__in=nodes)


def body_of(node: Node) -> bytes:
    """The signed file of the current version."""
    current_version(node)
    for _ in range(2):
        snapshot = Snapshot.objects.get(node=node)
        content = SHELF.content(bytes(snapshot.content))
        if content is not None:
            lines = content.lines_for(Vault(settings.HUB.card_key()), node)
            if joined_digest(lines) == bytes(snapshot.digest):
                return bytes(snapshot.head) + b"".join(lines)
        # Nobody in this process has made these lines yet, or they are no longer what was signed.
        refresh(node.lab, nodes=[node.pk])
    raise ProtocolError("its list of rights cannot be made", where=f"node {node.slug}")


def entries_of(
    lab: Lab, trainings: frozenset[str], kept: Hours | None = None
) -> tuple[list[core.Entry], list[str]]:
    """One entry per badge of `lab`, with the rights that count for those trainings and (`kept`) the
    hours that count where hours are asked for; and the badges left out: a node would refuse a whole
    list for one entry that it cannot read."""
    return _People(lab).entries(trainings, kept, {})


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


class _People:
    """Everybody with a badge and every right they hold, read once for all lists of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        # What stands for an old id is nobody's card: no node can meet it.
        cards = Badge.objects.filter(lab=lab).exclude(condition=BadgeCondition.ENROL_AGAIN)
        self._badges = list(cards.select_related("member").only(*_OF_A_BADGE))
        self._held: dict[int, list[core.Right]] = defaultdict(list)
        valid = Authorisation.objects.filter(lab=lab, revoked_at=None)
        # Made once for all who hold them: a lab has a dozen trainings and thousands of rights.
        trainings = Training.objects.only("slug", "lapse_days").in_bulk()
        for member, training, *right in valid.values_list(*_OF_A_RIGHT):
            self._held[member].append(right_from(trainings[training], *right))
        self._plain: dict[int, core.Entry] = {}

    def entries(
        self, trainings: frozenset[str], kept: Hours | None, known: Mapping[bytes, core.Entry]
    ) -> tuple[list[core.Entry], list[str]]:
        """`known` is what was told before, by tag: what is still so is the same object."""
        entries: list[core.Entry] = []
        left_out: list[str] = []
        for badge in self._badges:
            rights = [r for r in self._held.get(badge.member_id, ()) if r.training in trainings]
            own = None if kept is None else kept.of(badge.member.group_id)
            try:
                if len(entries) == ENTRIES_MAX:
                    raise ProtocolError("the list is full")
                entries.append(self._entry(badge, rights, own, known.get(bytes(badge.tag))))
            except (ProtocolError, ValueError) as error:
                what = error.what if isinstance(error, ProtocolError) else str(error)
                left_out.append(f"{bytes(badge.tag)[:4].hex()}: {what}")
        return entries, left_out

    def _entry(
        self, badge: Badge, rights: list[core.Right], own: str | None, before: core.Entry | None
    ) -> core.Entry:
        """Of most badges most machines are told the same: that nothing of theirs opens them."""
        is_plain = not rights and own is None
        entry = self._plain.get(badge.pk) if is_plain else None
        if entry is None:
            entry = entry_of(self._lab, badge, rights, own)
            # What was readable when it was told before still is.
            entry = before if before == entry else _readable(entry)
            if is_plain:
                self._plain[badge.pk] = entry
        if before is not entry and before == entry:
            return before
        return entry


class _Mill:
    """Snapshots of one lab at one moment; machines that ask for the same share their entries."""

    def __init__(
        self,
        lab: Lab,
        nodes: Sequence[Node],
        key: Ed25519PrivateKey,
        vault: Vault,
        issued_at: int,
    ) -> None:
        self._lab, self._key, self._vault, self._issued_at = lab, key, vault, issued_at
        self._nodes = {node.pk: node for node in nodes}
        self._cards = card_keys.rows_of(lab)
        self._hours = hours_of(lab)
        self._forget = erased.digests_of(lab, moment(issued_at * 1_000))
        self._people = _People(lab)
        self._demands = all_demands([node.machine for node in nodes], self._hours, issued_at)
        self._contents: dict[_Asked, tuple[Content, list[str]]] = {}
        self._renewed: list[Snapshot] = []
        self._unchanged: list[int] = []
        self._left_out: dict[int, list[str]] = {}
        """By node: the badges that its list does not name, and why."""

    def is_of(self, lab: Lab) -> bool:
        """Whether what was read is what `lab`, whose row is locked, says now."""
        read = self._lab.rights_seq, self._lab.hub_epoch
        return read == (lab.rights_seq, lab.hub_epoch)

    def renew_all(self, nodes: Sequence[int]) -> dict[int, SnapshotVersion]:
        """The current versions of those nodes, kept in the database. In the transaction that locked the lab."""
        some = [self._nodes[pk] for pk in nodes if pk in self._nodes]
        old = {snapshot.node_id: snapshot for snapshot in Snapshot.objects.filter(node__in=some)}
        renewed = {node.pk: self._renew(node, old.get(node.pk)) for node in some}
        self._keep()
        for node in some:
            _say_who_was_left_out(node, self._left_out[node.pk], moment(self._issued_at * 1_000))
        return renewed

    def _renew(self, node: Node, old: Snapshot | None) -> SnapshotVersion:
        demands = self._demands[node.machine_id]
        content, self._left_out[node.pk] = self._content(demands)
        told = self._told(node, demands, content)
        if old is not None and self._is_current(old, told):
            if old.rights_seq != self._lab.rights_seq:
                self._unchanged.append(old.pk)
            version = (old.epoch, old.counter)
            if SHELF.given(bytes(node.credential_hash), version) is None:
                head = canonical.loads(bytes(old.head), where="snapshot")
                SHELF.give(version, Given(node, head, content))
            return version
        version = (self._lab.hub_epoch, 1 if old is None else old.counter + 1)
        self._sign(node, version, demands, content, told)
        return version

    def _keep(self) -> None:
        """What was renewed is in the database, in one statement whatever the number of nodes."""
        Snapshot.objects.bulk_create(
            self._renewed,
            update_conflicts=True,
            unique_fields=["node"],
            update_fields=_SIGNED,
        )
        unchanged = Snapshot.objects.filter(pk__in=self._unchanged)
        unchanged.update(rights_seq=self._lab.rights_seq)
        self._renewed, self._unchanged = [], []

    def _is_current(self, old: Snapshot, told: bytes) -> bool:
        # A hub whose clock was ahead and was mended: no node would take what it issued in the future.
        latest = moment(self._issued_at * 1_000) + timedelta(seconds=AHEAD_S_MAX)
        same = old.epoch == self._lab.hub_epoch and bytes(old.content_hash) == told
        return same and bool(old.head) and old.issued_at <= latest

    def _sign(
        self,
        node: Node,
        version: SnapshotVersion,
        demands: core.Demands,
        content: Content,
        told: bytes,
    ) -> None:
        digest, entries, closed = content.digest_for(self._vault, node)
        self._left_out[node.pk] = [*self._left_out[node.pk], *closed]
        header = SnapshotHeader(
            lab=self._lab.slug,
            node=node.slug,
            version=version,
            issued_at=self._issued_at,
            machine_name=node.machine.name,
            demands=demands,
            entries=entries,
            digest=digest,
            wrapping_key=content.keyed.sealed_wrapping_key(self._vault, node),
            forget=self._forget,
        )
        line, head = signed_head(self._key, header)
        SHELF.give(version, Given(node, head, content))
        self._renewed.append(
            Snapshot(
                node=node,
                epoch=version[0],
                counter=version[1],
                rights_seq=self._lab.rights_seq,
                content_hash=told,
                issued_at=datetime.fromtimestamp(self._issued_at, tz=UTC),
                head=line,
                digest=digest,
                content=content.name,
            )
        )

    def _content(self, demands: core.Demands) -> tuple[Content, list[str]]:
        """The lines without keys, which all nodes share that ask for the same."""
        asked = frozenset(demands.trainings), demands.hours is not None
        if asked not in self._contents:
            what = self._lab.pk, asked
            earlier = SHELF.newest(what)
            known = {} if earlier is None else earlier.entries
            hours = self._hours if asked[1] else None
            entries, left_out = self._people.entries(asked[0], hours, known)
            content = content_of(self._lab.slug, entries, self._cards, earlier)
            SHELF.put(what, content)
            self._contents[asked] = content, left_out
        return self._contents[asked]

    def _told(self, node: Node, demands: core.Demands, content: Content) -> bytes:
        """Everything a node is told but when and under which number: the shared lines stand for its
        own, since what is wrapped for it follows from the sealed keys and from its enrolment."""
        told = {
            "cards": content.keyed.fingerprint,
            "machine": node.machine.name,
            "demands": _told_demands(demands),
            "digest": content.digest.hex(),
            **({"forget": [one.hex() for one in self._forget]} if self._forget else {}),
        }
        return blake2b(canonical.dumps(told), digest_size=CONTENT_BYTES).digest()


@functools.lru_cache(maxsize=DEMANDS_MAX)
def _told_demands(demands: core.Demands) -> str:
    """They change so much less often than the people that their name is made once."""
    spelled = canonical.dumps(demands_to_wire(demands))
    return blake2b(spelled, digest_size=CONTENT_BYTES).hexdigest()


_OF_A_VERSION = [
    *("node", "epoch", "counter", "rights_seq"),
    *("node__lab__rights_seq", "node__lab__hub_epoch"),
]
_OF_A_BADGE = [
    *("tag", "condition", "member__public_id", "member__language", "member__name"),
    *("member__status", "member__until_at", "member__technician", "member__credit"),
    "member__group",
]
_OF_A_RIGHT = [
    *("member", "training", "level", "granted_at", "practised_at", "until_at"),
]
"""What an entry is made of (hub.entries); everything else of 20,000 people stays where it is."""

_SIGNED = [
    *("epoch", "counter", "rights_seq", "content_hash"),
    *("issued_at", "head", "digest", "content"),
]


def _readable(entry: core.Entry) -> core.Entry:
    """The entry as a node will read it. Raises ProtocolError, ValueError: it would refuse the whole list."""
    return entry_from_wire(entry.to_wire())
