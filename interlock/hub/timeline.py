"""A node's monotonic milliseconds to UTC, by the anchors its boots left: pure.

A Pi has no battery clock, so records say when by (boot id, milliseconds since boot); an anchor says
what UTC it was, by the hub's own signature, at one such instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, order=True)
class Anchor:
    """At `boot_ms` since boot it was `wall_ms` UTC milliseconds since 1970."""

    boot_ms: int
    wall_ms: int


def wall_ms_of(boot_ms: int, anchors: Sequence[Anchor]) -> int | None:
    """UTC milliseconds at `boot_ms` of the boot the anchors belong to, None without any anchor.

    The latest anchor before the instant counts (a crystal drifts seconds a day), else the first after.
    """
    ordered = sorted(anchors)
    before = [anchor for anchor in ordered if anchor.boot_ms <= boot_ms]
    nearest = before[-1] if before else (ordered[0] if ordered else None)
    return None if nearest is None else nearest.wall_ms + boot_ms - nearest.boot_ms


def moment(wall_ms: int) -> datetime:
    """Aware UTC. Milliseconds beyond what a calendar holds become its nearest day, never an error."""
    return datetime.fromtimestamp(min(max(wall_ms, 0), _WALL_MS_MAX) / 1_000, UTC)


_WALL_MS_MAX = 221_845_392_000_000
"""9000-01-01: well below `datetime.max`, so that adding a session's length still fits."""
