"""A month goes in; what closing it will do, how far it is, and what came of it come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub import billing, closing_process
from interlock.hub.closing_process import PAYERS_AT_ONCE, State, Told, Wish
from interlock.hub.domain import closing, periods
from interlock.hub.models import Period
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.month import address_of, month_at
from interlock.hub.pages.billing.words import day_words, last_day, month_title, month_words
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission


@dataclass(frozen=True, slots=True)
class Steps:
    """How far a closing is, as the page shows it: `done` of `total` steps, and which one that is."""

    done: int
    total: int
    words: str


@require_http_methods(["GET", "POST"])
@page(Permission.CLOSE_PERIODS)
@proven
def close(request: HttpRequest, viewer: Viewer, year: int, number: int) -> HttpResponse:
    """What closing will do; then it is done, and the page shows how far it is."""
    wanted = month_at(year, number)
    if (period := _period(viewer, wanted)) is not None:
        return _over(request, viewer, period)
    trouble = ""
    if request.method == "POST":
        try:
            return _begun(request, viewer, wanted)
        except InterlockError as error:
            trouble = sentence(error)
    told = _told(viewer, wanted)
    if told is not None and told.state is State.RUNNING:
        return render(request, "hub/billing/closing.html", _running(told))
    # Between the two looks at it, it may have ended well.
    if (period := _period(viewer, wanted)) is not None:
        return _over(request, viewer, period)
    context = _ahead(viewer, wanted) | {"trouble": trouble or _trouble(told)}
    return render(request, "hub/billing/close.html", context)


@require_GET
@page(Permission.CLOSE_PERIODS)
def progress(request: HttpRequest, viewer: Viewer, year: int, number: int) -> HttpResponse:
    """How far it is, again and again; once it has ended the page is loaded anew."""
    told = _told(viewer, month_at(year, number))
    if told is None or told.state is not State.RUNNING:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "hub/billing/closing_steps.html", _running(told))


def _begun(request: HttpRequest, viewer: Viewer, wanted: date) -> HttpResponse:
    """A small month is closed, a large one is being closed. Raises InterlockError."""
    closing.require_closable(viewer.lab, wanted, viewer.now)
    if len(closing.payers_of(viewer.lab, wanted)) <= PAYERS_AT_ONCE:
        return _over(request, viewer, closing.close(viewer.actor, viewer.lab, wanted), now=True)
    language = get_language() or viewer.lab.language
    wish = Wish(viewer.lab.pk, viewer.user.pk, wanted, language)
    # A second press finds the first one at work: the page shows that one.
    closing_process.start(settings.HUB.path, wish)
    return redirect("billing-close", wanted.year, wanted.month)


def _over(
    request: HttpRequest, viewer: Viewer, period: Period, *, now: bool = False
) -> HttpResponse:
    """The closed month, with the good news for whoever waited for it."""
    told = None if now else _told(viewer, period.month)
    if now or told is not None:
        said = ngettext(
            "%(month)s is closed: %(n)s statement is issued.",
            "%(month)s is closed: %(n)s statements are issued.",
            period.statements_count,
        )
        named = {"month": month_title(period.month), "n": period.statements_count}
        messages.success(request, said % named)
        closing_process.forget(settings.HUB.path, viewer.lab.pk)
    return redirect("billing-month", period.month.year, period.month.month)


def _ahead(viewer: Viewer, wanted: date) -> dict[str, Any]:
    """What closing would do."""
    preview = periods.preview(viewer.lab, wanted)
    return {
        "month": month_title(wanted),
        "month_words": month_words(wanted),
        "address": address_of(wanted),
        "payers": len(preview),
        "lines": sum(one.lines for one in preview),
        "gross": formats.euros(sum(one.totals.gross_cents for one in preview)),
        "first_number": f"{viewer.lab.statement_seq + 1:06}",
        "last_number": f"{viewer.lab.statement_seq + len(preview):06}",
        "to_check": periods.count_to_check(viewer.lab, wanted),
        "ends": day_words(last_day(wanted)),
        "is_over": billing.day_of(viewer.lab, viewer.now) > last_day(wanted),
    }


def _running(told: Told) -> dict[str, Any]:
    if not told.total:
        words = gettext("It begins.")
    elif 2 * told.done < told.total:
        words = gettext("Everything is priced once more: %(done)s of %(total)s payers.")
    else:
        words = gettext("Statements are written: %(done)s of %(total)s.")
    payers = told.total // 2
    done = told.done if 2 * told.done < told.total else told.done - payers
    return {
        "month": month_title(told.month),
        "month_words": month_words(told.month),
        "address": address_of(told.month),
        "year": told.month.year,
        "number": told.month.month,
        "steps": Steps(
            told.done, told.total, words % {"done": _grouped(done), "total": _grouped(payers)}
        ),
    }


def _grouped(number: int) -> str:
    return number_format(number, force_grouping=True)


def _trouble(told: Told | None) -> str:
    """Why the latest attempt closed nothing."""
    if told is None:
        return ""
    if told.state is State.REFUSED:
        return told.trouble
    return gettext(
        "Closing was interrupted. Nothing is closed and no statement is issued: try again."
    )


def _told(viewer: Viewer, wanted: date) -> Told | None:
    found = closing_process.told(settings.HUB.path, viewer.lab.pk)
    return found if found is not None and found.month == wanted else None


def _period(viewer: Viewer, wanted: date) -> Period | None:
    return Period.objects.filter(lab=viewer.lab, month=wanted, closed_at__isnull=False).first()
