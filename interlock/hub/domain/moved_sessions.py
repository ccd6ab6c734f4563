"""A closed session and who should have paid for it go in; what it costs them comes out.

As if it had been theirs all along: beside the other sessions of its month that they pay, so that their caps and
included time count, and those that were moved to them before. What passes carry stays as it was: give time for that.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, replace
from datetime import date

from django.db.models import Q

from interlock.hub import bill_inputs, pricing
from interlock.hub.bill_inputs import (
    Row,
    Versions,
    month_of,
    month_span,
    terms_of,
    use_of,
    version_for,
    versions_of,
)
from interlock.hub.models import Lab, Line, LineKind, Payer, Session
from interlock.hub.pricing import Before, Use


@dataclass(frozen=True, slots=True)
class Cost:
    """What a payer owes for a session, and how much of their included time it uses up."""

    cents: int
    included_s: int


def cost_elsewhere(line: Line, session: Session, payer: Payer, purpose: str, owed: int) -> Cost:
    """What `payer` owes for the closed session of `line` (of which `owed` is left), for that purpose and with
    the times it was corrected to. An amount somebody corrected it to stays, unless the price is lower: for
    another purpose, or because their cap or included time leaves less."""
    last = Line.objects.filter(corrects=line).order_by("pk").last()
    step = {} if last is None else last.steps[0]
    by_amount = last is not None and "enabled_s" not in step
    row = bill_inputs.rows_of(Session.objects.filter(pk=session.pk))[0]
    if "enabled_s" in step:
        row = row._replace(enabled_ms=step["enabled_s"] * 1_000, busy_ms=step["busy_s"] * 1_000)
    month = _Month(session.lab, payer, row)
    use = replace(month.use_of(row), purpose=purpose)
    cost = month.cost_of(use)
    alone = pricing.price([use])[0].price_cents
    if by_amount and purpose == session.purpose and cost.cents == alone:
        return replace(cost, cents=owed)
    return replace(cost, cents=min(cost.cents, owed)) if by_amount else cost


class _Month:
    """What a payer has in the month of a session, without that one."""

    def __init__(self, lab: Lab, payer: Payer, moved: Row) -> None:
        self._zone = zoneinfo.ZoneInfo(lab.time_zone)
        span = month_span(self._day_of(moved))
        in_month = bill_inputs.in_span(span, self._zone)
        others = Line.objects.filter(kind=LineKind.ADJUSTMENT, used_in__isnull=False, lab=lab)
        away = others.exclude(payer=payer).values("used_in")
        theirs = bill_inputs.billable().filter(in_month, lab=lab, payer=payer)
        # Closed elsewhere: it is no longer theirs, or never was.
        theirs = theirs.exclude(Q(pk=moved.pk) | Q(pk__in=away, line__statement__isnull=False))
        rows = bill_inputs.rows_of(theirs)
        self._versions: Versions = versions_of(
            one.tariff_id for one in [*rows, moved] if one.tariff_id
        )
        self._uses = [self.use_of(row) for row in rows]
        self._before = Before()
        came = others.filter(payer=payer).values_list(
            *("used_in__tariff", "used_in__ended_at", "price_cents", "included_s")
        )
        for tariff, ended_at, cents, included_s in came:
            day = ended_at.astimezone(self._zone).date()
            if tariff is not None and span.holds(day):
                self._count(tariff, day, cents, included_s)

    def use_of(self, row: Row) -> Use:
        """The session with the prices that were in force."""
        version = version_for(self._versions, row.tariff_id, row.group_id, row.started_at)
        return use_of(row, self._day_of(row), terms_of(version) if version else None)

    def cost_of(self, use: Use) -> Cost:
        """What that one adds to the month."""
        without, beside = self._sum(self._uses), self._sum([*self._uses, use])
        return Cost(
            max(0, beside.cents - without.cents), max(0, beside.included_s - without.included_s)
        )

    def _sum(self, uses: list[Use]) -> Cost:
        # Pricing writes into what it is given.
        before = Before(
            dict(self._before.daily_cents),
            dict(self._before.monthly_cents),
            dict(self._before.included_s),
        )
        priced = pricing.price(uses, before=before)
        return Cost(sum(one.price_cents for one in priced), sum(one.included_s for one in priced))

    def _count(self, tariff: int, day: date, cents: int, included_s: int) -> None:
        for counted, key, amount in (
            (self._before.daily_cents, (tariff, day), cents),
            (self._before.monthly_cents, (tariff, month_of(day)), cents),
            (self._before.included_s, (tariff, month_of(day)), included_s),
        ):
            counted[key] = counted.get(key, 0) + amount

    def _day_of(self, row: Row) -> date:
        return row.ended_at.astimezone(self._zone).date()
