"""Columns and rows go in; a CSV or an XLSX that opens right in a French Excel comes out.

CSV: UTF-8 with a byte order mark, semicolons, CRLF, days as dd/mm/yyyy, a decimal comma on request. XLSX:
real dates, real numbers, euros with two decimals, the first row frozen. Whatever a person typed stays text:
in a CSV an apostrophe goes before what a spreadsheet would run, in an XLSX the cell is marked as quoted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

Cell = str | int | float | date | datetime | bool | None
"""Euros are integer cents, moments are aware or local wall times; None is an empty cell."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is run by a spreadsheet; a name typed by a stranger must stay a name."""

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_TYPE = "text/csv; charset=utf-8"

SHEET_NAME_LENGTH_MAX = 31
"""What Excel takes; it also refuses the signs below."""
_SHEET_NAME_BANS = str.maketrans(dict.fromkeys("[]:*?/\\'", " "))

WIDTH_MIN, WIDTH_MAX = 9, 44
"""Characters: a day fits the smallest, and the widest still leaves room for its neighbours."""


class Kind(Enum):
    """What a column holds; it decides how its cells are written."""

    TEXT = "text"
    DAY = "day"
    MOMENT = "moment"
    EUROS = "euros"
    NUMBER = "number"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A PERCENT is in hundredths of a percent: 2000 is 20 %."""

    heading: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """What goes into one file; `rows` are read once, a cell for each column."""

    title: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Cell]]


def neutral(cell: str) -> str:
    """`cell`, with an apostrophe before anything a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def to_csv(table: Table, *, decimal_comma: bool = False) -> bytes:
    """The whole file."""
    return b"".join(csv_lines(table, decimal_comma=decimal_comma))


def csv_lines(table: Table, *, decimal_comma: bool = False) -> Iterator[bytes]:
    """The file line by line: the byte order mark and the heading first."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=";", lineterminator="\r\n")
    kinds = [column.kind for column in table.columns]
    writer.writerow([neutral(column.heading) for column in table.columns])
    yield b"\xef\xbb\xbf" + _taken(sink)
    for row in table.rows:
        writer.writerow(
            _in_csv(kind, cell, decimal_comma) for kind, cell in zip(kinds, row, strict=True)
        )
        yield _taken(sink)


def to_xlsx(table: Table) -> bytes:
    """The whole file, one sheet."""
    import xlsxwriter

    sink = io.BytesIO()
    book = xlsxwriter.Workbook(
        sink, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    formats = {kind: book.add_format(_XLSX_FORMATS[kind]) for kind in Kind}
    quoted = book.add_format({"quote_prefix": True})
    sheet = book.add_worksheet(_sheet_name(table.title))
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    for number, column in enumerate(table.columns):
        sheet.write_string(0, number, column.heading, head)
    widths = [len(column.heading) for column in table.columns]
    count = 0
    for count, row in enumerate(table.rows, start=1):
        for number, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
            if cell is None or cell == "":
                continue
            _write(sheet, count, number, column.kind, cell, formats, quoted)
            widths[number] = max(widths[number], len(str(cell)))
    for number, width in enumerate(widths):
        sheet.set_column(number, number, min(max(width + 2, WIDTH_MIN), WIDTH_MAX))
    sheet.freeze_panes(1, 0)
    if count:
        sheet.autofilter(0, 0, count, len(table.columns) - 1)
    book.close()
    return sink.getvalue()


_XLSX_FORMATS: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {},
    # Named as Excel stores them; a French Excel shows jj/mm/aaaa.
    Kind.DAY: {"num_format": "dd/mm/yyyy"},
    Kind.MOMENT: {"num_format": "dd/mm/yyyy hh:mm:ss"},
    # Read by Excel in its own language: 1 234,50 where it is French.
    Kind.EUROS: {"num_format": "#,##0.00"},
    Kind.NUMBER: {},
    Kind.PERCENT: {"num_format": "0.00%"},
}

BASIS_POINTS = 10_000
"""Hundredths of a percent in a whole."""


def _write(
    sheet: Any,
    row: int,
    column: int,
    kind: Kind,
    cell: str | float | date,
    formats: dict[Kind, Any],
    quoted: Any,
) -> None:
    if isinstance(cell, datetime):
        # Excel knows no zones: what it is given is what its reader sees.
        sheet.write_datetime(row, column, cell.replace(tzinfo=None), formats[kind])
    elif isinstance(cell, date):
        sheet.write_datetime(row, column, cell, formats[kind])
    elif kind is Kind.TEXT or isinstance(cell, str):
        text = str(cell)
        sheet.write_string(row, column, text, quoted if text.startswith(FORMULA_STARTS) else None)
    else:
        divisor = {Kind.EUROS: 100, Kind.PERCENT: BASIS_POINTS}.get(kind, 1)
        sheet.write_number(row, column, cell / divisor, formats[kind])


def _in_csv(kind: Kind, cell: Cell, decimal_comma: bool) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.strftime("%d/%m/%Y %H:%M:%S")
    if isinstance(cell, date):
        return cell.strftime("%d/%m/%Y")
    if kind is Kind.TEXT or isinstance(cell, str):
        return neutral(str(cell))
    return _decimal(kind, cell).replace(".", "," if decimal_comma else ".")


def _decimal(kind: Kind, number: float) -> str:
    """Two decimals without passing through a binary fraction."""
    if kind in (Kind.EUROS, Kind.PERCENT) and isinstance(number, int):
        whole, rest = divmod(abs(number), 100)
        return f"{'-' if number < 0 else ''}{whole}.{rest:02d}"
    return str(number)


def _taken(sink: io.StringIO) -> bytes:
    """What was written since the last time."""
    text = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return text.encode()


def _sheet_name(title: str) -> str:
    return title.translate(_SHEET_NAME_BANS).strip()[:SHEET_NAME_LENGTH_MAX] or "1"
