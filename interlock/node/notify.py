"""Words for the service manager in, datagrams on $NOTIFY_SOCKET out; never waits, never fails.

See sd_notify(3).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping


class Notifier:
    """Says READY, WATCHDOG and STOPPING; silent where nobody listens."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for Linux's abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def say(self, words: str) -> None:
        """`words` (`READY=1`) were sent, or there was nobody to take them at once."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(words.encode(), self._address)
        except OSError:
            # A manager that does not read gets nothing: its watchdog then does what it is for.
            return

    def close(self) -> None:
        """The socket is closed; harmless when called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
