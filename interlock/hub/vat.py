"""Amounts with their VAT rates to net, VAT and gross: pure, each rounded once per rate and statement.

Of each rate, gross and VAT are worked out exactly over all its amounts, net prices and gross ones
together, and rounded once, half up (below zero: away from zero); net is their difference. So gross prices add
up to exactly what people pay, and net prices to exactly what a company books.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from interlock.hub.pricing import half_up

BASIS_POINTS = 10_000
"""Rates are hundredths of a per cent: 20 % is 2000, and the 5.5 % of French law is 550."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Cents without VAT (`is_net`) or with it; `notice` says why there is none where `vat_bp` is 0."""

    cents: int
    is_net: bool
    vat_bp: int
    notice: str = ""


@dataclass(frozen=True, slots=True)
class RateTotal:
    """Everything of one rate and notice."""

    vat_bp: int
    notice: str
    net_cents: int
    vat_cents: int
    gross_cents: int


@dataclass(frozen=True, slots=True)
class Totals:
    """A statement's totals by rate, the highest first."""

    rates: tuple[RateTotal, ...]

    @property
    def net_cents(self) -> int:
        """Without VAT, all rates."""
        return sum(rate.net_cents for rate in self.rates)

    @property
    def vat_cents(self) -> int:
        """VAT of all rates."""
        return sum(rate.vat_cents for rate in self.rates)

    @property
    def gross_cents(self) -> int:
        """With VAT, all rates."""
        return sum(rate.gross_cents for rate in self.rates)

    def to_json(self) -> list[dict[str, Any]]:
        """As stored in `Statement.totals`."""
        return [asdict(rate) for rate in self.rates]


def totals(amounts: Iterable[Amount]) -> Totals:
    """The totals of one statement."""
    net: dict[tuple[int, str], int] = defaultdict(int)
    gross: dict[tuple[int, str], int] = defaultdict(int)
    for amount in amounts:
        sums = net if amount.is_net else gross
        sums[amount.vat_bp, amount.notice] += amount.cents
    keys = sorted({*net, *gross}, key=lambda key: (-key[0], key[1]))
    return Totals(tuple(_total(key, net[key], gross[key]) for key in keys))


def totals_from_json(stored: Sequence[dict[str, Any]]) -> Totals:
    """What `to_json` gave."""
    return Totals(tuple(RateTotal(**rate) for rate in stored))


def _total(key: tuple[int, str], net_cents: int, gross_cents: int) -> RateTotal:
    vat_bp, notice = key
    whole = BASIS_POINTS + vat_bp
    with_vat = half_up(gross_cents * BASIS_POINTS + net_cents * whole, BASIS_POINTS)
    # net × r + gross × r / (1 + r), over one denominator so that it is rounded once.
    exact = net_cents * vat_bp * whole + gross_cents * vat_bp * BASIS_POINTS
    vat = half_up(exact, BASIS_POINTS * whole)
    return RateTotal(vat_bp, notice, with_vat - vat, vat, with_vat)
