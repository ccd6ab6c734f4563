"""What the lab sells besides time goes in: names, units and prices; the list of them, to be changed, comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import materials as deeds
from interlock.hub.domain.materials import MaterialPrice
from interlock.hub.models import Material
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.billing.fields import EurosField, PercentField
from interlock.hub.pages.billing.words import vat_words
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission


class MaterialForm(Form):
    """One thing the lab sells."""

    name = forms.CharField(max_length=100, label=gettext_lazy("Name"))
    unit = forms.CharField(
        max_length=20,
        label=gettext_lazy("Sold by the"),
        help_text=gettext_lazy("sheet, metre, kg …"),
    )
    euros = EurosField(label=gettext_lazy("Price of one, in euros"))
    is_net = forms.BooleanField(required=False, label=gettext_lazy("The price is before VAT"))
    vat = PercentField(required=False, label=gettext_lazy("VAT in percent"))
    account = forms.CharField(required=False, max_length=20, label=gettext_lazy("Account"))
    analytic = forms.CharField(required=False, max_length=20, label=gettext_lazy("Analytic code"))

    def price(self) -> MaterialPrice:
        """What was typed."""
        wanted = self.cleaned_data
        return MaterialPrice(
            wanted["euros"],
            is_net=wanted["is_net"],
            vat_bp=wanted["vat"] or 0,
            account=wanted["account"],
            analytic=wanted["analytic"],
        )


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_PRICES)
@proven
def materials(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Everything that is sold, and the form for one more."""
    may_edit = viewer.may(Permission.EDIT_TARIFFS)
    form = MaterialForm(request.POST if request.method == "POST" and may_edit else None)
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            deeds.create_material(
                viewer.actor, viewer.lab, wanted["name"], wanted["unit"], form.price()
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("“%(name)s” can be sold.") % {"name": wanted["name"]})
            return redirect("billing-materials")
    found = Material.objects.filter(lab=viewer.lab, retired_at=None).order_by("name")
    context = {"form": form, "rows": [_row(one) for one in found], "may_edit": may_edit}
    return render(request, "hub/billing/materials.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TARIFFS)
@proven
def material(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One material, to be changed; its lines keep the price they had."""
    found = _material(viewer, number)
    form = MaterialForm(request.POST if request.method == "POST" else None, initial=_shown(found))
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            deeds.change_material(
                viewer.actor, found, name=wanted["name"], unit=wanted["unit"], price=form.price()
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("Kept. What was sold before keeps its price."))
            return redirect("billing-materials")
    return render(request, "hub/billing/material.html", {"form": form, "material": found})


@require_POST
@page(Permission.EDIT_TARIFFS)
def retire(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It is sold no more."""
    found = _material(viewer, number)
    attempt(
        request,
        lambda: deeds.retire_material(viewer.actor, found),
        gettext("“%(name)s” is sold no more; its lines stay.") % {"name": found.name},
    )
    return redirect("billing-materials")


def _material(viewer: Viewer, number: int) -> Material:
    found: Material = get_object_or_404(
        Material.objects.select_related("lab"), lab=viewer.lab, pk=number, retired_at=None
    )
    return found


def _row(one: Material) -> dict[str, Any]:
    return {
        "number": one.pk,
        "name": one.name,
        "unit": one.unit,
        "price": formats.euros(one.unit_cents),
        "vat": vat_words(one.vat_bp, one.notice),
        "is_net": one.is_net,
        "account": " · ".join(part for part in (one.account, one.analytic) if part),
    }


def _shown(one: Material) -> dict[str, Any]:
    return {
        "name": one.name,
        "unit": one.unit,
        "euros": one.unit_cents,
        "is_net": one.is_net,
        "vat": one.vat_bp or None,
        "account": one.account,
        "analytic": one.analytic,
    }
