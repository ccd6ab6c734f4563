"""An address that somebody typed into a page goes in; what a public server answers there comes out.

Such an address is a way to make the hub knock on doors that its writer cannot reach: the lab's router, a
database on the hub's own loopback, a cloud's metadata. So:

- http and https only, on the ports people use;
- the name is resolved here, once; every address it has must be public (no private, loopback, link-local,
  multicast or reserved one, no NAT64, 6to4 or IPv4 in IPv6 that hides one);
- the connection is made to the very address that was checked (no second look-up that could answer otherwise),
  while TLS still asks for the name;
- each redirect begins again at the first line;
- a time limit on the whole, a limit on the size, no credentials sent along, nothing of the answer shown.

A lab whose booking tool stands in its own network names that server in hub.toml (`lan_servers`): that one
host, nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.errors import LinkError

ANSWER_BYTES_MAX = 2_000_000
"""A year of bookings of a busy machine is a tenth of that."""
REDIRECTS_MAX = 3
WHOLE_S_MAX = 30
"""For everything: a server that drips a byte a second holds up the other jobs no longer."""
SILENCE_S_MAX = 10
CHUNK_BYTES = 65_536
PORTS = {"http": (80, 8080), "https": (443, 8443)}
ADDRESS_LENGTH_MAX = 1_000
REDIRECTS = (301, 302, 303, 307, 308)
USER_AGENT = "Interlock (fab lab access control; reads the booking calendar)"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address, which may be a private one."""
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
"""RFC 4291, 2.5.5.1: deprecated, and still understood by some."""
_REFUSED = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("192.88.99.0/24"))
"""Carriers' own networks (RFC 6598) and the old 6to4 relays (RFC 7526)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered: the body, and where it came from after redirects."""

    content: bytes
    address: str


def fetch(address: str, clock: Clock, allowed: Sequence[str] = ()) -> Fetched:
    """What the server at `address` answers, at most ANSWER_BYTES_MAX. `allowed` names the hosts
    ("calendar.lan", "192.168.1.5:8080") that may be private. Raises LinkError, with words for a page."""
    end_ms = clock.boot_ms() + WHOLE_S_MAX * 1_000
    for _hop in range(REDIRECTS_MAX + 1):
        target = checked_address(address, allowed)
        answer = _ask(target, _may_be_private(target, allowed), clock, end_ms)
        if isinstance(answer, bytes):
            return Fetched(answer, address)
        address = urljoin(address, answer)
    raise LinkError(_("it sends us from one address to the next"), where=_host(address))


def checked_address(address: str, allowed: Sequence[str] = ()) -> SplitResult:
    """The parts of an address that may be asked, as far as its text can tell. Raises LinkError."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise LinkError(_("this is no address of a web page"), where=_("calendar")) from error
    plain = address.isascii() and address.isprintable() and " " not in address
    if len(address) > ADDRESS_LENGTH_MAX or not plain:
        raise LinkError(_("this is no address of a web page"), where=_("calendar"))
    if parts.scheme not in PORTS or not parts.hostname:
        raise LinkError(_("it must begin with https:// or http://"), where=_("calendar"))
    if parts.username is not None or parts.password is not None:
        raise LinkError(_("it must hold no user name and no password"), where=_("calendar"))
    known = port is None or port in PORTS[parts.scheme]
    if not known and not _may_be_private(parts, allowed):
        raise LinkError(_("only the usual ports of the web are asked"), where=parts.hostname)
    return parts


def is_public(address: IPAddress) -> bool:
    """Whether a machine of that address is on the public internet, and so is every one hidden in it."""
    if isinstance(address, ipaddress.IPv6Address):
        hidden = _hidden_ipv4(address)
        if hidden is not None:
            return is_public(hidden)
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _hidden_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _may_be_private(parts: SplitResult, allowed: Sequence[str]) -> bool:
    host = (parts.hostname or "").casefold()
    port = parts.port or PORTS[parts.scheme][0]
    return any(one.casefold() in (host, f"{host}:{port}") for one in allowed)


def _resolved(host: str, port: int, private: bool) -> str:
    """One address of `host` to connect to, all of them having been checked. Raises LinkError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LinkError(_("no server of that name is known"), where=host) from error
    addresses = [str(one[4][0]).partition("%")[0] for one in found]
    if not private and not all(is_public(ipaddress.ip_address(one)) for one in addresses):
        raise LinkError(
            _("this server stands in a private network"),
            where=host,
            remedy=_("If it is the lab's own, name it in hub.toml under lan_servers"),
        )
    if not addresses:
        raise LinkError(_("no server of that name is known"), where=host)
    return addresses[0]


class _PinnedHTTP(http.client.HTTPConnection):
    """Connects to an address that was checked, whatever the name says by now."""

    pinned = ""

    def connect(self) -> None:
        """The socket to the pinned address."""
        self.sock = socket.create_connection((self.pinned, self.port), self.timeout)


class _PinnedHTTPS(http.client.HTTPSConnection):
    """The same under TLS: the certificate has to be the name's."""

    pinned = ""
    context = ssl.create_default_context()

    def connect(self) -> None:
        """The protected socket to the pinned address."""
        self.sock = socket.create_connection((self.pinned, self.port), self.timeout)
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)


def _ask(parts: SplitResult, private: bool, clock: Clock, end_ms: int) -> bytes | str:
    """The body, or where a redirect points. Raises LinkError."""
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme][0]
    kind = _PinnedHTTPS if parts.scheme == "https" else _PinnedHTTP
    connection = kind(host, port, timeout=SILENCE_S_MAX)
    connection.pinned = _resolved(host, port, private)
    with contextlib.closing(connection), _translated(host), _cut_at(connection, clock, end_ms):
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": USER_AGENT, "Accept": "text/calendar", "Connection": "close"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status in REDIRECTS:
            return answer.getheader("Location") or ""
        if answer.status != http.client.OK:
            raise LinkError(
                _("its server answers %(status)d") % {"status": answer.status}, where=host
            )
        body = b"".join(_chunks(answer, host))
    if clock.boot_ms() > end_ms:
        raise LinkError(_("its server is too slow"), where=host)
    return body


@contextlib.contextmanager
def _cut_at(connection: http.client.HTTPConnection, clock: Clock, end_ms: int) -> Iterator[None]:
    """The line is cut when the time is over: no silence between two bytes has to be long for that."""

    def cut() -> None:
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0, end_ms - clock.boot_ms()) / 1_000, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _chunks(answer: http.client.HTTPResponse, host: str) -> Iterator[bytes]:
    read = 0
    while chunk := answer.read1(CHUNK_BYTES):
        read += len(chunk)
        if read > ANSWER_BYTES_MAX:
            raise LinkError(_("it is larger than 2 MB"), where=host)
        yield chunk


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise LinkError(_("its server does not answer"), where=host) from error
    except ssl.SSLError as error:
        raise LinkError(_("its server's certificate is not trusted"), where=host) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LinkError(_("its server cannot be reached"), where=host) from error


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""
