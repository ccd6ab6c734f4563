"""One stored badge or authorisation to what a node, and the core, may know of it."""

from __future__ import annotations

from datetime import datetime

from interlock.core import model as core
from interlock.hub.models import Authorisation, Badge, BadgeCondition, Lab, Training

SECONDS_PER_DAY = 86_400


def entry_of(
    lab: Lab, badge: Badge, rights: list[core.Right], hours: str | None = None
) -> core.Entry:
    """What a node may know of one badge; `hours` names the schedule of the member's group, if it has one."""
    member = badge.member
    active = badge.condition == BadgeCondition.ACTIVE
    return core.Entry(
        tag=bytes(badge.tag),
        member=member.public_id,
        language=member.language,
        name=member.name if lab.sends_names else None,
        badge=core.BadgeState.ACTIVE if active else core.BadgeState.BLOCKED,
        status=core.MemberStatus(member.status),
        member_until_at=second(member.until_at),
        rights=tuple(sorted(rights, key=lambda right: right.training)),
        technician=member.technician,
        hours=hours,
        credit=core.Credit(member.credit),
    )


def right_of(authorisation: Authorisation) -> core.Right:
    """An authorisation as the core decides by it; lapsing counts from the last practice."""
    return right_from(
        authorisation.training,
        authorisation.level,
        authorisation.granted_at,
        authorisation.practised_at,
        authorisation.until_at,
    )


def right_from(
    training: Training,
    level: str,
    granted_at: datetime,
    practised_at: datetime | None,
    until_at: datetime | None,
) -> core.Right:
    """As `right_of`, of the row's own values: of thousands no object is made for it."""
    granted, days = second(granted_at) or 0, training.lapse_days
    last_at = max(granted, second(practised_at) or 0)
    return core.Right(
        training=training.slug,
        level=core.Level(level),
        since_at=granted,
        until_at=second(until_at),
        # Counted in seconds: no number of days leads out of a calendar.
        lapses_at=None if days is None else last_at + days * SECONDS_PER_DAY,
    )


def second(at: datetime | None) -> int | None:
    """The second nodes are told. What was before 1970 is past all the same, and no list can say less."""
    return None if at is None else max(0, int(at.timestamp()))
