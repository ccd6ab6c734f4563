"""Small files that unfold to something large in; a list or a refusal out, in little memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from xml.sax.saxutils import quoteattr

import pytest

from interlock.errors import ConfigError
from interlock.hub import spreadsheets, workbooks
from interlock.hub.spreadsheets import LINES_MAX, Sheet, read_sheet
from interlock.hub.workbooks import ROWS_SEEN_MAX

pytestmark = pytest.mark.fast

PEAK_BYTES_MAX = 24 * 1_048_576
"""openpyxl itself takes a few of them; each of the files below once took hundreds."""

_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DECLARED = '<?xml version="1.0"?>'


def workbook(sheet_data: str, dimension: str = "") -> bytes:
    """The smallest XLSX with one sheet, written by hand: what no spreadsheet would write."""
    told = f"<dimension ref={quoteattr(dimension)}/>" if dimension else ""
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{types}sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/a.xml" ContentType="{types}worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="List" sheetId="1" r:id="r"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r" Type="{_OFFICE}/worksheet" Target="worksheets/a.xml"/>'
        "</Relationships>",
        "xl/worksheets/a.xml": f'<worksheet xmlns="{_SHEETS}">{told}<sheetData>{sheet_data}'
        "</sheetData></worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in parts.items():
            target.writestr(name, _DECLARED + content)
    return out.getvalue()


def cell(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def in_little_memory(raw: bytes) -> Sheet:
    """What the file says; fails when reading it took more than it may."""
    read_sheet(workbook(row(1, cell("A1", "name"))), "warm")  # openpyxl's own modules
    tracemalloc.start()
    try:
        return read_sheet(raw, "list")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= len(raw) + PEAK_BYTES_MAX, f"{peak // 1_048_576} MB"


NAMES = row(1, cell("A1", "name")) + row(2, cell("A2", "Zoé"))


def test_a_workbook_written_by_hand_is_read() -> None:
    """The control of this file: what is refused below is refused for its size."""
    sheet = read_sheet(workbook(NAMES, "A1:A2"), "list")
    assert (sheet.heading, [one.cells for one in sheet.rows]) == (("name",), [("Zoé",)])


def test_a_sheet_that_says_it_is_as_wide_and_long_as_can_be_costs_no_more_than_it_holds() -> None:
    """A thousand bytes; every missing row once was 16,384 cells."""
    sheet = in_little_memory(workbook(NAMES + row(2_000, cell("A2000", "Ada")), "A1:XFD1048576"))
    assert [(one.number, one.cells) for one in sheet.rows] == [(2, ("Zoé",)), (2_000, ("Ada",))]


def test_cells_that_are_coloured_far_to_the_right_are_no_columns() -> None:
    """Whoever colours whole rows has 16,384 of them in each."""
    coloured = "".join(
        row(number, cell(f"A{number}", "x"), f'<c r="XFD{number}" s="0"/>')
        for number in range(2, 1_500)
    )
    sheet = in_little_memory(workbook(row(1, cell("A1", "name")) + coloured, "A1:XFD1500"))
    assert {one.cells for one in sheet.rows} == {("x",)}


def test_text_in_the_201st_column_is_refused_and_not_left_out() -> None:
    with pytest.raises(ConfigError, match="more than 200 columns"):
        read_sheet(workbook(row(1, cell("A1", "name"), cell("GS1", "x"))), "list")


@pytest.mark.parametrize("tag", ["<row/>", "<row></row>", "<c/>"])
def test_a_sheet_of_nothing_but_tags_is_refused_before_it_is_parsed(
    tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred bytes of memory for each of its six: 100 MB of them were 1.5 GB."""
    monkeypatch.setattr(workbooks, "TAGS_MAX", 40_000)
    parsed: list[str] = []
    monkeypatch.setattr(workbooks, "_first_sheet", lambda *_: parsed.append("parsed"))
    with pytest.raises(ConfigError, match="than a list of people"):
        read_sheet(workbook(NAMES + tag * 40_000), "list")
    assert parsed == []


def test_the_limit_of_tags_leaves_room_for_the_longest_list_of_fifty_columns() -> None:
    """Each cell with text of its own is three elements: <c><is><t>."""
    assert LINES_MAX * (50 * 3 + 1) <= workbooks.TAGS_MAX


_SHEET = f'<worksheet xmlns="{_SHEETS}"><sheetData>'


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("xl/worksheets/a.xml", _SHEET + "<row/>" * 60),
        ("xl/worksheets/a.xml", _SHEET + "<row>" + "<c/>" * 60),
        ("xl/worksheets/a.xml", _SHEET + "<c/>" * 60),
        # A row of another language ends none of the sheet's own, and a comment holds none.
        ("xl/worksheets/a.xml", _SHEET + "<row>" + '<c/><z:row xmlns:z="z"/>' * 30),
        ("xl/worksheets/a.xml", _SHEET + "<row>" + "<c/><!--</row><row>-->" * 60),
        ("xl/sharedStrings.xml", f'<sst xmlns="{_SHEETS}">' + "<si/>" * 60),
        ("xl/sharedStrings.xml", f'<sst xmlns="{_SHEETS}"><si>' + "<r/>" * 60),
        ("xl/styles.xml", f'<styleSheet xmlns="{_SHEETS}"><cellXfs>' + "<xf/>" * 60),
    ],
    ids=["rows", "cells", "beside", "foreign rows", "comments", "texts", "pieces", "styles"],
)
def test_whatever_is_too_many_of_one_thing_is_refused_before_it_is_parsed(
    part: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ROWS", "ROW_TAGS", "TEXTS", "TEXT_TAGS", "STYLE_TAGS"):
        monkeypatch.setattr(workbooks, f"{name}_MAX", 50)
    monkeypatch.setattr(workbooks, "BESIDE_MAX", 50)
    parsed: list[str] = []
    monkeypatch.setattr(workbooks, "_first_sheet", lambda *_: parsed.append("parsed"))
    raw = io.BytesIO(workbook(NAMES))
    with zipfile.ZipFile(raw) as parts, zipfile.ZipFile(out := io.BytesIO(), "w") as target:
        for name in {*parts.namelist(), part} - {part}:
            target.writestr(name, parts.read(name))
        target.writestr(part, _DECLARED + content)
    with pytest.raises(ConfigError, match="than a list of people"):
        read_sheet(out.getvalue(), "list")
    assert parsed == []


ENDLESS: dict[str, Callable[[], bytes]] = {
    "empty lines": lambda: b"name\n" + b"\n" * (ROWS_SEEN_MAX + 1) + b"x\n",
    "lines of nothing but separators": lambda: b"name;b\n" + b";\n" * ROWS_SEEN_MAX + b"x;y\n",
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_csv_without_end_is_given_up_where_a_workbook_is(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven megabytes of line ends were six million lists of cells at once."""
    monkeypatch.setattr(spreadsheets, "ROWS_SEEN_MAX", 5_000)
    with pytest.raises(ConfigError, match="more than 20000 lines"):
        in_little_memory(ENDLESS[what]())


def test_a_line_of_megabytes_is_refused_in_words() -> None:
    for raw in (b"name\n" + b"x" * 6_000_000, b'name\n"' + b"a\n" * 1_000_000):
        with pytest.raises(ConfigError, match="it is not CSV"):
            read_sheet(raw, "list")
