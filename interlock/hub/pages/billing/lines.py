"""A payer's month, or one line, goes in; why it costs what it costs and the ways to correct it come out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub.domain import corrections, materials, periods
from interlock.hub.models import Line, LineKind, Material, Member, Payer
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.fields import EurosField, NumberField, PercentField, WhyField
from interlock.hub.pages.billing.month import address_of, month_at
from interlock.hub.pages.billing.words import month_title, vat_words
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.prices import PriceStep, price_steps
from interlock.hub.pages.sessions import query_without_page
from interlock.hub.permissions import Permission
from interlock.hub.statements.words import what, when

ROWS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line with its reasons; `address` is its session's page, or its own."""

    address: str
    when: str
    about: str
    what: str
    why: str
    steps: tuple[PriceStep, ...]
    amount: str
    marks: tuple[tuple[str, str], ...]


def line_row(line: Line, zone: ZoneInfo) -> LineRow:
    """A line as lists show it; `line` has session, machine, members and material selected."""
    marks = []
    if line.late:
        marks.append(("offline", gettext("arrived after its month was closed")))
    if line.kind == LineKind.CORRECTION:
        marks.append(("ending", gettext("correction")))
    return LineRow(
        address=(
            reverse("session", args=[line.session_id])
            if line.session_id
            else reverse("billing-line", args=[line.pk])
        ),
        when=when(line, zone).replace("\n", ", "),
        about=line.session.machine.name if line.session else str(line.get_kind_display()),
        what=what(line),
        why=line.why,
        steps=tuple(price_steps(line)),
        amount=formats.euros(line.cents),
        marks=tuple(marks),
    )


@require_GET
@page(Permission.VIEW_PRICES)
def payer_month(
    request: HttpRequest, viewer: Viewer, year: int, month: int, number: int
) -> HttpResponse:
    """Everything one payer is billed in a month, each line with its reasons."""
    wanted = month_at(year, month)
    payer = payer_of(viewer, number)
    found = lines_with_everything(viewer).filter(payer=payer, month=wanted)
    shown = Paginator(found.order_by("day", "pk"), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    totals = periods.preview_of(payer, wanted)
    context = {
        "payer": payer,
        "month": month_title(wanted),
        "month_address": address_of(wanted),
        "page": shown,
        "query": query_without_page(request),
        "rows": [line_row(one, viewer.zone) for one in shown.object_list],
        "rates": [
            (vat_words(rate.vat_bp, rate.notice), *map(formats.euros, _sums(rate)))
            for rate in totals.totals.rates
        ],
        "gross": formats.euros(totals.totals.gross_cents),
        "may_add": viewer.may(Permission.CORRECT_USE, Permission.EDIT_ACCOUNTS),
    }
    return render(request, "hub/billing/payer_month.html", context)


class CorrectLineForm(Form):
    """What the line should have been."""

    euros = EurosField(label=gettext_lazy("It should have been, in euros"), least=None)
    why = WhyField()


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_PRICES)
def line(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One line: its reasons, what corrected it, and the form that corrects it."""
    found = lines_with_everything(viewer).filter(pk=number).first()
    if found is None:
        raise Http404(gettext("There is no such line in this lab."))
    may_correct = viewer.may(Permission.CORRECT_USE)
    form = CorrectLineForm(request.POST if request.method == "POST" and may_correct else None)
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            done = corrections.correct_line(viewer.actor, found, wanted["euros"], wanted["why"])
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, corrected_words(done))
            return redirect("billing-line", number)
    context = {
        "line": found,
        "row": line_row(found, viewer.zone),
        "payer_address": reverse("billing-payer", args=[found.payer_id]),
        "month": month_title(found.month),
        "month_address": address_of(found.month),
        "vat": vat_words(found.vat_bp, found.notice),
        "amount": formats.euros(found.cents),
        "corrections": [
            line_row(one, viewer.zone)
            for one in lines_with_everything(viewer).filter(corrects=found).order_by("pk")
        ],
        "form": form,
        "may_correct": may_correct and found.kind != LineKind.CORRECTION,
    }
    return render(request, "hub/billing/line.html", context)


class MaterialForm(Form):
    """So much of a material, for a payer."""

    material = forms.ModelChoiceField(
        Material.objects.none(), label=gettext_lazy("Material"), empty_label=None
    )
    quantity = NumberField(label=gettext_lazy("How much"), least=1)
    why = forms.CharField(required=False, max_length=200, label=gettext_lazy("Remark"))

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["material"]
        if isinstance(choice, forms.ModelChoiceField):
            choice.queryset = Material.objects.filter(lab=viewer.lab, retired_at=None)
            choice.label_from_instance = material_words  # type: ignore[method-assign,assignment] # Django's own way


class AdjustForm(Form):
    """An amount in words of one's own."""

    words = forms.CharField(
        max_length=200,
        label=gettext_lazy("What for"),
        help_text=gettext_lazy(
            "It stands on the statement: “Workshop for the school, 12 October”."
        ),
    )
    euros = EurosField(
        label=gettext_lazy("Amount in euros"),
        least=None,
        help_text=gettext_lazy("A minus sign gives something back: -15."),
    )
    vat = PercentField(label=gettext_lazy("VAT in percent"), required=False)
    why = WhyField()


@require_http_methods(["GET", "POST"])
@page(Permission.CORRECT_USE, Permission.EDIT_ACCOUNTS)
def add(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """A material, or an amount in words, for one payer."""
    payer = payer_of(viewer, number)
    kind = request.POST.get("kind", "") if request.method == "POST" else ""
    material = MaterialForm(viewer, request.POST if kind == "material" else None, prefix="m")
    adjust = AdjustForm(request.POST if kind == "adjust" else None, prefix="a")
    deeds = {"material": (material, _add_material), "adjust": (adjust, _adjust)}
    if kind in deeds:
        form, deed = deeds[kind]
        if form.is_valid():
            try:
                done = deed(viewer, payer, form.cleaned_data)
            except InterlockError as error:
                form.add_error(None, sentence(error))
            else:
                said = gettext("%(amount)s stand on the account of %(name)s.")
                messages.success(
                    request, said % {"amount": formats.euros(done.cents), "name": payer.name}
                )
                return redirect("billing-payer-month", done.month.year, done.month.month, payer.pk)
    context = {
        "payer": payer,
        "material": material,
        "adjust": adjust,
        "has_materials": Material.objects.filter(lab=viewer.lab, retired_at=None).exists(),
        "may_adjust": viewer.may(Permission.EDIT_ACCOUNTS),
        "may_material": viewer.may(Permission.CORRECT_USE),
        "today": address_of(periods.open_month(viewer.lab, viewer.now)),
    }
    return render(request, "hub/billing/add.html", context)


def corrected_words(done: Line) -> str:
    """What a correction did."""
    said = gettext("Corrected: a line of %(amount)s stands in %(month)s, with your reason.")
    return said % {"amount": formats.euros(done.cents), "month": month_title(done.month)}


def material_words(material: Material) -> str:
    """`Plywood 5 mm (€12.00 a sheet)`."""
    named = {
        "name": material.name,
        "price": formats.euros(material.unit_cents),
        "unit": material.unit,
    }
    return gettext("%(name)s (%(price)s for a %(unit)s)") % named


def payer_of(viewer: Viewer, number: int) -> Payer:
    """The lab's payer. Raises Http404."""
    found: Payer = get_object_or_404(Payer.objects.select_related("lab"), lab=viewer.lab, pk=number)
    return found


def lines_with_everything(viewer: Viewer) -> Any:
    """The lab's lines with all that a row needs: one query."""
    return Line.objects.filter(lab=viewer.lab).select_related(
        "lab",
        "payer",
        "session__machine",
        "session__member",
        "member",
        "material",
        "tariff_version",
        "corrects",
    )


def _add_material(viewer: Viewer, payer: Payer, wanted: dict[str, Any]) -> Line:
    amount = Decimal(wanted["quantity"]).scaleb(-NumberField.places)
    return materials.add_material(
        viewer.actor,
        wanted["material"],
        amount,
        payer,
        member=_only_member(payer),
        why=wanted["why"],
    )


def _adjust(viewer: Viewer, payer: Payer, wanted: dict[str, Any]) -> Line:
    return corrections.adjust(
        viewer.actor,
        payer,
        wanted["euros"],
        wanted["words"],
        wanted["why"],
        vat_bp=wanted["vat"] or 0,
    )


def _only_member(payer: Payer) -> Member | None:
    """Who took it, where only one person can have."""
    mine = list(payer.members.all()[:2])
    return mine[0] if len(mine) == 1 else None


def _sums(rate: Any) -> tuple[int, int, int]:
    return rate.net_cents, rate.vat_cents, rate.gross_cents
