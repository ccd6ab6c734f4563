"""What a running node answers on its control socket: everything a caller may know, and no name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import __version__
from interlock.clock import SystemClock
from interlock.config import digest
from interlock.core.effects import WriteRecord
from interlock.errors import ProtocolError
from interlock.protocol.control import Op
from interlock.protocol.hubtime import HubTime, signed_time
from tests.node.node_rig import ADA, HUB, NodeBench, bodies
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture
def node() -> Iterator[NodeBench]:
    """A running node with a snapshot."""
    bench = NodeBench()
    bench.start()
    bench.install()
    yield bench
    bench.close()


def test_hello_says_who_it_is_and_asks_a_fresh_question_each_time(node: NodeBench) -> None:
    first, second = node.client.hello(), node.client.hello()
    assert (first.lab, first.node, first.mode) == ("lab", "saw", "locked")
    assert first.version == (1, 1)
    assert first.software == __version__
    assert first.nonce != second.nonce
    assert first.boot_id == SystemClock().boot_id


def test_the_hubs_time_is_trusted_recorded_once_and_kept_over_a_restart(node: NodeBench) -> None:
    wall_ms = SystemClock().wall_ms() + 1_000_000
    assert node.ask(Op.STATUS)["clock"]["trusted"] is False
    node.tell_time(wall_ms)
    node.tell_time(wall_ms + 10)
    clock = node.ask(Op.STATUS)["clock"]
    assert clock["trusted"] is True
    assert abs(clock["wall_at"] - wall_ms // 1_000) <= 2
    wait_until(lambda: "clock_anchored" in node.types())
    assert [b["wall_ms"] for b in bodies(node, "clock_anchored")] == [wall_ms]
    node.stop()
    node.start()
    assert node.ask(Op.STATUS)["clock"]["trusted"] is True, "the same boot"


def test_the_hubs_time_keeps_the_hubs_current_snapshot_fresh_and_no_other(node: NodeBench) -> None:
    wall_ms = SystemClock().wall_ms() + 1_000_000
    node.tell_time(wall_ms, version=(1, 2))
    assert 990 <= node.ask(Op.STATUS)["cache"]["age_s"] <= 1_020
    node.tell_time(wall_ms, version=(1, 1))
    assert node.ask(Op.STATUS)["cache"]["age_s"] <= 10


def test_a_replayed_or_unsigned_time_is_refused(node: NodeBench) -> None:
    nonce = bytes.fromhex(node.ask(Op.HELLO)["nonce"])
    message = signed_time(HUB, HubTime("lab", "saw", nonce, SystemClock().wall_ms(), (1, 1)))
    node.ask(Op.TIME, message=message)
    for bad in (message, {"statement": message["statement"], "signature": "00" * 64}, "now", None):
        with pytest.raises(ProtocolError):
            node.ask(Op.TIME, message=bad)


def test_status_tells_everything_but_names_and_badges(node: NodeBench) -> None:
    node.work()
    wait_until(lambda: node.state() == "enabled")
    status = node.ask(Op.STATUS)
    assert status["relay_on"] is True
    assert status["journal"]["state"] == "ok"
    assert status["journal"]["unsent"] == len(node.records())
    assert status["cache"]["version"] == [1, 1]
    assert 0 <= status["cache"]["age_s"] < 60
    assert status["config_digest"] == digest(node.config)
    text = json.dumps(status)
    assert "Ada" not in text
    assert "m-ada" not in text
    assert ADA.tag.hex() not in text


def test_the_panel_greets_by_name_only_at_the_panel(node: NodeBench) -> None:
    node.work()
    wait_until(lambda: node.ask(Op.PANEL)["message"] == "in_use")
    panel = node.ask(Op.PANEL)
    assert panel["lines"][0] == "Ada L."
    assert panel["light"] == {"red": False, "green": True, "blue": False}


def test_metrics_are_numbers_and_count_what_the_loop_did(node: NodeBench) -> None:
    before = node.ask(Op.METRICS)
    node.work()
    after = node.ask(Op.METRICS)
    assert after["closings"] == before["closings"] + 1
    assert after["loop"]["ticks"] > before["loop"]["ticks"]
    assert after["steps"] > before["steps"]


def test_a_diagnosis_shows_the_last_events_page_by_page_and_names_nobody(node: NodeBench) -> None:
    node.work()
    wait_until(lambda: node.state() == "enabled")
    node.ask(Op.CLEAR_FAULTS, by="Alice Martin")

    def diagnosis() -> list[dict[str, Any]] | None:
        """Every page, once the loop has come to what was asked before."""
        moments: list[dict[str, Any]] = []
        while True:
            page = node.ask(Op.DIAGNOSE, skip=len(moments))
            moments += page["moments"]
            if not page["next"]:
                events = {moment["event"] for moment in moments}
                return moments if events >= {"FaultCleared", "RecordDurable"} else None

    moments = wait_until(diagnosis)
    events = [moment["event"] for moment in moments]
    assert "BadgeArrived" in events
    text = json.dumps(moments)
    assert ADA.tag.hex() not in text
    assert ADA.tag.hex()[:8] in text
    assert "Ada" not in text
    assert "Alice" not in text, "nor who stood at the console"
    with pytest.raises(ProtocolError):
        node.ask(Op.DIAGNOSE, skip=-1)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (Op.RECORDS, {}),
        (Op.RECORDS, {"epoch": "1", "seq": 0}),
        (Op.RECORDS, {"epoch": 1, "seq": -1}),
        (Op.ACK, {"epoch": 1, "seq": 1}),
        (Op.ACK, {"epoch": 9, "seq": 9, "hash": "00" * 32}),
        (Op.SNAPSHOT, {"file": 7}),
        (Op.TIME, {}),
    ],
)
def test_a_request_with_wrong_arguments_changes_nothing(
    node: NodeBench, op: Op, arguments: dict[str, Any]
) -> None:
    before = node.ask(Op.HELLO)
    with pytest.raises(ProtocolError):
        node.ask(op, **arguments)
    after = node.ask(Op.HELLO)
    assert (after["head"], after["acked"]) == (before["head"], before["acked"])


def test_a_long_journal_comes_in_pages_that_fit_a_frame_and_miss_nothing(node: NodeBench) -> None:
    assert node.loop is not None
    for number in range(300):
        body = {"number": number, "text": "x" * 200}
        node.loop._submit(WriteRecord(0, "problem_reported", body))
    wait_until(lambda: node.ask(Op.HELLO)["head"]["seq"] >= 300)
    page = node.ask(Op.RECORDS, epoch=0, seq=0)
    assert page["next"] is True
    assert len(page["records"]) < 300
    reported = [body["number"] for body in bodies(node, "problem_reported")]
    assert reported == list(range(300))
