"""A `spidev` whose bus ends in a world process: bytes of a transfer in, the chip's bytes out.

What `import spidev` gives to the unmodified `mfrc522` package and to our reader. As with the real
one a transfer returns as many bytes as were sent or raises OSError; a world that does not answer
is an ETIMEDOUT, as a hung bus controller is (spi-bcm2835 gives up a transfer the same way).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from interlock.sim.spi_server import TICKET, TRANSFER_BYTES_MAX

TRANSFER_TIMEOUT_S = 0.5
"""Far above a transfer (0.1 ms), far below the 2 s in which a dead reader must be a fault."""
TICKETS = 1 << 32
_TIMEVAL = struct.Struct("@ll")
US_PER_S = 1_000_000


class SpiDev:
    """One SPI device at the world's `spi.sock`; the settings are kept and change nothing."""

    def __init__(self, path: Path, timeout_s: float = TRANSFER_TIMEOUT_S) -> None:
        self.max_speed_hz = 500_000
        self.mode = 0
        self.bits_per_word = 8
        self.transfers = 0
        self._path = path
        self._timeout_s = timeout_s
        self._is_open = False
        self._socket: socket.socket | None = None
        self._ticket = 0

    def open(self, bus: int, device: int) -> None:
        """The device is open; a world has one reader, so any bus and device lead to it.

        Raises FileNotFoundError when there is no such world, as a missing /dev/spidev0.0 does.
        """
        self._is_open = True
        self._connected()

    def close(self) -> None:
        """The device is closed; harmless when called again."""
        self._is_open = False
        self._hang_up()

    def xfer2(self, values: Sequence[int]) -> list[int]:
        """One chip select: as many bytes back as sent. Raises OSError."""
        if not self._is_open:
            raise OSError(errno.EBADF, "the SPI device is closed")
        if len(values) > TRANSFER_BYTES_MAX:
            raise OSError(errno.EMSGSIZE, f"at most {TRANSFER_BYTES_MAX} bytes a transfer")
        try:
            return self._exchanged(bytes(values))
        except BlockingIOError as error:
            raise OSError(errno.ETIMEDOUT, "the SPI bus does not answer") from error
        except OSError:
            self._hang_up()
            raise

    xfer = xfer2

    def _exchanged(self, values: bytes) -> list[int]:
        sock = self._connected()
        self._ticket = (self._ticket + 1) % TICKETS
        ticket = TICKET.pack(self._ticket)
        sock.send(ticket + values)
        while True:
            answer = sock.recv(TICKET.size + TRANSFER_BYTES_MAX)
            if not answer:
                raise OSError(errno.EIO, "the world of this machine has ended")
            if answer[: TICKET.size] == ticket:
                self.transfers += 1
                return list(answer[TICKET.size :])

    def _connected(self) -> socket.socket:
        if self._socket is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            # In the kernel rather than by settimeout(), which costs a poll() for every call.
            timeout = _TIMEVAL.pack(*divmod(round(self._timeout_s * US_PER_S), US_PER_S))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            try:
                sock.connect(str(self._path))
            except OSError:
                sock.close()
                raise
            self._socket = sock
        return self._socket

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def spidev_module(path: Path) -> ModuleType:
    """A module like `spidev`, every `SpiDev()` of which ends in the world behind `path`."""
    module = ModuleType("spidev", "A bus that ends in a world process.")
    module.SpiDev = lambda: SpiDev(path)  # type: ignore[attr-defined] # a module made at run time
    return module


def install_spidev(path: Path) -> None:
    """`import spidev` means the world behind `path` from now on, in this process."""
    sys.modules["spidev"] = spidev_module(path)
