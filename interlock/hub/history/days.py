"""A lab's opening hours and a period go in; its open days, with what is wanted of each, come out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from interlock.hub.domain.hours import Span

USUAL_HOURS: tuple[Span, ...] = (
    *((day, 14 * 60, 18 * 60) for day in (1, 2, 3, 4)),
    *((day, 18 * 60, 22 * 60) for day in (2, 3)),
    (4, 10 * 60, 12 * 60 + 30),
    (5, 10 * 60, 12 * 60 + 30),
    (5, 13 * 60 + 30, 18 * 60),
)
"""Tuesday to Saturday, two long evenings: what many associative labs keep."""

_SCHOOL_HOLIDAYS = (
    ((2, 10), (3, 3)),
    ((4, 10), (5, 1)),
    ((7, 6), (8, 31)),
    ((10, 18), (11, 3)),
    ((12, 19), (12, 31)),
    ((1, 1), (1, 4)),
)
"""About when French schools are closed: the zones differ by a week, a believable year does not."""

_CLOSED = (((8, 3), (8, 23)), ((12, 22), (12, 31)), ((1, 1), (1, 3)))
"""Three weeks in August, and around Christmas."""

_PUBLIC_HOLIDAYS = ((5, 1), (5, 8), (7, 14), (11, 1), (11, 11))

_WEEKDAY = (0.7, 0.8, 1.25, 1.1, 0.9, 1.35, 0.6)
"""Wednesday and Saturday are full; the others are what is left."""

_GROWTH_A_YEAR = 1.18
"""A lab that is talked about."""


@dataclass(frozen=True, slots=True)
class OpenDay:
    """One day on which the lab was open: from which minute to which, and how much of the use is its."""

    day: date
    spans: tuple[tuple[int, int], ...]
    share: float
    holidays: bool

    @property
    def open_min(self) -> int:
        """How long the lab was open."""
        return sum(last - first for first, last in self.spans)

    def minute_at(self, open_min: float) -> float:
        """The minute of the day by which the lab had been open for `open_min` that day."""
        left = open_min
        for first, last in self.spans:
            if left <= last - first:
                return first + left
            left -= last - first
        return float(self.spans[-1][1])

    def at(self, minute: float, zone: ZoneInfo) -> datetime:
        """That minute of the day by the lab's clock."""
        midnight = datetime.combine(self.day, time(), zone)
        return midnight + timedelta(seconds=round(minute * 60))


def open_days(spans: Sequence[Sequence[int]], first: date, last: date) -> Iterator[OpenDay]:
    """The days from `first` to `last` on which a lab with those hours was open."""
    of_weekday: dict[int, list[tuple[int, int]]] = {}
    for weekday, begin, end in sorted(tuple(span) for span in spans):
        of_weekday.setdefault(weekday, []).append((begin, end))
    day = first
    while day <= last:
        kept = of_weekday.get(day.weekday())
        if kept and not _within(day, _CLOSED) and (day.month, day.day) not in _PUBLIC_HOLIDAYS:
            holidays = _within(day, _SCHOOL_HOLIDAYS)
            minutes = sum(end - begin for begin, end in kept)
            share = minutes * _WEEKDAY[day.weekday()] * _season(day, holidays)
            share *= _GROWTH_A_YEAR ** ((day - first).days / 365)
            yield OpenDay(day, tuple(kept), share, holidays)
        day += timedelta(days=1)


def _season(day: date, holidays: bool) -> float:
    """Autumn and late winter are busy, summer is not; holidays bring children and take students away."""
    of_year = 1 + 0.22 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 330) / 365)
    return of_year * (0.8 if holidays else 1.0)


def _within(day: date, spans: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    return any(first <= (day.month, day.day) <= last for first, last in spans)
