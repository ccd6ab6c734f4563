"""How the computer under a node is, read from the kernel: its clock, its disk, its warmth."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from interlock.clock import Clock

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
"""Millidegrees Celsius of a Pi's processor (kernel: Documentation/driver-api/thermal/sysfs-api.rst)."""
MEGABYTE = 1_000_000


def vitals(clock: Clock, folder: Path) -> dict[str, int]:
    """What can be read, without what cannot; `folder` is on the disk that counts."""
    said = {"wall_ms": max(0, clock.wall_ms())}
    with contextlib.suppress(OSError):
        disk = os.statvfs(folder)
        said["disk_free_mb"] = disk.f_bavail * disk.f_frsize // MEGABYTE
        said["disk_mb"] = disk.f_blocks * disk.f_frsize // MEGABYTE
    with contextlib.suppress(OSError, ValueError):
        # Below freezing is told as freezing.
        said["temperature_dc"] = max(0, int(THERMAL.read_text(encoding="ascii")) // 100)
    return said
