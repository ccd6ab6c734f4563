"""A list somebody sent, as its cells alone, on disk until it is taken or an hour old.

In files of the hub's folder, not in the database: a back-up never holds them, and deleting one leaves no page
of a database behind. Whoever sent it, in that lab, is the only one who can read it again.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from interlock.clock import Clock
from interlock.hub.models import Lab, User
from interlock.hub.spreadsheets import Row, Sheet

LIFE_S = 3_600
"""Long enough to ask a colleague about a column; the list of members of a club is nobody's litter."""
TOKEN_BYTES = 16
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """One list that waits to be taken: what it was called and what it says."""

    token: str
    file_name: str
    sheet: Sheet


def keep(clock: Clock, lab: Lab, user: User, file_name: str, sheet: Sheet) -> str:
    """The list is kept; returns the word it is found by. Whatever was too old is gone."""
    drop_old(clock)
    token = secrets.token_hex(TOKEN_BYTES)
    said = {
        "lab": lab.pk,
        "user": user.pk,
        "made_s": clock.wall_ms() // 1_000,
        "file_name": file_name,
        "heading": sheet.heading,
        "rows": [[row.number, row.cells] for row in sheet.rows],
        "notes": [str(note) for note in sheet.notes],
    }
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(_path(token), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        json.dump(said, target)
    return token


def find(clock: Clock, lab: Lab, user: User, token: str) -> Upload | None:
    """The list, for whoever sent it and while it is young; None otherwise."""
    if not _TOKEN.fullmatch(token):
        return None
    try:
        said = json.loads(_path(token).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if (said["lab"], said["user"]) != (lab.pk, user.pk) or _is_old(clock, said["made_s"]):
        return None
    rows = tuple(Row(number, tuple(cells)) for number, cells in said["rows"])
    sheet = Sheet(tuple(said["heading"]), rows, tuple(said["notes"]))
    return Upload(token, said["file_name"], sheet)


def drop(token: str) -> None:
    """The list is gone."""
    if _TOKEN.fullmatch(token):
        _path(token).unlink(missing_ok=True)


def drop_old(clock: Clock) -> int:
    """Every list that is too old is gone, and any that cannot be read; returns how many."""
    gone = 0
    for path in _folder().glob("*.json"):
        try:
            made_s = json.loads(path.read_text("utf-8"))["made_s"]
        except (OSError, ValueError, KeyError):
            made_s = 0
        if _is_old(clock, made_s):
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _is_old(clock: Clock, made_s: int) -> bool:
    """A clock that was set back makes nothing younger."""
    return not 0 <= clock.wall_ms() // 1_000 - made_s < LIFE_S


def _folder() -> Path:
    folder: Path = settings.HUB.path / "uploads"
    return folder


def _path(token: str) -> Path:
    return _folder() / f"{token}.json"
