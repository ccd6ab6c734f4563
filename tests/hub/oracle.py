"""What a payer owes, worked out a second time in another way: an opinion to hold pricing.py against.

Written from the rules in words (5-hub.md and the docstring of pricing.py), with fractions and one
expression per rule instead of steps; it shares no code with what it judges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from interlock.hub.pricing import Terms, Use


def owed_cents(uses: Sequence[Use]) -> dict[tuple[str, int, int], int]:
    """Cents by (node, epoch, seq)."""
    owed: dict[tuple[str, int, int], int] = {}
    for use in sorted(uses, key=lambda u: (u.ended_ms, u.node, u.epoch, u.seq)):
        alone = 0 if use.terms is None else alone_cents(use, use.terms)
        if use.terms is not None and use.terms.daily_cap_cents is not None:
            # What the same payer paid before on that tariff and day, whatever version it was.
            before = sum(
                owed[(other.node, other.epoch, other.seq)]
                for other in uses
                if other.terms is not None
                and other.terms.tariff == use.terms.tariff
                and other.day == use.day
                and (other.node, other.epoch, other.seq) in owed
            )
            alone = min(alone, max(0, use.terms.daily_cap_cents - before))
        owed[(use.node, use.epoch, use.seq)] = alone
    return owed


def alone_cents(use: Use, terms: Terms) -> int:
    """The price of one session if there were no other."""
    enabled = Fraction(use.enabled_ms, 1_000)
    if math.floor(enabled) < terms.forgive_s:
        return 0
    counted = Fraction(use.busy_ms, 1_000) if terms.busy_only else enabled
    paid = max(0, math.floor(counted) - terms.free_s)
    units = math.ceil(Fraction(paid, terms.unit_s))
    hours = Fraction(units * terms.unit_s, 3_600)
    if hours == 0:
        return 0
    exact = hours * terms.cents_per_hour
    time_cents = int(
        (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(
            Decimal(1), rounding=ROUND_HALF_UP
        )
    )
    return max(terms.minimum_cents, time_cents + terms.setup_cents)
