"""Secure messaging from the card's side: what a command says goes in, what it means comes out.

Two generations, each a `Session` that lives from an authentication to the next error, selection or
change of its own key:

- EV1 (DESFire after AuthenticateAES or AuthenticateISO): one chaining value runs through the CMACs
  and ciphertexts of all commands and answers; answers carry 8 bytes of CMAC, plain commands none.
- EV2 (DESFire EV2/EV3 and NTAG 424 after AuthenticateEV2First): two keys, a transaction identifier
  and a command counter; commands and answers carry a MAC truncated to every second byte
  (NT4H2421Gx rev. 3.0, 9.1).

What arrives damaged is None; the chip answers INTEGRITY_ERROR and the session is over.
"""

from __future__ import annotations

from typing import Protocol

from interlock.sim.card_crypto import (
    AES_BYTES,
    CardCipher,
    aes,
    crc32_nxp,
    iso_padded,
    iso_unpadded,
    xor,
)

CRC_BYTES = 4
MAC_BYTES = 8
TI_BYTES = 4
OK = b"\x00"
"""The status of an answer that is protected: errors end the session and are not."""
COMMAND_LABEL = b"\xa5\x5a"
ANSWER_LABEL = b"\x5a\xa5"
COUNTER_MAX = 0xFFFF


class Session(Protocol):
    """Secure messaging with whoever holds key `key_number`."""

    key_number: int

    def plain_in(self, code: int, body: bytes) -> bytes | None:
        """The payload of a command whose content is not secret."""

    def secret_in(
        self, code: int, body: bytes, header: int, lengths: tuple[int, int]
    ) -> bytes | None:
        """The secret part of a command, deciphered: `lengths` of what EV1's own CRC stands between.

        `header` counts the bytes before it that are not secret.
        """

    def plain_out(self, content: bytes) -> bytes:
        """`content` as an answer that everybody may read and nobody change."""

    def secret_out(self, content: bytes) -> bytes:
        """`content` as an answer that nobody else may read."""


class Ev1Session:
    """DESFire EV1 secure messaging under a session key."""

    def __init__(self, key_number: int, cipher: CardCipher) -> None:
        self.key_number = key_number
        self._cipher = cipher
        self._chained = cipher.zeros

    def plain_in(self, code: int, body: bytes) -> bytes | None:
        """`body` itself; its CMAC becomes the chaining value on both sides."""
        self._chained = self._cipher.cmac(bytes((code,)) + body, self._chained)
        return body

    def secret_in(
        self, code: int, body: bytes, header: int, lengths: tuple[int, int]
    ) -> bytes | None:
        """The content before and after the CRC-32, which covers command, header and the former."""
        secret, (before, after) = body[header:], lengths
        size = self._cipher.block_bytes
        if not secret or len(secret) != -(-(before + CRC_BYTES + after) // size) * size:
            return None
        plain = self._cipher.decrypted(secret, self._chained)
        self._chained = secret[-size:]
        content, crc = plain[:before], plain[before : before + CRC_BYTES]
        rest = plain[before + CRC_BYTES :]
        if crc != crc32_nxp(bytes((code,)) + body[:header] + content) or any(rest[after:]):
            return None
        return content + rest[:after]

    def plain_out(self, content: bytes) -> bytes:
        """`content` and 8 bytes of its CMAC, status included."""
        self._chained = self._cipher.cmac(content + OK, self._chained)
        return content + self._chained[:MAC_BYTES]

    def secret_out(self, content: bytes) -> bytes:
        """`content` and its CRC-32 (status included), padded with zeros and enciphered."""
        plain = content + crc32_nxp(content + OK)
        plain += bytes(-len(plain) % self._cipher.block_bytes)
        secret = self._cipher.encrypted(plain, self._chained)
        self._chained = secret[-self._cipher.block_bytes :]
        return secret


class Ev2Session:
    """EV2 secure messaging; `counter` is CmdCtr, the number of commands since the first."""

    def __init__(
        self, key_number: int, *, enc: bytes, mac: bytes, identifier: bytes, counter: int = 0
    ) -> None:
        self.key_number = key_number
        self.identifier = identifier
        self.counter = counter
        self._enc = aes(enc)
        self._mac = aes(mac)

    def plain_in(self, code: int, body: bytes) -> bytes | None:
        """`body` without its MAC."""
        if len(body) < MAC_BYTES:
            return None
        content, mac = body[:-MAC_BYTES], body[-MAC_BYTES:]
        expected = self._truncated_mac(bytes((code,)), content)
        if mac != expected or self.counter >= COUNTER_MAX:
            return None
        self.counter += 1
        return content

    def secret_in(
        self, code: int, body: bytes, header: int, lengths: tuple[int, int]
    ) -> bytes | None:
        """The padded content, deciphered under the initial value of this command."""
        chained = self._initial(COMMAND_LABEL)
        content = self.plain_in(code, body)
        if content is None or len(content) == header or (len(content) - header) % AES_BYTES:
            return None
        plain = iso_unpadded(self._enc.decrypted(content[header:], chained))
        return plain if plain is not None and len(plain) == sum(lengths) else None

    def plain_out(self, content: bytes) -> bytes:
        """`content` and its MAC."""
        return content + self._truncated_mac(OK, content)

    def secret_out(self, content: bytes) -> bytes:
        """`content`, padded and enciphered, and its MAC."""
        padded = iso_padded(content, AES_BYTES)
        return self.plain_out(self._enc.encrypted(padded, self._initial(ANSWER_LABEL)))

    def _initial(self, label: bytes) -> bytes:
        """IV of the current command or answer (9.1.4)."""
        block = label + self.identifier + self._counter_bytes() + bytes(8)
        return self._enc.encrypted(block, self._enc.zeros)

    def _truncated_mac(self, code: bytes, content: bytes) -> bytes:
        """Every second byte of the CMAC (9.1.3)."""
        message = code + self._counter_bytes() + self.identifier + content
        return self._mac.cmac(message)[1::2]

    def _counter_bytes(self) -> bytes:
        return self.counter.to_bytes(2, "little")


def ev1_session_key(key: CardCipher, rnd_a: bytes, rnd_b: bytes) -> bytes:
    """The key of an EV1 session, 16 bytes, from the challenges of both sides."""
    if key.block_bytes == AES_BYTES:
        return rnd_a[:4] + rnd_b[:4] + rnd_a[12:16] + rnd_b[12:16]
    first = rnd_a[:4] + rnd_b[:4]
    # A DES key is a triple DES key with equal halves, and so is its session's.
    return first + (first if key.key[:8] == key.key[8:] else rnd_a[4:8] + rnd_b[4:8])


def ev2_session_keys(key: CardCipher, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """SesAuthENCKey and SesAuthMACKey (9.1.7)."""
    mixed = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    counter_and_length = b"\x00\x01\x00\x80"
    return (
        key.cmac(COMMAND_LABEL + counter_and_length + mixed),
        key.cmac(ANSWER_LABEL + counter_and_length + mixed),
    )
