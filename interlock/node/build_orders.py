"""Arguments of the snapshot builder in, what it said out: the node's end of the line to its launcher.

The launcher (`snapshot_launcher`) is the only process a node ever starts, and it is started before READY. It is not
started again when it dies, for that would be a fork beside a coil that may be on; `lost` is told instead.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interlock.errors import ProtocolError, StoreError
from interlock.protocol import canonical, fields
from interlock.protocol.canonical import FRAME_BYTES_MAX

LAUNCHER = "interlock.node.snapshot_launcher"

ANSWER_S = 10.0
"""After the time a builder has: a launcher that is silent so long waits for the disk itself."""

END_S = 1.0
"""The launcher reads the end of the line at once; one that hangs is killed."""

SIGNAL_MAX = 64
"""The last of Linux's signals."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """How a builder ended (minus the signal when it was killed), and the bytes it said."""

    code: int
    output: bytes


class BuildOrders:
    """One order at a time; `build` blocks the thread that calls it and nobody else."""

    def __init__(self, lost: Callable[[], None] = lambda: None) -> None:
        """`lost` is called by the thread that found the launcher dead."""
        self._lost = lost
        self._lock = threading.Lock()
        self._link: socket.socket | None = None
        self._launcher: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._rest = b""

    @property
    def launcher_pid(self) -> int | None:
        """The process that forks for us; None before `start` and after `close`."""
        return None if self._launcher is None else self._launcher.pid

    def start(self) -> None:
        """Orders are taken. Call it before any coil may be on: it forks. Raises StoreError."""
        ours, theirs = socket.socketpair()
        try:
            self._launcher = subprocess.Popen(
                [sys.executable, "-m", LAUNCHER], stdin=theirs.fileno(), stdout=subprocess.DEVNULL
            )
        except OSError as error:
            ours.close()
            raise StoreError(f"cannot be started: {error}", where="snapshot launcher") from error
        finally:
            theirs.close()
        self._link = ours

    def build(self, arguments: Sequence[str], build_s_max: float) -> Built:
        """What the builder said of these arguments. Raises StoreError: none ran, or it took too long."""
        with self._lock:
            if self._link is None:
                raise StoreError("is not there", where="snapshot launcher")
            self._number += 1
            order = {
                "number": self._number,
                "arguments": list(arguments),
                "silence_ms": int(build_s_max * 1_000),
            }
            try:
                self._link.settimeout(build_s_max + ANSWER_S)
                self._link.sendall(canonical.dumps(order) + b"\n")
                return self._answer(self._link)
            except TimeoutError as error:
                raise StoreError("does not answer", where="snapshot launcher") from error
            except OSError as error:
                raise self._gone() from error

    def close(self) -> None:
        """The launcher and its builder have ended; harmless when called again."""
        link, self._link = self._link, None
        launcher, self._launcher = self._launcher, None
        if link is None or launcher is None:
            return
        # A thread that waits for an answer wakes; close() alone would leave it waiting.
        link.shutdown(socket.SHUT_RDWR)
        try:
            launcher.wait(END_S)
        except subprocess.TimeoutExpired:
            _log.warning("the snapshot launcher had to be killed")
            launcher.kill()
            launcher.wait()
        link.close()

    def _answer(self, link: socket.socket) -> Built:
        """The answer to the last order; one to an order that nobody waits for any more is dropped."""
        while True:
            while b"\n" not in self._rest:
                chunk = link.recv(FRAME_BYTES_MAX)
                if not chunk:
                    raise self._gone()
                self._rest += chunk
            line, self._rest = self._rest.split(b"\n", 1)
            try:
                told = canonical.loads(line, where="snapshot launcher")
                if fields.integer(told, "number") != self._number:
                    continue
                if "error" in told:
                    raise StoreError(fields.text(told, "error"), where="snapshot launcher")
                output = fields.text(told, "output", length_max=FRAME_BYTES_MAX).encode()
                return Built(fields.integer(told, "code", low=-SIGNAL_MAX), output)
            except ProtocolError as error:
                raise StoreError(error.what, where="snapshot launcher") from error

    def _gone(self) -> StoreError:
        if self._link is not None:
            _log.error("the snapshot launcher is dead: nothing is built until the node starts anew")
            self._lost()
        return StoreError("is dead", where="snapshot launcher", remedy="Restart the node")
