"""ISO/IEC 14443-4, reader's side: commands go in, blocks go over the air, whole answers come out.

Half-duplex blocks without CID and NAD, chaining in both directions, retransmission by R(NAK) and R(ACK), waiting
time extensions, deselection. The card has every say in this protocol: how long it may take, how often it asks
for more time, how long its answer is. So everything it says is bounded here, in count and in total time, and
whatever it does ends in an answer or in CardError. Section numbers are those of ISO/IEC 14443-4:2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from interlock.cards.exchange import REMEDY
from interlock.cards.iso14443a import CRC_BYTES, Answer, Trouble, has_valid_crc, with_crc
from interlock.errors import CardError

ATTEMPT_MS_MAX = 270
"""All a card gets from RATS to its last answer. An AES authentication takes 20 to 60 ms; two attempts with 30 ms
between them stay below the 600 ms of 3-cards.md."""
FRAME_BYTES_MAX = 64
"""The FIFO of an RC522, CRC included; longer answers come chained."""
RATS = bytes((0xE0, 0x50))
"""FSDI 5: we take frames of 64 bytes; CID 0, so that blocks need none (5.1, 5.6.3)."""
ACTIVATION_WAIT_US = 4_834
"""How long an ATS may take: 65,536 carrier cycles (5.6.1, 7.2)."""
DESELECT_WAIT_US = 5_286
"""How long S(DESELECT) may go unanswered: 71,680 carrier cycles (8.1)."""
CARRIER_MHZ = 13.56
WAIT_UNIT_US = 256 * 16 / CARRIER_MHZ
"""Frame waiting and guard time in units of 302 µs times two to an index (7.2)."""
WAIT_EXTRA_US = 49_152 / CARRIER_MHZ
"""Added to every frame waiting time (7.2)."""
WAIT_INDEX_DEFAULT = 4
WAIT_INDEX_MAX = 14
FRAME_SIZES_BYTES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
"""What FSCI 0 to 8 say a card takes in one frame; higher ones are at least as long (table 1)."""
FRAME_SIZE_INDEX_DEFAULT = 2
RETRIES_MAX = 2
"""R(NAK)s for one block: two lost frames in a row are a card that is leaving."""
DESELECTS_MAX = 2
"""A card that is gone answers none; a poll must not wait long to find that out."""
EXTENSIONS_MAX = 12
"""S(WTX) for one command. Cards ask a few times; each is bounded by what is left of the attempt anyway."""
EXTENSION_MS_MAX = 200
"""All waiting of one command under S(WTX): leaves time for the rest of the authentication."""
WTXM_MAX = 59
ANSWER_BLOCKS_MAX = 32
"""Chained blocks of one answer: 1.9 kB, far more than any command used here brings."""

_I, _CHAINED = 0x02, 0x10
_R_ACK, _R_NAK = 0xA2, 0xB2
_S_DESELECT, _S_WTX = 0xC2, 0xF2
_PCB_BYTES = 1
_HAS_TA, _HAS_TB, _HAS_TC, _INDEX = 0x10, 0x20, 0x40, 0x0F
_WTXM = 0x3F


class Frames(Protocol):
    """Sends one frame as it is (CRC included) and tells what came back within `wait_us`."""

    def __call__(self, frame: bytes, wait_us: int) -> Answer | Trouble:
        """`wait_us` counts from the end of the frame to the beginning of the answer."""


@dataclass(frozen=True, slots=True)
class Medium:
    """What the protocol runs on: frames, the milliseconds of this boot, and a pause in microseconds."""

    frames: Frames
    now_ms: Callable[[], int]
    pause_us: Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Ats:
    """What a card said of itself: frames it takes (CRC included), its waiting and its guard time."""

    frame_bytes: int
    wait_us: int
    guard_us: int


class Link:
    """One activated card: `transceive` speaks to it until `deselect`, or until its time is over."""

    def __init__(self, medium: Medium, *, attempt_ms_max: int = ATTEMPT_MS_MAX) -> None:
        """Nothing was sent yet; the card is ACTIVE and gets `attempt_ms_max` from its activation on."""
        self._medium = medium
        self._attempt_ms_max = attempt_ms_max
        self._deadline_ms = 0
        self._ats: Ats | None = None
        self._number = 0

    def activate(self) -> Ats:
        """The card answered RATS and speaks ISO 14443-4. Raises CardError."""
        self._deadline_ms = self._medium.now_ms() + self._attempt_ms_max
        heard = self._exchange(RATS, ACTIVATION_WAIT_US)
        if heard is None:
            raise _failed("it does not answer RATS")
        self._ats = ats = ats_from(heard)
        if ats.guard_us:
            if self._left_us() <= ats.guard_us:
                raise _failed("it asks for a longer pause than it may")
            self._medium.pause_us(ats.guard_us)
        return ats

    def transceive(self, command: bytes) -> bytes:
        """The card's whole answer to `command`. Raises CardError."""
        ats = self._ats or self.activate()
        extension = _Extension(self._medium.now_ms() + EXTENSION_MS_MAX)
        part_bytes = min(ats.frame_bytes, FRAME_BYTES_MAX) - _PCB_BYTES - CRC_BYTES
        parts = [command[at : at + part_bytes] for at in range(0, len(command), part_bytes)]
        for part in parts[:-1]:
            if self._block(_I | _CHAINED, part, extension)[0] not in (_R_ACK, _R_ACK | 1):
                raise _failed("it answered before the command was whole")
        return self._whole_answer(parts[-1] if parts else b"", extension)

    def deselect(self) -> bool:
        """Whether the card confirmed that it went to HALT; never raises, whatever the card does."""
        request = with_crc(bytes((_S_DESELECT,)))
        for _ in range(DESELECTS_MAX):
            heard = self._medium.frames(request, DESELECT_WAIT_US)
            if isinstance(heard, Answer) and heard == Answer(request):
                return True
        return False

    def _whole_answer(self, last_part: bytes, extension: _Extension) -> bytes:
        heard = self._block(_I, last_part, extension)
        answer = b""
        for _ in range(ANSWER_BLOCKS_MAX):
            answer += heard[_PCB_BYTES:]
            if not heard[0] & _CHAINED:
                return answer
            heard = self._acknowledge(extension)
        raise _failed("its answer does not end")

    def _block(self, pcb: int, part: bytes, extension: _Extension) -> bytes:
        """One I-block is delivered: the card's I-block, or its R(ACK) if ours chains (rules 4, 6 and 7)."""
        block = bytes((pcb | self._number,)) + part
        sending, tries = block, 0
        while True:
            heard = self._extended(sending, extension)
            if heard is not None and (
                self._is_information(heard) or (heard == self._r_block(_R_ACK) and pcb & _CHAINED)
            ):
                self._number ^= 1
                return heard
            # An acknowledgement of the block before says that this one never arrived.
            is_unheard = heard == self._r_block(_R_ACK, number=self._number ^ 1)
            sending = block if is_unheard else self._r_block(_R_NAK)
            tries += 1
            if tries > RETRIES_MAX:
                raise _failed("it left, or its answers are spoiled")

    def _acknowledge(self, extension: _Extension) -> bytes:
        """The next block of a chained answer (rules 2 and 5)."""
        for _ in range(1 + RETRIES_MAX):
            heard = self._extended(self._r_block(_R_ACK), extension)
            if heard is not None and self._is_information(heard):
                self._number ^= 1
                return heard
        raise _failed("it left in the middle of its answer")

    def _extended(self, block: bytes, extension: _Extension) -> bytes | None:
        """What answers `block` once the card needs no more time; None for silence or a spoiled frame."""
        assert self._ats is not None
        heard = self._exchange(block, self._ats.wait_us)
        while heard is not None and heard[0] == _S_WTX and len(heard) == 2:
            factor = heard[1] & _WTXM
            if not 1 <= factor <= WTXM_MAX:
                return None
            left_us = extension.granted_us(self._medium.now_ms())
            wait_us = min(factor * self._ats.wait_us, left_us)
            heard = self._exchange(bytes((_S_WTX, factor)), wait_us)
        return heard

    def _exchange(self, block: bytes, wait_us: int) -> bytes | None:
        """The bytes of an answer with a right CRC; None for silence or a spoiled frame."""
        left_us = self._left_us()
        if left_us <= 0:
            raise _failed("it took too long")
        heard = self._medium.frames(with_crc(block), min(wait_us, left_us))
        if isinstance(heard, Trouble) or heard.last_bits or not has_valid_crc(heard.content):
            return None
        return heard.content[:-CRC_BYTES]

    def _r_block(self, kind: int, *, number: int | None = None) -> bytes:
        return bytes((kind | (self._number if number is None else number),))

    def _is_information(self, heard: bytes) -> bool:
        """Whether it is an I-block with the number it must have (7.5.4, rule B), without CID and NAD."""
        return heard[0] & ~_CHAINED == _I | self._number

    def _left_us(self) -> int:
        return (self._deadline_ms - self._medium.now_ms()) * 1_000


def ats_from(content: bytes) -> Ats:
    """What an ATS (without CRC) says; a card that says too much or too little raises CardError (5.2)."""
    if not content or content[0] != len(content):
        raise _failed("its ATS has not the length it says")
    if len(content) > FRAME_BYTES_MAX - CRC_BYTES:
        raise _failed("its ATS is longer than a frame")
    if len(content) == 1:
        return Ats(FRAME_SIZES_BYTES[FRAME_SIZE_INDEX_DEFAULT], _wait_us(WAIT_INDEX_DEFAULT), 0)
    format_byte = content[1]
    announced = sum(bool(format_byte & bit) for bit in (_HAS_TA, _HAS_TB, _HAS_TC))
    if format_byte & 0x80 or len(content) < 2 + announced:
        raise _failed("its ATS makes no sense")
    times = WAIT_INDEX_DEFAULT << 4
    if format_byte & _HAS_TB:
        times = content[3 if format_byte & _HAS_TA else 2]
    wait_index, guard_index = times >> 4, times & _INDEX
    if wait_index > WAIT_INDEX_MAX:
        wait_index = WAIT_INDEX_DEFAULT
    if guard_index > WAIT_INDEX_MAX:
        guard_index = 0
    size_index = min(format_byte & _INDEX, len(FRAME_SIZES_BYTES) - 1)
    guard_us = _units_us(guard_index) if guard_index else 0
    return Ats(FRAME_SIZES_BYTES[size_index], _wait_us(wait_index), guard_us)


class _Extension:
    """What S(WTX) may still cost within one command."""

    def __init__(self, until_ms: int) -> None:
        self._until_ms = until_ms
        self._count = 0

    def granted_us(self, now_ms: int) -> int:
        """How long the card may go on. Raises CardError when it had enough."""
        self._count += 1
        if self._count > EXTENSIONS_MAX or now_ms >= self._until_ms:
            raise _failed("it keeps asking for more time")
        return (self._until_ms - now_ms) * 1_000


def _wait_us(index: int) -> int:
    return _units_us(index) + round(WAIT_EXTRA_US)


def _units_us(index: int) -> int:
    return round(WAIT_UNIT_US * (1 << index))


def _failed(what: str) -> CardError:
    return CardError(what, where="card", remedy=REMEDY)
