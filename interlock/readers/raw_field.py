"""Cards before a reader that sends raw frames: what lies there comes out, and a line to the one card that does.

`interlock.cards.iso14443a` says what is there, `iso14443_4` speaks to it. A card stays selected from the look that
saw it until the next, so that whoever asks it something need not select it again; every look begins by sending that
card to HALT and then wakes whatever is there with WUPA. So a card lying still is present in every look, whatever was
said to it in between; and where it is unknown how far a card was led, the field goes off instead.
"""

from __future__ import annotations

from typing import Protocol

from interlock.cards.exchange import REMEDY
from interlock.cards.iso14443_4 import ATTEMPT_MS_MAX, Link, Medium
from interlock.cards.iso14443a import (
    HLTA_SILENCE_US,
    Answer,
    Selected,
    Trouble,
    activate,
    halt_frame,
)
from interlock.clock import Clock
from interlock.errors import CardError
from interlock.readers import CardSeen, SeveralCards, Sight

US_PER_S = 1_000_000
ATTEMPTS_MAX = 2
"""Readings per poll: noise, or a card that missed WUPA, gets one more chance in the same poll."""

SAK_ISO_14443_4 = 0x20
"""The card speaks ISO 14443-4 (ISO 14443-3, 6.5.3.4)."""
SHORTEST_ANSWER_BYTES = 4
"""A block of one byte of content: when to look first for an answer of unknown length."""


class Antenna(Protocol):
    """A reader chip as far as cards notice it. Both raise ReaderError."""

    def exchange(
        self,
        frame: bytes,
        answer_bytes: int,
        *,
        last_bits: int = 0,
        wait_us: int = HLTA_SILENCE_US,
    ) -> Answer | Trouble:
        """`iso14443a.Transceive`, with a time to wait for the beginning of the answer."""

    def reset_field(self) -> None:
        """Every card lost its power and started again."""


class RawField:
    """What lies on one antenna, look by look; `attempt_ms_max` is what one card gets for all its answers."""

    def __init__(
        self, antenna: Antenna, clock: Clock, *, attempt_ms_max: int = ATTEMPT_MS_MAX
    ) -> None:
        self._antenna = antenna
        self._attempt_ms_max = attempt_ms_max
        self._medium = Medium(
            self._block, clock.boot_ms, lambda pause_us: clock.sleep(pause_us / US_PER_S)
        )
        self._was_present = False
        self._selected: _Conversation | None = None

    def look(self) -> Sight | None:
        """The card that is there, several cards, or None. Raises ReaderError."""
        self._let_go()
        sight = self._sight()
        self._was_present = sight is not None
        return sight

    def wake(self, card: CardSeen) -> CardSeen | None:
        """`card` once more, started anew; None when just this card does not answer alone."""
        self._forget()
        self._antenna.reset_field()
        self._was_present = True
        sight = self.look()
        return sight if isinstance(sight, CardSeen) and sight == card else None

    def leave(self) -> None:
        """Nothing is known of any card; a line to one is dead."""
        self._forget()
        self._was_present = False

    def _sight(self) -> Sight | None:
        collisions = 0
        for attempt in range(1, ATTEMPTS_MAX + 1):
            outcome = activate(self._antenna.exchange)
            is_last = attempt == ATTEMPTS_MAX
            if outcome is Trouble.SILENCE and (is_last or not self._was_present):
                return None
            if isinstance(outcome, Selected):
                return self._seen(outcome)
            # Wherever the cards were led, HLTA takes them to a state that answers WUPA; so too a
            # card that lay here a moment ago, whose answer to WUPA was lost.
            self._antenna.exchange(halt_frame(), 0)
            collisions += outcome is Trouble.COLLISION
        # One collision may be noise over the answer of a single card; two cards collide every time.
        return SeveralCards() if collisions == ATTEMPTS_MAX else None

    def _seen(self, selected: Selected) -> CardSeen:
        self._selected = _Conversation(Link(self._medium, attempt_ms_max=self._attempt_ms_max))
        speaks = selected.sak & SAK_ISO_14443_4
        transceive = self._selected.transceive if speaks else None
        return CardSeen(selected.uid, selected.atqa, selected.sak, transceive)

    def _let_go(self) -> None:
        """The card of the last poll is where WUPA wakes it, however far it was led."""
        conversation = self._forget()
        if conversation is None:
            return
        if not conversation.has_begun:
            self._antenna.exchange(halt_frame(), 0)
        elif not conversation.ended():
            self._antenna.reset_field()

    def _forget(self) -> _Conversation | None:
        """What was said to the selected card, which nobody can go on with."""
        conversation, self._selected = self._selected, None
        if conversation is not None:
            conversation.is_over = True
        return conversation

    def _block(self, frame: bytes, wait_us: int) -> Answer | Trouble:
        return self._antenna.exchange(frame, SHORTEST_ANSWER_BYTES, wait_us=wait_us)


class _Conversation:
    """What is said to one selected card, from its first command until the reader moves on."""

    def __init__(self, link: Link) -> None:
        self.has_begun = False
        self.is_over = False
        self._link = link
        self._is_sound = True

    def transceive(self, command: bytes) -> bytes:
        """`readers.Transceive`: one command and its whole answer."""
        if self.is_over or not self._is_sound:
            what = "the reader has moved on" if self.is_over else "it failed before"
            raise CardError(what, where="card", remedy=REMEDY)
        self.has_begun = True
        self._is_sound = False
        answer = self._link.transceive(command)
        self._is_sound = True
        return answer

    def ended(self) -> bool:
        """Whether the card confirmed that it is in HALT."""
        return self._is_sound and self._link.deselect()
