"""Opening hours as people write them in; weekly windows and the zone's offsets, as nodes decide by them, out.

A span is [weekday, from minute, to minute] of the lab's own clock, Monday 0. One that ends at or before its
beginning was written for the night: its end is then counted beyond midnight (22:00 to 02:00 is 1320 to 1560).
Offsets cover ten years from the first of January on, so that they change once a year and no daily version
of any list of rights is theirs.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.core.model import Window
from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.models import Group, Lab, Machine, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol.demands import SCHEDULES_MAX

Span = tuple[int, int, int]
"""(weekday, from minute, to minute); `to` may lie beyond midnight, never a day beyond."""

DAY_MINUTES = 24 * 60
WEEK_DAYS = 7
WEEK_MINUTES = WEEK_DAYS * DAY_MINUTES
ANY_TIME: tuple[Window, ...] = ((0, WEEK_MINUTES),)
SPANS_PER_DAY_MAX = 2
"""Morning and afternoon: what the form has fields for."""
OWN_HOURS_MAX = SCHEDULES_MAX - 2
"""Groups with hours of their own: a list of rights has room for them, the lab's, and "any time"."""
OFFSET_YEARS = 10
_STEP = timedelta(hours=6)
"""Shorter than any two changes of a clock lie apart: the search between two instants finds one change."""


@transaction.atomic
def set_lab_hours(actor: Actor, lab: Lab, spans: Sequence[Span]) -> None:
    """The lab is open then. Raises ConfigError: impossible spans, or none while machines keep to them."""
    require(actor, lab, Permission.EDIT_LAB)
    kept = checked(spans)
    if not kept and Machine.objects.filter(lab=lab, within_hours=True).exists():
        raise ConfigError(
            _("machines keep to the opening hours"),
            where=lab.name,
            remedy=_("Without any hours they would never start: take the rule off them first"),
        )
    before, lab.hours = lab.hours, [list(span) for span in kept]
    lab.save(update_fields=["hours"])
    log_deed(
        actor,
        lab,
        Topic.RIGHTS,
        "hours_changed",
        lab.slug,
        before={"hours": before},
        after={"hours": lab.hours},
    )


@transaction.atomic
def set_group_hours(actor: Actor, group: Group, keeps: str, spans: Sequence[Span] = ()) -> None:
    """Members of `group` keep the lab's hours, those spans, or none. Raises ConfigError."""
    lab = group.lab
    require(actor, lab, Permission.EDIT_LAB)
    if keeps not in Group.Keeps.values:
        raise ConfigError(_("choose which hours the group keeps"), where=group.name)
    kept = checked(spans) if keeps == Group.Keeps.OWN else []
    if keeps == Group.Keeps.OWN and not kept:
        raise ConfigError(_("write at least one span of time"), where=group.name)
    others = Group.objects.filter(lab=lab, keeps=Group.Keeps.OWN).exclude(pk=group.pk)
    if keeps == Group.Keeps.OWN and others.count() >= OWN_HOURS_MAX:
        raise ConfigError(
            _("at most %(most)d groups can keep hours of their own") % {"most": OWN_HOURS_MAX},
            where=group.name,
        )
    before = _described(group)
    group.keeps, group.hours = keeps, [list(span) for span in kept]
    group.save(update_fields=["keeps", "hours"])
    log_deed(
        actor,
        lab,
        Topic.RIGHTS,
        "group_hours_changed",
        group.slug,
        before=before,
        after=_described(group),
    )


def checked(spans: Iterable[Sequence[int]]) -> list[Span]:
    """The spans in order. Raises ConfigError: not of a week, too many a day, or one over another."""
    kept = sorted((day, first, last) for day, first, last in spans)
    for day, first, last in kept:
        in_a_day = 0 <= first < DAY_MINUTES and first < last <= first + DAY_MINUTES
        if not (0 <= day < WEEK_DAYS and in_a_day):
            raise ConfigError(_("this is no time of a day"), where=_("opening hours"))
    for day in {day for day, _first, _last in kept}:
        if sum(one[0] == day for one in kept) > SPANS_PER_DAY_MAX:
            raise ConfigError(
                _("at most %(most)d spans a day") % {"most": SPANS_PER_DAY_MAX},
                where=_("opening hours"),
            )
    cut = sorted(_cut_at_the_week(kept))
    if any(later[0] < earlier[1] for earlier, later in pairwise(cut)):
        raise ConfigError(_("two spans of time overlap"), where=_("opening hours"))
    return kept


def windows(spans: Iterable[Sequence[int]]) -> tuple[Window, ...]:
    """The spans as minutes of the week, those that touch as one."""
    joined: list[Window] = []
    for first, last in sorted(_cut_at_the_week(spans)):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


@lru_cache(maxsize=64)
def offsets(zone_name: str, year: int) -> tuple[tuple[int, int], ...]:
    """(UTC second, seconds east of UTC from then on) for the ten years from the beginning of `year`, the
    offset then in force first."""
    zone = zoneinfo.ZoneInfo(zone_name)
    # A day early: where the lab is the year may have begun already.
    at = datetime(year, 1, 1, tzinfo=UTC) - timedelta(days=1)
    end = datetime(year + OFFSET_YEARS, 1, 1, tzinfo=UTC)
    found = [(int(at.timestamp()), _east(at, zone))]
    while at < end:
        later = at + _STEP
        if _east(later, zone) != found[-1][1]:
            changed_at = _change(at, later, zone)
            found.append((int(changed_at.timestamp()), _east(changed_at, zone)))
        at = later
    return tuple(found)


def _east(at: datetime, zone: zoneinfo.ZoneInfo) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _change(before: datetime, after: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """The first second with another offset than `before`, which `after` has."""
    east = _east(before, zone)
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _east(datetime.fromtimestamp(middle, UTC), zone) == east:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _cut_at_the_week(spans: Iterable[Sequence[int]]) -> Iterable[Window]:
    """Minutes of the week; what runs from Sunday into Monday is two windows."""
    for day, first, last in spans:
        begin, end = day * DAY_MINUTES + first, day * DAY_MINUTES + last
        yield begin, min(end, WEEK_MINUTES)
        if end > WEEK_MINUTES:
            yield 0, end - WEEK_MINUTES


def _described(group: Group) -> dict[str, Any]:
    return {"keeps": str(group.keeps), "hours": group.hours}
