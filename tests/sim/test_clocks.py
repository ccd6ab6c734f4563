"""The virtual clock moves when told, and only then."""

from __future__ import annotations

import pytest

from interlock.clock import Clock
from interlock.sim.clocks import DEFAULT_WALL_MS, VirtualClock

pytestmark = pytest.mark.fast


def test_sleeping_advances_boot_and_wall_time_to_the_microsecond() -> None:
    virtual = VirtualClock("boot-1")
    clock: Clock = virtual
    clock.sleep(0.000_35)
    assert virtual.now_us() == 350
    assert (clock.boot_ms(), clock.wall_ms()) == (0, DEFAULT_WALL_MS)
    clock.sleep(1.5)
    assert (clock.boot_ms(), clock.wall_ms()) == (1500, DEFAULT_WALL_MS + 1500)
    assert clock.boot_id == "boot-1"


def test_setting_the_wall_leaves_boot_time_alone() -> None:
    clock = VirtualClock(wall_ms=5_000)
    clock.advance_us(2_000_000)
    clock.set_wall_ms(1_000)
    assert (clock.boot_ms(), clock.wall_ms()) == (2_000, 1_000)
    clock.advance_us(500_000)
    assert (clock.boot_ms(), clock.wall_ms()) == (2_500, 1_500)


def test_boot_time_never_goes_back() -> None:
    clock = VirtualClock()
    clock.advance_us(10)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance_us(-1)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.sleep(-1)
    assert clock.now_us() == 10


def test_a_reboot_begins_boot_time_anew_under_another_id() -> None:
    clock = VirtualClock("first", wall_ms=10_000)
    clock.advance_us(3_000_000)
    clock.reboot("second")
    assert (clock.boot_id, clock.now_us(), clock.wall_ms()) == ("second", 0, 13_000)
    clock.reboot("third", wall_ms=7)
    assert (clock.boot_id, clock.boot_ms(), clock.wall_ms()) == ("third", 0, 7)
