"""The hub as a process: a listening socket and Django in, requests answered until SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from interlock.errors import LinkError
from interlock.hub.asgi import application
from interlock.hub.connections import connections_of, limits_for, raised_descriptors
from interlock.hub.front import Front

BACKLOG = 512
ACCEPTED_AT_ONCE = 16
"""asyncio accepts as many connections in a row as its backlog says, before any of them is counted:
few enough for connections.DESCRIPTORS_RESERVED. The kernel's queue stays BACKLOG long."""
GRACE_S = 5
"""After this long an answer under way is cut: shorter than the 10 s after which systemd kills."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to (host, port), 0 for any free port. Raises LinkError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LinkError(
            f"cannot listen: {error.strerror}",
            where=f"{host}:{port}",
            remedy="Another hub may run already; choose another --port, or 0 for any free one",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The address people and nodes reach `listener` by."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Answer requests on `listener` until SIGTERM or SIGINT; `on_ready` is called when it does."""
    application.limits = limits_for(raised_descriptors())
    config = uvicorn.Config(
        application,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        http=connections_of(application.limits),
        backlog=ACCEPTED_AT_ONCE,
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=GRACE_S,
    )
    _Server(config, application, on_ready).run(sockets=[listener])


def notify_ready() -> None:
    """systemd (or the demo) learns that the hub serves, if it asked (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", address)


class _Server(uvicorn.Server):
    """uvicorn, whose waiting requests end at once and whose SIGTERM is an orderly exit 0."""

    def __init__(self, config: uvicorn.Config, front: Front, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._front = front
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, then say so."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer those who wait, then close."""
        self._front.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own would raise the signal again after its orderly end."""

        def leave(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        old: dict[int, Any] = {
            number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
