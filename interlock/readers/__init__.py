"""One seam for every reader: `poll()` says which card, several cards, or none is in the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CardSeen:
    """One card answered completely: its whole UID (4, 7 or 10 bytes), ATQA (2 bytes) and last SAK."""

    uid: bytes
    atqa: bytes
    sak: int


@dataclass(frozen=True, slots=True)
class SeveralCards:
    """More than one card is in the field ("one badge at a time"); never a guess which one counts."""


Sight = CardSeen | SeveralCards


class Reader(Protocol):
    """A badge reader, polled by one thread; owns its bus from `open()` until `close()`."""

    def open(self) -> None:
        """Reset and configure the chip. Raises ReaderError when there is no healthy reader."""

    def poll(self) -> Sight | None:
        """What lies in the field now; None for an empty field. Raises ReaderError for a dead reader."""

    def close(self) -> None:
        """Field off, bus released; harmless when called again."""
