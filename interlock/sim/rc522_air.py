"""The air between chip and cards: the bits of one frame go in, what all cards answer at once out.

ISO 14443-2/-3 type A at 106 kbit/s. A frame is a start bit, bytes least significant bit first with
an odd parity bit after each whole byte, and an end; during the anticollision all cards answer in the
same bit times, so the antenna hears their superposition and a bit on which they differ is a
collision. A card of ISO 14443-4 answers when it has computed, and is deaf until it has answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

CARRIER_MHZ = 13.56
BIT_US = 128 / CARRIER_MHZ
"""One bit lasts 128 carrier cycles: 9.44 µs."""
FRAMING_BITS = 2
"""Start and end of a frame take a bit time each."""
DELAY_AFTER_1_US = (9 * 128 + 84) / CARRIER_MHZ
"""Frame delay time when the last bit sent was 1: 91.15 µs (ISO 14443-3, 6.2.1.1)."""
DELAY_AFTER_0_US = (9 * 128 + 20) / CARRIER_MHZ
"""The same after a 0: 86.43 µs."""
POWER_UP_US = 5_000
"""A card must listen at the latest so long after the field reaches it (ISO 14443-3, 5.2.1)."""
ROUNDING_US = 0.5
"""A frame may begin as its forerunner's answer ends; the two instants are sums of floats in different
order, and no gap of ISO 14443-3 is as short as this."""
NEVER_BUSY_US = float("-inf")
BYTE_BITS = 8

Bits = tuple[int, ...]
COLLISION = None
QUIET = -1
"""A bit time in which a card has not begun yet."""
Heard = tuple[int | None, ...]
"""Bits on the air as the antenna hears them; None where cards contradicted each other."""


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """The data bits a card sends. `align`: bits of the first byte that the reader sent itself.

    `delay_us` is what the card takes beyond the frame delay time (ISO 14443-4: anything up to FWT);
    for `guard_us` after its answer it cannot hear yet (ISO 14443-4, 5.2.5: SFGT).
    """

    bits: Bits
    align: int = 0
    delay_us: float = 0.0
    guard_us: float = 0.0

    def on_air(self) -> Bits:
        """These bits with their parity bits."""
        return with_parity(self.bits, self.align)


class AirCard(Protocol):
    """What the air knows of a card."""

    def hear(self, frame: Bits) -> CardAnswer | None:
        """The answer to a frame from the reader (parity bits included), or silence."""

    def power_on(self) -> None:
        """The field reached the card: it starts in IDLE."""

    def power_off(self) -> None:
        """The field is gone: the card forgot everything volatile."""


class AirFault(Protocol):
    """Something wrong between chip and cards; `number` counts the chip's frames from 0."""

    def spoil_frame(self, number: int, frame: Bits, air: Air) -> Bits:
        """What the cards hear instead of `frame`."""

    def spoil_answer(self, number: int, heard: Heard, air: Air) -> Heard:
        """What the chip hears instead of `heard` (empty: silence). May be asked more than once."""


@dataclass
class _Presence:
    card: AirCard
    listens_at_us: float
    busy_until_us: float = NEVER_BUSY_US
    """It computes, sends, or guards its start: half duplex, it hears nothing meanwhile."""


@dataclass(frozen=True, slots=True)
class Sounding:
    """What one card sends, `late_bits` bit times after the first card began."""

    card: AirCard
    bits: Bits
    late_bits: int = 0


@dataclass
class Reception:
    """The answers to one frame, and when the first of them began."""

    number: int
    starts_at_us: float
    answers: list[Sounding]

    def ends_at_us(self) -> float:
        """When the last answer is over."""
        longest = max(one.late_bits + len(one.bits) for one in self.answers)
        return self.starts_at_us + duration_us(longest)


@dataclass
class Air:
    """The field of one antenna and the cards in it."""

    is_on: bool = False
    faults: list[AirFault] = field(default_factory=list)
    frames: int = 0
    _present: list[_Presence] = field(default_factory=list)

    @property
    def cards(self) -> tuple[AirCard, ...]:
        """The cards that lie in the field, in the order they came."""
        return tuple(one.card for one in self._present)

    def place(self, card: AirCard, now_us: float) -> None:
        """`card` lies in the field; it listens after its power-up time. Twice is once."""
        if card not in self.cards:
            self._present.append(_Presence(card, now_us + POWER_UP_US))
            if self.is_on:
                card.power_on()

    def remove(self, card: AirCard) -> None:
        """`card` is gone, without power; harmless when it was not there."""
        for one in [one for one in self._present if one.card is card]:
            self._present.remove(one)
            card.power_off()

    def switch(self, on: bool, now_us: float) -> None:
        """The carrier is on or off; without it every card resets."""
        if on == self.is_on:
            return
        self.is_on = on
        for one in self._present:
            one.listens_at_us = now_us + POWER_UP_US
            one.busy_until_us = NEVER_BUSY_US
            if on:
                one.card.power_on()
            else:
                one.card.power_off()

    def send(self, frame: Bits, ended_at_us: float) -> Reception | None:
        """Every card that listens has heard `frame`; what they answer, or None for silence."""
        number = self.frames
        self.frames += 1
        for fault in self.faults:
            frame = fault.spoil_frame(number, frame, self)
        if not self.is_on or not frame:
            return None
        spoken = list(self._spoken(frame, ended_at_us))
        if not spoken:
            return None
        starts_at_us = min(at_us for at_us, _, _ in spoken)
        answers = [
            Sounding(card, bits, round((at_us - starts_at_us) / BIT_US))
            for at_us, card, bits in spoken
        ]
        # The chip is content with the first frame it hears: what begins after that is lost.
        first = next(one for one in answers if one.late_bits == 0)
        overlapping = [one for one in answers if one.late_bits <= len(first.bits) + FRAMING_BITS]
        reception = Reception(number, starts_at_us, overlapping)
        return reception if self.heard(reception) else None

    def _spoken(self, frame: Bits, ended_at_us: float) -> Iterator[tuple[float, AirCard, Bits]]:
        """When each card that hears `frame` begins to answer, and with which bits."""
        began_us = ended_at_us - duration_us(len(frame))
        delay_us = DELAY_AFTER_1_US if frame[-1] else DELAY_AFTER_0_US
        for one in list(self._present):
            if one.listens_at_us > ended_at_us or one.busy_until_us > began_us + ROUNDING_US:
                continue
            answer = one.card.hear(frame)
            if answer is not None:
                bits = answer.on_air()
                starts_us = ended_at_us + delay_us + answer.delay_us
                one.busy_until_us = starts_us + duration_us(len(bits)) + answer.guard_us
                yield starts_us, one.card, bits

    def cut_answer(self, reception: Reception, card: AirCard, now_us: float) -> None:
        """`card` left while it answered: only the bits already sent were heard."""
        sent = int((now_us - reception.starts_at_us) / BIT_US) - 1
        reception.answers = [
            replace(one, bits=one.bits[: max(0, sent - one.late_bits)]) if one.card is card else one
            for one in reception.answers
        ]

    def heard(self, reception: Reception) -> Heard:
        """The superposition of all answers, after whatever `faults` do to it."""
        heard = superposed([(QUIET,) * one.late_bits + one.bits for one in reception.answers])
        for fault in self.faults:
            heard = fault.spoil_answer(reception.number, heard, self)
        return heard


def duration_us(bits: int) -> float:
    """How long a frame of `bits` (parity included) occupies the air."""
    return (bits + FRAMING_BITS) * BIT_US


def bits_of(content: bytes | Sequence[int]) -> Bits:
    """The bits of whole bytes in the order they are sent."""
    return tuple(byte >> place & 1 for byte in content for place in range(BYTE_BITS))


def bytes_of(bits: Iterable[int]) -> bytes:
    """Bytes from bits, least significant first; the last byte is filled up with zeros."""
    content = bytearray()
    for index, bit in enumerate(bits):
        if index % BYTE_BITS == 0:
            content.append(0)
        content[-1] |= bit << index % BYTE_BITS
    return bytes(content)


def odd_parity(bits: Sequence[int]) -> int:
    """The bit that makes the number of ones odd."""
    return (sum(bits) + 1) % 2


def with_parity(bits: Bits, align: int = 0) -> Bits:
    """`bits` with a parity bit at each byte's end; the first byte already has `align` bits."""
    out: list[int] = []
    byte: list[int] = []
    for bit in bits:
        out.append(bit)
        byte.append(bit)
        if (len(byte) + align) % BYTE_BITS == 0:
            out.append(odd_parity(byte))
            byte, align = [], 0
    return tuple(out)


def superposed(answers: Sequence[Sequence[int]]) -> Heard:
    """What one antenna hears of `answers`; a card that is QUIET or at its end adds nothing."""
    heard: list[int | None] = []
    for index in range(max((len(bits) for bits in answers), default=0)):
        values = {bits[index] for bits in answers if index < len(bits)} - {QUIET}
        heard.append(values.pop() if len(values) == 1 else COLLISION)
    return tuple(heard)
