"""The small truths of a journal (head, acknowledgement, facts, marks, epochs) between memory and their table.

They share one page of the database and change in the transaction of the record that changes them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from interlock.errors import ProtocolError, StoreError
from interlock.node import journal_facts as facts_
from interlock.node.journal_facts import Facts, Marks
from interlock.protocol import canonical, fields, records
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import GENESIS, Head, Record

SUM = "sum"
SUM_BYTES = 16
"""The marks belong to no chain: their sum notices the one bit that makes another number of a number."""

KEY_DIGEST_BYTES = 16
"""Tells one enrolment's chain key from another's without saying anything about either."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records `first` to `last` of `epoch` no longer exist; `last` None: nobody knows how many there were."""

    epoch: int
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One branch of the chain: under which enrolment it was written and, once closed, its last seq."""

    number: int
    lab: str
    node: str
    key_digest: bytes
    last_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found. `ended`: the session that is closed now, or as soon as the disk takes its end.

    `clean`: the last process closed the journal in order and left no session open. `lost`: ranges of records
    that no longer exist, declared in the new epoch's first record.
    """

    facts: Facts
    ended: str | None
    clean: bool
    lost: tuple[Lost, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records behind a point, cut by bytes; `more` says that others wait behind the last of them."""

    records: tuple[Record, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything of a journal but its records, as it is on the disk."""

    keys: NodeKeys
    head: Head
    acknowledged: Head
    facts: Facts
    marks: Marks
    epochs: tuple[Epoch, ...]
    lost: tuple[Lost, ...]
    clean: bool

    @classmethod
    def fresh(cls, keys: NodeKeys) -> Stored:
        """What a journal without records holds."""
        head = Head(keys.epoch, 0, GENESIS)
        epoch = Epoch(keys.epoch, keys.lab, keys.node, key_digest(keys))
        return cls(keys, head, head, Facts(), Marks(), (epoch,), (), True)

    @property
    def unsent(self) -> int:
        """How many records lie behind the acknowledged one; declared losses count, which is on the safe side."""
        behind = 0
        for epoch in self.epochs:
            last = self.head.seq if epoch.number == self.head.epoch else epoch.last_seq or 0
            if epoch.number == self.acknowledged.epoch:
                behind += max(0, last - self.acknowledged.seq)
            elif epoch.number > self.acknowledged.epoch:
                behind += last
        return behind

    def grown(self, record: Record, facts: Facts) -> Stored:
        """These truths once `record` is the head; from here on the last end of the process was no clean one."""
        header = record.header
        head = Head(header.epoch, header.seq, record.hash)
        return replace(self, head=head, facts=facts, clean=False)

    def with_acknowledged(self, head: Head) -> Stored:
        """These truths with another acknowledged record."""
        return replace(self, acknowledged=head)

    def with_marks(self, marks: Marks) -> Stored:
        """These truths with other marks."""
        return replace(self, marks=marks)

    def with_clean(self, clean: bool) -> Stored:
        """These truths, saying whether the process ended in order."""
        return replace(self, clean=clean)

    def with_epoch(self, number: int) -> Stored:
        """These truths at the beginning of a new branch: seq from 1, nothing before it."""
        closed = tuple(
            replace(epoch, last_seq=self.head.seq) if epoch.number == self.head.epoch else epoch
            for epoch in self.epochs
        )
        begun = Epoch(number, self.keys.lab, self.keys.node, key_digest(self.keys))
        return replace(self, head=Head(number, 0, GENESIS), epochs=(*closed, begun))

    def ends_with(self, last: Record | None) -> bool:
        """Whether `last`, the last row there is, is the last record there ever was."""
        if last is None:
            return self.unsent == 0
        epoch, seq = last.header.epoch, last.header.seq
        if self.head.seq == 0:
            return any((e.number, e.last_seq) == (epoch, seq) for e in self.epochs)
        return (epoch, seq, last.hash) == (self.head.epoch, self.head.seq, self.head.hash)

    def verify(self, record: Record, previous: Head | None) -> None:
        """Return when nothing in `record` was altered and it follows `previous` (None: unknown).

        What is missing between them must have been declared lost, or be at the hub and so free to delete.
        Of a branch written under an earlier enrolment the key is gone; its bodies are still checked. Raises
        ProtocolError.
        """
        epoch, seq = record.header.epoch, record.header.seq
        where = f"record {record.id}"
        if all(begun.number != epoch for begun in self.epochs):
            raise ProtocolError("nobody ever began its epoch", where=where)
        if self._has_our_key(epoch):
            records.verify(record, prev=record.prev, chain_key=self.keys.chain_key)
        else:
            _verify_body(record)
        if seq == 1 and record.prev != GENESIS:
            raise ProtocolError("the first of its epoch follows another", where=where)
        if previous is None:
            return
        if (epoch, seq) <= (previous.epoch, previous.seq):
            raise ProtocolError("it stands behind a later one", where=where)
        if previous.epoch != epoch:
            self._verify_end(previous)
            return
        if seq == previous.seq + 1:
            if record.prev != previous.hash:
                raise ProtocolError("it does not follow the one before", where=where)
        elif not self.may_be_missing(epoch, previous.seq + 1, seq - 1):
            raise ProtocolError("records before it are missing", where=where)

    def _verify_end(self, last: Head) -> None:
        """Return when nothing is missing behind `last`, the last row of its epoch. Raises ProtocolError."""
        (end,) = (epoch.last_seq or 0 for epoch in self.epochs if epoch.number == last.epoch)
        if last.seq < end and not self.may_be_missing(last.epoch, last.seq + 1, end):
            raise ProtocolError(f"the end of epoch {last.epoch} is missing", where="journal")

    def may_be_missing(self, epoch: int, first: int, last: int) -> bool:
        """Whether nobody has to wonder where that range is: declared lost, or acknowledged and deleted."""
        if (epoch, last) <= (self.acknowledged.epoch, self.acknowledged.seq):
            return True
        return self.is_declared_lost(epoch, first, last)

    def is_declared_lost(self, epoch: int, first: int, last: int) -> bool:
        """Whether all of that range was declared lost by a salvage."""
        return any(
            lost.epoch == epoch and lost.first <= first and (lost.last is None or last <= lost.last)
            for lost in self.lost
        )

    def _has_our_key(self, number: int) -> bool:
        ours = key_digest(self.keys)
        return any(e.number == number and e.key_digest == ours for e in self.epochs)


def key_digest(keys: NodeKeys) -> bytes:
    """A fingerprint of the enrolment's chain key."""
    return blake2b(keys.chain_key, digest_size=KEY_DIGEST_BYTES).digest()


def load(connection: sqlite3.Connection, keys: NodeKeys) -> Stored:
    """What the file holds, in the epoch of `keys`; a fresh file is initialised and a new enrolment begun.

    Raises ProtocolError for damage, StoreError for another node's journal, sqlite3.Error from the disk.
    """
    rows = read_rows(connection)
    if not rows:
        if connection.execute("SELECT 1 FROM records LIMIT 1").fetchone() is not None:
            raise ProtocolError("its marks are missing", where="journal")
        stored = Stored.fresh(keys)
        _write_all(connection, stored)
        return stored
    stored = from_wire(rows, keys)
    current = stored.epochs[-1]
    if (current.lab, current.node) != (keys.lab, keys.node):
        raise StoreError(
            f"it belongs to node {current.node} of lab {current.lab}, not to {keys.node} of {keys.lab}",
            where="journal",
            remedy="Check the key file, or move the journal away",
        )
    if current.number >= keys.epoch and current.key_digest == key_digest(keys):
        return stored
    stored = stored.with_epoch(max(keys.epoch, current.number + 1))
    _write_all(connection, stored)
    return stored


def write_all(connection: sqlite3.Connection, stored: Stored) -> None:
    """Write every truth, inside the caller's transaction: they share a page. Raises sqlite3.Error."""
    _upsert(connection, to_wire(stored).items())


def read_rows(connection: sqlite3.Connection) -> dict[str, bytes]:
    """The table as it stands. Raises sqlite3.Error."""
    return dict(connection.execute("SELECT name, value FROM marks"))


def to_wire(stored: Stored) -> dict[str, bytes]:
    """Each truth under its name, as canonical JSON, and their sum."""
    rows = {name: canonical.dumps(spell(stored)) for name, spell in _SPELLINGS.items()}
    return {**rows, SUM: _sum_of(rows)}


def from_wire(rows: Mapping[str, bytes], keys: NodeKeys) -> Stored:
    """The truths a complete table holds. Raises ProtocolError."""
    truths = {name: value for name, value in rows.items() if name != SUM}
    if truths.keys() != _SPELLINGS.keys() or not all(isinstance(v, bytes) for v in rows.values()):
        raise ProtocolError("its marks are not all there", where="journal")
    # A journal of the first days has no sum; it gets one with its next record.
    if SUM in rows and rows[SUM] != _sum_of(truths):
        raise ProtocolError("its marks were altered", where="journal")
    try:
        values = {name: json.loads(value) for name, value in truths.items()}
        return Stored(
            keys=keys,
            head=records.head_from_wire(values["head"]),
            acknowledged=records.head_from_wire(values["acknowledged"]),
            facts=facts_.facts_from_wire(values["facts"]),
            marks=facts_.marks_from_wire(values["marks"]),
            epochs=tuple(
                Epoch(
                    fields.integer({"epoch": number}, "epoch", low=1),
                    lab,
                    node,
                    bytes.fromhex(digest),
                    last,
                )
                for number, lab, node, digest, last in values["epochs"]
            ),
            lost=tuple(Lost(epoch, first, last) for epoch, first, last in values["lost"]),
            clean=bool(values["clean"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"its marks cannot be read: {error!r}", where="journal") from error


def _sum_of(truths: Mapping[str, bytes]) -> bytes:
    parts = [part for name in sorted(truths) for part in (name.encode(), truths[name])]
    return blake2b(b"\0".join(parts), digest_size=SUM_BYTES).digest()


def _verify_body(record: Record) -> None:
    if record.body is None or record.salt is None:
        return
    sealed = record.salt + canonical.dumps(dict(record.body))
    if blake2b(sealed, digest_size=records.HASH_BYTES).digest() != record.commit:
        raise ProtocolError("its body was altered", where=f"record {record.id}")


_SPELLINGS: dict[str, Callable[[Stored], Any]] = {
    "head": lambda stored: stored.head.to_wire(),
    "acknowledged": lambda stored: stored.acknowledged.to_wire(),
    "facts": lambda stored: facts_.facts_to_wire(stored.facts),
    "marks": lambda stored: facts_.marks_to_wire(stored.marks),
    "epochs": lambda stored: [
        [e.number, e.lab, e.node, e.key_digest.hex(), e.last_seq] for e in stored.epochs
    ],
    "lost": lambda stored: [[lost.epoch, lost.first, lost.last] for lost in stored.lost],
    "clean": lambda stored: stored.clean,
}


def _write_all(connection: sqlite3.Connection, stored: Stored) -> None:
    connection.execute("BEGIN IMMEDIATE")
    write_all(connection, stored)
    connection.execute("COMMIT")


def _upsert(connection: sqlite3.Connection, rows: Iterable[tuple[str, bytes]]) -> None:
    connection.executemany(
        "INSERT INTO marks (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        rows,
    )
