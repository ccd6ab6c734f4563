"""A calendar day to the instants it begins and ends where the lab is, or words why it cannot be one.

A date field takes what is typed: the year 9999, plus a day, is no date any more, and the year 1, in
UTC, is the year before. Both are slips of the keyboard; a lab has no business with them.
"""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, time, timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext as _

from interlock.errors import ConfigError

FIRST = date(2000, 1, 1)
"""Before any fab lab; spreadsheets turn an empty cell into 1900."""
LAST = date(2099, 12, 31)
"""What people write for “for ever”."""

VALIDATORS = (MinValueValidator(FIRST), MaxValueValidator(LAST))
"""For a form's DateField: what lies outside is said beside the field."""


def begin_of(day: date, zone: zoneinfo.ZoneInfo) -> datetime:
    """The instant `day` begins in `zone`. Raises ConfigError: no day a lab deals with."""
    return datetime.combine(_checked(day), time.min, zone)


def end_of(day: date, zone: zoneinfo.ZoneInfo) -> datetime:
    """The instant the next day begins in `zone`. Raises ConfigError: no day a lab deals with."""
    return datetime.combine(_checked(day) + timedelta(days=1), time.min, zone)


def last_moment_of(day: date, zone: zoneinfo.ZoneInfo) -> datetime:
    """The last instant that still is `day` in `zone`. Raises ConfigError."""
    return datetime.combine(_checked(day), time.max, zone)


def _checked(day: date) -> date:
    if not FIRST <= day <= LAST:
        raise ConfigError(
            _("%(day)s is not between %(first)s and %(last)s")
            % {"day": day.isoformat(), "first": FIRST.isoformat(), "last": LAST.isoformat()},
            where=_("date"),
        )
    return day
