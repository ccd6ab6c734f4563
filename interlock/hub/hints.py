"""A committed change to whoever waits for one, in this process and in the hub's: a wake-up, never the change itself.

What changed is read from the change log. Commands and jobs are other processes: they ring a socket in the hub's
folder; a ring that gets lost (no hub runs, its socket is gone) costs one poll (watch.py).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import transaction

BELL = "bell.socket"
"""In the hub's folder, which nobody else may enter."""
RING_BYTES_MAX = 16

_listeners: set[Callable[[], None]] = set()
_registry = threading.Lock()


class Bell:
    """What one thread waits at, and any thread, or another process of the same hub, rings."""

    def __init__(self, folder: Path) -> None:
        """In a folder where no socket can be, this process's own threads still ring. Takes over the socket of
        a process that ended, or (a second hub on one folder) of one that polls from now on."""
        self._own = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._name = folder / BELL
        self._lock = threading.Lock()
        self._is_open = True
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._socket = _bound(folder)

    def ring(self) -> None:
        """Whoever waits goes on, or whoever waits next does not wait."""
        with self._lock:
            if self._is_open:
                os.eventfd_write(self._own, 1)

    def wait(self, wait_s: float) -> bool:
        """Whether it rang, since the last time or within `wait_s`; however often, it counts once."""
        sources = [self._own] if self._socket is None else [self._own, self._socket.fileno()]
        rang, _, _ = select.select(sources, [], [], wait_s)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._own)
        with contextlib.suppress(OSError):
            while self._socket is not None:
                self._socket.recv(RING_BYTES_MAX)
        return bool(rang)

    def close(self) -> None:
        """Nobody waits at it any more; ringing is harmless."""
        with self._lock:
            self._is_open = False
            os.close(self._own)
        if self._socket is not None:
            self._socket.close()
            with contextlib.suppress(OSError):
                self._name.unlink()


def listen(wake: Callable[[], None]) -> Callable[[], None]:
    """`wake` is called after every change of this process; returns the function that ends it."""
    with _registry:
        _listeners.add(wake)

    def stop() -> None:
        with _registry:
            _listeners.discard(wake)

    return stop


def hint_on_commit() -> None:
    """Whoever listens wakes when the current transaction commits, never when it rolls back."""
    transaction.on_commit(_wake_all)


def _wake_all() -> None:
    with _registry:
        listeners = tuple(_listeners)
    for wake in listeners:
        wake()
    if not listeners:
        _ring_the_hub()


def _ring_the_hub() -> None:
    # Nobody there, or rung so often that it cannot have missed it.
    with contextlib.suppress(OSError), _short(settings.HUB.path) as folder:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_UNIX, kind) as bell:
            bell.sendto(b"!", f"{folder}/{BELL}")


def _bound(folder: Path) -> socket.socket:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        (folder / BELL).unlink(missing_ok=True)
        with _short(folder) as short:
            bell.bind(f"{short}/{BELL}")
        (folder / BELL).chmod(0o600)
    except OSError:
        bell.close()
        raise
    return bell


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The folder by a path that fits: a socket's has 107 bytes at most, a hub may live deeper."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
