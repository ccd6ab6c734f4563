"""One machine's world as a process: a node's file and a folder go in, three sockets come out.

    spi.sock    the reader's bus      one packet a transfer         spi_server.py
    pins.sock   the kernel's lines    one packet a claim or level   pin_server.py
    world.sock  hands and eyes        one JSON object a line        world_talk.py

It ends when its parent does, so that a demo that was killed leaves nothing behind, and on SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from interlock.clock import perf_us
from interlock.config import NodeConfig
from interlock.errors import PinError
from interlock.sim.lab import card_box
from interlock.sim.physics import Plant
from interlock.sim.pin_server import PinConnection
from interlock.sim.spi_server import SpiConnection
from interlock.sim.world import World
from interlock.sim.world_loop import WorldLoop
from interlock.sim.world_talk import answer_to, encoded, state_of
from interlock.sim.world_wiring import plant_of, wiring_of

PINS_SOCKET = "pins.sock"
SPI_SOCKET = "spi.sock"
WORLD_SOCKET = "world.sock"

LOOK_US = 20_000
"""How often a watched world is looked at for changes: eyes need 100 ms."""
LINE_BYTES_MAX = 4_096
WAITING_BYTES_MAX = 1 << 20
"""A watcher that has not read for so long is dropped."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""


def run_world(
    config: NodeConfig,
    directory: Path,
    *,
    strict_gpiod: bool = True,
    plant: Plant | None = None,
    parent_pid: int | None = None,
) -> None:
    """Serve the surroundings of the node in `config` until SIGTERM, SIGINT or the parent's end.

    The sockets appear in `directory`, which must exist; `plant` replaces the machine that
    `plant_of` would build; `parent_pid` is who started this process, in case it died since.
    """
    end_with_parent(parent_pid)
    world = World(
        wiring_of(config),
        plant or plant_of(config),
        now_us=perf_us,
        strict_gpiod=strict_gpiod,
        card_for=card_box().card,
    )
    with _ended_by_signal() as wake_fd:
        serve_world(world, directory, wake_fd)


def serve_world(world: World, directory: Path, wake_fd: int) -> None:
    """Serve `world` at its three sockets in `directory` until `wake_fd` has something to read."""
    service = _Service(world)
    loop = WorldLoop(service.due)
    service.loop = loop
    loop.end_when_readable(wake_fd)
    loop.listen(directory / SPI_SOCKET, socket.SOCK_SEQPACKET, service.accept_spi)
    loop.listen(directory / PINS_SOCKET, socket.SOCK_SEQPACKET, service.accept_pins)
    loop.listen(directory / WORLD_SOCKET, socket.SOCK_STREAM, service.accept_watcher)
    loop.run()


def end_with_parent(parent_pid: int | None = None) -> None:
    """This process gets SIGTERM when its parent ends; at once if `parent_pid` is no more.

    The kernel watches the parent's *thread* that started us: start worlds from a thread that stays.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise PinError(os.strerror(ctypes.get_errno()), where="prctl(PR_SET_PDEATHSIG)")
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


class _Service:
    """What the connections of one world share."""

    def __init__(self, world: World) -> None:
        self.loop: WorldLoop
        self._world = world
        self._processes: list[PinConnection] = []
        self._watchers: list[Watcher] = []
        self._shown: bytes = b""
        self._look_us = 0

    def accept_spi(self, sock: socket.socket) -> SpiConnection:
        return SpiConnection(self._world, sock)

    def accept_pins(self, sock: socket.socket) -> PinConnection:
        connection = PinConnection(self._world, sock)
        self._processes.append(connection)
        return connection

    def accept_watcher(self, sock: socket.socket) -> Watcher:
        watcher = Watcher(self._world, sock, self._watchers)
        self._watchers.append(watcher)
        return watcher

    def due(self) -> int | None:
        """What is due has happened and been shown; microseconds until there is more to do."""
        self._world.catch_up()
        if not self._world.pins.powered:
            self._drop_processes()
        now_us = self._world.now_us()
        waits = [] if (own_us := self._world.next_us()) is None else [own_us - now_us]
        if any(one.subscribed for one in self._watchers):
            waits.append(self._show(now_us))
        return min(waits, default=None)

    def _show(self, now_us: int) -> int:
        if now_us >= self._look_us:
            self._look_us = now_us + LOOK_US
            shown = encoded({"state": state_of(self._world)})
            if shown != self._shown:
                self._shown = shown
                for watcher in self._watchers:
                    if watcher.subscribed:
                        watcher.tell(shown)
        return self._look_us - now_us

    def _drop_processes(self) -> None:
        """Without power nothing runs on the Pi, whatever processes there are on this computer."""
        dropped, self._processes = self._processes, []
        for connection in dropped:
            self.loop.drop(connection)


class Watcher:
    """One front panel at `world.sock`; see `world_loop.Served`."""

    def __init__(self, world: World, sock: socket.socket, watchers: list[Watcher]) -> None:
        self.subscribed = False
        self._world = world
        self._sock = sock
        self._watchers = watchers
        self._heard = b""
        self._waiting = b""

    def tell(self, line: bytes) -> None:
        """`line` is on its way."""
        self._waiting += line
        self.writable()

    def readable(self) -> bool:
        """Every whole line that had arrived is answered."""
        try:
            chunk = self._sock.recv(LINE_BYTES_MAX)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            answer = answer_to(self._world, line)
            self.subscribed = self.subscribed or answer.get("subscribed", False)
            self.tell(encoded(answer))
        return bool(chunk) and len(self._heard) <= LINE_BYTES_MAX

    def writable(self) -> bool:
        """As much of what waits as has room is sent."""
        try:
            sent = self._sock.send(self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        self._waiting = self._waiting[sent:]
        return len(self._waiting) <= WAITING_BYTES_MAX

    def waits(self) -> bool:
        """Whether lines wait for room."""
        return bool(self._waiting)

    def gone(self) -> None:
        """Nobody looks through this connection any more."""
        self._watchers.remove(self)


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[int]:
    """A file descriptor that becomes readable on SIGTERM or SIGINT."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        yield woken.fileno()
    finally:
        signal.set_wakeup_fd(-1)
        wake.close()
        woken.close()
