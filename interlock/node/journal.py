"""Drafts in, durable chained records out: what the node can prove it did, whatever happens to it.

One SQLite file, one connection, one transaction per `append`: records, head and facts become durable together
or not at all. A failed commit leaves its batch *in doubt* (its pages may or may not have reached the disk), so
the connection is dropped and `reopen()` says which records turned out to be there; nothing is ever numbered
twice. A damaged file is moved aside by `journal_salvage`, and a new epoch declares what was lost.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from interlock.errors import ProtocolError, StoreError
from interlock.node import journal_schema as schema
from interlock.node.journal_facts import Draft, Facts, Marks, Stamp, after, branching, closing
from interlock.node.journal_marks import Batch, Lost, Recovery, Stored, load, write_all
from interlock.node.journal_salvage import finish_interrupted, salvage, sync, write_again
from interlock.protocol import canonical
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import (
    SALT_BYTES,
    Head,
    Header,
    Record,
    RecordType,
    seal,
)
from interlock.protocol.snapshots import SnapshotVersion

UNSENT_STARTS_MAX = 1_000_000
"""4-protocol.md: what a node holds for its hub. From here no session starts."""

UNSENT_MAX = UNSENT_STARTS_MAX + 10_000
"""Room kept for what must still be said: ends, faults, lock-outs. 10,000 is a week of minute records."""

MORE_POWER = frozenset(
    {RecordType.SESSION_STARTED, RecordType.REFUSED, RecordType.TRAINING_GRANTED}
)
"""Records that a full store refuses: they start something, or a flood could write them."""

TAIL_RECORDS = 500
"""Verified before the node is ready: about 25 ms on the development machine; the rest follows in slices."""

BATCH_ROWS_MAX = 256
"""Rows looked at for one answer; a 64 KiB frame holds about 100 records."""

_log = logging.getLogger(__name__)


class Journal:
    """The node's journal. Not thread-safe: one thread owns it at a time; every method may block on the disk."""

    def __init__(
        self,
        path: Path,
        keys: NodeKeys,
        *,
        boot_id: str,
        random_bytes: Callable[[int], bytes] = os.urandom,
        uri: schema.Uri = schema.file_uri,
    ) -> None:
        self._path = path
        self._keys = keys
        self._boot_id = boot_id
        self._random_bytes = random_bytes
        self._uri = uri
        self._connection: sqlite3.Connection | None = None
        self._stored = Stored.fresh(keys)
        self._was_open = False
        self._was_clean = True
        self._lost: tuple[Lost, ...] = ()
        self._damage: str | None = None
        self._verified: Head | None = None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    @property
    def head(self) -> Head:
        """The last durable record; seq 0 in an epoch that has none yet."""
        return self._stored.head

    @property
    def acknowledged(self) -> Head:
        """The last record the hub holds for certain."""
        return self._stored.acknowledged

    @property
    def facts(self) -> Facts:
        """Open session, latched faults and lock-outs after the last durable record."""
        return self._stored.facts

    @property
    def marks(self) -> Marks:
        """The persisted high-water marks."""
        return self._stored.marks

    @property
    def unsent(self) -> int:
        """How many records the hub has not acknowledged."""
        return self._stored.unsent

    @property
    def damage(self) -> str | None:
        """What `verify_slice` or a read found broken; `reopen()` mends it."""
        return self._damage

    @property
    def usable(self) -> bool:
        """False after a failure, until `reopen()` has succeeded."""
        return self._connection is not None

    def open(self, stamp: Stamp) -> None:
        """The journal is open and its tail verified; a damaged file was moved aside and salvaged.

        Raises StoreError when the disk refuses, or the file belongs to another enrolment or release.
        """
        try:
            finish_interrupted(self._path)
            self._connect()
        except StoreError:
            self._disconnect()
            raise
        except OSError as error:
            self._fail(error)
        except schema.UNREADABLE as error:
            if not schema.is_damage(error):
                self._fail(error)
            self._mend(str(error), stamp)
        self._was_open = True

    def recover(self, stamp: Stamp) -> Recovery:
        """The session an earlier process left open is closed. Call once, after the first `open()`.

        When the disk refuses, the session may stay open on it: the worker looks again once it has reopened.
        """
        session = self.facts.open_session
        clean = self._was_clean and session is None
        draft = self.closing_draft(stamp)
        if session is None or draft is None:
            return Recovery(self.facts, None, clean, self._lost)
        try:
            self.append([draft])
        except StoreError as error:
            _log.error("session %s cannot be closed yet: %s", session.id, error)
        return Recovery(self.facts, session.id, clean, self._lost)

    def closing_draft(self, stamp: Stamp) -> Draft | None:
        """The end of the open session at its last proof of life, None without one.

        Its totals are those of the last progress record, zero when there is none: nothing proves that the relay
        ever closed, and what is not proved is not billed.
        """
        session = self.facts.open_session
        return None if session is None else closing(session, stamp)

    def has_room_for(self, type: RecordType, count: int = 1) -> bool:
        """Whether `count` records of this type may still be added to what waits for the hub."""
        return _has_room(self.unsent + count - 1, type)

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """The drafts are records on the disk, in order, all or none, when this returns.

        Raises StoreError (disk or full store), ProtocolError for a draft that can be no record.
        """
        stored, written = self._stored, []
        for draft in drafts:
            if not _has_room(stored.unsent, draft.type):
                raise StoreError(
                    f"{stored.unsent} records wait for the hub and no more fit",
                    where=str(self._path),
                    remedy="Connect the node to its hub",
                )
            record = self._sealed(stored.head, draft)
            facts = after(stored.facts, record.id, draft.type, draft.body)
            stored = stored.grown(record, facts)
            written.append(record)
        self._write(stored, written)
        return written

    def branch(self, epoch: int, stamp: Stamp) -> bool:
        """The records from here on are a branch of their own, which says so; those before stay as they are.

        For an old or copied SD card, whose next numbers are taken. False, changing nothing: a session is open
        (its records stay together), or the epoch began already. Raises StoreError, ProtocolError.
        """
        _place(epoch, 0)
        if epoch <= self.head.epoch or self.facts.open_session is not None:
            return False
        begun = self._stored.with_epoch(epoch)
        record = self._sealed(begun.head, branching(self.head.epoch, self.head.seq, stamp))
        self._write(begun.grown(record, begun.facts), [record])
        _log.error("the hub holds other records than these: going on as epoch %d", epoch)
        return True

    def records_after(self, epoch: int, seq: int, bytes_max: int) -> Batch:
        """What follows (epoch, seq), at least one record where there is one. Raises StoreError, ProtocolError."""
        chosen: list[Record] = []
        size = 0
        for record in self._rows_after(_place(epoch, seq), BATCH_ROWS_MAX):
            size += len(canonical.dumps(record.to_wire())) + 1
            if chosen and size > bytes_max:
                return Batch(tuple(chosen), more=True)
            chosen.append(record)
        return Batch(tuple(chosen), more=len(chosen) == BATCH_ROWS_MAX)

    def acknowledge(self, head: Head) -> Head:
        """Everything up to `head` is at the hub. Repeats and older heads change nothing.

        Raises ProtocolError, changing nothing, when the hub names another record than the one written here.
        """
        where = f"acknowledgement of {head.epoch}.{head.seq}"
        place = _place(head.epoch, head.seq)
        if place > _place(self.head.epoch, self.head.seq):
            raise ProtocolError("this node never wrote that record", where=where)
        if head.seq == 0:
            return self.acknowledged
        known = self._hash_at(place)
        old = self.acknowledged
        if known is None and place == _place(old.epoch, old.seq):
            known = old.hash
        if known != head.hash and (known is not None or place > _place(old.epoch, old.seq)):
            raise ProtocolError(
                "the hub holds another record under this number",
                where=where,
                remedy="Compare both with: interlock journal verify",
            )
        if place > _place(old.epoch, old.seq):
            self._keep(self._stored.with_acknowledged(head))
        return self.acknowledged

    def mark(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
        commands: tuple[tuple[str, int], ...] | None = None,
    ) -> Marks:
        """What is given is persisted. Raises ProtocolError when the snapshot's mark would fall, StoreError."""
        marks = self.marks.raised(
            snapshot=snapshot, time=time, config_digest=config_digest, commands=commands
        )
        self._keep(self._stored.with_marks(marks))
        return marks

    def verify_slice(self, rows_max: int) -> bool:
        """The next records of the chain are verified; True while more wait. What is broken is in `damage`.

        Raises StoreError when the disk refuses: nothing is known then, and reopened it begins again.
        """
        if self._connection is None or self._damage is not None:
            return False
        place = 0 if self._verified is None else _place(self._verified.epoch, self._verified.seq)
        rows = 0
        try:
            for record in self._rows_after(place, rows_max):
                self._stored.verify(record, self._verified)
                self._verified = head_of(record)
                rows += 1
        except StoreError:
            if self._damage is None:
                raise
            return False
        except ProtocolError as error:
            self._damage = str(error)
            return False
        return rows == rows_max

    def look(self, question: str, parameters: Sequence[int]) -> list[schema.Row]:
        """The rows that a SELECT over the records finds. Raises StoreError."""
        connection = self._live()
        try:
            return connection.execute(question, parameters).fetchall()
        except schema.UNREADABLE as error:
            self._fail(error)

    def rewrite(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """`change` is done to what is delivered, in one transaction (journal_forgetting). Raises StoreError."""
        connection = self._live()
        try:
            connection.execute("BEGIN IMMEDIATE")
            change(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)

    def restate(self, facts: Facts) -> None:
        """The facts are these: the ones there were, without somebody who was erased. Raises StoreError."""
        self._keep(replace(self._stored, facts=facts))

    def checkpoint(self, *, truncate: bool = False) -> None:
        """The WAL's pages are in the main file; best done when nothing waits. Raises StoreError."""
        # Not truncated: overwriting the same blocks spares the card the file system's own journal.
        mode = "TRUNCATE" if truncate else "PASSIVE"
        self.look(f"PRAGMA wal_checkpoint({mode})", ())

    def reopen(self, stamp: Stamp) -> list[Record]:
        """The journal is usable again; returns the records of the batch in doubt if they are durable after all.

        Also mends what is damaged. Raises StoreError while the disk still refuses.
        """
        before = self.head
        damage = self._damage
        self._disconnect()
        if damage is None:
            self.open(stamp)
        else:
            self._mend(damage, stamp)
        place = _place(before.epoch, before.seq)
        return [
            record
            for record in self._rows_after(place, BATCH_ROWS_MAX)
            if record.header.epoch == before.epoch
        ]

    def close(self, *, clean: bool = False) -> None:
        """The file is released; `clean` notes that the process ended in order. Harmless when repeated."""
        if clean and self._connection is not None:
            self._keep(self._stored.with_clean(True))
        self._disconnect()

    def _connect(self) -> None:
        schema.refuse_strange_format(self._path)
        # Before SQLite builds on frames that may be in the kernel's memory alone.
        write_again(self._path.with_name(f"{self._path.name}-wal"))
        connection = schema.connect(self._path, self._uri)
        self._connection = connection
        schema.migrate(connection)
        stored = load(connection, self._keys)
        self._verify_tail(stored)
        self._flush_again(connection)
        if not self._was_open:
            self._was_clean = stored.clean
        # Not earlier: until all of that has succeeded, what follows the old head stays in doubt.
        self._stored = stored
        self._verified = None

    def _flush_again(self, connection: sqlite3.Connection) -> None:
        """What was just read is on the disk, and not only in the kernel's memory.

        After a failed flush Linux calls the pages clean: they can be read back, also by the next process, and
        flushing once more writes nothing. A checkpoint writes every frame of the WAL anew, into the database.
        """
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError(
                "somebody else holds it", where=str(self._path), remedy="End the other process"
            )
        # A WAL that a failing close removed may come back with a power cut, and with it what was called lost.
        sync(self._path.parent)

    def _verify_tail(self, stored: Stored) -> None:
        (found,) = self._live().execute("PRAGMA quick_check(marks)").fetchone()
        if found != "ok":
            # Reading it can succeed where the next write would not.
            raise ProtocolError(f"its marks are damaged: {found}", where=str(self._path))
        previous: Record | None = None
        for record in self._rows_after(self._place_before_tail(), TAIL_RECORDS, damage_raises=True):
            stored.verify(record, None if previous is None else head_of(previous))
            previous = record
        if not stored.ends_with(previous):
            raise ProtocolError("its last records are missing", where=str(self._path))

    def _place_before_tail(self) -> int:
        row = (
            self._live()
            .execute(
                "SELECT place FROM records ORDER BY place DESC LIMIT 1 OFFSET ?", (TAIL_RECORDS,)
            )
            .fetchone()
        )
        return 0 if row is None else int(row[0])

    def _mend(self, damage: str, stamp: Stamp) -> None:
        known = self._stored if self._was_open else None
        self._disconnect()
        _log.error("%s is damaged (%s): salvaging it", self._path, damage)
        try:
            self._lost = salvage(
                self._path,
                self._keys,
                damage=damage,
                known=known,
                uri=self._uri,
                sealed=lambda head, type, body: self._sealed(head, Draft(type, body, stamp)),
            )
            self._damage = None
            self._connect()
        except (*schema.UNREADABLE, OSError) as error:
            self._disconnect()
            raise StoreError(
                f"it is damaged and cannot be salvaged: {error}",
                where=str(self._path),
                remedy="Check the SD card; the damaged file stays where it is",
            ) from error

    def _sealed(self, head: Head, draft: Draft) -> Record:
        header = Header(
            node=self._keys.node,
            epoch=head.epoch,
            seq=head.seq + 1,
            boot_id=self._boot_id,
            boot_ms=draft.stamp.boot_ms,
            wall_ms=draft.stamp.wall_ms,
            wall_trusted=draft.stamp.wall_trusted,
            type=draft.type,
        )
        salt = self._random_bytes(SALT_BYTES)
        return seal(header, draft.body, salt=salt, prev=head.hash, chain_key=self._keys.chain_key)

    def _rows_after(
        self, place: int, rows_max: int, *, damage_raises: bool = False
    ) -> Iterator[Record]:
        connection = self._live()
        try:
            for row in connection.execute(
                f"SELECT {schema.COLUMNS} FROM records WHERE place > ? ORDER BY place LIMIT ?",
                (place, rows_max),
            ):
                yield schema.record_of(row, node=self._keys.node)
        except schema.UNREADABLE as error:
            if damage_raises:
                raise
            self._fail(error)

    def _hash_at(self, place: int) -> bytes | None:
        connection = self._live()
        try:
            row = connection.execute(
                "SELECT hash FROM records WHERE place = ?", (place,)
            ).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
        if row is not None and not isinstance(row[0], bytes):
            self._fail(ProtocolError("a hash is none", where=str(self._path)))
        return None if row is None else row[0]

    def _write(self, stored: Stored, written: Sequence[Record]) -> None:
        """The records and the truths that follow from them are on the disk, or neither. Raises StoreError."""
        connection = self._live()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(schema.INSERT, [schema.row_of(record) for record in written])
            write_all(connection, stored)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        self._stored = stored

    def _keep(self, stored: Stored) -> None:
        self.rewrite(lambda connection: write_all(connection, stored))
        self._stored = stored

    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("it is closed, or failed and was not reopened", where=str(self._path))
        return self._connection

    def _fail(self, error: Exception) -> NoReturn:
        """What was in flight is in doubt: drop the connection, so that only the disk's answer counts."""
        if schema.is_damage(error):
            self._damage = str(error)
        self._disconnect()
        raise StoreError(
            str(error), where=str(self._path), remedy="Check the disk: full, read-only or dying?"
        ) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        schema.rollback(connection)
        try:
            connection.close()
        except sqlite3.Error as error:
            _log.warning("%s closed badly: %s", self._path, error)


def head_of(record: Record) -> Head:
    """The chain head this record is."""
    return Head(record.header.epoch, record.header.seq, record.hash)


def _has_room(unsent: int, type: RecordType) -> bool:
    return unsent < (UNSENT_STARTS_MAX if type in MORE_POWER else UNSENT_MAX)


def _place(epoch: int, seq: int) -> int:
    if not (0 <= epoch <= schema.EPOCH_MAX and 0 <= seq <= schema.SEQ_MAX):
        raise ProtocolError(f"there is no record {epoch}.{seq}")
    return schema.place_of(epoch, seq)
