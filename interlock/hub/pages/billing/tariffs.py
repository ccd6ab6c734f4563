"""Tariffs go in; their prices in words, and new ones that were tried on last month before they count, come out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub import tryout
from interlock.hub.domain import tariffs as deeds
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Basis, Group, Machine, Tariff, TariffVersion
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.examples import example_words
from interlock.hub.pages.billing.fields import EurosField
from interlock.hub.pages.billing.price_form import PriceForm
from interlock.hub.pages.billing.words import month_title, price_words, tax_words
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission

CHANGES_SHOWN = 12
"""The biggest first: what comes after them moves cents."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a tariff as the page shows it; `when` is (state colour, words)."""

    group: str
    since: str
    when: tuple[str, str]
    words: tuple[str, ...]
    tax: str
    account: str


@dataclass(frozen=True, slots=True)
class Row:
    """One tariff in the list: what holds now, for whom, and where it is used."""

    tariff: Tariff
    machines: str
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """One line of the comparison: before, after, and the difference with its sign."""

    name: str
    before: str
    after: str
    difference: str
    state: str


class NewTariffForm(Form):
    """A tariff's name, its first price and the machines it is for."""

    name = forms.CharField(max_length=100, label=gettext_lazy("Name"))
    hour = EurosField(label=gettext_lazy("An hour costs, in euros"))


@require_GET
@page(Permission.VIEW_PRICES)
def tariffs(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every tariff with what holds now."""
    found = list(Tariff.objects.filter(lab=viewer.lab).order_by("name"))
    versions = _by_tariff(TariffVersion.objects.filter(tariff__in=found), viewer)
    machines: dict[int, list[str]] = {}
    for one in Machine.objects.filter(lab=viewer.lab, tariff__in=found).order_by("name"):
        machines.setdefault(one.tariff_id or 0, []).append(one.name)
    rows = [
        Row(
            one,
            ", ".join(machines.get(one.pk, [])),
            tuple(v for v in versions.get(one.pk, []) if v.when[0] == "free"),
        )
        for one in found
    ]
    free = Machine.objects.filter(lab=viewer.lab, tariff=None).order_by("name")
    context = {
        "rows": rows,
        "without": [one.name for one in free],
        "may_edit": viewer.may(Permission.EDIT_TARIFFS),
    }
    return render(request, "hub/billing/tariffs.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TARIFFS)
@proven
def new_tariff(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A tariff with one price; its page asks for the rest."""
    form = NewTariffForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            made = deeds.create_tariff(
                viewer.actor,
                viewer.lab,
                _free_slug(viewer, wanted["name"]),
                wanted["name"],
                Prices(cents_per_hour=wanted["hour"]),
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            said = gettext("“%(name)s” exists. Give it to machines on their own pages.")
            messages.success(request, said % {"name": made.name})
            return redirect("billing-tariff", made.slug)
    return render(request, "hub/billing/new_tariff.html", {"form": form})


@require_GET
@page(Permission.VIEW_PRICES)
def tariff(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One tariff: its machines, and every version it ever had."""
    found = tariff_of(viewer, slug)
    versions = TariffVersion.objects.filter(tariff=found)
    context = {
        "tariff": found,
        "machines": list(found.machines.order_by("name")),
        "versions": _by_tariff(versions, viewer).get(found.pk, []),
        "may_edit": viewer.may(Permission.EDIT_TARIFFS),
    }
    return render(request, "hub/billing/tariff.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TARIFFS)
@proven
def prices(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """New prices: typed, tried on last month, then kept."""
    found = tariff_of(viewer, slug)
    asked = Group.objects.filter(lab=viewer.lab, slug=request.GET.get("group", "")).first()
    old = _in_force(found, asked, viewer)
    typed = request.POST.copy()
    form = PriceForm(
        viewer,
        old,
        typed if request.method == "POST" else None,
        initial={"group": asked.slug if asked else ""},
    )
    context: dict[str, Any] = {"tariff": found, "form": form, "machines": _machine_names(found)}
    if form.is_bound and form.is_valid():
        if "save" in request.POST and form.was_tried:
            try:
                _save(viewer, found, form)
            except InterlockError as error:
                form.add_error(None, sentence(error))
            else:
                messages.success(request, gettext("The new prices are kept."))
                return redirect("billing-tariff", slug)
        else:
            context |= _tried(viewer, found, form, typed)
            context["changed"] = "save" in request.POST
    return render(request, "hub/billing/prices.html", context)


def tariff_of(viewer: Viewer, slug: str) -> Tariff:
    """The lab's tariff. Raises Http404."""
    found = Tariff.objects.filter(lab=viewer.lab, slug=slug).select_related("lab").first()
    if found is None:
        raise Http404(gettext("There is no such tariff in this lab."))
    return found


def _save(viewer: Viewer, found: Tariff, form: PriceForm) -> None:
    deeds.set_prices(
        viewer.actor,
        found,
        form.prices(),
        group=form.cleaned_data["group"],
        starts_at=form.starts_at(),
    )


def _tried(viewer: Viewer, found: Tariff, form: PriceForm, typed: QueryDict) -> dict[str, Any]:
    """What last month would have cost, and what the prices mean for an hour."""
    wanted, group = form.prices(), form.cleaned_data["group"]
    month = tryout.last_month(viewer.lab, viewer.now)
    try:
        compared = tryout.what_if(viewer.lab, tryout.Draft(found, wanted, group), month)
    except InterlockError as error:
        form.add_error(None, sentence(error))
        return {}
    typed["tried"] = form.fingerprint()
    names = _machine_names(found)
    return {
        "examples": example_words(wanted, group, names),
        "words": [*price_words(wanted), tax_words(wanted)],
        "month": month_title(month),
        "compared": compared,
        "whole": _moved(gettext("All together"), compared.before_cents, compared.after_cents),
        "tables": [
            (gettext("By group"), _changes(compared.groups), len(compared.groups)),
            (gettext("By payer"), _changes(compared.payers), len(compared.payers)),
            (gettext("By machine"), _changes(compared.machines), len(compared.machines)),
        ],
        "is_tried": True,
    }


def _changes(changes: Iterable[tryout.Change]) -> list[Moved]:
    return [
        _moved(one.name or gettext("without a group"), one.before_cents, one.after_cents)
        for one in list(changes)[:CHANGES_SHOWN]
    ]


def _moved(name: str, before: int, after: int) -> Moved:
    more = after - before
    sign = "+" if more > 0 else ""
    state = "ending" if more > 0 else "free" if more < 0 else "offline"
    difference = f"{sign}{formats.euros(more)}" if more else gettext("no change")
    return Moved(name, formats.euros(before), formats.euros(after), difference, state)


def _machine_names(found: Tariff) -> list[str]:
    return list(found.machines.order_by("name").values_list("name", flat=True))


def _in_force(found: Tariff, group: Group | None, viewer: Viewer) -> Prices:
    """What the form begins with: the group's own prices, else everybody's."""
    known = TariffVersion.objects.filter(tariff=found).order_by("-starts_at", "-pk")
    for whose in ([group] if group else []) + [None]:
        version = known.filter(group=whose).first()
        if version is not None:
            return deeds.prices_of(version)
    return Prices(basis=Basis.ENABLED)


def _by_tariff(versions: Any, viewer: Viewer) -> dict[int, list[Version]]:
    """The versions of each tariff, everybody's first, the newest first; which of them hold now."""
    sorted_in: dict[int, list[Version]] = {}
    current: set[tuple[int, int | None]] = set()
    ordered = versions.select_related("group").order_by("group__name", "-starts_at", "-pk")
    for one in sorted(ordered, key=lambda one: one.group is not None):
        whose = (one.tariff_id, one.group_id)
        if one.starts_at > viewer.now:
            when = ("in-use", gettext("not yet"))
        elif whose in current:
            when = ("offline", gettext("before"))
        else:
            current.add(whose)
            when = ("free", gettext("now"))
        sorted_in.setdefault(one.tariff_id, []).append(_version(one, when, viewer))
    return sorted_in


def _version(one: TariffVersion, when: tuple[str, str], viewer: Viewer) -> Version:
    return Version(
        group=one.group.name if one.group else gettext("Everybody"),
        since=formats.day(one.starts_at, viewer.zone),
        when=when,
        words=tuple(price_words(one)),
        tax=tax_words(one),
        account=" · ".join(part for part in (one.account, one.analytic) if part),
    )


def _free_slug(viewer: Viewer, name: str) -> str:
    """An address for the tariff; its name may be another's, in other letters."""
    base = slugify(name)[:50] or "tariff"
    taken = set(
        Tariff.objects.filter(lab=viewer.lab, slug__startswith=base).values_list("slug", flat=True)
    )
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return base if base not in taken else next(one for one in numbered if one not in taken)
