"""Somebody between node and hub: ends TLS with a certificate of their own, sees and steers every request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from interlock.clock import SystemClock
from interlock.hub.authority import Certificates
from tests.sync.servers import read_request, tcp_server

LOCAL = ["127.0.0.1", "localhost"]

Steer = Callable[[bytes, Callable[[], bytes]], bytes | None]
"""A whole request, and how to get the hub's whole answer to it; what goes back, None: nothing, ever."""


def foreign(folder: Path, names: list[str] | None = None) -> tuple[Certificates, ssl.SSLContext]:
    """Another lab's authority in `folder`, and a server's context with a certificate of its."""
    folder.mkdir(parents=True, exist_ok=True)
    certificates = Certificates(folder, SystemClock())
    certificates.create("Another lab")
    certificates.ensure_server(names or LOCAL)
    return certificates, server_context(certificates.server_file)


def server_context(pem: Path) -> ssl.SSLContext:
    """A server that shows the certificate in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class Between:
    """A TLS proxy on loopback; `seen` is every request it read in the clear."""

    def __init__(self, upstream: str, context: ssl.SSLContext, steer: Steer | None = None) -> None:
        self._port = int(upstream.rsplit(":", 1)[1])
        self._context = context
        self._steer = steer or (lambda request, ask: ask())
        self.seen: list[bytes] = []
        self.held = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Its address, as https://127.0.0.1:PORT."""
        with tcp_server(self._serve) as address:
            yield address.replace("http:", "https:")

    def _serve(self, connection: socket.socket, over: threading.Event) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(connection, server_side=True) as secure,
        ):
            while request := read_request(secure):
                self.seen.append(request)
                answer = self._steer(request, lambda: self._asked(request))
                if answer is None:
                    self.held.set()
                    over.wait()
                    return
                secure.sendall(answer)

    def _asked(self, request: bytes) -> bytes:
        """The hub's answer, over a connection that believes it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        head, blank, body = request.partition(b"\r\n\r\n")
        with (
            socket.create_connection(("127.0.0.1", self._port)) as plain,
            context.wrap_socket(plain) as secure,
        ):
            secure.sendall(head + b"\r\nConnection: close" + blank + body)
            answer = b""
            while chunk := secure.recv(65_536):
                answer += chunk
        return answer.replace(b"connection: close\r\n", b"").replace(b"Connection: close\r\n", b"")


def der(certificates: Certificates) -> bytes:
    """The server's certificate, as a connection shows it."""
    return x509.load_pem_x509_certificate(certificates.server_file.read_bytes()).public_bytes(
        Encoding.DER
    )
