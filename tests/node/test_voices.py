"""What the node says to systemd, to journald and to its journal about time: none of it makes the
loop wait.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.errors import StoreError
from interlock.node import time_saver
from interlock.node.log_queue import LogQueue
from interlock.node.notify import Notifier
from interlock.node.time_saver import ANCHOR_EVERY_MS, ANCHOR_STEP_MS, TimeSaver
from interlock.node.timekeeping import Timekeeper, marks_from_wire
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.clocks import US_PER_MS, VirtualClock
from tests.waiting import wait_until

pytestmark = pytest.mark.fast


# ------------------------------------------------------------------------------------------ notify


@pytest.fixture
def manager() -> Iterator[tuple[socket.socket, str]]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        path = str(Path(folder) / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(path)
            ear.settimeout(5)
            yield ear, path


def test_what_is_said_arrives_as_one_datagram_each(manager: tuple[socket.socket, str]) -> None:
    ear, path = manager
    notifier = Notifier({"NOTIFY_SOCKET": path})
    notifier.say("READY=1")
    notifier.say("WATCHDOG=1")
    assert [ear.recv(64), ear.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
    notifier.close()
    notifier.close()
    notifier.say("STOPPING=1")


def test_a_name_in_the_abstract_namespace_is_understood() -> None:
    name = f"il-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0" + name)
        ear.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name})
        notifier.say("READY=1")
        assert ear.recv(64) == b"READY=1"
        notifier.close()


def test_a_manager_that_does_not_read_or_is_gone_holds_up_nobody(
    manager: tuple[socket.socket, str],
) -> None:
    ear, path = manager
    notifier = Notifier({"NOTIFY_SOCKET": path})
    for _ in range(5_000):
        notifier.say("WATCHDOG=1")
    ear.close()
    notifier.say("WATCHDOG=1")
    notifier.close()
    Notifier({}).say("READY=1")
    gone = Notifier({"NOTIFY_SOCKET": "/nowhere/at/all"})
    gone.say("READY=1")
    gone.close()


# --------------------------------------------------------------------------------------------- log


class StuckStream(io.StringIO):
    """stderr whose reader sleeps until told."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.go_on.wait(60)
        return super().write(text)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("interlock.node", logging.INFO, "", 0, text, (), None)


def test_lines_are_written_in_order_with_level_and_origin() -> None:
    stream = io.StringIO()
    lines = LogQueue(stream)
    lines.start()
    lines.emit(record("relay on"))
    lines.emit(record("relay off"))
    lines.stop()
    assert stream.getvalue() == "INFO interlock.node: relay on\nINFO interlock.node: relay off\n"


def test_a_stuck_stderr_holds_up_nobody_and_the_lost_lines_are_counted() -> None:
    stream = StuckStream()
    lines = LogQueue(stream, lines_max=3)
    lines.start()
    lines.emit(record("first"))
    wait_until(lambda: lines._lines.empty())
    for number in range(10):
        lines.emit(record(str(number)))
    stream.go_on.set()
    wait_until(lambda: lines._lines.empty())
    lines.emit(record("later"))
    lines.stop()
    text = stream.getvalue()
    assert "WARNING log: 7 lines were dropped" in text
    assert text.endswith("later\n")


def test_a_closed_stderr_ends_nothing() -> None:
    stream = io.StringIO()
    lines = LogQueue(stream)
    lines.start()
    stream.close()
    lines.emit(record("nobody hears this"))
    lines.stop()
    assert not lines._thread.is_alive()


# -------------------------------------------------------------------------------------- time saver


class Disk:
    """A journal worker that keeps what it is given, or refuses."""

    def __init__(self) -> None:
        self.fails = False
        self.refusals = 0
        self.snapshots: list[tuple[SnapshotVersion, list[int] | None]] = []
        self.marked: list[Mapping[str, Any]] = []
        self.records: list[WriteRecord | ReportRefusal] = []

    def submit(self, effect: WriteRecord | ReportRefusal) -> bool:
        self.records.append(effect)
        return True

    def mark(
        self, *, snapshot: SnapshotVersion | None = None, time: Mapping[str, Any] | None = None
    ) -> object:
        if self.fails:
            self.refusals += 1
            raise StoreError("disk full")
        if snapshot is not None:
            self.snapshots.append((snapshot, None if time is None else time["current_version"]))
        if time is not None:
            self.marked.append(time)
        return None


def saver(disk: Disk, clock: VirtualClock) -> TimeSaver:
    return TimeSaver(Timekeeper(clock), disk, clock, every_s=3_600, beside={"config_digest": "d"})


def test_time_is_saved_at_once_when_something_was_learnt_and_when_it_ends() -> None:
    disk, clock = Disk(), VirtualClock()
    made = saver(disk, clock)
    made.start()
    wait_until(lambda: len(disk.marked) == 1)
    clock.advance_us(5_000 * US_PER_MS)
    made.save_soon()
    wait_until(lambda: len(disk.marked) == 2)
    clock.advance_us(1_000 * US_PER_MS)
    made.stop()
    made.stop()
    assert [marks_from_wire(mark).powered_ms for mark in disk.marked] == [0, 5_000, 6_000]
    assert {mark["config_digest"] for mark in disk.marked} == {"d"}


def test_a_snapshot_is_marked_together_with_its_proof_which_stays_until_it_is_in_use() -> None:
    disk, clock = Disk(), VirtualClock()
    keeper = Timekeeper(clock)
    made = TimeSaver(keeper, disk, clock, every_s=3_600)
    made.accept((1, 6), 1_800_000_000)
    made.start()
    wait_until(lambda: len(disk.marked) == 1)
    keeper.confirm_current((1, 6))
    made.accept((1, 7), 1_800_000_000)
    made.save_soon()
    wait_until(lambda: len(disk.marked) == 3)
    assert keeper.marks().current_version == (1, 6), "it is not in use yet"
    keeper.confirm_current((1, 7))
    made.stop()
    assert disk.snapshots == [((1, 6), None), ((1, 7), [1, 7])]
    assert [mark["current_version"] for mark in disk.marked] == [None, [1, 7], [1, 7], [1, 7]]


def test_what_could_not_be_saved_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_saver, "RETRY_S", 0.05)
    disk = Disk()
    disk.fails = True
    made = saver(disk, VirtualClock())
    made.start()
    wait_until(lambda: disk.refusals >= 3)
    disk.fails = False
    wait_until(lambda: disk.marked)
    made.stop()


def test_a_disk_that_refuses_is_tried_again_when_more_is_learnt() -> None:
    disk = Disk()
    disk.fails = True
    made = saver(disk, VirtualClock())
    made.start()
    wait_until(lambda: disk.refusals == 1)
    disk.fails = False
    made.save_soon()
    wait_until(lambda: disk.marked)
    made.stop()


def test_an_anchor_is_recorded_first_then_hourly_or_when_the_hubs_clock_steps() -> None:
    disk, clock = Disk(), VirtualClock()
    made = saver(disk, clock)
    wall_ms = 1_800_000_000_000
    told = [(0, 0), (60_000, 60_000), (60_000, 120_000 + ANCHOR_STEP_MS)]
    for passed_ms, ahead_ms in told:
        clock.advance_us(passed_ms * US_PER_MS)
        made.anchored(wall_ms + ahead_ms)
    assert len(disk.records) == 1, "the hub said nothing new"
    made.anchored(wall_ms + 120_000 + ANCHOR_STEP_MS + 1)
    assert len(disk.records) == 2
    clock.advance_us(ANCHOR_EVERY_MS * US_PER_MS)
    made.anchored(wall_ms + 120_000 + ANCHOR_EVERY_MS)
    assert [r.body["wall_ms"] - wall_ms for r in disk.records] == [
        0,
        120_000 + ANCHOR_STEP_MS + 1,
        120_000 + ANCHOR_EVERY_MS,
    ]
