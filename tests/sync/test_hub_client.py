"""The real `requests` client against real servers that are slow, broken, huge or somebody else."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.errors import ConfigError, LinkError, ProtocolError, StoreError
from interlock.protocol.credentials import HubAccess
from interlock.sync.hub_client import HubClient, Timeouts
from interlock.sync.links import Delivered, HubHello, News, No, NodeHello, OtherChain
from tests.sync import servers
from tests.sync.models import EMPTY, LAB, NODE, ModelNode

pytestmark = pytest.mark.real

QUICK = Timeouts(connect_s=0.5, read_s=0.4, total_s=0.8, download_total_s=0.8, grace_s=0.4)
BOUND_MS = 20_000
"""None of these servers ever comes to an end; who waits for one waits longer, however busy this computer is."""
"""The total plus what two busy cores may add; without the total these calls last tens of seconds."""

HASH = "00" * 32
GOOD = json.dumps(
    {
        "v": 1,
        "head": {"epoch": 1, "seq": 7, "hash": HASH},
        "time": {"statement": {}, "signature": ""},
        "version": [1, 4],
        "set_aside": [],
    }
).encode()
GOOD_HEAD = servers.response(GOOD)[: -len(GOOD)]
HELLO = ModelNode().hello()

Call = Callable[[HubClient], object]
CALLS: dict[str, Call] = {
    "hello": lambda hub: hub.hello(HELLO),
    "deliver": lambda hub: hub.deliver([]),
    "changes": lambda hub: hub.changes((1, 3), 0),
    "download": lambda hub: hub.download(Path(tempfile.mkdtemp(prefix="il-")) / "part"),
}


def client(address: str, timeouts: Timeouts = QUICK) -> HubClient:
    return HubClient(HubAccess(LAB, NODE, address, "secret-credential"), timeouts)


@pytest.fixture(params=sorted(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


def fails_in_time(serve: servers.Serve, call: Call) -> LinkError:
    clock = SystemClock()
    with servers.tcp_server(serve) as address:
        began_ms = clock.boot_ms()
        with pytest.raises(LinkError) as caught:
            call(client(address))
        took_ms = clock.boot_ms() - began_ms
    assert took_ms < BOUND_MS
    assert "secret-credential" not in str(caught.value)
    return caught.value


def test_a_silent_hub_is_given_up_in_time(call: Call) -> None:
    fails_in_time(servers.says_nothing(), call)


def test_a_hub_that_trickles_its_headers_is_cut_off(call: Call) -> None:
    fails_in_time(servers.trickles(GOOD_HEAD + b"X: " + b"y" * 1000), call)


def test_a_hub_that_trickles_its_body_is_cut_off(call: Call) -> None:
    head = servers.response(b"", length=10_000)
    trickle = servers.trickles(b" " * 10_000)

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        trickle(connection, over)

    error = fails_in_time(serve, call)
    assert "longer than" in str(error)


def test_a_trickled_body_without_a_length_is_no_clean_end_when_it_is_cut(call: Call) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    trickle = servers.trickles(GOOD + b" " * 10_000)

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        trickle(connection, over)

    assert "longer than" in str(fails_in_time(serve, call))


def test_a_body_without_end_is_cut_at_its_cap() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    error = fails_in_time(servers.never_stops(head, b" " * 65_536), CALLS["hello"])
    assert "longer than 65536 bytes" in str(error)


def test_headers_without_end_are_refused() -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    fails_in_time(servers.never_stops(head, b"X-More: " + b"y" * 1000 + b"\r\n"), CALLS["hello"])


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\xff garbage \r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        servers.response(b"not json at all"),
        servers.response(b"[]"),
        servers.response(b'{"v":2}'),
        servers.response(b'{"v":1}'),
        servers.response(b'{"v":1,"head":{"epoch":1,"seq":-1,"hash":""}}'),
        servers.response(b'{"v":1,"head":3,"time":4,"version":[1]}'),
        servers.response(b'{"v":1,"x":' + b"[" * 50_000),
        servers.response(GOOD, kind="text/html"),
        servers.response(GOOD, status="500 Internal Server Error"),
        servers.response(GOOD, status="503 Service Unavailable"),
        servers.response(GOOD, status="404 Not Found"),
        servers.response(GOOD, status="206 Partial Content"),
        servers.response(GOOD[:-1] + b'"', length=len(GOOD) + 50),
    ],
)
def test_an_answer_that_is_not_the_hubs_is_a_link_error(answer: bytes) -> None:
    for name in ("hello", "deliver"):
        fails_in_time(servers.sends_and_hangs_up(answer), CALLS[name])


def test_a_compressed_answer_is_refused_unread() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    answer += b"Content-Length: 4\r\n\r\n\x1f\x8b\x00\x00"
    error = fails_in_time(servers.sends_and_hangs_up(answer), CALLS["hello"])
    assert "compressed" in str(error)


def test_a_redirect_is_not_followed_and_the_credential_not_sent_on(call: Call) -> None:
    asked = threading.Event()

    def thief(connection: socket.socket, over: threading.Event) -> None:
        asked.set()

    with servers.tcp_server(thief) as elsewhere:
        answer = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        error = fails_in_time(servers.sends(answer.encode()), call)
    assert "redirects" in str(error)
    assert not asked.is_set()


def test_a_port_nobody_listens_on_is_a_link_error(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(LinkError, match="cannot be reached"):
        call(client(address))


def test_a_hub_that_hangs_up_in_the_middle_is_a_link_error(call: Call) -> None:
    fails_in_time(servers.sends_and_hangs_up(GOOD_HEAD + GOOD[:20]), call)


@pytest.mark.parametrize(
    "status",
    [
        *("400 Bad Request", "401 Unauthorized", "403 Forbidden", "409 Conflict"),
        "413 Request Entity Too Large",
    ],
)
def test_a_no_is_a_value_with_the_hubs_own_words(call: Call, status: str) -> None:
    words = b'{"v":1,"error":"other_chain","message":"look at the page of this node"}'
    with servers.tcp_server(servers.sends(servers.response(words, status=status))) as address:
        assert call(client(address)) == No("other_chain", "look at the page of this node")


def test_a_no_to_the_records_brings_time_and_version_all_the_same() -> None:
    wire = {"v": 1, "error": "node_behind", "message": "it ends at 1.5", "version": [1, 4]}
    words = json.dumps({**wire, "time": {"statement": {}, "signature": ""}}).encode()
    answer = servers.response(words, status="409 Conflict")
    with servers.tcp_server(servers.sends(answer)) as address:
        assert client(address).hello(HELLO) == OtherChain(
            "node_behind", "it ends at 1.5", {"statement": {}, "signature": ""}, (1, 4)
        )


def test_a_no_without_words_says_what_its_status_means(call: Call) -> None:
    answer = servers.response(b"<html>", status="401 Unauthorized", kind="text/html")
    with servers.tcp_server(servers.sends(answer)) as address:
        assert call(client(address)) == No("401", "Unauthorized")


def test_good_answers_are_read() -> None:
    with servers.tcp_server(servers.sends(servers.response(GOOD))) as address:
        hub = client(address)
        hello = hub.hello(HELLO)
        assert isinstance(hello, HubHello)
        assert (hello.head.seq, hello.version) == (7, (1, 4))
        assert hub.deliver([]) == Delivered(hello.head)
        assert hub.changes((1, 3), 0) == News((1, 4))


def test_no_content_is_no_news() -> None:
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    with servers.tcp_server(servers.sends(answer)) as address:
        assert client(address).changes((1, 3), 0) is None


def test_a_set_aside_record_is_told_in_words() -> None:
    wire = json.loads(GOOD) | {"set_aside": [{"epoch": 1, "seq": 8, "why": "another body"}]}
    answer = servers.response(json.dumps(wire).encode())
    with servers.tcp_server(servers.sends(answer)) as address:
        delivered = client(address).deliver([])
    assert isinstance(delivered, Delivered)
    assert delivered.set_aside == ("1.8: another body",)


def requests_of(call: Call, answer: bytes) -> bytes:
    seen: list[bytes] = []

    def serve(connection: socket.socket, over: threading.Event) -> None:
        seen.append(servers.read_request(connection))
        connection.sendall(answer)

    with servers.tcp_server(serve) as address:
        call(client(address))
    return seen[0]


def test_each_request_carries_the_credential_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    request = requests_of(CALLS["hello"], servers.response(GOOD))
    assert b"authorization: bearer secret-credential" in request.lower()


def test_the_greeting_has_the_protocols_fields() -> None:
    request = requests_of(CALLS["hello"], servers.response(GOOD))
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    fields = {"v", "software", "boot_id", "head", "version", "nonce", "mode", "health"}
    fields |= {"digest", "refused"}
    assert set(body) == fields
    assert body["head"] == EMPTY.to_wire()


def test_a_node_without_a_snapshot_says_null() -> None:
    hello = NodeHello(LAB, NODE, "1", "boot", "enforce", EMPTY, EMPTY, (0, 0), "00")
    request = requests_of(lambda hub: hub.hello(hello), servers.response(GOOD))
    assert json.loads(request.partition(b"\r\n\r\n")[2])["version"] is None


def test_the_long_poll_waits_as_long_as_it_was_told(tmp_path: Path) -> None:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        asked = servers.read_request(connection)
        assert b"since=1.3" in asked
        assert b"wait=1" in asked
        over.wait(1.0)
        connection.sendall(servers.response(GOOD))

    with servers.tcp_server(serve) as address:
        # One second is longer than this client's ordinary total, shorter than wait plus grace.
        assert client(address).changes((1, 3), 1) == News((1, 4))


def test_a_call_is_cut_from_another_thread_at_once() -> None:
    clock = SystemClock()
    asked = threading.Event()

    def serve(connection: socket.socket, over: threading.Event) -> None:
        servers.read_request(connection)
        asked.set()
        over.wait()

    with servers.tcp_server(serve) as address:
        hub = client(address, Timeouts())

        def cut_once_asked() -> None:
            asked.wait()
            hub.cut()

        cutter = threading.Thread(target=cut_once_asked)
        cutter.start()
        began_ms = clock.boot_ms()
        with pytest.raises(LinkError):
            hub.changes((1, 3), 55)
        cutter.join()
        assert clock.boot_ms() - began_ms < BOUND_MS


def test_a_client_that_was_cut_works_again() -> None:
    hub_is_slow = threading.Event()
    hub_is_slow.set()

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while servers.read_request(connection):
            if hub_is_slow.is_set():
                over.wait(1.5)
            connection.sendall(servers.response(GOOD))

    with servers.tcp_server(serve) as address:
        hub = client(address)
        with pytest.raises(LinkError):
            hub.hello(HELLO)
        hub_is_slow.clear()
        assert isinstance(hub.hello(HELLO), HubHello)


@pytest.fixture
def target() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        yield Path(folder) / "snapshot-1-4.tmp"


def test_a_snapshot_is_saved_byte_for_byte(target: Path) -> None:
    content = bytes(range(256)) * 4096
    answer = servers.response(content, kind="application/octet-stream")
    with servers.tcp_server(servers.sends(answer)) as address:
        assert client(address).download(target) is None
    assert target.read_bytes() == content


def test_a_page_is_not_saved_as_a_snapshot(target: Path) -> None:
    answer = servers.response(b"<html>log in to the Wi-Fi</html>", kind="text/html; charset=utf-8")
    with (
        servers.tcp_server(servers.sends(answer)) as address,
        pytest.raises(ProtocolError, match="page"),
    ):
        client(address).download(target)
    assert not target.exists()


def test_a_full_disk_is_a_store_error_not_a_broken_link() -> None:
    answer = servers.response(b"x" * 200_000, kind="application/octet-stream")
    with (
        servers.tcp_server(servers.sends(answer)) as address,
        pytest.raises(StoreError, match="No space left"),
    ):
        client(address).download(Path("/dev/full"))


def test_an_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="hub_url"):
        client("ftp://hub")
