"""A card of ISO 14443-4: blocks from the reader go in, commands reach the card's software, blocks out.

The PICC's half of the half-duplex block protocol of ISO/IEC 14443-4:2018, written from its rules
and apart from `interlock.cards` (rule letters and numbers are those of 7.5.4):

    C    the block number is 1 at activation
    D    an I-block, whatever its number, toggles it; the reader alone can tell a repetition
    E    an R(ACK) with the other number toggles it
    9    instead of an I-block the card may ask for more time: S(WTX)
    10   an I-block that chains is acknowledged, the last one is answered with an I-block
    11   R(ACK) or R(NAK) with the card's number: the last block once more
    12   R(NAK) with the other number: R(ACK)
    13   R(ACK) with the other number: chaining goes on

A damaged, unknown or too long block is silence and changes nothing. Only S(DESELECT) or the end of
the field lead out of PROTOCOL. Times are told to the air (`CardAnswer.delay_us`), so that a frame
timer of the reader that is too short or too long is noticed.

Not modelled: bit rates other than 106 kbit/s (PPS is confirmed for these alone), NAD, power levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from interlock.sim.cards import SAK_ISO_14443_4, Card, CardState, append_crc
from interlock.sim.rc522_air import CARRIER_MHZ, CardAnswer, bits_of

RATS = 0xE0
FRAME_BYTES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
"""Frame sizes FSDI and FSCI stand for, CRC included (table 1); later codes count as the last."""
CRC_BYTES = 2
FRAME_TIME_US = 256 * 16 / CARRIER_MHZ
"""Unit of FWT and SFGT: 302.06 µs, doubled by each step of FWI and SFGI (5.2.5, 7.2)."""
FWT_US_MAX = FRAME_TIME_US * 2**14
ATS_DELAY_US = 500.0
"""How long the card takes for its ATS; the standard allows 4,833 µs (5.6)."""
WTXM_MAX = 59
WTX_AFTER = 0.5
"""Part of the granted time after which a card that needs more asks for it: an assumption."""
PPS = 0xD0
PPS_106_KBIT = 0x00

BLOCK_CID = 0x08
I_BLOCK, I_MASK = 0x02, 0xE2
I_CHAINS = 0x10
I_NAD = 0x04
R_BLOCK, R_MASK = 0xA2, 0xE6
R_NAK = 0x10
S_BLOCK, S_MASK = 0xC2, 0xC7
S_WTX = 0x30
COMMAND_BYTES_MAX = 256
"""Longest chained command the card has room for; a longer one is not heard."""
ENDLESS = math.inf


@dataclass(frozen=True, slots=True)
class Reply:
    """The software's answer to one command, and how long the chip computed for it."""

    content: bytes
    work_us: float = 0.0


class Software(Protocol):
    """What runs on a card above ISO 14443-4."""

    def power_on(self) -> None:
        """Everything volatile is forgotten: selection, session, a half-done command."""

    def answer(self, command: bytes) -> Reply | None:
        """What the card says to `command`; None when its supply broke down while it computed."""


@dataclass(frozen=True, slots=True)
class Ats:
    """What the card says of itself at activation (5.2); the defaults are those of DESFire EV1."""

    fsci: int = 5
    fwi: int = 8
    sfgi: int = 1
    has_cid: bool = True
    rates: int = 0x77
    historical: bytes = b"\x80"

    @property
    def fwt_us(self) -> float:
        """Frame waiting time: how long the reader waits for the first bit of an answer."""
        return float(FRAME_TIME_US * 2**self.fwi)

    @property
    def sfgt_us(self) -> float:
        """How long the card needs after its ATS before it can hear a block; none for SFGI 0."""
        return float(FRAME_TIME_US * 2**self.sfgi) if self.sfgi else 0.0

    def to_bytes(self) -> bytes:
        """TL, T0, TA(1), TB(1), TC(1) and the historical bytes."""
        inside = bytes(
            (0x70 | self.fsci, self.rates, self.fwi << 4 | self.sfgi, 2 if self.has_cid else 0)
        )
        return bytes((1 + len(inside) + len(self.historical),)) + inside + self.historical


@dataclass(frozen=True, slots=True)
class Habits:
    """How a card behaves beyond its duty.

    `wtx_requests`: S(WTX) before every answer, needed or not (ENDLESS: the answer never comes), each
    for `wtxm` times its frame waiting time. `asks_for_time` False: a slow card is late instead.
    `ats` replaces the honest answer to RATS by any bytes.
    """

    wtx_requests: float = 0
    wtxm: int = 1
    asks_for_time: bool = True
    ats: bytes | None = None


class BlockCard(Card):
    """A card whose `software` is spoken to with blocks; SAK says so unless told otherwise."""

    def __init__(
        self,
        uid: bytes,
        software: Software,
        *,
        ats: Ats | None = None,
        habits: Habits | None = None,
        atqa: bytes | None = None,
        sak: int = SAK_ISO_14443_4,
    ) -> None:
        super().__init__(uid, atqa=atqa, sak=sak)
        self.software = software
        self.ats = ats or Ats()
        self.habits = habits or Habits()
        self._begin(fsdi=0, cid=0)

    def power_on(self) -> None:
        """The card is in IDLE and its software at its start."""
        super().power_on()
        self._begin(fsdi=0, cid=0)
        self.software.power_on()

    # ---------------------------------------------------------------------------------- activation

    def _begin(self, *, fsdi: int, cid: int) -> None:
        self._frame_bytes = FRAME_BYTES[min(fsdi, len(FRAME_BYTES) - 1)]
        self._cid = cid
        self._number = 1
        self._may_pps = True
        self._incoming = b""
        self._last: bytes | None = None
        self._rest: bytes | None = None
        """What of an answer is still to be sent; None when none is under way."""
        self._work_us = 0.0
        self._granted_us = self.ats.fwt_us
        self._wtx_left: float = 0
        self._wtxm: int | None = None
        """The multiplier asked for, while the card waits for the reader's consent."""

    def _answer_when_active(self, command: bytes) -> CardAnswer | None:
        if len(command) != 2 or command[0] != RATS or command[1] & 0x0F == 0x0F:
            return None
        self._begin(fsdi=command[1] >> 4, cid=command[1] & 0x0F)
        self.state = CardState.PROTOCOL
        ats = self.ats.to_bytes() if self.habits.ats is None else self.habits.ats
        return CardAnswer(
            bits_of(append_crc(ats)), delay_us=ATS_DELAY_US, guard_us=self.ats.sfgt_us
        )

    # -------------------------------------------------------------------------------------- blocks

    def _answer_to_block(self, block: bytes) -> CardAnswer | None:
        if not block or len(block) + CRC_BYTES > FRAME_BYTES[min(self.ats.fsci, 8)]:
            return None
        if self._may_pps and block[0] == PPS | self._cid:
            self._may_pps = False
            is_106 = block[1:] in (b"\x01", bytes((0x11, PPS_106_KBIT)))
            return _sent(block[:1]) if is_106 else None
        self._may_pps = False
        content = self._addressed_to_me(block)
        if content is None:
            return None
        code = block[0]
        if code & I_MASK == I_BLOCK and not code & I_NAD:
            return self._hear_i(content, chains=bool(code & I_CHAINS))
        if code & R_MASK == R_BLOCK and not content:
            return self._hear_r(code & 1, is_nak=bool(code & R_NAK))
        if code & S_MASK == S_BLOCK:
            return self._hear_s(code & S_WTX, content)
        return None

    def _addressed_to_me(self, block: bytes) -> bytes | None:
        """The information field; None when the block is for a card with another CID (7.1.2.2)."""
        self._cid_follows = bool(block[0] & BLOCK_CID)
        if not self._cid_follows:
            return block[1:] if self._cid == 0 else None
        if not self.ats.has_cid or len(block) < 2 or block[1] & 0x0F != self._cid:
            return None
        return block[2:]

    def _hear_i(self, content: bytes, *, chains: bool) -> CardAnswer | None:
        if self._wtxm is not None or len(self._incoming) + len(content) > COMMAND_BYTES_MAX:
            return None
        self._number ^= 1
        self._incoming += content
        if chains:
            return self._say(self._prologue(R_BLOCK | self._number))
        command, self._incoming = self._incoming, b""
        # An empty I-block asks only whether the card is there (annex B, method 1).
        reply = self.software.answer(command) if command else Reply(b"")
        if reply is None:
            self.power_on()
            return None
        self._rest = reply.content
        self._work_us = reply.work_us
        self._granted_us = self.ats.fwt_us
        self._wtx_left = self.habits.wtx_requests if command else 0
        return self._work()

    def _hear_r(self, number: int, *, is_nak: bool) -> CardAnswer | None:
        if number == self._number:
            return None if self._last is None else _sent(self._last)
        if is_nak:
            return _sent(self._prologue(R_BLOCK | self._number))
        if self._rest and self._wtxm is None:
            self._number ^= 1
            return self._say(self._next_block())
        return None

    def _hear_s(self, kind: int, content: bytes) -> CardAnswer | None:
        if kind == 0 and not content:
            answer = _sent(self._prologue(S_BLOCK))
            self.state = CardState.HALT
            self._begin(fsdi=0, cid=0)
            self.software.power_on()
            return answer
        if kind == S_WTX and self._wtxm is not None and content == bytes((self._wtxm,)):
            self._granted_us = min(self.ats.fwt_us * self._wtxm, FWT_US_MAX)
            self._wtxm = None
            return self._work()
        return None

    def _work(self) -> CardAnswer:
        """The answer when it is ready in the granted time; otherwise the wish for more."""
        is_late = self._work_us > self._granted_us and self.habits.asks_for_time
        if not is_late and self._wtx_left <= 0:
            return self._say(self._next_block(), after_us=self._work_us)
        self._wtx_left -= 1
        spent_us = min(self._work_us, self._granted_us * WTX_AFTER)
        self._work_us -= spent_us
        needed = math.ceil(self._work_us / self.ats.fwt_us)
        self._wtxm = min(WTXM_MAX, max(self.habits.wtxm, needed))
        asked = self._prologue(S_BLOCK | S_WTX) + bytes((self._wtxm,))
        return self._say(asked, after_us=spent_us)

    def _next_block(self) -> bytes:
        """The next piece of the answer, as long as the reader's frames allow."""
        rest = self._rest or b""
        room = self._frame_bytes - CRC_BYTES - len(self._prologue(I_BLOCK))
        self._rest = rest[room:]
        chains = I_CHAINS if self._rest else 0
        return self._prologue(I_BLOCK | chains | self._number) + rest[:room]

    def _prologue(self, code: int) -> bytes:
        """PCB, and the CID where the reader used it."""
        return bytes((code | BLOCK_CID, self._cid)) if self._cid_follows else bytes((code,))

    def _say(self, block: bytes, *, after_us: float = 0.0) -> CardAnswer:
        self._last = block
        return _sent(block, after_us)

    _cid_follows = False
    """Whether the block being answered named its card; the answer then does so too."""


def _sent(block: bytes, after_us: float = 0.0) -> CardAnswer:
    return CardAnswer(bits_of(append_crc(block)), delay_us=after_us)
