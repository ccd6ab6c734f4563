"""The person at the desk: sentences go to them, answers come back; the terminal in earnest, a script in tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Person(Protocol):
    """Who sits at the desk."""

    def hear(self, sentence: str) -> None:
        """One sentence of talk."""

    def answer(self, question: str) -> str:
        """What they typed."""

    def agrees(self, question: str) -> bool:
        """Yes or no; no unless they say so."""

    def has_pressed_enter(self) -> bool:
        """Whether they did since this was last asked; never waits."""

    def watches(self, label: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """A bar, moved by (done, total)."""
