"""Something a person has to look at, to one open alarm per node and kind, or per badge."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from interlock.hub.models import Alarm, AlarmKind, Badge, Node

DETAIL_LENGTH_MAX = 500


def raise_alarm(
    node: Node, kind: AlarmKind, detail: str, at: datetime, *, badge: Badge | None = None
) -> bool:
    """The open alarm of that kind (about that badge) names this latest case; True when it is a new one."""
    alarm, new = Alarm.objects.get_or_create(
        node=node,
        kind=kind,
        badge=badge,
        closed_at=None,
        defaults={
            "lab_id": node.lab_id,
            "detail": detail[:DETAIL_LENGTH_MAX],
            "raised_at": at,
            "last_at": at,
        },
    )
    if not new:
        alarm.count, alarm.last_at = alarm.count + 1, at
        alarm.detail = detail[:DETAIL_LENGTH_MAX]
        alarm.save(update_fields=["count", "last_at", "detail"])
    return new


def ask_to_check(node: Node, sessions: Iterable[object], why: str, at: datetime) -> None:
    """The node's open alarm names those sessions, and behind them the ones it named before."""
    detail = f"{', '.join(map(str, sessions))}: {why}"
    kind = AlarmKind.SESSION_TO_CHECK
    earlier = Alarm.objects.filter(node=node, kind=kind, closed_at=None)
    known = earlier.values_list("detail", flat=True).first()
    raise_alarm(node, kind, f"{detail}; {known}" if known else detail, at)


def close_alarm(node: Node, kind: AlarmKind, at: datetime) -> None:
    """No alarm of that kind is open: what it spoke of has healed."""
    Alarm.objects.filter(node=node, kind=kind, closed_at=None).update(closed_at=at)
