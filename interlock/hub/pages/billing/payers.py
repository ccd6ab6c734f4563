"""A payer goes in; their members, what they have in advance, their statements, and the forms that change these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import credit, days
from interlock.hub.domain import entitlements, labs, passes, periods
from interlock.hub.domain import payers as deeds
from interlock.hub.models import AccountEntry, Member, Pass, PassKind, Payer, PayerKind, Statement
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import WHY_LENGTH_MAX, attempt, sentence
from interlock.hub.pages.billing.lines import payer_of
from interlock.hub.pages.billing.month import statement_row
from interlock.hub.pages.billing.payer_forms import (
    FIELDS,
    AllotForm,
    EntitlementForm,
    PassForm,
    PayerForm,
    TimeCreditForm,
    running_sponsorships,
    shown,
)
from interlock.hub.pages.billing.words import amount_of
from interlock.hub.pages.sessions import query_without_page
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50
STATEMENTS_SHOWN = 12
"""A year of months."""
ENTRIES_SHOWN = 20
MEMBERS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class PayerRow:
    """One payer in the list."""

    number: int
    name: str
    kind: str
    members: str
    balance: str
    state: tuple[str, str]


@dataclass(frozen=True, slots=True)
class PassRow:
    """One pass: what is left of it, and where it counts."""

    number: int
    name: str
    origin: str
    left: str
    whole: str
    machines: str
    until: str
    is_live: bool


@require_GET
@page(Permission.VIEW_PRICES)
def payers(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Everybody who pays, by name."""
    wanted = request.GET.get("q", "").strip()[:100]
    kind = request.GET.get("kind", "")
    found = Payer.objects.filter(lab=viewer.lab).order_by("name")
    if wanted:
        found = found.filter(name__icontains=wanted)
    if kind in PayerKind.values:
        found = found.filter(kind=kind)
    shown_page = Paginator(found.prefetch_related("members"), ROWS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    rows = list(shown_page.object_list)
    standing = credit.balances(viewer.lab, [one.pk for one in rows], viewer.now)
    context = {
        "page": shown_page,
        "rows": [_row(one, standing.get(one.pk)) for one in rows],
        "query": query_without_page(request),
        "wanted": wanted,
        "kind": kind,
        "kinds": PayerKind.choices,
        "filtered": bool(wanted or kind),
        "may_edit": viewer.may(Permission.EDIT_MEMBERS),
        "may_account": viewer.may(Permission.EDIT_ACCOUNTS),
    }
    return render(request, "hub/billing/payers.html", context)


@require_GET
@page(Permission.VIEW_PRICES)
def payer(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One payer."""
    return render(request, "hub/billing/payer.html", _facts(viewer, payer_of(viewer, number)))


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def edit(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The payer's name, numbers and address."""
    found = payer_of(viewer, number)
    form = PayerForm(request.POST if request.method == "POST" else None, initial=shown(found))
    if form.is_bound and form.is_valid():
        try:
            deeds.change_payer(viewer.actor, found, **_changes(form))
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("Kept."))
            return redirect("billing-payer", number)
    return render(request, "hub/billing/payer_form.html", {"form": form, "payer": found})


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A payer nobody knew."""
    initial = {"kind": PayerKind.ORGANISATION}
    form = PayerForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        wanted = _changes(form)
        try:
            made = labs.create_payer(
                viewer.actor, viewer.lab, wanted.pop("name"), PayerKind(wanted.pop("kind"))
            )
            if any(wanted.values()):
                deeds.change_payer(viewer.actor, made, **wanted)
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(
                request, gettext("%(name)s can pay from now on.") % {"name": made.name}
            )
            return redirect("billing-payer", made.pk)
    return render(request, "hub/billing/payer_form.html", {"form": form, "payer": None})


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def entitle(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Euros on the account, by a receipt."""

    def deed(payer: Payer, wanted: dict[str, Any]) -> str:
        entitlements.credit_account(
            viewer.actor, payer, wanted["euros"], wanted["receipt"], wanted["remark"]
        )
        named = {"amount": formats.euros(wanted["euros"]), "name": payer.name}
        return gettext("%(name)s may use %(amount)s more.") % named

    return _asked(request, viewer, number, "entitlement", EntitlementForm(request.POST), deed)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def set_prepays(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The payer pays in advance from now on, or by statement."""
    found, in_advance = payer_of(viewer, number), "in_advance" in request.POST
    why = request.POST.get("why", "").strip()[:WHY_LENGTH_MAX]
    said = (
        gettext("%(name)s pays in advance: only what stands on the account can be used.")
        if in_advance
        else gettext("%(name)s pays by statement, after the month.")
    )
    attempt(
        request,
        lambda: deeds.set_prepays(viewer.actor, found, in_advance, why),
        said % {"name": found.name},
    )
    return redirect("billing-payer", number)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def sell_pass(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Hours or euros bought in advance."""

    def deed(payer: Payer, wanted: dict[str, Any]) -> str:
        passes.sell_pass(
            viewer.actor,
            payer,
            PassKind(wanted["kind"]),
            wanted["name"],
            wanted["amount"],
            expires_at=_end_of(viewer, wanted),
            machines=list(wanted["machines"]),
            receipt=wanted["receipt"],
        )
        return gettext("%(name)s has the pass “%(pass)s”.") % {
            "name": payer.name,
            "pass": wanted["name"],
        }

    return _asked(request, viewer, number, "sold", PassForm(viewer, request.POST), deed)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def give_time(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Hours that the lab gives; they never become euros."""

    def deed(payer: Payer, wanted: dict[str, Any]) -> str:
        passes.give_time(
            viewer.actor, payer, wanted["hours"], wanted["why"], expires_at=_end_of(viewer, wanted)
        )
        named = {"name": payer.name, "time": formats.duration(wanted["hours"])}
        return gettext("%(name)s has %(time)s of the lab's time.") % named

    return _asked(request, viewer, number, "credits", TimeCreditForm(request.POST), deed)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def allot(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """A part of what a sponsor gives."""
    form = AllotForm(viewer, request.POST)

    def deed(payer: Payer, wanted: dict[str, Any]) -> str:
        made = passes.allot(viewer.actor, wanted["sponsorship"], payer, form.whole_amount())
        named = {"name": payer.name, "amount": amount_of(made.kind, made.amount)}
        return gettext("%(name)s has %(amount)s of it.") % named

    return _asked(request, viewer, number, "allotted", form, deed)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def take_back(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """A wrong entry is taken back by another."""
    entry = get_object_or_404(
        AccountEntry.objects.select_related("lab", "payer"), lab=viewer.lab, pk=number
    )
    why = request.POST.get("why", "").strip()
    attempt(
        request,
        lambda: entitlements.take_back(viewer.actor, entry, why),
        gettext("Taken back: the account no longer has it."),
    )
    return redirect("billing-payer", entry.payer_id)


@require_POST
@page(Permission.EDIT_ACCOUNTS)
def end_pass(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The pass counts no more."""
    found = get_object_or_404(
        Pass.objects.select_related("lab", "payer"), lab=viewer.lab, pk=number
    )
    why = request.POST.get("why", "").strip()
    attempt(
        request,
        lambda: passes.end_pass(viewer.actor, found, why),
        gettext("“%(pass)s” has ended. What it paid stays paid.") % {"pass": found.name},
    )
    return redirect("billing-payer", found.payer_id)


def _asked(
    request: HttpRequest,
    viewer: Viewer,
    number: int,
    name: str,
    form: forms.Form,
    deed: Callable[[Payer, dict[str, Any]], str],
) -> HttpResponse:
    """The deed is done, or the payer's page shows the form with what is wrong in it."""
    found = payer_of(viewer, number)
    if form.is_valid():
        try:
            said = deed(found, form.cleaned_data)
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, said)
            return redirect("billing-payer", number)
    return render(request, "hub/billing/payer.html", {**_facts(viewer, found), name: form})


def _facts(viewer: Viewer, found: Payer) -> dict[str, Any]:
    """Everything the payer's page shows; the queries are as many for one pass as for fifty."""
    members = Member.objects.filter(payer=found) | Member.objects.filter(firm=found)
    members = members.distinct().select_related("group").order_by("name")
    statements = (
        Statement.objects.filter(payer=found)
        .select_related("lab", "payer", "delivery")
        .order_by("-number")[:STATEMENTS_SHOWN]
    )
    entries = (
        AccountEntry.objects.filter(payer=found)
        .select_related("statement", "taken_back_by")
        .order_by("-written_at", "-pk")[:ENTRIES_SHOWN]
    )
    owned = list(Pass.objects.filter(payer=found).prefetch_related("machines"))
    left = passes.left(owned)
    month = periods.open_month(viewer.lab, viewer.now)
    return {
        "payer": found,
        "kind": found.get_kind_display(),
        "members": list(members[:MEMBERS_SHOWN]),
        "opens_members": viewer.may(Permission.VIEW_MEMBERS),
        "balance": credit.balance_of(found, viewer.now),
        "passes": [pass_row(one, left, viewer) for one in owned],
        "entries": [_entry(one, viewer) for one in entries],
        "statements": [statement_row(one, viewer) for one in statements],
        "month": month,
        "may_edit": viewer.may(Permission.EDIT_MEMBERS),
        "may_account": viewer.may(Permission.EDIT_ACCOUNTS),
        "may_add": viewer.may(Permission.CORRECT_USE, Permission.EDIT_ACCOUNTS),
        "entitlement": EntitlementForm(),
        "sold": PassForm(viewer, initial={"kind": PassKind.TIME}),
        "credits": TimeCreditForm(),
        "allotted": AllotForm(viewer) if running_sponsorships(viewer).exists() else None,
    }


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One movement of an account."""

    number: int
    day: str
    words: str
    amount: str
    may_take_back: bool


def _entry(one: AccountEntry, viewer: Viewer) -> EntryRow:
    kinds = {
        AccountEntry.Kind.ENTITLEMENT: gettext("receipt %(receipt)s"),
        AccountEntry.Kind.TAKEN_BACK: gettext("taken back: %(why)s"),
        AccountEntry.Kind.STATEMENT: gettext("statement %(statement)s"),
    }
    named = {"receipt": one.receipt, "why": one.why, "statement": one.statement}
    words = kinds[AccountEntry.Kind(one.kind)] % named
    if one.why and one.kind == AccountEntry.Kind.ENTITLEMENT:
        words = f"{words} · {one.why}"
    return EntryRow(
        one.pk,
        formats.day(one.written_at, viewer.zone),
        words,
        formats.euros(one.cents),
        one.kind == AccountEntry.Kind.ENTITLEMENT and not hasattr(one, "taken_back_by"),
    )


def pass_row(one: Pass, left: Mapping[int, passes.Left], viewer: Viewer) -> PassRow:
    """A pass in words; `left` is what `passes.left` says of it."""
    live = one.expires_at is None or one.expires_at > viewer.now
    machines = ", ".join(machine.name for machine in one.machines.all())
    return PassRow(
        number=one.pk,
        name=one.name,
        origin=str(one.get_origin_display()),
        left=amount_of(one.kind, left[one.pk].left),
        whole=amount_of(one.kind, one.amount),
        machines=machines or gettext("every machine"),
        until=formats.day(one.expires_at, viewer.zone) if one.expires_at else "",
        is_live=live,
    )


def _row(one: Payer, balance: credit.Balance | None) -> PayerRow:
    colours = {"low": "ending", "none": "fault"}
    names = [member.name for member in one.members.all()]
    state = ("", "")
    if balance is not None and one.prepays:
        shown_state = Member.Credit(balance.state)
        state = (colours.get(shown_state.value, "free"), str(shown_state.label))
    return PayerRow(
        number=one.pk,
        name=one.name,
        kind=str(one.get_kind_display()),
        members=_names(names, one.name),
        balance=formats.euros(balance.left_cents) if balance and one.prepays else "",
        state=state,
    )


NAMES_SHOWN = 3


def _names(names: list[str], own: str) -> str:
    """The members of an organisation: three by name, the others by number."""
    others = sorted(name for name in names if name != own)
    more = len(others) - NAMES_SHOWN
    said = ", ".join(others[:NAMES_SHOWN])
    return f"{said} +{more}" if more > 0 else said


def _changes(form: PayerForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in FIELDS}


def _end_of(viewer: Viewer, wanted: dict[str, Any]) -> datetime | None:
    """The midnight after the last day it counts."""
    day = wanted["until_day"]
    return days.end_of(day, viewer.zone) if day else None
