"""Months, days, VAT and prices of a tariff go in; what a workshop calls them comes out."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils import formats as django_formats
from django.utils.text import capfirst
from django.utils.translation import gettext

from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Basis, PassKind, Purpose, Rounding, TariffVersion
from interlock.hub.pages import formats
from interlock.hub.pages.billing.fields import written

BASIS_POINTS_PER_PERCENT = 100


def month_words(month: date) -> str:
    """`october 2026` as the language writes it inside a sentence: October 2026, octobre 2026."""
    return django_formats.date_format(month, "F Y")


def month_title(month: date) -> str:
    """The same at the head of a page."""
    return capfirst(month_words(month))


def month_code(month: date) -> str:
    """As addresses and file names have it: 2026-10."""
    return f"{month:%Y-%m}"


def last_day(month: date) -> date:
    """The month's last day."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def next_month(month: date) -> date:
    """The first day of the month after."""
    return last_day(month) + timedelta(days=1)


def day_words(day: date) -> str:
    """A calendar day of the lab: `3 Oct 2026`, `3 oct. 2026`."""
    utc = ZoneInfo("UTC")
    return formats.day(datetime.combine(day, time(12), utc), utc)


def percent(basis_points: int) -> str:
    """A rate: `20 %` in French, `20%` in English."""
    whole, rest = divmod(basis_points, BASIS_POINTS_PER_PERCENT)
    said = str(whole) if not rest else f"{whole}.{rest:02d}".rstrip("0")
    if formats.is_french():
        return f"{said.replace('.', ',')}{formats.SPACE}%"
    return f"{said}%"


def vat_words(vat_bp: int, notice: str) -> str:
    """The rate, or why there is none."""
    if vat_bp:
        return percent(vat_bp)
    return notice or gettext("no VAT")


def amount_of(kind: str, amount: int) -> str:
    """What a pass holds, by its kind: hours or euros."""
    return formats.duration(amount) if kind == PassKind.TIME else formats.euros(amount)


def quantity(thousandths: int) -> str:
    """2500 thousandths of a unit: `2.5`."""
    return written(Decimal(thousandths).scaleb(-3).normalize())


def price_words(prices: Prices | TariffVersion) -> list[str]:
    """What a tariff asks, one short sentence each, the price of an hour first."""
    said = [_hour(prices)]
    if prices.setup_cents:
        said.append(
            gettext("%(price)s once a session") % {"price": formats.euros(prices.setup_cents)}
        )
    if prices.minimum_cents:
        said.append(
            gettext("at least %(price)s a session") % {"price": formats.euros(prices.minimum_cents)}
        )
    said += _times(prices)
    said += _caps(prices)
    if prices.free_purposes:
        names = ", ".join(str(Purpose(one).label) for one in prices.free_purposes)
        said.append(gettext("free for: %(purposes)s") % {"purposes": names})
    return said


def tax_words(prices: Prices | TariffVersion) -> str:
    """Net or gross, and the rate."""
    if not prices.vat_bp:
        return prices.notice or gettext("no VAT")
    rate = {"rate": percent(prices.vat_bp)}
    if prices.is_net:
        return gettext("before VAT of %(rate)s") % rate
    return gettext("with VAT of %(rate)s") % rate


def _hour(prices: Prices | TariffVersion) -> str:
    price = {"price": formats.euros(prices.cents_per_hour)}
    if not prices.cents_per_hour:
        return gettext("no price by the hour")
    if prices.basis == Basis.BUSY:
        return gettext("%(price)s for an hour of work") % price
    return gettext("%(price)s for an hour with the machine switched on") % price


def _times(prices: Prices | TariffVersion) -> list[str]:
    said = []
    if prices.free_s:
        time_words = {"time": formats.duration(prices.free_s)}
        said.append(gettext("the first %(time)s of a session are free") % time_words)
    if prices.included_s:
        time_words = {"time": formats.duration(prices.included_s)}
        said.append(gettext("%(time)s a month are included") % time_words)
    if prices.rounding == Rounding.MINUTE:
        said.append(gettext("a started minute counts whole"))
    if prices.rounding == Rounding.MINUTES:
        unit = {"time": formats.duration(prices.rounding_min * formats.MINUTE_S)}
        said.append(gettext("started %(time)s count whole") % unit)
    return said


def _caps(prices: Prices | TariffVersion) -> list[str]:
    said = []
    if prices.daily_cap_cents is not None:
        cap = {"price": formats.euros(prices.daily_cap_cents)}
        said.append(gettext("at most %(price)s a day") % cap)
    if prices.monthly_cap_cents is not None:
        cap = {"price": formats.euros(prices.monthly_cap_cents)}
        said.append(gettext("at most %(price)s a month") % cap)
    return said
