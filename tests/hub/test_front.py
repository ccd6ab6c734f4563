"""Bodies that are too long, too slow or given up, at the door before Django; no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.hub import front, settings
from interlock.protocol import hubapi

pytestmark = pytest.mark.fast

Message = dict[str, Any]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Like Django: reads the whole body first, and answers nothing to a client that left."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


def answer_to(path: str, messages: Iterator[Message | None]) -> list[Message]:
    """What a client that sends those messages gets; None: it sends nothing more, for ever."""
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(messages)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(front.Front(echo)(scope, receive, send))
    return sent


def part(size: int, *, more: bool) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


@pytest.mark.parametrize(
    ("path", "limit"),
    [(hubapi.PATH_RECORDS, hubapi.BATCH_BYTES_MAX), ("/import/", front.PAGE_BODY_BYTES_MAX)],
)
def test_a_body_may_be_as_long_as_its_limit_and_no_longer(path: str, limit: int) -> None:
    half = limit // 2
    whole = answer_to(path, iter([part(half, more=True), part(limit - half, more=False)]))
    assert (whole[0]["status"], whole[1]["body"]) == (200, str(limit).encode())
    over = answer_to(path, iter([part(limit, more=True), part(1, more=False)]))
    assert [over[0]["status"], len(over)] == [413, 2]


def test_a_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODY_S_MAX", 0.05)
    assert answer_to(hubapi.PATH_RECORDS, iter([part(1, more=True), None]))[0]["status"] == 408


def test_the_hub_answers_to_no_name_that_only_tests_use() -> None:
    """Django's test runner adds its own; whoever runs a hub would not know that it is there."""
    assert "testserver" not in settings.ALLOWED_HOSTS
    assert "localhost" in settings.ALLOWED_HOSTS


def test_a_client_that_leaves_gets_no_answer() -> None:
    gone = {"type": "http.disconnect"}
    assert answer_to(hubapi.PATH_RECORDS, iter([part(1, more=True), gone])) == []
