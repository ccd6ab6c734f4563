"""What a hello says of the computer under the node: its clock, its disk, its warmth, whom it trusts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub.models import NodeHealth
from interlock.protocol import fields

WRITTEN_EVERY = timedelta(seconds=60)
"""A hello comes every 30 s, and each write takes the hub's one writer."""
OFFSET_MS_MAX = 10**14
"""Three thousand years: what a Pi that woke up in 1970 is wrong by fits many times."""


def report(told: Mapping[int, Mapping[str, Any]], clock: Clock) -> dict[int, int | None]:
    """By node (its key): the serial of the list of authorities it trusts, 0 if it was told of none yet; None: it
    speaks plain HTTP, or does not say.

    The nodes' pages show what they said, at most a minute old; an authority learnt counts at once.
    Nothing here decides anything, so what is malformed is left out and not refused.
    """
    at = datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
    known = {one.node_id: one for one in NodeHealth.objects.filter(node__in=list(told))}
    trusts: dict[int, int | None] = {}
    news: list[NodeHealth] = []
    for node, message in told.items():
        said = _read(message, clock.wall_ms())
        trusts[node] = said.get("authorities")
        before = known.get(node)
        fresh = before is not None and abs(at - before.reported_at) < WRITTEN_EVERY
        if before is None or not fresh or before.authorities != trusts[node]:
            kept = {} if before is None else {name: getattr(before, name) for name in _SAID}
            news.append(NodeHealth(node_id=node, **{**kept, **said, "reported_at": at}))
    if news:
        # One statement: after a restart of the hub every node is heard within seconds.
        NodeHealth.objects.bulk_create(
            news, update_conflicts=True, unique_fields=["node"], update_fields=_SAID
        )
    return trusts


def _read(message: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    try:
        own, head = message.get("health"), message.get("head")
        told = head if isinstance(head, dict) else {}
        found: dict[str, Any] = {
            "told_epoch": fields.integer(told, "epoch"),
            "told_seq": fields.integer(told, "seq"),
        }
        if not isinstance(own, dict):
            return found
        wall_ms = fields.optional_integer(own, "wall_ms")
        ahead_ms = None if wall_ms is None else wall_ms - now_ms
        in_reach = ahead_ms is not None and abs(ahead_ms) < OFFSET_MS_MAX
        return {
            **found,
            "authorities": _small(own, "authorities"),
            "clock_ahead_ms": ahead_ms if in_reach else None,
            "disk_free_mb": _small(own, "disk_free_mb"),
            "disk_mb": _small(own, "disk_mb"),
            "temperature_dc": _small(own, "temperature_dc"),
        }
    except ProtocolError:
        return {}


def _small(source: dict[str, Any], key: str) -> int | None:
    return None if source.get(key) is None else fields.integer(source, key, high=2**31 - 1)


_SAID = [
    *("reported_at", "told_epoch", "told_seq", "authorities", "clock_ahead_ms"),
    *("disk_free_mb", "disk_mb", "temperature_dc"),
]
