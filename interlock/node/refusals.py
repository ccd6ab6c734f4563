"""Refusals as they happen in, the records worth writing out: a flood becomes one record a minute.

The first refusal of a badge for a reason is recorded at once. The same one again is only counted, and the
count is written once per window. A stranger can hold up a new badge every second, so only a few unknown badges
are remembered apart; the rest of a flood is one merged row per reason, which names nobody. Everything here is
bounded, so that no flood delays a valid badge or fills the disk (A7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KNOWN_APART_MAX = 256
"""Rows for badges of members: more people than pass one machine in a window."""

UNKNOWN_APART_MAX = 16
"""Rows for badges nobody knows: a visitor with a few cards is told apart, a flood is not."""

UNKNOWN_REFILL_PER_WINDOW = 1
"""While a flood goes on, one more stranger a window is recorded at once: 1,440 records a day at worst."""

Body = Mapping[str, Any]
Key = tuple[str, str | None]


@dataclass(slots=True)
class _Row:
    """Refusals of one kind in this window that were not written yet; `body` is the latest of them."""

    body: Body
    count: int
    known: bool


class RefusalTally:
    """Aggregates refusals over windows of `window_ms`; not thread-safe, no clock of its own."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._window_end_ms: int | None = None
        self._rows: dict[Key, _Row] = {}
        self._allowance = UNKNOWN_APART_MAX

    def add(self, body: Body, now_ms: int) -> list[Body]:
        """The bodies to record because of this refusal: those of an ended window, and its own if it is new."""
        due = self.due(now_ms)
        if self._window_end_ms is None:
            self._window_end_ms = now_ms + self._window_ms
        key = (str(body.get("reason")), body.get("tag"))
        row = self._rows.get(key)
        count = int(body.get("count", 1))
        if row is not None:
            row.body, row.count = body, row.count + count
            return due
        if not self._has_room(known=body.get("member") is not None):
            self._merge(body, count)
            return due
        self._rows[key] = _Row(body, 0, body.get("member") is not None)
        return [*due, body]

    def due(self, now_ms: int) -> list[Body]:
        """The counts of the window, once it has ended; a row that counted nothing is forgotten."""
        if self._window_end_ms is None or now_ms < self._window_end_ms:
            return []
        return self._close_window(now_ms)

    def rest(self) -> list[Body]:
        """Every count not yet written, for the end of the process."""
        return self._close_window(0)

    def next_due_ms(self) -> int | None:
        """When `due` will have something to say; None while nothing is counted."""
        return self._window_end_ms

    def _close_window(self, now_ms: int) -> list[Body]:
        counted = {key: row for key, row in self._rows.items() if row.count}
        bodies: list[Body] = [{**row.body, "count": row.count} for row in counted.values()]
        refilled = self._allowance + UNKNOWN_REFILL_PER_WINDOW
        self._allowance = min(UNKNOWN_APART_MAX, refilled) if counted else UNKNOWN_APART_MAX
        for row in counted.values():
            row.count = 0
        self._rows = counted
        self._window_end_ms = now_ms + self._window_ms if counted else None
        return bodies

    def _has_room(self, *, known: bool) -> bool:
        if known:
            return sum(row.known for row in self._rows.values()) < KNOWN_APART_MAX
        if self._allowance == 0:
            return False
        self._allowance -= 1
        return True

    def _merge(self, body: Body, count: int) -> None:
        reason = str(body.get("reason"))
        merged = {**body, "tag": None, "member": None, "evidence": None}
        row = self._rows.setdefault((reason, None), _Row(merged, 0, known=False))
        row.count += count
