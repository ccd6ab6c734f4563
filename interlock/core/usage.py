"""How long a session was enabled, busy and idle: milliseconds in, totals out."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Meter:
    """Totals of one session up to `at_ms`; what is neither busy nor idle is unknown (no current sensor)."""

    at_ms: int
    enabled_ms: int = 0
    busy_ms: int = 0
    idle_ms: int = 0

    def advance(self, now_ms: int, busy: bool | None) -> Meter:
        """The totals at `now_ms`, the machine having been `busy` (None: unknown) since `at_ms`."""
        passed_ms = max(0, now_ms - self.at_ms)
        return replace(
            self,
            at_ms=max(now_ms, self.at_ms),
            enabled_ms=self.enabled_ms + passed_ms,
            busy_ms=self.busy_ms + (passed_ms if busy is True else 0),
            idle_ms=self.idle_ms + (passed_ms if busy is False else 0),
        )

    def totals(self) -> dict[str, int]:
        """The three totals as they stand in records."""
        return {
            "enabled_ms": self.enabled_ms,
            "busy_ms": self.busy_ms,
            "idle_ms": self.idle_ms,
        }
