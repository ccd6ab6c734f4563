"""A closed session and who should have paid for it go in; what it costs them comes out.

As if it had been theirs all along: beside what they owe of its month by now, so that their caps and included time
count. What passes carry stays as it was: give time for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlock.hub import bill_inputs, pricing
from interlock.hub.bill_inputs import month_span, terms_of, use_of
from interlock.hub.closed_use import used_up
from interlock.hub.models import Line, Payer, Session


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
    version = line.tariff_version
    use = use_of(row, line.day, terms_of(version) if version else None)
    use = replace(use, purpose=purpose)
    month = month_span(line.day.replace(day=1))
    before = used_up(line.lab, [payer.pk], month, but=session.pk, late=True)
    priced = pricing.price([use], before=before[payer.pk])[0]
    cost = Cost(priced.price_cents, priced.included_s)
    alone = pricing.price([use])[0].price_cents
    if by_amount and purpose == session.purpose and cost.cents == alone:
        return replace(cost, cents=owed)
    return replace(cost, cents=min(cost.cents, owed)) if by_amount else cost
