"""Addresses that people type never make the hub knock on a private door."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from interlock.clock import SystemClock
from interlock.errors import LinkError
from interlock.hub import outgoing
from tests.hub.web_server import web_server

pytestmark = pytest.mark.fast

CLOCK = SystemClock()

PRIVATE = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"),
    *("2001:0:7f00:1::80ff:fffe", "64:ff9b:1::1", "192.88.99.1"),
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told_from_one_that_is(address: str) -> None:
    assert not outgoing.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert outgoing.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0x7f000001", "2130706433"),
        *("127.1", "0", "10.0.0.1", "169.254.169.254", "[fe80::1]", "[64:ff9b::7f00:1]"),
    ],
)
def test_no_way_of_writing_a_private_address_is_fetched(host: str) -> None:
    for address in (f"http://{host}/a", f"http://{host}:8080/a", f"https://{host}/a"):
        with pytest.raises(LinkError, match="private network"):
            outgoing.fetch(address, CLOCK)


def resolving(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[str]]) -> list[str]:
    """The names of a world of our own; returns what was looked up, in order."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: object, **more: object) -> object:
        asked.append(host)
        found = answers.get(host)
        if found is None:
            return real(host, port, type=socket.SOCK_STREAM)
        first = found.pop(0) if len(found) > 1 else found[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in first.split(",")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_that_leads_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, {"calendar.example.org": ["127.0.0.1"]})
    with pytest.raises(LinkError, match="private network"):
        outgoing.fetch("http://calendar.example.org/a", CLOCK)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, {"calendar.example.org": ["1.1.1.1,10.0.0.1"]})
    with pytest.raises(LinkError, match="private network"):
        outgoing.fetch("http://calendar.example.org/a", CLOCK)


def test_the_address_that_was_checked_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers otherwise the second time (DNS rebinding) is asked once."""
    asked = resolving(monkeypatch, {"calendar.example.org": ["192.0.0.9", "127.0.0.1"]})
    called: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *rest: object, **more: object) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(LinkError, match="cannot be reached"):
        outgoing.fetch("http://calendar.example.org/a", CLOCK)
    assert asked == ["calendar.example.org"]
    assert called == [("192.0.0.9", 80)]


@pytest.mark.parametrize(
    "to",
    [
        *("http://127.0.0.1/secret", "http://localhost:8080/secret", "//[::1]/secret"),
        *("file:///etc/passwd", "gopher://x/", "ftp://127.0.0.1/"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(to: str) -> None:
    with web_server() as server:
        server.says("/a", b"", 302, Location=to)
        own = f"127.0.0.1:{server.port}"
        with pytest.raises(LinkError, match=r"private network|must begin with"):
            outgoing.fetch(f"{server.url}/a", CLOCK, [own])
        assert server.asked == ["/a"]


def test_redirects_end() -> None:
    with web_server() as server:
        server.says("/a", b"", 302, Location="/a")
        with pytest.raises(LinkError, match="from one address to the next"):
            outgoing.fetch(f"{server.url}/a", CLOCK, [f"127.0.0.1:{server.port}"])
        assert len(server.asked) == outgoing.REDIRECTS_MAX + 1


def test_the_lab_s_own_server_is_asked_when_the_lab_named_it_and_only_that_one() -> None:
    with web_server() as server, web_server() as other:
        server.says("/a", b"BEGIN")
        server.says("/to", b"", 302, Location="/a")
        other.says("/a", b"secret")
        own = [f"127.0.0.1:{server.port}"]
        assert outgoing.fetch(f"{server.url}/a", CLOCK, own).content == b"BEGIN"
        assert outgoing.fetch(f"{server.url}/to", CLOCK, own).content == b"BEGIN"
        for allowed in ([], own):
            with pytest.raises(LinkError):
                outgoing.fetch(f"{other.url}/a", CLOCK, allowed)
        assert other.asked == []


def test_an_answer_without_end_is_cut_at_two_megabytes() -> None:
    with web_server() as server:
        chunk = b"x" * 100_000
        server.pages["/a"] = lambda: (200, {}, [chunk] * 21)
        with pytest.raises(LinkError, match="larger than 2 MB"):
            outgoing.fetch(f"{server.url}/a", CLOCK, [f"127.0.0.1:{server.port}"])


def test_a_server_that_drips_is_cut_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(outgoing, "WHOLE_S_MAX", 0.2)
        with pytest.raises(LinkError):
            outgoing.fetch(f"http://127.0.0.1:{port}/a", CLOCK, [f"127.0.0.1:{port}"])


@pytest.mark.parametrize("status", [204, 401, 404, 500])
def test_an_answer_that_is_no_calendar_is_an_error(status: int) -> None:
    with web_server() as server:
        server.says("/a", b"", status)
        with pytest.raises(LinkError, match=str(status)):
            outgoing.fetch(f"{server.url}/a", CLOCK, [f"127.0.0.1:{server.port}"])


@pytest.mark.parametrize(
    "address",
    [
        *("", "x", "file:///etc/passwd", "http://", "https://u@x.org/", "https://u:p@x.org/"),
        *("http://x.org:22/", "http://x.org:99999/", "http://x.org/\r\nHost: y", "http://[::1/"),
        *("javascript:alert(1)", "http://x.org/" + "a" * 1_000, "http://é.org/"),
    ],
)
def test_an_address_that_can_be_refused_by_its_text_is(address: str) -> None:
    with pytest.raises(LinkError):
        outgoing.checked_address(address)
