"""Connections that say nothing, trickle, or do not read: cut in time, and never in anybody's way."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from interlock.hub import connections
from interlock.hub.connections import Limits, connections_of, limits_for, raised_descriptors
from interlock.hub.waiting import STREAMS_MAX, WAITING_MAX

pytestmark = pytest.mark.fast

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = REQUEST[:20]
BIG = 8 * 1_048_576
PATIENCE_S = 1.0
"""Much shorter than the server's own; much longer than this computer leaves us waiting, mostly."""

SOON_S = 20.0
"""Much longer than that, much shorter than what uvicorn would wait."""

KEPT_ALIVE_S = 3_600

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Call = Callable[[], Coroutine[Any, Any, Client]]


async def answers(scope: Any, receive: Any, send: Any) -> None:
    body = b"x" * (BIG if scope["path"] == "/big" else 2)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", PATIENCE_S)
    monkeypatch.setattr(connections, "STALLED_S", PATIENCE_S)


@asynccontextmanager
async def server(connections_max: int = 100) -> AsyncIterator[Call]:
    """Opens a connection to a server of at most so many."""
    config = uvicorn.Config(
        answers, log_config=None, ws="none", lifespan="off", timeout_keep_alive=KEPT_ALIVE_S
    )
    config.load()
    protocol, state = connections_of(Limits(connections_max)), ServerState()
    listening = await asyncio.get_running_loop().create_server(
        lambda: protocol(config, state, {}), "127.0.0.1", 0
    )
    port = listening.sockets[0].getsockname()[1]
    opened: list[Client] = []

    async def call() -> Client:
        opened.append(await asyncio.open_connection("127.0.0.1", port))
        return opened[-1]

    try:
        yield call
    finally:
        listening.close()
        for _, writer in opened:
            writer.close()
        async with asyncio.timeout(SOON_S):
            while state.connections:
                await asyncio.sleep(0.01)
        assert not protocol.silent


async def said(client: Client) -> bytes:
    """All the server says until it hangs up; fails if it does not, soon."""
    async with asyncio.timeout(SOON_S):
        try:
            return await client[0].read()
        except ConnectionResetError:
            return b""


async def ask(client: Client) -> bytes:
    client[1].write(REQUEST)
    async with asyncio.timeout(SOON_S):
        head = await client[0].readuntil(b"\r\n\r\n")
        await client[0].readexactly(2)
    return head.split(b"\r\n")[0]


@pytest.mark.parametrize("words", [b"", HALF])
def test_a_client_that_does_not_finish_its_head_is_hung_up_on(words: bytes) -> None:
    async def scene() -> None:
        async with server() as call:
            client = await call()
            client[1].write(words)
            assert await said(client) == b""

    asyncio.run(scene())


def test_a_byte_now_and_then_buys_no_time() -> None:
    async def scene() -> None:
        async with server() as call:
            client = await call()
            over = asyncio.ensure_future(said(client))
            while not over.done():
                client[1].write(b"G")
                await asyncio.sleep(0.05)
            assert over.result() == b""

    asyncio.run(scene())


def test_the_second_head_of_a_connection_has_to_come_in_time_too() -> None:
    async def scene() -> None:
        async with server() as call:
            client = await call()
            assert await ask(client) == b"HTTP/1.1 200 OK"
            assert await ask(client) == b"HTTP/1.1 200 OK"
            client[1].write(HALF)
            assert await said(client) == b""

    asyncio.run(scene())


def test_a_client_that_does_not_read_its_answer_is_hung_up_on() -> None:
    async def scene() -> None:
        async with server() as call:
            client = await call()
            client[1].write(REQUEST.replace(b"/", b"/big", 1))
            await asyncio.sleep(2 * PATIENCE_S)
            assert len(await said(client)) < BIG

    asyncio.run(scene())


def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    async def scene() -> None:
        async with server() as call:
            client = await call()
            client[1].write(REQUEST.replace(b"/", b"/big", 1))
            await client[0].readuntil(b"\r\n\r\n")
            for _ in range(16):
                await client[0].readexactly(BIG // 16)
                await asyncio.sleep(PATIENCE_S / 10)

    asyncio.run(scene())


def test_the_silent_make_room_for_those_who_speak_the_longest_silent_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 60.0)

    async def scene() -> None:
        async with server(connections_max=4) as call:
            speaking = await call()
            assert await ask(speaking) == b"HTTP/1.1 200 OK"
            silent = [await call() for _ in range(3)]
            assert await ask(speaking) == b"HTTP/1.1 200 OK"
            newcomer = await call()
            assert await ask(newcomer) == b"HTTP/1.1 200 OK"
            assert await said(silent[0]) == b""
            assert [await ask(client) for client in (*silent[1:], speaking)] == (
                [b"HTTP/1.1 200 OK"] * 3
            )

    asyncio.run(scene())


@pytest.mark.parametrize("descriptors", [64, 256, 1_024, 4_096, 16_384])
def test_all_that_wait_fit_and_leave_room_for_pages(descriptors: int) -> None:
    limits = limits_for(descriptors)
    assert limits.waiting + limits.streams <= limits.connections * 3 / 4
    assert limits.connections < max(descriptors, 9)


def test_a_server_with_all_its_descriptors_carries_what_the_design_promises() -> None:
    limits = limits_for(connections.DESCRIPTORS_MAX)
    assert (limits.waiting, limits.streams) == (WAITING_MAX, STREAMS_MAX)
    assert limits.connections > WAITING_MAX + STREAMS_MAX + 1_000


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raised_descriptors() == min(hard, connections.DESCRIPTORS_MAX)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == raised_descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
