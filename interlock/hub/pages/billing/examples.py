"""Prices that somebody is typing go in; what an hour costs, said as people ask it, comes out.

The example is priced by the rules that price sessions (pricing.py), so it cannot promise another amount.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

from django.utils.translation import gettext

from interlock.hub import pricing
from interlock.hub.bill_inputs import terms_of
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Basis, Group, TariffVersion
from interlock.hub.pages import formats
from interlock.hub.pages.billing.words import percent
from interlock.hub.vat import Amount, totals

EXAMPLES_S = (10 * formats.MINUTE_S, formats.HOUR_S, 3 * formats.HOUR_S)
"""A short cut, the hour everybody thinks in, and an afternoon."""
_DAY = date(2026, 1, 1)


def cost_of(prices: Prices, seconds: int) -> int:
    """One session alone in its day and month, worked all the time."""
    terms = terms_of(TariffVersion(tariff_id=0, **asdict(prices)))
    # The time that a subscription includes is used up by then: the example is what is paid.
    use = pricing.Use(
        ended_ms=seconds * 1_000,
        node="",
        epoch=0,
        seq=0,
        day=_DAY,
        enabled_ms=seconds * 1_000,
        busy_ms=seconds * 1_000,
        terms=terms,
    )
    used_up = pricing.Before(included_s={(0, _DAY.replace(day=1)): prices.included_s})
    return pricing.price([use], before=used_up)[0].cents


def example_words(prices: Prices, group: Group | None, machines: list[str]) -> list[str]:
    """`An hour of Laser costs €12.00 (Companies).` and two more."""
    return [_said(prices, seconds, group, machines) for seconds in EXAMPLES_S]


def _said(prices: Prices, seconds: int, group: Group | None, machines: list[str]) -> str:
    cents = cost_of(prices, seconds)
    named = {
        "time": formats.duration(seconds),
        "machine": machines[0] if machines else gettext("the machine"),
        "price": _price(prices, cents),
        "group": group.name if group else gettext("everybody"),
    }
    if prices.basis == Basis.BUSY:
        return gettext("%(time)s of work with %(machine)s: %(price)s (%(group)s)") % named
    return gettext("%(time)s with %(machine)s: %(price)s (%(group)s)") % named


def _price(prices: Prices, cents: int) -> str:
    if not prices.vat_bp:
        return formats.euros(cents)
    both = totals([Amount(cents, prices.is_net, prices.vat_bp, prices.notice)])
    named = {
        "net": formats.euros(both.net_cents),
        "gross": formats.euros(both.gross_cents),
        "rate": percent(prices.vat_bp),
    }
    return gettext("%(net)s before VAT, %(gross)s with %(rate)s VAT") % named
