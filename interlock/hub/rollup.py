"""Sessions of a day go in; the sums that reports are read from come out, made again whenever one changed.

Whoever changes sessions marks their days (`mark`) in the same transaction; `refresh` makes those days again
from the sessions themselves, whole: nothing is ever added to a sum, so that a sum cannot drift. Reports call
it before they read, and a job does every night.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Case, Count, F, QuerySet, Sum, When

from interlock.hub.models import (
    Lab,
    MachineDay,
    MemberMonth,
    PayerKind,
    Session,
    StaleDay,
    UseHour,
)

DAYS_AT_ONCE = 31
"""Days of one transaction: a month of a busy lab is read and written in about a second."""
ROWS = 1_000
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Part(NamedTuple):
    """What one member did for one purpose, in one group; `payer` only where an organisation pays."""

    member: int | None
    group: int | None
    payer: int | None
    purpose: str
    sessions: int
    enabled_ms: int


def mark(lab: Lab, days: Iterable[date]) -> None:
    """The sums of those days are made again at the next refresh. Call it with the change itself."""
    rows = [StaleDay(lab_id=lab.pk, day=day) for day in sorted(set(days))]
    if rows:
        StaleDay.objects.bulk_create(rows, ROWS, ignore_conflicts=True)


def mark_sessions(lab: Lab, sessions: Iterable[Session]) -> None:
    """The days those sessions ended on are made again; one that runs is of no day yet."""
    zone = ZoneInfo(lab.time_zone)
    mark(lab, {one.ended_at.astimezone(zone).date() for one in sessions if one.ended_at})


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
        for model in (MachineDay, UseHour, MemberMonth, StaleDay):
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
    """The rows of those days, and of their months, are what their sessions add up to, now. Call it inside a
    transaction."""
    wanted = set(days)
    if not wanted:
        return
    zone = ZoneInfo(lab.time_zone)
    _make_days(lab, wanted, zone)
    for month in sorted({day.replace(day=1) for day in wanted}):
        MemberMonth.objects.filter(lab=lab, month=month).delete()
        parts = parts_of(lab, month, next_month(month))
        MemberMonth.objects.bulk_create(
            [
                MemberMonth(
                    lab_id=lab.pk,
                    month=month,
                    member_id=part.member,
                    group_id=part.group,
                    payer_id=part.payer,
                    purpose=part.purpose,
                    sessions=part.sessions,
                    enabled_ms=part.enabled_ms,
                )
                for part in parts
            ],
            ROWS,
        )


def parts_of(lab: Lab, first: date, end: date) -> list[Part]:
    """What members did from `first` until before `end`, added up from the sessions themselves."""
    paid = Case(When(payer__kind=PayerKind.ORGANISATION, then=F("payer")), default=None)
    rows = (
        ended(lab, first, end)
        .annotate(paid=paid)
        .values_list("member", "group", "paid", "purpose")
        .annotate(Count("pk"), Sum("enabled_ms"))
        .order_by()
    )
    return [Part(*row) for row in rows]


def ended(lab: Lab, first: date, end: date) -> QuerySet[Session]:
    """The sessions that count from `first` until before `end`, by the lab's days."""
    zone = ZoneInfo(lab.time_zone)
    since, until = (datetime.combine(day, time(), zone) for day in (first, end))
    found = Session.objects.filter(lab=lab, ended_at__gte=since, ended_at__lt=until, voided=False)
    return found.exclude(how="")


def next_month(month: date) -> date:
    """The first day of the month after `month`."""
    return (month.replace(day=1) + 32 * DAY).replace(day=1)


def _make_days(lab: Lab, wanted: set[date], zone: ZoneInfo) -> None:
    for model in (MachineDay, UseHour):
        model.objects.filter(lab=lab, day__in=wanted).delete()
    machines: dict[tuple[date, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    hours: Counter[tuple[date, date, int]] = Counter()
    found = ended(lab, min(wanted), max(wanted) + DAY)
    rows = found.values_list("machine_id", "enabled_ms", "busy_ms", "started_at", "ended_at")
    for machine, enabled_ms, busy_ms, since, until in rows.iterator(chunk_size=ROWS):
        day = _moment(until).astimezone(zone).date()
        if day not in wanted:
            continue
        total = machines[day, machine]
        total[0] += 1
        total[1] += enabled_ms
        total[2] += busy_ms
        for (hour_day, hour), ms in hours_of(since, enabled_ms, zone):
            hours[day, hour_day, hour] += ms
    MachineDay.objects.bulk_create(
        [
            MachineDay(
                lab_id=lab.pk,
                day=day,
                machine_id=machine,
                sessions=sessions,
                enabled_ms=enabled_ms,
                busy_ms=busy_ms,
            )
            for (day, machine), (sessions, enabled_ms, busy_ms) in machines.items()
        ],
        ROWS,
    )
    UseHour.objects.bulk_create(
        [
            UseHour(lab_id=lab.pk, day=day, hour_day=hour_day, hour=hour, enabled_ms=ms)
            for (day, hour_day, hour), ms in hours.items()
        ],
        ROWS,
    )


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


def _moment(at: datetime | None) -> datetime:
    assert at is not None  # `ended` asks for a time
    return at
