"""Uses that a copied SD card tells of go in; somebody's decision about each comes out: billed, or left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from interlock.hub import pricing
from interlock.hub.bill_inputs import Versions, terms_of, version_for, versions_of
from interlock.hub.domain import aside_uses
from interlock.hub.domain.corrections import WHY_LENGTH_MAX
from interlock.hub.models import Line, UseSetAside
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.workshop.parts import one_of, page_of
from interlock.hub.permissions import Permission
from interlock.hub.set_aside import EPOCH_OF_ASIDE, AsideUse, uses_of


@dataclass(frozen=True, slots=True)
class Row:
    """One use in words; `notes` say what is not sure about it, `session` is where it was billed."""

    number: int
    machine: str
    machine_slug: str
    who: str
    address: str
    when: str
    duration: str
    price: str
    notes: list[str]
    may_bill: bool
    decision: str
    session: str


@require_GET
@page(Permission.CORRECT_USE)
def uses(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Those that wait for somebody, or those about which somebody decided."""
    decided = request.GET.get("decided") == "1"
    found = UseSetAside.objects.filter(lab=viewer.lab).order_by("start__arrived_at", "pk")
    waiting = UseSetAside.Decision.WAITING
    if decided:
        found = found.exclude(decision=waiting).order_by("-decided_at", "-pk")
    else:
        found = found.filter(decision=waiting)
    shown = page_of(request, found.select_related("start__node__machine"))
    context = {
        "page": shown,
        "rows": _rows(list(shown), viewer),
        "decided": decided,
        "query": "decided=1" if decided else "",
        "length_max": WHY_LENGTH_MAX,
    }
    return render(request, "hub/billing/aside.html", context)


@require_POST
@page(Permission.CORRECT_USE)
def bill(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Its payer owes it."""
    row = _found(viewer, number)
    why = request.POST.get("why", "")
    said = gettext("Billed like any other session.")
    return _done(request, lambda: aside_uses.bill(viewer.actor, row, why), said)


@require_POST
@page(Permission.CORRECT_USE)
def leave_out(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Nobody owes it."""
    row = _found(viewer, number)
    why = request.POST.get("why", "")
    said = gettext("Left out: nobody pays for it.")
    return _done(request, lambda: aside_uses.leave_out(viewer.actor, row, why), said)


@require_POST
@page(Permission.CORRECT_USE)
def take_back(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It waits again."""
    row = _found(viewer, number)
    why = request.POST.get("why", "")
    said = gettext("Taken back: it waits for a decision again.")
    return _done(request, lambda: aside_uses.take_back(viewer.actor, row, why), said)


def _done(request: HttpRequest, deed: Callable[[], object], said: str) -> HttpResponse:
    attempt(request, deed, said)
    return redirect("set-aside")


def _found(viewer: Viewer, number: int) -> UseSetAside:
    rows = UseSetAside.objects.filter(lab=viewer.lab, pk=number)
    return one_of(rows.select_related("lab", "start__node__machine"))


def _rows(rows: list[UseSetAside], viewer: Viewer) -> list[Row]:
    versions = versions_of(
        row.start.node.machine.tariff_id for row in rows if row.start.node.machine.tariff_id
    )
    billed = Line.objects.filter(
        session__epoch=EPOCH_OF_ASIDE, session__seq__in=[row.pk for row in rows]
    )
    lines = {line.session.seq: line for line in billed.select_related("session") if line.session}
    return [_row(use, versions, lines.get(use.row.pk), viewer) for use in uses_of(rows)]


def _row(use: AsideUse, versions: Versions, line: Line | None, viewer: Viewer) -> Row:
    machine, member = use.row.start.node.machine, use.member
    price = _price(use, versions)
    billed = line is not None and use.row.decision == UseSetAside.Decision.BILLED
    return Row(
        number=use.row.pk,
        machine=machine.name,
        machine_slug=machine.slug,
        who=member.name if member else gettext("Somebody the hub does not know"),
        address=reverse("member", args=[member.public_id]) if member else "",
        when=formats.moment(use.started_at, viewer.zone, viewer.now),
        duration=formats.duration(use.enabled_ms // 1_000),
        price=formats.euros(line.cents) if billed and line else price,
        notes=_notes(use),
        may_bill=use.is_use,
        decision=use.row.get_decision_display(),
        session=reverse("session", args=[line.session_id]) if billed and line else "",
    )


def _notes(use: AsideUse) -> list[str]:
    said = (
        (use.is_erased, gettext("Whoever it was has been erased since.")),
        (use.is_voided, gettext("The machine never got power.")),
        (
            use.is_estimated and not use.is_voided,
            gettext("No record says how it ended: this is its last sign of life."),
        ),
        (not use.is_dated, gettext("Its clock was never set: the day is that of its arrival.")),
    )
    return [words for holds, words in said if holds]


def _price(use: AsideUse, versions: Versions) -> str:
    """What it costs alone, by the member's group today: what caps and passes leave of it shows once it is billed."""
    if not use.is_use:
        return ""
    group = use.member.group_id if use.member else None
    version = version_for(versions, use.row.start.node.machine.tariff_id, group, use.started_at)
    alone = pricing.Use(
        ended_ms=0,
        node="",
        epoch=0,
        seq=0,
        day=use.ended_at.date(),
        enabled_ms=use.enabled_ms,
        busy_ms=use.busy_ms,
        terms=terms_of(version) if version else None,
    )
    return formats.euros(pricing.price([alone])[0].price_cents)
