"""A payer's sessions, tariffs and passes to priced lines: pure, integer cents and integer seconds.

The rules, in the order of their steps (each appears in `Line.steps` only when it did something):

    free_purpose   what the tariff gives away: trainings, volunteering …
    forgiven       a session shorter than `forgive_s` costs nothing: a wrong tap is no use
    basis          the seconds that count: enabled, or those in which the machine really worked (busy)
    free           the first `free_s` of each session are not paid
    rounding       a started unit (1 or `rounding_min` minutes) counts whole
    included       seconds that the subscription of the month has paid already
    …_time         seconds that passes carry: sponsored, given by the lab, bought
    time           seconds × cents per hour / 3600: the only fraction, rounded half up to a cent
    setup          a fixed fee; like the minimum only due when some time is paid
    minimum        a session that is paid at all costs at least this
    daily_cap      sessions of one payer on one tariff and calendar day of the lab cost at most this
    monthly_cap    the same for its calendar month
    …_money        cents that passes carry: sponsored, bought

Of passes alike, the one that expires first is taken first, then the oldest. A sponsor's share is one of
the whole session: its counted seconds, or its price.

Milliseconds are cut to whole seconds, busy time that no sensor vouches for is not billed: an error
is never against the member. Half up, because that is what people get who check with a pocket
calculator, and what French accounting software does.

Same sessions in, same lines out, to the cent: so a late arrival is billed by pricing its day again, or
its month where something is counted by the month. What is closed already comes in as `Before`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

SECONDS_PER_HOUR = 3_600
SECONDS_PER_MINUTE = 60
PERCENT = 100

TIME = "time"
MONEY = "money"

SPONSORED = "sponsored"
GIVEN = "given"
BOUGHT = "bought"
ORIGINS = (SPONSORED, GIVEN, BOUGHT)
"""In the order in which passes are taken: others' money, what the lab gave, the payer's own."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One tariff version. `tariff` is whose caps it shares; `unit_s` 1 means exact."""

    tariff: int
    busy_only: bool = False
    cents_per_hour: int = 0
    unit_s: int = 1
    setup_cents: int = 0
    minimum_cents: int = 0
    free_s: int = 0
    daily_cap_cents: int | None = None
    forgive_s: int = 0
    monthly_cap_cents: int | None = None
    included_s: int = 0
    free_purposes: frozenset[str] = frozenset()


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
    started_ms: int = 0
    purpose: str = ""
    machine: int = 0
    group: int | None = None

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Who comes first when a cap is filled: the same on every computer."""
        return (self.ended_ms, self.node, self.epoch, self.seq)

    @property
    def month(self) -> date:
        """The first day of the calendar month of its end."""
        return self.day.replace(day=1)


@dataclass(frozen=True, slots=True)
class Fund:
    """A pass as pricing sees it: `left` seconds or cents, for sessions that begin from `starts_ms` on and
    before `expires_ms`, on `machines` and of `groups` (none named: any)."""

    number: int
    kind: str
    origin: str
    left: int
    starts_ms: int = 0
    expires_ms: int | None = None
    share_percent: int = PERCENT
    machines: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()

    @property
    def order(self) -> tuple[int, bool, int, int, int]:
        """Which pass is taken first."""
        expires_ms = self.expires_ms or 0
        never = self.expires_ms is None
        return (ORIGINS.index(self.origin), never, expires_ms, self.starts_ms, self.number)

    def carries(self, use: Use) -> bool:
        """Whether it is meant for that session."""
        return (
            self.starts_ms <= use.started_ms
            and (self.expires_ms is None or use.started_ms < self.expires_ms)
            and (not self.machines or use.machine in self.machines)
            and (not self.groups or use.group in self.groups)
        )


@dataclass(frozen=True, slots=True)
class Before:
    """What closed lines of the payer have used up already, by tariff and day or month."""

    daily_cents: dict[tuple[int, date], int] = field(default_factory=dict)
    monthly_cents: dict[tuple[int, date], int] = field(default_factory=dict)
    included_s: dict[tuple[int, date], int] = field(default_factory=dict)


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
class Taken:
    """What a session took of a pass; `cents` is what the payer did not have to pay by it."""

    fund: int
    seconds: int
    cents: int


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of one use and the steps that made it; the last step's cents are what is owed."""

    use: Use
    steps: tuple[Step, ...]
    price_cents: int
    included_s: int = 0
    taken: tuple[Taken, ...] = ()

    @property
    def cents(self) -> int:
        """What is owed: the price less what passes of money carry."""
        return self.steps[-1].cents


def price(
    uses: Iterable[Use], funds: Iterable[Fund] = (), before: Before | None = None
) -> list[Priced]:
    """The lines of one payer, in order of (end, node, epoch, seq). Whole days must be given; whole months
    where a tariff counts by the month, and everything that is not closed where there are funds."""
    purse = _Purse(funds, before or Before())
    return [purse.price(use) for use in sorted(uses, key=lambda use: use.order)]


def half_up(numerator: int, denominator: int) -> int:
    """The quotient to the nearest integer; a half goes away from zero. `denominator` is above zero."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def time_cents(seconds: int, cents_per_hour: int) -> int:
    """What that many seconds cost: the one place where a fraction of a cent appears, and goes."""
    return half_up(seconds * cents_per_hour, SECONDS_PER_HOUR)


class _Purse:
    """What is left of caps, included time and passes while a payer's sessions are priced in order."""

    def __init__(self, funds: Iterable[Fund], before: Before) -> None:
        self._funds = sorted(funds, key=lambda fund: fund.order)
        self._left = {fund.number: fund.left for fund in self._funds}
        self._daily = dict(before.daily_cents)
        self._monthly = dict(before.monthly_cents)
        self._included = dict(before.included_s)

    def price(self, use: Use) -> Priced:
        """The line of the next session in order."""
        terms = use.terms
        steps = _counted(use)
        if terms is None or steps[-1].kind in _COSTS_NOTHING:
            return Priced(use, tuple(steps), 0)
        included_s = self._include(use, terms, steps)
        taken = self._take(use, TIME, terms, steps)
        if steps[-1].seconds:
            steps += _priced(terms, steps[-1].seconds)
            self._cap(use, terms, steps)
        price_cents = steps[-1].cents
        if price_cents:
            taken += self._take(use, MONEY, terms, steps)
        return Priced(use, tuple(steps), price_cents, included_s, tuple(taken))

    def _include(self, use: Use, terms: Terms, steps: list[Step]) -> int:
        """Seconds of the session that the month's subscription carries."""
        seconds, key = steps[-1].seconds, (terms.tariff, use.month)
        used_s = self._included.get(key, 0)
        carried_s = min(seconds, max(0, terms.included_s - used_s))
        if carried_s:
            self._included[key] = used_s + carried_s
            numbers = (("included_s", terms.included_s), ("carried_s", carried_s))
            left = ("left_s", terms.included_s - used_s - carried_s)
            steps.append(Step("included", seconds - carried_s, 0, (*numbers, left)))
        return carried_s

    def _take(self, use: Use, kind: str, terms: Terms, steps: list[Step]) -> list[Taken]:
        """What passes of that kind carry of the session, each a share of the whole."""
        taken: list[Taken] = []
        whole = steps[-1].seconds if kind == TIME else steps[-1].cents
        for fund in self._funds:
            if fund.kind != kind or not self._left[fund.number] or not fund.carries(use):
                continue
            owed = steps[-1].seconds if kind == TIME else steps[-1].cents
            carried = min(owed, self._left[fund.number], _share(whole, fund.share_percent))
            if not carried:
                continue
            self._left[fund.number] -= carried
            steps.append(_carried(fund, steps[-1], carried, self._left[fund.number]))
            in_cents = carried if kind == MONEY else time_cents(carried, terms.cents_per_hour)
            taken.append(Taken(fund.number, carried if kind == TIME else 0, in_cents))
        return taken

    def _cap(self, use: Use, terms: Terms, steps: list[Step]) -> None:
        """The caps of the day and the month, and what they have left for the next session."""
        of_day, of_month = (terms.tariff, use.day), (terms.tariff, use.month)
        spent_day, spent_month = self._daily.get(of_day, 0), self._monthly.get(of_month, 0)
        steps += _capped("daily_cap", terms.daily_cap_cents, spent_day, steps[-1])
        steps += _capped("monthly_cap", terms.monthly_cap_cents, spent_month, steps[-1])
        self._daily[of_day] = spent_day + steps[-1].cents
        self._monthly[of_month] = spent_month + steps[-1].cents


_COSTS_NOTHING = frozenset({"no_tariff", "free_purpose", "forgiven"})


def _counted(use: Use) -> list[Step]:
    """The steps to the seconds that count; they need no other session."""
    enabled_s, terms = use.enabled_ms // 1_000, use.terms
    if terms is None:
        return [Step("no_tariff", enabled_s, 0)]
    if use.purpose in terms.free_purposes:
        return [Step("free_purpose", enabled_s, 0)]
    if enabled_s < terms.forgive_s:
        return [Step("forgiven", enabled_s, 0, (("forgive_s", terms.forgive_s),))]
    steps = [_basis(use, terms)]
    steps += _free(terms, steps[-1].seconds)
    steps += _rounding(terms, steps[-1].seconds)
    return steps


def _priced(terms: Terms, paid_s: int) -> list[Step]:
    """The steps from seconds that are paid to a price, before caps."""
    cents = time_cents(paid_s, terms.cents_per_hour)
    steps = [Step("time", paid_s, cents, (("cents_per_hour", terms.cents_per_hour),))]
    if terms.setup_cents:
        cents += terms.setup_cents
        steps.append(Step("setup", paid_s, cents, (("setup_cents", terms.setup_cents),)))
    if cents < terms.minimum_cents:
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


def _share(whole: int, percent: int) -> int:
    return half_up(whole * percent, PERCENT)


def _carried(fund: Fund, last: Step, carried: int, left: int) -> Step:
    numbers = (("pass", fund.number), ("share_percent", fund.share_percent))
    kind = f"{fund.origin}_{fund.kind}"
    if fund.kind == TIME:
        more = (("carried_s", carried), ("left_s", left))
        return Step(kind, last.seconds - carried, 0, (*numbers, *more))
    more = (("carried_cents", carried), ("left_cents", left))
    return Step(kind, last.seconds, last.cents - carried, (*numbers, *more))


def _capped(kind: str, cap_cents: int | None, spent_cents: int, last: Step) -> list[Step]:
    if cap_cents is None:
        return []
    left = max(0, cap_cents - spent_cents)
    if last.cents <= left:
        return []
    numbers = ((f"{kind}_cents", cap_cents), ("spent_cents", spent_cents))
    return [Step(kind, last.seconds, left, numbers)]
