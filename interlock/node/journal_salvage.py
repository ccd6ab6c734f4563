"""A damaged journal in, a verified one out: every readable record kept, what is lost declared.

    1. every row that can be read and verifies is copied into NAME.salvaged, behind it a new epoch whose first
       record declares the lost ranges; that file is complete and on the disk before anything else happens
    2. the damaged file (and its WAL) is renamed to NAME.damaged-before-epoch-N and kept
    3. NAME.salvaged is renamed to NAME

A crash before 2 starts over; a crash between 2 and 3 is finished by `finish_interrupted`. N in the name also
keeps an epoch from being used twice when nothing at all could be read.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interlock.errors import ProtocolError
from interlock.node import journal_schema as schema
from interlock.node.journal_facts import MACHINE, Facts, after
from interlock.node.journal_marks import (
    Epoch,
    Lost,
    Stored,
    from_wire,
    key_digest,
    read_rows,
    write_all,
)
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import GENESIS, Head, Record, RecordType

PROBE_MAX = 10_000
"""Places tried behind the last readable record when nobody knows how many there were: 2,000 pages."""

LOST_RANGES_MAX = 50
"""More holes than that are declared as one range: the declaration must fit one record."""

DETAIL_LENGTH_MAX = 200
"""SQLite's own words about the damage; longer ones say nothing more."""

COPY_ROWS = 500
"""Rows in one transaction of the copy; only its speed depends on it."""

CHUNK_BYTES = 4_096
"""Read and written at once: a page of SQLite's and of the kernel's."""

Sealed = Callable[[Head, RecordType, Mapping[str, Any]], Record]


def finish_interrupted(path: Path) -> None:
    """A salvage that was cut off between its two renames is finished; an unfinished copy is gone."""
    copy = _copy_of(path)
    if not copy.exists():
        return
    if path.exists():
        _remove(copy)
        return
    _move_wal(path, path.with_name(f"{path.name}.damaged-stray"))
    os.replace(copy, path)
    sync(path.parent)


def salvage(
    path: Path,
    keys: NodeKeys,
    *,
    damage: str,
    known: Stored | None,
    uri: schema.Uri,
    sealed: Sealed,
) -> tuple[Lost, ...]:
    """`path` is a verified journal in a new epoch; returns what was lost. `known`: what this process knew.

    Raises sqlite3.Error or OSError when the disk refuses; the damaged file is then still in place.
    """
    copy = _copy_of(path)
    _remove(copy)
    with closing(schema.connect(copy, uri)) as target:
        schema.migrate(target)
        copied = _copy_readable(target, path, keys, known, uri)
        epoch = max(_epoch_floor(path, keys), copied.newest_epoch) + 1
        _declare(target, copied, epoch, damage, sealed)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # Leave no WAL beside a file that is about to be renamed: it would belong to nobody.
        target.execute("PRAGMA journal_mode=DELETE").fetchall()
    sync(copy)
    aside = path.with_name(f"{path.name}.damaged-before-epoch-{epoch}")
    os.replace(path, aside)
    _move_wal(path, aside)
    os.replace(copy, path)
    sync(path.parent)
    return copied.lost


def sync(path: Path) -> None:
    """What the file holds, or the names in the folder, survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_again(path: Path) -> None:
    """What can be read of the file is on the disk; nothing when there is none. Raises OSError.

    After a failed flush Linux calls the pages clean, and no flush ever writes them: only another write does.
    """
    if not path.exists():
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        offset = 0
        while chunk := os.pread(descriptor, CHUNK_BYTES, offset):
            os.pwrite(descriptor, chunk, offset)
            offset += len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Copied:
    """What a copy kept so far. `whole`: head and facts of the damaged file are known."""

    old: Stored
    whole: bool
    head: Head
    facts: Facts
    last: dict[int, Head]
    holes: list[Lost]
    count: int = 0

    @classmethod
    def of(cls, old: Stored, whole: bool) -> _Copied:
        """Nothing copied yet; without a known head every record counts from the first."""
        return cls(old, whole, old.head, old.facts if whole else Facts(), {}, [])

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Every range that is missing, as one when there are too many for one record."""
        if len(self.holes) <= LOST_RANGES_MAX:
            return tuple(self.holes)
        return (Lost(self.holes[0].epoch, self.holes[0].first, self.holes[-1].last),)

    @property
    def newest_epoch(self) -> int:
        """The highest epoch that was ever begun, as far as can be known."""
        return max(epoch.number for epoch in self.old.epochs)

    def accept(self, record: Record) -> None:
        """`record` is kept. Raises ProtocolError, keeping nothing, when it was altered or does not follow."""
        header = record.header
        before = self.last.get(header.epoch)
        follows = before is not None and header.seq == before.seq + 1
        self.old.verify(record, before if follows else None)
        self._miss(header.epoch, (before.seq if before else 0) + 1, header.seq - 1)
        self.last[header.epoch] = here = Head(header.epoch, header.seq, record.hash)
        self.count += 1
        beyond = (here.epoch, here.seq) > (self.head.epoch, self.head.seq)
        if beyond:
            self.head = here
        if record.body is not None and (beyond or not self.whole):
            self.facts = after(self.facts, record.id, header.type, record.body)

    def finish(self, epoch: Epoch) -> Epoch:
        """`epoch` was walked to its end; what should have followed is missing."""
        have = self.last[epoch.number].seq if epoch.number in self.last else 0
        open_ended = epoch.number == self.old.head.epoch
        had = self.old.head.seq if open_ended else epoch.last_seq
        if self.whole:
            self._miss(epoch.number, have + 1, had or 0)
            return replace(epoch, last_seq=max(have, had or 0))
        if epoch.number == self.newest_epoch:
            self.holes.append(Lost(epoch.number, have + 1, None))
        return replace(epoch, last_seq=have)

    def _miss(self, epoch: int, first: int, last: int) -> None:
        if first > last or self.old.may_be_missing(epoch, first, last):
            return
        acknowledged = self.old.acknowledged
        if epoch == acknowledged.epoch:
            first = max(first, acknowledged.seq + 1)
        self.holes.append(Lost(epoch, first, last))


def _copy_readable(
    target: sqlite3.Connection, path: Path, keys: NodeKeys, known: Stored | None, uri: schema.Uri
) -> _Copied:
    source = _open_damaged(path, uri)
    try:
        old = known or _marks_of(source, keys)
        copied = _Copied.of(old or _guessed(path, keys), whole=old is not None)
        epochs = []
        for epoch in copied.old.epochs:
            if source is not None:
                _copy_epoch(source, target, copied, epoch)
            epochs.append(copied.finish(epoch))
        copied.old = replace(copied.old, epochs=tuple(epochs))
        return copied
    finally:
        if source is not None:
            source.close()


def _copy_epoch(
    source: sqlite3.Connection, target: sqlite3.Connection, copied: _Copied, epoch: Epoch
) -> None:
    rows: list[schema.Row] = []
    last_seq = copied.old.head.seq if epoch.number == copied.old.head.epoch else epoch.last_seq
    for row in _readable_rows(source, epoch.number, last_seq if copied.whole else None):
        try:
            record = schema.record_of(row, node=copied.old.keys.node)
            copied.accept(record)
        except ProtocolError:
            continue
        rows.append(schema.row_of(record))
        if len(rows) == COPY_ROWS:
            _insert(target, rows)
            rows.clear()
    _insert(target, rows)


def _readable_rows(
    source: sqlite3.Connection, epoch: int, last_seq: int | None
) -> Iterator[schema.Row]:
    """Every readable row of one epoch, in order; an unreadable page costs a probe for each of its places."""
    place = schema.place_of(epoch, 1)
    end = schema.place_of(epoch, schema.SEQ_MAX if last_seq is None else last_seq)
    misses = 0
    while place <= schema.place_of(epoch, schema.SEQ_MAX):
        try:
            for row in source.execute(
                f"SELECT {schema.COLUMNS} FROM records WHERE place BETWEEN ? AND ? ORDER BY place",
                (place, schema.place_of(epoch, schema.SEQ_MAX)),
            ):
                if not isinstance(row[0], int) or row[0] < place:
                    break
                place, misses = row[0] + 1, 0
                yield row
            else:
                return
        except schema.UNREADABLE:
            pass
        # An unreadable page is near, but `place` may still stand before it: Python's cursor reads one row ahead.
        alone = _row_at(source, place)
        if alone is not None:
            yield alone
        place += 1
        misses = 0 if alone is not None else misses + 1
        if place > end or (last_seq is None and misses > PROBE_MAX):
            return


def _row_at(source: sqlite3.Connection, place: int) -> schema.Row | None:
    try:
        row: schema.Row | None = source.execute(
            f"SELECT {schema.COLUMNS} FROM records WHERE place = ?", (place,)
        ).fetchone()
    except schema.UNREADABLE:
        return None
    return row


def _declare(
    target: sqlite3.Connection, copied: _Copied, epoch: int, damage: str, sealed: Sealed
) -> None:
    stored = replace(
        copied.old,
        head=copied.head,
        facts=copied.facts,
        lost=(*copied.old.lost, *copied.lost),
    ).with_epoch(epoch)
    lost = [[one.epoch, one.first, one.last] for one in copied.lost]
    problem = "records_lost" if lost else "journal_damaged"
    detail = damage[:DETAIL_LENGTH_MAX]
    bodies: list[tuple[RecordType, dict[str, Any]]] = [
        (
            RecordType.PROBLEM_REPORTED,
            {"problem": problem, "detail": detail, "lost": lost, "kept": copied.count},
        )
    ]
    if not copied.whole:
        # Whether somebody had locked this machine out cannot be known any more: a technician looks.
        bodies.append((RecordType.LOCK_OUT_SET, {"source": MACHINE, "cause": "journal_lost"}))
    target.execute("BEGIN IMMEDIATE")
    for type, body in bodies:
        record = sealed(stored.head, type, body)
        target.execute(schema.INSERT, schema.row_of(record))
        stored = stored.grown(record, after(stored.facts, record.id, type, body))
    write_all(target, stored)
    target.execute("COMMIT")


def _epoch_floor(path: Path, keys: NodeKeys) -> int:
    """No epoch up to this one may be begun again, whatever the damaged file still says."""
    pattern = re.compile(re.escape(path.name) + r"\.damaged-before-epoch-(\d+)")
    found = (pattern.fullmatch(sibling.name) for sibling in path.parent.iterdir())
    return max([keys.epoch, *(int(match[1]) for match in found if match)])


def _guessed(path: Path, keys: NodeKeys) -> Stored:
    """Truths for a file that tells none: every epoch this node can have begun, under this enrolment's key."""
    floor = _epoch_floor(path, keys)
    digest = key_digest(keys)
    epochs = tuple(Epoch(number, keys.lab, keys.node, digest) for number in range(1, floor + 1))
    nothing = Head(1, 0, GENESIS)
    return replace(
        Stored.fresh(keys), epochs=epochs, head=nothing, acknowledged=nothing, clean=False
    )


def _marks_of(source: sqlite3.Connection | None, keys: NodeKeys) -> Stored | None:
    if source is None:
        return None
    try:
        return from_wire(read_rows(source), keys)
    except schema.UNREADABLE:
        return None


def _open_damaged(path: Path, uri: schema.Uri) -> sqlite3.Connection | None:
    connection: sqlite3.Connection | None = None
    try:
        connection = schema.connect(path, uri)
        connection.execute("SELECT place FROM records LIMIT 1").fetchone()
    except schema.UNREADABLE:
        if connection is not None:
            connection.close()
        return None
    return connection


def _insert(target: sqlite3.Connection, rows: list[schema.Row]) -> None:
    target.execute("BEGIN IMMEDIATE")
    target.executemany(schema.INSERT, rows)
    target.execute("COMMIT")


def _copy_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvaged")


def _move_wal(path: Path, aside: Path) -> None:
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists():
        os.replace(wal, aside.with_name(f"{aside.name}-wal"))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
