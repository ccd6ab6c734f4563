"""The two clocks: monotonic milliseconds of this boot, and wall milliseconds that may be wrong.

A Pi has no battery clock: it can boot in the past and jump by months when NTP answers. Durations
come from CLOCK_BOOTTIME and the boot id, never from wall time (1-architecture.md, "Two clocks").
This file owns `time`; everything else takes a `Clock`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the rest of the system knows of time. Implementations: `SystemClock`, `sim.clocks`."""

    @property
    def boot_id(self) -> str:
        """The kernel's random id of this boot; another value means monotonic time began anew."""

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspend included; never goes back within one boot id."""

    def wall_ms(self) -> int:
        """UTC milliseconds since 1970 as the system believes it; may be wrong and may jump."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock have passed."""


class SystemClock:
    """The clocks of the kernel: CLOCK_BOOTTIME and CLOCK_REALTIME."""

    def __init__(self, boot_id_file: Path = BOOT_ID_FILE) -> None:
        self._boot_id = boot_id_file.read_text(encoding="ascii").strip()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def boot_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def perf_us() -> int:
    """Microseconds of a steady clock, for measuring how long something took; no meaning otherwise."""
    return time.perf_counter_ns() // 1_000
