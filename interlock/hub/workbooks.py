"""The bytes of an XLSX go in; numbered rows of text come out: what its first sheet with words shows.

A workbook is a zip of XML that somebody sent: it is measured before it is unpacked, no document type is
read (entities could grow without end), and nothing in it is run. Formulas count by the result they were
saved with.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from itertools import islice, zip_longest
from typing import Any
from xml.parsers import expat

from django.utils.translation import gettext as _

from interlock.errors import ConfigError

ZIP = b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""An OLE2 file: .xls, or an XLSX that is locked with a password."""
PDF = b"%PDF"
UNPACKED_BYTES_MAX = 100 * 1_048_576
"""Forty thousand lines of thirty columns take 60 MB of XML; a zip bomb takes gigabytes."""
PARTS_MAX = 2_000
"""Files inside the zip: a sheet is one, so is a picture."""
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
TAGS_MAX = 3_250_000
"""Elements of one sheet: 20,000 lines of fifty cells with text of their own are 3 million (c, is, t)."""
ROWS_MAX = 1_048_576
"""No spreadsheet has more. A row that was read still takes a hundred bytes of memory: a hundred megabytes."""
ROW_TAGS_MAX = 100_000
"""Elements of one row: 16,384 cells, as many as a spreadsheet has, of up to six each. They are in memory together."""
BESIDE_MAX = 200_000
"""Elements of a sheet beside its rows: 65,530 links, merged cells, rules for colours. They stay in memory."""
TEXTS_MAX = 500_000
"""Texts that cells share: 20,000 lines of twenty-five that nobody else has. Two hundred bytes of memory each."""
TEXT_TAGS_MAX = 2_000
"""Elements of one text: some hundred pieces in bold or red. Each is an object of a kilobyte for a moment."""
STYLE_TAGS_MAX = 50_000
"""Tags of any other part, of which styles are the largest: a workbook of many years has some thousands. A
style takes a kilobyte and a half of memory."""
ROWS_SEEN_MAX = 200_000
"""Rows that are only coloured count too; whoever formats a whole column has a million of them."""
COLUMNS_SEEN = 201
"""A row that is only coloured has 16,384 cells; text in the last one looked at is a column too many."""
HEAD_BYTES = 1_024
_ROOT_COMES_FIRST = re.compile(rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>)?\s*<[A-Za-z]")
"""What every spreadsheet writes: the declaration, then the root element; no document type between."""

ROWS_LOOKED_AT = 50
"""A list begins within the first screen."""
_MARKS = {b"<mergeCell ": "merged", b"<f>": "formulas", b"<f ": "formulas"}
MARK_BYTES_MAX = 16
_BROKEN = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OSError),
    *(SyntaxError, zipfile.BadZipFile, zlib.error),
)
"""What zipfile and openpyxl raise over a damaged file; XML's own errors are SyntaxErrors."""

Rows = list[tuple[int, tuple[str, ...]]]


def is_workbook(raw: bytes) -> bool:
    """Whether it might be an XLSX: a zip."""
    return raw.startswith(ZIP)


def refuse_others(raw: bytes, where: str) -> None:
    """Return unless it is some well-known file that is no list. Raises ConfigError."""
    if raw.startswith(OLD_EXCEL):
        raise ConfigError(
            _("it is an old Excel file, or locked with a password"),
            where=where,
            remedy=_("Save it as XLSX or CSV, without a password"),
        )
    if raw.startswith(PDF):
        raise ConfigError(_("it is a PDF"), where=where, remedy=_("Export it as CSV or XLSX"))


def read_rows(raw: bytes, where: str, rows_max: int) -> tuple[Rows, tuple[str, ...]]:
    """The rows with text, at most `rows_max`, of the first sheet that has any, and what a person should know of
    how they were read. Raises ConfigError: no XLSX, too large when unpacked, macros, formulas that nobody
    computed."""
    found = _inspect(raw, where)
    # openpyxl warns of decorations that it leaves out; nobody here misses them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sheet, others = _first_sheet(raw, where)
            rows = _rows(raw, sheet, rows_max)
            if "formulas" in found:
                _refuse_unsolved(raw, sheet, dict(rows), where)
        except _BROKEN as error:
            raise _damaged(where) from error
    notes = []
    if others:
        notes.append(_("Only the sheet “%(name)s” was read.") % {"name": sheet})
    if "merged" in found:
        notes.append(
            _("It has merged cells: the text of each counts in its first row and column alone.")
        )
    return rows, tuple(notes)


def _inspect(raw: bytes, where: str) -> set[str]:
    """What its sheets hold of "merged" cells and "formulas". Raises ConfigError for what must not be
    unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as parts:
            listed = parts.infolist()
            _check_parts(listed, {part.filename for part in listed}, where)
            found: set[str] = set()
            for part in listed:
                if part.filename.endswith((".xml", ".rels")):
                    with parts.open(part) as source:
                        found |= _marks_of(source, part.filename, where)
            return found
    except (*_BROKEN, NotImplementedError, RuntimeError) as error:
        raise _damaged(where) from error


def _check_parts(listed: list[zipfile.ZipInfo], names: set[str], where: str) -> None:
    if "xl/workbook.xml" not in names:
        what = "OpenDocument" if "mimetype" in names else "zip"
        raise ConfigError(
            _("it is no XLSX but another kind of file (%(kind)s)") % {"kind": what},
            where=where,
            remedy=_("Save it as XLSX or CSV"),
        )
    if any(name.lower().endswith(("vbaproject.bin", "vbadata.xml")) for name in names):
        raise ConfigError(
            _("it holds macros"), where=where, remedy=_("Save it as XLSX without macros, or as CSV")
        )
    if len(listed) > PARTS_MAX or sum(part.file_size for part in listed) > UNPACKED_BYTES_MAX:
        raise ConfigError(
            _("unpacked it is larger than %(most)d MB") % {"most": UNPACKED_BYTES_MAX // 1_048_576},
            where=where,
            remedy=_("Take out pictures and sheets that are not needed, or save it as CSV"),
        )


def _marks_of(source: Any, name: str, where: str) -> set[str]:
    """What this part holds of `_MARKS`; its head is looked at before any parser sees it, and everything in it is
    counted before one keeps it."""
    block = source.read(HEAD_BYTES)
    if not _ROOT_COMES_FIRST.match(block):
        raise _damaged(where)
    is_sheet = name.startswith("xl/worksheets/")
    count = _counting(name, where)
    found: set[str] = set()
    seen = b""
    while block:
        count(block)
        if is_sheet:
            # A mark may lie across two blocks.
            seen = seen[-MARK_BYTES_MAX:] + block
            found |= {word for mark, word in _MARKS.items() if mark in seen}
        block = source.read(65_536)
    return found


def _counting(name: str, where: str) -> Callable[[bytes], None]:
    """Takes a part block by block. Raises ConfigError as soon as it would cost more than a list may."""
    if name.startswith("xl/worksheets/"):
        return _Units("row", ROWS_MAX, ROW_TAGS_MAX, TAGS_MAX, where).add
    if name == "xl/sharedStrings.xml":
        return _Units("si", TEXTS_MAX, TEXT_TAGS_MAX, TAGS_MAX, where).add
    tags = 0

    def add(block: bytes) -> None:
        nonlocal tags
        tags += block.count(b"<")
        if tags > STYLE_TAGS_MAX:
            raise _too_much(where)

    return add


class _Units:
    """Counts the elements of a part: its units (rows, texts), those inside of one, and those beside them.

    With a parser, because only one knows which `row` is a row; it holds nothing but the block it is at.
    """

    def __init__(
        self, unit: str, units_max: int, inside_max: int, all_max: int, where: str
    ) -> None:
        self._unit = f"{_SHEETS} {unit}"
        self._units_max, self._inside_max, self._all_max = units_max, inside_max, all_max
        self._where = where
        self._units = self._inside = self._beside = self._all = 0
        self._is_inside = False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def add(self, block: bytes) -> None:
        """The next bytes. Raises ConfigError."""
        try:
            self._parser.Parse(block, False)
        except expat.ExpatError as error:
            raise _damaged(self._where) from error

    def _begin(self, name: str, _attributes: object) -> None:
        self._all += 1
        if self._is_inside:
            self._inside += 1
        elif name == self._unit:
            self._is_inside, self._inside = True, 0
            self._units += 1
        else:
            self._beside += 1
        if (
            self._inside > self._inside_max
            or self._units > self._units_max
            or self._beside > BESIDE_MAX
            or self._all > self._all_max
        ):
            raise _too_much(self._where)

    def _end(self, name: str) -> None:
        # A unit within a unit does not end it too late: what is inside is counted all the same.
        if name == self._unit:
            self._is_inside = False

    def _refuse_doctype(self, *_declared: object) -> None:
        raise _damaged(self._where)


def _too_much(where: str) -> ConfigError:
    return ConfigError(
        _("it holds more cells, texts or formatting than a list of people"),
        where=where,
        remedy=_("Take out pictures and sheets that are not needed, or save it as CSV"),
    )


def _first_sheet(raw: bytes, where: str) -> tuple[str, bool]:
    """The name of the first visible sheet with text, and whether others have some too."""
    with _opened(raw, results=True) as book:
        filled = [
            sheet.title
            for sheet in book.worksheets
            if sheet.sheet_state == "visible" and _has_text(sheet)
        ]
    if not filled:
        raise ConfigError(_("it is empty"), where=where)
    return filled[0], len(filled) > 1


def _has_text(sheet: Any) -> bool:
    rows = sheet.iter_rows(max_row=ROWS_LOOKED_AT, max_col=COLUMNS_SEEN, values_only=True)
    return any(value is not None for row in rows for value in row)


def _rows(raw: bytes, sheet: str, rows_max: int) -> Rows:
    """The number and the text of each row that has any, without the empty cells at its end."""
    with _opened(raw, results=True) as book:
        texts = ((number, _texts(row)) for number, row in _numbered(book[sheet]))
        return list(islice(((number, cells) for number, cells in texts if cells), rows_max))


def _numbered(sheet: Any) -> Iterator[tuple[int, tuple[object, ...]]]:
    rows = sheet.iter_rows(max_col=COLUMNS_SEEN, values_only=True)
    return enumerate(islice(rows, ROWS_SEEN_MAX), start=1)


def _texts(row: Sequence[object]) -> tuple[str, ...]:
    last = next((place for place in range(len(row), 0, -1) if row[place - 1] is not None), 0)
    return tuple(_text(value) for value in row[:last])


def _refuse_unsolved(
    raw: bytes, sheet: str, shown: Mapping[int, tuple[str, ...]], where: str
) -> None:
    """Return unless a formula was saved without its result, which would be an empty cell. Raises ConfigError."""
    with _opened(raw, results=False) as book:
        for number, written in _numbered(book[sheet]):
            pairs = zip_longest(shown.get(number, ()), written, fillvalue="")
            if any(not value and str(formula or "").startswith("=") for value, formula in pairs):
                raise ConfigError(
                    _("line %(number)d holds a formula without a result") % {"number": number},
                    where=where,
                    remedy=_("Open it in the spreadsheet and save it again, or save it as CSV"),
                )


@contextmanager
def _opened(raw: bytes, *, results: bool) -> Iterator[Any]:
    """A workbook in read-only mode, closed afterwards; formulas as their results, or as written."""
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(raw), read_only=True, data_only=results, keep_links=False)
    try:
        yield book
    finally:
        book.close()


def _text(value: object) -> str:
    """A cell as people read it; days in ISO, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _damaged(where: str) -> ConfigError:
    return ConfigError(
        _("it is damaged, or no XLSX"),
        where=where,
        remedy=_("Open it in the spreadsheet and save it again, or save it as CSV"),
    )
