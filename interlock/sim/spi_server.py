"""The reader's bus: one packet is one chip select; its bytes go in, as many come out."""

from __future__ import annotations

import socket
import struct

from interlock.sim.world import World

TICKET = struct.Struct("!I")
"""Goes before the bytes of a transfer and of its answer, so that a late answer finds no taker."""
TRANSFER_BYTES_MAX = 4096
"""The default buffer of Linux' spidev."""
WAITING_MAX = 8
"""Answers kept for a node that does not read; it has given up on older ones."""


class SpiConnection:
    """One process at `spi.sock`; see `world_loop.Served`."""

    def __init__(self, world: World, sock: socket.socket) -> None:
        self._world = world
        self._sock = sock
        self._waiting: list[bytes] = []

    def readable(self) -> bool:
        """Every transfer that had arrived was made; its answer is on its way."""
        while True:
            try:
                packet = self._sock.recv(TICKET.size + TRANSFER_BYTES_MAX)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if len(packet) < TICKET.size:
                return False
            ticket, sent = packet[: TICKET.size], packet[TICKET.size :]
            self._waiting = [*self._waiting, ticket + bytes(self._world.xfer2(sent))]
            self._waiting = self._waiting[-WAITING_MAX:]
            if not self.writable():
                return False

    def writable(self) -> bool:
        """As many answers as have room are sent."""
        try:
            while self._waiting:
                self._sock.send(self._waiting[0])
                del self._waiting[0]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def waits(self) -> bool:
        """Whether answers wait for room."""
        return bool(self._waiting)

    def gone(self) -> None:
        """The chip does not care who drove it."""
