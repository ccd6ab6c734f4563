"""What people type about money and time goes in (12,50 or 12.50); whole cents and seconds come out."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from interlock.hub.pages.formats import is_french

_AMOUNT = re.compile(r"[-−+]?\d+(?:[.,]\d+)?$")
_SPACES = str.maketrans("", "", " \u00a0\u202f€%'’")
EUROS_DIGITS_MAX = 12
"""Ten thousand million euros: more digits are a slip of the finger, not a price."""


def decimal_of(text: str) -> Decimal:
    """The number that a person wrote, with a comma or a point. Raises ValueError."""
    plain = text.translate(_SPACES)
    if not _AMOUNT.match(plain) or len(plain) > EUROS_DIGITS_MAX + 3:
        raise ValueError(text)
    try:
        return Decimal(plain.replace(",", ".").replace("−", "-"))
    except InvalidOperation as error:
        raise ValueError(text) from error


def written(number: Decimal) -> str:
    """A number as people of this page's language type it, without needless zeros."""
    text = f"{number:f}"
    return text.replace(".", ",") if is_french() else text


class NumberField(forms.Field):
    """A number with at most `places` decimals; its value is that number times 10 ** places, whole."""

    places = 2
    least: int | None = 0
    signs = "decimal"

    def __init__(self, *, least: int | None = 0, **kwargs: Any) -> None:
        kwargs.setdefault(
            "widget", forms.TextInput(attrs={"inputmode": self.signs, "autocomplete": "off"})
        )
        super().__init__(**kwargs)
        self.least = least

    def prepare_value(self, value: Any) -> Any:
        """What stands in the field: cents as euros; what was typed stays as it was typed."""
        if not isinstance(value, int):
            return value
        number = Decimal(value).scaleb(-self.places)
        whole = number == number.to_integral_value()
        return written(number.to_integral_value() if whole else number)

    def to_python(self, value: Any) -> Any:
        """The whole number; None for an empty field. Raises ValidationError."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            number = decimal_of(text)
        except ValueError as error:
            raise ValidationError(gettext("Write a number, like 12 or 12.50.")) from error
        scaled = number.scaleb(self.places)
        if scaled != scaled.to_integral_value():
            raise ValidationError(
                gettext("At most %(places)d digits after the comma.") % {"places": self.places}
            )
        if self.least is not None and scaled < self.least:
            raise ValidationError(gettext("It cannot be so small."))
        return int(scaled)


class EurosField(NumberField):
    """Euros in, cents out."""


class PercentField(NumberField):
    """20 or 5,5 in; hundredths of a percent out (2000, 550)."""


class MinutesField(NumberField):
    """Minutes in, seconds out; half a minute is 0,5."""

    places = 0
    unit_s = 60

    def prepare_value(self, value: Any) -> Any:
        """Seconds as minutes."""
        if not isinstance(value, int):
            return value
        number = (Decimal(value) / self.unit_s).quantize(Decimal("0.01"), ROUND_HALF_UP)
        whole = number == number.to_integral_value()
        return written(number.to_integral_value() if whole else number.normalize())

    def to_python(self, value: Any) -> Any:
        """Seconds; None for an empty field. Raises ValidationError."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            seconds = decimal_of(text) * self.unit_s
        except ValueError as error:
            raise ValidationError(gettext("Write a number, like 12 or 12.50.")) from error
        if seconds < 0:
            raise ValidationError(gettext("It cannot be so small."))
        return int(seconds.to_integral_value(ROUND_HALF_UP))


class HoursField(MinutesField):
    """Hours in, seconds out; 1,5 is an hour and a half."""

    unit_s = 3_600


class WhyField(forms.CharField):
    """The reason of a change; the audit log keeps it."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", gettext_lazy("Why (for the audit log)"))
        super().__init__(max_length=200, **kwargs)
