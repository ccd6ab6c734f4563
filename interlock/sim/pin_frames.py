"""What node and world say about pins: one datagram of a Unix SEQPACKET socket each way, in and out.

A packet is a header of seven bytes; a refusal carries its reason as text behind it. The world is
the kernel here: whoever holds the connection is the process that owns the lines it claimed through
it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from interlock.errors import ProtocolError
from interlock.sim.kernel_pins import Pull

HEADER = struct.Struct("!BBBI")
PACKET_BYTES_MAX = 512

PULLS = (Pull.FLOATING, Pull.UP, Pull.DOWN)
"""A pull travels as its place in this tuple."""


class Kind(IntEnum):
    """The first three go to the world, the others come from it."""

    CLAIM_INPUT = 1
    CLAIM_OUTPUT = 2
    WRITE = 3
    READY = 4
    DONE = 5
    REFUSED = 6
    LEVEL = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet. `value` is a level or a pull; `ticket` joins a claim and its answer."""

    kind: Kind
    line: int = 0
    value: int = 0
    ticket: int = 0
    text: str = ""


def packed(frame: Frame) -> bytes:
    """The packet of `frame`."""
    header = HEADER.pack(frame.kind, frame.line, frame.value, frame.ticket)
    return header + frame.text.encode()[: PACKET_BYTES_MAX - HEADER.size]


def unpacked(packet: bytes) -> Frame:
    """The frame of `packet`. Raises ProtocolError."""
    try:
        kind, line, value, ticket = HEADER.unpack_from(packet)
        text = packet[HEADER.size :].decode(errors="replace")
        return Frame(Kind(kind), line, value, ticket, text)
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"not a pin packet: {packet[:16]!r}", where="pins.sock") from error
