"""The virtual Pi's clock: one boot each time it is switched on, time from that moment on."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.errors import ConfigError
from interlock.sim.clocks import VirtualClock
from interlock.sim.node import BOOT_FILE, PiClock, boot_id_of, switch_on

pytestmark = pytest.mark.fast


@pytest.fixture
def computer() -> VirtualClock:
    clock = VirtualClock()
    clock.sleep(10_000)
    return clock


def test_boot_time_counts_from_the_moment_of_switching_on(
    tmp_path: Path, computer: VirtualClock
) -> None:
    switch_on(tmp_path, computer)
    computer.sleep(2.5)
    first, later = PiClock(tmp_path / BOOT_FILE, computer), PiClock(tmp_path / BOOT_FILE, computer)
    assert (first.boot_ms(), later.boot_ms()) == (2_500, 2_500)


def test_every_switching_on_is_another_boot(tmp_path: Path, computer: VirtualClock) -> None:
    boot_ids = {switch_on(tmp_path, computer) for _ in range(5)}
    assert len(boot_ids) == 5
    assert boot_id_of(tmp_path) in boot_ids
    assert PiClock(tmp_path / BOOT_FILE, computer).boot_ms() == 0


def test_a_restarted_process_is_still_in_the_same_boot(
    tmp_path: Path, computer: VirtualClock
) -> None:
    boot_id = switch_on(tmp_path, computer)
    computer.sleep(60)
    assert PiClock(tmp_path / BOOT_FILE, computer).boot_id == boot_id


def test_wall_time_and_sleep_are_the_computers(tmp_path: Path, computer: VirtualClock) -> None:
    switch_on(tmp_path, computer)
    clock = PiClock(tmp_path / BOOT_FILE, computer)
    clock.sleep(1.0)
    assert clock.boot_ms() == 1_000
    assert clock.wall_ms() == computer.wall_ms()


@pytest.mark.parametrize("content", [None, "", "only-an-id", "id not-a-number", "id 5 more"])
def test_a_pi_that_was_never_switched_on_has_no_clock(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / BOOT_FILE).write_text(content)
    with pytest.raises(ConfigError, match="never switched on"):
        PiClock(tmp_path / BOOT_FILE)
