"""A journal file in, its one open connection out: pragmas, migrations, and rows as records.

Exactly one connection ever opens the file: `locking_mode=EXCLUSIVE` makes SQLite enforce it, and keeps the WAL
index in memory (SQLite before 3.51.3 has a WAL bug that needs two connections). A migration and its own
record are one transaction, so an interrupted one ends before or after it, never between (D9).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.errors import ProtocolError, StoreError
from interlock.protocol import canonical
from interlock.protocol.records import Header, Record, RecordType

SEQ_BITS = 40
"""A place is epoch << 40 | seq: one integer key, in the order of the chain, without a second index to write."""

SEQ_MAX = (1 << SEQ_BITS) - 1
EPOCH_MAX = (1 << 22) - 1
"""Keeps a place within SQLite's signed 64 bits; a node is enrolled a handful of times in its life."""

BUSY_TIMEOUT_S = 1.0
"""Nobody else may hold the file; a lock that lasts is a fault to report within the 2 s start deadline."""

FORMAT_VERSIONS_AT = slice(18, 20)
"""SQLite's file format: the write and the read version, 1 without and 2 with a WAL."""

CACHE_KIB = 1_024
"""SQLite's page cache: enough for the tail of the chain, small on a Pi of 512 MB."""

CHECKPOINT_PAGES = 1_000
"""SQLite checkpoints inside a commit above 4 MB of WAL; the worker's idle time keeps it far below."""

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_records",
        (
            """CREATE TABLE records (
                place INTEGER PRIMARY KEY,
                boot_id TEXT NOT NULL,
                boot_ms INTEGER NOT NULL,
                wall_ms INTEGER,
                wall_trusted INTEGER NOT NULL,
                type TEXT NOT NULL,
                body BLOB,
                salt BLOB,
                sealed BLOB NOT NULL,
                prev BLOB NOT NULL,
                hash BLOB NOT NULL
            ) STRICT""",
            # All small truths on one page, so that a record costs two pages and not five.
            "CREATE TABLE marks (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        ),
    ),
)

UNREADABLE = (sqlite3.Error, ProtocolError, UnicodeDecodeError, TypeError)
"""What reading a damaged file can raise: SQLite's words on it may themselves be no text."""

AROUND_THE_FILE = frozenset(
    {
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH),
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
    }
)
"""SQLite's primary codes that say nothing against the content: the disk, rights, another process, memory."""

Uri = Callable[[Path], str]


def file_uri(path: Path) -> str:
    """SQLite's URI of an ordinary file; a simulated disk hands in its own."""
    return path.absolute().as_uri()


def connect(path: Path, uri: Uri = file_uri) -> sqlite3.Connection:
    """The file's one connection, in WAL with every commit on the disk. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        uri(path),
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        # Opened and recovered by the process's first thread, then owned by the journal worker alone.
        check_same_thread=False,
    )
    try:
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"cache_size=-{CACHE_KIB}",
            "cell_size_check=ON",
            "trusted_schema=OFF",
            # What is forgotten is overwritten, not only unlinked (journal_forgetting).
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def refuse_strange_format(path: Path) -> None:
    """Return when a database of a version that SQLite knows, or none, is at `path`. Raises ProtocolError, OSError.

    SQLite opens one of a version to come read-only, which would look like a disk that went read-only for good.
    Only while no connection is open: closing any descriptor of the file lets go of SQLite's own locks.
    """
    # Beside a rollback journal the header may be half of one: a power cut in the first moment of a new file.
    # SQLite puts back what was there, and only then it is the file's own word.
    if not path.is_file() or path.with_name(f"{path.name}-journal").exists():
        return
    with path.open("rb") as file:
        versions = file.read(FORMAT_VERSIONS_AT.stop)[FORMAT_VERSIONS_AT]
    if not all(version in (1, 2) for version in versions):
        raise ProtocolError("its format version is none", where=str(path))


def is_damage(error: Exception) -> bool:
    """Whether another attempt would meet it again: everything that is not known to come from around the file.

    Damage shows in many ways: a text that is no UTF-8, a column the schema no longer has, a type nobody wrote.
    """
    if isinstance(error, OSError | sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in AROUND_THE_FILE


def migrate(
    connection: sqlite3.Connection,
    migrations: tuple[tuple[str, tuple[str, ...]], ...] = MIGRATIONS,
) -> list[str]:
    """Apply what is missing, each with its own record in one transaction; return their names.

    Raises StoreError for a file of a newer release, ProtocolError for one of none, sqlite3.Error from the disk.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"
    )
    applied = {str(name) for (name,) in connection.execute("SELECT name FROM migrations")}
    known = [name for name, _ in migrations]
    unknown = sorted(applied - set(known))
    if unknown and (applied.issuperset(known) and all(_is_later(one, known) for one in unknown)):
        raise StoreError(
            f"it was written by a newer release (migration {unknown[0]})",
            where="journal",
            remedy="Install that release again",
        )
    if unknown:
        raise ProtocolError(f"no release ever had a migration {unknown[0]!r}", where="journal")
    missing = [(name, statements) for name, statements in migrations if name not in applied]
    for name, statements in missing:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
            connection.execute("COMMIT")
        except sqlite3.Error:
            rollback(connection)
            raise
    return [name for name, _ in missing]


def _is_later(name: str, known: list[str]) -> bool:
    return re.fullmatch(r"\d{4}[a-z0-9_]*", name) is not None and name > max(known)


def rollback(connection: sqlite3.Connection) -> None:
    """No transaction is open any more; harmless when there was none."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolled back by itself, or the disk is gone; reopening settles either.
            return


def place_of(epoch: int, seq: int) -> int:
    """The row's key of a record."""
    return epoch << SEQ_BITS | seq


def epoch_and_seq(place: int) -> tuple[int, int]:
    """The record a row's key stands for."""
    return place >> SEQ_BITS, place & SEQ_MAX


COLUMNS = "place, boot_id, boot_ms, wall_ms, wall_trusted, type, body, salt, sealed, prev, hash"
INSERT = f"INSERT INTO records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Row = tuple[Any, ...]

_NONE = type(None)
_KINDS: tuple[tuple[type, ...], ...] = (
    (int,),
    (str,),
    (int,),
    (int, _NONE),
    (int,),
    (str,),
    (bytes, _NONE),
    (bytes, _NONE),
    (bytes,),
    (bytes,),
    (bytes,),
)
"""SQLite keeps a STRICT table's types when it writes; what it reads is what the bits of the file say."""


def row_of(record: Record) -> Row:
    """The row that holds `record`."""
    header = record.header
    return (
        place_of(header.epoch, header.seq),
        header.boot_id,
        header.boot_ms,
        header.wall_ms,
        int(header.wall_trusted),
        header.type.value,
        None if record.body is None else canonical.dumps(dict(record.body)),
        record.salt,
        record.commit,
        record.prev,
        record.hash,
    )


def is_forgotten(body: bytes | None) -> bool:
    """Whether only zeros stand where a record's body was (journal_forgetting)."""
    return body is None or not any(body)


def record_of(row: Row, *, node: str) -> Record:
    """The record a row (`COLUMNS`) holds, its hashes unchecked. Raises ProtocolError when it holds none."""
    place, boot_id, boot_ms, wall_ms, wall_trusted, type_, body, salt, sealed, prev, hash_ = row
    epoch, seq = epoch_and_seq(place)
    where = f"record {epoch}.{seq}"
    if wall_trusted not in (0, 1):
        raise ProtocolError("its trust flag is neither 0 nor 1", where=where)
    if not all(isinstance(value, kinds) for value, kinds in zip(row, _KINDS, strict=True)):
        raise ProtocolError("a column holds what it never does", where=where)
    try:
        header = Header(
            node=node,
            epoch=epoch,
            seq=seq,
            boot_id=boot_id,
            boot_ms=boot_ms,
            wall_ms=wall_ms,
            wall_trusted=bool(wall_trusted),
            type=RecordType(type_),
        )
        forgotten = is_forgotten(body)
        if forgotten and salt is not None and any(salt):
            raise ValueError("its body is gone and its salt is not")
        body_value = None if forgotten else json.loads(body)
        if body_value is not None and not isinstance(body_value, dict):
            raise ValueError("its body is no object")
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"it cannot be read: {error}", where=where) from error
    return Record(header, body_value, None if forgotten else salt, sealed, prev, hash_)
