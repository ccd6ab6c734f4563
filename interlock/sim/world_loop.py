"""Sockets and the world's own time in one thread: readiness and due moments in, calls out."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

BACKLOG = 16
US_PER_S = 1_000_000


class Served(Protocol):
    """One connection as the loop sees it."""

    def readable(self) -> bool:
        """Everything that had arrived is dealt with; False when the peer is gone."""

    def writable(self) -> bool:
        """More of what waits is sent; False when the peer is gone."""

    def waits(self) -> bool:
        """Whether something waits for room in the socket."""

    def gone(self) -> None:
        """The peer is gone and the socket closed."""


Accept = Callable[[socket.socket], Served]


class WorldLoop:
    """Serves listening Unix sockets and calls `due` when its moment comes.

    `due()` does what is due and returns in how many microseconds it wants to be called again.
    """

    def __init__(self, due: Callable[[], int | None]) -> None:
        self._due = due
        self._selector = selectors.DefaultSelector()
        self._served: dict[socket.socket, Served] = {}
        self._listening: dict[socket.socket, tuple[Path, Accept]] = {}
        self._ends = False

    def listen(self, path: Path, kind: socket.SocketKind, accept: Accept) -> None:
        """Connections to `path` are served from now on by what `accept` makes of them."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(str(path))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._listening[listener] = (path, accept)
        self._selector.register(listener, selectors.EVENT_READ)

    def drop(self, served: Served) -> None:
        """The connection of `served` is closed from our side."""
        for sock, one in list(self._served.items()):
            if one is served:
                self._forget(sock)

    def end_when_readable(self, fd: int) -> None:
        """`run` returns once `fd` has something to read: a signal's wake-up."""
        self._selector.register(fd, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until told to end; then every socket is closed and its path removed."""
        try:
            while not self._ends:
                wait_us = self._due()
                timeout_s = None if wait_us is None else max(wait_us, 0) / US_PER_S
                for key, events in self._selector.select(timeout_s):
                    self._ready(key.fileobj, events)
                self._watch_for_room()
        finally:
            self._close()

    def _ready(self, source: object, events: int) -> None:
        if not isinstance(source, socket.socket):
            self._ends = True
        elif source in self._listening:
            self._accept(source)
        elif source in self._served:
            served = self._served[source]
            alive = True
            if events & selectors.EVENT_READ:
                alive = served.readable()
            if alive and events & selectors.EVENT_WRITE:
                alive = served.writable()
            if not alive:
                self._forget(source)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = listener.accept()
            sock.setblocking(False)
            self._served[sock] = self._listening[listener][1](sock)
            self._selector.register(sock, selectors.EVENT_READ)

    def _watch_for_room(self) -> None:
        for sock, served in self._served.items():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if served.waits() else 0)
            if self._selector.get_key(sock).events != events:
                self._selector.modify(sock, events)

    def _forget(self, sock: socket.socket) -> None:
        served = self._served.pop(sock)
        self._selector.unregister(sock)
        sock.close()
        served.gone()

    def _close(self) -> None:
        for sock in list(self._served):
            self._forget(sock)
        for listener, (path, _) in self._listening.items():
            listener.close()
            path.unlink(missing_ok=True)
        self._selector.close()
