"""What a hello says of the computer under the node: its clock, its disk, its warmth, whom it trusts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub.models import Node, NodeHealth
from interlock.protocol import fields

WRITTEN_EVERY = timedelta(seconds=60)
"""A hello comes every 30 s, and each write takes the hub's one writer."""
OFFSET_MS_MAX = 10**14
"""Three thousand years: what a Pi that woke up in 1970 is wrong by fits many times."""


def report(node: Node, message: dict[str, Any], clock: Clock) -> int | None:
    """The serial of the list of authorities it trusts, 0 if it was told of none yet; None: it speaks
    plain HTTP, or does not say.

    The node's page shows what it said, at most a minute old; an authority learnt counts at once.
    Nothing here decides anything, so what is malformed is left out and not refused.
    """
    at = datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
    known = NodeHealth.objects.filter(node=node).first()
    said = _read(message, clock.wall_ms())
    trusts = said.get("authorities")
    fresh = known is not None and abs(at - known.reported_at) < WRITTEN_EVERY
    if known is None:
        NodeHealth.objects.update_or_create(node=node, defaults={"reported_at": at, **said})
    elif not fresh or known.authorities != trusts:
        # One statement: after a restart of the hub every node is heard within seconds.
        NodeHealth.objects.filter(pk=known.pk).update(reported_at=at, **said)
    return trusts


def _read(message: dict[str, Any], now_ms: int) -> dict[str, Any]:
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
