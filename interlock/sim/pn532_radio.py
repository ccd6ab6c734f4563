"""The contactless side of a PN532: what the firmware wants from the field goes in, cards and answers out.

A reader of its own, after ISO 14443-3 and -4, written apart from `interlock.cards`: the firmware of
the real chip is not ours either. It calls with REQA, resolves collisions bit by bit (taking the 1),
selects, sends RATS and speaks blocks. `now_us` moves on with every frame: what the chip does in the
air is what its host has to wait for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from interlock.sim.cards import append_crc, has_crc
from interlock.sim.rc522_air import (
    BYTE_BITS,
    COLLISION,
    Air,
    Bits,
    Heard,
    bits_of,
    bytes_of,
    duration_us,
    odd_parity,
    with_parity,
)

REQA, HLTA = 0x26, b"\x50\x00"
SHORT_BITS = 7
SELECT_CODES = (0x93, 0x95, 0x97)
SENS_RES_BYTES = 2
"""What answers with another length is no card (ISO 14443-3, 6.5.2): the chip has room for these in its report."""
LEVEL_BITS = 40
CASCADE_TAG, SAK_GOES_ON, SAK_ISO_14443_4 = 0x88, 0x04, 0x20
RATS = b"\xe0\x50"
"""FSDI 5: the chip takes 64-byte frames; card number 0."""
FRAME_BYTES_OF_FSCI = (16, 24, 32, 40, 48, 64, 96, 128, 256)
I_BLOCK, R_ACK, R_NAK, S_DESELECT, S_WTX = 0x02, 0xA2, 0xB2, 0xC2, 0xF2
CHAINING = 0x10
BLOCK_OVERHEAD = 3
"""PCB and CRC."""
NO_ANSWER_US = 5_000
"""What the chip waits for a card that has no frame waiting time of its own."""
BLOCK_RETRIES = 2
FRAME_WAIT_UNIT_US = 302
"""256 × 16 / 13.56 MHz: the frame waiting time is this times two to the FWI."""
FWI_DEFAULT = 4
LONGER_THAN_ANY_HOST_US = 10_000_000
"""The chip would go on for ever; its host has ended the command long before."""


class CardTimeout(Exception):
    """Nothing answered."""


class CardBroken(Exception):
    """Something answered against the rules, or was disturbed."""


@dataclass
class Target:
    """A selected card: `sens_res` as it came over the air, `ats` with its length byte, without CRC."""

    uid: bytes
    sens_res: bytes
    sel_res: int
    ats: bytes = b""
    block_number: int = 0

    @property
    def frame_bytes(self) -> int:
        """The longest frame the card takes (ISO 14443-4, 5.2.3)."""
        fsci = self.ats[1] & 0x0F if len(self.ats) > 1 else 2
        return FRAME_BYTES_OF_FSCI[min(fsci, len(FRAME_BYTES_OF_FSCI) - 1)]

    @property
    def frame_wait_us(self) -> int:
        """How long the card may think (ISO 14443-4, 5.2.5)."""
        tb = self._tb
        return FRAME_WAIT_UNIT_US << (FWI_DEFAULT if tb is None else tb >> 4)

    @property
    def guard_us(self) -> int:
        """How long the card is deaf after its ATS (ISO 14443-4, 5.2.5)."""
        sfgi = (self._tb or 0) & 0x0F
        return FRAME_WAIT_UNIT_US << sfgi if sfgi else 0

    @property
    def _tb(self) -> int | None:
        if len(self.ats) < 2 or not self.ats[1] & 0x20:
            return None
        at = 2 + bool(self.ats[1] & 0x10)
        return self.ats[at] if at < len(self.ats) else None


class Radio:
    """The chip's reader over the cards in `air`."""

    def __init__(self, air: Air) -> None:
        self.air = air
        self.now_us: float = 0

    # ---------------------------------------------------------------------------- ISO 14443-3

    def find(self, attempts: int, *, automatic_rats: bool) -> Target | None:
        """One card is selected, or none answered in so many attempts."""
        for _ in range(attempts):
            try:
                return self._activate(automatic_rats)
            except (CardTimeout, CardBroken):
                continue
        return None

    def release(self, target: Target) -> None:
        """The card is deselected: it lies in HALT."""
        frame = bytes((S_DESELECT,)) if target.ats else HLTA
        with suppress(CardTimeout, CardBroken):
            self._send(append_crc(frame))

    def thru(self, frame: bytes, wait_us: float) -> bytes:
        """`frame` and its CRC are sent as they are; the answer without its CRC."""
        heard = self._send(append_crc(frame), wait_us)
        if not has_crc(heard):
            raise CardBroken
        return heard[:-2]

    def _activate(self, automatic_rats: bool) -> Target:
        # A collision in SENS_RES is the rule with two cards: the chip goes on with what it got.
        sens_res = _as_heard(self._air(bits_of([REQA])[:SHORT_BITS]))
        if len(sens_res) != SENS_RES_BYTES:
            raise CardBroken
        uid = b""
        for code in SELECT_CODES:
            part, sak = self._level(code)
            if sak & SAK_GOES_ON:
                if part[0] != CASCADE_TAG:
                    raise CardBroken
                uid += part[1:]
                continue
            target = Target(uid + part, sens_res, sak)
            if sak & SAK_ISO_14443_4 and automatic_rats:
                target.ats = self.thru(RATS, NO_ANSWER_US)
                if not target.ats or target.ats[0] != len(target.ats):
                    raise CardBroken
                self.now_us += target.guard_us
            return target
        raise CardBroken

    def _level(self, code: int) -> tuple[bytes, int]:
        """Four bytes of UID and the SAK of the one card that has them."""
        known: Bits = ()
        while len(known) < LEVEL_BITS:
            whole, single = divmod(len(known), BYTE_BITS)
            head = bits_of(bytes((code, 0x20 + (whole << 4) + single)))
            heard = self._air(with_parity(head + known), align=single)
            known += _up_to_collision(heard, single)[: LEVEL_BITS - len(known)]
        level = bytes_of(known)
        if level[0] ^ level[1] ^ level[2] ^ level[3] != level[4]:
            raise CardBroken
        sak = self._send(append_crc(bytes((code, 0x70)) + level))
        if len(sak) != 3 or not has_crc(sak):
            raise CardBroken
        return level[:4], sak[0]

    # ---------------------------------------------------------------------------- ISO 14443-4

    def present(self, target: Target) -> bool:
        """The card answers R(NAK) with R(ACK), and nothing changed by it."""
        try:
            heard = self.thru(bytes((R_NAK | target.block_number,)), target.frame_wait_us)
        except (CardTimeout, CardBroken):
            return False
        return heard[:1] == bytes((R_ACK | (target.block_number ^ 1),))

    def exchange(self, target: Target, command: bytes) -> bytes:
        """The card's whole answer to a whole command, in blocks."""
        size = target.frame_bytes - BLOCK_OVERHEAD
        *parts, last = [command[at : at + size] for at in range(0, len(command), size)] or [b""]
        for part in parts:
            heard = self._block(target, I_BLOCK | CHAINING, part)
            if heard[0] & 0xE6 != R_ACK & 0xE6:
                raise CardBroken
        heard = self._block(target, I_BLOCK, last)
        answer = heard[1:]
        while heard[0] & CHAINING:
            heard = self._block(target, R_ACK, b"")
            answer += heard[1:]
        return answer

    def _block(self, target: Target, kind: int, content: bytes) -> bytes:
        """The card's next block, which has the right number; waiting time is granted without end."""
        sent = bytes((kind | target.block_number,)) + content
        wait_us, tries = target.frame_wait_us, 0
        end_us = self.now_us + LONGER_THAN_ANY_HOST_US
        while self.now_us < end_us:
            try:
                heard = self.thru(sent, wait_us)
            except (CardTimeout, CardBroken):
                tries += 1
                if tries > BLOCK_RETRIES:
                    raise
                sent = bytes((R_NAK | target.block_number,))
                continue
            if heard[0] == S_WTX and len(heard) == 2:
                sent, wait_us = heard, target.frame_wait_us * max(1, heard[1] & 0x3F)
                continue
            if heard[0] & 0xE2 not in (I_BLOCK, R_ACK & 0xE2):
                raise CardBroken
            if heard[0] & 1 != target.block_number:
                raise CardBroken
            target.block_number ^= 1
            return heard
        raise CardTimeout

    # -------------------------------------------------------------------------------- the air

    def _send(self, content: bytes, wait_us: float = NO_ANSWER_US) -> bytes:
        """Whole bytes out, whole bytes back, their parity right."""
        data = _whole_bits(self._air(with_parity(bits_of(content)), wait_us=wait_us))
        if data is None:
            raise CardBroken
        return bytes_of(data)

    def _air(self, frame: Bits, *, align: int = 0, wait_us: float = NO_ANSWER_US) -> Heard:
        self.now_us += duration_us(len(frame))
        reception = self.air.send(frame, self.now_us)
        if reception is None or reception.starts_at_us > self.now_us + wait_us:
            self.now_us += wait_us
            raise CardTimeout
        self.now_us = reception.ends_at_us()
        return self.air.heard(reception)


def _as_heard(heard: Heard) -> bytes:
    """The data bytes of an answer, collisions read as 0 and parity unread."""
    places = enumerate(heard)
    return bytes_of([bit or 0 for at, bit in places if at % (BYTE_BITS + 1) != BYTE_BITS])


def _up_to_collision(heard: Heard, align: int) -> Bits:
    """The data bits before the first collision, and a 1 in its place; raises CardBroken for none."""
    data: list[int] = []
    place = align
    for bit in heard:
        if place == BYTE_BITS:
            place = 0
            continue
        if bit is COLLISION:
            return (*data, 1)
        data.append(bit)
        place += 1
    if not data:
        raise CardBroken
    return tuple(data)


def _whole_bits(heard: Heard) -> Bits | None:
    """The data bits of whole bytes; None for a collision, a wrong parity or a broken byte."""
    data: list[int] = []
    for at in range(0, len(heard), BYTE_BITS + 1):
        byte = heard[at : at + BYTE_BITS + 1]
        bits = [bit for bit in byte if bit is not COLLISION]
        if len(bits) != BYTE_BITS + 1 or bits[-1] != odd_parity(bits[:BYTE_BITS]):
            return None
        data += bits[:BYTE_BITS]
    return tuple(data)
