"""Failed sign-ins go in; whether another try is allowed now comes out. Kept in memory, bounded.

Guessing is slowed for each e-mail separately, known to the hub or not, so that the answer tells nothing
about who has an account; a correct password after the pause works at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from interlock.clock import Clock

FREE_TRIES = 5
"""Somebody who mistypes notices before the sixth time."""
PAUSE_MS = 60_000
"""One try a minute is nothing for a person and hopeless for a list of passwords."""
FORGET_MS = 15 * 60_000
"""After a quarter of an hour without a failure the count begins anew."""
NAMES_MAX = 1_000
"""More names than a lab has people; beyond it the oldest are forgotten, and memory stays bounded."""


class Throttle:
    """Counts failures by name; `clock` says when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, name: str) -> int:
        """Seconds until another try is allowed; 0 means now."""
        now_ms = self._clock.boot_ms()
        with self._lock:
            count, last_ms = self._failures.get(_key(name), (0, 0))
        if count < FREE_TRIES or now_ms - last_ms >= FORGET_MS:
            return 0
        return max(0, -(-(last_ms + PAUSE_MS - now_ms) // 1_000))

    def failed(self, name: str) -> None:
        """One more failure for `name`."""
        now_ms = self._clock.boot_ms()
        with self._lock:
            count, last_ms = self._failures.pop(_key(name), (0, now_ms))
            if now_ms - last_ms >= FORGET_MS:
                count = 0
            self._failures[_key(name)] = (count + 1, now_ms)
            while len(self._failures) > NAMES_MAX:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """The right password forgets the wrong ones."""
        with self._lock:
            self._failures.pop(_key(name), None)


def _key(name: str) -> str:
    return name.strip().casefold()
