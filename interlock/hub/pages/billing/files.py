"""A closed month goes in; the accountant's files come out, as CSV and as Excel."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub import accounting
from interlock.hub.models import Period
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.billing.month import month_at
from interlock.hub.permissions import Permission
from interlock.hub.tables import CSV_TYPE, XLSX_TYPE, Table, to_csv, to_xlsx


@require_GET
@page(Permission.EXPORT)
def entries_csv(request: HttpRequest, viewer: Viewer, year: int, month: int) -> HttpResponse:
    """One line per accounting entry."""
    return _csv(request, _table(viewer, year, month, accounting.entries_of))


@require_GET
@page(Permission.EXPORT)
def entries_xlsx(_request: HttpRequest, viewer: Viewer, year: int, month: int) -> HttpResponse:
    """The same as a workbook."""
    return _xlsx(_table(viewer, year, month, accounting.entries_of))


@require_GET
@page(Permission.EXPORT)
def statements_csv(request: HttpRequest, viewer: Viewer, year: int, month: int) -> HttpResponse:
    """One line per statement."""
    return _csv(request, _table(viewer, year, month, accounting.statements_of))


@require_GET
@page(Permission.EXPORT)
def statements_xlsx(_request: HttpRequest, viewer: Viewer, year: int, month: int) -> HttpResponse:
    """The same as a workbook."""
    return _xlsx(_table(viewer, year, month, accounting.statements_of))


def csv_answer(table: Table, *, decimal_comma: bool) -> HttpResponse:
    """The table as a file to keep."""
    return _file(to_csv(table, decimal_comma=decimal_comma), CSV_TYPE, f"{table.title}.csv")


def wants_comma(request: HttpRequest) -> bool:
    """`?decimals=comma` or `point`; without a wish, as the language of the page writes numbers."""
    wish = request.GET.get("decimals", "")
    return wish == "comma" if wish in ("comma", "point") else formats.is_french()


def _csv(request: HttpRequest, table: Table) -> HttpResponse:
    return csv_answer(table, decimal_comma=wants_comma(request))


def _xlsx(table: Table) -> HttpResponse:
    return _file(to_xlsx(table), XLSX_TYPE, f"{table.title}.xlsx")


def _file(content: bytes, media_type: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=media_type)
    # Django writes RFC 6266's filename* for the accents.

    header = content_disposition_header(as_attachment=True, filename=name.replace(" ", "-"))
    answer.headers["Content-Disposition"] = header or "attachment"
    return answer


def _table(viewer: Viewer, year: int, month: int, made_by: Callable[[Period], Table]) -> Table:
    wanted = month_at(year, month)
    period = Period.objects.filter(lab=viewer.lab, month=wanted, closed_at__isnull=False).first()
    if period is None:
        raise Http404(gettext("This month is not closed: it has no statements yet."))
    return made_by(period)
