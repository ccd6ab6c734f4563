"""One thing that waits for somebody: what the list "To do" is made of (todo.py), and who adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from interlock.hub.pages.access import Viewer


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing to do: how urgent it looks (a state of parts.css), its icon, what it is, where it is done."""

    state: str
    icon: str
    words: str
    address: str


Source = Callable[[Viewer], Iterable[Waiting]]
"""What a room adds to the list: only what this viewer may look at and do something about, with a number of
queries that does not grow with the lab. Many things of one kind are one line with their number."""
