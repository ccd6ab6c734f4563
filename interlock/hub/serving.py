"""The hub as a process: listening sockets and Django in, requests answered until SIGTERM.

People and nodes have a door each: plain HTTP on one computer or behind a proxy, and HTTPS with the lab's own
certificate authority, where there are no pages. Both lead into one server, with one count of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

import uvicorn
from django.urls import get_resolver

from interlock.errors import InterlockError, LinkError
from interlock.hub.asgi import application
from interlock.hub.authority import Certificates
from interlock.hub.connections import HEAD_S, connections_of, limits_for, raised_descriptors
from interlock.hub.front import Front, nodes_only

BACKLOG = 512
ACCEPTED_AT_ONCE = 16
"""asyncio accepts as many connections in a row as its backlog says, before any of them is counted:
few enough for connections.DESCRIPTORS_RESERVED. The kernel's queue stays BACKLOG long."""
GRACE_S = 5
"""After this long an answer under way is cut: shorter than the 10 s after which systemd kills."""
RENEW_EVERY_S = 3_600
"""How often the certificate is looked at; it is renewed months before it ends."""
FOLLOW_EVERY_S = 1.0
"""How soon one that another process issued is shown: once the authority was replaced, nodes hear with their next
greeting that they believe no other."""

GARBAGE_EVERY = 50_000
"""New objects that outlive their use before rubbish is looked for. Python's own 700 is less than one page holds at a
time: each page made everything older, and every tenth waited 115 ms for a look through 400,000 objects that stay."""

log = logging.getLogger(__name__)


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


def address_of(listener: socket.socket, scheme: str = "http") -> str:
    """The address that `listener` is reached by."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


@dataclass(frozen=True, slots=True)
class NodeDoor:
    """Where nodes come in: a listening socket, and the certificate that the hub shows there."""

    listener: socket.socket
    certificates: Certificates
    names: Sequence[str]

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 and newer with the hub's certificate, issued if need be. Raises ConfigError."""
        self.certificates.ensure_server(self.names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificates.server_file)
        return context

    def renew(self) -> None:
        """The certificate is good for long enough, issued if need be. Raises ConfigError, OSError."""
        if self.certificates.ensure_server(self.names):
            log.info("the hub has a new certificate for nodes")

    def show(self, context: ssl.SSLContext) -> None:
        """New connections see what is in the file; those that are open stay. Raises OSError."""
        context.load_cert_chain(self.certificates.server_file)

    def issue_seen(self) -> tuple[int, int]:
        """What differs when somebody, such as the jobs, has written the file anew. Raises OSError."""
        found = self.certificates.server_file.stat()
        return found.st_ino, found.st_mtime_ns


def serve(listener: socket.socket, door: NodeDoor, on_ready: Callable[[], None]) -> None:
    """Answer requests at both doors until SIGTERM or SIGINT; `on_ready` is called when it does."""
    application.limits = limits_for(raised_descriptors())
    config = _config(application, "on")
    _Server(config, application, door, on_ready).run(sockets=[listener])


def settle() -> None:
    """Pages are imported before the first is asked for, and what is there now is never looked through for rubbish."""
    for pattern in get_resolver().url_patterns:
        # What lies below an `include` is imported when it is looked at.
        getattr(pattern, "url_patterns", None)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, *gc.get_threshold()[1:])


def _config(app: Any, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan=lifespan,
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

    def __init__(
        self,
        config: uvicorn.Config,
        front: Front,
        door: NodeDoor,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._front = front
        self._door = door
        self._on_ready = on_ready
        self._keeping: tuple[asyncio.Task[None], ...] = ()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, then say so."""
        await super().startup(sockets)
        if not self.started:
            return
        context = self._door.context()
        await self._open(context)
        for listener in (*(sockets or []), self._door.listener):
            listener.listen(BACKLOG)
        self._keeping = (
            asyncio.create_task(self._renew()),
            asyncio.create_task(self._follow(context)),
        )
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer those who wait, then close."""
        for task in self._keeping:
            task.cancel()
        self._front.close()
        await super().shutdown([*(sockets or []), self._door.listener])

    async def _open(self, context: ssl.SSLContext) -> None:
        """Nodes may come in: as many connections as there is room for, counted with everybody's."""
        config = _config(nodes_only(self._front), "off")
        config.load()
        # One count: the class of the people's door knows who has been silent for longest.
        config.http_protocol_class = self.config.http_protocol_class

        def protocol() -> asyncio.Protocol:
            speaks: Any = config.http_protocol_class
            made: asyncio.Protocol = speaks(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        self.servers.append(
            await asyncio.get_running_loop().create_server(
                protocol,
                sock=self._door.listener,
                ssl=context,
                backlog=ACCEPTED_AT_ONCE,
                # Whoever does not finish a handshake is not counted yet: it must not take a minute.
                ssl_handshake_timeout=HEAD_S,
            )
        )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await asyncio.to_thread(self._door.renew)
            except (InterlockError, OSError) as error:
                log.error("the certificate for nodes cannot be renewed: %s", error)

    async def _follow(self, context: ssl.SSLContext) -> None:
        """Whoever issues the certificate, here or elsewhere, new connections see it."""
        seen: tuple[int, int] | None = None
        is_read = True
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                # Looked at before it is read: what is written in between is read once more.
                found = self._door.issue_seen()
                if found != seen:
                    await asyncio.to_thread(self._door.show, context)
                seen, is_read = found, True
            except OSError as error:
                if is_read:
                    log.error("the certificate for nodes cannot be read: %s", error)
                is_read = False

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
