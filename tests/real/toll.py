"""A toll booth on the way from sync to the hub: requests pass one at a time, and somebody may stand behind it.

Whatever the hub answers comes back as it is, unless what stands behind the booth takes the whole connection
down: then the hub has done what was asked, and sync will never know.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

from interlock.protocol import hubapi
from tests.real.lab import HOST
from tests.sync import servers

ANSWER_S = 20
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RECORDS = f"POST {hubapi.PATH_RECORDS} ".encode()
CHANGES = f"GET {hubapi.PATH_CHANGES}".encode()

Behind = Callable[[], bool]
"""Called when the hub has answered a batch of records; True: the answer goes on to sync."""

Before = Callable[[], None]
"""Called when a batch of records is about to go into the hub."""


@contextlib.contextmanager
def toll_booth(
    hub_port: int, *, before: Before = lambda: None, behind: Behind = lambda: True
) -> Iterator[str]:
    """The address at which sync finds the hub. News of rights do not pass: they are not needed here."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.settimeout(None)
        while request := servers.read_request(connection):
            if request.startswith(CHANGES):
                connection.sendall(servers.response(b"{}", status="503 Service Unavailable"))
                continue
            answer = _asked(hub_port, request, before)
            if not answer or (request.startswith(RECORDS) and not behind()):
                return
            connection.sendall(answer)

    with servers.tcp_server(serve) as url:
        yield url


def _asked(hub_port: int, request: bytes, before: Before) -> bytes:
    """The hub's whole answer; empty when there is none."""
    if request.startswith(RECORDS):
        before()
    with contextlib.suppress(OSError), socket.create_connection((HOST, hub_port), ANSWER_S) as hub:
        hub.sendall(request)
        return _whole_answer(hub)
    return b""


def _whole_answer(hub: socket.socket) -> bytes:
    """The bytes of one answer with a Content-Length; empty when the hub died before their end."""
    seen = b""
    while True:
        head, end, body = seen.partition(b"\r\n\r\n")
        length = LENGTH.search(head) if end else None
        if length and len(body) >= int(length[1]):
            return seen
        chunk = hub.recv(65_536)
        if not chunk:
            return b""
        seen += chunk
