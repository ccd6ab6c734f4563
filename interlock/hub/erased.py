"""Who was erased from a lab, as digests: to be forgotten by nodes, and by records that arrive late."""

from __future__ import annotations

from datetime import datetime, timedelta

from interlock.hub.models import ErasedMember, Lab
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
