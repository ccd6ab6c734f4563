"""Sponsorships go in; who used what of them comes out, as a page and a file for the sponsor."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub import billing, days
from interlock.hub.domain import passes
from interlock.hub.models import PassKind, Sponsorship
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.files import csv_answer, wants_comma
from interlock.hub.pages.billing.payer_forms import SponsorshipForm
from interlock.hub.pages.billing.words import amount_of, day_words
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.sessions import query_without_page
from interlock.hub.permissions import Permission
from interlock.hub.tables import Column, Kind, Table


class SpanForm(Form):
    """From which day to which; both count."""

    from_day = forms.DateField(
        label=gettext_lazy("From"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    to_day = forms.DateField(
        label=gettext_lazy("To"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )


@require_GET
@page(Permission.VIEW_PRICES)
def sponsors(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every sponsorship, and how much of it is left."""
    found = Sponsorship.objects.filter(lab=viewer.lab).select_related("sponsor").order_by("name")
    rows = [
        {
            "one": one,
            "whole": amount_of(one.kind, one.amount),
            "until": formats.day(one.expires_at, viewer.zone) if one.expires_at else "",
            "is_over": one.expires_at is not None and one.expires_at <= viewer.now,
        }
        for one in found
    ]
    context = {"rows": rows, "may_edit": viewer.may(Permission.EDIT_ACCOUNTS)}
    return render(request, "hub/billing/sponsors.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_ACCOUNTS)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Somebody pays for others."""
    initial = {"kind": PassKind.TIME, "share": 100}
    form = SponsorshipForm(
        viewer, request.POST if request.method == "POST" else None, initial=initial
    )
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        until = wanted["until_day"]
        try:
            made = passes.create_sponsorship(
                viewer.actor,
                viewer.lab,
                wanted["sponsor"],
                wanted["name"],
                PassKind(wanted["kind"]),
                wanted["amount"],
                share_percent=wanted["share"],
                expires_at=days.end_of(until, viewer.zone) if until else None,
                machines=list(wanted["machines"]),
                groups=list(wanted["groups"]),
                reference=wanted["reference"],
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            said = gettext("“%(name)s” exists. Give a part of it to payers on their pages.")
            messages.success(request, said % {"name": made.name})
            return redirect("billing-sponsor", made.pk)
    has_sponsors = bool(form.fields["sponsor"].queryset.exists())  # type: ignore[attr-defined] # a ModelChoiceField
    return render(
        request, "hub/billing/new_sponsor.html", {"form": form, "has_sponsors": has_sponsors}
    )


@require_GET
@page(Permission.VIEW_PRICES)
def sponsor(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One sponsorship and its report."""
    found = _sponsorship(viewer, number)
    form, begin, end = _span(request, viewer)
    report = passes.use_of(found, begin, end)
    context = {
        "one": found,
        "form": form,
        "query": query_without_page(request),
        "whole": amount_of(found.kind, found.amount),
        "left": amount_of(found.kind, report.left),
        "begin": day_words(begin),
        "end": day_words(end),
        "until": formats.day(found.expires_at, viewer.zone) if found.expires_at else "",
        "machines": ", ".join(one.name for one in found.machines.order_by("name")),
        "groups": ", ".join(one.name for one in found.groups.order_by("name")),
        "holders": [
            (one.payer, amount_of(one.kind, one.amount))
            for one in found.passes.select_related("payer").order_by("payer__name")
        ],
        "report": report,
        "exports": viewer.may(Permission.EXPORT),
    }
    return render(request, "hub/billing/sponsor.html", context)


@require_GET
@page(Permission.EXPORT)
def sponsor_csv(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The report as a file."""
    found = _sponsorship(viewer, number)
    _, begin, end = _span(request, viewer)
    report = passes.use_of(found, begin, end)
    columns = (
        Column(gettext("Payer")),
        Column(gettext("Machine")),
        Column(gettext("Sessions"), Kind.NUMBER),
        Column(gettext("Seconds paid by the sponsor"), Kind.NUMBER),
        Column(gettext("Euros paid by the sponsor"), Kind.EUROS),
    )
    rows = [(str(r.payer), str(r.machine), r.sessions, r.seconds, r.cents) for r in report.rows]
    table = Table(f"{found.name} {begin:%Y-%m-%d} {end:%Y-%m-%d}", columns, rows)
    return csv_answer(table, decimal_comma=wants_comma(request))


def _sponsorship(viewer: Viewer, number: int) -> Sponsorship:
    found: Sponsorship = get_object_or_404(
        Sponsorship.objects.select_related("sponsor", "lab"), lab=viewer.lab, pk=number
    )
    return found


def _span(request: HttpRequest, viewer: Viewer) -> tuple[Any, date, date]:
    """What was asked; this year until today otherwise."""
    today = billing.day_of(viewer.lab, viewer.now)
    usual = {"from_day": today.replace(month=1, day=1), "to_day": today}
    form = SpanForm(request.GET if "from_day" in request.GET else None, initial=usual)
    if form.is_bound and form.is_valid():
        return form, form.cleaned_data["from_day"], form.cleaned_data["to_day"]
    return form, usual["from_day"], usual["to_day"]
