"""A spreadsheet of members and the numbers their badges had with PyPI mfrc522 goes in; lines for the hub come out.

The hub alone knows members and judges numbers (check byte, ids that name no card); here only what is no number at
all is found, with its line.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from interlock.desk.words import _
from interlock.errors import ConfigError

COLUMNS = {
    "member": ("member", "membre", "name", "nom", "email", "mail", "courriel", "adherent"),
    "old_id": ("oldid", "ancienid", "ancienidentifiant", "ancienbadge", "mfrc522", "idmfrc522"),
    "label": ("label", "etiquette", "libelle"),
}
"""As `interlock hub import-badges` knows them."""
OLD_ID_MAX = (1 << 40) - 1
FILE_BYTES_MAX = 4 * 1024 * 1024
LINES_MAX = 20_000
MEMBER_CHARS_MAX = 254


@dataclass(frozen=True, slots=True)
class OldLine:
    """One line of the file, counted as the spreadsheet shows it."""

    number: int
    member: str
    old_id: int
    label: str

    def to_wire(self) -> dict[str, str | int]:
        """As the hub takes it."""
        return {"member": self.member, "old_id": self.old_id, "label": self.label}


@dataclass(frozen=True, slots=True)
class OldFile:
    """The lines that can be sent, and those that cannot, with the reason."""

    lines: tuple[OldLine, ...]
    bad: tuple[tuple[int, str], ...]


def read(path: Path) -> OldFile:
    """The file as Excel or LibreOffice writes it. Raises ConfigError: unreadable, or without the two columns."""
    rows = _rows(path)
    if not rows:
        raise ConfigError(_("is empty"), where=str(path))
    places = _places(rows[0], path)
    lines, bad = [], []
    for number, row in enumerate(rows[1:], 2):
        cells = {name: row[at].strip() if at < len(row) else "" for name, at in places.items()}
        if not any(cells.values()):
            continue
        reason = _trouble(cells)
        if reason:
            bad.append((number, reason))
        else:
            old_id = int(re.sub(r"\s", "", cells["old_id"]))
            lines.append(OldLine(number, cells["member"], old_id, cells.get("label", "")))
    return OldFile(tuple(lines), tuple(bad))


def _trouble(cells: dict[str, str]) -> str:
    """Why a line cannot be sent; empty when it can."""
    if not 0 < len(cells["member"]) <= MEMBER_CHARS_MAX:
        return _("the member is missing")
    digits = re.sub(r"\s", "", cells["old_id"])
    if re.fullmatch(r"\d[.,]\d+E\+?\d+", digits, re.IGNORECASE):
        return _("%s was rounded by a spreadsheet: format the column as text") % digits
    if not re.fullmatch(r"[0-9]{1,13}", digits) or int(digits) > OLD_ID_MAX:
        return _("%r is no id of the old readers: whole numbers of up to 13 digits") % digits[:20]
    return ""


def _places(head: Sequence[str], path: Path) -> dict[str, int]:
    """Which column is which."""
    found = {}
    for name, words in COLUMNS.items():
        for at, title in enumerate(head):
            if _plain(title) in words:
                found[name] = at
                break
    missing = [name for name in ("member", "old_id") if name not in found]
    if missing:
        raise ConfigError(
            _("has no column %s") % ", ".join(missing),
            where=str(path),
            remedy=_("Write the columns' names into its first line: member;old_id;label"),
        )
    return found


def _rows(path: Path) -> list[list[str]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(_("cannot be read: %s") % error.strerror, where=str(path)) from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(_("is too long for a list of badges"), where=str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    head = text.partition("\n")[0]
    separator = max(";,\t", key=head.count)
    rows = list(csv.reader(text.splitlines(), delimiter=separator))
    if len(rows) > LINES_MAX:
        raise ConfigError(_("has more than %d lines") % LINES_MAX, where=str(path))
    return rows


def _plain(title: str) -> str:
    """Small letters without accents, spaces and signs."""
    apart = unicodedata.normalize("NFKD", title)
    return "".join(one for one in apart.lower() if one.isalnum() and one.isascii())
