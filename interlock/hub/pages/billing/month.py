"""A month of the lab goes in; what is billed, what to check first and the one next thing to do come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext, pgettext
from django.views.decorators.http import require_GET

from interlock.hub import billing, closing_process
from interlock.hub.closing_process import State
from interlock.hub.domain import periods
from interlock.hub.domain import statements as deeds
from interlock.hub.models import Line, Period, Statement
from interlock.hub.pages import formats, sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.billing.words import (
    day_words,
    last_day,
    month_code,
    month_title,
    month_words,
    next_month,
)
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50
CHECKS_SHOWN = 10
"""What somebody looks through in one go; the rest is a click away."""
MONTHS_SHOWN = 12
FIRST_YEAR, LAST_YEAR = 2000, 2099
"""As days.FIRST and days.LAST."""


@dataclass(frozen=True, slots=True)
class Next:
    """The one thing to do now: why, and the button that does it (empty: nothing can be done yet)."""

    state: str
    icon: str
    words: str
    address: str = ""
    button: str = ""
    other_address: str = ""
    other_button: str = ""


@dataclass(frozen=True, slots=True)
class MonthLink:
    """Another month in the list of months."""

    address: str
    words: str
    state: str
    state_words: str
    amount: str
    here: str


@dataclass(frozen=True, slots=True)
class Check:
    """A session somebody should look at before the month is closed."""

    row: sessions.Row
    why: str


@dataclass(frozen=True, slots=True)
class PayerRow:
    """What closing would bill one payer."""

    address: str
    name: str
    lines: int
    net: str
    vat: str
    gross: str
    from_account: str


@require_GET
@page(Permission.VIEW_PRICES)
def overview(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The first month that is not closed: where the work is."""
    return _month(request, viewer, periods.open_month(viewer.lab, viewer.now))


@require_GET
@page(Permission.VIEW_PRICES)
def month(request: HttpRequest, viewer: Viewer, year: int, number: int) -> HttpResponse:
    """Any month."""
    return _month(request, viewer, month_at(year, number))


def address_of(month: date) -> str:
    """The month's page."""
    return reverse("billing-month", args=[month.year, month.month])


def month_at(year: int, number: int) -> date:
    """The month of an address. Raises Http404."""
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= number <= 12):
        raise Http404(gettext("There is no such month."))
    return date(year, number, 1)


def _month(request: HttpRequest, viewer: Viewer, wanted: date) -> HttpResponse:
    period = _period(viewer, wanted)
    context: dict[str, Any] = {
        "title": month_title(wanted),
        "month": wanted,
        "before": address_of((wanted - timedelta(days=1)).replace(day=1)),
        "after": address_of(next_month(wanted)),
        "months": _months(viewer, wanted),
        "may_close": viewer.may(Permission.CLOSE_PERIODS),
        "exports": viewer.may(Permission.EXPORT),
        "file_name": month_code(wanted),
    }
    if period is not None:
        context |= _closed(request, viewer, period)
        return render(request, "hub/billing/closed_month.html", context)
    context |= _open(request, viewer, wanted)
    return render(request, "hub/billing/month.html", context)


def _open(request: HttpRequest, viewer: Viewer, wanted: date) -> dict[str, Any]:
    preview = periods.preview(viewer.lab, wanted)
    count = periods.count_to_check(viewer.lab, wanted)
    found = periods.to_check(viewer.lab, wanted) if count else []
    if request.GET.get("checks") != "all":
        found = found[:CHECKS_SHOWN]
    shown = Paginator(preview, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    is_over = _is_over(viewer, wanted)
    late = Line.objects.filter(lab=viewer.lab, month=wanted, late=True).count()
    return {
        "state": "ending" if is_over else "in-use",
        "state_words": gettext("not closed yet") if is_over else gettext("running"),
        "next": _next_when_open(
            viewer, wanted, is_over=is_over, to_check=count, payers=len(preview)
        ),
        "checks": [
            Check(sessions.row(one.session, viewer), str(periods.CHECK_WORDS[one.why]))
            for one in found
        ],
        "checks_count": count,
        "page": shown,
        "query": sessions.query_without_page(request),
        "rows": [_payer_row(one, wanted) for one in shown.object_list],
        "totals": _totals(preview),
        "late": late,
    }


def _totals(preview: list[periods.PayerTotals]) -> dict[str, Any]:
    return {
        "lines": sum(one.lines for one in preview),
        "net": formats.euros(sum(one.totals.net_cents for one in preview)),
        "vat": formats.euros(sum(one.totals.vat_cents for one in preview)),
        "gross": formats.euros(sum(one.totals.gross_cents for one in preview)),
    }


def _payer_row(one: periods.PayerTotals, wanted: date) -> PayerRow:
    return PayerRow(
        address=reverse("billing-payer-month", args=[wanted.year, wanted.month, one.payer.pk]),
        name=one.payer.name,
        lines=one.lines,
        net=formats.euros(one.totals.net_cents),
        vat=formats.euros(one.totals.vat_cents),
        gross=formats.euros(one.totals.gross_cents),
        from_account=formats.euros(-one.from_account_cents) if one.from_account_cents else "",
    )


def _next_when_open(
    viewer: Viewer, wanted: date, *, is_over: bool, to_check: int, payers: int
) -> Next:
    earliest = periods.open_month(viewer.lab, viewer.now)
    if earliest < wanted:
        return Next(
            "ending",
            "ending",
            gettext("%(month)s is not closed yet: months are closed one after the other.")
            % {"month": month_title(earliest)},
            address_of(earliest),
            gettext("Go to %(month)s") % {"month": month_words(earliest)},
        )
    close_it = gettext("Close %(month)s") % {"month": month_words(wanted)}
    address = reverse("billing-close", args=[wanted.year, wanted.month])
    told = closing_process.told(settings.HUB.path, viewer.lab.pk)
    if told is not None and told.month == wanted and told.state is State.RUNNING:
        said = gettext("%(month)s is being closed.") % {"month": month_title(wanted)}
        if not viewer.may(Permission.CLOSE_PERIODS):
            return Next("in-use", "sessions", said)
        return Next("in-use", "sessions", said, address, gettext("See how far it is"))
    if to_check:
        said = ngettext(
            "%(n)s session should be looked at before this month is closed.",
            "%(n)s sessions should be looked at before this month is closed.",
            to_check,
        )
        look = Next(
            "ending", "ending", said % {"n": to_check}, "#to-check", gettext("Look at them")
        )
        if is_over and viewer.may(Permission.CLOSE_PERIODS):
            return replace(look, other_address=address, other_button=close_it)
        return look
    if not is_over:
        said = gettext("The month runs until %(day)s; it can be closed from the next day on.")
        return Next("in-use", "sessions", said % {"day": day_words(last_day(wanted))})
    if not viewer.may(Permission.CLOSE_PERIODS):
        return Next("free", "free", gettext("Nothing is left to check: the month can be closed."))
    if not payers:
        said = gettext("Nobody used anything that is billed. Close the month to go on.")
    else:
        said = gettext("Nothing is left to check: the month can be closed.")
    return Next("free", "free", said, address, close_it)


def _closed(request: HttpRequest, viewer: Viewer, period: Period) -> dict[str, Any]:
    found = (
        Statement.objects.filter(period=period)
        .select_related("payer", "delivery", "lab")
        .order_by("number")
    )
    shown = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    unsent = deeds.statements_to_send(period).count()
    return {
        "state": "free",
        "state_words": gettext("closed on %(day)s")
        % {"day": formats.day(period.closed_at, viewer.zone) if period.closed_at else ""},
        "period": period,
        "next": _next_when_closed(viewer, period, unsent),
        "page": shown,
        "query": sessions.query_without_page(request),
        "rows": [statement_row(one, viewer) for one in shown.object_list],
        "unsent": unsent,
        "without_address": deeds.without_address(period),
        "on_the_way": deeds.on_the_way(period),
    }


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One statement in a list; `sent` is (state colour, words)."""

    address: str
    pdf: str
    number: str
    name: str
    net: str
    vat: str
    gross: str
    due: str
    sent: tuple[str, str]


def statement_row(one: Statement, viewer: Viewer) -> StatementRow:
    """A statement as lists show it; `one` has its delivery and lab selected."""
    return StatementRow(
        address=reverse("billing-statement", args=[one.number]),
        pdf=reverse("billing-statement-pdf", args=[one.number]),
        number=str(one),
        name=one.name,
        net=formats.euros(one.net_cents),
        vat=formats.euros(one.vat_cents),
        gross=formats.euros(one.gross_cents),
        due=formats.euros(one.due_cents) if one.from_account_cents else "",
        sent=delivery_words(one, viewer),
    )


def delivery_words(one: Statement, viewer: Viewer) -> tuple[str, str]:
    """The colour and the words of what became of a statement."""
    delivery = deeds.delivery_of(one)
    if delivery is None:
        return ("offline", gettext("not sent"))
    if delivery.trouble:
        return ("fault", delivery.trouble)
    if delivery.sent_at is None:
        return ("in-use", gettext("on its way"))
    day = {"day": formats.day(delivery.sent_at, viewer.zone)}
    if delivery.way == delivery.Way.HAND:
        return ("free", gettext("handed over on %(day)s") % day)
    return ("free", gettext("sent on %(day)s") % day)


def _next_when_closed(viewer: Viewer, period: Period, unsent: int) -> Next:
    year, number = period.month.year, period.month.month
    if unsent and viewer.may(Permission.CLOSE_PERIODS):
        said = ngettext(
            "%(n)s statement is not sent yet.", "%(n)s statements are not sent yet.", unsent
        )
        return Next(
            "ending",
            "mail",
            said % {"n": unsent},
            reverse("billing-send", args=[year, number]),
            gettext("Send the statements"),
        )
    if viewer.may(Permission.EXPORT):
        return Next(
            "free",
            "free",
            gettext("All is done but the file for the accountant."),
            reverse("billing-entries-xlsx", args=[year, number]),
            gettext("Download it (Excel)"),
        )
    return Next("free", "free", gettext("This month is closed: nothing changes it any more."))


def _months(viewer: Viewer, wanted: date) -> list[MonthLink]:
    said = {
        "open": ("ending", gettext("not closed yet")),
        "running": ("in-use", gettext("running")),
        "closed": ("free", pgettext("month", "closed")),
    }
    return [
        MonthLink(
            address_of(row.month),
            month_title(row.month),
            *said[row.state],
            amount=formats.euros(row.gross_cents),
            here="page" if row.month == wanted else "",
        )
        for row in periods.months(viewer.lab, viewer.now, MONTHS_SHOWN)
    ]


def _period(viewer: Viewer, wanted: date) -> Period | None:
    return Period.objects.filter(lab=viewer.lab, month=wanted, closed_at__isnull=False).first()


def _is_over(viewer: Viewer, wanted: date) -> bool:
    return billing.day_of(viewer.lab, viewer.now) > last_day(wanted)
