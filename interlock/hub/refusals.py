"""Refused records of one batch to what a person should look at: unknown cards, copies, and stolen badges.

Every other refusal is only stored: it says something about the person, and nothing about the lab.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from interlock.core.model import Reason
from interlock.hub.alarms import raise_alarm
from interlock.hub.domain import unknown
from interlock.hub.domain.unknown import Tap
from interlock.hub.models import AlarmKind, Badge, BadgeCondition, Node
from interlock.protocol import fields
from interlock.protocol.records import Record
from interlock.protocol.tags import TAG_BYTES

COUNT_MAX = 1_000_000
"""Refusals one record can stand for: more than a reader can see in the minute it tells of."""


@dataclass
class Refusals:
    """What a batch refused, until `save` writes it down in the batch's own transaction."""

    node: Node
    taps: list[Tap] = field(default_factory=list)
    not_genuine: dict[bytes | None, list[str]] = field(default_factory=dict)
    blocked: dict[bytes, list[str]] = field(default_factory=dict)

    def add(self, record: Record, at: datetime) -> None:
        """One more refusal counts. Raises ProtocolError."""
        body = record.body or {}
        reason = fields.optional_text(body, "reason")
        if reason not in _TOLD:
            return
        tag = None if body.get("tag") is None else fields.octets(body, "tag", TAG_BYTES)
        count = fields.integer(body, "count", low=1, high=COUNT_MAX)
        if reason == Reason.BADGE_NOT_GENUINE:
            self.not_genuine.setdefault(tag, []).append(str(record.id))
        elif reason == Reason.BADGE_BLOCKED:
            if tag is not None:
                self.blocked.setdefault(tag, []).append(str(record.id))
        elif tag is not None:
            # Without a tag it is the rest of a flood, which names no card.
            self.taps.append(Tap(tag, at, count))

    def save(self, now: datetime) -> None:
        """Unknown cards are listed, and each badge that failed its proof, or is missing, has an alarm. It
        names the badge by a key of the database, never in words: who may know is asked when it is shown."""
        unknown.note(self.node, self.taps, now)
        tags = [tag for tag in (*self.not_genuine, *self.blocked) if tag is not None]
        if not tags and not self.not_genuine:
            return
        found = Badge.objects.filter(lab_id=self.node.lab_id, tag__in=tags)
        badges = {bytes(badge.tag): badge for badge in found}
        for tag, records in self.not_genuine.items():
            badge = None if tag is None else badges.get(tag)
            detail = ", ".join(records)
            raise_alarm(self.node, AlarmKind.POSSIBLE_CLONE, detail, now, badge=badge)
        for tag, records in self.blocked.items():
            badge = badges.get(tag)
            # One that was retired lies in somebody's drawer; these are in the wrong hand.
            if badge is not None and badge.condition in _MISSING:
                detail = ", ".join(records)
                raise_alarm(self.node, AlarmKind.STOLEN_BADGE, detail, now, badge=badge)


_TOLD = frozenset({Reason.UNKNOWN_BADGE, Reason.BADGE_NOT_GENUINE, Reason.BADGE_BLOCKED})
_MISSING = frozenset({BadgeCondition.LOST, BadgeCondition.STOLEN})
