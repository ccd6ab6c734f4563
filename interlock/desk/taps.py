"""A reader's polls go in; one card at a time comes out, each once for each time it is laid down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from interlock.clock import Clock
from interlock.readers import CardSeen, Reader, SeveralCards
from interlock.readers.opening import NamedReader, reader_for

if TYPE_CHECKING:
    from interlock.desk.settings import ReaderSettings

POLL_S = 0.05
"""20 polls a second, like a node."""
GONE_AFTER_MS = 300
"""As long as a node waits before a badge counts as removed."""
CARD_MS_MAX = 10_000
"""What an RC522 gives a card for all its answers: fifteen keys take 0.34 s on the model, slow cards ask for more."""
LOOKS_AGAIN = 6


class Taps:
    """Cards on an open `reader`; `several` is told when there is more than one."""

    def __init__(
        self, reader: Reader, clock: Clock, several: Callable[[], object] = lambda: None
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._several = several
        self._last: bytes | None = None

    def next(self, is_over: Callable[[], bool] = lambda: False) -> CardSeen | None:
        """The next card that is laid down, also the same one again; None once `is_over`.

        It can be spoken to until anything else is asked of this object.
        """
        told_several = False
        gone_ms: int | None = None
        while not is_over():
            sight = self._reader.poll()
            now_ms = self._clock.boot_ms()
            if sight is None:
                gone_ms = now_ms if gone_ms is None else gone_ms
                if now_ms - gone_ms >= GONE_AFTER_MS:
                    self._last = None
            elif isinstance(sight, SeveralCards):
                gone_ms = None
                if not told_several:
                    self._several()
                told_several = True
            elif sight.uid == self._last:
                gone_ms = None
            else:
                self._last = sight.uid
                return sight
            self._clock.sleep(POLL_S)
        return None

    def again(self, card: CardSeen) -> CardSeen | None:
        """`card` still lies there alone and can be spoken to afresh; None when it left."""
        for _look in range(LOOKS_AGAIN):
            sight = self._reader.poll()
            if isinstance(sight, CardSeen) and sight.uid == card.uid:
                return sight
            self._clock.sleep(POLL_S)
        return None


def reader_of(chosen: ReaderSettings, clock: Clock) -> NamedReader:
    """The desk's reader, not open yet; an RC522 gives cards the time it takes to write them."""
    if chosen.kind == "mfrc522":
        from interlock.readers.mfrc522 import Mfrc522Reader, spidev_opener

        opener = spidev_opener(chosen.spi_bus, chosen.spi_device)
        return Mfrc522Reader(opener, clock, attempt_ms_max=CARD_MS_MAX)
    return reader_for(chosen.kind, chosen.device, clock, id_form=chosen.id_form)
