"""The kernel's side of the pins: claims and writes of one process in, levels of its inputs out.

The connection is the process: when it closes, for whatever reason, the kernel's rules are applied
to the lines claimed through it. A process that does not read (stopped by a signal) never blocks
the world: of every line only the newest level waits for it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

from interlock.errors import PinError, ProtocolError
from interlock.sim.pin_frames import PACKET_BYTES_MAX, PULLS, Frame, Kind, packed, unpacked
from interlock.sim.world import World

PACKETS_AT_ONCE_MAX = 64
"""Read from one process before the others are looked at."""

_owners: Iterator[int] = itertools.count(1)


class PinConnection:
    """One process at `pins.sock`; see `world_loop.Served`."""

    def __init__(self, world: World, sock: socket.socket) -> None:
        self.owner = next(_owners)
        self._world = world
        self._sock = sock
        self._inputs: set[int] = set()
        self._answers: list[bytes] = []
        self._levels: dict[int, bool] = {}
        self._unwatch = world.watch(self._level_changed)
        self._answer(Frame(Kind.READY))

    def readable(self) -> bool:
        """Every claim and write that had arrived has reached the lines."""
        for _ in range(PACKETS_AT_ONCE_MAX):
            try:
                packet = self._sock.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not packet or not self._obeyed(packet):
                return False
        return True

    def writable(self) -> bool:
        """As much of what waits as has room is sent: answers in order, then newest levels."""
        try:
            while self._answers:
                self._sock.send(self._answers[0])
                del self._answers[0]
            while self._levels:
                line, level = next(iter(self._levels.items()))
                self._sock.send(packed(Frame(Kind.LEVEL, line, level)))
                del self._levels[line]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def waits(self) -> bool:
        """Whether answers or levels wait for room."""
        return bool(self._answers or self._levels)

    def gone(self) -> None:
        """The kernel has released the lines of this process."""
        self._unwatch()
        self._world.release(self.owner)

    def _obeyed(self, packet: bytes) -> bool:
        try:
            frame = unpacked(packet)
        except ProtocolError:
            return False
        try:
            self._obey(frame)
        except PinError as error:
            if frame.kind is not Kind.WRITE:
                self._answer(Frame(Kind.REFUSED, frame.line, 0, frame.ticket, str(error)))
        return True

    def _obey(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.CLAIM_INPUT:
                # Listed first, so that what the claim itself changes is told like any change.
                self._inputs.add(frame.line)
                pull = PULLS[frame.value % len(PULLS)]
                self._world.claim_input(self.owner, frame.line, pull)
                self._done(frame)
            case Kind.CLAIM_OUTPUT:
                self._inputs.discard(frame.line)
                self._world.claim_output(self.owner, frame.line, bool(frame.value))
                self._done(frame)
            case Kind.WRITE:
                self._world.write(self.owner, frame.line, bool(frame.value))

    def _done(self, claim: Frame) -> None:
        self._levels.pop(claim.line, None)
        level = self._world.level(claim.line)
        self._answer(Frame(Kind.DONE, claim.line, level, claim.ticket))

    def _answer(self, frame: Frame) -> None:
        self._answers.append(packed(frame))
        self.writable()

    def _level_changed(self, line: int, level: bool) -> None:
        if line in self._inputs:
            self._levels[line] = level
            self.writable()
