"""Debian's pcscd with a virtual reader, of its own: a socket that `PCSCLITE_CSOCK_NAME` names comes out.

pcscd's socket has a fixed place, /run/pcscd, and vpcd listens on every network interface. In
namespaces of its own that place is a folder of the test and the only interface is a loopback of its
own, so that a pcscd of the computer goes on undisturbed and nobody else can reach this one.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from interlock.sim.vpcd import DRIVER, PORT
from tests.waiting import wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
"""sched.h"""
SOCKET = "pcscd.comm"
READER_NAME = "Interlock test reader"
READER = f'''FRIENDLYNAME "{READER_NAME}"
DEVICENAME /dev/null:0x{PORT:04X}
LIBPATH {DRIVER}
CHANNELID 0x{PORT:04X}
'''
START = (
    'mkdir -p /run/pcscd && mount --bind "$1" /run/pcscd && ip link set lo up && '
    'exec setpriv --pdeathsig KILL pcscd --foreground --config "$2"'
)


def is_installed() -> bool:
    """Whether `apt install pcscd vsmartcard-vpcd` was run."""
    return shutil.which("pcscd") is not None and Path(DRIVER).exists()


class Pcscd:
    """One pcscd in a folder; not started yet."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="il-pcscd-"))
        self._run, self._conf = self._folder / "run", self._folder / "conf"
        self._run.mkdir()
        self._conf.mkdir()
        self.socket = self._run / SOCKET
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, with_reader: bool = True) -> None:
        """It runs, with its virtual reader or with none, and answers."""
        (self._conf / "reader").write_text(READER if with_reader else "")
        command = [
            "unshare",
            "--mount",
            "--net",
            "sh",
            "-c",
            START,
            "sh",
            str(self._run),
            str(self._conf),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, what="pcscd's socket")

    def enter_network(self) -> None:
        """The calling thread opens its sockets where pcscd has its own. Raises OSError without one."""
        process = self._process
        if process is None:
            raise ProcessLookupError("pcscd does not run")
        with open(f"/proc/{process.pid}/ns/net", "rb") as network:
            if LIBC.setns(network.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        """It has ended and its socket is gone; harmless when called again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.socket.unlink(missing_ok=True)
        (self._run / "pcscd.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing of it is left."""
        self.stop()
        shutil.rmtree(self._folder)
