"""The database file in, the same without a trace of what was deleted out: free pages, WAL and all.

SQLite unlinks what is deleted and overwrites it some day; VACUUM writes a new file of what there is, and the
WAL is cut once that is in place. Under the writer's lock, like every write (hub.sqlite).
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from interlock.clock import Clock, SystemClock
from interlock.errors import StoreError

CUT_S_MAX = 20.0
"""A page that is being read holds the WAL for milliseconds; longer means a hung process."""
POLL_S = 0.05


def clean_file(clock: Clock | None = None) -> None:
    """Nothing that was deleted before is in any byte of the database. Raises StoreError: the WAL is held."""
    if connection.vendor != "sqlite":
        return
    clock = clock or SystemClock()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
        end_ms = clock.boot_ms() + int(CUT_S_MAX * 1_000)
        while not _is_cut(cursor):
            if clock.boot_ms() >= end_ms:
                raise StoreError(
                    "a process reads it without end, so its log cannot be cut",
                    where=str(connection.settings_dict["NAME"]),
                    remedy="Start the hub again",
                )
            clock.sleep(POLL_S)


def _is_cut(cursor: Any) -> bool:
    writer = connection.writer  # type: ignore[attr-defined] # of our own backend
    with writer.held():
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (busy, *_) = cursor.fetchone()
    return not busy
