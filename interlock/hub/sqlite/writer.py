"""A database file to its one writer's lock, and to the connection that stays open beside it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator

from django.db.utils import OperationalError

from interlock.clock import Clock, SystemClock

WRITER_WAIT_S_MAX = 30.0
"""The longest write (a migration, a snapshot of 100,000 badges) takes seconds; longer hangs."""

POLL_S = 0.001
"""A blocked flock cannot be given up in Python without signals, so it is tried again this often."""


class WriterLock:
    """At most one holder among all threads and processes; a process that dies lets it go."""

    def __init__(self, path: str, clock: Clock, wait_s_max: float = WRITER_WAIT_S_MAX) -> None:
        self.path = path
        self._clock = clock
        self._wait_s_max = wait_s_max
        self._threads = threading.Lock()
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """The caller holds the lock. Raises OperationalError after `wait_s_max`."""
        if not self._threads.acquire(timeout=self._wait_s_max):
            raise self._hung("another thread")
        try:
            self._lock_file()
        except BaseException:
            self._threads.release()
            raise

    def release(self) -> None:
        """Nobody holds the lock. The caller must have held it."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._threads.release()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The lock for the length of a block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def forget_parent(self) -> None:
        """In a child process: the lock is nobody's here, and the parent's is not ours to share."""
        self._threads = threading.Lock()
        if self._descriptor is not None:
            # A file lock belongs to the open file, which parent and child would have in common.
            os.close(self._descriptor)
            self._descriptor = None

    def _lock_file(self) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end_ms = self._clock.boot_ms() + int(self._wait_s_max * 1_000)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if self._clock.boot_ms() >= end_ms:
                    raise self._hung("another process") from error
            self._clock.sleep(POLL_S)

    def _hung(self, who: str) -> OperationalError:
        return OperationalError(
            f"{self.path}: {who} has been writing for {self._wait_s_max:g} s. "
            "Look for a stopped hub command, and end it"
        )


_locks: dict[str, WriterLock] = {}
_kept: dict[str, sqlite3.Connection] = {}
_inherited: list[sqlite3.Connection] = []
_registry = threading.Lock()


def writer_lock(database: str) -> WriterLock:
    """The lock of `database`, one per process."""
    with _registry:
        if database not in _locks:
            _locks[database] = WriterLock(f"{database}.lock", SystemClock())
        return _locks[database]


def keep_open(database: str) -> None:
    """One connection to `database` stays open until the process ends."""
    with _registry:
        if database in _kept:
            return
    with writer_lock(database).held(), _registry:
        if database not in _kept:
            connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            # Switching to WAL is itself a write; a connection joins the WAL when it first reads.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            _kept[database] = connection


def forget(database: str) -> None:
    """The kept connection of `database` is closed, under the lock: before the file is removed."""
    with _registry:
        connection = _kept.pop(database, None)
    if connection is not None:
        with writer_lock(database).held():
            connection.close()


def _forget_parent() -> None:
    """A child of fork() begins with no lock and no connection of its parent's.

    The connections are kept, never closed: closing one here would end the parent's WAL under it.
    """
    global _registry
    _registry = threading.Lock()
    for lock in _locks.values():
        lock.forget_parent()
    _inherited.extend(_kept.values())
    _kept.clear()


os.register_at_fork(after_in_child=_forget_parent)


@atexit.register
def _forget_all() -> None:
    for database in list(_kept):
        # Left open if another process hangs in a write: the kernel closes the file without a word.
        with contextlib.suppress(OperationalError):
            forget(database)
