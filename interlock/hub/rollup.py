"""Sessions of a day go in; the sums that reports are read from come out, made again whenever one changed.

Whoever changes sessions marks their days (`mark`) in the same transaction; `refresh` makes those days again
from the sessions themselves, whole: nothing is ever added to a sum, so that a sum cannot drift. Reports call
it before they read, and a job does every night.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from interlock.hub.models import (
    Lab,
    MemberDay,
    PayerKind,
    Session,
    StaleDay,
    UseDay,
    UseHour,
)

DAYS_AT_ONCE = 31
"""Days of one transaction: a month of a busy lab is read and written in about a second."""
ROWS = 1_000
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_COLUMNS = (
    *("machine_id", "group_id", "purpose", "payer__kind", "enabled_ms", "busy_ms"),
    *("member_id", "payer_id", "started_at", "ended_at"),
)


@dataclass(slots=True)
class _Sums:
    """What one day adds up to."""

    use: dict[tuple[int, int | None, str, bool], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0])
    )
    hours: Counter[tuple[date, int]] = field(default_factory=Counter)
    who: set[tuple[int | None, int | None, int | None]] = field(default_factory=set)


def mark(lab: Lab, days: Iterable[date]) -> None:
    """The sums of those days are made again at the next refresh. Call it with the change itself."""
    rows = [StaleDay(lab_id=lab.pk, day=day) for day in sorted(set(days))]
    if rows:
        StaleDay.objects.bulk_create(rows, ROWS, ignore_conflicts=True)


def day_of(session: Session, zone: ZoneInfo) -> date | None:
    """The lab's day that `session` counts in; None while it runs."""
    if not session.how or session.ended_at is None:
        return None
    return session.ended_at.astimezone(zone).date()


def refresh(lab: Lab) -> int:
    """No day is stale; how many were."""
    done = 0
    while True:
        with transaction.atomic():
            stale = StaleDay.objects.filter(lab=lab).order_by("day")
            days = list(stale.values_list("day", flat=True)[:DAYS_AT_ONCE])
            if not days:
                return done
            make(lab, days)
            StaleDay.objects.filter(lab=lab, day__in=days).delete()
        done += len(days)


def rebuild(lab: Lab, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Every day of the lab is made again from its sessions; how many days have any."""
    zone = ZoneInfo(lab.time_zone)
    ended = Session.objects.filter(lab=lab, ended_at__isnull=False)
    first = ended.order_by("ended_at").values_list("ended_at", flat=True).first()
    last = ended.order_by("-ended_at").values_list("ended_at", flat=True).first()
    with transaction.atomic():
        for model in (UseDay, UseHour, MemberDay, StaleDay):
            model.objects.filter(lab=lab).delete()
    if first is None or last is None:
        return 0
    days = [*_days(first.astimezone(zone).date(), last.astimezone(zone).date())]
    for begin in range(0, len(days), DAYS_AT_ONCE):
        with transaction.atomic():
            make(lab, days[begin : begin + DAYS_AT_ONCE])
        progress(min(begin + DAYS_AT_ONCE, len(days)), len(days))
    return len(days)


def make(lab: Lab, days: Iterable[date]) -> None:
    """The rows of those days are what their sessions add up to, now. Call it inside a transaction."""
    wanted = set(days)
    if not wanted:
        return
    for model in (UseDay, UseHour, MemberDay):
        model.objects.filter(lab=lab, day__in=wanted).delete()
    sums = _added_up(lab, wanted)
    UseDay.objects.bulk_create(
        [
            UseDay(
                lab_id=lab.pk,
                day=day,
                machine_id=machine,
                group_id=group,
                purpose=purpose,
                by_organisation=organised,
                sessions=sessions,
                enabled_ms=enabled_ms,
                busy_ms=busy_ms,
            )
            for day, of_day in sums.items()
            for (machine, group, purpose, organised), (
                sessions,
                enabled_ms,
                busy_ms,
            ) in of_day.use.items()
        ],
        ROWS,
    )
    UseHour.objects.bulk_create(
        [
            UseHour(
                lab_id=lab.pk, day=day, hour_day=hour_day, hour=hour, enabled_ms=of_day.hours[slot]
            )
            for day, of_day in sums.items()
            for slot in of_day.hours
            for hour_day, hour in [slot]
        ],
        ROWS,
    )
    MemberDay.objects.bulk_create(
        [
            MemberDay(lab_id=lab.pk, day=day, member_id=member, group_id=group, payer_id=payer)
            for day, of_day in sums.items()
            for member, group, payer in of_day.who
        ],
        ROWS,
    )


def _added_up(lab: Lab, wanted: set[date]) -> dict[date, _Sums]:
    zone = ZoneInfo(lab.time_zone)
    begin = datetime.combine(min(wanted), time(), zone)
    end = datetime.combine(max(wanted) + DAY, time(), zone)
    found = Session.objects.filter(
        lab=lab, ended_at__gte=begin, ended_at__lt=end, voided=False
    ).exclude(how="")
    sums: dict[date, _Sums] = defaultdict(_Sums)
    rows = found.values_list(*_COLUMNS).iterator(chunk_size=ROWS)
    for machine, group, purpose, kind, enabled_ms, busy_ms, member, payer, since, until in rows:
        day = until.astimezone(zone).date()
        if day not in wanted:
            continue
        of_day = sums[day]
        organised = kind == PayerKind.ORGANISATION
        total = of_day.use[machine, group, purpose, organised]
        total[0] += 1
        total[1] += enabled_ms
        total[2] += busy_ms
        if member is not None or organised:
            of_day.who.add((member, group, payer if organised else None))
        for slot, ms in hours_of(since, enabled_ms, zone):
            of_day.hours[slot] += ms
    return sums


def hours_of(
    started_at: datetime, enabled_ms: int, zone: ZoneInfo
) -> Iterator[tuple[tuple[date, int], int]]:
    """((day, hour) by the clock on the wall, milliseconds of it) of a session, in whole milliseconds."""
    at = started_at.astimezone(UTC)
    left = enabled_ms
    while left > 0:
        local = at.astimezone(zone)
        next_hour = at.replace(minute=0, second=0, microsecond=0) + HOUR
        if local.utcoffset() and (local.utcoffset() or HOUR).seconds % HOUR.seconds:
            # A zone that is not a whole number of hours off: its hours begin elsewhere in ours.
            past = timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
            next_hour = at + HOUR - past
        part = min(left, max(1, (next_hour - at) // timedelta(milliseconds=1)))
        yield (local.date(), local.hour), part
        at += timedelta(milliseconds=part)
        left -= part


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY
