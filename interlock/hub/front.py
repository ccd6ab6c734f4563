"""HTTP in: what waits goes to bare ASGI (waiting.py), hellos in groups to their own thread (hellos.py), everything
else, its body capped, to Django."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from django.http import HttpRequest

from interlock.errors import StoreError
from interlock.hub.connections import Limits
from interlock.hub.hellos import Hellos
from interlock.hub.middleware import NODES, headers_for, login_is_over
from interlock.hub.models import User
from interlock.hub.permissions import Permission, lab_of, may
from interlock.hub.waiting import (
    WAITING_MAX,
    Message,
    Receive,
    Scope,
    Send,
    Waiting,
    credential_in,
)
from interlock.hub.watch import Picture, Watch
from interlock.protocol import canonical, hubapi
from interlock.protocol.enrolment import PATH_ENROL
from interlock.protocol.snapshots import SnapshotVersion

PATH_LIVE = "/live"
ENROLMENT = PATH_ENROL
"""And what begins like it: a chain key and a badge key travel there."""
PAGE_BODY_BYTES_MAX = 8 * 1_048_576
"""A list of 20,000 members as CSV fits; Django would spool any size to the disk before looking."""
BODY_S_MAX = 30.0
"""A body that trickles longer is given up, so that slow senders cannot collect."""
FIRST_PICTURE_S_MAX = 30.0
"""A lab of 20,000 badges takes seconds; longer, and the database cannot be read at all."""


Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application; Django types its messages as plain dictionaries."""


class Front:
    """The hub's ASGI application: lifespan, waiting requests, and Django behind them."""

    def __init__(self, django: Application) -> None:
        self._django = django
        self.limits = Limits(connections=WAITING_MAX)
        self.waiting: Waiting | None = None
        self._watch: Watch | None = None
        self._hellos = Hellos()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One lifespan or one request."""
        if scope["type"] == "http":
            if self.waiting is not None and scope["path"] == hubapi.PATH_CHANGES:
                # 500 of them at once: their answers are spelled with every header in one go.
                await self.waiting.changes(scope, receive, send)
                return
            send = secured(scope["path"], send)
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif self.waiting is not None and scope["path"] == PATH_LIVE:
            await self.waiting.live(scope, receive, send)
        elif scope["path"] == hubapi.PATH_HELLO and scope["method"] == "POST":
            await _capped(self._greet, scope, receive, send)
        elif scope["path"].startswith(ENROLMENT) and scope["scheme"] != "https":
            await _no(send, 403, "https", "Enrol over HTTPS, at the hub's port for machines")
        else:
            await _capped(self._django, scope, receive, send)

    def close(self) -> None:
        """Whoever waits is answered at once, so that the server can end."""
        if self.waiting is not None:
            self.waiting.close()

    async def _greet(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._hellos.answer(credential_in(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._watch is not None:
                    await asyncio.to_thread(self._watch.stop)
                await asyncio.to_thread(self._hellos.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        """The first picture is drawn before the first request is taken."""
        loop = asyncio.get_running_loop()
        limits = self.limits
        ready = asyncio.Event()

        def heard(node: int, version: SnapshotVersion) -> None:
            watch.heard(node, version)

        waiting = self.waiting = Waiting(who_watches, limits.waiting, limits.streams, heard)

        def publish(picture: Picture) -> None:
            waiting.publish(picture)
            ready.set()

        def hand_over(picture: Picture) -> None:
            loop.call_soon_threadsafe(publish, picture)

        watch = self._watch = Watch(hand_over)
        watch.start()
        try:
            async with asyncio.timeout(FIRST_PICTURE_S_MAX):
                await ready.wait()
        except TimeoutError as error:
            await asyncio.to_thread(self._watch.stop)
            raise StoreError(
                f"its changes could not be read for {FIRST_PICTURE_S_MAX:g} s",
                where="hub",
                remedy="The lines above say why; a hub that hears of no change must not run",
            ) from error


def who_watches(cookie_header: bytes) -> int | None:
    """The lab whose board the login in this Cookie header may see, None for nobody. Runs in a thread."""
    try:
        cookie = SimpleCookie(cookie_header.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    if cookie is None:
        return None
    try:
        request = HttpRequest()
        request.session = SessionStore(cookie.value)
        user = get_user(request)
        if not isinstance(user, User) or login_is_over(request.session):
            return None
        lab = lab_of(user, request.session.get("lab"))
        return lab.pk if lab and may(user, lab, Permission.VIEW_BOARD) else None
    finally:
        # The thread goes back to a pool; its connection must not wait there.
        connections.close_all()


def secured(path: str, send: Send) -> Send:
    """`send`, whose answers carry every header of middleware.headers_for that they do not have yet."""
    wanted = _spelled(path.startswith(NODES))

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message["headers"])
            known = {bytes(name).lower() for name, _value in own}
            missing = [one for one in wanted if one[0] not in known]
            message = {**message, "headers": own + missing}
        await send(message)

    return sent


@cache
def _spelled(for_nodes: bool) -> tuple[tuple[bytes, bytes], ...]:
    wanted = headers_for(NODES if for_nodes else "")
    return tuple((name.lower().encode(), value.encode()) for name, value in wanted.items())


async def _capped(django: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """`django` answers, and reads no more of the body than it may have."""
    node = scope["path"].startswith("/node/")
    limit = hubapi.BATCH_BYTES_MAX if node else PAGE_BODY_BYTES_MAX
    deadline = asyncio.get_running_loop().time() + BODY_S_MAX
    state = {"bytes": 0, "over": 0, "started": 0, "whole": 0}

    async def capped() -> Message:
        if state["whole"]:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            state["over"] = 408
            return {"type": "http.disconnect"}
        state["bytes"] += len(message.get("body", b""))
        if state["bytes"] > limit:
            state["over"] = 413
            return {"type": "http.disconnect"}
        state["whole"] = not message.get("more_body", False)
        return message

    async def noted(message: Message) -> None:
        state["started"] = 1
        await send(message)

    await django(scope, capped, noted)
    if state["over"] and not state["started"]:
        await _too_much(send, state["over"])


def nodes_only(application: Application) -> Application:
    """`application` at the door for machines: it knows no page."""

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(NODES):
            await _no(
                secured(scope["path"], send),
                404,
                "page",
                "Pages are at the hub's address for people",
            )
        else:
            await application(scope, receive, send)

    return door


async def _too_much(send: Send, status: int) -> None:
    await _no(send, status, "body", "The request is too large or too slow")


async def _no(send: Send, status: int, code: str, message: str) -> None:
    body = canonical.dumps({"v": 1, "error": code, "message": message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # What was not read is not worth reading: the connection ends with the answer.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
