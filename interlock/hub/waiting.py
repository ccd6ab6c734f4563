"""Requests that wait, answered in bare ASGI: a node's `changes` and the board's `/live` stream.

They never enter Django: no thread, no database connection and no middleware is held while waiting.
Nodes are known by a table in memory (watch.Picture); people by their session, looked up once. A change wakes the
nodes it concerns and no others, and its answer is the change itself: the signed delta, where the node's own
version is still known (hub.contents).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from interlock.hub.middleware import NODES, headers_for
from interlock.hub.node_api import credential_hash
from interlock.hub.watch import Picture
from interlock.protocol import hubapi
from interlock.protocol.snapshots import SnapshotVersion

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WhoWatches = Callable[[bytes], int | None]
"""The Cookie header to the lab whose board its sender may see, None for nobody."""
Heard = Callable[[int, SnapshotVersion], None]
"""Told when a node says by which version it decides."""

WAITING_MAX = 5_000
POLLS_PER_NODE_MAX = 2
"""One that waits, and one that began because the network under the other was gone."""
STREAMS_MAX = 200
"""More than any lab has; each costs a few kilobytes, so a flood ends in 503 and not in memory."""
STREAM_LIFE_S = 300.0
"""A stream ends and the browser opens another: so a login that ended stops seeing the board."""
HEARTBEAT_S = 15.0
RETRY_MS = 2_000

_FOR_NODES = tuple(
    (name.lower().encode(), said.encode()) for name, said in headers_for(NODES).items()
)
_SINCE = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


class Waiting:
    """Everybody who waits for a change, in one event loop."""

    def __init__(
        self,
        who_watches: WhoWatches,
        waiting_max: int = WAITING_MAX,
        streams_max: int = STREAMS_MAX,
        heard: Heard = lambda node, version: None,
    ) -> None:
        self._who_watches = who_watches
        self._waiting_max, self._streams_max = waiting_max, streams_max
        self._heard = heard
        self._picture = Picture()
        self._changed = asyncio.Event()
        self._asleep: dict[int, set[Sleeper]] = {}
        self._of: dict[bytes, list[Sleeper]] = {}
        self._closed = False
        self._polls = 0
        self._streams = 0

    def publish(self, picture: Picture) -> None:
        """Everybody whom `picture` concerns looks at it. Called in the event loop."""
        before, self._picture = self._picture, picture
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        revoked = before.nodes.keys() - picture.nodes.keys()
        gone = {before.nodes[credential] for credential in revoked}
        for node, sleepers in list(self._asleep.items()):
            news = before.versions.get(node) != picture.versions.get(node)
            if news or node in gone or picture.commands.get(node):
                _wake(sleepers)

    def close(self) -> None:
        """Nobody waits any more: every request is answered as if its time were over."""
        self._closed = True
        self._changed.set()
        for sleepers in list(self._asleep.values()):
            _wake(sleepers)

    @property
    def listening(self) -> frozenset[int]:
        """The nodes whose long poll waits at this moment; asked from any thread."""
        return frozenset(self._asleep)

    @property
    def streams(self) -> int:
        """How many boards are open live, of all labs."""
        return self._streams

    # ------------------------------------------------------------------------------ a node's poll

    async def changes(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET changes?since=E.C&wait=S&has=E.C: news as soon as there are any, else 204."""
        credential = credential_in(scope)
        node = None if credential is None else self._picture.nodes.get(credential)
        if scope["method"] != "GET":
            await _refuse(send, 405, "method", "Use GET here")
        elif credential is None or node is None:
            await _refuse(send, 401, "credential", "This node is unknown here, or was revoked")
        elif (asked := _asked(scope)) is None:
            await _refuse(send, 400, "malformed", "Ask for changes?since=EPOCH.COUNTER&wait=S")
        elif self._polls >= self._waiting_max:
            await _refuse(send, 503, "busy", "Too many nodes wait already")
        else:
            if asked.has is not None:
                self._heard(node, asked.has)
            await self._poll(receive, send, credential, asked)

    async def _poll(self, receive: Receive, send: Send, credential: bytes, asked: Asked) -> None:
        """One too many of the same credential ends the oldest, whose client may have been cut off
        without a word."""
        sleeper = Sleeper()
        mine = self._of.setdefault(credential, [])
        mine.append(sleeper)
        self._polls += 1
        for older in mine[:-POLLS_PER_NODE_MAX]:
            older.end()
        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(sleeper.leave)
        try:
            await self._answer_poll(send, credential, asked, sleeper)
        finally:
            gone.cancel()
            self._polls -= 1
            mine.remove(sleeper)
            if not mine:
                del self._of[credential]

    async def _answer_poll(
        self, send: Send, credential: bytes, asked: Asked, sleeper: Sleeper
    ) -> None:
        deadline = asyncio.get_running_loop().time() + asked.wait_s
        while not sleeper.has_left:
            node = self._picture.nodes.get(credential)
            if node is None:
                await _refuse(send, 401, "credential", "This node was revoked")
                return
            if await self._told(send, credential, node, asked.since):
                return
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0 or sleeper.is_over or self._closed:
                await _answer(send, 204, None)
                return
            # Nothing was awaited since the picture was looked at: no change can be slept through.
            sleepers = self._asleep.setdefault(node, set())
            sleepers.add(sleeper)
            try:
                await sleeper.sleep(left_s)
            finally:
                sleepers.discard(sleeper)
                if not sleepers:
                    self._asleep.pop(node, None)

    async def _told(self, send: Send, credential: bytes, node: int, since: SnapshotVersion) -> bool:
        """Whether there was news: a command, a signed delta, or the number of a whole list to fetch."""
        picture = self._picture
        commands = picture.commands.get(node, ())
        version = picture.versions.get(node)
        if commands:
            # First and alone: a cut must not wait until a list is installed.
            told = [json.loads(command) for command in commands]
            await _answer(send, 200, {"v": hubapi.VERSION, "version": None, "commands": told})
            return True
        if version is None or version <= since:
            return False
        delta = None if picture.press is None else picture.press.delta(credential, since, version)
        if delta is not None:
            await _send(send, 200, delta, hubapi.DELTA_TYPE)
        else:
            told_version = {"v": hubapi.VERSION, "version": list(version), "commands": []}
            await _answer(send, 200, told_version)
        return True

    # --------------------------------------------------------------------------- the board's stream

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /live: server-sent events `board` with the lab's change number, one for each change."""
        if scope["method"] != "GET":
            await _refuse(send, 405, "method", "Use GET here")
            return
        lab = await asyncio.to_thread(self._who_watches, _header(scope, b"cookie"))
        if lab is None:
            await _refuse(send, 401, "login", "Log in to see the board")
        elif self._streams >= self._streams_max:
            await _refuse(send, 503, "busy", "Too many boards are open already")
        else:
            self._streams += 1
            try:
                await self._stream(lab, receive, send)
            finally:
                self._streams -= 1

    async def _stream(self, lab: int, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            # nginx would hold the events back until its buffer is full.
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _push(send, f"retry: {RETRY_MS}\n\n")
        end = asyncio.get_running_loop().time() + STREAM_LIFE_S
        gone = asyncio.ensure_future(_disconnected(receive))
        told: int | None = None
        try:
            while not self._closed:
                changed = self._changed
                number = self._picture.changes.get(lab)
                if number != told:
                    told = number
                    await _push(send, f"event: board\ndata: {number}\n\n")
                left_s = end - asyncio.get_running_loop().time()
                if left_s <= 0 or await _first_of(changed, gone, min(left_s, HEARTBEAT_S)):
                    break
                if not changed.is_set():
                    await _push(send, ": still here\n\n")
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _first_of(changed: asyncio.Event, gone: asyncio.Future[None], wait_s: float) -> bool:
    """Whether the client left before something changed or the time was over."""
    waiter = asyncio.ensure_future(changed.wait())
    either: set[asyncio.Future[Any]] = {waiter, gone}
    try:
        await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return gone.done()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Sleeper:
    """One poll that waits: until it is woken, its client has left, or it is over."""

    def __init__(self) -> None:
        self.has_left = False
        self.is_over = False
        self._asleep: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """There may be news."""
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    def leave(self, _: object = None) -> None:
        """The client is gone."""
        self.has_left = True
        self.wake()

    def end(self) -> None:
        """It is answered as if its time were over."""
        self.is_over = True
        self.wake()

    async def sleep(self, wait_s: float) -> None:
        """Until one of these happens, or `wait_s` are over."""
        if self.has_left or self.is_over:
            return
        loop = asyncio.get_running_loop()
        self._asleep = loop.create_future()
        timer = loop.call_later(wait_s, self.wake)
        try:
            await self._asleep
        finally:
            timer.cancel()
            self._asleep = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a node's poll says: news after which version, for how long, and what it decides by now."""

    since: SnapshotVersion
    wait_s: int
    has: SnapshotVersion | None


def _asked(scope: Scope) -> Asked | None:
    """The query of a poll, None when it is malformed."""
    query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None)
    since = _SINCE.fullmatch(query.get("since", [""])[-1])
    has = _SINCE.fullmatch(query.get("has", [""])[-1])
    wait = query.get("wait", [str(hubapi.WAIT_S_MAX)])[-1]
    if since is None or not (wait.isascii() and wait.isdigit() and len(wait) <= 3):
        return None
    said = None if has is None else (int(has[1]), int(has[2]))
    return Asked((int(since[1]), int(since[2])), min(int(wait), hubapi.WAIT_S_MAX), said)


def _wake(sleepers: set[Sleeper]) -> None:
    for sleeper in sleepers:
        sleeper.wake()


def credential_in(scope: Scope) -> bytes | None:
    """SHA-256 of the credential that a request carries, None when there is none."""
    return credential_hash(_header(scope, b"authorization").decode("latin-1"))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    await _answer(send, status, {"v": hubapi.VERSION, "error": code, "message": message})


async def _answer(send: Send, status: int, body: dict[str, Any] | None) -> None:
    if body is None:
        await _send(send, status, b"", None)
    else:
        await _send(send, status, json.dumps(body).encode(), "application/json")


async def _send(send: Send, status: int, content: bytes, kind: str | None) -> None:
    headers = list(_FOR_NODES)
    if kind is not None:
        headers.append((b"content-type", kind.encode()))
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _push(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
