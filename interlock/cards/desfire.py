"""DESFire EV1, EV2 and EV3 in native frames: an application, a key number and a key in, a session key or none out.

AuthenticateAES is mutual: the card sends E(RndB), we E(RndA ‖ RndB'), the card E(RndA'), where ' turns by one byte
and the CBC chain runs through all three. Who answers right knows the key; RndA is new each time, so nothing that
was recorded helps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from interlock.cards import aes
from interlock.cards.exchange import REMEDY, Draw, Transceive
from interlock.errors import CardError

SELECT_APPLICATION = 0x5A
AUTHENTICATE_AES = 0xAA
ADDITIONAL_FRAME = 0xAF
OPERATION_OK = 0x00
REFUSALS = {
    0x1C: "illegal command",
    0x40: "no such key",
    0x7E: "wrong length",
    0x9D: "permission denied",
    0x9E: "wrong parameter",
    0xA0: "application not found",
    0xAE: "authentication error: wrong key",
}
"""Answers that say for good that this is no badge of the lab; all others (an aborted command, a memory error) may
be gone at the next try."""
ISO_STATUS_BYTES = 2
ISO_ERROR_CLASSES = range(0x61, 0x70)
"""SW1 of a card that speaks ISO 7816 only and answers two bytes instead of a DESFire status."""


@dataclass(frozen=True, slots=True)
class Session:
    """What both sides know after an authentication; printed it shows nothing."""

    key: bytes = field(repr=False)


def authenticate(
    transceive: Transceive, aid: bytes, key_number: int, key: bytes, draw: Draw
) -> Session | None:
    """The session with a card that knows `key`; None when it does not, or has no such application or key.

    `aid` is 3 bytes in the order they are sent. Raises CardError when the card left or answers nonsense.
    """
    if _command(transceive, bytes((SELECT_APPLICATION,)) + aid, OPERATION_OK, 0) is None:
        return None
    start = bytes((AUTHENTICATE_AES, key_number))
    challenge = _command(transceive, start, ADDITIONAL_FRAME, aes.BLOCK_BYTES)
    if challenge is None:
        return None
    theirs, mine = aes.decrypted(key, challenge), draw(aes.BLOCK_BYTES)
    token = aes.encrypted(key, mine + aes.turned(theirs), iv=challenge)
    answer = bytes((ADDITIONAL_FRAME,)) + token
    proof = _command(transceive, answer, OPERATION_OK, aes.BLOCK_BYTES)
    if proof is None:
        return None
    if not aes.same(aes.decrypted(key, proof, iv=token[-aes.BLOCK_BYTES :]), aes.turned(mine)):
        return None
    return Session(mine[:4] + theirs[:4] + mine[12:] + theirs[12:])


def _command(
    transceive: Transceive, command: bytes, status: int, length_bytes: int
) -> bytes | None:
    """What follows the `status` that is wanted; None when the card refuses for good."""
    answer = transceive(command)
    if len(answer) == 1 + length_bytes and answer[0] == status:
        return answer[1:]
    is_iso = len(answer) == ISO_STATUS_BYTES and answer[0] in ISO_ERROR_CLASSES
    if is_iso or (len(answer) == 1 and answer[0] in REFUSALS):
        return None
    said = f"status {answer[:1].hex() or 'none'}, {len(answer)} bytes"
    raise CardError(f"an answer it should not give ({said})", where="DESFire card", remedy=REMEDY)
