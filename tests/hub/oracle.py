"""What a payer owes, worked out a second time in another way: an opinion to hold the engine against.

Written from the rules in words (5-hub.md, docs/billing.md), with fractions, one expression per rule and
nothing that runs along: what is left of a cap or a pass is summed up from everything before, each time
anew. It shares no code with what it judges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from interlock.hub.pricing import Fund, Terms, Use

Key = tuple[str, int, int]
"""(node, epoch, seq)."""


@dataclass(frozen=True)
class Bill:
    """One session's price, what is owed of it, and who carried the rest."""

    use: Use
    price_cents: int
    owed_cents: int
    included_s: int = 0
    carried: dict[int, int] = field(default_factory=dict)
    """By pass: seconds or cents, as the pass counts."""


def owed_cents(uses: Sequence[Use]) -> dict[Key, int]:
    """Cents by (node, epoch, seq), without passes."""
    return {key_of(bill.use): bill.owed_cents for bill in bills(uses)}


def bills(
    uses: Sequence[Use], passes: Sequence[Fund] = (), closed: Sequence[Bill] = ()
) -> list[Bill]:
    """The sessions of one payer, those of `closed` before all others; `passes` with what they held at first."""
    done = list(closed)
    for use in sorted(uses, key=lambda u: (u.ended_ms, u.node, u.epoch, u.seq)):
        done.append(_bill(use, passes, done))
    return done[len(closed) :]


def key_of(use: Use) -> Key:
    """What tells a session from all others."""
    return (use.node, use.epoch, use.seq)


def cents_of(exact: Fraction) -> int:
    """Half up, below zero away from zero: as a pocket calculator shows it."""
    return int(
        (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(
            Decimal(1), rounding=ROUND_HALF_UP
        )
    )


def statement(amounts: Sequence[tuple[int, bool, int]]) -> dict[int, tuple[int, int, int]]:
    """(net, VAT, gross) by rate, of (cents, is net, rate): the exact sums, each rounded once."""
    found = {}
    for rate in {rate for _, _, rate in amounts}:
        share = Fraction(rate, 10_000)
        theirs = [(cents, is_net) for cents, is_net, of in amounts if of == rate]
        gross = sum(cents * (1 + share) if is_net else Fraction(cents) for cents, is_net in theirs)
        tax = sum(
            cents * share if is_net else cents * share / (1 + share) for cents, is_net in theirs
        )
        found[rate] = (
            cents_of(Fraction(gross)) - cents_of(Fraction(tax)),
            cents_of(Fraction(tax)),
            cents_of(Fraction(gross)),
        )
    return found


def _bill(use: Use, passes: Sequence[Fund], before: Sequence[Bill]) -> Bill:
    terms = use.terms
    if (
        terms is None
        or use.purpose in terms.free_purposes
        or use.enabled_ms < 1_000 * terms.forgive_s
    ):
        return Bill(use, 0, 0)
    counted = _counted_s(use, terms)
    alike = [bill for bill in before if bill.use.terms and bill.use.terms.tariff == terms.tariff]
    this_month = [bill for bill in alike if _month(bill.use.day) == _month(use.day)]
    today = [bill for bill in alike if bill.use.day == use.day]
    included = _between(0, terms.included_s - sum(b.included_s for b in this_month), counted)
    carried: dict[int, int] = {}
    paid = _carry("time", counted - included, use, passes, before, carried)
    price = 0
    if paid > 0:
        price = cents_of(Fraction(paid * terms.cents_per_hour, 3_600)) + terms.setup_cents
        price = max(price, terms.minimum_cents)
        for cap, spent in (
            (terms.daily_cap_cents, sum(b.price_cents for b in today)),
            (terms.monthly_cap_cents, sum(b.price_cents for b in this_month)),
        ):
            if cap is not None:
                price = _between(0, cap - spent, price)
    owed = _carry("money", price, use, passes, before, carried)
    return Bill(use, price, owed, included, carried)


def _counted_s(use: Use, terms: Terms) -> int:
    whole = math.floor(Fraction(use.busy_ms if terms.busy_only else use.enabled_ms, 1_000))
    return math.ceil(Fraction(max(0, whole - terms.free_s), terms.unit_s)) * terms.unit_s


def _carry(
    kind: str,
    amount: int,
    use: Use,
    passes: Sequence[Fund],
    before: Sequence[Bill],
    carried: dict[int, int],
) -> int:
    """What of `amount` nobody carries; what passes of that kind do is written into `carried`."""
    rest = amount
    for origin in ("sponsored", "given", "bought"):
        fit = [one for one in passes if one.kind == kind and one.origin == origin]
        fit.sort(key=lambda one: (one.expires_ms or math.inf, one.starts_ms, one.number))
        for one in fit:
            in_time = one.starts_ms <= use.started_ms < (one.expires_ms or math.inf)
            here = not one.machines or use.machine in one.machines
            theirs = not one.groups or use.group in one.groups
            if not (in_time and here and theirs):
                continue
            spare = one.left - sum(bill.carried.get(one.number, 0) for bill in before)
            share = cents_of(Fraction(amount * one.share_percent, 100))
            part = min(rest, spare, share)
            if part > 0:
                carried[one.number] = part
                rest -= part
    return rest


def _between(least: int, most: int, value: int) -> int:
    return max(least, min(most, value))


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month
