"""Nodes' messages take turns before Django; a slow sender holds no turn, and pages take none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interlock.hub.turns import Turns
from interlock.protocol import hubapi

pytestmark = pytest.mark.fast

AT_ONCE = 2


class Busy:
    """An application that reads the body, and answers nobody before it is told to."""

    def __init__(self) -> None:
        self.inside: list[bytes] = []
        self.most = 0
        self.done: list[bytes] = []
        self.answers = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.inside.append(body)
        self.most = max(self.most, len(self.inside))
        await self.answers.wait()
        self.inside.remove(body)
        self.done.append(body)


def sender(*parts: bytes, ends: bool = True) -> Callable[[], Awaitable[Any]]:
    """A client that sends those parts of a body, and its end if it `ends`."""
    left = list(parts)

    async def receive() -> Any:
        if left:
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left) or not ends}
        return await asyncio.Event().wait()

    return receive


@asynccontextmanager
async def asked(turns: Turns, *requests: tuple[str, str, Any]) -> AsyncIterator[list[Any]]:
    """Those requests, begun in that order and gone as far as they get."""
    tasks = []
    for method, path, receive in requests:
        scope = {"type": "http", "method": method, "path": path}
        tasks.append(asyncio.create_task(turns(scope, receive, None)))
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


def test_no_more_than_so_many_messages_are_answered_at_once_and_each_is_in_its_order() -> None:
    async def scene() -> None:
        busy = Busy()
        hellos = [("POST", hubapi.PATH_HELLO, sender(b"%d" % n, b"!")) for n in range(6)]
        async with asked(Turns(busy, AT_ONCE), *hellos) as tasks:
            assert busy.inside == [b"0!", b"1!"]
            busy.answers.set()
            await asyncio.gather(*tasks)
        assert (busy.most, busy.done) == (AT_ONCE, [b"%d!" % n for n in range(6)])

    asyncio.run(scene())


def test_whoever_sends_slowly_holds_nobody_up() -> None:
    async def scene() -> None:
        busy = Busy()
        slow = [("POST", hubapi.PATH_RECORDS, sender(b"half", ends=False)) for _ in range(AT_ONCE)]
        quick = ("POST", hubapi.PATH_HELLO, sender(b"hello"))
        async with asked(Turns(busy, AT_ONCE), *slow, quick):
            assert busy.inside == [b"hello"]

    asyncio.run(scene())


def test_pages_and_lists_of_rights_go_past() -> None:
    async def scene() -> None:
        busy = Busy()
        hellos = [("POST", hubapi.PATH_HELLO, sender(b"hello")) for _ in range(AT_ONCE)]
        others = [
            ("GET", hubapi.PATH_SNAPSHOT, sender(b"list")),
            ("POST", "/members/", sender(b"page")),
        ]
        async with asked(Turns(busy, AT_ONCE), *hellos, *others):
            assert busy.inside[AT_ONCE:] == [b"list", b"page"]

    asyncio.run(scene())
