"""A CSV as spreadsheets write it to numbered lines of named cells, whatever its letters and separators.

Takes what people have: UTF-8 with or without BOM, Excel's cp1252 and UTF-16, semicolons, commas or
tabs, headings in English or French, with or without accents.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import ConfigError

FILE_BYTES_MAX = 8 * 1_048_576
LINES_MAX = 20_000

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


def read_lines(path: Path, columns: Columns, required: str) -> Iterator[Line]:
    """The lines of the file that are not empty. Raises ConfigError when it cannot be read: missing, too
    large, no CSV, a heading that is missing `required` or that nobody reads."""
    text = _text(path)
    head = text.split("\n", 1)[0]
    delimiter = max(";,\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = _heading(next(reader, []), path, columns, required)
        count = 0
        while True:
            number = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            count += 1
            if count > LINES_MAX:
                raise ConfigError(
                    f"it has more than {LINES_MAX} lines", where=str(path), remedy="Split it"
                )
            values = dict.fromkeys(columns, "")
            values.update((name, cell) for name, cell in zip(names, cells, strict=False) if name)
            yield Line(number, values, surplus=any(cells[len(names) :]))
    except csv.Error as error:
        raise ConfigError(f"it is not CSV: {error}", where=str(path)) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as source:
            raw = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"it is larger than {FILE_BYTES_MAX} bytes", where=str(path))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        # cp1252 accepts nearly every byte, so UTF-8, which does not, is tried first.
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise ConfigError(
        "its letters cannot be read",
        where=str(path),
        remedy="Save it as “CSV UTF-8” in the spreadsheet",
    )


def _heading(cells: list[str], path: Path, columns: Columns, required: str) -> list[str]:
    """Each column's own name, empty for one that nobody reads."""
    known = {alias: name for name, aliases in columns.items() for alias in aliases}
    names = [known.get(_plain(cell), "") for cell in cells]
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


def _plain(heading: str) -> str:
    """Without accents, case, spaces and signs."""
    decomposed = unicodedata.normalize("NFKD", heading.casefold())
    return "".join(letter for letter in decomposed if letter.isalnum())
