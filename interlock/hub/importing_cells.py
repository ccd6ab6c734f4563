"""The words of one cell go in; a day, an address, a name as the hub keeps them come out, or what is wrong."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import days
from interlock.hub.directory import LANGUAGES

T = TypeVar("T")

DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%Y")
"""ISO, and what French spreadsheets write: the day first."""
_TIME_OF_DAY = re.compile(r"[ T]\d{1,2}[:h]\d{2}.*$")
"""HelloAsso writes 09/10/2025 21:59; the day is what counts."""


def season_end(joined_on: date, season_ends: str) -> date:
    """The last day of the membership year that `joined_on` lies in; `season_ends` is MM-DD."""
    month, day = (int(part) for part in season_ends.split("-"))
    end = _this_day(joined_on.year, month, day)
    return end if end >= joined_on else _this_day(joined_on.year + 1, month, day)


def _this_day(year: int, month: int, day: int) -> date:
    """That day; 29 February ends a day sooner in most years."""
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, month + 1, 1) - timedelta(days=1)


def year_after(day: date) -> date:
    """The last day of a year that begins on `day`."""
    return _this_day(day.year + 1, day.month, day.day) - timedelta(days=1)


def day_of(text: str, where: str) -> date | None:
    """The day written in `text`, None for an empty cell. Raises ConfigError."""
    written = _TIME_OF_DAY.sub("", text.strip())
    if not written:
        return None
    for form in DATE_FORMATS:
        try:
            day = datetime.strptime(written, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
        days.begin_of(day, zoneinfo.ZoneInfo("UTC"))
        return day
    raise ConfigError(
        _("%(text)s is not a date") % {"text": text},
        where=where,
        remedy=_("Write it like 2027-12-31 or 31/12/2027"),
    )


def cased(part: str) -> str:
    """DUPONT and dupont as Dupont; what has letters of both kinds stays as somebody wrote it."""
    if part.isupper() or part.islower():
        return re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), part)
    return part


def named(known: Mapping[str, T], name: str, where: str) -> T | None:
    """What is called `name`, None for an empty cell. Raises ConfigError: nothing is."""
    return called(known, name, where) if name else None


def called(known: Mapping[str, T], name: str, where: str) -> T:
    """What is called `name`. Raises ConfigError: nothing is."""
    found = known.get(name) or known.get(name.casefold())
    if found is None:
        raise ConfigError(
            _("there is no %(name)s") % {"name": name},
            where=where,
            remedy=_("Make it first, or correct its name"),
        )
    return found


def names_in(cell: str) -> list[str]:
    """The names in a cell that holds several."""
    return [name.strip() for name in re.split(r"[|,/+]", cell) if name.strip()]


def email_of(text: str) -> str:
    """The address as it was written. Raises ConfigError: it is none."""
    if text:
        try:
            validate_email(text)
        except ValidationError as error:
            raise ConfigError(
                _("%(text)s is not an e-mail address") % {"text": text}, where="email"
            ) from error
    return text


def language_of(text: str) -> str:
    """Its code, empty for an empty cell. Raises ConfigError: the hub does not speak it."""
    language = text.casefold()[:2]
    if language and language not in LANGUAGES:
        raise ConfigError(
            _("%(text)s is no language of the hub") % {"text": text}, where="language"
        )
    return language
