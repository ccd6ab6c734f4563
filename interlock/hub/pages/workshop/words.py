"""Days, durations and sums of this room in words, and a field for hours as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext, gettext_lazy

from interlock.hub import days
from interlock.hub.pages import formats

_HOURS = re.compile(r"(?:(\d{1,4})\s*[h:])?\s*(\d{0,4})\s*(?:min|mn|m)?", re.IGNORECASE)
_DECIMAL = re.compile(r"(\d{1,4})[.,](\d{1,2})\s*h?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Total:
    """A sum and what it is the sum of."""

    name: str
    value: str


class HoursField(forms.CharField):
    """Minutes, written as people write hours: “2 h”, “1 h 30”, “1:30”, “1,5 h”, “45 min”."""

    def __init__(self, minutes_max: int, **kwargs: Any) -> None:
        super().__init__(max_length=16, **kwargs)
        self.minutes_max = minutes_max

    def prepare_value(self, value: Any) -> Any:
        """Minutes as they are typed."""
        if not isinstance(value, int):
            return value
        hours, minutes = divmod(value, 60)
        if not minutes:
            return f"{hours} h"
        return f"{hours} h {minutes:02d}" if hours else f"{minutes} min"

    def clean(self, value: Any) -> Any:
        """The minutes. Raises ValidationError."""
        said = super().clean(value)
        if said in self.empty_values:
            return None
        minutes = minutes_of(said)
        if minutes is None or not 1 <= minutes <= self.minutes_max:
            raise forms.ValidationError(
                gettext("Write it like “1 h 30” or “45 min”, at most %(most)s.")
                % {"most": formats.duration(self.minutes_max * formats.MINUTE_S)}
            )
        return minutes


def hours_field(minutes_max: int, **kwargs: Any) -> HoursField:
    """How long something took."""
    kwargs.setdefault("label", gettext_lazy("How long"))
    kwargs.setdefault("help_text", gettext_lazy("Like “2 h”, “1 h 30” or “45 min”."))
    return HoursField(minutes_max, **kwargs)


def minutes_of(said: str) -> int | None:
    """The minutes that were meant; None: nobody can tell. A bare number is taken for hours up to 12."""
    text = said.strip()
    if decimal := _DECIMAL.fullmatch(text):
        whole, part = decimal.groups()
        hundredths = int(part.ljust(2, "0"))
        return int(whole) * 60 + round(hundredths * 60 / 100)
    if text.isdecimal():
        number = int(text)
        return number * 60 if number <= 12 else None
    found = _HOURS.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    hours, minutes = (int(part or 0) for part in found.groups())
    if found.group(1) is not None and minutes >= 60:
        return None
    return hours * 60 + minutes


def local_day(day: date) -> str:
    """A date with its year, in the language of the page."""
    return formats.day(datetime.combine(day, time(12), ZoneInfo("UTC")), ZoneInfo("UTC"))


def instant_of(day: date, now: datetime, zone: ZoneInfo) -> datetime:
    """What a day means for work done: now when it is today, else the end of that day."""
    if day == now.astimezone(zone).date():
        return now
    return days.end_of(day, zone) - timedelta(seconds=1)
