"""An answer's head and body leave in one packet, and nothing that is written waits for what comes later."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from interlock.hub.connections import PIECE_BYTES_MAX, OnePiece

pytestmark = pytest.mark.fast


class Line:
    """The transport under it, by what happened to it."""

    def __init__(self) -> None:
        self.happened: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.happened.append(data)

    def close(self) -> None:
        self.happened.append("closed")

    def abort(self) -> None:
        self.happened.append("aborted")

    def get_write_buffer_size(self) -> int:
        return 0


def history(*does: bytes | str) -> list[bytes | str]:
    """What leaves when that is written and done; "turn" lets the event loop go on."""

    async def run() -> list[bytes | str]:
        line = Line()
        out = OnePiece(cast(asyncio.Transport, line), asyncio.get_running_loop())
        for one in does:
            if isinstance(one, bytes):
                out.write(one)
            elif one == "turn":
                await asyncio.sleep(0)
                line.happened.append("turn")
            else:
                getattr(out, one)()
        return line.happened

    return asyncio.run(run())


def test_head_and_body_of_an_answer_leave_together_and_an_event_of_a_stream_at_its_turn() -> None:
    assert history(b"head", b"body", b"", "turn", b"event", "turn", "turn") == [
        *(b"headbody", "turn", b"event", "turn", "turn")
    ]


def test_what_was_written_leaves_before_the_connection_is_closed_and_not_once_it_is_cut() -> None:
    assert history(b"a", b"b", "close", "turn") == [b"ab", "closed", "turn"]
    assert history(b"a", b"b", "abort", "turn") == ["aborted", "turn"]
    assert history(b"a", b"b", "flush", b"c", "turn") == [b"ab", b"c", "turn"]


def test_no_more_than_a_socket_takes_is_held_back_and_nothing_overtakes() -> None:
    large, half = bytes(PIECE_BYTES_MAX + 1), bytes(PIECE_BYTES_MAX // 2 + 1)
    assert history(b"head", large, b"end", "turn") == [b"head", large, b"end", "turn"]
    assert history(half, half, b"end", "turn") == [half + half, b"end", "turn"]


def test_what_is_held_back_counts_as_unsent() -> None:
    async def run() -> tuple[int, int]:
        out = OnePiece(cast(asyncio.Transport, Line()), asyncio.get_running_loop())
        out.write(b"abc")
        before = out.get_write_buffer_size()
        out.flush()
        return before, out.get_write_buffer_size()

    assert asyncio.run(run()) == (3, 0)
