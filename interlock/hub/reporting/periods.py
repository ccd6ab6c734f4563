"""Two days go in; a period with its own words, and the one before it, come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

DAY = timedelta(days=1)
YEARS_MAX = 10
"""A longer report is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Period:
    """From the first to the last day, both of them within."""

    first: date
    last: date

    @property
    def end(self) -> date:
        """The first day after it."""
        return self.last + DAY

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.first).days

    @property
    def previous(self) -> Period:
        """What it is compared with: the months, or else the days, of the same number before it."""
        months = self._whole_months()
        if months:
            return Period(_months_before(self.first, months), self.first - DAY)
        return Period(self.first - timedelta(days=self.days), self.first - DAY)

    def _whole_months(self) -> int:
        if self.first.day != 1 or self.end.day != 1:
            return 0
        return (self.end.year - self.first.year) * 12 + self.end.month - self.first.month


def presets(today: date) -> dict[str, Period]:
    """The periods people ask for, by name: `last-year`, `this-year`, `last-quarter`, `last-month`."""
    this_year = date(today.year, 1, 1)
    month = today.replace(day=1)
    quarter = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    return {
        "last-year": Period(date(today.year - 1, 1, 1), this_year - DAY),
        "this-year": Period(this_year, today),
        "last-quarter": Period(_months_before(quarter, 3), quarter - DAY),
        "last-month": Period(_months_before(month, 1), month - DAY),
    }


def _months_before(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
