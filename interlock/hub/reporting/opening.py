"""Opening hours and a period go in; how long the lab was open, by hour of the week and for a span, come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from interlock.hub.domain.hours import DAY_MINUTES, windows
from interlock.hub.reporting.periods import Period

MINUTE_MS = 60_000
HOURS_PER_WEEK = 7 * 24

Slot = tuple[int, int]
"""(weekday, hour), Monday 0."""


def offered(hours: Sequence[Sequence[int]], period: Period) -> dict[Slot, int]:
    """Milliseconds for which the lab was open in each hour of the week, over the whole period."""
    weekdays = Counter((period.first + timedelta(days=n)).weekday() for n in range(period.days))
    of_a_week: Counter[Slot] = Counter()
    for first, last in windows(hours):
        minute = first
        while minute < last:
            step = min(last, minute - minute % 60 + 60) - minute
            of_a_week[minute // DAY_MINUTES, minute % DAY_MINUTES // 60] += step
            minute += step
    return {
        slot: minutes * MINUTE_MS * weekdays[slot[0]] for slot, minutes in sorted(of_a_week.items())
    }


def open_within(
    hours: Sequence[Sequence[int]], spans: Iterable[tuple[datetime, datetime]], zone: ZoneInfo
) -> int:
    """Milliseconds of those spans that fell into opening hours; spans that overlap count once."""
    kept = windows(hours)
    total = timedelta()
    for begin, end in _joined(spans):
        day = begin.astimezone(zone).date()
        while day <= end.astimezone(zone).date():
            for opens_at, closes_at in _of_day(kept, day, zone):
                total += max(timedelta(), min(end, closes_at) - max(begin, opens_at))
            day += timedelta(days=1)
    return total // timedelta(milliseconds=1)


def _of_day(
    kept: Iterable[tuple[int, int]], day: date, zone: ZoneInfo
) -> Iterable[tuple[datetime, datetime]]:
    midnight = datetime.combine(day, time(), zone)
    begin = day.weekday() * DAY_MINUTES
    for first, last in kept:
        first, last = max(first, begin) - begin, min(last, begin + DAY_MINUTES) - begin
        if first < last:
            yield midnight + timedelta(minutes=first), midnight + timedelta(minutes=last)


def _joined(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
