"""Credentials and keys of many nodes in, real connections to one hub out: each waits, verifies and applies.

    python -m tests.bench.fan_clients NODES.json        one JSON line of {"keys": file, "access": file} each

Every client speaks the protocol on a connection of its own: the whole list once, then the long poll, whose
deltas it verifies like a node (signatures, base, digest of the whole result). A line on stdout for each thing
that happened: {"did": "ready" | "applied" | "greeted", "client": n, "at_us": CLOCK_BOOTTIME, …}.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast
from urllib.parse import urlsplit

from interlock.clock import perf_us
from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.protocol import canonical, hubapi
from interlock.protocol.credentials import HubAccess, NodeKeys
from interlock.protocol.deltas import open_delta
from interlock.protocol.hubtime import NONCE_BYTES, open_time
from interlock.protocol.records import GENESIS, Head
from interlock.protocol.snapshots import digest_lines, read_snapshot
from interlock.sync.backoff import Backoff

READ_S_MAX = 75.0
CONNECTIONS_AT_ONCE = 16
"""While everybody fetches the whole list for the first time; after a restart nobody holds anybody back."""


class Gone(Exception):
    """The hub hung up."""


@dataclass
class Client:
    """One node by its protocol: what it decides by, and its connection."""

    number: int
    keys: NodeKeys
    access: HubAccess
    nonces: Random
    version: tuple[int, int] = (0, 0)
    head: dict[str, Any] = field(default_factory=dict)
    lines: dict[bytes, bytes] = field(default_factory=dict)
    fetched_whole: int = 0
    bytes_of_change: int = 0
    """What the hub sent for the last change: the answer's head and body, without TCP's own."""
    _line: Line | None = None

    async def fetch(self) -> None:
        """The whole list, verified."""
        status, _, body = await self._ask("GET", hubapi.PATH_SNAPSHOT)
        _expect(status == 200, f"snapshot: {status} {body[:200]!r}")
        key = self.keys.hub_key()
        header, entries = read_snapshot(
            io.BytesIO(body), key, lab=self.keys.lab, node=self.keys.node
        )
        tags = [entry.tag for entry in entries]
        first, *lines = body.splitlines(True)
        self.head = canonical.loads(first, where="list")
        self.lines = dict(zip(tags, lines, strict=True))
        self.version = header.version
        self.fetched_whole += 1

    async def listen(self) -> bool:
        """Whether the poll brought a list that is applied now."""
        now = f"{self.version[0]}.{self.version[1]}"
        path = f"{hubapi.PATH_CHANGES}?since={now}&wait={hubapi.WAIT_S_MAX}&has={now}"
        status, headers, body = await self._ask("GET", path)
        if status == 204:
            return False
        _expect(status == 200, f"changes: {status} {body[:200]!r}")
        if headers.get("content-type") != hubapi.DELTA_TYPE:
            await self.fetch()
            return True
        key = self.keys.hub_key()
        delta = open_delta(body, self.head, key, lab=self.keys.lab, node=self.keys.node)
        lines = dict(self.lines)
        for change in delta.changes:
            if change.line is None:
                lines.pop(change.tag, None)
            else:
                lines[change.tag] = change.line
        if len(lines) != len(self.lines):
            # They came sorted by tag; one that only changed stays in its place.
            lines = dict(sorted(lines.items()))
        digest = digest_lines([b"".join(lines.values())])
        _expect(digest == delta.header.digest, "the result is not what the hub signed")
        self.lines, self.version = lines, delta.header.version
        self.head = canonical.loads(delta.head_line, where="delta")
        return True

    async def greet(self) -> None:
        """Hello, and the hub's signed time for our nonce."""
        nonce = self.nonces.randbytes(NONCE_BYTES)
        message = {
            "v": hubapi.VERSION,
            "software": "bench",
            "boot_id": f"bench-{self.number}",
            "head": Head(self.keys.epoch, 0, GENESIS).to_wire(),
            "version": list(self.version) if self.version != (0, 0) else None,
            "nonce": nonce.hex(),
            "mode": "locked",
        }
        status, _, body = await self._ask("POST", hubapi.PATH_HELLO, canonical.dumps(message))
        _expect(status == 200, f"hello: {status} {body[:200]!r}")
        answer = json.loads(body)
        key = self.keys.hub_key()
        open_time(answer["time"], key, lab=self.keys.lab, node=self.keys.node, nonce=nonce)

    def hang_up(self) -> None:
        """The next question opens a connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    async def _ask(
        self, method: str, path: str, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            async with asyncio.timeout(READ_S_MAX):
                return await self._exchange(method, path, body)
        except (OSError, TimeoutError, ValueError) as error:
            self.hang_up()
            raise Gone(repr(error)) from error

    async def _exchange(
        self, method: str, path: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        address = urlsplit(self.access.hub_url)
        if self._line is None or self._line.is_over:
            loop = asyncio.get_running_loop()
            host, port = address.hostname or "", address.port or 80
            _, self._line = await loop.create_connection(Line, host, port)
        line = self._line
        status, headers, content, size = await line.ask(
            f"{method} {path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {self.access.credential}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        self.bytes_of_change = size
        if headers.get("connection") == "close":
            self.hang_up()
        return status, headers, content


Answered = tuple[int, dict[str, str], bytes, int]
"""Status, headers, body, and how many bytes head and body had."""


class Line(asyncio.Protocol):
    """One connection: one question at a time, and its whole answer as soon as its last byte is here."""

    def __init__(self) -> None:
        self.is_over = False
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._answer: asyncio.Future[Answered] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        found = _answer_in(self._heard)
        if found is not None and self._answer is not None and not self._answer.done():
            self._heard = b""
            self._answer.set_result(found)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the hub hung up"))

    async def ask(self, question: bytes) -> Answered:
        """The answer to `question`. Raises ConnectionResetError."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        return await self._answer

    def close(self) -> None:
        self.is_over = True
        if self._transport is not None:
            self._transport.close()


def _answer_in(heard: bytes) -> Answered | None:
    """The answer that `heard` is, None while some of it is missing."""
    head, end, body = heard.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    content: bytes | None = b""
    if "content-length" in headers:
        content = body if len(body) >= int(headers["content-length"]) else None
    elif headers.get("transfer-encoding") == "chunked":
        content = _chunks(body)
    if content is None:
        return None
    return int(first.split()[1]), headers, content, len(heard)


async def live(client: Client, setting_up: asyncio.Semaphore) -> None:
    """Until the process ends: fetch, then wait for news; after the hub went away, back with full jitter."""
    backoff = Backoff(client.nonces)
    async with setting_up:
        await client.fetch()
    say("ready", client)
    while True:
        try:
            while True:
                if await client.listen():
                    say("applied", client, bytes=client.bytes_of_change)
                backoff.succeeded()
        except Gone:
            await _back(client, backoff)


async def _back(client: Client, backoff: Backoff) -> None:
    while True:
        await asyncio.sleep(backoff.failed() / 1_000)
        began_us = perf_us()
        with suppress(Gone):
            await client.greet()
            say("greeted", client, took_us=perf_us() - began_us)
            return


def say(did: str, client: Client, **more: int) -> None:
    """One line for whoever measures."""
    line = {"did": did, "client": client.number, "at_us": perf_us(), **more}
    line |= {"version": list(client.version), "whole": client.fetched_whole}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _chunks(body: bytes) -> bytes | None:
    """What chunks hold (RFC 9112, 7.1), None before the last one."""
    content, left = b"", body
    while True:
        spelled, end, left = left.partition(b"\r\n")
        if not end or len(left) < (size := int(spelled, 16)) + 2:
            return None
        if size == 0:
            return content
        content, left = content + left[:size], left[size + 2 :]


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)


async def main(nodes: Path) -> None:
    """Every node of the file is connected until this process is ended."""
    setting_up = asyncio.Semaphore(CONNECTIONS_AT_ONCE)
    clients = []
    for number, line in enumerate(nodes.read_text("utf-8").splitlines()):
        files = json.loads(line)
        keys, access = read_node_keys(Path(files["keys"])), read_hub_access(Path(files["access"]))
        clients.append(Client(number, keys, access, Random(number)))
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(live(client, setting_up))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
