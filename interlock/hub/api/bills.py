"""Payers, lines and statements: read, and written as lines only. What stands on a statement never changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router

from interlock.hub.api import bill_shapes, shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.badges import WRITTEN
from interlock.hub.api.people import ASKED, FOUND, REFUSED, member_of
from interlock.hub.api.repeats import once
from interlock.hub.domain import corrections, materials
from interlock.hub.domain.periods import months as months_of
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import Line, Material, Payer, Session, Statement

router = Router(tags=["bills"])
Kind = Literal["session", "material", "adjustment", "correction"]


@router.get(
    "/payers", response={200: bill_shapes.PayerPage, **ASKED}, auth=BearerToken(Scope.BILLS_READ)
)
def payers(
    request: HttpRequest,
    q: shapes.SearchText = "",
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's payers by name; `q` is a part of it."""
    found = Payer.objects.filter(lab=caller_of(request).lab)
    if q.strip():
        found = found.filter(name__icontains=q.strip())
    return shapes.page_of(found.order_by("name", "pk"), page, size, bill_shapes.payer_told)


@router.get(
    "/materials",
    response={200: bill_shapes.MaterialPage, **ASKED},
    auth=BearerToken(Scope.BILLS_READ),
)
def catalogue(
    request: HttpRequest, page: shapes.Page = 1, size: shapes.Size = shapes.SIZE
) -> dict[str, Any]:
    """What the lab sells, by name."""
    found = Material.objects.filter(lab=caller_of(request).lab, retired_at=None)
    return shapes.page_of(found.order_by("name", "pk"), page, size, bill_shapes.material_told)


@router.get(
    "/months", response={200: bill_shapes.MonthsOut, **REFUSED}, auth=BearerToken(Scope.BILLS_READ)
)
def months(request: HttpRequest) -> dict[str, Any]:
    """The latest 24 months with something in them, the newest first."""
    caller = caller_of(request)
    rows = months_of(caller.lab, caller.actor.now())
    return {"items": [bill_shapes.month_told(row) for row in rows]}


@router.get(
    "/lines", response={200: bill_shapes.LinePage, **ASKED}, auth=BearerToken(Scope.BILLS_READ)
)
def lines(
    request: HttpRequest,
    month: shapes.WhichDay = None,
    payer: shapes.Which = None,
    statement: shapes.Which = None,
    kind: Annotated[Kind | None, Query()] = None,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """Lines in the order they were made: of one month (any of its days), payer, statement or kind."""
    found = _lines(caller_of(request))
    if month is not None:
        found = found.filter(month=month.replace(day=1))
    if payer is not None:
        found = found.filter(payer=payer)
    if statement is not None:
        found = found.filter(statement__number=statement)
    if kind is not None:
        found = found.filter(kind=kind)
    return shapes.page_of(found.order_by("pk"), page, size, bill_shapes.line_told)


@router.get(
    "/lines/{number}",
    response={200: bill_shapes.LineOut, **FOUND},
    auth=BearerToken(Scope.BILLS_READ),
)
def line(request: HttpRequest, number: shapes.RowNumber) -> dict[str, Any]:
    """One line."""
    return bill_shapes.line_told(_line_of(caller_of(request), number))


@router.get(
    "/statements",
    response={200: bill_shapes.StatementPage, **ASKED},
    auth=BearerToken(Scope.BILLS_READ),
)
def statements(
    request: HttpRequest,
    month: shapes.WhichDay = None,
    payer: shapes.Which = None,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """Statements by number: of one month (any of its days) or payer."""
    found = _statements(caller_of(request))
    if month is not None:
        found = found.filter(period__month=month.replace(day=1))
    if payer is not None:
        found = found.filter(payer=payer)
    return shapes.page_of(found.order_by("number"), page, size, bill_shapes.statement_told)


@router.get(
    "/statements/{number}",
    response={200: bill_shapes.StatementOut, **FOUND},
    auth=BearerToken(Scope.BILLS_READ),
)
def statement(request: HttpRequest, number: shapes.RowNumber) -> dict[str, Any]:
    """One statement; its lines are `/lines?statement=NUMBER`."""
    found = _statements(caller_of(request)).filter(number=number).first()
    if found is None:
        raise Http404(_("There is no such statement in this lab."))
    return bill_shapes.statement_told(found)


@router.post(
    "/payers/{number}/materials",
    response={201: bill_shapes.LineOut, **WRITTEN},
    auth=BearerToken(Scope.LINES_WRITE),
)
def add_material(
    request: HttpRequest, number: shapes.RowNumber, body: bill_shapes.MaterialBody
) -> HttpResponse:
    """The payer owes that much of the material, in the month that is running."""
    caller = caller_of(request)
    payer = _payer_of(caller, number)
    sold = Material.objects.filter(lab=caller.lab, pk=body.material).select_related("lab").first()
    if sold is None:
        raise Http404(_("There is no such material in this lab."))
    member = None if body.member is None else member_of(caller, body.member)
    session = None if body.session is None else _session_of(caller, body.session)

    def deed() -> dict[str, Any]:
        added = materials.add_material(
            caller.actor,
            sold,
            Decimal(body.quantity_milli) / materials.MILLI,
            payer,
            member=member,
            session=session,
            why=body.why,
        )
        return _told(caller, added)

    return once(request, caller, 201, deed)


@router.post(
    "/payers/{number}/adjustments",
    response={201: bill_shapes.LineOut, **WRITTEN},
    auth=BearerToken(Scope.LINES_WRITE),
)
def adjust(
    request: HttpRequest, number: shapes.RowNumber, body: bill_shapes.AdjustmentBody
) -> HttpResponse:
    """The payer owes so much more (below zero: less), in the month that is running."""
    caller = caller_of(request)
    payer = _payer_of(caller, number)

    def deed() -> dict[str, Any]:
        written = corrections.adjust(
            caller.actor,
            payer,
            body.cents,
            body.words,
            body.why,
            vat_bp=body.vat_bp,
            is_net=body.is_net,
        )
        return _told(caller, written)

    return once(request, caller, 201, deed)


@router.post(
    "/lines/{number}/corrections",
    response={201: bill_shapes.LineOut, **WRITTEN},
    auth=BearerToken(Scope.LINES_WRITE),
)
def correct(
    request: HttpRequest, number: shapes.RowNumber, body: bill_shapes.CorrectionBody
) -> HttpResponse:
    """The line should have been that much: the difference is a new line, of a closed one in the open month."""
    caller = caller_of(request)
    found = _line_of(caller, number)

    def deed() -> dict[str, Any]:
        return _told(caller, corrections.correct_line(caller.actor, found, body.cents, body.why))

    return once(request, caller, 201, deed)


def _told(caller: Caller, written: Line) -> dict[str, Any]:
    return bill_shapes.line_told(_line_of(caller, written.pk))


def _lines(caller: Caller) -> QuerySet[Line]:
    found = Line.objects.filter(lab=caller.lab)
    return found.select_related("lab", "payer", "statement", "session__machine")


def _statements(caller: Caller) -> QuerySet[Statement]:
    return Statement.objects.filter(lab=caller.lab).select_related("payer", "period")


def _line_of(caller: Caller, number: int) -> Line:
    found = _lines(caller).filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no such line in this lab."))
    return found


def _payer_of(caller: Caller, number: int) -> Payer:
    found = Payer.objects.filter(lab=caller.lab, pk=number).select_related("lab").first()
    if found is None:
        raise Http404(_("There is no such payer in this lab."))
    return found


def _session_of(caller: Caller, number: int) -> Session:
    found = Session.objects.filter(lab=caller.lab, pk=number).first()
    if found is None:
        raise Http404(_("There is no such session in this lab."))
    return found
