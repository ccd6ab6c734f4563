"""A period goes in; the lab's report comes out, as a page and as the files funders and accountants ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET

from interlock.hub import days
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission
from interlock.hub.reporting import drawing, files, pdf, shown
from interlock.hub.reporting.periods import YEARS_MAX, Period, presets
from interlock.hub.reporting.report import Report, report_of
from interlock.hub.tables import CSV_TYPE, XLSX_TYPE, to_csv, to_xlsx

PRESETS: dict[str, Words] = {
    "last-year": gettext_lazy("Last year"),
    "this-year": gettext_lazy("This year"),
    "last-quarter": gettext_lazy("Last quarter"),
    "last-month": gettext_lazy("Last month"),
}
DAYS_A_YEAR = 366


@dataclass(frozen=True, slots=True)
class Choice:
    """A period one click away."""

    words: str
    address: str
    chosen: bool


class PeriodForm(Form):
    """From which day to which."""

    first = forms.DateField(
        label=gettext_lazy("From"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    last = forms.DateField(label=gettext_lazy("To"), widget=DATE_WIDGET, validators=days.VALIDATORS)

    def clean(self) -> dict[str, Any]:
        """The last day is no earlier than the first, and not a lifetime later."""
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and last < first:
            self.add_error("last", gettext("The last day is before the first."))
        elif first and last and (last - first).days > YEARS_MAX * DAYS_A_YEAR:
            said = gettext("A report covers at most %(years)s years.")
            self.add_error("last", said % {"years": YEARS_MAX})
        return self.cleaned_data


@require_GET
@page(Permission.VIEW_REPORTS)
def report(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The report of a period, last year's unless asked otherwise."""
    form, period = _asked(request, viewer)
    made = report_of(viewer.lab, period, _today(viewer))
    query = urlencode({"first": period.first.isoformat(), "last": period.last.isoformat()})
    context = {
        "form": form,
        "choices": _choices(viewer, period),
        "period": shown.period_words(period),
        "previous": shown.period_words(period.previous),
        "tiles": shown.headline(made),
        "months": drawing.columns(shown.months(made)),
        "months_table": shown.months_table(made),
        "sections": shown.sections(made),
        "week": shown.week(made),
        "definitions": [one.indicator for one in made.sections],
        "masking": shown.masking_words(),
        "query": query,
        "names_people": viewer.may(Permission.VIEW_MEMBERS),
        "is_empty": not any(section.total.number for section in made.sections),
    }
    return render(request, "hub/reports/report.html", context)


@require_GET
@page(Permission.VIEW_REPORTS)
def report_pdf(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same on A4 sheets."""
    return _file(request, viewer, "pdf", "application/pdf", lambda one: pdf.to_pdf(one, viewer.now))


@require_GET
@page(Permission.VIEW_REPORTS)
def report_csv(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every figure, one a line, for a spreadsheet."""
    comma = viewer.lab.language == "fr"
    return _file(
        request,
        viewer,
        "csv",
        CSV_TYPE,
        lambda one: to_csv(files.to_table(one), decimal_comma=comma),
    )


@require_GET
@page(Permission.VIEW_REPORTS)
def report_xlsx(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same as a workbook."""
    return _file(request, viewer, "xlsx", XLSX_TYPE, lambda one: to_xlsx(files.to_table(one)))


@require_GET
@page(Permission.VIEW_REPORTS)
def report_json(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same for programs that add up several labs."""
    return _file(request, viewer, "json", "application/json", files.to_json)


@require_GET
@page(Permission.VIEW_MEMBERS)
def time_sheets(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who gave which volunteer time: names people, so it is no part of the report."""
    _, period = _asked(request, viewer)
    made = to_xlsx(files.time_sheets(viewer.lab, period))
    return _attached(made, XLSX_TYPE, _name(viewer, period, gettext("volunteers"), "xlsx"))


def _file(
    request: HttpRequest,
    viewer: Viewer,
    suffix: str,
    kind: str,
    make: Callable[[Report], bytes],
) -> HttpResponse:
    _, period = _asked(request, viewer)
    made = make(report_of(viewer.lab, period, _today(viewer)))
    return _attached(made, kind, _name(viewer, period, gettext("report"), suffix))


def _attached(made: bytes, kind: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(made, content_type=kind, headers=headers)


def _name(viewer: Viewer, period: Period, what: str, suffix: str) -> str:
    return f"{viewer.lab.slug}-{what}-{period.first.isoformat()}-{period.last.isoformat()}.{suffix}"


def _today(viewer: Viewer) -> date:
    return viewer.now.astimezone(viewer.zone).date()


def _asked(request: HttpRequest, viewer: Viewer) -> tuple[PeriodForm, Period]:
    """The form and the period it asks for; last year's where it makes no sense, or nothing was asked."""
    usual = presets(_today(viewer))["last-year"]
    asked = request.GET if {"first", "last"} <= set(request.GET) else None
    form = PeriodForm(asked, initial={"first": usual.first, "last": usual.last})
    if asked is not None and form.is_valid():
        return form, Period(form.cleaned_data["first"], form.cleaned_data["last"])
    return form, usual


def _choices(viewer: Viewer, chosen: Period) -> list[Choice]:
    return [
        Choice(
            str(PRESETS[name]),
            reverse("reports")
            + "?"
            + urlencode({"first": period.first.isoformat(), "last": period.last.isoformat()}),
            period == chosen,
        )
        for name, period in presets(_today(viewer)).items()
    ]
