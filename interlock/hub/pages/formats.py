"""Cents, seconds and UTC instants go in; what a person reads in their language and zone comes out.

French writes `1 234,50 €`, English `€1,234.50`. A time of day is `14:05` in both, so that it is never
taken for a duration, which is `1 h 05`. Spaces inside a quantity never break (U+00A0, U+202F).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.utils import formats, translation
from django.utils.translation import gettext, ngettext

SPACE = "\u00a0"
THIN_SPACE = "\u202f"
MINUS = "\u2212"

MINUTE_S = 60
HOUR_S = 3_600

SECONDS_MATTER_BELOW_S = 600
"""From ten minutes on nobody wants to read the seconds of a duration."""


def is_french() -> bool:
    """Whether the page being made is French."""
    return (translation.get_language() or "en").startswith("fr")


def euros(cents: int) -> str:
    """An amount of money: `12,50 €` or `€12.50`."""
    sign = MINUS if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    grouped = f"{whole:,}"
    if is_french():
        return f"{sign}{grouped.replace(',', THIN_SPACE)},{rest:02d}{SPACE}€"
    return f"{sign}€{grouped}.{rest:02d}"


def duration(seconds: int) -> str:
    """A duration as people say it: `45 s`, `4 min 12 s`, `37 min`, `1 h 05`."""
    if seconds < MINUTE_S:
        return f"{seconds}{SPACE}s"
    if seconds < SECONDS_MATTER_BELOW_S and seconds % MINUTE_S:
        return f"{seconds // MINUTE_S}{SPACE}min{SPACE}{seconds % MINUTE_S:02d}{SPACE}s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S}{SPACE}min"
    return f"{seconds // HOUR_S}{SPACE}h{SPACE}{seconds % HOUR_S // MINUTE_S:02d}"


def exact_duration(seconds: int) -> str:
    """A duration to the second, for whoever checks a price: `1 h 05 min 12 s`."""
    hours, rest = divmod(seconds, HOUR_S)
    minutes, rest = divmod(rest, MINUTE_S)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    said = [f"{amount}{SPACE}{unit}" for amount, unit in parts if amount]
    return SPACE.join(said) or f"0{SPACE}s"


def time_of_day(at: datetime, zone: ZoneInfo) -> str:
    """The clock on the lab's wall: `14:05`."""
    return at.astimezone(zone).strftime("%H:%M")


def day(at: datetime, zone: ZoneInfo) -> str:
    """A date with its year: `21 nov. 2026`, `21 Nov 2026`."""
    local = at.astimezone(zone)
    if not is_french():
        return formats.date_format(local, "j M Y").replace(" ", SPACE)
    # French abbreviates months unevenly (juil., août) and counts the first of a month in words.
    said = formats.date_format(local, "j N Y").replace(" ", SPACE)
    return f"1er{said[1:]}" if local.day == 1 else said


def moment(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """An instant as people say it: the time when it was today, otherwise the day too."""
    clock = time_of_day(at, zone)
    if at.astimezone(zone).date() == now.astimezone(zone).date():
        return clock
    return f"{day(at, zone)}, {clock}"


def ago(seconds: int) -> str:
    """How long ago something was: `just now`, `4 minutes ago`, `3 days ago`."""
    if seconds < MINUTE_S:
        return gettext("just now")
    if seconds < HOUR_S:
        minutes = seconds // MINUTE_S
        return ngettext("%(n)s minute ago", "%(n)s minutes ago", minutes) % {"n": minutes}
    if seconds < 24 * HOUR_S:
        hours = seconds // HOUR_S
        return ngettext("%(n)s hour ago", "%(n)s hours ago", hours) % {"n": hours}
    days = seconds // (24 * HOUR_S)
    return ngettext("%(n)s day ago", "%(n)s days ago", days) % {"n": days}


def from_wall_ms(wall_ms: int) -> datetime:
    """The instant of a node's or the hub's wall milliseconds, aware UTC."""
    return datetime.fromtimestamp(wall_ms / 1_000, UTC)
