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
from typing import Any
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
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

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
            lines.pop(change.tag, None)
            if change.line is not None:
                lines[change.tag] = change.line
        digest = digest_lines([b"".join([lines[tag] for tag in sorted(lines)])])
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
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()

    async def _ask(
        self, method: str, path: str, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            async with asyncio.timeout(READ_S_MAX):
                return await self._exchange(method, path, body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.hang_up()
            raise Gone(repr(error)) from error

    async def _exchange(
        self, method: str, path: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        address = urlsplit(self.access.hub_url)
        if self._streams is None:
            self._streams = await asyncio.open_connection(address.hostname, address.port)
        reader, writer = self._streams
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {self.access.credential}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in rest if line)
        if "content-length" in headers:
            content = await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            content = await _chunks(reader)
        else:
            content = b""
        self.bytes_of_change = len(head) + len(content)
        if headers.get("connection") == "close":
            self.hang_up()
        return int(first.split()[1]), headers, content


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


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readline(), 16):
        content += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return content


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
