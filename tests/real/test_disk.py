"""A disk that is full, fails or stands still in; nobody starts, whoever works ends normally, nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from tests.real.accounts import check_books, check_use, uses_of
from tests.real.disks import DYING, FAILING, FULL, broken_disk, injected, needs_strace, stalled
from tests.real.lab import NODE, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STOP_US_MAX = 1_500_000
"""The loop's own bound is a tick of 20 ms; here strace stops every system call of it on a busy computer.
The stalled disk takes more than twice as long, so a loop that waits for it is seen."""

STALL_S = 4.0


def journal_of(lab: Lab) -> Path:
    return lab.folder.state / "journal.db"


def agrees(lab: Lab) -> list[str]:
    """World and journal agree; how the sessions ended that had power."""
    lab.last_word()
    uses = uses_of(lab.journal(), lab.boots)
    check_use(lab, uses)
    return [str(use.ended["how"]) for use in uses if not use.voided]


def starts_nobody(lab: Lab) -> None:
    closings = len(lab.spans("relay"))
    lab.tap()
    lab.shows("CANNOT_RECORD")
    lab.leave_empty()
    assert len(lab.spans("relay")) == closings


def starts_somebody(lab: Lab) -> None:
    wait_until(lambda: lab.status()["journal"]["state"] == "ok", 15, "a journal that writes again")
    wait_until(lambda: lab.panel()["message"] == "ready", 15, "a panel that says so")
    lab.tap_on()
    lab.tap_off()


@needs_strace
@pytest.mark.parametrize("how", [FULL, FAILING, DYING], ids=["full", "flush fails", "dying"])
def test_with_a_broken_disk_nobody_starts_and_the_screen_says_why(machine: Lab, how: str) -> None:
    """The same badge starts a session before and after: it was the disk."""
    starts_somebody(machine)
    with broken_disk(machine.pid(NODE), journal_of(machine), how) as trace:
        starts_nobody(machine)
        starts_nobody(machine)
        assert injected(trace) > 0
    starts_somebody(machine)
    assert agrees(machine) == ["tap_off"] * 2


@needs_strace
@pytest.mark.parametrize("how", [FULL, DYING], ids=["full", "dying"])
def test_a_running_session_ends_at_once_on_a_broken_disk_and_its_end_is_recorded_later(
    lab: Lab, how: str
) -> None:
    """While the disk is broken the end is not on it: so it really was broken."""
    lab.tap_on()
    lab.work(1_200)
    before = len(lab.journal())
    with broken_disk(lab.pid(NODE), journal_of(lab), how) as trace:
        wait_until(lambda: injected(trace) > 0, 10, "a progress record that fails")
        pushed_us = lab.push("stop")
        assert lab.relay_off_after(pushed_us) <= STOP_US_MAX
        assert lab.status()["journal"]["head"]["seq"] <= before + 2
        assert lab.status()["session_open"] is False
    (use,) = check_books(lab)
    assert (use.ended["how"], use.ended["estimated"]) == ("stop_button", False)


@needs_strace
def test_a_stalled_disk_delays_no_stop_and_starts_nobody(lab: Lab) -> None:
    """Each flush takes four seconds, as the trace shows, and the stop is pushed in the middle of one."""
    lab.tap_on()
    lab.work(300)
    clock = SystemClock()
    with broken_disk(lab.pid(NODE), journal_of(lab), stalled(STALL_S)) as trace:
        wait_until(lambda: injected(trace) > 0 or in_flush(trace), 10, "a flush that hangs")
        began_ms = clock.boot_ms()
        pushed_us = lab.push("stop")
        assert lab.relay_off_after(pushed_us) <= STOP_US_MAX
        starts_nobody(lab)
        assert clock.boot_ms() - began_ms < 10 * STALL_S * 1_000
        assert len(lab.sessions()) <= 1
        wait_until(lambda: injected(trace) > 0, 15, "a flush that was slow")
    (use, *refused) = check_books(lab)
    assert use.ended["how"] == "stop_button"
    assert all(one.voided for one in refused)
    starts_somebody(lab)


def in_flush(trace: Path) -> bool:
    return trace.exists() and "sync(" in trace.read_text()


@pytest.fixture
def small_disk(template: Path) -> Iterator[Lab]:
    """A machine whose state lies on a tmpfs of one megabyte."""
    with lab_from(template) as lab:
        state = lab.folder.state
        kept = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state)], check=True)
        try:
            for name, content in kept.items():
                (state / name).write_bytes(content)
            lab.start(hub=False, sync=False)
            lab.locked()
            yield lab
            lab.end()
        finally:
            subprocess.run(["umount", "-l", str(state)], check=True)


@pytest.mark.root
def test_on_a_file_system_without_a_free_byte_nobody_starts_and_a_running_session_ends(
    small_disk: Lab,
) -> None:
    """No injection: a tmpfs, filled to the last byte and emptied again, before and after which the badge works."""
    starts_somebody(small_disk)
    small_disk.tap_on()
    ballast = small_disk.folder.state / "ballast"
    fill(ballast)
    wait_until(lambda: small_disk.status()["journal"]["state"] != "ok", 10, "a full disk noticed")
    assert small_disk.relay_off_after(small_disk.push("stop")) <= STOP_US_MAX
    starts_nobody(small_disk)
    ballast.unlink()
    starts_somebody(small_disk)
    assert agrees(small_disk) == ["tap_off", "stop_button", "tap_off"]


def fill(path: Path) -> None:
    """Not one more byte fits on the file system of `path`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    os.write(descriptor, bytes(size))
            except OSError:
                continue
    finally:
        os.close(descriptor)
