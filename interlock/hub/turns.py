"""Nodes' messages in, a few at a time out to Django: when all nodes come back at once, pages go past them.

Each message takes the hub's one writer and some milliseconds of its one interpreter; hundreds at the same time
would only wait for each other, and every page with them. They wait here instead, in order, without a thread. A
body is whole before its turn begins, so that a slow sender holds nobody up; what waits for news
(waiting.py) and lists of rights take no turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from interlock.hub.middleware import NODES

AT_ONCE = 3
"""One computes, one waits for the disk, one for the writer; more make no message faster."""

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Turns:
    """An ASGI application before another: at most `at_once` messages of nodes are in it."""

    def __init__(self, application: Application, at_once: int = AT_ONCE) -> None:
        self._application = application
        self._free = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; whatever is no node's message goes past."""
        is_http = scope["type"] == "http" and scope["method"] == "POST"
        if not is_http or not scope["path"].startswith(NODES):
            await self._application(scope, receive, send)
            return
        heard = await _whole(receive)
        async with self._free:
            await self._application(scope, _again(heard, receive), send)


async def _whole(receive: Any) -> list[Any]:
    """Every part of the body, or those up to the one after which the client was gone."""
    heard = [await receive()]
    while heard[-1]["type"] == "http.request" and heard[-1].get("more_body", False):
        heard.append(await receive())
    return heard


def _again(heard: Sequence[Any], receive: Any) -> Any:
    """A `receive` that tells what was heard, and then what comes."""
    left = iter(heard)

    async def received() -> Any:
        message = next(left, None)
        return await receive() if message is None else message

    return received
