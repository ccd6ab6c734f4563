"""A list as spreadsheets write it, CSV or XLSX, to numbered lines of cells, whatever its letters and separators.

Takes what people have: UTF-8 with or without BOM, Excel's cp1252 and UTF-16, semicolons, commas or
tabs, headings in English or French, with or without accents. XLSX is read by hub.workbooks.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import workbooks
from interlock.hub.workbooks import ROWS_SEEN_MAX

FILE_BYTES_MAX = 7 * 1_048_576
"""A little less than the front lets through as a page's body: the rest is the form around it."""
LINES_MAX = 20_000
"""Twice the largest lab this hub is measured with; written in one go in some seconds (tests/bench)."""
COLUMNS_MAX = 200
"""A form's export with every question it asked has fifty."""
CELL_LENGTH_MAX = 1_000
"""Longer than anything a member's line is asked for; a novel in a cell stays out of memory."""

Columns = Mapping[str, tuple[str, ...]]
"""Each column's own name and every heading that is understood, without accents, case, spaces and signs."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not taken: its number in the file (the heading is 1), and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number, its cells by column (empty where there is none), and whether it has more."""

    number: int
    values: dict[str, str]
    surplus: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line that is not empty: its number in the file (the heading is the first), and its cells as text."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole list: its headings, its lines, and what a person should know of how it was read."""

    heading: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def read_sheet(raw: bytes, where: str) -> Sheet:
    """What a file of somebody's spreadsheet says. Raises ConfigError when it cannot be read: too large or
    too long, no list at all, letters or a format that nobody here knows."""
    if len(raw) > FILE_BYTES_MAX:
        raise _too_large(where)
    rows: Iterable[tuple[int, tuple[str, ...]]]
    if workbooks.is_workbook(raw):
        # The heading, the lines, and one that is too many.
        rows, notes = workbooks.read_rows(raw, where, LINES_MAX + 2)
    else:
        workbooks.refuse_others(raw, where)
        rows, notes = csv_rows(text_of(raw, where), where), ()
    return sheet_of((Row(number, cells) for number, cells in rows), where, notes)


def sheet_of(rows: Iterable[Row], where: str, notes: tuple[str, ...] = ()) -> Sheet:
    """The first line that is not empty is the heading. Raises ConfigError: no line, or too many."""
    kept = []
    for row in rows:
        if row.number > ROWS_SEEN_MAX:
            raise _too_long(where)
        cells = tuple(cell[:CELL_LENGTH_MAX] for cell in row.cells)
        if not any(cells):
            continue
        if len(cells) > COLUMNS_MAX:
            raise ConfigError(
                _("it has more than %(most)d columns") % {"most": COLUMNS_MAX}, where=where
            )
        kept.append(Row(row.number, cells))
        if len(kept) > LINES_MAX + 1:
            raise _too_long(where)
    if not kept:
        raise ConfigError(_("it is empty"), where=where)
    return Sheet(kept[0].cells, tuple(kept[1:]), notes)


def csv_rows(text: str, where: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The lines of a CSV with their numbers, empty ones too. Raises ConfigError when it is none."""
    head = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(";,\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        while True:
            number = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            yield number, tuple(cell.strip() for cell in row)
    except csv.Error as error:
        raise ConfigError(_("it is not CSV: %(error)s") % {"error": error}, where=where) from error


def read_lines(path: Path, columns: Columns, required: str) -> Iterator[Line]:
    """The lines of the file that are not empty. Raises ConfigError when it cannot be read: missing, too
    large, no list, a heading that is missing `required` or that nobody reads."""
    sheet = read_sheet(read_file(path), str(path))
    names = named_columns(sheet.heading, path, columns, required)
    for row in sheet.rows:
        values = dict.fromkeys(columns, "")
        values.update((name, cell) for name, cell in zip(names, row.cells, strict=False) if name)
        yield Line(row.number, values, surplus=any(row.cells[len(names) :]))


def read_file(path: Path) -> bytes:
    """Its bytes. Raises ConfigError: missing or too large."""
    try:
        with path.open("rb") as source:
            raw = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(raw) > FILE_BYTES_MAX:
        raise _too_large(str(path))
    return raw


def text_of(raw: bytes, where: str) -> str:
    """The letters of a CSV, with line ends of one kind. Raises ConfigError when they make no sense."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        # cp1252 accepts nearly every byte, so UTF-8, which does not, is tried first.
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise ConfigError(
        _("its letters cannot be read"),
        where=where,
        remedy=_("Save it as “CSV UTF-8” in the spreadsheet"),
    )


def named_columns(cells: Sequence[str], path: Path, columns: Columns, required: str) -> list[str]:
    """Each column's own name, empty for one that nobody reads."""
    known = {alias: name for name, aliases in columns.items() for alias in aliases}
    names = [known.get(plain(cell), "") for cell in cells]
    if required not in names:
        raise ConfigError(
            "its first line does not name the columns",
            where=str(path),
            remedy=f"Begin it with: {';'.join(columns)} (only {required} is required)",
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    unread = [cell for cell, name in zip(cells, names, strict=True) if cell.strip() and not name]
    if twice:
        raise ConfigError(f"two columns are called {twice[0]}", where=str(path))
    if unread:
        raise ConfigError(
            f"nobody reads the column {unread[0]!r}",
            where=str(path),
            remedy=f"Rename or remove it; known are: {', '.join(columns)}",
        )
    return names


def _too_large(where: str) -> ConfigError:
    return ConfigError(
        _("it is larger than %(most)d MB") % {"most": FILE_BYTES_MAX // 1_048_576},
        where=where,
        remedy=_("Take out pictures and sheets that are not needed, or save it as CSV"),
    )


def _too_long(where: str) -> ConfigError:
    return ConfigError(
        _("it has more than %(most)d lines") % {"most": LINES_MAX},
        where=where,
        remedy=_("Split it"),
    )


def plain(heading: str) -> str:
    """Without accents, case, spaces and signs."""
    decomposed = unicodedata.normalize("NFKD", heading.casefold())
    return "".join(letter for letter in decomposed if letter.isalnum())
