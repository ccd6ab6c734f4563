"""The node put together, in this process: a badge's whole way, every answer, every start and
every end.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from interlock import __version__
from interlock.clock import SystemClock
from interlock.config import digest
from interlock.errors import PinError, ProtocolError
from interlock.node import journal as node_journal
from interlock.node import service
from interlock.node.reader_worker import ReaderWorker
from interlock.protocol.control import Op
from interlock.protocol.records import GENESIS, verify
from interlock.protocol.tags import badge_tag, short_code
from tests.node.node_rig import (
    ADA_UID,
    KEYS,
    NEW_UID,
    STRANGER_UID,
    NodeBench,
    bodies,
    reachable,
)
from tests.node.pin_contract import BROKEN, CURRENT, EMERGENCY, RELAY
from tests.node.test_pins import MockBench
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STRANGER_CODE = short_code(badge_tag(KEYS.badge_key, STRANGER_UID))


@pytest.fixture
def bench() -> Iterator[NodeBench]:
    made = NodeBench()
    yield made
    made.close()


@pytest.fixture
def node(bench: NodeBench) -> NodeBench:
    """A running node with a snapshot."""
    bench.start()
    bench.install()
    return bench


# ----------------------------------------------------------------------------------------- the path


def test_a_trained_badge_powers_the_machine_and_a_second_tap_ends_it(node: NodeBench) -> None:
    node.work()
    wait_until(lambda: node.state() == "enabled")
    assert node.ask(Op.STATUS)["session_open"] is True
    node.tap()
    wait_until(lambda: not node.relay_on, 5, "relay off")
    wait_until(lambda: "session_ended" in node.types())
    started, ended = bodies(node, "session_started"), bodies(node, "session_ended")
    assert [s["member"] for s in started] == ["m-ada"]
    assert [e["how"] for e in ended] == ["tap_off"]


def test_every_record_pulled_over_the_socket_follows_the_one_before(node: NodeBench) -> None:
    node.work()
    node.press()
    wait_until(lambda: "session_ended" in node.types())
    prev = GENESIS
    for record in node.records():
        verify(record, prev=prev, chain_key=KEYS.chain_key)
        prev = record.hash
    head = node.ask(Op.HELLO)["head"]
    assert head["hash"] == prev.hex()
    node.ask(Op.ACK, **head)
    assert node.ask(Op.HELLO)["acked"] == head
    wrong = {**head, "hash": "00" * 32}
    with pytest.raises(ProtocolError):
        node.ask(Op.ACK, **wrong)


@pytest.mark.parametrize(
    ("uid", "reason", "lines"),
    [
        (NEW_UID, "NOT_TRAINED", ["Not trained", "Book a training"]),
        (STRANGER_UID, "UNKNOWN_BADGE", ["Unknown badge", f"Code {STRANGER_CODE}"]),
    ],
)
def test_a_refused_badge_reads_why_on_the_screen_and_leaves_a_record(
    node: NodeBench, uid: bytes, reason: str, lines: list[str]
) -> None:
    node.tap(uid)
    wait_until(lambda: node.ask(Op.PANEL)["reason"] == reason)
    assert node.ask(Op.PANEL)["lines"] == lines
    wait_until(lambda: reason in [body["reason"] for body in bodies(node, "refused")])
    assert not node.relay_on


def test_without_a_snapshot_nobody_starts_anything(bench: NodeBench) -> None:
    bench.start()
    wait_until(lambda: bench.ask(Op.PANEL)["message"] == "no_rights")
    bench.tap()
    wait_until(lambda: bench.ask(Op.PANEL)["reason"] == "NO_CACHE")
    assert not bench.relay_on


def test_a_forged_snapshot_and_a_path_out_of_the_spool_change_nothing(node: NodeBench) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    forger = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
    node.ask(Op.SNAPSHOT, file=node.snapshot((1, 9), (), key=forger, name="forged"))
    wait_until(lambda: "is live" not in node.ask(Op.STATUS)["cache"]["last_snapshot"])
    for name in ("../journal.db", "/etc/passwd", ".hidden", "", "a/b"):
        with pytest.raises(ProtocolError, match="plain name"):
            node.ask(Op.SNAPSHOT, file=name)
    assert node.ask(Op.HELLO)["version"] == [1, 1]
    node.work()


# ------------------------------------------------------------------------------------- stop and end


def test_the_stop_button_opens_the_relay_while_the_disk_is_stalled(
    node: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.work()
    go_on, stalled = threading.Event(), threading.Event()
    inner = node_journal.Journal.append

    def stalling(self: node_journal.Journal, drafts: Any) -> Any:
        stalled.set()
        go_on.wait(120)
        return inner(self, drafts)

    monkeypatch.setattr(node_journal.Journal, "append", stalling)
    assert stalled.wait(60), "the progress record never came"
    node.press()
    wait_until(lambda: not node.relay_on, 1, "relay off with a stalled disk")
    node.release()
    go_on.set()
    wait_until(lambda: "session_ended" in node.types())
    assert [e["how"] for e in bodies(node, "session_ended")] == ["stop_button"]


def test_a_start_that_is_not_durable_in_time_never_closes_the_relay_and_is_voided(
    bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.changes["times"] = {"start_deadline_ms": 200}
    bench.start()
    bench.install()
    go_on = threading.Event()
    inner = node_journal.Journal.append

    def stalling(self: node_journal.Journal, drafts: Any) -> Any:
        go_on.wait(120)
        return inner(self, drafts)

    monkeypatch.setattr(node_journal.Journal, "append", stalling)
    bench.tap()
    wait_until(lambda: bench.ask(Op.PANEL)["reason"] == "CANNOT_RECORD")
    go_on.set()
    wait_until(lambda: {"session_started", "session_voided"} <= set(bench.types()))
    assert not bench.relay_on
    states = [state.state for state in bench.outside.factory.pin(RELAY).states]
    assert True not in states, "the relay closed for a start nobody could record"


def test_told_to_end_it_opens_the_relay_records_the_end_and_leaves_with_0(node: NodeBench) -> None:
    node.work()
    wait_until(lambda: "session_started" in node.types())
    assert node.stop() == 0
    assert not node.relay_on
    node.start()
    ended = bodies(node, "session_ended")
    assert [(e["how"], e["estimated"]) for e in ended] == [("terminated", False)]
    assert [b["clean"] for b in bodies(node, "boot")] == [True, True]


def test_a_badge_left_in_the_slot_over_a_restart_starts_nothing(node: NodeBench) -> None:
    node.work()
    node.stop()
    node.start()
    wait_until(lambda: node.ask(Op.PANEL)["reason"] == "PRESENT_AGAIN")
    SystemClock().sleep(0.5)
    assert not node.relay_on
    node.work()


def test_a_loop_that_dies_takes_the_relay_with_it_and_says_1(node: NodeBench) -> None:
    node.work()
    assert node.loop is not None

    def broken(*_: Any) -> Any:
        raise AssertionError("planted")

    node.loop._step = broken
    assert node.wait_for_exit() == 1
    assert not node.relay_on
    assert not reachable(node)


def test_the_session_of_a_node_that_died_is_closed_at_its_last_proof_of_life(
    node: NodeBench,
) -> None:
    node.work()
    wait_until(lambda: "session_progress" in node.types())
    proof = bodies(node, "session_progress")[-1]
    assert node.loop is not None
    node.loop._step = lambda *_: 1 / 0  # type: ignore[assignment]
    assert node.wait_for_exit() == 1
    node.start()
    (ended,) = bodies(node, "session_ended")
    assert (ended["how"], ended["estimated"]) == ("power_lost", True)
    assert proof["enabled_ms"] <= ended["enabled_ms"] <= proof["enabled_ms"] + 2_000
    assert bodies(node, "boot")[-1]["clean"] is False
    assert not node.relay_on


def test_a_lock_out_survives_the_process(node: NodeBench) -> None:
    node.press(BROKEN)
    wait_until(lambda: node.state() == "locked_out")
    node.release(BROKEN)
    wait_until(lambda: "lock_out_set" in node.types())
    node.stop()
    node.start()
    assert node.state() == "locked_out"
    node.tap()
    wait_until(lambda: node.ask(Op.PANEL)["reason"] == "MACHINE_LOCKED_OUT")
    assert not node.relay_on


def test_a_welded_contactor_is_a_fault_that_survives_the_process(node: NodeBench) -> None:
    node.work()
    node.outside.weld()
    node.press()
    wait_until(lambda: node.state() == "fault", 5, "the mirror contact stays open: welded")
    wait_until(lambda: "fault_raised" in node.types())
    node.stop()
    node.start()
    assert node.ask(Op.STATUS)["faults"] == ["contactor_welded"]


def test_a_dead_reader_shows_and_comes_back(node: NodeBench) -> None:
    node.reader.dead = True
    wait_until(lambda: node.ask(Op.PANEL)["message"] == "no_reader", 5)
    assert node.ask(Op.STATUS)["reader"] != "ok"
    node.reader.dead = False
    wait_until(lambda: node.ask(Op.STATUS)["reader"] == "ok", 8)
    node.work()


# ------------------------------------------------------------------------------------------- starts


def test_the_service_manager_hears_ready_then_watchdog_then_stopping(node: NodeBench) -> None:
    wait_until(lambda: node.heard().count("WATCHDOG=1") >= 3)
    node.stop()
    said = node.heard()
    assert said[0] == "READY=1"
    assert said[-1] == "STOPPING=1"
    assert set(said[1:-1]) == {"WATCHDOG=1"}


def test_a_hung_loop_is_silent_on_the_notify_socket(node: NodeBench) -> None:
    assert node.loop is not None
    hang, hangs, inner = threading.Event(), threading.Event(), node.loop._step

    def hanging(*arguments: Any) -> Any:
        hangs.set()
        hang.wait(60)
        return inner(*arguments)

    node.loop._step = hanging
    assert hangs.wait(60)
    node.heard()
    del node.said[:]
    SystemClock().sleep(0.5)
    assert node.heard() == []
    hang.set()


def test_the_configuration_is_recorded_when_it_changed_and_only_then(bench: NodeBench) -> None:
    bench.start()
    bench.stop()
    bench.start()
    (first,) = bodies(bench, "configuration_changed")
    assert first["digest"] == digest(bench.config)
    assert first["rules"]["grace_s"] == bench.config.times.grace_s
    assert first["rules"]["badge_use"] == "tap"
    bench.stop()
    bench.changes["times"] = {"grace_s": 7}
    bench.start()
    assert [c["rules"]["grace_s"] for c in bodies(bench, "configuration_changed")] == [1, 7]
    boots = bodies(bench, "boot")
    assert {boot["software"] for boot in boots} == {__version__}
    assert boots[-1]["config_digest"] == digest(bench.config) != boots[0]["config_digest"]


def test_a_pin_that_somebody_else_holds_stops_the_start_before_the_journal(
    bench: NodeBench,
) -> None:
    bench.start()
    bench.stop()
    before = sorted(path.name for path in bench.config.paths.state_dir.iterdir())
    held = bench.outside
    held.factory.reserve_pins(held, RELAY)
    code = service.run_node(
        bench.config,
        KEYS,
        pins=lambda config: held.factory,
        open_reader=lambda config, clock: bench.reader,
        environ={},
    )
    assert code == 1
    assert sorted(path.name for path in bench.config.paths.state_dir.iterdir()) == before


def test_a_start_that_fails_half_way_lets_go_of_every_pin(bench: NodeBench) -> None:
    state_dir = bench.config.paths.state_dir
    state_dir.mkdir()
    (state_dir / "run").touch()
    bench.start()
    assert bench.wait_for_exit() == 1, "the control socket cannot be made"
    assert bench.outside.factory.pin(RELAY).function == "input"
    bench.outside.factory.reserve_pins(bench, RELAY)


def kept_time(bench: NodeBench) -> dict[str, Any]:
    """The time marks on the disk of a node that does not run."""
    with closing(sqlite3.connect(bench.config.paths.journal)) as direct:
        (marks,) = direct.execute("SELECT value FROM marks WHERE name = 'marks'").fetchone()
    time = json.loads(marks)["time"]
    assert isinstance(time, dict)
    return time


def test_a_journal_that_cannot_be_opened_refuses_everybody_and_nothing_in_it_is_forgotten(
    node: NodeBench,
) -> None:
    """The marks of time, above all: without them the cache is stale, and nobody could work offline."""
    node.tell_time(SystemClock().wall_ms())
    node.work()
    wait_until(lambda: "session_progress" in node.types())
    assert node.loop is not None
    node.loop._step = lambda *_: 1 / 0  # type: ignore[assignment]
    assert node.wait_for_exit() == 1, "it dies in the middle of the session"
    before = kept_time(node)
    assert before["trusted_wall_ms"]
    journal, away = node.config.paths.journal, node.folder / "away.db"
    journal.rename(away)
    journal.mkdir()

    node.start()
    wait_until(lambda: node.ask(Op.PANEL)["message"] in ("no_journal", "no_rights"))
    assert node.ask(Op.STATUS)["journal"]["state"] != "ok"
    node.tap()
    wait_until(lambda: node.ask(Op.PANEL)["reason"] is not None)
    assert not node.relay_on
    journal.rmdir()
    away.rename(journal)
    assert node.wait_for_exit() == 1, "it begins again, to learn of latched faults"
    assert kept_time(node) == before

    node.start()
    assert node.ask(Op.HELLO)["version"] == [1, 1]
    node.work()
    assert [e["how"] for e in bodies(node, "session_ended")] == ["power_lost"]
    assert kept_time_grew(before, node)


def kept_time_grew(before: dict[str, Any], node: NodeBench) -> bool:
    """Whether what is kept now tells of the same trusted time, and of more powered time."""
    node.stop()
    now = kept_time(node)
    same = ("trusted_wall_ms", "trusted_powered_ms", "current_version", "current_powered_ms")
    return all(now[name] == before[name] for name in same) and (
        now["powered_ms"] > before["powered_ms"]
    )


def test_a_power_cut_at_the_moment_of_the_switch_leaves_rights_of_a_known_age(
    bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, cut = bench.config.paths.state_dir, bench.folder / "as the power cut left it"
    inner = ReaderWorker.switch

    def copied_first(self: ReaderWorker, *arguments: Any, **named: Any) -> Any:
        shutil.copytree(state, cut, ignore=shutil.ignore_patterns("run"))
        return inner(self, *arguments, **named)

    monkeypatch.setattr(ReaderWorker, "switch", copied_first)
    bench.start()
    bench.install()
    bench.stop()
    shutil.rmtree(state)
    cut.rename(state)
    bench.start()
    assert bench.ask(Op.HELLO)["version"] == [1, 1]
    bench.work()


def planted(*_: Any, **__: Any) -> Any:
    raise IndexError("planted")


def test_a_reader_thread_that_dies_starts_the_node_anew(node: NodeBench) -> None:
    node.reader.poll = planted  # type: ignore[method-assign]
    assert node.wait_for_exit() == 1
    del node.reader.poll
    node.start()
    node.work()


def test_a_session_outlives_the_reader_s_thread_and_the_node_starts_anew_behind_it(
    node: NodeBench,
) -> None:
    node.work()
    wait_until(lambda: node.state() == "enabled")
    node.reader.poll = planted  # type: ignore[method-assign]
    wait_until(lambda: node.ask(Op.STATUS)["reader"] != "ok", what="its silence")
    assert (node.relay_on, node.state()) == (True, "enabled")
    node.press()
    assert node.wait_for_exit() == 1
    del node.reader.poll
    node.release()
    node.start()
    assert [e["how"] for e in bodies(node, "session_ended")] == ["stop_button"]


def test_a_journal_thread_that_dies_starts_the_node_anew_and_powers_nobody(
    node: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_journal.Journal, "append", planted)
    node.tap()
    assert node.wait_for_exit() == 1
    assert True not in [state.state for state in node.outside.factory.pin(RELAY).states]
    monkeypatch.undo()
    node.start()
    node.work()


def test_the_safe_state_drives_the_relay_off_and_lets_go(bench: NodeBench) -> None:
    outside = MockBench()
    service.safe_state(bench.config, outside.factory)
    assert [state.state for state in outside.factory.pin(RELAY).states] == [False]
    outside.factory.reserve_pins(outside, RELAY)
    with pytest.raises(PinError, match="relay"):
        service.safe_state(bench.config, outside.factory)


# ------------------------------------------------------------------------------------------- inputs


def test_the_stop_chain_ends_the_session_and_its_release_restarts_nothing(node: NodeBench) -> None:
    node.work()
    node.outside.conduct(EMERGENCY, False)
    wait_until(lambda: not node.relay_on, 1)
    node.outside.conduct(EMERGENCY, True)
    wait_until(lambda: node.state() == "locked")
    SystemClock().sleep(0.3)
    assert not node.relay_on


def test_tapping_off_a_busy_machine_warns_first_and_cuts_at_the_first_idle(
    node: NodeBench,
) -> None:
    node.work()
    node.outside.conduct(CURRENT, True)
    node.tap(ADA_UID)
    wait_until(lambda: node.state() == "ending")
    assert node.relay_on
    assert node.ask(Op.PANEL)["buzzer"] == "warning_beeps"
    node.outside.conduct(CURRENT, False)
    wait_until(lambda: not node.relay_on, 2, "the first idle")
