"""A signed snapshot or delta in the spool in, a verified `auth-EPOCH-COUNTER.db` out; or a refusal and nothing changed.

A child process of the node, so that no thread beside the relay parses 100,000 entries. It streams: a line is
parsed, hashed and stored, and the file takes its place only once the last line has matched the signed digest,
SQLite has checked it and it is on the disk. A delta is applied to a copy of the live file, and all of the result
must match its signed digest. Public key and names are arguments; it sees no secret.

    python -m interlock.node.snapshot_builder --spool FILE --state-dir DIR --public-key HEX --lab LAB --node NODE
        [--mark EPOCH.COUNTER] [--replace-damaged] [--now UTC_SECOND]

One JSON line on stdout. Exit 0: built · 1: the disk refused · 2: wrong arguments · 4: the snapshot is refused.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.errors import ProtocolError, StoreError
from interlock.node.cache import FORMAT, cache_path, line_sum
from interlock.protocol import canonical, deltas, snapshots
from interlock.protocol.deltas import DELTA_BYTES_MAX, Change
from interlock.protocol.hubapi import SNAPSHOT_BYTES_MAX
from interlock.protocol.snapshots import (
    AHEAD_S_MAX,
    LINE_BYTES_MAX,
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
)

EXIT_BUILT = 0
EXIT_DISK = 1
EXIT_REFUSED = 4

NICENESS = 10
"""The machine comes first: the loop must get the core whenever it wants it."""

BATCH_ROWS = 500
"""Rows handed to SQLite at once: about 200 KiB of memory, whatever the number of badges."""

TEMPORARY = "auth-building.tmp"


@dataclass(frozen=True, slots=True)
class Order:
    """What to build, for whom, and above which version; `replace_damaged` allows the marked version again. `now_at`
    is trusted UTC, None where time is not trusted."""

    spool: Path
    state_dir: Path
    hub_key: Ed25519PublicKey
    lab: str
    node: str
    mark: SnapshotVersion | None
    replace_damaged: bool = False
    now_at: int | None = None


def build(order: Order) -> SnapshotHeader:
    """What was spooled is verified and, whole, in its place on the disk; the header is returned.

    Raises ProtocolError when it must not be used, StoreError when the disk refuses. Either way every file is as it
    was before.
    """
    temporary = order.state_dir / TEMPORARY
    try:
        with _Lines(io.FileIO(order.spool)) as source:
            if _begins_a_delta(source):
                header = _build_on_the_live_one(order, source, temporary)
            else:
                header = _build_whole(order, source, temporary)
        _put_in_place(temporary, cache_path(order.state_dir, header.version))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            str(error), where=str(order.state_dir), remedy="Check the disk: full or read-only?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return header


def _build_whole(order: Order, source: _Lines, temporary: Path) -> SnapshotHeader:
    header, entries = snapshots.read_snapshot(source, order.hub_key, lab=order.lab, node=order.node)
    _refuse_oversized(source, SNAPSHOT_BYTES_MAX)
    _refuse_unacceptable(header, order)
    # The header's line is the last one read so far, an entry's line the last one at its turn.
    lines = ((entry.tag, source.last) for entry in entries)
    _write(temporary, source.last, lines)
    return header


def _build_on_the_live_one(order: Order, source: _Lines, temporary: Path) -> SnapshotHeader:
    """A copy of the live file, changed as the delta says, is `temporary`; the live one is only read."""
    _refuse_oversized(source, DELTA_BYTES_MAX)
    if order.mark is None or order.replace_damaged:
        raise ProtocolError("this node has no list that it could change", where="delta")
    live = cache_path(order.state_dir, order.mark)
    delta = deltas.open_delta(
        source.read(), _head_of(live), order.hub_key, lab=order.lab, node=order.node
    )
    _refuse_unacceptable(delta.header, order)
    shutil.copyfile(live, temporary)
    with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
        _without_safety_net(connection)
        connection.execute("BEGIN")
        connection.execute("UPDATE header SET line = ?", (delta.head_line,))
        for change in delta.changes:
            _change(connection, change)
        connection.execute("COMMIT")
        _refuse_other_result(connection, delta.header)
        _check(connection, temporary)
    return delta.header


def _head_of(live: Path) -> dict[str, Any]:
    if not live.is_file():
        raise ProtocolError("the list it changes is not here", where="delta")
    with closing(sqlite3.connect(f"{live.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT line FROM header").fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise ProtocolError("the list it changes is damaged", where="delta")
    return canonical.loads_exact(row[0], where="delta")


def _change(connection: sqlite3.Connection, change: Change) -> None:
    if change.line is None:
        connection.execute("DELETE FROM entries WHERE tag = ?", (change.tag,))
    else:
        row = (change.tag, change.line, line_sum(change.line))
        connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", row)


def _refuse_other_result(connection: sqlite3.Connection, header: SnapshotHeader) -> None:
    """Return when every row is one the hub signed, and all of them are there. Raises ProtocolError."""
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for tag, line, expected in connection.execute("SELECT * FROM entries ORDER BY tag"):
            count += 1
            # No row stands under another badge: no quotation mark stands unescaped inside a JSON text.
            named = b'"tag":"%s"' % bytes(tag).hex().encode()
            if named not in line or line_sum(line) != expected:
                raise ProtocolError("the list it changes is damaged", where="delta")
            yield line

    if digest_lines(lines()) != header.digest or count != header.entries:
        raise ProtocolError("what results is not what the hub signed", where="delta")


def main(arguments: list[str] | None = None) -> int:
    """Build what the arguments say; write one JSON line and return the exit code."""
    order = _order(arguments)
    os.nice(NICENESS)
    try:
        header = build(order)
    except ProtocolError as error:
        return _told(EXIT_REFUSED, ok=False, error=str(error))
    except StoreError as error:
        return _told(EXIT_DISK, ok=False, error=str(error))
    return _told(
        EXIT_BUILT,
        ok=True,
        version=list(header.version),
        entries=header.entries,
        issued_at=header.issued_at,
    )


class _Lines(io.BufferedReader):
    """A file that remembers the line it gave last: the very bytes that were verified are stored."""

    last = b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line, at most `size` bytes of it."""
        self.last = super().readline(size)
        return self.last


def _begins_a_delta(source: io.BufferedReader) -> bool:
    """Whether the first line says so; nothing is read afterwards."""
    line = source.readline(LINE_BYTES_MAX + 1)
    source.seek(0)
    return line.endswith(b"\n") and deltas.is_delta(line)


def _refuse_oversized(source: io.BufferedReader, bytes_max: int) -> None:
    size = os.fstat(source.fileno()).st_size
    if size > bytes_max:
        raise ProtocolError(f"{size} bytes are more than {bytes_max}", where="snapshot")


def _refuse_unacceptable(header: SnapshotHeader, order: Order) -> None:
    mark = order.mark
    same_again = order.replace_damaged and header.version == mark
    if mark is not None and header.version <= mark and not same_again:
        raise ProtocolError(
            f"version {header.version} is not newer than {mark}, which this node has accepted",
            where="snapshot",
        )
    if order.now_at is not None and header.issued_at > order.now_at + AHEAD_S_MAX:
        ahead_s = header.issued_at - order.now_at
        raise ProtocolError(f"it was issued {ahead_s} s in the future", where="snapshot")


def _write(path: Path, header_line: bytes, lines: Iterator[tuple[bytes, bytes]]) -> None:
    # Bulk loading is what sqlite-utils is for; it is imported in this process only, never beside the relay.
    from sqlite_utils import Database

    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _without_safety_net(connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("CREATE TABLE header (line BLOB NOT NULL) STRICT")
        connection.execute(
            "CREATE TABLE entries (tag BLOB PRIMARY KEY, line BLOB NOT NULL, sum BLOB NOT NULL)"
            " STRICT, WITHOUT ROWID"
        )
        connection.execute("INSERT INTO header VALUES (?)", (header_line,))
        rows = ({"tag": tag, "line": line, "sum": line_sum(line)} for tag, line in lines)
        Database(connection).table("entries").insert_all(rows, batch_size=BATCH_ROWS)
        _check(connection, path)


def _without_safety_net(connection: sqlite3.Connection) -> None:
    """No rollback journal and no waiting: a file that was not finished is thrown away."""
    connection.execute("PRAGMA journal_mode=OFF").fetchall()
    connection.execute("PRAGMA synchronous=OFF")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"SQLite wrote a damaged file: {verdict}", where=str(path))


def _put_in_place(temporary: Path, path: Path) -> None:
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _order(arguments: list[str] | None) -> Order:
    parser = argparse.ArgumentParser(prog="python -m interlock.node.snapshot_builder")
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--public-key", type=_public_key, required=True)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--mark", type=_version)
    parser.add_argument("--replace-damaged", action="store_true")
    parser.add_argument("--now", type=int)
    given = parser.parse_args(arguments)
    return Order(
        spool=given.spool,
        state_dir=given.state_dir,
        hub_key=given.public_key,
        lab=given.lab,
        node=given.node,
        mark=given.mark,
        replace_damaged=given.replace_damaged,
        now_at=given.now,
    )


def _public_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))


def _version(text: str) -> SnapshotVersion:
    epoch, counter = text.split(".")
    return int(epoch), int(counter)


def _told(code: int, **result: Any) -> int:
    sys.stdout.write(canonical.dumps(result).decode() + "\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
