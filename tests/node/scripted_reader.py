"""A reader that shows what a test puts into its field: the one part that is hardware."""

from __future__ import annotations

from collections.abc import Callable

from interlock.errors import ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight

ATQA = b"\x44\x00"


def card(uid: bytes = b"\x04\x11\x22\x33\x44\x55\x66") -> CardSeen:
    return CardSeen(uid, ATQA, 0x00)


class ScriptedReader:
    """Obeys the seam of `readers.Reader`: closed it cannot be polled, dead it raises and sees nothing."""

    def __init__(self) -> None:
        self.field: Sight | None = None
        self.dead = False
        self.is_open = False
        self.opened = 0
        self.polls = 0
        self.during_poll: Callable[[], object] = lambda: None

    def open(self) -> None:
        if self.dead:
            raise ReaderError("no chip answers", where="reader")
        self.is_open = True
        self.opened += 1

    def poll(self) -> Sight | None:
        assert self.is_open, "a closed reader was polled"
        self.polls += 1
        self.during_poll()
        if self.dead:
            raise ReaderError("no chip answers", where="reader")
        return self.field

    def wake(self, card: CardSeen) -> CardSeen | None:
        return card if self.poll() == card else None

    def close(self) -> None:
        self.is_open = False

    def put(self, *cards: CardSeen) -> None:
        self.field = SeveralCards() if len(cards) > 1 else cards[0] if cards else None
