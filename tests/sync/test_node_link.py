"""The control socket's client against real Unix sockets that answer, dawdle and lie."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.clock import SystemClock
from interlock.errors import LinkError, ProtocolError
from interlock.protocol.control import Op
from interlock.protocol.records import Head
from interlock.sync.links import NO_VERSION, No
from interlock.sync.node_link import NodeClient
from tests.sync import servers
from tests.sync.models import EMPTY, ModelNode

pytestmark = pytest.mark.real

TOTAL_S = 0.5
BOUND_MS = 20_000
"""Who waits for the end of what has none waits longer, however busy this computer is."""


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        yield Path(folder) / "control.sock"


def client(path: Path) -> NodeClient:
    return NodeClient(path, SystemClock(), TOTAL_S)


def answering(answer: bytes, asked: list[bytes] | None = None) -> servers.Serve:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        line = connection.makefile("rb").readline()
        if asked is not None:
            asked.append(line)
        connection.sendall(answer)

    return serve


def line(**wire: Any) -> bytes:
    return json.dumps({"v": 1, "ok": True, **wire}).encode() + b"\n"


HELLO = {
    "lab": "lab-1",
    "node": "saw",
    "software": "1.0",
    "boot_id": "b",
    "mode": "enforce",
    "head": EMPTY.to_wire(),
    "acked": EMPTY.to_wire(),
    "nonce": "00",
}


def test_a_hello_is_read(path: Path) -> None:
    with servers.unix_server(path, answering(line(**HELLO, version=[2, 9]))):
        hello = client(path).hello()
    assert (hello.node, hello.version, hello.head) == ("saw", (2, 9), EMPTY)


def test_a_node_without_rights_has_no_version(path: Path) -> None:
    with servers.unix_server(path, answering(line(**HELLO, version=None))):
        assert client(path).hello().version == NO_VERSION


def test_questions_are_canonical_lines_of_the_protocol(path: Path) -> None:
    asked: list[bytes] = []
    with servers.unix_server(path, answering(line(records=[], next=False), asked)):
        client(path).records(Head(3, 14, bytes(32)))
    assert asked == [b'{"epoch":3,"op":"records","seq":14,"v":1}\n']


def test_records_pass_through_unchanged(path: Path) -> None:
    node = ModelNode()
    node.write(3)
    wires = [record.to_wire() for record in node.journal]
    with servers.unix_server(path, answering(line(records=wires, next=True))):
        page = client(path).records(EMPTY)
    assert list(page.records) == wires
    assert page.more


@pytest.mark.parametrize("op", ["ack", "snapshot", "time"])
def test_a_no_of_the_node_is_a_value(path: Path, op: str) -> None:
    answer = json.dumps({"v": 1, "ok": False, "error": "mismatch", "message": "other"}).encode()
    node = client(path)
    calls = {
        "ack": lambda: node.ack(EMPTY),
        "snapshot": lambda: node.snapshot("x"),
        "time": lambda: node.time({}),
    }
    with servers.unix_server(path, answering(answer + b"\n")):
        assert calls[op]() == No("mismatch", "other")


@pytest.mark.parametrize("code", ["store", "failed", "busy"])
def test_a_node_in_trouble_is_a_broken_link_not_a_no(path: Path, code: str) -> None:
    answer = json.dumps({"v": 1, "ok": False, "error": code, "message": "the disk is slow"})
    with (
        servers.unix_server(path, answering(answer.encode() + b"\n")),
        pytest.raises(LinkError, match="the disk is slow"),
    ):
        client(path).ack(EMPTY)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"v":1,"ok":tr',
        b"garbage\n",
        b"[]\n",
        b'{"v":2,"ok":true}\n',
        b'{"v":1,"ok":true}\n',
        b'{"v":1,"ok":"yes"}\n',
        line(**(HELLO | {"head": 4})),
        line(**(HELLO | {"version": [1]})),
        b'{"v":1,"x":"' + b"y" * 70_000 + b'"}\n',
    ],
)
def test_an_answer_that_is_none_is_a_link_error_that_names_the_node(
    path: Path, answer: bytes
) -> None:
    with (
        servers.unix_server(path, answering(answer)),
        pytest.raises(LinkError, match=r"control\.sock"),
    ):
        client(path).hello()


def test_an_endless_answer_is_cut_at_one_frame(path: Path) -> None:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            connection.sendall(b"x" * 65_536)

    with servers.unix_server(path, serve), pytest.raises(ProtocolError, match="longer"):
        client(path).hello()


def test_a_node_that_trickles_is_given_up_in_time(path: Path) -> None:
    clock = SystemClock()

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.05):
            connection.sendall(b" ")

    with servers.unix_server(path, serve):
        began_ms = clock.boot_ms()
        with pytest.raises(LinkError, match="no answer within"):
            client(path).hello()
        assert clock.boot_ms() - began_ms < BOUND_MS


def test_a_node_that_does_not_run_is_named_with_the_remedy(path: Path) -> None:
    with pytest.raises(LinkError, match="interlock node run"):
        client(path).ask(Op.STATUS)
