"""A statement's number goes in; its page, its PDF, and the buttons that send it come out."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import mail
from interlock.hub.domain import statements as deeds
from interlock.hub.models import Period, Statement
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.billing.month import address_of, delivery_words, month_at
from interlock.hub.pages.billing.words import month_title, month_words
from interlock.hub.permissions import Permission
from interlock.hub.statements.words import sheet_of


@require_GET
@page(Permission.VIEW_PRICES)
def statement(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """What a payer gets, as a page."""
    found = statement_of(viewer, number)
    to = deeds.recipient_of(found)
    context = {
        "statement": found,
        "sheet": sheet_of(found),
        "month": month_title(found.period.month),
        "month_address": address_of(found.period.month),
        "sent": delivery_words(found, viewer),
        "to": to.address if to else "",
        "mails": mail.is_on(viewer.lab),
        "may_send": viewer.may(Permission.CLOSE_PERIODS),
    }
    return render(request, "hub/billing/statement.html", context)


@require_GET
@page(Permission.VIEW_PRICES)
def statement_pdf(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The same on paper."""
    from interlock.hub.statements import pdf

    found = statement_of(viewer, number)
    name = f"{gettext('statement')}-{found}.pdf"
    return HttpResponse(
        pdf.render(sheet_of(found)),
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )


@require_POST
@page(Permission.CLOSE_PERIODS)
def send_one(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It goes by e-mail, again if it went before."""
    found = statement_of(viewer, number)
    attempt(
        request,
        lambda: deeds.send_one(viewer.actor, found),
        gettext("Statement %(number)s is on its way to %(name)s.")
        % {"number": found, "name": found.name},
    )
    return redirect("billing-statement", number)


@require_POST
@page(Permission.CLOSE_PERIODS)
def hand_over(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It was given by hand."""
    found = statement_of(viewer, number)
    attempt(
        request,
        lambda: deeds.hand_over(viewer.actor, found),
        gettext("Noted: %(name)s has statement %(number)s.")
        % {"number": found, "name": found.name},
    )
    return redirect("billing-statement", number)


@require_http_methods(["GET", "POST"])
@page(Permission.CLOSE_PERIODS)
def send_all(request: HttpRequest, viewer: Viewer, year: int, month: int) -> HttpResponse:
    """What will be sent to how many; then it is on its way."""
    wanted = month_at(year, month)
    period = Period.objects.filter(lab=viewer.lab, month=wanted, closed_at__isnull=False).first()
    if period is None:
        return redirect("billing-month", year, month)
    trouble = ""
    if request.method == "POST":
        try:
            count = deeds.send_all(viewer.actor, period)
        except InterlockError as error:
            trouble = sentence(error)
        else:
            said = ngettext(
                "%(n)s statement is on its way.", "%(n)s statements are on their way.", count
            )
            messages.success(request, said % {"n": count})
            return redirect("billing-month", year, month)
    unsent = deeds.statements_to_send(period).count()
    without = deeds.without_address(period)
    context = {
        "month": month_title(wanted),
        "month_words": month_words(wanted),
        "address": address_of(wanted),
        "count": unsent - without,
        "without": without,
        "mails": mail.is_on(viewer.lab),
        "trouble": trouble,
    }
    return render(request, "hub/billing/send.html", context)


def statement_of(viewer: Viewer, number: int) -> Statement:
    """The lab's statement of that number. Raises Http404."""
    found = (
        Statement.objects.filter(lab=viewer.lab, number=number)
        .select_related("lab", "period", "payer", "delivery")
        .first()
    )
    if found is None:
        raise Http404(gettext("There is no such statement in this lab."))
    return found
