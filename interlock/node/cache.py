"""A verified snapshot's database in, one badge's entry and wrapped key out: a copy of the lab's authorisations.

`auth-EPOCH-COUNTER.db` is written once by `snapshot_builder` and never again, so it is opened immutable: no lock,
no WAL, no file beside it. It keeps the lines the hub signed, byte for byte, with the signed header: opening
verifies the signature, `verify_slice` walks all lines up to the signed digest, and each looked-up line carries
its own sum. Whatever does not match is "damaged", which a caller treats as having no cache at all; it never
becomes a grant, and never touches the journal (A1, A6, D8).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.core.model import Entry
from interlock.errors import ProtocolError, StoreError
from interlock.protocol import canonical, snapshots
from interlock.protocol.card_keys import WrappedKey
from interlock.protocol.snapshots import DIGEST_BYTES, SnapshotHeader, SnapshotVersion

FORMAT = 1
"""SQLite's user_version of these files; another one is another release's, and is built again."""

SUM_BYTES = 8
"""Finds a damaged line with certainty enough (1 in 2^64) for 8 bytes a badge."""

PAGE_CACHE_KIB = 512
"""A lookup touches four pages; memory must not grow with the number of badges."""

T = TypeVar("T")

_NAME = re.compile(r"auth-(\d{1,18})-(\d{1,18})\.db")


class BadgeCache:
    """One open snapshot. Owned by one thread; every method may raise StoreError, which means "no cache"."""

    def __init__(self, path: Path, hub_key: Ed25519PublicKey, *, lab: str, node: str) -> None:
        """Open and verify the header. Raises StoreError for anything but this node's signed snapshot."""
        self._path = path
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._verified_tag = b""
        self._verified_count = 0
        try:
            # Opened by whoever asks and then used by the reader worker only.
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from error
        try:
            self.header = self._read_header(hub_key, lab, node)
        except StoreError:
            self._connection.close()
            raise

    @property
    def path(self) -> Path:
        """The file this cache reads."""
        return self._path

    @property
    def version(self) -> SnapshotVersion:
        """(hub epoch, counter) of this snapshot."""
        return self.header.version

    def lookup(self, tag: bytes) -> Entry | None:
        """The entry of a badge, None when the lab knows no such badge. Raises StoreError for a damaged file."""
        line = self._line(tag)
        if line is None:
            return None
        entry = self._read(line, snapshots.entry_from_wire)
        if entry.tag != tag:
            raise self._damaged("an entry stands under another badge")
        return entry

    def card_key(self, tag: bytes) -> WrappedKey | None:
        """The wrapped key of a badge with an entry, None when it has none. Raises StoreError for a damaged file."""
        line = self._line(tag)
        return None if line is None else self._read(line, snapshots.card_key_from_wire)

    def verify_slice(self, rows_max: int) -> bool:
        """The next entries are hashed; True while more wait. Raises StoreError when they are not the signed ones."""
        try:
            rows = self._connection.execute(
                "SELECT tag, line FROM entries WHERE tag > ? ORDER BY tag LIMIT ?",
                (self._verified_tag, rows_max),
            ).fetchall()
            for tag, line in rows:
                self._digest.update(line)
                self._verified_tag = bytes(tag)
        except (sqlite3.Error, TypeError) as error:
            raise self._damaged(str(error)) from error
        self._verified_count += len(rows)
        if len(rows) == rows_max:
            return True
        whole = (self._verified_count, self._digest.digest())
        if whole != (self.header.entries, self.header.digest):
            raise self._damaged("its entries are not those the hub signed")
        # Whole; whoever goes on begins anew.
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._verified_tag, self._verified_count = b"", 0
        return False

    def close(self) -> None:
        """The file is released; harmless when repeated."""
        self._connection.close()

    def _read_header(self, hub_key: Ed25519PublicKey, lab: str, node: str) -> SnapshotHeader:
        try:
            self._connection.execute(f"PRAGMA cache_size=-{PAGE_CACHE_KIB}").fetchall()
            (format_found,) = self._connection.execute("PRAGMA user_version").fetchone()
            if format_found != FORMAT:
                raise self._damaged(f"its format is {format_found}, not {FORMAT}")
            row = self._connection.execute("SELECT line FROM header").fetchone()
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from error
        if row is None or not isinstance(row[0], bytes):
            raise self._damaged("its header is missing")
        try:
            header = snapshots.open_header(row[0], hub_key, lab=lab, node=node)
        except ProtocolError as error:
            raise self._damaged(str(error)) from error
        named = version_of(self._path)
        if named is not None and named != header.version:
            raise self._damaged(f"it holds snapshot {header.version}")
        return header

    def _line(self, tag: bytes) -> bytes | None:
        """A badge's line, with the right sum."""
        try:
            row = self._connection.execute(
                "SELECT line, sum FROM entries WHERE tag = ?", (tag,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from error
        if row is None:
            return None
        line, expected = row
        if not isinstance(line, bytes) or line_sum(line) != expected:
            raise self._damaged("an entry was altered")
        return line

    def _read(self, line: bytes, reading: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            return reading(canonical.loads(line, where="cache entry"))
        except ProtocolError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> StoreError:
        return StoreError(what, where=str(self._path), remedy="The hub's next snapshot replaces it")


def line_sum(line: bytes) -> bytes:
    """What a stored line must match."""
    return blake2b(line, digest_size=SUM_BYTES).digest()


def cache_path(folder: Path, version: SnapshotVersion) -> Path:
    """Where the snapshot of `version` lives."""
    return folder / f"auth-{version[0]}-{version[1]}.db"


def version_of(path: Path) -> SnapshotVersion | None:
    """The version a file's name claims, None for any other file."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else (int(match[1]), int(match[2]))


def cache_files(folder: Path) -> list[Path]:
    """Every snapshot database in `folder`, newest first."""
    found = [(version_of(path), path) for path in folder.iterdir()]
    named = [(version, path) for version, path in found if version is not None]
    return [path for _, path in sorted(named, reverse=True)]
