"""A hub that refuses, is not there, or says nonsense: a value, words, and bounded reading; never a traceback."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from interlock.desk.hub import ANSWER_BYTES_MAX, HubApi, Refusal
from interlock.errors import ConfigError, LinkError, ProtocolError
from interlock.protocol.card_keys import Scheme
from tests.desk.card_rig import UID
from tests.sync.servers import read_request, tcp_server

pytestmark = pytest.mark.real

PROBLEM = {
    "status": 409,
    "code": "conflict",
    "title": "",
    "what": "taken",
    "where": "",
    "remedy": "no",
}
BADGE = {
    "number": 17,
    "member": {"id": "a", "name": "Ada"},
    "label": "",
    "condition": "active",
    "given_at": 1,
    "short": "",
    "card": {
        "scheme": "ntag424_aes",
        "aid": "000000",
        "key_number": 1,
        "key_version": 2,
        "set_at": 1,
    },
}


def said(status: int, body: object, *heads: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close", *heads]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


class Script:
    """One answer for each connection, and the requests that came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket, _over: threading.Event) -> None:
        self.requests.append(read_request(connection))
        connection.sendall(self.answers.pop(0))


def given(script: Script) -> object:
    with tcp_server(script) as url:
        return HubApi(url, "secret", "fr").give("a", UID, "", "key-00001")


def test_what_the_hub_confirms_is_understood_and_what_is_sent_is_what_was_agreed() -> None:
    script = Script(said(201, BADGE))
    badge = given(script)
    assert (badge.number, badge.member_name, badge.card.generation) == (17, "Ada", 2)  # type: ignore[attr-defined]
    head, _, body = script.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /api/v1/members/a/badges http/1.1"
    assert {
        "authorization: bearer secret",
        "accept-language: fr",
        "idempotency-key: key-00001",
    } <= {*lines}
    assert json.loads(body) == {"uid": UID.hex(), "label": ""}


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_a_value_with_the_hubs_words(status: int) -> None:
    assert given(Script(said(status, PROBLEM))) == Refusal("conflict", "taken", "no")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_is_a_wrong_configuration(status: int) -> None:
    with pytest.raises(ConfigError, match="taken"):
        given(Script(said(status, PROBLEM)))


@pytest.mark.parametrize(
    "answer",
    [
        said(500, b"Internal Server Error"),
        said(503, PROBLEM),
        said(429, PROBLEM),
        said(200, b"<html>a captive portal</html>"),
        said(200, b"[]"),
        said(409, b"not ours"),
        said(799, b""),
        said(302, b"", "Location: http://127.0.0.1:1/"),
        said(200, b"{" + b" " * ANSWER_BYTES_MAX + b"}"),
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_whatever_is_not_the_api_is_a_hub_that_is_not_there(answer: bytes) -> None:
    with pytest.raises(LinkError):
        given(Script(answer))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**BADGE, "number": "x"},
        {**BADGE, "member": None},
        {**BADGE, "card": {"scheme": "none"}},
        {**BADGE, "card": 5},
    ],
)
def test_an_answer_of_another_shape_is_told_as_such(body: object) -> None:
    with pytest.raises(ProtocolError, match="understood"):
        given(Script(said(201, body)))


def test_no_redirect_is_followed_and_so_no_token_travels() -> None:
    there = Script(said(200, BADGE))
    with tcp_server(there) as url, pytest.raises(LinkError):
        given(Script(said(307, b"", f"Location: {url}/")))
    assert there.requests == []


def test_lists_are_read_to_their_last_page() -> None:
    member = {"name": "Ada", "email": "", "status": "active", "badges": 0}
    pages = [
        {"items": [{"id": str(n), **member}], "page": n, "pages": 3, "total": 3} for n in (1, 2, 3)
    ]
    script = Script(*(said(200, page) for page in pages))
    with tcp_server(script) as url:
        assert [one.id for one in HubApi(url, "t").members("a d")] == ["1", "2", "3"]
    assert [b"page=%d" % n in request for n, request in enumerate(script.requests, 1)] == [True] * 3
    assert b"q=a+d" in script.requests[0]


def test_a_hub_without_key_numbers_is_told_as_another_version() -> None:
    with tcp_server(Script(said(200, {}))) as url, pytest.raises(ProtocolError):
        HubApi(url, "t").current_key_number(Scheme.DESFIRE_AES)


def test_nobody_listening_is_told_with_what_to_check() -> None:
    with pytest.raises(LinkError, match="Check that it runs"):
        HubApi("http://127.0.0.1:1", "t").me()
