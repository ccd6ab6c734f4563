"""A node's current list of rights, read and verified as the node does, and what it decides by it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from interlock.core.model import Assurance, Cache, Entry, Granted, Now, Reason, Rules
from interlock.core.policy import Circumstances, decide
from interlock.hub.models import Node
from interlock.hub.snapshots import body_of
from interlock.protocol.snapshots import SnapshotHeader, read_snapshot
from tests.hub.lab import SmallLab

ZONE = ZoneInfo("Europe/Paris")


@dataclass(frozen=True)
class Told:
    """What one node was told: verified with the key it pinned."""

    header: SnapshotHeader
    entries: dict[bytes, Entry]

    def says(
        self,
        tag: bytes,
        when: datetime,
        *,
        trusted: bool = True,
        around: Circumstances | None = None,
    ) -> Reason | Granted:
        """What the machine's core answers to that badge at that moment."""
        decision = decide(
            self.entries.get(tag),
            Rules().tightened(self.header.demands),
            Now(1_000, int(when.timestamp()), trusted),
            Cache(self.header.version, 0),
            Assurance.UID,
            around or Circumstances(),
        )
        return decision if isinstance(decision, Granted) else decision.reason


def told(lab: SmallLab) -> Told:
    """The current list of the lab's one node."""
    keys, node = lab.enrolled.keys, Node.objects.get(pk=lab.enrolled.node.pk)
    source = io.BytesIO(body_of(node))
    header, entries = read_snapshot(source, keys.hub_key(), lab=keys.lab, node=keys.node)
    return Told(header, {entry.tag: entry for entry in entries})


def local(text: str) -> datetime:
    """`2027-03-28 01:30` on the lab's own clock."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)
