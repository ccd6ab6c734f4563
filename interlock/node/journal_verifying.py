"""A node's journal file, of a node that is stopped, to what in it does not hold and where: nothing is changed.

The file is copied first: opening the original would write to the card that somebody wants to prove something with.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from interlock.errors import ProtocolError, StoreError
from interlock.node import journal_schema as schema
from interlock.node.journal import head_of
from interlock.node.journal_marks import Stored, from_wire, read_rows
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import Head, Record

MAGIC = b"SQLite format 3\0"
"""What every file of SQLite begins with."""

LOCK_AT, LOCK_BYTES = 0x40000002, 510
"""Where SQLite locks a file that is in use (os_unix.c: the shared range behind the pending byte)."""

FAULTS_MAX = 100
"""Enough to see what happened; a file that is broken everywhere need not be listed record by record."""

Told = Callable[[int, int], None]
"""How many records were walked, of how many."""


@dataclass
class Found:
    """What a walk found: every fault with its place, the records walked, those forgotten, the last one."""

    faults: list[str] = field(default_factory=list)
    records: int = 0
    erased: int = 0
    epochs: int = 0
    lost: list[str] = field(default_factory=list)
    head: Head | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything holds."""
        return not self.faults

    def say(self, fault: str) -> None:
        """One more fault; behind the hundredth they are not listed."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(fault)


def is_journal(path: Path) -> bool:
    """Whether `path` is a journal's file (and no export). Raises StoreError: it cannot be read."""
    try:
        with path.open("rb") as source:
            return path.suffix == ".db" or source.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(path)) from error


def verify_journal(path: Path, keys: NodeKeys, told: Told = lambda done, total: None) -> Found:
    """Everything that can be proved of the file, proved or named as a fault. Raises StoreError: it is in use,
    cannot be read, or belongs to another node."""
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        copy = Path(folder) / "journal.db"
        _copy(path, copy)
        found = Found()
        try:
            schema.refuse_strange_format(copy)
            with closing(schema.connect(copy)) as connection:
                _database(connection, found)
                walk(connection, keys, found, told)
        except schema.UNREADABLE as error:
            found.say(f"the file: {error}")
        return found


def walk(
    connection: sqlite3.Connection,
    keys: NodeKeys,
    found: Found,
    told: Told = lambda done, total: None,
) -> None:
    """Marks, then every record: its hashes, its link, and that nothing is missing that was not declared."""
    try:
        stored = from_wire(read_rows(connection), keys)
    except schema.UNREADABLE as error:
        found.say(f"marks: {error}")
        return
    if (stored.epochs[-1].lab, stored.epochs[-1].node) != (keys.lab, keys.node):
        raise StoreError(
            f"it belongs to node {stored.epochs[-1].node}", where="journal", remedy="Use its keys"
        )
    found.epochs, found.head = len(stored.epochs), stored.head
    found.lost = [f"{one.epoch}.{one.first} to {one.epoch}.{one.last}" for one in stored.lost]
    places = [row[0] for row in connection.execute("SELECT place FROM records ORDER BY place")]
    previous: Record | None = None
    for done, place in enumerate(places, start=1):
        try:
            record = _record(connection, place, keys)
            _check(record, previous, stored)
        except schema.UNREADABLE as error:
            found.say(_named(place, error))
        else:
            previous = record
            found.erased += record.body is None
        found.records += 1
        told(done, len(places))
    if not stored.ends_with(previous):
        found.say(f"its last records are missing, up to {stored.head.epoch}.{stored.head.seq}")


def _check(record: Record, previous: Record | None, stored: Stored) -> None:
    epoch, seq = record.header.epoch, record.header.seq
    if previous is None and seq > 1 and not stored.may_be_missing(epoch, 1, seq - 1):
        raise ProtocolError("records before it are missing", where=f"record {record.id}")
    stored.verify(record, None if previous is None else head_of(previous))


def _record(connection: sqlite3.Connection, place: int, keys: NodeKeys) -> Record:
    row = connection.execute(
        f"SELECT {schema.COLUMNS} FROM records WHERE place = ?", (place,)
    ).fetchone()
    record = schema.record_of(row, node=keys.node)
    # Another spelling of the same words has the same commitment, and is not what was written.
    if record.body is not None and schema.row_of(record) != row:
        raise ProtocolError("its body is spelt otherwise", where=f"record {record.id}")
    return record


def _database(connection: sqlite3.Connection, found: Found) -> None:
    for (said,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
        if said != "ok":
            found.say(f"database: {said}")


def _named(place: int, error: Exception) -> str:
    what = error.what if isinstance(error, ProtocolError) else error
    return f"record {place >> schema.SEQ_BITS}.{place & schema.SEQ_MAX}: {what}"


def _copy(path: Path, copy: Path) -> None:
    try:
        with path.open("rb") as source:
            fcntl.lockf(source, fcntl.LOCK_SH | fcntl.LOCK_NB, LOCK_BYTES, LOCK_AT)
            shutil.copyfile(path, copy)
            wal = path.with_name(f"{path.name}-wal")
            if wal.exists():
                shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
    except BlockingIOError as error:
        raise StoreError(
            "its node is running", where=str(path), remedy="Ask the node itself, with --socket"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(path)) from error
