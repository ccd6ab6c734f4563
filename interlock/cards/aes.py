"""What both AES authentications are made of: CBC, the turned challenge, a comparison that tells nothing by its time."""

from __future__ import annotations

from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

BLOCK_BYTES = 16
ZERO_IV = bytes(BLOCK_BYTES)


def encrypted(key: bytes, plain: bytes, iv: bytes = ZERO_IV) -> bytes:
    """`plain`, whole blocks, under AES-128-CBC."""
    cipher = Cipher(AES(key), CBC(iv)).encryptor()
    return cipher.update(plain) + cipher.finalize()


def decrypted(key: bytes, cipher_text: bytes, iv: bytes = ZERO_IV) -> bytes:
    """The inverse of `encrypted`."""
    cipher = Cipher(AES(key), CBC(iv)).decryptor()
    return cipher.update(cipher_text) + cipher.finalize()


def turned(challenge: bytes) -> bytes:
    """`challenge` with its first byte at the end."""
    return challenge[1:] + challenge[:1]


def same(one: bytes, other: bytes) -> bool:
    """Whether both are equal, in a time that does not tell where they differ."""
    return compare_digest(one, other)
