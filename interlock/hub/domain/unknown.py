"""Cards that nobody has yet, as nodes and desks meet them: kept as tags, for a day, to be given to somebody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from interlock.hub.changes import log_change
from interlock.hub.domain.badges import random_tag
from interlock.hub.models import Badge, Lab, Node, Topic, UnknownBadge
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol.tags import short_code

KEPT = timedelta(hours=24)
"""Until the desk is open again; longer would be a record of who passed where."""
PER_PLACE_MAX = 2_000
"""A node tells 16 strangers apart and then one a minute (node.refusals): a day of it, and some."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One card that a node refused as unknown, `count` times, last at `at`."""

    tag: bytes
    at: datetime
    count: int


def note(node: Node, taps: Iterable[Tap], now: datetime) -> None:
    """The taps at `node` are on the list, but for those that are old or whose card is known by now.

    Inside the transaction of their records.
    """
    purge(node.lab, now)
    fresh = _merged(tap for tap in taps if tap.at > now - KEPT)
    if not fresh:
        return
    known = Badge.objects.filter(lab=node.lab, tag__in=list(fresh))
    for tag in known.values_list("tag", flat=True):
        del fresh[bytes(tag)]
    _add(node.lab, node, "", fresh)


@transaction.atomic
def note_at_desk(actor: Actor, lab: Lab, desk: str, tag: bytes) -> Badge | None:
    """A card was tapped at the desk of that name: it is on the list, or its badge is returned."""
    require(actor, lab, Permission.EDIT_BADGES)
    purge(lab, actor.now())
    known = Badge.objects.filter(lab=lab, tag=tag).select_related("member", "card_key").first()
    if known is None:
        _add(lab, None, desk, {tag: Tap(tag, actor.now(), 1)})
        log_change(lab, Topic.USE, "unknown_badge", desk, actor.now())
    return known


def listed(lab: Lab, now: datetime) -> QuerySet[UnknownBadge]:
    """What was met within the last day, the latest first."""
    found = UnknownBadge.objects.filter(lab=lab, seen_at__gt=now - KEPT)
    return found.select_related("node__machine").order_by("-seen_at", "-pk")


def is_badge(row: UnknownBadge) -> bool:
    """False for a phone, whose number changes each time."""
    return bytes(row.tag) != random_tag()


def code_of(tag: bytes) -> str:
    """What the machine's screen showed when it refused the card."""
    return short_code(tag)


def place_of(row: UnknownBadge) -> str:
    """Where the card was met: a machine's name, or the desk's."""
    return row.node.machine.name if row.node is not None else row.desk


def forget(lab: Lab, tag: bytes) -> None:
    """The card has an owner now."""
    UnknownBadge.objects.filter(lab=lab, tag=tag).delete()


def purge(lab: Lab, now: datetime) -> None:
    """Nothing older than a day is kept."""
    old = UnknownBadge.objects.filter(lab=lab, seen_at__lte=now - KEPT)
    if old.exists():
        old.delete()


def _merged(taps: Iterable[Tap]) -> dict[bytes, Tap]:
    """One tap for each card: the latest, with all their counts."""
    merged: dict[bytes, Tap] = {}
    for tap in taps:
        earlier = merged.get(tap.tag, Tap(tap.tag, tap.at, 0))
        merged[tap.tag] = Tap(tap.tag, max(earlier.at, tap.at), earlier.count + tap.count)
    return merged


def _add(lab: Lab, node: Node | None, desk: str, taps: dict[bytes, Tap]) -> None:
    here = UnknownBadge.objects.filter(lab=lab, node=node, desk=desk)
    rows = {bytes(row.tag): row for row in here.filter(tag__in=list(taps))}
    for tag, row in rows.items():
        row.seen_at, row.count = max(row.seen_at, taps[tag].at), row.count + taps[tag].count
    UnknownBadge.objects.bulk_update(rows.values(), ["seen_at", "count"])
    room = max(0, PER_PLACE_MAX - here.count())
    new = [tap for tag, tap in taps.items() if tag not in rows][:room]
    UnknownBadge.objects.bulk_create(
        UnknownBadge(lab=lab, node=node, desk=desk, tag=tap.tag, seen_at=tap.at, count=tap.count)
        for tap in new
    )
