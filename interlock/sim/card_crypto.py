"""The ciphers of a card: keys and blocks go in; chained ciphertext, CMACs and diversified keys out.

Built from the bare block cipher alone (CBC, CMAC and its subkeys are written here, from NIST
SP 800-38A and 800-38B), apart from `interlock.cards`, so that an error in one is not an error in
both.
"""

from __future__ import annotations

import zlib
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

AES_BYTES = 16
CMAC_CONSTANTS = {8: 0x1B, 16: 0x87}
"""R_b of 800-38B, 5.3, by block size."""
PADDING_BEGINS = b"\x80"
DIVERSIFIES_AES_128 = b"\x01"
DIVERSIFICATION_BYTES = 32
"""AN10922, 2.2.1: constant, input and padding always make two blocks."""


class KeyKind(IntEnum):
    """What a DESFire key is for, by the code of CreateApplication."""

    TWO_KEY_3DES = 0x00
    AES_128 = 0x80


class CardCipher:
    """One key of a card; DES is two-key triple DES with equal halves."""

    def __init__(self, kind: KeyKind, key: bytes) -> None:
        if len(key) != AES_BYTES:
            raise ValueError(f"a card key has {AES_BYTES} bytes, not {len(key)}")
        self.key = key
        self.kind = kind
        self._forward, self._backward = _block_cipher(kind, key)
        self.block_bytes = AES_BYTES if kind is KeyKind.AES_128 else 8

    @property
    def zeros(self) -> bytes:
        """The initial chaining value."""
        return bytes(self.block_bytes)

    def encrypted(self, plain: bytes, chained: bytes) -> bytes:
        """CBC of whole blocks that begins from `chained`."""
        out = b""
        for block in self._blocks(plain):
            chained = self._forward.update(xor(block, chained))
            out += chained
        return out

    def decrypted(self, secret: bytes, chained: bytes) -> bytes:
        """What `encrypted` was given."""
        out = b""
        for block in self._blocks(secret):
            out += xor(self._backward.update(block), chained)
            chained = block
        return out

    def cmac(self, message: bytes, chained: bytes | None = None) -> bytes:
        """CMAC of `message`, one block long; DESFire EV1 lets it begin from `chained`."""
        whole = bool(message) and len(message) % self.block_bytes == 0
        padded = message if whole else iso_padded(message, self.block_bytes)
        return self.cmac_of_blocks(padded, whole, chained)

    def cmac_of_blocks(self, blocks: bytes, whole: bool, chained: bytes | None = None) -> bytes:
        """CMAC of blocks padded already, unless `whole`: the subkey differs."""
        once = self._doubled(self._forward.update(self.zeros))
        subkey = once if whole else self._doubled(once)
        last = xor(blocks[-self.block_bytes :], subkey)
        sent = self.encrypted(blocks[: -self.block_bytes] + last, chained or self.zeros)
        return sent[-self.block_bytes :]

    def _doubled(self, block: bytes) -> bytes:
        """`block` times two in the field of the block size."""
        bits = 8 * self.block_bytes
        value = int.from_bytes(block) << 1
        if value >> bits:
            value ^= 1 << bits | CMAC_CONSTANTS[self.block_bytes]
        return value.to_bytes(self.block_bytes)

    def _blocks(self, content: bytes) -> list[bytes]:
        if len(content) % self.block_bytes:
            raise ValueError(f"{len(content)} bytes are no whole blocks of {self.block_bytes}")
        return [
            content[at : at + self.block_bytes] for at in range(0, len(content), self.block_bytes)
        ]


def aes(key: bytes) -> CardCipher:
    """An AES-128 key."""
    return CardCipher(KeyKind.AES_128, key)


def diversified(site_key: bytes, uid: bytes, aid: bytes, site_id: bytes) -> bytes:
    """K_card = AN10922(K_site; 01 ‖ UID ‖ AID ‖ site id), AES-128: what a genuine badge is given."""
    message = DIVERSIFIES_AES_128 + uid + aid + site_id
    if len(message) > DIVERSIFICATION_BYTES:
        raise ValueError(f"UID, AID and site id make {len(message) - 1} bytes; 31 are the limit")
    whole = len(message) == DIVERSIFICATION_BYTES
    padded = message if whole else iso_padded(message, DIVERSIFICATION_BYTES)
    return aes(site_key).cmac_of_blocks(padded, whole)


def crc32_nxp(content: bytes) -> bytes:
    """CRC-32 without the final inversion, low byte first, as DESFire and NTAG 424 use it."""
    return (zlib.crc32(content) ^ 0xFFFFFFFF).to_bytes(4, "little")


def iso_padded(content: bytes, block_bytes: int) -> bytes:
    """`content`, 80 and zeros to whole blocks: at least one byte more (ISO 9797-1, method 2)."""
    zeros = -(len(content) + 1) % block_bytes
    return content + PADDING_BEGINS + bytes(zeros)


def iso_unpadded(content: bytes) -> bytes | None:
    """What `iso_padded` was given; None when it was not that."""
    stripped = content.rstrip(b"\x00")
    return stripped[:-1] if stripped.endswith(PADDING_BEGINS) else None


def rotated(content: bytes) -> bytes:
    """`content` with its first byte last: RndA' and RndB'."""
    return content[1:] + content[:1]


def unrotated(content: bytes) -> bytes:
    """What `rotated` was given."""
    return content[-1:] + content[:-1]


def xor(one: bytes, other: bytes) -> bytes:
    """Exclusive or, byte by byte, of equal lengths."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _block_cipher(kind: KeyKind, key: bytes) -> tuple[CipherContext, CipherContext]:
    if kind is KeyKind.AES_128:
        cipher = Cipher(AES(key), ECB())
    else:
        # Only a factory-fresh DESFire card needs it; older releases keep the class elsewhere.
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

        cipher = Cipher(TripleDES(key + key[:8]), ECB())
    return cipher.encryptor(), cipher.decryptor()
