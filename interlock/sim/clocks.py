"""A clock that only moves when told: `sleep()` and `advance_us()` in, boot and wall time out."""

from __future__ import annotations

US_PER_MS = 1_000
US_PER_S = 1_000_000
DEFAULT_WALL_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: any fixed moment will do, as long as every run begins at the same one."""


class VirtualClock:
    """An `interlock.clock.Clock` with microsecond resolution; one thread at a time.

    Boot time and wall time advance together; the wall can be set apart, as NTP or a flat battery
    does, and `reboot()` begins boot time anew under another boot id.
    """

    def __init__(self, boot_id: str = "virtual-boot", wall_ms: int = DEFAULT_WALL_MS) -> None:
        self._boot_id = boot_id
        self._now_us = 0
        self._wall_at_zero_us = wall_ms * US_PER_MS

    @property
    def boot_id(self) -> str:
        """The id of the present boot."""
        return self._boot_id

    def boot_ms(self) -> int:
        """Whole milliseconds since the present boot."""
        return self._now_us // US_PER_MS

    def now_us(self) -> int:
        """Microseconds since the present boot: what chip models take as their time."""
        return self._now_us

    def wall_ms(self) -> int:
        """UTC milliseconds since 1970 as this clock pretends."""
        return (self._wall_at_zero_us + self._now_us) // US_PER_MS

    def sleep(self, seconds: float) -> None:
        """Time has advanced by `seconds`, rounded to a microsecond."""
        self.advance_us(round(seconds * US_PER_S))

    def advance_us(self, by_us: int) -> None:
        """Time has advanced by `by_us`. Raises ValueError below zero: boot time never goes back."""
        if by_us < 0:
            raise ValueError(f"boot time cannot go back by {-by_us} µs")
        self._now_us += by_us

    def set_wall_ms(self, wall_ms: int) -> None:
        """The wall shows `wall_ms` now, forward or back; boot time is untouched."""
        self._wall_at_zero_us = wall_ms * US_PER_MS - self._now_us

    def reboot(self, boot_id: str, wall_ms: int | None = None) -> None:
        """Boot time begins at 0 under `boot_id`; the wall goes on, or starts at `wall_ms`."""
        shown_ms = self.wall_ms() if wall_ms is None else wall_ms
        self._boot_id = boot_id
        self._now_us = 0
        self.set_wall_ms(shown_ms)
