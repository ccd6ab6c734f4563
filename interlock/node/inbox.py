"""Events from the workers in, at most a tick's worth of them out: the one queue the loop reads.

First in, first out: a badge that was removed must not overtake its own arrival. A full queue
blocks the worker that fills it, never the loop. What opens the relay or answers a start has room
of its own behind the ordinary places, so a flood of badges cannot keep a removal or a `cut_now`
waiting outside.
"""

from __future__ import annotations

import threading
from collections import deque

from interlock.core.events import (
    BadgeRemoved,
    CutRequested,
    EndRequested,
    Event,
    JournalFailed,
    ReaderFailed,
    RecordDurable,
    RecordFailed,
    SeveralBadgesSeen,
    TerminationRequested,
)

ORDINARY_PLACES = 128
"""Four ticks' worth: more waiting badges than a reader at 20 polls a second sends in six seconds.
"""

RESERVED_PLACES = 64
"""Two ticks' worth of what may not wait: removals, failures, answers about records, requests to
cut.
"""

RESERVED_EVENTS = (
    BadgeRemoved,
    SeveralBadgesSeen,
    ReaderFailed,
    RecordDurable,
    RecordFailed,
    JournalFailed,
    EndRequested,
    CutRequested,
    TerminationRequested,
)


class Inbox:
    """A bounded queue with many writers and one reader; every method but `put` returns at once or in time."""

    def __init__(
        self, ordinary_places: int = ORDINARY_PLACES, reserved_places: int = RESERVED_PLACES
    ) -> None:
        self._ordinary_places = ordinary_places
        self._all_places = ordinary_places + reserved_places
        self._events: deque[Event] = deque()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._freed = threading.Condition(self._lock)
        self._woken = False
        self._closed = False

    def put(self, event: Event, timeout_s: float | None = None) -> bool:
        """True when the loop will see `event`; waits while its kind has no room.

        False when the inbox was closed, or `timeout_s` passed first (None: wait as long as it
        takes).
        """
        places = self._all_places if isinstance(event, RESERVED_EVENTS) else self._ordinary_places
        with self._lock:
            self._freed.wait_for(
                lambda: self._closed or len(self._events) < places, timeout=timeout_s
            )
            if self._closed or len(self._events) >= places:
                return False
            self._events.append(event)
            self._arrived.notify()
            return True

    def take(self, count_max: int) -> list[Event]:
        """The oldest events, at most `count_max`; empty when nothing waits. Never blocks on a worker."""
        with self._lock:
            taken = [self._events.popleft() for _ in range(min(count_max, len(self._events)))]
            if taken:
                self._freed.notify_all()
            return taken

    def wake(self) -> None:
        """The loop looks at its inputs now instead of at the next tick (an edge on an input pin)."""
        with self._lock:
            self._woken = True
            self._arrived.notify()

    def wait(self, timeout_s: float) -> None:
        """Return as soon as an event waits or somebody woke the loop, at the latest after `timeout_s`."""
        with self._lock:
            if not self._events and not self._woken and timeout_s > 0:
                self._arrived.wait(timeout_s)
            self._woken = False

    def close(self) -> None:
        """Let every blocked worker go: nobody reads any more."""
        with self._lock:
            self._closed = True
            self._freed.notify_all()
            self._arrived.notify()

    def __len__(self) -> int:
        with self._lock:
            return len(self._events)
