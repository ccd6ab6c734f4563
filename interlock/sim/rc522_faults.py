"""What can go wrong around the chip: a frame number goes in, a spoiled frame or answer out.

Faults of the air are objects in `Rc522.air.faults`; faults of the wire from the chip are functions
set as `Rc522.miso`. They compose, and all of them count in frames and bits, never at random: the
caller brings the randomness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from interlock.sim.rc522_air import COLLISION, Air, AirCard, Bits, CardAnswer, Heard

Miso = Callable[[list[int]], list[int]]
"""What arrives at the host instead of the bytes the chip drove."""
LONG_AGO_US = -1e9
"""A card laid down then has long powered up."""


def miso_healthy(driven: list[int]) -> list[int]:
    """The host reads what the chip drives."""
    return driven


def miso_stuck_low(driven: list[int]) -> list[int]:
    """The wire is shorted to ground, or the chip has no power."""
    return [0x00] * len(driven)


def miso_stuck_high(driven: list[int]) -> list[int]:
    """The wire is open and pulled up."""
    return [0xFF] * len(driven)


class _NoFault:
    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """The cards hear `frame`."""
        return frame

    def spoil_answer(self, number: int, heard: Heard, air: Air) -> Heard:
        """The chip hears what the cards sent."""
        return heard


@dataclass
class CardsRemoved(_NoFault):
    """Every card (or only `card`) is taken away just before the chip's frame `at_frame`."""

    at_frame: int
    card: AirCard | None = None

    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """From `at_frame` on, nobody hears anything."""
        if number == self.at_frame:
            for card in air.cards:
                if self.card in (None, card):
                    air.remove(card)
        return frame


@dataclass
class CardArrives(_NoFault):
    """`card` is laid down, already powered up, just before the chip's frame `at_frame`."""

    at_frame: int
    card: AirCard

    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """From `at_frame` on, one card more listens."""
        if number == self.at_frame:
            air.place(self.card, LONG_AGO_US)
        return frame


@dataclass
class BitsFlipped(_NoFault):
    """Bits of frames and answers arrive inverted; places count parity bits too, from 0.

    `in_frames` and `in_answers` map the chip's frame number to the places that are inverted; a
    place beyond the end is nothing.
    """

    in_frames: dict[int, frozenset[int]] = field(default_factory=dict)
    in_answers: dict[int, frozenset[int]] = field(default_factory=dict)

    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """The cards hear some bits inverted."""
        places = self.in_frames.get(number, frozenset())
        return tuple(bit ^ (index in places) for index, bit in enumerate(frame))

    def spoil_answer(self, number: int, heard: Heard, air: Air) -> Heard:
        """The chip hears some bits inverted; a collision stays one."""
        places = self.in_answers.get(number, frozenset())
        return tuple(
            COLLISION if bit is None else bit ^ (index in places) for index, bit in enumerate(heard)
        )


@dataclass
class AnswersLost(_NoFault):
    """The answers to these frames are too faint to be heard, although the cards sent them."""

    frames: frozenset[int]

    def spoil_answer(self, number: int, heard: Heard, air: Air) -> Heard:
        """Silence."""
        return () if number in self.frames else heard


@dataclass(frozen=True, slots=True)
class _RawAnswer(CardAnswer):
    """Bits that go on the air as they are, right parity or not."""

    def on_air(self) -> Bits:
        """The bits themselves."""
        return self.bits


@dataclass
class Noise:
    """Lies in the field like a card and answers its n-th frame heard with `answers[n]`, raw bits.

    Alone it is interference in an empty field; beside a card its bits are superposed with the
    card's.
    """

    answers: dict[int, Bits]
    _heard: int = 0

    def power_on(self) -> None:
        """Noise needs no power."""

    def power_off(self) -> None:
        """Noise has no state to lose."""

    def hear(self, frame: Bits) -> CardAnswer | None:
        """The bits for this frame, or silence."""
        bits = self.answers.get(self._heard, ())
        self._heard += 1
        return _RawAnswer(bits) if bits else None


@dataclass
class WeakField(_NoFault):
    """The field carries a card only for `frames_carried` frames in a row, then the card resets.

    Counts the frames the cards hear; a reset card forgets that it was selected and starts in IDLE.
    """

    frames_carried: int
    _carried: int = 0

    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """Every card browns out when its reserve is used up, and misses that frame."""
        self._carried += 1
        if self._carried <= self.frames_carried:
            return frame
        self._carried = 0
        for card in air.cards:
            card.power_off()
            card.power_on()
        return ()
