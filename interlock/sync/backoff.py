"""Failures in, milliseconds to wait out: capped exponential back-off with full jitter.

Full jitter (a uniform draw below the ceiling) spreads a lab's nodes best after the hub returns; see
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015. 500 nodes come back to a hub that restarted within
3 s in at most 160 a second, half of them within 2 s; after a minute's absence in 20 a second, half within 18 s.
"""

from __future__ import annotations

from random import Random

FIRST_MS = 1_000
"""Ceiling after one failure (4-protocol.md: 1-60 s)."""

CAP_MS = 60_000
"""Ceiling after many: a hub that returns is seen by every node within a minute."""


class Backoff:
    """How long to leave a failing peer alone; owned by the one thread that calls it."""

    def __init__(self, randomness: Random, cap_ms: int = CAP_MS) -> None:
        self._randomness = randomness
        self._cap_ms = cap_ms
        self._ceiling_ms = min(FIRST_MS, cap_ms)

    def failed(self) -> int:
        """Milliseconds to wait before the next attempt; the ceiling has doubled up to the cap."""
        wait_ms = round(self._randomness.uniform(0, self._ceiling_ms))
        self._ceiling_ms = min(2 * self._ceiling_ms, self._cap_ms)
        return wait_ms

    def succeeded(self) -> None:
        """The next failure waits a second at most again."""
        self._ceiling_ms = min(FIRST_MS, self._cap_ms)
