"""The lab's network cable between one node's sync and the hub: a loopback port in, the hub's port out.

Unplugging is not hanging up: packets vanish. So a connection that is open when the cable is pulled goes
silent (`unplug(silent=True)`), and only a program with time limits ever notices; or, as when a switch or
a router goes down politely, it is reset. New connections are refused while the cable is out.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536
WAITING_BYTES_MAX = 1 << 20
"""More than this in one direction and the sender has to wait, as on a real link."""

CONNECT_S = 2.0
"""The hub listens on the same computer; longer means that it is not there."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: close() sends RST instead of FIN."""


@dataclass
class _End:
    """One end of a connection: what came in here leaves at the `peer`."""

    sock: socket.socket
    waiting: bytearray = field(default_factory=bytearray)
    peer: _End | None = None
    no_more: bool = False


class Cable:
    """A TCP proxy on 127.0.0.1 to `(host, port)`, in a thread of its own, that can be unplugged."""

    def __init__(self, host: str, port: int, listen_port: int = 0) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._listen_port = listen_port
        self._ends: dict[socket.socket, _End] = {}
        self._lock = threading.Lock()
        self._silent = False
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._listen()
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where sync connects to; stays the same over every unplugging."""
        return self._listen_port

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._listener is not None

    def unplug(self, *, silent: bool = True) -> None:
        """Nothing passes any more: open connections go silent, or are reset; new ones are refused."""
        with self._lock:
            self._silent = silent
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            if not silent:
                self._reset_all()
        self._nudge()

    def plug(self) -> None:
        """New connections pass; those that fell silent are reset, as a router with a new table does."""
        with self._lock:
            if self._listener is None and not self._closing:
                self._reset_all()
                self._silent = False
                self._listen()
        self._nudge()

    def close(self) -> None:
        """The port and every connection are closed; harmless when called again."""
        self._closing = True
        self._nudge()
        self._thread.join()

    # ---------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select()
            with self._lock:
                for key, events in ready:
                    self._serve(key.fileobj, events)
                self._watch_for_room()
        with self._lock:
            self._reset_all()
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            self._selector.close()
            self._wake.close()
            self._woken.close()

    def _serve(self, source: object, events: int) -> None:
        if source is self._woken:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(CHUNK_BYTES)
        elif not isinstance(source, socket.socket):
            return
        elif source is self._listener:
            self._accept(source)
        elif not self._silent:
            end = self._ends.get(source)
            if end is not None and events & selectors.EVENT_READ:
                self._read(end)
            if source in self._ends and events & selectors.EVENT_WRITE:
                self._write(self._ends[source])

    def _accept(self, listener: socket.socket) -> None:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(self._target, CONNECT_S)
        except OSError:
            _reset(near)
            return
        one, other = _End(near), _End(far)
        one.peer, other.peer = other, one
        for end in (one, other):
            end.sock.setblocking(False)
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end.sock] = end

    def _read(self, end: _End) -> None:
        assert end.peer is not None
        try:
            chunk = end.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(end)
            return
        if chunk:
            end.peer.waiting += chunk
            self._write(end.peer)
        else:
            end.no_more = True
            self._write(end.peer)

    def _write(self, end: _End) -> None:
        """As much as there is room for leaves at `end`; then its end of file, if the peer had one."""
        assert end.peer is not None
        try:
            while end.waiting:
                del end.waiting[: end.sock.send(end.waiting)]
            if end.peer.no_more:
                end.sock.shutdown(socket.SHUT_WR)
                if end.no_more:
                    self._drop(end)
        except BlockingIOError:
            return
        except OSError:
            self._drop(end)

    def _drop(self, end: _End) -> None:
        for one in (end, end.peer):
            if one is not None and self._ends.pop(one.sock, None) is not None:
                self._watch(one.sock, 0)
                one.sock.close()

    def _watch_for_room(self) -> None:
        for sock, end in self._ends.items():
            events = 0
            assert end.peer is not None
            if not self._silent:
                if not end.no_more and len(end.peer.waiting) < WAITING_BYTES_MAX:
                    events |= selectors.EVENT_READ
                if end.waiting:
                    events |= selectors.EVENT_WRITE
            self._watch(sock, events)

    def _watch(self, sock: socket.socket, events: int) -> None:
        watched = self._selector.get_map().get(sock)
        if watched is None and events:
            self._selector.register(sock, events)
        elif watched is not None and not events:
            self._selector.unregister(sock)
        elif watched is not None and watched.events != events:
            self._selector.modify(sock, events)

    def _reset_all(self) -> None:
        for end in list(self._ends.values()):
            self._ends.pop(end.sock)
            self._watch(end.sock, 0)
            _reset(end.sock)

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._listen_port))
        listener.setblocking(False)
        self._listen_port = listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ)
        self._listener = listener

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"!")


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
