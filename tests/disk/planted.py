"""A bug's name in, a journal that has it out: what the simulated disk must find, and how fast it does.

Each is a fault that a careful person could make or a disk could have. None of them touches the package: a journal's
subclass, a connection in front of the real one, or the nature of the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from interlock.errors import ProtocolError
from interlock.node import journal as journal_module
from interlock.node import journal_schema as schema
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, after
from interlock.node.journal_marks import write_all
from interlock.protocol.records import Record
from tests.disk.histories import Setting


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: what it is, the invariants it breaks, and how to live with it for a while."""

    name: str
    breaks: frozenset[str]
    setting: Setting
    connect: Callable[[sqlite3.Connection], Any] | None = None
    calls: tuple[tuple[ModuleType, str, Callable[..., Any]], ...] = ()

    @contextmanager
    def in_place(self) -> Iterator[Setting]:
        """The journals of every life that begins in this block have it."""
        real_connect = schema.connect
        change = self.connect
        planted = list(self.calls)
        if change is not None:
            planted.append(
                (
                    schema,
                    "connect",
                    lambda path, uri=schema.file_uri: change(real_connect(path, uri)),
                )
            )
        real = [(module, name, getattr(module, name)) for module, name, _ in planted]
        for module, name, call in planted:
            setattr(module, name, call)
        try:
            yield self.setting
        finally:
            for module, name, call in real:
                setattr(module, name, call)


class WrittenBehind(Journal):
    """Calls a record durable and writes it with the next one."""

    _behind: Sequence[Record] = ()

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """The drafts are in memory."""
        before = self._stored
        written = []
        for draft in drafts:
            record = self._sealed(self._stored.head, draft)
            facts = after(self._stored.facts, record.id, draft.type, draft.body)
            self._stored = self._stored.grown(record, facts)
            written.append(record)
        owed, self._behind = self._behind, written
        try:
            self._insert(owed)
        except sqlite3.Error as error:
            self._stored = before
            self._fail(error)
        return written

    def _insert(self, records: Sequence[Record]) -> None:
        connection = self._live()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(schema.INSERT, [schema.row_of(record) for record in records])
        connection.execute("COMMIT")


class TwoTransactions(Journal):
    """Writes the records in one transaction, and head and facts in another."""

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """The drafts are on the disk, and a moment later so is what follows from them."""
        connection = self._live()
        stored, written = self._stored, []
        for draft in drafts:
            record = self._sealed(stored.head, draft)
            stored = stored.grown(record, after(stored.facts, record.id, draft.type, draft.body))
            written.append(record)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(schema.INSERT, [schema.row_of(record) for record in written])
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            write_all(connection, stored)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        self._stored = stored
        return written


class OneByOne(Journal):
    """Writes a batch as so many transactions."""

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """Each draft is on the disk, one after the other."""
        written: list[Record] = []
        for draft in drafts:
            written += super().append([draft])
        return written


class GoesOnAfterFailure(Journal):
    """A failed commit is forgotten: the connection stays in use, and the batch counts as written."""

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """The drafts are sealed, and on the disk if it was in the mood."""
        sealed: list[Record] = []
        stored = self._stored
        for draft in drafts:
            record = self._sealed(stored.head, draft)
            stored = stored.grown(record, after(stored.facts, record.id, draft.type, draft.body))
            sealed.append(record)
        connection = self._live()
        with suppress(sqlite3.Error):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(schema.INSERT, [schema.row_of(record) for record in sealed])
            write_all(connection, stored)
            connection.execute("COMMIT")
        schema.rollback(connection)
        self._stored = stored
        return sealed


class Unsettled(Journal):
    """Reopens after a failure without saying which records of the batch in doubt are there."""

    def reopen(self, stamp: Any) -> list[Record]:
        """Usable again, and silent."""
        super().reopen(stamp)
        return []


class PostponedCommit:
    """A connection that says COMMIT is done and does it with the next transaction."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real
        self._owes = False

    def __getattr__(self, name: str) -> Any:
        self._pay()
        return getattr(self._real, name)

    @property
    def in_transaction(self) -> bool:
        """As the caller expects it: no longer in one."""
        return self._real.in_transaction and not self._owes

    def execute(self, statement: str, *values: Any) -> Any:
        """The statement is done, unless it is a COMMIT of records."""
        if statement == "COMMIT":
            self._owes = True
            return None
        if statement.startswith(("BEGIN", "PRAGMA")):
            self._pay()
        return self._real.execute(statement, *values)

    def executemany(self, *values: Any) -> Any:
        """As ever."""
        return self._real.executemany(*values)

    def close(self) -> None:
        """What was owed is paid."""
        self._pay()
        self._real.close()

    def _pay(self) -> None:
        if self._owes:
            self._owes = False
            self._real.execute("COMMIT")


def _synchronous(level: str) -> Callable[[sqlite3.Connection], sqlite3.Connection]:
    def change(connection: sqlite3.Connection) -> sqlite3.Connection:
        connection.execute(f"PRAGMA synchronous={level}")
        return connection

    return change


def _refuse_at_once(path: Path) -> None:
    """The check as it was until 2026-11-21: before a hot rollback journal was rolled back."""
    if path.is_file():
        versions = path.read_bytes()[schema.FORMAT_VERSIONS_AT]
        if not all(version in (1, 2) for version in versions):
            raise ProtocolError("its format version is none", where=str(path))


_D1 = frozenset({"D1"})
_D8 = frozenset({"D8"})

PLANTED = (
    Planted("the disk lies about every sync", _D1, Setting(lies=True)),
    Planted("the disk forgets the folder's syncs", _D1, Setting(forgets_names=True)),
    Planted("the journal with synchronous=OFF", _D1, Setting(), _synchronous("OFF")),
    Planted("the journal with synchronous=NORMAL", _D1, Setting(), _synchronous("NORMAL")),
    Planted("an answer before COMMIT", _D1, Setting(), PostponedCommit),
    Planted("a record written after it was called durable", _D1, Setting(WrittenBehind)),
    Planted("a batch as so many transactions", _D1, Setting(OneByOne)),
    Planted("head and facts in a transaction of their own", _D8, Setting(TwoTransactions)),
    Planted("a failed commit that is ignored", _D1, Setting(GoesOnAfterFailure)),
    Planted(
        "believing the kernel after a failed flush",
        _D1,
        Setting(),
        calls=((journal_module, "write_again", lambda path: None),),
    ),
    Planted("a batch in doubt that is never settled", _D1, Setting(Unsettled)),
    Planted(
        "the header read before the rollback",
        _D8,
        Setting(),
        calls=((schema, "refuse_strange_format", _refuse_at_once),),
    ),
)
