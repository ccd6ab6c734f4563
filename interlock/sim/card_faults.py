"""Cards as people bring them: slow, half out of the field, copied, broken. A card goes in, a worse one out.

Two kinds compose. Around the *software* of a card (`card_blocks.Software`): what it computes and how
long. Around the *card* on the air (`rc522_air.AirCard`): whether a frame reaches it and what is heard
of it. Habits of the block protocol (endless S(WTX), an oversized ATS) are values of
`card_blocks.Habits` below. Everything counts from 0; randomness is brought by the caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from interlock.sim.card_blocks import ENDLESS, BlockCard, Habits, Reply, Software
from interlock.sim.card_chip import CRYPTO_US, SW_CLASS, Draw
from interlock.sim.card_crypto import AES_BYTES
from interlock.sim.card_desfire import (
    FACTORY_MASTER,
    Application,
    Desfire,
    DesfireKey,
    desfire_card,
)
from interlock.sim.cards import SAK_MIFARE_CLASSIC, Card, append_crc
from interlock.sim.rc522_air import AirCard, Bits, CardAnswer, bits_of, bytes_of

ANSWER_BYTES_MAX = 60
ATS_BYTES_MAX = 254

ENDLESS_WTX = Habits(wtx_requests=ENDLESS)
"""Asks for more time for ever."""
ENDLESS_LONG_WTX = Habits(wtx_requests=ENDLESS, wtxm=59)
"""The same, and for the longest time each: 4.6 s with the waiting time of a DESFire."""
LATE = Habits(asks_for_time=False)
"""Answers after its frame waiting time instead of asking for more."""
OVERSIZED_ATS = Habits(ats=bytes((ATS_BYTES_MAX, 0x70, 0x77, 0x81, 0x02)) + bytes(249))
"""Says what no reader of 64-byte frames can hear."""
LYING_ATS = Habits(ats=bytes((0x20, 0x75, 0x77, 0x81, 0x02, 0x80)))
"""Says another length than it has."""
EMPTY_ATS = Habits(ats=b"")
"""A CRC of nothing."""
ENDLESS_PATIENCE_ATS = Habits(ats=bytes((0x06, 0x75, 0x77, 0xFF, 0x02, 0x80)))
"""Frame waiting and guard time index 15, which the standard reserves."""


# -------------------------------------------------------------------------- around the software


@dataclass
class Slow:
    """Computes `extra_us` longer for every command."""

    software: Software
    extra_us: float

    def power_on(self) -> None:
        """As the software does."""
        self.software.power_on()

    def answer(self, command: bytes) -> Reply | None:
        """The same answer, later."""
        reply = self.software.answer(command)
        return reply and Reply(reply.content, reply.work_us + self.extra_us)


@dataclass
class WeakSupply:
    """Breaks down when it computes AES: too far from the antenna. After `collapses` times it holds.

    Each collapse throws the card back to its start, in the field; what was written stays written.
    """

    software: Software
    collapses: float = ENDLESS

    def power_on(self) -> None:
        """As the software does."""
        self.software.power_on()

    def answer(self, command: bytes) -> Reply | None:
        """None as long as the supply does not bear the load."""
        reply = self.software.answer(command)
        if reply is None or reply.work_us < CRYPTO_US or self.collapses <= 0:
            return reply
        self.collapses -= 1
        return None


@dataclass
class Garbled:
    """From command `from_command` on it answers random bytes, one at least, in sound blocks."""

    software: Software
    draw: random.Random
    from_command: int = 0
    _commands: int = 0

    def power_on(self) -> None:
        """As the software does; commands go on counting."""
        self.software.power_on()

    def answer(self, command: bytes) -> Reply | None:
        """Nonsense, when it is time."""
        reply = self.software.answer(command)
        self._commands += 1
        if reply is None or self._commands <= self.from_command:
            return reply
        return Reply(self.draw.randbytes(self.draw.randint(1, ANSWER_BYTES_MAX)), reply.work_us)


class ForeignApplet:
    """A card of ISO 7816-4 that knows none of our applications and no other class of command."""

    def power_on(self) -> None:
        """It has nothing to forget."""

    def answer(self, command: bytes) -> Reply | None:
        """Class not supported."""
        return Reply(SW_CLASS)


# ------------------------------------------------------------------------------ around the card


@dataclass
class _Around:
    """The card itself, unless a fault says otherwise."""

    card: AirCard

    def power_on(self) -> None:
        """As the card does."""
        self.card.power_on()

    def power_off(self) -> None:
        """As the card does."""
        self.card.power_off()

    def hear(self, frame: Bits) -> CardAnswer | None:
        """As the card does."""
        return self.card.hear(frame)


@dataclass
class Leaves(_Around):
    """Is taken away at its frame `at_frame`, until it is `brought_back`.

    `heard`: the frame still reached it (what it had to write is written), only its answer does not
    come; otherwise the frame was too late.
    """

    at_frame: int
    heard: bool = False
    frames: int = 0
    is_gone: bool = False

    def power_on(self) -> None:
        """Only a card that is there gets power."""
        if not self.is_gone:
            super().power_on()

    def hear(self, frame: Bits) -> CardAnswer | None:
        """Silence from the moment it leaves."""
        if self.is_gone:
            return None
        self.is_gone = self.frames == self.at_frame
        self.frames += 1
        if not self.is_gone:
            return super().hear(frame)
        if self.heard:
            super().hear(frame)
        self.power_off()
        return None

    def brought_back(self) -> None:
        """It lies in the field again, from its start, for good."""
        self.is_gone = False
        self.at_frame = -1
        self.power_on()


@dataclass
class Silent(_Around):
    """Does not hear the frames for which `is_deaf` says so, and its answers to others may be lost.

    `deaf_to(random, share)` and `deaf_at(frames)` make such rules.
    """

    is_deaf: Callable[[int], bool]
    is_lost: Callable[[int], bool] = lambda _: False
    frames: int = 0

    def hear(self, frame: Bits) -> CardAnswer | None:
        """Now and then nothing."""
        number = self.frames
        self.frames += 1
        if self.is_deaf(number):
            return None
        answer = super().hear(frame)
        return None if self.is_lost(number) else answer


@dataclass
class Babbling(_Around):
    """From its answer `from_answer` on it sends random blocks with a right CRC instead of its own."""

    draw: random.Random
    from_answer: int
    answers: int = 0

    def hear(self, frame: Bits) -> CardAnswer | None:
        """An answer when the card has one, but not that one."""
        answer = super().hear(frame)
        if answer is None:
            return None
        self.answers += 1
        if self.answers <= self.from_answer:
            return answer
        content = self.draw.randbytes(self.draw.randint(1, ANSWER_BYTES_MAX))
        return CardAnswer(bits_of(append_crc(content)), delay_us=answer.delay_us)


def deaf_at(*frames: int) -> Callable[[int], bool]:
    """True for these frames."""
    return lambda number: number in frames


def deaf_to(draw: random.Random, share: float) -> Callable[[int], bool]:
    """True for about `share` of the frames, at random."""
    return lambda _: draw.random() < share


@dataclass
class Overheard(_Around):
    """Notes every frame as bytes, parity taken off, without changing anything: for tests and traces."""

    frames: list[bytes]

    def hear(self, frame: Bits) -> CardAnswer | None:
        """As the card does."""
        bits = tuple(bit for place, bit in enumerate(frame) if place % 9 != 8)
        self.frames.append(bytes_of(bits))
        return super().hear(frame)


# --------------------------------------------------------------------------------------- copies


def copy_with_other_keys(uid: bytes, draw: Draw, original: Application) -> BlockCard:
    """A DESFire of the copied `uid` whose application looks the same, with keys of the copier's own."""
    keys = tuple(DesfireKey(draw(AES_BYTES), key.kind, key.version) for key in original.keys)
    forged = Application(original.aid, keys, original.settings)
    return desfire_card(uid, draw, (FACTORY_MASTER, forged))


def copy_without_application(uid: bytes, draw: Draw) -> BlockCard:
    """A DESFire of the copied `uid`, fresh from the factory."""
    return desfire_card(uid, draw)


def copy_on_another_chip(uid: bytes) -> BlockCard:
    """A programmable card of the copied `uid` that speaks ISO 14443-4 and nothing of ours."""
    return BlockCard(uid, ForeignApplet())


def copy_of_uid_alone(uid: bytes) -> Card:
    """A "magic" card of the copied `uid` that does not speak ISO 14443-4 at all."""
    return Card(uid, sak=SAK_MIFARE_CLASSIC)


def desfire_of(card: BlockCard) -> Desfire:
    """The DESFire inside `card`, whatever was put around its software."""
    software: object = card.software
    while not isinstance(software, Desfire):
        software = getattr(software, "software", None)
        if software is None:
            raise ValueError("there is no DESFire in this card")
    return software
