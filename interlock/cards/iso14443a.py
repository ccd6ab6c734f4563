"""ISO 14443-3 type A: one `transceive` flows in; the single card's UID, or why there is none, out.

Theory. A reader wakes every card in its field with WUPA; all of them answer in the same bit times.
It then walks down up to three cascade levels. At each it asks for four UID bytes and their check
byte (ANTICOLLISION with NVB 20: "I know no bit yet") and sends them back (SELECT). Only a card with
exactly these bytes answers, with SAK and a CRC; a set cascade bit says that the UID goes on.

Two rules make a wrong UID impossible rather than unlikely:
- what was heard is believed only after the card has confirmed it by answering SELECT;
- the anticollision always starts from nothing, so two cards that differ anywhere must collide,
  and a collision is never resolved: "one badge at a time" (3-cards.md).

Section numbers are those of ISO/IEC 14443-3:2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import reduce
from operator import xor
from typing import Protocol

WUPA = 0x52
"""Wakes cards in IDLE and in HALT (6.4.1)."""
REQA = 0x26
"""Wakes cards in IDLE only (6.4.1)."""
SHORT_FRAME_BITS = 7
"""REQA and WUPA are 7 bits without parity (6.2.3.1)."""
SELECT_LEVELS = (0x93, 0x95, 0x97)
"""SEL code of cascade levels 1, 2 and 3 (6.5.3.1)."""
NVB_NOTHING_KNOWN = 0x20
"""Valid bits: SEL and NVB alone, so every card sends its whole level (6.5.3.2)."""
NVB_ALL_KNOWN = 0x70
"""Valid bits: SEL, NVB, four UID bytes and BCC, which makes the frame a SELECT (6.5.3.2)."""
CASCADE_TAG = 0x88
"""First byte of a level whose UID goes on; no UID part of a last level begins so (6.5.4)."""
SAK_CASCADE_BIT = 0x04
"""Set in SAK: the UID is not complete (6.5.3.4)."""
HLTA = bytes((0x50, 0x00))
"""Sends an ACTIVE card to HALT; acknowledged by silence (6.4.3)."""
HLTA_SILENCE_US = 1_000
"""How long silence must last to acknowledge HLTA (6.4.3)."""

ATQA_BYTES = 2
LEVEL_UID_BYTES = 4
LEVEL_BYTES = LEVEL_UID_BYTES + 1
CRC_BYTES = 2
SAK_BYTES = 1 + CRC_BYTES
UID_SIZES = (4, 7, 10)
"""Bytes of a single, double and triple size UID (6.5.4)."""
RANDOM_UID_FIRST_BYTE = 0x08
"""A 4-byte UID beginning so is drawn anew at every activation, as phones do (6.5.4, table 7)."""

CRC_A_PRESET = 0x6363
"""Initial value of CRC_A (6.2.4)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the field answered without an error the reader chip noticed.

    `last_bits` is the number of valid bits in the last byte; 0 means all eight.
    """

    content: bytes
    last_bits: int = 0


class Trouble(Enum):
    """Why there is no usable answer."""

    SILENCE = auto()
    """Nothing answered."""
    SPOILED = auto()
    """Something answered, but not a complete and correct frame."""
    COLLISION = auto()
    """Two cards said different things at the same time."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One card confirmed its whole UID and is ACTIVE.

    `atqa` is as it came, low byte first; unlike UID and SAK nothing checks or confirms it.
    """

    uid: bytes
    atqa: bytes
    sak: int


class Transceive(Protocol):
    """Sends one frame as it is (CRC included) and tells what came back."""

    def __call__(self, frame: bytes, answer_bytes: int, *, last_bits: int = 0) -> Answer | Trouble:
        """`answer_bytes` is what to expect; `last_bits` of the last byte are sent (0: all)."""


def activate(transceive: Transceive) -> Selected | Trouble:
    """The one card in the field is selected; SILENCE only if nothing answered to WUPA.

    After anything but SILENCE send `halt_frame()`: it brings every card, however far it was led,
    into a state that answers the next WUPA.
    """
    atqa = transceive(bytes((WUPA,)), ATQA_BYTES, last_bits=SHORT_FRAME_BITS)
    if isinstance(atqa, Trouble):
        return atqa
    if not _is_whole(atqa, ATQA_BYTES):
        return Trouble.SPOILED
    uid = b""
    for depth, level in enumerate(SELECT_LEVELS):
        selected = _select_level(transceive, level)
        if isinstance(selected, Trouble):
            return selected
        part, sak = selected
        goes_on = bool(sak & SAK_CASCADE_BIT)
        if not _is_consistent(part, goes_on, depth):
            return Trouble.SPOILED
        if not goes_on:
            return Selected(uid + part, atqa.content, sak)
        uid += part[1:]
    return Trouble.SPOILED


def halt_frame() -> bytes:
    """The HLTA frame with its CRC."""
    return with_crc(HLTA)


def crc_a(content: bytes) -> bytes:
    """CRC_A of `content`, two bytes in the order they are sent, low byte first (annex B)."""
    crc = CRC_A_PRESET
    for byte in content:
        step = (byte ^ crc) & 0xFF
        step = (step ^ step << 4) & 0xFF
        crc = crc >> 8 ^ step << 8 ^ step << 3 ^ step >> 4
    return crc.to_bytes(CRC_BYTES, "little")


def with_crc(content: bytes) -> bytes:
    """`content` followed by its CRC_A."""
    return content + crc_a(content)


def has_valid_crc(frame: bytes) -> bool:
    """Whether the last two bytes of `frame` are the CRC_A of those before."""
    return len(frame) > CRC_BYTES and frame[-CRC_BYTES:] == crc_a(frame[:-CRC_BYTES])


def bcc(part: bytes) -> int:
    """The check byte of one cascade level: exclusive or of its four bytes (6.5.3.3)."""
    return reduce(xor, part, 0)


def is_uid(uid: bytes) -> bool:
    """Whether a card may carry `uid`: 4, 7 or 10 bytes, none of them cut off at a cascade tag."""
    if len(uid) not in UID_SIZES:
        return False
    cut_off_at = {4: (0,), 7: (3,), 10: ()}[len(uid)]
    return all(uid[index] != CASCADE_TAG for index in cut_off_at)


def is_random_uid(uid: bytes) -> bool:
    """Whether `uid` is drawn anew at every activation (phones): never enrolled as an identity."""
    return len(uid) == UID_SIZES[0] and uid[0] == RANDOM_UID_FIRST_BYTE


def _select_level(transceive: Transceive, level: int) -> tuple[bytes, int] | Trouble:
    """The four bytes of this level and the SAK with which exactly one UID part confirmed them."""
    heard = _after_wake_up(transceive(bytes((level, NVB_NOTHING_KNOWN)), LEVEL_BYTES))
    if isinstance(heard, Trouble):
        return heard
    part = heard.content[:LEVEL_UID_BYTES]
    if not _is_whole(heard, LEVEL_BYTES) or bcc(part) != heard.content[LEVEL_UID_BYTES]:
        return Trouble.SPOILED
    select = with_crc(bytes((level, NVB_ALL_KNOWN)) + heard.content)
    confirmed = _after_wake_up(transceive(select, SAK_BYTES))
    if isinstance(confirmed, Trouble):
        return confirmed
    if not _is_whole(confirmed, SAK_BYTES) or not has_valid_crc(confirmed.content):
        return Trouble.SPOILED
    return part, confirmed.content[0]


def _after_wake_up(heard: Answer | Trouble) -> Answer | Trouble:
    """Silence of a card that answered a moment ago is a spoiled reading, not an empty field."""
    return Trouble.SPOILED if heard is Trouble.SILENCE else heard


def _is_whole(heard: Answer, length_bytes: int) -> bool:
    return len(heard.content) == length_bytes and heard.last_bits == 0


def _is_consistent(part: bytes, goes_on: bool, depth: int) -> bool:
    """Cascade tag and cascade bit say the same; otherwise one of them is not what the card sent."""
    if depth == len(SELECT_LEVELS) - 1:
        return not goes_on
    return goes_on == (part[0] == CASCADE_TAG)
