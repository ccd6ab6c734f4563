"""Waiting in a test: a condition and a deadline go in, its first true value comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from interlock.clock import SystemClock

T = TypeVar("T")

POLL_S = 0.01
SLACK = 4
"""Deadlines are meant for a computer of one's own; tests share theirs with each other."""


def wait_until(condition: Callable[[], T | None], deadline_s: float = 5.0, what: str = "") -> T:
    """Return the first truthy value of `condition()`; raise AssertionError after `deadline_s` (times SLACK).

    The only wait a test may use: it ends as soon as the thing is true, and fails with words.
    """
    clock = SystemClock()
    end_ms = clock.boot_ms() + int(deadline_s * SLACK * 1000)
    while True:
        value = condition()
        if value:
            return value
        if clock.boot_ms() >= end_ms:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(
                f"{name} was not true within {deadline_s * SLACK} s (last: {value!r})"
            )
        clock.sleep(POLL_S)
