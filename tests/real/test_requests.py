"""Malformed requests to the control socket and to the hub in: an error answer out, nothing changed, everybody alive."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from interlock.config.secret_files import read_hub_access
from interlock.protocol import canonical, hubapi
from tests.real.lab import HOST, HUB, NODE, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ANSWER_S = 60
NOISE = bytes(range(256)) * 4
DEEP = b"[" * 30_000

CONTROL_LINES: dict[str, bytes] = {
    "noise": NOISE.replace(b"\n", b""),
    "no JSON": b"hello",
    "empty": b"",
    "a list": b"[]",
    "nested": DEEP,
    "no version": b'{"op":"hello"}',
    "another version": b'{"v":99,"op":"hello"}',
    "no op": b'{"v":1}',
    "unknown op": b'{"v":1,"op":"close_relay"}',
    "op is no text": b'{"v":1,"op":{"hello":1}}',
    "twice the same key": b'{"v":1,"op":"hello","op":"ack"}',
    "not a number": b'{"v":1,"op":"records","epoch":NaN,"seq":0}',
    "records without a place": b'{"v":1,"op":"records"}',
    "records of nowhere": b'{"v":1,"op":"records","epoch":-1,"seq":99999999999999999999}',
    "records of a text": b'{"v":1,"op":"records","epoch":"1; DROP TABLE records","seq":1}',
    "ack of the future": b'{"v":1,"op":"ack","epoch":1,"seq":900000,"hash":"' + b"00" * 32 + b'"}',
    "ack of another record": b'{"v":1,"op":"ack","epoch":1,"seq":2,"hash":"' + b"00" * 32 + b'"}',
    "ack without a hash": b'{"v":1,"op":"ack","epoch":1,"seq":2}',
    "snapshot elsewhere": b'{"v":1,"op":"snapshot","file":"../../etc/passwd"}',
    "snapshot hidden": b'{"v":1,"op":"snapshot","file":".x"}',
    "time unsigned": b'{"v":1,"op":"time","message":{"statement":{},"signature":"00"}}',
    "time that is none": b'{"v":1,"op":"time","message":[1]}',
}

Post = tuple[str, str, bytes]
POSTS: dict[str, Post] = {
    "noise": ("POST", hubapi.PATH_HELLO, NOISE),
    "empty": ("POST", hubapi.PATH_RECORDS, b""),
    "no JSON": ("POST", hubapi.PATH_RECORDS, b"records"),
    "a list": ("POST", hubapi.PATH_RECORDS, b"[]"),
    "nested": ("POST", hubapi.PATH_RECORDS, DEEP),
    "another version": ("POST", hubapi.PATH_RECORDS, b'{"v":99,"records":[]}'),
    "no records": ("POST", hubapi.PATH_RECORDS, b'{"v":1}'),
    "records that are none": ("POST", hubapi.PATH_RECORDS, b'{"v":1,"records":[1,{},null]}'),
    "a hello without a head": ("POST", hubapi.PATH_HELLO, b'{"v":1}'),
    "too large": ("POST", hubapi.PATH_RECORDS, b" " * (hubapi.BATCH_BYTES_MAX + 1)),
    "another method": ("PUT", hubapi.PATH_RECORDS, b'{"v":1,"records":[]}'),
    "since nonsense": ("GET", f"{hubapi.PATH_CHANGES}?since=x.y&wait=-1", b""),
    "nowhere": ("POST", "/node/v1/nothing", b"{}"),
}


@pytest.fixture(scope="module")
def shared(template: Any) -> Iterator[Lab]:
    """One lab for all of them: none may leave a trace for the next."""
    with lab_from(template) as lab:
        lab.start()
        lab.locked()
        wait_until(lab.drained, 30, "a hub that has everything")
        yield lab


def ask(lab: Lab, line: bytes) -> dict[str, Any]:
    """The answer to one line on the control socket."""
    with socket.socket(socket.AF_UNIX) as node:
        node.settimeout(ANSWER_S)
        node.connect(str(lab.folder.control_socket))
        node.sendall(line + b"\n")
        with node.makefile("rb") as lines:
            answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def send(lab: Lab, post: Post, credential: str | None = None) -> requests.Response:
    method, path, body = post
    known = read_hub_access(lab.folder.sync_access).credential
    return requests.request(
        method,
        f"http://{HOST}:{lab.hub_port}{path}",
        data=body,
        headers={"Authorization": f"Bearer {credential or known}"},
        timeout=ANSWER_S,
    )


def node_facts(lab: Lab) -> dict[str, Any]:
    """What no malformed request may change at the node."""
    status = lab.status()
    names = ("journal", "state", "relay_on", "boot_id", "faults", "reader")
    facts = {name: status[name] for name in names}
    return facts | {"version": status["cache"]["version"], "trusted": status["clock"]["trusted"]}


def hub_facts(lab: Lab) -> dict[str, Any]:
    """What no malformed request may change at the hub: every table but those that say when somebody called."""
    tables = ("noderecord", "setaside", "session", "line", "alarm", "snapshot", "member", "badge")
    return {name: lab.sql(f"SELECT * FROM hub_{name}") for name in tables}


@pytest.mark.parametrize("line", CONTROL_LINES.values(), ids=CONTROL_LINES.keys())
def test_a_malformed_control_request_gets_an_error_and_changes_nothing(
    shared: Lab, line: bytes
) -> None:
    """The last test of this file sends a well-formed one to the same process and sees it change something."""
    before, pid = node_facts(shared), shared.pid(NODE)
    answer = ask(shared, line)
    assert (answer["ok"], bool(answer["error"])) == (False, True)
    assert node_facts(shared) == before
    assert (shared.pid(NODE), shared.starts(NODE)) == (pid, 1)


def test_an_endless_control_request_is_cut_off_and_a_trickling_one_too(shared: Lab) -> None:
    """Somebody else is answered meanwhile."""
    before = node_facts(shared)
    with socket.socket(socket.AF_UNIX) as endless, socket.socket(socket.AF_UNIX) as slow:
        for peer in (endless, slow):
            peer.settimeout(ANSWER_S)
            peer.connect(str(shared.folder.control_socket))
        slow.sendall(b'{"v":1,')
        answer = _flood(endless)
        assert answer == b"" or json.loads(answer)["ok"] is False
        assert node_facts(shared) == before
        assert slow.recv(4_096) == b"", "hung up after two seconds"
    assert shared.starts(NODE) == 1


def _flood(peer: socket.socket) -> bytes:
    """What the node says to more than a frame without an end."""
    try:
        peer.sendall(b"x" * (canonical.FRAME_BYTES_MAX * 4))
        return peer.recv(65_536)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("post", POSTS.values(), ids=POSTS.keys())
def test_a_malformed_hub_request_gets_an_error_and_changes_nothing(shared: Lab, post: Post) -> None:
    """The credential is the node's own: it is the request that is refused."""
    before, pid = hub_facts(shared), shared.pid(HUB)
    answer = send(shared, post)
    assert 400 <= answer.status_code < 500, answer.text
    assert hub_facts(shared) == before
    assert (shared.pid(HUB), shared.starts(HUB)) == (pid, 1)


@pytest.mark.parametrize("credential", ["", "x" * 32, "x" * 5_000, "\x00"])
def test_a_stranger_s_request_is_refused(shared: Lab, credential: str) -> None:
    """The node's own empty batch, below, is not."""
    before = hub_facts(shared)
    post = ("POST", hubapi.PATH_RECORDS, b'{"v":1,"records":[]}')
    with requests.Session() as session:
        request = requests.Request(
            "POST", f"http://{HOST}:{shared.hub_port}{post[1]}", data=post[2]
        ).prepare()
        if credential.isprintable():
            request.headers["Authorization"] = f"Bearer {credential}"
        assert session.send(request, timeout=ANSWER_S).status_code == 401
    assert hub_facts(shared) == before


def test_well_formed_requests_to_the_same_processes_are_answered(shared: Lab) -> None:
    """The control of this file: what was refused above was refused for its form."""
    assert ask(shared, b'{"v":1,"op":"hello"}')["ok"] is True
    records = ask(shared, b'{"v":1,"op":"records","epoch":1,"seq":0}')["records"]
    assert len(records) >= 2
    assert send(shared, ("POST", hubapi.PATH_RECORDS, b'{"v":1,"records":[]}')).status_code == 200
    shared.tap_on()
    shared.tap_off()
    wait_until(lambda: [row["how"] for row in shared.sessions()] == ["tap_off"], 10, "a session")
