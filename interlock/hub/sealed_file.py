"""A stream of bytes and a back-up key to a sealed file, and back: nothing is ever whole in memory.

    magic ‖ salt (16) ‖ nonce prefix (7) ‖ chunk ‖ chunk ‖ … ‖ last chunk

Each chunk is AES-256-GCM over 64 KiB under scrypt(key, salt); its nonce is prefix ‖ counter ‖ "last" flag (the
STREAM construction, as in age and Tink), and the head of the file is authenticated with it. So a chunk that is
altered, moved, left out or cut off is refused before any byte of it is used. Why not age itself: its Python
libraries are not in Debian and bring a binary; AES-GCM and scrypt come with `cryptography`, which is here.
"""

from __future__ import annotations

import io
import re
import secrets
from types import TracebackType
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from interlock.errors import StoreError

MAGIC = b"interlock-backup-1\n"
SALT_BYTES = 16
PREFIX_BYTES = 7
COUNTER_BYTES = 4
HEAD_BYTES = len(MAGIC) + SALT_BYTES + PREFIX_BYTES
CHUNK_BYTES = 65_536
"""2^32 of them make 256 TiB: more than any back-up."""
TAG_BYTES = 16
SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P = 15, 8, 1
"""32 MiB and about 0.1 s: RFC 7914's interactive setting, doubled; a generated key has 130 bits besides."""

KEY_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter is taken for a digit when it is read from paper."""
KEY_LENGTH, KEY_GROUP = 26, 5
_GENERATED = re.compile(rf"[{KEY_LETTERS}]{{{KEY_LENGTH}}}")


def new_key() -> str:
    """A key of 130 random bits, in groups that people can write down."""
    letters = "".join(secrets.choice(KEY_LETTERS) for _ in range(KEY_LENGTH))
    return "-".join(letters[at : at + KEY_GROUP] for at in range(0, KEY_LENGTH, KEY_GROUP))


def plain(key: str) -> bytes:
    """What a typed key stands for: a generated one in any case and grouping, or a passphrase as it is."""
    packed = re.sub(r"[\s-]", "", key).upper()
    return (packed if _GENERATED.fullmatch(packed) else key.strip()).encode()


class SealedWriter(io.RawIOBase):
    """What is written goes sealed to `target`; `close` seals the last chunk and leaves `target` open."""

    def __init__(self, target: BinaryIO, key: str) -> None:
        self._target = target
        self._head = MAGIC + secrets.token_bytes(SALT_BYTES + PREFIX_BYTES)
        self._cipher = _cipher(key, self._head)
        self._counter = 0
        self._waiting = bytearray()
        target.write(self._head)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        """Every byte of `data` is taken."""
        view = memoryview(data)  # type: ignore[arg-type] # whatever has a buffer, as io says
        self._waiting += view
        # The last chunk may be a full one: it is known only when nothing follows.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return view.nbytes

    def close(self) -> None:
        if not self.closed:
            self._seal(bytes(self._waiting), last=True)
        super().close()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        nonce = _nonce(self._head, self._counter, last=last)
        self._target.write(self._cipher.encrypt(nonce, chunk, self._head))
        self._counter += 1


class SealedReader(io.RawIOBase):
    """The bytes that were sealed into `source`. Raises StoreError: another key, an altered or cut file."""

    def __init__(self, source: BinaryIO, key: str, where: str) -> None:
        self._source, self._where = source, where
        self._head = source.read(HEAD_BYTES)
        if len(self._head) != HEAD_BYTES or not self._head.startswith(MAGIC):
            raise StoreError("this is no back-up of a hub", where=where)
        self._cipher = _cipher(key, self._head)
        self._counter = 0
        self._ahead = source.read(CHUNK_BYTES + TAG_BYTES)
        self._open = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Bytes into `buffer`; 0 at the end, which is authenticated too."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type] # whatever has a buffer
        while not self._open and not self._ended:
            self._next()
        count = min(len(view), len(self._open))
        view[:count], self._open = self._open[:count], self._open[count:]
        return count

    def _next(self) -> None:
        chunk, self._ahead = self._ahead, self._source.read(CHUNK_BYTES + TAG_BYTES)
        self._ended = not self._ahead
        nonce = _nonce(self._head, self._counter, last=self._ended)
        self._counter += 1
        try:
            self._open = self._cipher.decrypt(nonce, chunk, self._head)
        except InvalidTag as error:
            what = "the key does not open it" if self._counter == 1 else "it was altered or cut off"
            raise StoreError(
                what, where=self._where, remedy="Check the back-up key, or take another back-up"
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cipher(key: str, head: bytes) -> AESGCM:
    salt = head[len(MAGIC) : len(MAGIC) + SALT_BYTES]
    kdf = Scrypt(salt=salt, length=32, n=1 << SCRYPT_LOG_N, r=SCRYPT_R, p=SCRYPT_P)
    return AESGCM(kdf.derive(plain(key)))


def _nonce(head: bytes, counter: int, *, last: bool) -> bytes:
    return head[-PREFIX_BYTES:] + counter.to_bytes(COUNTER_BYTES, "big") + bytes([last])
