"""A member to one archive of everything that names them: a ZIP with all of it as JSON, and each table as CSV.

Tables are walked by their models: rows that point at the member, at their own login or payer, and rows in whose
words they are named. Secrets (password hashes, tokens, sealed keys, salts) prove nothing to a person and stay.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from interlock.errors import StoreError
from interlock.hub import traces
from interlock.hub.models import Badge, MailKind, Member, OutboxMail, Payer, Session, User
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.tables import Column, Table, to_csv

SECRETS = frozenset(
    {"password", "token_hash", "sealed", "salt", "credential_hash", "sealed_password", "token"}
)
"""Fields that would let whoever finds the archive pretend to be somebody."""

DATA, NOTE = "data.json", "README.txt"

Row = dict[str, Any]


def export_member(actor: Actor, member: Member, out: Path) -> int:
    """`out` is the archive; returns the number of rows in it. The member themselves may, and who erases members.

    Raises PermissionDenied, StoreError.
    """
    own = actor.user is not None and member.roles.filter(user=actor.user).exists()
    if not own:
        require(actor, member.lab, Permission.ERASE_MEMBERS)
    found = everything_about(member)
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(NOTE, _note(member))
            archive.writestr(DATA, json.dumps(found, ensure_ascii=False, indent=1))
            for table, rows in found.items():
                archive.writestr(f"{table}.csv", _csv(rows))
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", where=str(out)) from error
    return sum(map(len, found.values()))


def everything_about(member: Member) -> dict[str, list[Row]]:
    """Every row that names `member`, by table; tables without one are left out."""
    rows: dict[traces.Model, dict[Any, models.Model]] = {}
    needles = traces.needles_of(member)
    for row in (*_by_key(member), *_by_word(member, needles)):
        rows.setdefault(type(row), {})[row.pk] = row
    return {
        table.__name__: [_told(row) for _, row in sorted(found.items())]
        for table, found in sorted(rows.items(), key=lambda one: one[0].__name__)
    }


def _by_key(member: Member) -> Iterator[models.Model]:
    targets: list[tuple[traces.Model, Iterable[models.Model]]] = [
        (Member, [member]),
        (User, traces.own_logins(member)),
        (Payer, traces.own_payers(member)),
        # A badge's keys, a session's line: what hangs on something of theirs.
        (Badge, member.badges.all()),
        (Session, member.sessions.all()),
    ]
    for target, found in targets:
        those = list(found)
        yield from those
        if those:
            for table, field in traces.keys_to(target):
                yield from table._default_manager.filter(**{f"{field.name}__in": those})


def _by_word(member: Member, needles: traces.Needles) -> Iterator[models.Model]:
    for table in traces.tables():
        for row in traces.rows_that_say(table, needles):
            if traces.in_lab(row, member.lab):
                yield row


def _told(row: models.Model) -> Row:
    fields = [field for field in row._meta.concrete_fields if field.name not in SECRETS]
    told = {field.name: _plain(getattr(row, field.attname)) for field in fields}
    if isinstance(row, OutboxMail) and row.kind == MailKind.LINK:
        # Whoever hands the archive out does not sign in as them.
        told["text"] = ""
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value


def _csv(rows: list[Row]) -> bytes:
    """The table as Excel and LibreOffice open it; nested values as JSON."""
    heading = list(rows[0])
    cells = [[_cell(row[name]) for name in heading] for row in rows]
    return to_csv(Table("", tuple(Column(name) for name in heading), cells))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _note(member: Member) -> str:
    return _(
        "Everything that %(lab)s keeps about %(name)s.\n\n"
        "data.json holds all of it; each table stands in a .csv file of its own, for spreadsheets.\n"
        "To correct or erase something, ask the lab. In France you may also ask the CNIL: https://www.cnil.fr\n"
    ) % {"lab": member.lab.name, "name": member.name}
