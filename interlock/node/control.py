"""Lines from local programs in, one answer line each out: the control socket and its threads.

Who may ask what follows from the peer's user, which the kernel vouches for (SO_PEERCRED). A
malformed, oversized, forbidden or trickling peer gets an error answer or is hung up on; nothing a
peer does reaches the loop except through the answers it is allowed to ask for.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.clock import Clock
from interlock.errors import InterlockError, LinkError, ProtocolError, StoreError
from interlock.protocol import canonical, control
from interlock.protocol.control import OPERATOR_OPS, SYNC_OPS, WATCHER_OPS, Op

LOG = logging.getLogger(__name__)

CONNECTIONS_MAX = 8
"""Sync holds one; the rest are people and programs that look."""

WATCHERS_MAX = 4
"""Of the connections, at most so many from users who may only look: they cannot lock sync out."""

IDLE_S = 30.0
"""A peer that asks nothing for so long has forgotten us."""

LINE_S = 2.0
"""From its first byte to its newline, whatever trickles; and for taking an answer of 64 KiB."""

ACCEPT_AGAIN_S = 0.1
"""After an accept that failed; ten tries a second cost nothing."""

SOCKET_MODE = 0o666
"""Anybody local may connect; what they may ask is decided for each request."""

FOLDER_MODE = 0o711
"""Sync and those who look pass through the socket's folder, whatever the service's umask; nobody lists it."""

ROOT = 0
_PEERCRED = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]
"""One operation: the request in, the fields of a good answer out. Raises InterlockError for a no.
"""


@dataclass(frozen=True, slots=True)
class Users:
    """The users a peer is compared with; `sync` is None where no such user exists."""

    own: int
    sync: int | None = None

    def may_ask(self, uid: int) -> frozenset[Op]:
        """The operations open to `uid`."""
        if uid in (ROOT, self.own):
            return OPERATOR_OPS
        return SYNC_OPS if uid == self.sync else WATCHER_OPS


class ControlServer:
    """Listens on a Unix socket from `start()` to `stop()`; every connection has a thread of its
    own.
    """

    def __init__(
        self, path: Path, answers: Mapping[Op, Answer], users: Users, clock: Clock
    ) -> None:
        self._path = path
        self._answers = answers
        self._users = users
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[socket.socket, frozenset[Op]] = {}
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """The socket answers. Raises LinkError when it cannot be made."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.parent.chmod(FOLDER_MODE)
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            self._path.chmod(SOCKET_MODE)
            listener.listen(CONNECTIONS_MAX)
        except OSError as error:
            listener.close()
            raise LinkError(
                f"the control socket cannot be made: {error.strerror}", where=str(self._path)
            ) from error
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nobody is answered any more and the socket is gone; harmless when called again."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._path.unlink(missing_ok=True)
        # close() alone would leave accept() waiting in its thread.
        _hang_up(listener)
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _hang_up(connection)
        if self._thread is not None:
            self._thread.join(LINE_S)
        listener.close()

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and listener is self._listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                # The listener was shut down, a peer left before it was greeted, or files ran out.
                # The last stays true for a while, and must not take the loop's processor.
                if listener is self._listener:
                    self._clock.sleep(ACCEPT_AGAIN_S)
                continue
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        try:
            uid = _uid_of(connection)
        except OSError:
            connection.close()
            return
        may_ask = self._users.may_ask(uid)
        with self._lock:
            watchers = sum(ops == WATCHER_OPS for ops in self._open.values())
            full = len(self._open) >= CONNECTIONS_MAX
            if full or (may_ask == WATCHER_OPS and watchers >= WATCHERS_MAX):
                _refuse(connection)
                return
            self._open[connection] = may_ask
        threading.Thread(
            target=self._serve, args=(connection, may_ask), name="control peer", daemon=True
        ).start()

    def _serve(self, connection: socket.socket, may_ask: frozenset[Op]) -> None:
        lines = _Lines(connection, self._clock)
        try:
            while True:
                try:
                    line = lines.next()
                except ProtocolError as error:
                    # What follows an endless line is no request either, so the talk ends here.
                    self._send(connection, control.error_answer("too_large", str(error)))
                    return
                if line is None:
                    return
                self._send(connection, self._answered(line, may_ask))
        except OSError as error:
            LOG.debug("a control peer left: %s", error)
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def _answered(self, line: bytes, may_ask: frozenset[Op]) -> dict[str, Any]:
        try:
            op, request = control.read_request(line)
        except ProtocolError as error:
            return control.error_answer("malformed", str(error))
        if op not in may_ask:
            return control.error_answer("forbidden", f"your user may not ask {op.value}")
        try:
            return control.answer(**self._answers[op](request))
        except ProtocolError as error:
            return control.error_answer("refused", str(error))
        except StoreError as error:
            return control.error_answer("store", str(error))
        except InterlockError as error:
            return control.error_answer("failed", str(error))

    def _send(self, connection: socket.socket, answer: dict[str, Any]) -> None:
        frame = canonical.dumps(answer)
        if len(frame) > canonical.FRAME_BYTES_MAX:
            frame = canonical.dumps(
                control.error_answer("too_large", f"the answer has {len(frame)} bytes")
            )
        connection.settimeout(LINE_S)
        connection.sendall(frame + b"\n")


class _Lines:
    """A connection's bytes, cut at newlines, in bounded time and size."""

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._rest = b""

    def next(self) -> bytes | None:
        """The next line without its newline, None when the peer left. Raises TimeoutError,
        ProtocolError.
        """
        frame = bytearray(self._rest)
        until_ms = self._clock.boot_ms() + int((LINE_S if frame else IDLE_S) * 1_000)
        while True:
            end = frame.find(b"\n")
            if end > canonical.FRAME_BYTES_MAX or (
                end < 0 and len(frame) > canonical.FRAME_BYTES_MAX
            ):
                raise ProtocolError(f"a request has at most {canonical.FRAME_BYTES_MAX} bytes")
            if end >= 0:
                self._rest = bytes(frame[end + 1 :])
                return bytes(frame[:end])
            left_ms = until_ms - self._clock.boot_ms()
            if left_ms <= 0:
                raise TimeoutError("the peer is too slow")
            self._connection.settimeout(left_ms / 1_000)
            chunk = self._connection.recv(canonical.FRAME_BYTES_MAX)
            if not chunk:
                return None
            if not frame:
                until_ms = self._clock.boot_ms() + int(LINE_S * 1_000)
            frame += chunk


def _uid_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    uid: int = _PEERCRED.unpack(credentials)[1]
    return uid


def _refuse(connection: socket.socket) -> None:
    busy = control.error_answer("busy", "too many connections; try again")
    try:
        connection.setblocking(False)
        connection.send(canonical.dumps(busy) + b"\n")
    except OSError as error:
        LOG.debug("a refused control peer did not listen: %s", error)
    finally:
        connection.close()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It was not connected any more, which is what we wanted.
        return
