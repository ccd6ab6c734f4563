"""A real web server on a loopback port, for what the hub fetches: each path says what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebServer:
    """Its port, what it was asked for, and what each path answers: (status, headers, chunks)."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    pages: dict[str, Callable[[], tuple[int, dict[str, str], list[bytes]]]] = field(
        default_factory=dict
    )

    def says(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """`path` answers that."""
        self.pages[path] = lambda: (status, headers, [body])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web_server() -> Iterator[WebServer]:
    """It listens until the block ends."""
    behaviour = WebServer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.asked.append(self.path)
            status, headers, chunks = behaviour.pages.get(self.path, lambda: (404, {}, []))()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for chunk in chunks:
                    self.wfile.write(chunk)
            except OSError:
                # The hub hung up: it had read enough.
                return

        def log_message(self, format: str, *args: object) -> None:
            """A test's output is not a server's log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    behaviour.port = server.server_address[1]
    try:
        yield behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
