"""What spreadsheets are given, byte by byte, and what one reads back."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest
from openpyxl import load_workbook

from interlock.hub.tables import Column, Kind, Table, csv_lines, neutral, to_csv, to_xlsx

pytestmark = pytest.mark.fast

COLUMNS = (
    Column("Payeur"),
    Column("Jour", Kind.DAY),
    Column("Fin", Kind.MOMENT),
    Column("HT", Kind.EUROS),
    Column("TVA", Kind.PERCENT),
    Column("Sessions", Kind.NUMBER),
)
ROW = (
    "Société Ébène; SARL",
    date(2026, 10, 3),
    datetime(2026, 10, 3, 14, 5, 9, tzinfo=UTC),
    -123_405,
    2_000,
    7,
)
EVIL = ["=1+1", "+33 6", "-2", "@SUM(A1)", "\tx", "\rx", "\n=1"]


def table(*rows: tuple[object, ...]) -> Table:
    return Table("Écritures: octobre/2026 [brouillon]", COLUMNS, list(rows))  # type: ignore[arg-type]


def test_a_csv_is_byte_for_byte_what_a_french_excel_opens() -> None:
    assert to_csv(table(ROW), decimal_comma=True) == (
        b"\xef\xbb\xbfPayeur;Jour;Fin;HT;TVA;Sessions\r\n"
        b'"Soci\xc3\xa9t\xc3\xa9 \xc3\x89b\xc3\xa8ne; SARL";03/10/2026;03/10/2026 14:05:09;'
        b"-1234,05;20,00;7\r\n"
    )


def test_without_the_wish_decimals_have_a_point() -> None:
    assert b";-1234.05;20.00;7\r\n" in to_csv(table(ROW))


def test_the_mark_of_the_encoding_stands_once_however_many_lines_there_are() -> None:
    assert b"".join(csv_lines(table(*[ROW] * 3))).count(b"\xef\xbb\xbf") == 1


def test_an_empty_table_is_its_heading() -> None:
    assert to_csv(table()) == b"\xef\xbb\xbfPayeur;Jour;Fin;HT;TVA;Sessions\r\n"
    assert sheet(to_xlsx(table()))["A1"].value == "Payeur"


@pytest.mark.parametrize("cell", EVIL)
def test_a_name_that_begins_like_a_formula_is_text_in_both(cell: str) -> None:
    row = (cell, *ROW[1:])
    assert neutral(cell) == f"'{cell}"
    body = to_csv(table(row)).decode("utf-8-sig").split("\r\n", 1)[1]
    assert body.lstrip('"').startswith(f"'{cell}")
    read = sheet(to_xlsx(table(row)))["A2"]
    assert read.data_type == "s"
    # OOXML writes a carriage return as a name; openpyxl does not read it back.
    assert str(read.value).replace("_x000D_", "\r") == cell
    assert read.quotePrefix


def test_a_heading_that_begins_like_a_formula_is_text_too() -> None:
    evil = Table("x", (Column("=cmd()"),), [])
    assert b"'=cmd()" in to_csv(evil)
    assert sheet(to_xlsx(evil))["A1"].data_type == "s"


def test_a_negative_amount_is_a_number_and_no_formula() -> None:
    assert b";-1234.05;" in to_csv(table(ROW))
    assert sheet(to_xlsx(table(ROW)))["D2"].value == -1_234.05


def test_an_xlsx_holds_real_dates_and_numbers() -> None:
    read = sheet(to_xlsx(table(ROW)))
    assert [cell.value for cell in read[2]] == [
        "Société Ébène; SARL",
        datetime(2026, 10, 3, tzinfo=UTC).replace(tzinfo=None),
        datetime(2026, 10, 3, 14, 5, 9, tzinfo=UTC).replace(tzinfo=None),
        -1_234.05,
        0.2,
        7,
    ]
    assert [cell.number_format for cell in read[2]] == [
        "General",
        "dd/mm/yyyy",
        "dd/mm/yyyy hh:mm:ss",
        "#,##0.00",
        "0.00%",
        "General",
    ]
    assert read.freeze_panes == "A2"
    assert read.title == "Écritures  octobre 2026  brouil"


def test_a_cell_without_value_stays_empty() -> None:
    row = ("", None, None, None, None, None)
    assert to_csv(table(row)).endswith(b"\r\n;;;;;\r\n")
    assert sheet(to_xlsx(table(row)))["A2"].value is None


def sheet(raw: bytes):  # type: ignore[no-untyped-def] # openpyxl has no types
    return load_workbook(io.BytesIO(raw)).active
