"""TCP connections to requests: bounded in number and in patience, so that silence stops nothing.

uvicorn waits for the end of a request's head as long as a client likes, and holds a descriptor for it;
its `limit_concurrency` counts the silent ones too, and would turn away those who speak. Here instead:

    no complete head within HEAD_S              the connection is cut, also when it trickles
    nothing of an answer read for STALLED_S     the connection is cut
    more connections than there is room for     the one that has said nothing for longest is cut

And each answer leaves in one piece: uvicorn writes its head and its body one after the other, two system calls and
two packets; with 500 nodes to tell of a change that is a fifth of the work.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from interlock.hub.waiting import STREAMS_MAX, WAITING_MAX

HEAD_S = 10.0
"""A head is one packet; a phone at the edge of the Wi-Fi sends it again within seconds."""
STALLED_S = 30.0
"""Longer than Wi-Fi and mobile networks stay away between two packets that arrive."""
PIECE_BYTES_MAX = 65_536
"""Beyond it the socket's buffer is full anyway, and uvicorn has to hear that it must wait."""

DESCRIPTORS_MAX = 16_384
"""Enough for WAITING_MAX and all that comes with it; more would only help a flood."""
DESCRIPTORS_RESERVED = 64
"""Standard streams, event loop, listener, database, keys, templates, one burst of accepted calls."""
CONNECTIONS_SHARE = 2 / 3
"""The rest is for what requests open while they run: three descriptors for each one's database."""
WAITING_SHARE = 5 / 8
"""Of the connections; two for each node of the lab."""
STREAMS_SHARE = 1 / 8
"""Of the connections; what is left, a quarter at least, is for pages and records."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of each there may be at once."""

    connections: int
    waiting: int = WAITING_MAX
    streams: int = STREAMS_MAX


def limits_for(descriptors: int) -> Limits:
    """What a process that may open so many descriptors can carry; the parts never exceed the whole."""
    connections = max(8, int((descriptors - DESCRIPTORS_RESERVED) * CONNECTIONS_SHARE))
    return Limits(
        connections,
        min(WAITING_MAX, int(connections * WAITING_SHARE)),
        min(STREAMS_MAX, int(connections * STREAMS_SHARE)),
    )


def raised_descriptors() -> int:
    """How many descriptors this process may open, now that it has asked for all it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class OnePiece:
    """A transport to which uvicorn writes; what is written in one turn of the event loop leaves together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """It leaves with what else is written before the loop goes on."""
        if len(data) > PIECE_BYTES_MAX:
            self.flush()
            self._transport.write(data)
        elif data:
            if not self._pieces:
                self._loop.call_soon(self.flush)
            self._pieces.append(data)
            self._bytes += len(data)
            if self._bytes > PIECE_BYTES_MAX:
                self.flush()

    def flush(self) -> None:
        """What was written has been handed on."""
        pieces, self._pieces, self._bytes = self._pieces, [], 0
        if pieces:
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        """Nothing more is read; what was written leaves first."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """The connection is gone, with whatever was not sent yet."""
        self._pieces, self._bytes = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def resume_reading(self) -> None:
        """More of what the client sends is wanted."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """How many bytes have not left yet."""
        return self._bytes + self._transport.get_write_buffer_size()


class Connection(H11Protocol):
    """One client. A server uses a subclass of its own (`connections_of`), which counts its clients."""

    connections_max: ClassVar[int]
    silent: ClassVar[dict[Connection, None]]
    """Whoever owes a request's head, the longest silent first."""

    _patience: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client may speak; if it is one too many, the longest silent one has to go."""
        super().connection_made(transport)
        self._out = OnePiece(transport, self.loop)
        # uvicorn asks no more of it than this one has.
        self.transport = self._out  # type: ignore[assignment]
        self._wait_for_client(HEAD_S)
        if len(self.connections) > self.connections_max:
            next(iter(self.silent))._give_up()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        super().data_received(data)
        if self._is_owed_a_request():
            self._wait_for_client(HEAD_S)
        else:
            self._be_patient()

    def on_response_complete(self) -> None:
        """The answer is written; the next head, or the end of a closing connection, is awaited."""
        self._out.flush()
        super().on_response_complete()
        if self._is_owed_a_request():
            unread = self.transport.get_write_buffer_size()
            self._wait_for_client(STALLED_S if unread else HEAD_S)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write: it may, as long as it reads."""
        super().pause_writing()
        self._forget_stall()
        self._stalled = self._cut_later(STALLED_S, "_stalled")

    def resume_writing(self) -> None:
        """It has caught up."""
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._be_patient()
        self._forget_stall()
        super().connection_lost(exc)

    def _is_owed_a_request(self) -> bool:
        # uvicorn's annotation forgets that there is no cycle before the first request.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def _wait_for_client(self, wait_s: float) -> None:
        """Once for each head: a byte now and then buys no time."""
        if self._patience is None:
            self._patience = self._cut_later(wait_s, "_patience")
            self.silent[self] = None

    def _be_patient(self) -> None:
        self.silent.pop(self, None)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut_later(self, wait_s: float, timer: str) -> asyncio.TimerHandle:
        """Unless some of what waits to be read has left by then: a large file takes what it takes."""
        unread = self.transport.get_write_buffer_size()

        def look() -> None:
            if 0 < self.transport.get_write_buffer_size() < unread:
                setattr(self, timer, self._cut_later(STALLED_S, timer))
            else:
                self._give_up()

        return self.loop.call_later(wait_s, look)

    def _give_up(self) -> None:
        self._be_patient()
        self.transport.abort()


def connections_of(limits: Limits) -> type[Connection]:
    """The protocol of one server."""

    class Bounded(Connection):
        connections_max = limits.connections
        silent: ClassVar[dict[Connection, None]] = {}

    return Bounded
