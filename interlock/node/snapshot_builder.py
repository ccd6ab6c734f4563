"""A signed snapshot in the spool in, a verified `auth-EPOCH-COUNTER.db` out; or a refusal and nothing changed.

A child process of the node, so that no thread beside the relay parses 100,000 entries. It streams: a line is
parsed, hashed and stored, and the file takes its place only once the last line has matched the signed digest,
SQLite has checked it and it is on the disk. Public key and names are arguments; it sees no secret.

    python -m interlock.node.snapshot_builder --spool FILE --state-dir DIR --public-key HEX --lab LAB --node NODE
        [--mark EPOCH.COUNTER] [--replace-damaged]

One JSON line on stdout. Exit 0: built · 1: the disk refused · 2: wrong arguments · 4: the snapshot is refused.
"""

from __future__ import annotations

import argparse
import io
import os
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
from interlock.protocol import canonical, snapshots
from interlock.protocol.hubapi import SNAPSHOT_BYTES_MAX
from interlock.protocol.snapshots import SnapshotHeader, SnapshotVersion

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
    """What to build, for whom, and above which version; `replace_damaged` allows the marked version again."""

    spool: Path
    state_dir: Path
    hub_key: Ed25519PublicKey
    lab: str
    node: str
    mark: SnapshotVersion | None
    replace_damaged: bool = False


def build(order: Order) -> SnapshotHeader:
    """The snapshot is verified and in its place, on the disk; its header is returned.

    Raises ProtocolError when it must not be used, StoreError when the disk refuses. Either way every file is as it
    was before.
    """
    temporary = order.state_dir / TEMPORARY
    try:
        with _Lines(io.FileIO(order.spool)) as source:
            header, entries = snapshots.read_snapshot(
                source, order.hub_key, lab=order.lab, node=order.node
            )
            _refuse_unacceptable(header, source, order)
            # The header's line is the last one read so far, an entry's line the last one at its turn.
            lines = ((entry.tag, source.last) for entry in entries)
            _write(temporary, source.last, lines)
        _put_in_place(temporary, cache_path(order.state_dir, header.version))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            str(error), where=str(order.state_dir), remedy="Check the disk: full or read-only?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return header


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


def _refuse_unacceptable(header: SnapshotHeader, source: io.BufferedReader, order: Order) -> None:
    size = os.fstat(source.fileno()).st_size
    if size > SNAPSHOT_BYTES_MAX:
        raise ProtocolError(f"{size} bytes are more than {SNAPSHOT_BYTES_MAX}", where="snapshot")
    mark = order.mark
    same_again = order.replace_damaged and header.version == mark
    if mark is not None and header.version <= mark and not same_again:
        raise ProtocolError(
            f"version {header.version} is not newer than {mark}, which this node has accepted",
            where="snapshot",
        )


def _write(path: Path, header_line: bytes, lines: Iterator[tuple[bytes, bytes]]) -> None:
    # Bulk loading is what sqlite-utils is for; it is imported in this process only, never beside the relay.
    from sqlite_utils import Database

    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # No rollback journal and no waiting: a file that was not finished is thrown away.
        connection.execute("PRAGMA journal_mode=OFF").fetchall()
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("CREATE TABLE header (line BLOB NOT NULL) STRICT")
        connection.execute(
            "CREATE TABLE entries (tag BLOB PRIMARY KEY, line BLOB NOT NULL, sum BLOB NOT NULL)"
            " STRICT, WITHOUT ROWID"
        )
        connection.execute("INSERT INTO header VALUES (?)", (header_line,))
        rows = ({"tag": tag, "line": line, "sum": line_sum(line)} for tag, line in lines)
        Database(connection).table("entries").insert_all(rows, batch_size=BATCH_ROWS)
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
    given = parser.parse_args(arguments)
    return Order(
        spool=given.spool,
        state_dir=given.state_dir,
        hub_key=given.public_key,
        lab=given.lab,
        node=given.node,
        mark=given.mark,
        replace_damaged=given.replace_damaged,
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
