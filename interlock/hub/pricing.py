"""A payer's sessions and their tariffs to priced lines: pure, integer cents and integer seconds.

The rules, in the order of their steps (each appears in `Line.steps` only when it did something):

    forgiven   a session shorter than `forgive_s` costs nothing: a wrong tap is no use
    basis      the seconds that count: enabled, or those in which the machine really worked (busy)
    free       the first `free_s` of each session are not paid
    rounding   a started unit (1 or `rounding_min` minutes) counts whole
    time       seconds × cents per hour / 3600: the only fraction, rounded half up to a cent
    setup      a fixed fee; like the minimum only due when some time is paid
    minimum    a session that is paid at all costs at least this
    daily_cap  sessions of one payer on one tariff and calendar day of the lab cost at most this

Milliseconds are cut to whole seconds, busy time that no sensor vouches for is not billed: an error
is never against the member. Half up, because that is what people get who check with a pocket
calculator, and what French accounting software does.

Same sessions in, same lines out, to the cent: so a late arrival is billed by pricing its day again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

SECONDS_PER_HOUR = 3_600
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Terms:
    """One tariff version. `tariff` is whose daily cap it shares; `unit_s` 1 means exact."""

    tariff: int
    busy_only: bool = False
    cents_per_hour: int = 0
    unit_s: int = 1
    setup_cents: int = 0
    minimum_cents: int = 0
    free_s: int = 0
    daily_cap_cents: int | None = None
    forgive_s: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """One ended, valid session of the payer. `day` is the lab's calendar day of its end."""

    ended_ms: int
    node: str
    epoch: int
    seq: int
    day: date
    enabled_ms: int
    busy_ms: int
    terms: Terms | None

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Who comes first when a cap is filled: the same on every computer."""
        return (self.ended_ms, self.node, self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it did, and the paid seconds and cents as they stand after it."""

    kind: str
    seconds: int
    cents: int
    numbers: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As stored in `Line.steps`: {kind, seconds, cents, …the step's own numbers}."""
        return {
            "kind": self.kind,
            "seconds": self.seconds,
            "cents": self.cents,
            **dict(self.numbers),
        }


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of one use and the steps that made it; the last step's cents are the price."""

    use: Use
    steps: tuple[Step, ...]

    @property
    def cents(self) -> int:
        """The price."""
        return self.steps[-1].cents


def price(uses: Iterable[Use]) -> list[Priced]:
    """The lines of one payer, in order of (end, node, epoch, seq). Whole days must be given."""
    spent: dict[tuple[int, date], int] = {}
    lines = []
    for use in sorted(uses, key=lambda use: use.order):
        steps = _steps_alone(use)
        if use.terms is not None:
            of_day = (use.terms.tariff, use.day)
            steps += _cap(use.terms, steps[-1], spent.get(of_day, 0))
            spent[of_day] = spent.get(of_day, 0) + steps[-1].cents
        lines.append(Priced(use, tuple(steps)))
    return lines


def _steps_alone(use: Use) -> list[Step]:
    """Every step that needs no other session."""
    enabled_s, terms = use.enabled_ms // 1_000, use.terms
    if terms is None:
        return [Step("no_tariff", enabled_s, 0)]
    if enabled_s < terms.forgive_s:
        return [Step("forgiven", enabled_s, 0, (("forgive_s", terms.forgive_s),))]
    steps = [_basis(use, terms)]
    steps += _free(terms, steps[-1].seconds)
    steps += _rounding(terms, steps[-1].seconds)
    paid_s = steps[-1].seconds
    if paid_s == 0:
        return steps
    steps.append(_time(terms, paid_s))
    if terms.setup_cents:
        total = steps[-1].cents + terms.setup_cents
        steps.append(Step("setup", paid_s, total, (("setup_cents", terms.setup_cents),)))
    if steps[-1].cents < terms.minimum_cents:
        numbers = (("minimum_cents", terms.minimum_cents),)
        steps.append(Step("minimum", paid_s, terms.minimum_cents, numbers))
    return steps


def _basis(use: Use, terms: Terms) -> Step:
    enabled_s = use.enabled_ms // 1_000
    if not terms.busy_only:
        return Step("enabled", enabled_s, 0)
    return Step("busy", use.busy_ms // 1_000, 0, (("enabled_s", enabled_s),))


def _free(terms: Terms, seconds: int) -> list[Step]:
    if not terms.free_s or not seconds:
        return []
    return [Step("free", max(0, seconds - terms.free_s), 0, (("free_s", terms.free_s),))]


def _rounding(terms: Terms, seconds: int) -> list[Step]:
    rounded = -(-seconds // terms.unit_s) * terms.unit_s
    if rounded == seconds:
        return []
    return [Step("rounding", rounded, 0, (("unit_s", terms.unit_s),))]


def _time(terms: Terms, seconds: int) -> Step:
    # Half up in integers: add half of the divisor, then cut.
    cents = (2 * seconds * terms.cents_per_hour + SECONDS_PER_HOUR) // (2 * SECONDS_PER_HOUR)
    return Step("time", seconds, cents, (("cents_per_hour", terms.cents_per_hour),))


def _cap(terms: Terms, last: Step, spent_cents: int) -> list[Step]:
    if terms.daily_cap_cents is None:
        return []
    left = max(0, terms.daily_cap_cents - spent_cents)
    if last.cents <= left:
        return []
    numbers = (("daily_cap_cents", terms.daily_cap_cents), ("spent_cents", spent_cents))
    return [Step("daily_cap", last.seconds, left, numbers)]
