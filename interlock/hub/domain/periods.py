"""Months of a lab to what is in them, what is to be checked, and what closing them would issue."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from interlock.hub import vat
from interlock.hub.bill_inputs import month_of, month_span, next_month
from interlock.hub.billing import day_of
from interlock.hub.domain.closing import close
from interlock.hub.models import Lab, Line, NodeRecord, Payer, Period, Session
from interlock.hub.open_months import accounts_left, carried, open_lines, open_month
from interlock.hub.vat import Totals

__all__ = [
    "CHECK_WORDS",
    "CheckReason",
    "MonthRow",
    "PayerTotals",
    "ToCheck",
    "close",
    "count_to_check",
    "month_of",
    "months",
    "open_month",
    "preview",
    "preview_of",
    "to_check",
]

CHECKED_MAX = 500
"""Rows of the list of sessions to check; a month with more has another problem than the list."""
LONG_MS = 12 * 3_600_000
"""Nobody stands twelve hours at a saw: a session as long was forgotten, or is a print."""
LATE_MAX = timedelta(days=366)
"""What a node kept to itself for longer than a year is told by its alarms."""


@dataclass(frozen=True, slots=True)
class MonthRow:
    """A month as a list shows it: "closed", "open" (it can be closed) or "running"."""

    month: date
    state: str
    lines: int
    payers: int
    gross_cents: int
    period: Period | None


@dataclass(frozen=True, slots=True)
class PayerTotals:
    """What one payer's statement of an open month would say today."""

    payer: Payer
    lines: int
    totals: Totals
    from_account_cents: int


class CheckReason(StrEnum):
    """Why somebody has to look at a session before its month is closed; the first that holds."""

    RUNNING = "running"
    NOBODY = "nobody"
    ESTIMATED = "estimated"
    PROVISIONAL = "provisional"
    NO_TARIFF = "no_tariff"
    BEFORE_PRICES = "before_prices"
    LONG = "long"


CHECK_WORDS: dict[CheckReason, Promise] = {
    CheckReason.RUNNING: gettext_lazy("It still runs, or its end never arrived."),
    CheckReason.NOBODY: gettext_lazy("Nobody pays for it: the member is not known."),
    CheckReason.ESTIMATED: gettext_lazy("Its end is estimated: the node was cut off."),
    CheckReason.PROVISIONAL: gettext_lazy("Its time is not certain: the node's clock was not set."),
    CheckReason.NO_TARIFF: gettext_lazy("The machine had no tariff: it costs nothing."),
    CheckReason.BEFORE_PRICES: gettext_lazy("It began before its tariff had any price."),
    CheckReason.LONG: gettext_lazy("It lasted more than twelve hours: was it forgotten?"),
}


@dataclass(frozen=True, slots=True)
class ToCheck:
    """A session that somebody should look at, and why."""

    session: Session
    why: CheckReason


def months(lab: Lab, at: datetime, count: int = 24) -> list[MonthRow]:
    """The latest `count` months with something in them, newest first: three queries."""
    this_month = month_of(day_of(lab, at))
    periods = {period.month: period for period in Period.objects.filter(lab=lab)[:count]}
    rows = [
        MonthRow(
            *(one.month, "closed", one.lines_count, one.statements_count, one.gross_cents, one)
        )
        for one in periods.values()
    ]
    for month, by_payer in _open_sums(lab, Q()).items():
        lines = sum(count for count, _ in by_payer.values())
        gross = sum(vat.totals(amounts).gross_cents for _, amounts in by_payer.values())
        state = "running" if month >= this_month else "open"
        rows.append(MonthRow(month, state, lines, len(by_payer), gross, None))
    return sorted(rows, key=lambda row: row.month, reverse=True)[:count]


def preview(lab: Lab, month: date) -> list[PayerTotals]:
    """What closing that month would issue as it stands, by the payers' names."""
    return _payer_totals(lab, _open_month_sums(lab, Q(month=month)))


def preview_of(payer: Payer, month: date) -> PayerTotals:
    """The same for one payer; nothing at all where there are no lines."""
    sums = _open_month_sums(payer.lab, Q(month=month, payer=payer))
    return _payer_totals(payer.lab, sums or {payer.pk: (0, [])})[0]


def to_check(lab: Lab, month: date) -> list[ToCheck]:
    """Sessions of the month (by their end) that somebody should look at before it is closed."""
    found = _checked(lab, month).select_related(
        "machine", "member", "payer", "line__tariff_version"
    )
    return [
        ToCheck(session, _why(session)) for session in found.order_by("started_at")[:CHECKED_MAX]
    ]


def count_to_check(lab: Lab, month: date) -> int:
    """How many there are."""
    return _checked(lab, month).count()


_Owed = dict[int, tuple[int, list[vat.Amount]]]
"""By payer: number of lines, and amounts."""


def _open_sums(lab: Lab, wanted: Q) -> dict[date, _Owed]:
    """What is owed, by open month and payer: one query."""
    columns = ("month", "payer_id", "is_net", "vat_bp", "notice")
    rows = open_lines(lab).filter(wanted).order_by().values_list(*columns)
    if lab.open_month is not None:
        # Everything before it is closed: nobody has to look through it.
        rows = rows.filter(month__gte=lab.open_month)
    owed: dict[date, _Owed] = defaultdict(dict)
    for month, payer, is_net, vat_bp, notice, cents, lines in rows.annotate(
        total=Sum("cents"), lines=Count("pk")
    ):
        count, amounts = owed[month].get(payer, (0, []))
        amounts.append(vat.Amount(cents, is_net, vat_bp, notice))
        owed[month][payer] = (count + lines, amounts)
    return owed


def _open_month_sums(lab: Lab, wanted: Q) -> _Owed:
    return next(iter(_open_sums(lab, wanted).values()), {})


def _payer_totals(lab: Lab, owed: Mapping[int, tuple[int, list[vat.Amount]]]) -> list[PayerTotals]:
    left = accounts_left(lab)
    # All of the lab: a list of ten thousand numbers is no query.
    payers = (
        {one.pk: one for one in Payer.objects.filter(lab=lab)}
        if len(owed) > 1
        else {one.pk: one for one in Payer.objects.filter(pk__in=owed)}
    )
    found = []
    for pk, (lines, amounts) in owed.items():
        totals = vat.totals(amounts)
        found.append(
            PayerTotals(payers[pk], lines, totals, carried(totals.gross_cents, left.get(pk)))
        )
    return sorted(found, key=lambda one: (one.payer.name, one.payer.pk))


def _checked(lab: Lab, month: date) -> QuerySet[Session]:
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    begin, end = month_span(month).instants(zone)
    asks = (
        Q(payer=None)
        | Q(estimated=True)
        | Q(provisional=True)
        | Q(line__tariff_version=None)
        | Q(started_at__lt=F("line__tariff_version__starts_at"))
        | Q(enabled_ms__gt=LONG_MS)
    )
    # What somebody has put right, they have looked at.
    asks &= Q(line__corrections=None, reassigned=False)
    late = Line.objects.filter(lab=lab, month=month, late=True, session__isnull=False)
    mine = Session.objects.filter(lab=lab, voided=False).order_by()
    ended = mine.exclude(how="").filter(asks)
    # Each is found along an index of its own: asked for all at once, every session of the lab is looked at.
    parts = (
        mine.filter(how="", ended_at=None, started_at__lt=end),
        ended.filter(ended_at__gte=begin, ended_at__lt=end),
        ended.filter(pk__in=late.values("session")),
        ended.filter(_late_of_nobody(lab, month)),
    )
    wanted = Q()
    for part in parts:
        wanted |= Q(pk__in=part.values("pk"))
    return Session.objects.filter(wanted)


def _late_of_nobody(lab: Lab, month: date) -> Q:
    """Sessions nobody pays for that arrived only after their own month was closed, while `month` is the first
    that is open: no line says in which month they belong, and nobody would look at them."""
    closed = Period.objects.filter(lab=lab, closed_at__isnull=False).order_by("month").last()
    if closed is None or closed.closed_at is None or next_month(closed.month) != month:
        return Q(pk=None)
    end = month_span(month).instants(zoneinfo.ZoneInfo(lab.time_zone))[0]
    said = NodeRecord.objects.filter(
        node=OuterRef("node"), epoch=OuterRef("epoch"), seq=OuterRef("seq")
    )
    arrived = Exists(said.filter(received_at__gt=closed.closed_at))
    return Q(arrived, payer=None, ended_at__gte=end - LATE_MAX, ended_at__lt=end)


def _why(session: Session) -> CheckReason:
    line = getattr(session, "line", None)
    version = line.tariff_version if line is not None else None
    asked = (
        (not session.how, CheckReason.RUNNING),
        (session.payer_id is None, CheckReason.NOBODY),
        (session.estimated, CheckReason.ESTIMATED),
        (session.provisional, CheckReason.PROVISIONAL),
        (version is None, CheckReason.NO_TARIFF),
        (version is not None and session.started_at < version.starts_at, CheckReason.BEFORE_PRICES),
    )
    return next((reason for holds, reason in asked if holds), CheckReason.LONG)
