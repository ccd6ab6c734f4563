"""An address and a machine go in; whether another report may come from there comes out. In memory, bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from interlock.clock import Clock
from interlock.hub.pages.throttle import household_of

WINDOW_MS = 10 * 60_000
PER_MACHINE_MAX = 3
"""Three reports about one machine in ten minutes are a conversation: somebody should be called."""
PER_ADDRESS_MAX = 10
"""A class behind one address, each at another machine."""
ADDRESSES_MAX = 5_000
"""Beyond that the ones heard of longest ago are forgotten; the machine's own limit stays
(domain.problems.PER_HOUR_MAX)."""


class Rates:
    """Counts reports by address, and by address and machine. Any thread may call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, int], deque[int]] = OrderedDict()

    def admit(self, address: str, machine: int) -> bool:
        """Whether this report may come; it is counted when it may."""
        now_ms = self._clock.boot_ms()
        home = household_of(address)
        limits = {(home, machine): PER_MACHINE_MAX, (home, 0): PER_ADDRESS_MAX}
        with self._lock:
            counted = {key: self._recent(key, now_ms) for key in limits}
            if any(len(counted[key]) >= most for key, most in limits.items()):
                return False
            for key, times in counted.items():
                times.append(now_ms)
                self._seen.move_to_end(key)
            while len(self._seen) > ADDRESSES_MAX:
                self._seen.popitem(last=False)
        return True

    def _recent(self, key: tuple[str, int], now_ms: int) -> deque[int]:
        times = self._seen.setdefault(key, deque())
        while times and now_ms - times[0] >= WINDOW_MS:
            times.popleft()
        return times
