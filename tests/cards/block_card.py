"""A card that speaks ISO 14443-4, block by block, as a script: frames in, frames out, every one of them noted.

Written from the card's rules of the standard (7.5.4: C, D, E and 9 to 13) for the tests of the reader's side; the
simulator's cards are another implementation, apart from this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interlock.cards.iso14443_4 import Medium
from interlock.cards.iso14443a import Answer, Trouble, with_crc
from interlock.sim.cards import has_crc
from interlock.sim.clocks import VirtualClock

ATS = bytes.fromhex("067577810280")
"""What a DESFire EV1 says: frames of 64 bytes, frame waiting index 8, guard time index 1."""

Application = Callable[[bytes], bytes]
Spoil = Callable[[bytes], Answer | Trouble]


@dataclass
class BlockCard:
    """One card; `spoiled` and `lost` name exchanges, counted from 0, whose answer or frame does not arrive.

    `part_bytes` is how much it sends in one block, `extensions` the S(WTX) it sends before each answer.
    """

    application: Application
    clock: VirtualClock = field(default_factory=VirtualClock)
    ats: bytes = ATS
    part_bytes: int = 61
    extensions: int = 0
    lost: frozenset[int] = frozenset()
    answers_lost: frozenset[int] = frozenset()
    spoiled: Mapping[int, Spoil] = field(default_factory=dict)
    thinks_us: int = 0
    heard: list[str] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    _number: int = 1
    _command: bytes = b""
    _waiting: list[bytes] = field(default_factory=list)
    _last: bytes = b""
    _asked: int = 0
    _after_extension: bytes = b""

    def medium(self) -> Medium:
        """What `iso14443_4.Link` runs on: this card alone in the field."""
        return Medium(
            self.exchange, self.clock.boot_ms, lambda us: self.clock.advance_us(round(us))
        )

    def exchange(self, frame: bytes, wait_us: int) -> Answer | Trouble:
        """`iso14443_4.Frames`."""
        turn = len(self.heard)
        self.heard.append(frame[:-2].hex())
        assert has_crc(frame), "a frame without its CRC was sent"
        answer = b"" if turn in self.lost else self._hear(frame[:-2])
        self.clock.advance_us(500)
        thinks_us = 0 if frame[0] == 0xE0 else self.thinks_us
        if not answer or turn in self.answers_lost or thinks_us > wait_us:
            self.clock.advance_us(wait_us)
            return Trouble.SILENCE
        self.clock.advance_us(thinks_us)
        whole = with_crc(answer)
        return self.spoiled[turn](whole) if turn in self.spoiled else Answer(whole)

    def _hear(self, block: bytes) -> bytes:
        pcb = block[0]
        if pcb == 0xE0:
            return self.ats
        if pcb == 0xC2:
            return block
        if pcb == 0xF2:
            return self._say(self._extended())
        if pcb & 0xE2 == 0x02:
            return self._say(self._information(block))
        if pcb & 0xE6 == 0xA2:
            return self._r_block(pcb)
        return b""

    def _information(self, block: bytes) -> bytes:
        self._number ^= 1
        self._command += block[1:]
        if block[0] & 0x10:
            return bytes((0xA2 | self._number,))
        self.commands.append(self._command)
        answer, self._command = self.application(self._command), b""
        self._waiting = [
            answer[at : at + self.part_bytes] for at in range(0, len(answer), self.part_bytes)
        ] or [b""]
        self._asked = 0
        self._after_extension = self._next_part()
        return self._extended()

    def _extended(self) -> bytes:
        if self._asked < self.extensions:
            self._asked += 1
            return b"\xf2\x01"
        return self._after_extension

    def _next_part(self) -> bytes:
        part = self._waiting.pop(0)
        return bytes((0x02 | self._number | (0x10 if self._waiting else 0),)) + part

    def _r_block(self, pcb: int) -> bytes:
        if pcb & 1 == self._number:
            return self._last
        if pcb & 0x10:
            return bytes((0xA2 | self._number,))
        self._number ^= 1
        return self._say(self._next_part()) if self._waiting else b""

    def _say(self, block: bytes) -> bytes:
        self._last = block
        return block
