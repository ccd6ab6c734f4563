"""One seam for every reader: `poll()` says which card, several cards, or none is in the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Transceive = Callable[[bytes], bytes]
"""One command to an ISO 14443-4 card, its whole answer back; raises CardError (the card) or ReaderError (the chip)."""


@dataclass(frozen=True, slots=True)
class CardSeen:
    """One card answered completely: its whole UID (4, 7 or 10 bytes), ATQA (2 bytes) and last SAK.

    `transceive` speaks to it until the reader's next `poll`, `wake` or `close`; None where the card does not
    speak ISO 14443-4 (SAK bit 6), or the reader cannot. It is no part of what was seen.
    """

    uid: bytes
    atqa: bytes
    sak: int
    transceive: Transceive | None = field(default=None, compare=False, repr=False)


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

    def wake(self, card: CardSeen) -> CardSeen | None:
        """`card` once more, after 10 ms without field; None when just this card does not answer alone.

        Raises ReaderError for a dead reader.
        """

    def close(self) -> None:
        """Field off, bus released; harmless when called again."""
