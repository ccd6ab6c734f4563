"""A total time for each HTTP exchange: sockets of one session go in and are cut when time is up.

`requests` bounds each single wait, never their sum: a server that trickles one byte a second, in
the headers or in the body, keeps a call alive for ever. A timer that shuts the socket down ends it
wherever it stands, over TLS too, and another thread may pull the cord as well.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from threading import Lock, Timer
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Guillotine:
    """Remembers the newest socket of one session and cuts it on time or on demand."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._armed = False
        self._fell = False
        self.total_s = 0.0

    @property
    def fell(self) -> bool:
        """True when the exchange that is under way, or has just ended, was cut."""
        return self._fell

    @contextlib.contextmanager
    def after(self, total_s: float) -> Iterator[None]:
        """What runs inside has lost its connection when `total_s` have passed."""
        with self._lock:
            self._armed, self._fell, self.total_s = True, False, total_s
        timer = Timer(total_s, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._armed = False

    def cut(self) -> None:
        """The exchange under way, if any, fails at once; harmless otherwise."""
        with self._lock:
            if self._armed:
                self._fell = True
                self._shut_down()

    def hold(self, connected: socket.socket | None) -> None:
        """`connected` is the session's socket from now on; shut at once when time is already up."""
        with self._lock:
            self._socket = connected
            if self._fell:
                self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not self._socket.shutdown(): on a TLS socket that would also drop the TLS state
                # under the reading thread's feet.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


CheckCertificate = Callable[[bytes], None]
"""The other side's certificate (DER), once chain and name are verified; raises ssl.SSLError to refuse it."""


class GuardedAdapter(HTTPAdapter):
    """A transport whose connections report their socket to a guillotine; it retries nothing."""

    def __init__(self, guillotine: Guillotine) -> None:
        self._guillotine = guillotine
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """The pools of `requests`, with connections that report."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _reporting(HTTPConnectionPool, self._guillotine),
            "https": _reporting(HTTPSConnectionPool, self._guillotine),
        }


class PinnedAdapter(GuardedAdapter):
    """The same over TLS, by a context of ours: no certificate authority of the computer counts."""

    def __init__(
        self, guillotine: Guillotine, context: ssl.SSLContext, check: CheckCertificate
    ) -> None:
        self._context = context
        self._check = check
        super().__init__(guillotine)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Pools for https alone, whose connections are checked and report."""
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)
        pool = _reporting(HTTPSConnectionPool, self._guillotine, self._check)
        self.poolmanager.pool_classes_by_scheme = {"https": pool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """What `requests` would do here adds every authority that browsers believe."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = ssl.CERT_REQUIRED, None, None


def _reporting(
    pool: type[Any], guillotine: Guillotine, check: CheckCertificate | None = None
) -> type[Any]:
    """A subclass of `pool` whose connections hand their socket to `guillotine` once connected."""
    base: type[Any] = pool.ConnectionCls

    class ReportingConnection(base):  # type: ignore[misc]  # the pool decides which class it is  # type: ignore[misc]  # the pool decides which class it is
        def connect(self) -> None:
            super().connect()
            guillotine.hold(self.sock)
            if check is not None:
                # Before a byte of the request, which carries the credential.
                check(self.sock.getpeercert(binary_form=True))

    return type(f"Reporting{pool.__name__}", (pool,), {"ConnectionCls": ReportingConnection})
