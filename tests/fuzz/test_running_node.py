"""A whole node in this process while strangers' bytes come through its real socket: it answers, and nothing closes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import InterlockError
from interlock.node.control import LINE_S
from interlock.protocol import canonical, control
from interlock.protocol.control import Op
from interlock.protocol.hubtime import HubTime, signed_time
from interlock.protocol.records import GENESIS, verify
from tests.fuzz.bending import bent_bytes, bent_values, spelled
from tests.fuzz.kept import BreachError, Surface, examples
from tests.fuzz.signed import HUB, messages, signed
from tests.node.node_rig import KEYS, NodeBench
from tests.waiting import wait_until

fast = pytest.mark.fast

HARMLESS = [op for op in Op if op not in (Op.BREAK_GLASS, Op.DIAGNOSE)]
"""BREAK_GLASS waits longer after each wrong code; DIAGNOSE answers pages of what went before."""
REQUESTS = [
    control.request(op, epoch=1, seq=1, hash="00" * 32, file="x", name="fire", closed=True, by="me")
    for op in HARMLESS
]
TIME = signed_time(HUB, HubTime("lab", "saw", bytes(16), 1_800_000_000_000, (1, 1)))["statement"]
SPELT = [spelled(request) for request in REQUESTS]


class Talk:
    """One connection after another to a running node; each case is answered line by line."""

    def __init__(self, bench: NodeBench) -> None:
        self.bench = bench
        self.path = str(bench.config.paths.socket)

    def run(self, case: bytes) -> str:
        """`case` is sent whole, then a good question; every line has had one answer, in order."""
        lines = case.split(b"\n")
        fits = all(len(line) <= canonical.FRAME_BYTES_MAX for line in lines)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(20 * LINE_S)
            peer.connect(self.path)
            with suppress(ConnectionError):
                peer.sendall(case + b"\n" + spelled(control.request(Op.PANEL)) + b"\n")
            answers = self._answers(peer, len(lines) + 1)
        if fits and len(answers) != len(lines) + 1:
            raise BreachError(f"{len(lines) + 1} lines, {len(answers)} answers")
        if fits and not answers[-1]["ok"]:
            raise BreachError(f"a good question got {answers[-1]}")
        if self.bench.relay_on:
            raise BreachError("the relay closed")
        said = [answer.get("error", "ok") if not answer["ok"] else "ok" for answer in answers[:-1]]
        return " ".join(sorted(set(said)))

    def _answers(self, peer: socket.socket, count: int) -> list[dict[str, Any]]:
        heard = b""
        with suppress(ConnectionError):
            while heard.count(b"\n") < count:
                chunk = peer.recv(65_536)
                if not chunk:
                    break
                heard += chunk
        return [json.loads(line) for line in heard.splitlines()]


@pytest.fixture(name="bench", scope="module")
def running_node() -> Iterator[NodeBench]:
    bench = NodeBench()
    try:
        bench.start()
        bench.install()
        yield bench
        assert bench.stop() == 0
    finally:
        bench.close()


def interleaved() -> st.SearchStrategy[bytes]:
    """Good and bad lines one behind the other, in one go."""
    one = bent_values(REQUESTS).map(spelled) | bent_bytes(SPELT) | st.sampled_from(SPELT)
    return st.lists(one, min_size=1, max_size=5).map(b"\n".join)


@fast
def test_no_line_on_the_socket_closes_a_relay_or_keeps_the_next_from_its_answer(
    bench: NodeBench,
) -> None:
    surface = Surface("socket", Talk(bench).run)
    before = bench.ask(Op.HELLO)

    @examples(60)
    @given(interleaved())
    def send(case: bytes) -> None:
        surface.outcome(case)

    try:
        send()
    finally:
        surface.keep()
    after, metrics = bench.ask(Op.HELLO), bench.ask(Op.METRICS)
    same = ("lab", "node", "version", "boot_id", "digest")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert metrics["closings"] == 0
    chain_is_whole(bench)


@fast
def test_a_kept_line_on_the_socket_is_answered_as_it_was(bench: NodeBench) -> None:
    surface = Surface("socket", Talk(bench).run)
    kept = list(surface.kept())
    assert len(kept) > 3, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


@fast
def test_a_hub_that_says_anything_about_the_time_leaves_a_node_that_works(bench: NodeBench) -> None:
    """Rightly signed, for the right nonce, twice: the journal goes on, and its chain verifies."""

    def tell(case: bytes) -> str:
        message = json.loads(case)
        nonce = bench.ask(Op.HELLO)["nonce"]
        statement = message["statement"]
        if isinstance(statement, dict) and statement.get("nonce") == TIME["nonce"]:
            message = message_for(statement, nonce)
        bench.client.ask(Op.TIME, message=message)
        return "believed"

    surface = Surface("told_times", tell)

    @examples(20)
    @given(messages(TIME).filter(is_json))
    def send(case: bytes) -> None:
        for _ in range(2):
            with suppress(InterlockError):
                surface.run(case)

    send()
    bench.ask(Op.CUT_NOW)
    chain_is_whole(bench)
    assert bench.ask(Op.STATUS)["journal"]["state"] == "ok"


@pytest.mark.real
def test_a_hub_that_lives_in_another_age_does_not_stop_the_journal() -> None:
    """Twice, so that it is believed: the last millisecond that SQLite can store."""
    bench = NodeBench()
    try:
        bench.start()
        bench.install()
        for _ in range(2):
            with suppress(InterlockError):
                bench.tell_time(2**63 - 1)
        bench.work()
        bench.press()
        wait_until(lambda: "session_ended" in bench.types(), 20, "the end is in the journal")
        assert not bench.relay_on
        chain_is_whole(bench)
    finally:
        bench.close()


def message_for(statement: dict[str, object], nonce: str) -> dict[str, object]:
    made: dict[str, object] = json.loads(signed({**statement, "nonce": nonce}))
    return made


def is_json(case: bytes) -> bool:
    try:
        return isinstance(json.loads(case).get("statement"), dict)
    except (ValueError, AttributeError):
        return False


def chain_is_whole(bench: NodeBench) -> None:
    prev = GENESIS
    for record in bench.records():
        verify(record, prev=prev, chain_key=KEYS.chain_key)
        prev = record.hash
