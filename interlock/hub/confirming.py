"""What nodes say they decide by to their rows: many at once, in one transaction.

After a badge is blocked 500 nodes confirm within a second; each in a request of its own would hold up whoever
else writes for that second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from django.db import transaction

from interlock.hub.changes import log_change
from interlock.hub.erased import note_told
from interlock.hub.models import Lab, Node, Topic
from interlock.hub.timeline import moment
from interlock.protocol.snapshots import SnapshotVersion

NODES_AT_ONCE = 500
"""Below the number of variables that the oldest SQLite in use takes in one statement (999)."""


@transaction.atomic
def write_confirmations(heard: Mapping[int, SnapshotVersion], wall_ms: int) -> None:
    """Each node is known to decide by its version; one change of use per lab says so to whoever looks."""
    known = Node.objects.filter(pk__in=list(heard), revoked_at=None)
    by_version: dict[SnapshotVersion, list[int]] = defaultdict(list)
    labs: set[int] = set()
    for pk, lab, epoch, counter in known.values_list(
        "pk", "lab", "confirmed_epoch", "confirmed_counter"
    ):
        if (epoch, counter) != heard[pk]:
            by_version[heard[pk]].append(pk)
            labs.add(lab)
    for (epoch, counter), nodes in by_version.items():
        for begin in range(0, len(nodes), NODES_AT_ONCE):
            some = Node.objects.filter(pk__in=nodes[begin : begin + NODES_AT_ONCE])
            some.update(confirmed_epoch=epoch, confirmed_counter=counter)
            note_told(nodes[begin : begin + NODES_AT_ONCE])
    for found in Lab.objects.filter(pk__in=labs).order_by("pk"):
        log_change(found, Topic.USE, "rights_confirmed", found.slug, moment(wall_ms))
