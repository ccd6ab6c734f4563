"""A lab with an invented past goes in; its months are closed, its statements handed out, a sponsor has paid for some.

All of it by the functions of the pages, each at its own moment of the past: what they refuse, no past has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import QuerySet

from interlock.clock import Clock
from interlock.hub.bill_inputs import next_month
from interlock.hub.domain import closing, labs, passes, periods, statements
from interlock.hub.history.plan import Plan
from interlock.hub.models import PassKind, Payer, PayerKind, Statement, StatementDelivery
from interlock.hub.permissions import Actor

CLOSED_ON = timedelta(days=3, hours=17)
"""After a month's end: on the evening of its third day."""
SPONSORED_MONTHS = 9
SPONSORED_S = 120 * 3_600
EACH_S = 15 * 3_600
SPONSORED_PAYERS = 6
SHARE_PERCENT = 70
UNSENT = 3
"""Statements of the last closed month that nobody has handed over yet."""

HEAD = "3 quai des Ateliers\n41000 Rivebourg"
REGION = ("Regional council", "Conseil régional")
CHEQUE = ("Innovation voucher", "Chèque innovation")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Moment:
    """A clock that stands still at a moment of the past."""

    real: Clock
    at_ms: int

    @property
    def boot_id(self) -> str:
        return self.real.boot_id

    def boot_ms(self) -> int:
        return self.real.boot_ms()

    def wall_ms(self) -> int:
        return self.at_ms

    def sleep(self, seconds: float) -> None:
        self.real.sleep(seconds)


def settle(actor: Actor, plan: Plan, *, say: Say) -> int:
    """Every month but the last one that is over is closed; how many. Call it once, after the use was written."""
    statements.set_head(actor, plan.lab, HEAD)
    _sponsor(actor, plan)
    closed = 0
    month = plan.first.replace(day=1)
    # One month that is over stays open, for the button that closes it.
    while next_month(next_month(month)) <= plan.last.replace(day=1):
        say(f"{month:%Y-%m} …")
        then = _at(actor, plan, next_month(month), CLOSED_ON)
        plan.lab.refresh_from_db()
        if periods.preview(plan.lab, month):
            period = closing.close(then, plan.lab, month)
            _hand_out(then, Statement.objects.filter(period=period))
            closed += 1
        month = next_month(month)
    # The last closed month is not all done: that is what its page shows.
    latest = Statement.objects.filter(lab=plan.lab).order_by("-number").values("pk")[:UNSENT]
    StatementDelivery.objects.filter(
        statement__in=list(latest.values_list("pk", flat=True))
    ).delete()
    return closed


def _sponsor(actor: Actor, plan: Plan) -> None:
    """A region pays most of what some organisations use; enough of it is left to go on."""
    begin = plan.last.replace(day=1)
    for _month in range(SPONSORED_MONTHS):
        begin = (begin - timedelta(days=1)).replace(day=1)
    begin = max(begin, plan.first)
    then = _at(actor, plan, begin, timedelta(hours=9))
    region = labs.create_payer(then, plan.lab, plan.word(REGION), PayerKind.ORGANISATION)
    sponsorship = passes.create_sponsorship(
        then,
        plan.lab,
        region,
        plan.word(CHEQUE),
        PassKind.TIME,
        SPONSORED_S,
        share_percent=SHARE_PERCENT,
        reference=f"CONV-{begin.year}-017",
    )
    organised = Payer.objects.filter(lab=plan.lab, kind=PayerKind.ORGANISATION).exclude(
        pk=region.pk
    )
    for payer in organised.order_by("pk")[:SPONSORED_PAYERS]:
        passes.allot(then, sponsorship, payer, EACH_S)


def _hand_out(then: Actor, issued: QuerySet[Statement]) -> None:
    """As if each had been handed over that evening."""
    StatementDelivery.objects.bulk_create(
        StatementDelivery(
            lab_id=one.lab_id,
            statement=one,
            way=StatementDelivery.Way.HAND,
            asked_at=then.now(),
            sent_at=then.now(),
        )
        for one in issued
    )


def _at(actor: Actor, plan: Plan, day: date, after: timedelta) -> Actor:
    moment: datetime = plan.midnight(day) + after
    return Actor(_Moment(actor.clock, int(moment.timestamp() * 1_000)), label=actor.label)
