"""Two ways to the lines of a Pi: claims and writes go in, levels come out, in or between processes.

A port is what a kernel's file handle is to lgpio: claims go in and are answered, writes go in and
are not, levels come out without any input or output of their own.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from interlock.clock import perf_us
from interlock.errors import PinError, ProtocolError
from interlock.sim.kernel_pins import LINES, Pull
from interlock.sim.pin_frames import PACKET_BYTES_MAX, PULLS, Frame, Kind, packed, unpacked
from interlock.sim.world import World

CLAIM_TIMEOUT_S = 1.0
"""Claims happen at start only; a world that takes longer is not there."""
LevelListener = Callable[[bool], None]

_local_owners = itertools.count(-1, -1)


class PinPort(Protocol):
    """The lines as one process sees them."""

    def claim_input(self, number: int, pull: Pull) -> None:
        """`number` is an input of ours. Raises PinError."""

    def claim_output(self, number: int, level: bool) -> None:
        """`number` drives `level` from its first instant on. Raises PinError."""

    def write(self, number: int, level: bool) -> None:
        """`number` will drive `level`; never waits. Raises PinError when the lines are gone."""

    def level(self, number: int) -> bool:
        """The newest level known of `number`; never waits. Raises PinError when lines are gone."""

    def listen(self, number: int, listener: LevelListener | None) -> None:
        """`listener` alone hears of every change of `number` from now on; None: nobody does."""

    def ticks_us(self) -> int:
        """Microseconds of the clock that changes are stamped with."""

    def close(self) -> None:
        """The kernel has our lines back; harmless when called again."""


class LocalPort:
    """The lines of a world in this process."""

    def __init__(self, world: World, ticks_us: Callable[[], int] = perf_us) -> None:
        self.ticks_us = ticks_us
        self._owner = next(_local_owners)
        self._world = world
        self._listeners: dict[int, LevelListener] = {}
        self._unwatch: Callable[[], None] | None = world.watch(self._level_changed)

    def claim_input(self, number: int, pull: Pull) -> None:
        """See PinPort."""
        self._check_open(number)
        self._world.claim_input(self._owner, number, pull)

    def claim_output(self, number: int, level: bool) -> None:
        """See PinPort."""
        self._check_open(number)
        self._world.claim_output(self._owner, number, level)

    def write(self, number: int, level: bool) -> None:
        """See PinPort."""
        self._check_open(number)
        self._world.write(self._owner, number, level)

    def level(self, number: int) -> bool:
        """See PinPort."""
        self._check_open(number)
        return self._world.level(number)

    def listen(self, number: int, listener: LevelListener | None) -> None:
        """See PinPort."""
        self._listeners.pop(number, None)
        if listener is not None:
            self._listeners[number] = listener

    def close(self) -> None:
        """See PinPort."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
            self._world.release(self._owner)

    def _check_open(self, number: int) -> None:
        if self._unwatch is None:
            raise PinError("the lines were given back", where=f"GPIO{number}")

    def _level_changed(self, number: int, level: bool) -> None:
        listener = self._listeners.get(number)
        if listener is not None:
            listener(level)


class SocketPort:
    """The lines of a world process at `path`, mirrored here by a thread that reads what it pushes.

    Writes are sent at once when the socket has room, which it has unless the world is stopped; then
    the newest level of each line waits. So nothing here but a claim ever waits for the world.
    """

    def __init__(self, path: Path, claim_timeout_s: float = CLAIM_TIMEOUT_S) -> None:
        self._where = str(path)
        self._claim_timeout_s = claim_timeout_s
        self._mirror = [False] * LINES
        self._listeners: dict[int, LevelListener] = {}
        self._waiting: dict[int, bytes] = {}
        self._answers: dict[int, Frame] = {}
        self._tickets = itertools.count(1)
        self._changed = threading.Condition()
        self._is_open = True
        self._socket = self._connected(path)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._mirrored, name="pins", daemon=True)
        self._thread.start()

    def ticks_us(self) -> int:
        """See PinPort."""
        return perf_us()

    def claim_input(self, number: int, pull: Pull) -> None:
        """See PinPort."""
        self._claim(Kind.CLAIM_INPUT, number, PULLS.index(pull))

    def claim_output(self, number: int, level: bool) -> None:
        """See PinPort."""
        self._claim(Kind.CLAIM_OUTPUT, number, level)

    def write(self, number: int, level: bool) -> None:
        """See PinPort."""
        with self._changed:
            self._check_open(number)
            self._mirror[number] = level
            self._post(number, Frame(Kind.WRITE, number, level))

    def level(self, number: int) -> bool:
        """See PinPort."""
        self._check_open(number)
        return self._mirror[number]

    def listen(self, number: int, listener: LevelListener | None) -> None:
        """See PinPort."""
        with self._changed:
            self._listeners.pop(number, None)
            if listener is not None:
                self._listeners[number] = listener

    def close(self) -> None:
        """See PinPort."""
        with self._changed:
            was_open, self._is_open = self._is_open, False
            self._changed.notify_all()
        if was_open:
            # The thread may have noticed already, and closed its end.
            with contextlib.suppress(OSError):
                self._wake.send(b"x")
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _connected(self, path: Path) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(self._claim_timeout_s)
        try:
            sock.connect(str(path))
            ready = unpacked(sock.recv(PACKET_BYTES_MAX))
        except (OSError, ProtocolError) as error:
            sock.close()
            raise PinError(
                f"no world answers ({error})", where=self._where, remedy="Start the world first."
            ) from error
        if ready.kind is not Kind.READY:
            sock.close()
            raise PinError(f"{ready.kind.name} instead of READY", where=self._where)
        sock.setblocking(False)
        return sock

    def _claim(self, kind: Kind, number: int, value: int) -> None:
        with self._changed:
            self._check_open(number)
            ticket = next(self._tickets)
            self._post(number, Frame(kind, number, value, ticket))
            self._changed.wait_for(
                lambda: ticket in self._answers or not self._is_open, self._claim_timeout_s
            )
            answer = self._answers.pop(ticket, None)
            if answer is None:
                raise PinError("the world does not answer", where=f"GPIO{number}")
            if answer.kind is Kind.REFUSED:
                raise PinError(answer.text, where=self._where)

    def _post(self, number: int, frame: Frame) -> None:
        """Sent now, or kept until there is room; the caller holds the lock."""
        packet = packed(frame)
        if not self._waiting:
            try:
                self._socket.send(packet)
                return
            except BlockingIOError:
                self._wake.send(b"x")
            except OSError as error:
                raise PinError(f"the world has ended ({error})", where=self._where) from error
        self._waiting[number] = packet

    def _check_open(self, number: int) -> None:
        if not self._is_open:
            raise PinError("the lines are gone: closed, or the world ended", where=f"GPIO{number}")

    # ------------------------------------------------------------------------------- the thread

    def _mirrored(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while self._is_open:
                selector.select()
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(PACKET_BYTES_MAX, socket.MSG_DONTWAIT)
                if not (self._read_all() and self._flush()):
                    self._gone()
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
                selector.modify(self._socket, events)
        for one in (self._socket, self._wake, self._woken):
            one.close()

    def _read_all(self) -> bool:
        while True:
            try:
                packet = self._socket.recv(PACKET_BYTES_MAX)
                if not packet:
                    return False
                self._heard(unpacked(packet))
            except BlockingIOError:
                return True
            except (OSError, ProtocolError):
                return False

    def _heard(self, frame: Frame) -> None:
        listener = None
        with self._changed:
            if frame.kind in (Kind.DONE, Kind.LEVEL):
                self._mirror[frame.line] = bool(frame.value)
            if frame.kind in (Kind.DONE, Kind.REFUSED):
                self._answers[frame.ticket] = frame
                self._changed.notify_all()
            elif frame.kind is Kind.LEVEL:
                listener = self._listeners.get(frame.line)
        if listener is not None:
            listener(bool(frame.value))

    def _flush(self) -> bool:
        with self._changed:
            try:
                while self._waiting:
                    number, packet = next(iter(self._waiting.items()))
                    self._socket.send(packet)
                    del self._waiting[number]
            except BlockingIOError:
                return True
            except OSError:
                return False
        return True

    def _gone(self) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
