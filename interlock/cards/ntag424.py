"""NTAG 424 DNA in ISO 7816 commands: a key number and a key in, a session or none out.

AuthenticateEV2First is mutual: the tag sends E(RndB), we E(RndA ‖ RndB'), the tag E(TI ‖ RndA' ‖ capabilities), each
with a zero IV (NT4H2421Gx data sheet, 9.1.5; figures in AN12196).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from interlock.cards import aes
from interlock.cards.exchange import REMEDY, Draw, Transceive
from interlock.errors import CardError

SELECT_BY_NAME = bytes.fromhex("00a4040c07d276000085010100")
"""ISO SELECT of the tag's only application; P2 0C: no answer but the status."""
SELECTED = bytes.fromhex("9000")
MORE = bytes.fromhex("91af")
DONE = bytes.fromhex("9100")
STATUS_BYTES = 2
REFUSALS = frozenset(
    bytes.fromhex(text) for text in ("911c", "9140", "917e", "919d", "919e", "91a0", "91ae")
)
"""The same as `desfire.REFUSALS`, in the words of this tag."""
ISO_REFUSAL_CLASSES = (0x67, 0x69, 0x6A, 0x6B, 0x6D, 0x6E)
"""SW1 of: wrong length, not allowed, not found, wrong parameters, unknown instruction, unknown class."""
TI_BYTES = 4
PROOF_BYTES = 32
SESSION_ENCRYPTION = bytes.fromhex("a55a00010080")
SESSION_MAC = bytes.fromhex("5aa500010080")


@dataclass(frozen=True, slots=True)
class Session:
    """What both sides know after an authentication; printed it shows no key."""

    transaction_id: bytes
    encryption_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)


def authenticate(transceive: Transceive, key_number: int, key: bytes, draw: Draw) -> Session | None:
    """The session with a tag that knows `key`; None when it does not, or is no such tag. Raises CardError."""
    if _command(transceive, SELECT_BY_NAME, SELECTED, 0) is None:
        return None
    start = bytes((0x90, 0x71, 0x00, 0x00, 0x02, key_number, 0x00, 0x00))
    challenge = _command(transceive, start, MORE, aes.BLOCK_BYTES)
    if challenge is None:
        return None
    theirs, mine = aes.decrypted(key, challenge), draw(aes.BLOCK_BYTES)
    token = aes.encrypted(key, mine + aes.turned(theirs))
    answer = bytes((0x90, 0xAF, 0x00, 0x00, len(token))) + token + b"\x00"
    sealed = _command(transceive, answer, DONE, PROOF_BYTES)
    if sealed is None:
        return None
    proof = aes.decrypted(key, sealed)
    if not aes.same(proof[TI_BYTES : TI_BYTES + aes.BLOCK_BYTES], aes.turned(mine)):
        return None
    return Session(
        proof[:TI_BYTES],
        encryption_key=_session_key(key, SESSION_ENCRYPTION, mine, theirs),
        mac_key=_session_key(key, SESSION_MAC, mine, theirs),
    )


def _session_key(key: bytes, purpose: bytes, mine: bytes, theirs: bytes) -> bytes:
    """CMAC over both challenges, in the order AN12196 gives them (6.6)."""
    mixed = bytes(one ^ other for one, other in zip(mine[2:8], theirs[:6], strict=True))
    cmac = CMAC(AES(key))
    cmac.update(purpose + mine[:2] + mixed + theirs[6:] + mine[8:])
    return cmac.finalize()


def _command(
    transceive: Transceive, command: bytes, status: bytes, length_bytes: int
) -> bytes | None:
    """What stands before the `status` that is wanted; None when the tag refuses for good."""
    answer = transceive(command)
    content, said = answer[:-STATUS_BYTES], answer[-STATUS_BYTES:]
    if said == status and len(content) == length_bytes:
        return content
    if len(answer) == STATUS_BYTES and (said in REFUSALS or said[0] in ISO_REFUSAL_CLASSES):
        return None
    what = f"an answer it should not give (status {said.hex()}, {len(content)} bytes)"
    raise CardError(what, where="NTAG 424 tag", remedy=REMEDY)
