"""What is not closed yet: the first open month, its lines, and what accounts can still carry."""

from __future__ import annotations

from datetime import date, datetime

from django.db.models import Min, QuerySet, Sum

from interlock.hub.bill_inputs import month_of
from interlock.hub.billing import day_of
from interlock.hub.models import AccountEntry, Lab, Line


def open_month(lab: Lab, at: datetime) -> date:
    """The first month that is not closed: the one of the oldest line on no statement, or of `at`."""
    fresh = Lab.objects.get(pk=lab.pk)
    if fresh.open_month is not None:
        return fresh.open_month
    oldest = Line.objects.filter(lab=lab).aggregate(first=Min("month"))["first"]
    return min(oldest or date.max, month_of(day_of(fresh, at)))


def open_lines(lab: Lab) -> QuerySet[Line]:
    """The lab's lines that stand on no statement."""
    return Line.objects.filter(lab=lab, statement__isnull=True)


def accounts_left(lab: Lab) -> dict[int, int]:
    """Cents on each account, open months not counted; only payers that ever had one."""
    entries = AccountEntry.objects.filter(lab=lab).order_by()
    return dict(entries.values_list("payer_id").annotate(total=Sum("cents")))


def carried(gross_cents: int, left_cents: int | None) -> int:
    """What an account carries of a statement: all that is left, and it takes back what is owed to the payer.
    None: there is no account."""
    if left_cents is None:
        return 0
    return min(gross_cents, max(0, left_cents))


def month_for_today(lab: Lab, today: date) -> date:
    """The month in which a line written today is billed: its own, which is never closed before it is over."""
    return max(month_of(today), Lab.objects.get(pk=lab.pk).open_month or date.min)
