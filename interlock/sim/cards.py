"""Cards at bit level: a frame from the reader goes in, the card's answer (or its silence) out.

The states and transitions of ISO/IEC 14443-3:2018, 6.3, written apart from `interlock.cards` (its
own CRC included), so that an error in one is not an error in both. READY and ACTIVE remember with
a star whether they were reached from HALT: an unexpected frame leads back to where the card came
from. ISO 14443-4 (RATS, PROTOCOL) is entered through `_answer_when_active` by cards that speak it
(`card_blocks`); in PROTOCOL nothing but a block of that standard is heard any more.
"""

from __future__ import annotations

import random
from enum import Enum, auto

from interlock.sim.rc522_air import (
    BYTE_BITS,
    Bits,
    CardAnswer,
    bits_of,
    bytes_of,
    odd_parity,
)

SHORT_FRAME_BITS = 7
REQA = 0x26
WUPA = 0x52
HALT_FRAME = b"\x50\x00"
SELECT_CODES = (0x93, 0x95, 0x97)
CASCADE_TAG = b"\x88"
SAK_GOES_ON = 0x04
NVB_SELECT = 0x70
SEL_AND_NVB_BITS = 16
LEVEL_BITS = 40
"""A cascade level on the air: four UID bytes and their check byte."""

ATQA_OF_UID_SIZE = {4: b"\x04\x00", 7: b"\x44\x00", 10: b"\x84\x00"}
"""ATQA as sent: bit frame anticollision allowed, UID size in bits 7 and 8 (6.5.2.1)."""
SAK_MIFARE_CLASSIC = 0x08
SAK_ISO_14443_4 = 0x20
SAK_TYPE_2 = 0x00
SAK_OF_UID_SIZE = {4: SAK_MIFARE_CLASSIC, 7: SAK_ISO_14443_4, 10: SAK_ISO_14443_4}


class CardState(Enum):
    """Where in ISO 14443-3 a card is."""

    POWER_OFF = auto()
    IDLE = auto()
    READY = auto()
    ACTIVE = auto()
    HALT = auto()
    PROTOCOL = auto()


class Card:
    """A type A card with a fixed UID of 4, 7 or 10 bytes.

    Raises ValueError for another length. `atqa` is in the order it is sent, low byte first.
    """

    def __init__(self, uid: bytes, *, atqa: bytes | None = None, sak: int | None = None) -> None:
        if len(uid) not in ATQA_OF_UID_SIZE:
            raise ValueError(f"a UID has 4, 7 or 10 bytes, not {len(uid)}")
        self.uid = uid
        self.atqa = ATQA_OF_UID_SIZE[len(uid)] if atqa is None else atqa
        self.sak = SAK_OF_UID_SIZE[len(uid)] if sak is None else sak
        self.state = CardState.POWER_OFF
        self.has_star = False
        self._level = 0

    def __repr__(self) -> str:
        star = "*" if self.has_star else ""
        return f"{type(self).__name__}({self.uid.hex()}, {self.state.name}{star})"

    def power_on(self) -> None:
        """The card is in IDLE."""
        self.state = CardState.IDLE
        self.has_star = False
        self._level = 0

    def power_off(self) -> None:
        """The card is without power and hears nothing."""
        self.state = CardState.POWER_OFF

    def hear(self, frame: Bits) -> CardAnswer | None:
        """The answer to `frame` (parity bits included); None for silence."""
        if self.state is CardState.POWER_OFF:
            return None
        if len(frame) == SHORT_FRAME_BITS:
            return self._hear_short(bytes_of(frame)[0])
        bits = without_parity(frame)
        if self.state is CardState.READY and bits is not None:
            return self._hear_selection(bits)
        if self.state is CardState.ACTIVE and bits is not None and len(bits) % BYTE_BITS == 0:
            return self._hear_active(bytes_of(bits))
        if self.state is CardState.PROTOCOL:
            return self._hear_protocol(bits)
        return self._fall_back()

    def _answer_when_active(self, command: bytes) -> CardAnswer | None:
        """What a selected card of this kind answers; None sends it back where it came from."""
        return None

    def _answer_to_block(self, block: bytes) -> CardAnswer | None:
        """What a card in PROTOCOL answers to a whole block, without its CRC; None for silence."""
        return None

    def _hear_protocol(self, bits: Bits | None) -> CardAnswer | None:
        """A damaged block is no block: the card stays and is silent (ISO 14443-4, 7.5.6)."""
        if bits is None or len(bits) % BYTE_BITS or not has_crc(bytes_of(bits)):
            return None
        return self._answer_to_block(bytes_of(bits)[:-2])

    def _hear_short(self, command: int) -> CardAnswer | None:
        wakes = {CardState.IDLE: (REQA, WUPA), CardState.HALT: (WUPA,)}
        if command not in wakes.get(self.state, ()):
            return self._fall_back()
        self.has_star = self.state is CardState.HALT
        self.state = CardState.READY
        self._level = 0
        return CardAnswer(bits_of(self.atqa))

    def _hear_selection(self, bits: Bits) -> CardAnswer | None:
        """ANTICOLLISION or SELECT of the level this card is at, or fall back."""
        levels = cascade_levels(self.uid)
        mine = bits_of(levels[self._level])
        if len(bits) < SEL_AND_NVB_BITS:
            return self._fall_back()
        code, valid = bytes_of(bits[:SEL_AND_NVB_BITS])
        known = bits[SEL_AND_NVB_BITS:]
        if code != SELECT_CODES[self._level]:
            return self._fall_back()
        if valid == NVB_SELECT:
            return self._hear_select(bytes_of(bits), mine, len(levels))
        if _bits_claimed(valid) != len(bits) or known != mine[: len(known)]:
            return self._fall_back()
        return CardAnswer(mine[len(known) :], align=len(known) % BYTE_BITS)

    def _hear_select(self, command: bytes, mine: Bits, levels: int) -> CardAnswer | None:
        intact = has_crc(command) and len(command) == 9
        if not intact or bits_of(command[2:7]) != mine:
            return self._fall_back()
        if self._level + 1 < levels:
            self._level += 1
            return CardAnswer(bits_of(append_crc(bytes((SAK_GOES_ON,)))))
        self.state = CardState.ACTIVE
        return CardAnswer(bits_of(append_crc(bytes((self.sak,)))))

    def _hear_active(self, command: bytes) -> CardAnswer | None:
        if not has_crc(command):
            return self._fall_back()
        if command[:-2] == HALT_FRAME:
            self.state = CardState.HALT
            return None
        answer = self._answer_when_active(command[:-2])
        return answer if answer is not None else self._fall_back()

    def _fall_back(self) -> CardAnswer | None:
        """An unexpected or damaged frame: back to HALT or IDLE, in silence (6.3.3 to 6.3.7)."""
        if self.state in (CardState.READY, CardState.ACTIVE):
            self.state = CardState.HALT if self.has_star else CardState.IDLE
        return None


class Phone(Card):
    """A phone: its 4-byte UID begins with 08 and is drawn anew whenever a field reaches it."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        super().__init__(self._drawn_uid(), sak=SAK_ISO_14443_4)

    def power_on(self) -> None:
        """The phone is in IDLE under a UID nobody has seen before."""
        self.uid = self._drawn_uid()
        super().power_on()

    def _drawn_uid(self) -> bytes:
        return b"\x08" + self._draw.randbytes(3)


def cascade_levels(uid: bytes) -> list[bytes]:
    """Four bytes and their check byte for each cascade level of `uid` (6.5.4)."""
    parts = {
        4: [uid],
        7: [CASCADE_TAG + uid[:3], uid[3:]],
        10: [CASCADE_TAG + uid[:3], CASCADE_TAG + uid[3:6], uid[6:]],
    }[len(uid)]
    return [part + bytes((part[0] ^ part[1] ^ part[2] ^ part[3],)) for part in parts]


def without_parity(frame: Bits) -> Bits | None:
    """The data bits of a reader's frame; None when a parity bit is wrong or missing."""
    bits: list[int] = []
    for start in range(0, len(frame), BYTE_BITS + 1):
        byte = frame[start : start + BYTE_BITS + 1]
        if len(byte) == BYTE_BITS or (
            len(byte) > BYTE_BITS and byte[-1] != odd_parity(byte[:BYTE_BITS])
        ):
            return None
        bits.extend(byte[:BYTE_BITS])
    return tuple(bits)


def card_crc(content: bytes) -> bytes:
    """CRC_A bit by bit, as a shift register in the card does it (annex B); low byte first."""
    register = 0x6363
    for bit in bits_of(content):
        feedback = (register ^ bit) & 1
        register >>= 1
        if feedback:
            register ^= 0x8408
    return bytes((register & 0xFF, register >> 8))


def append_crc(content: bytes) -> bytes:
    """`content` and its CRC."""
    return content + card_crc(content)


def has_crc(frame: bytes) -> bool:
    """Whether `frame` ends with the CRC of what stands before."""
    return len(frame) > 2 and frame[-2:] == card_crc(frame[:-2])


def _bits_claimed(valid: int) -> int:
    """How many bits of the frame NVB says were sent: whole bytes and single bits (6.5.3.3)."""
    return (valid >> 4) * BYTE_BITS + (valid & 0x0F)
