"""Django's SQLite connection, each of whose writes holds the database's one lock until it is over.

Why. Two connections that commit and checkpoint at the same time can lose pages in WAL mode before
SQLite 3.51.3 (Debian 12 and 13 ship older ones), and connections that compete for SQLite's own lock
fail with "database is locked". So:

- a transaction begins IMMEDIATE and holds the lock (one among threads, and a flock on FILE.lock)
  from BEGIN through COMMIT and the checkpoint in it; so does a statement outside a transaction;
- each process keeps one connection open, so that closing another is never the last close (which
  checkpoints and removes the WAL); the kept one is closed under the lock when the process ends.

Readers take no lock and never wait. A read-only `atomic()` block does: leave it out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db.backends.sqlite3 import base, features
from django.utils.asyncio import async_unsafe

from interlock.hub.sqlite.writer import WriterLock, keep_open, writer_lock

_READS = frozenset({"SELECT", "PRAGMA", "EXPLAIN", "VALUES"})
_TRANSACTIONS = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})


class DatabaseFeatures(features.DatabaseFeatures):
    """What this SQLite can, as far as one writer at a time changes it."""

    # SQLite ≥ 3.32 takes 32,766 parameters; Django still assumes the 999 of older ones.
    max_query_params = 32_766

    @property
    def can_return_columns_from_insert(self) -> bool:
        """RETURNING only inside a transaction: outside, the statement must be over, and with it its
        commit, when `execute` returns and the lock is let go."""
        return bool(self.connection.in_atomic_block)

    @can_return_columns_from_insert.setter
    def can_return_columns_from_insert(self, value: bool) -> None:
        raise AttributeError("it follows from the connection's state")


class Cursor(base.SQLiteCursorWrapper):
    """Runs statements; a write outside a transaction holds the lock until it is committed."""

    writer: WriterLock

    def execute(self, query: str, params: Any = None) -> Any:
        with self._lock_for(query):
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        with self._lock_for(query):
            return super().executemany(query, param_list)

    @contextlib.contextmanager
    def _lock_for(self, query: str) -> Iterator[None]:
        word = query.lstrip(" \n\t(").split(None, 1)[0].upper().rstrip(";") if query.strip() else ""
        if self.connection.in_transaction or word in _READS or word in _TRANSACTIONS:
            yield
            return
        with self.writer.held():
            yield


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection. `ENGINE = "interlock.hub.sqlite"`, `transaction_mode` IMMEDIATE."""

    features_class = DatabaseFeatures

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._holds_lock = False

    @property
    def writer(self) -> WriterLock:
        """The lock of this database file, shared by every connection of the process."""
        return writer_lock(str(self.settings_dict["NAME"]))

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.writer = self.writer
        return cursor

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        # Opening replays or removes a WAL that a dead process left: that is a write.
        keep_open(str(self.settings_dict["NAME"]))
        return super().get_new_connection(conn_params)

    def _start_transaction_under_autocommit(self) -> None:
        self.writer.acquire()
        self._holds_lock = True
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # not in the stubs
        except BaseException:
            self._let_go()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # not in the stubs
        self._let_go()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # not in the stubs
        finally:
            self._let_go()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # not in the stubs
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self.writer.release()
