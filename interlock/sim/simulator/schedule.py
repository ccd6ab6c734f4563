"""Acts and their instants in, acts in the order of time out: the run's only clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Act = Callable[[], None]

BEGUN_MS = 1_790_000_000_000
"""2026-09-21, a Monday, 14:13:20 UTC: every run begins at the same moment."""


class Schedule:
    """Virtual time in microseconds; equal instants keep the order in which they were asked for."""

    def __init__(self) -> None:
        self.now_us = 0
        self.owner = -1
        """Whom the act that is happening concerns."""
        self._order = 0
        self._waiting: list[tuple[int, int, int, Act]] = []

    def at(self, at_us: int, act: Act, owner: int = -1) -> None:
        """`act` happens at `at_us`, at once if that is past; `owner` is the machine that it concerns."""
        self._order += 1
        heapq.heappush(self._waiting, (max(at_us, self.now_us), self._order, owner, act))

    def turn(self, until_us: int) -> int | None:
        """The next act has happened and this is whom it concerned; None when nothing is left until `until_us`."""
        if not self._waiting or self._waiting[0][0] > until_us:
            self.now_us = max(self.now_us, until_us)
            return None
        self.now_us, _, self.owner, act = heapq.heappop(self._waiting)
        act()
        return self.owner
