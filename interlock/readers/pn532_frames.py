"""What a PN532 and its host say on a serial line: payloads to frames, a stream of bytes to frames.

    00 00 FF LEN LCS TFI payload DCS 00              up to 255 bytes (TFI included)
    00 00 FF FF FF LENM LENL LCS TFI payload DCS 00  an extended frame, up to 265
    00 00 FF 00 FF 00                                ACK        00 00 FF FF 00 00   NACK
    00 00 FF 01 FF 7F 81 00                          the chip did not understand

LEN and LCS, and TFI to DCS, sum up to 0 modulo 256. Between frames anything may stand; what begins
like a frame and does not add up is `Damaged`, and reading goes on right behind its start code, so
that garbage never swallows the frame that follows it. Sections 6.2.1 and 6.2.2 of the user manual
UM0701-02.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

START = b"\x00\x00\xff"
START_CODE = START[1:]
POSTAMBLE = b"\x00"
ACK = bytes.fromhex("0000ff00ff00")
NACK = bytes.fromhex("0000ffff0000")
HOST_TO_CHIP = 0xD4
CHIP_TO_HOST = 0xD5
SYNTAX_ERROR = 0x7F
LENGTH_MAX_NORMAL = 255
LENGTH_MAX = 265
"""TFI and payload of the longest extended frame the chip takes or sends (6.2.1.2)."""
EXTENDED_MARK = b"\xff\xff"


class Mark(Enum):
    """Frames without a payload, and what is none."""

    ACK = auto()
    NACK = auto()
    SYNTAX_ERROR = auto()
    """The chip says that it did not understand the command."""
    DAMAGED = auto()
    """It began like a frame, and its length or its sum is wrong."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A whole frame with a right sum; `content` begins with the command code."""

    direction: int
    content: bytes


Frame = Mark | Payload


def command_frame(payload: bytes) -> bytes:
    """The frame that carries `payload`, a command code and its parameters, to the chip.

    Raises ValueError for more than an extended frame holds.
    """
    body = bytes((HOST_TO_CHIP,)) + payload
    length = len(body)
    if length > LENGTH_MAX:
        raise ValueError(f"{length} bytes in one frame, at most {LENGTH_MAX}")
    if length <= LENGTH_MAX_NORMAL:
        head = bytes((length, -length & 0xFF))
    else:
        size = length.to_bytes(2, "big")
        head = EXTENDED_MARK + size + bytes((-sum(size) & 0xFF,))
    return START + head + body + bytes((-sum(body) & 0xFF,)) + POSTAMBLE


class FrameReader:
    """Bytes as they arrive go in, in pieces of any size; whole frames come out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, heard: bytes) -> list[Frame]:
        """The frames that are complete with these bytes."""
        self._pending += heard
        frames: list[Frame] = []
        while (found := self._next()) is not None:
            frames.append(found)
        return frames

    def forget(self) -> None:
        """Half a frame that is not worth waiting for is dropped."""
        self._pending.clear()

    def _next(self) -> Frame | None:
        start = self._pending.find(START_CODE)
        if start < 0:
            # A last 00 may be the first half of a start code.
            del self._pending[: max(0, len(self._pending) - 1)]
            return None
        del self._pending[:start]
        outcome = _read(bytes(self._pending[len(START_CODE) :]))
        if outcome is None:
            return None
        frame, used = outcome
        del self._pending[: len(START_CODE) + used]
        return frame


def _read(rest: bytes) -> tuple[Frame, int] | None:
    """The frame behind a start code and how many bytes it took; None while it is incomplete."""
    if len(rest) < 2:
        return None
    if rest[:2] == ACK[3:5]:
        return Mark.ACK, 2
    if rest[:2] == NACK[3:5]:
        return Mark.NACK, 2
    head, length = 2, rest[0]
    if rest[:2] == EXTENDED_MARK:
        if len(rest) < 5:
            return None
        head, length = 5, int.from_bytes(rest[2:4], "big")
    length_part = rest[:head] if head == 2 else rest[2:head]
    if sum(length_part) & 0xFF or not 0 < length <= LENGTH_MAX:
        return Mark.DAMAGED, 0
    body = rest[head : head + length + 1]
    if len(body) <= length:
        return None
    if sum(body) & 0xFF:
        return Mark.DAMAGED, 0
    used = head + length + 1
    if body[0] == SYNTAX_ERROR:
        return Mark.SYNTAX_ERROR, used
    return Payload(body[0], body[1:length]), used
