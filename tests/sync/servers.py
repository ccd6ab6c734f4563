"""Loopback servers that misbehave byte by byte: a script of what to send goes in, an address comes out."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

CLIENT_S = 5
"""Longest wait for a client that has stopped talking; no test needs it."""

Serve = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def tcp_server(serve: Serve) -> Iterator[str]:
    """`serve` answers each connection; the value is the address, as `http://127.0.0.1:PORT`."""
    listener = socket.create_server(("127.0.0.1", 0))
    with _serving(listener, serve):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def unix_server(path: Path, serve: Serve) -> Iterator[Path]:
    """`serve` answers each connection to the Unix socket at `path`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    with _serving(listener, serve):
        yield path


@contextlib.contextmanager
def _serving(listener: socket.socket, serve: Serve) -> Iterator[None]:
    over = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = [listener]

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(CLIENT_S)
            thread = threading.Thread(target=answer, args=(connection,))
            thread.start()
            threads.append(thread)
            connections.append(connection)

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection, over)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        over.set()
        for one in connections:
            # Ends a blocking accept() or recv() at once.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for thread in threads:
            thread.join()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    """One whole HTTP request, body included; empty when the client hung up."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        seen += chunk
    head, _, body = seen.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body


def response(
    body: bytes,
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
) -> bytes:
    """An HTTP response as bytes; `length` may lie."""
    said = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\n\r\n"
    ).encode() + body


def sends(answer: bytes) -> Serve:
    """Every request of a connection gets `answer`."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while read_request(connection):
            connection.sendall(answer)

    return serve


def sends_and_hangs_up(answer: bytes) -> Serve:
    """The first request gets `answer`, then the connection is closed."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(answer)

    return serve


def says_nothing() -> Serve:
    """The request is read and never answered."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        over.wait()

    return serve


def trickles(answer: bytes, every_s: float = 0.05) -> Serve:
    """The answer comes one byte at a time."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        for index in range(len(answer)):
            connection.sendall(answer[index : index + 1])
            if over.wait(every_s):
                return

    return serve


def never_stops(head: bytes, chunk: bytes) -> Serve:
    """After `head`, `chunk` again and again until the client has had enough."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(chunk)

    return serve
