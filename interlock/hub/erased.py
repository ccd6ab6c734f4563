"""Who was erased from a lab, as digests: to be forgotten by nodes, and by records that arrive late; and which
nodes have confirmed a list that tells them so.

Every list made after an erasure holds its digests (for TOLD_FOR), and a node forgets whom its list names as soon
as it decides by it. So a node's confirmed version says whom it has forgotten; it is noted when it is heard
(`note_told`), because the next change makes another version, which a machine that is offline never confirms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, Subquery

from interlock.hub.models import ErasedMember, Lab, Node, Snapshot
from interlock.protocol.erasure import FORGET_MAX

TOLD_FOR = timedelta(days=400)
"""Nodes are told so long: a record's body leaves a node 90 days after it was delivered, and one that was
switched off for a year delivers late."""


def digests_of(lab: Lab, at: datetime) -> tuple[bytes, ...]:
    """What the nodes of `lab` must not name any more, in a stable order; the latest, where too many."""
    rows = ErasedMember.objects.filter(lab=lab, erased_at__gt=at - TOLD_FOR).order_by("-erased_at")
    found = [
        bytes.fromhex(one) for digests in rows.values_list("digests", flat=True) for one in digests
    ]
    return tuple(sorted(found[:FORGET_MAX]))


def all_digests_of(lab: Lab) -> frozenset[bytes]:
    """Every digest that was ever noted, for records that arrive late."""
    rows = ErasedMember.objects.filter(lab=lab).values_list("digests", flat=True)
    return frozenset(bytes.fromhex(one) for digests in rows for one in digests)


def note_told(nodes: Collection[int]) -> None:
    """Those of `nodes` that said they decide by their newest list have forgotten whom it names: one statement,
    which writes nothing where nobody was erased since."""
    owed = ErasedMember.objects.filter(lab=OuterRef("lab"), rights_seq__gt=OuterRef("forgot_seq"))
    own = Snapshot.objects.filter(node=OuterRef("pk"))
    confirmed = own.filter(
        epoch=OuterRef("confirmed_epoch"),
        counter=OuterRef("confirmed_counter"),
        rights_seq__gt=OuterRef("forgot_seq"),
    )
    found = Node.objects.filter(Exists(owed), Exists(confirmed), pk__in=nodes, revoked_at=None)
    found.update(forgot_seq=Subquery(own.values("rights_seq")[:1]))


def holders(lab: Lab, erased: Iterable[ErasedMember]) -> dict[int, tuple[list[Node], int]]:
    """By erasure: the nodes that may hold them still, by machine, and how many could have held them. One query.

    A node that was revoked before it confirmed is named too: its SD card is somewhere. One that came later
    never knew them, nor did one that never had a list.
    """
    rows = list(erased)
    if not rows:
        return {}
    oldest = min(row.erased_at for row in rows)
    had_a_list = Q(last_seen_at__isnull=False) | Q(confirmed_epoch__isnull=False)
    nodes = list(
        Node.objects.filter(had_a_list, Q(revoked_at=None) | Q(revoked_at__gt=oldest), lab=lab)
        .select_related("machine", "snapshot")
        .defer("snapshot__head")
        .order_by("machine__name", "pk")
    )
    found = {}
    for row in rows:
        knew = [node for node in nodes if _was_there(node, row.erased_at)]
        found[row.pk] = [one for one in knew if not _has_forgotten(one, row, lab)], len(knew)
    return found


def _was_there(node: Node, at: datetime) -> bool:
    return node.enrolled_at <= at and (node.revoked_at is None or node.revoked_at > at)


def _has_forgotten(node: Node, row: ErasedMember, lab: Lab) -> bool:
    if row.rights_seq is not None and node.forgot_seq >= row.rights_seq:
        return True
    try:
        newest = node.snapshot
    except Snapshot.DoesNotExist:
        return False
    says_so = (node.confirmed_epoch, node.confirmed_counter) == (newest.epoch, newest.counter)
    wanted = lab.rights_seq if row.rights_seq is None else row.rights_seq
    return says_so and newest.rights_seq >= wanted
