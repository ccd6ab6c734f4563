"""A committed change in this process to whoever waits for one: a wake-up, never the change itself.

What changed is read from the change log; other processes' changes are seen by polling (watch.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import transaction

_listeners: set[Callable[[], None]] = set()
_registry = threading.Lock()


def listen(wake: Callable[[], None]) -> Callable[[], None]:
    """`wake` is called after every change of this process; returns the function that ends it."""
    with _registry:
        _listeners.add(wake)

    def stop() -> None:
        with _registry:
            _listeners.discard(wake)

    return stop


def hint_on_commit() -> None:
    """Listeners wake when the current transaction commits, never when it rolls back."""
    transaction.on_commit(_wake_all)


def _wake_all() -> None:
    with _registry:
        listeners = tuple(_listeners)
    for wake in listeners:
        wake()
