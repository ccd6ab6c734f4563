"""READY, WATCHDOG, STATUS and STOPPING go out to systemd through $NOTIFY_SOCKET (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Says nothing when no service manager listens; never raises: it must not end a process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # systemd writes "@" for a socket of the abstract namespace, whose real first byte is 0.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """The service serves."""
        self._say("READY=1")

    def alive(self) -> None:
        """The watchdog begins to count anew."""
        self._say("WATCHDOG=1")

    def status(self, text: str) -> None:
        """`systemctl status` shows `text`."""
        self._say("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """The service is on its way out."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as voice,
        ):
            # A full socket of a busy service manager must not hold us up.
            voice.setblocking(False)
            voice.sendto(words.encode(), self._address)
