"""DESFire and NTAG 424 as far as their authentication goes: commands in, answers out.

For the tests of the reader's side. The published vectors keep both sides honest; the simulator's cards are another
implementation, apart from this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.cards import aes

AID = bytes.fromhex("010af5")


def counted(start: int = 0x10) -> bytes:
    """16 bytes that are no pattern of one byte."""
    return bytes((start + place * 7) % 256 for place in range(16))


CHALLENGE = counted()


@dataclass
class DesfireApplication:
    """A card with one application and one AES key."""

    key: bytes
    aid: bytes = AID
    key_number: int = 1
    challenge: bytes = CHALLENGE
    _selected: bool = False
    _sent: bytes = b""

    def __call__(self, command: bytes) -> bytes:
        """One native command."""
        code, parameters = command[0], command[1:]
        if code == 0x5A:
            self._selected = parameters == self.aid
            return b"\x00" if self._selected else b"\xa0"
        if code == 0xAA and self._selected:
            if parameters != bytes((self.key_number,)):
                return b"\x40"
            self._sent = aes.encrypted(self.key, self.challenge)
            return b"\xaf" + self._sent
        if code == 0xAF and self._sent:
            return self._proved(parameters)
        return b"\x1c"

    def _proved(self, token: bytes) -> bytes:
        plain = aes.decrypted(self.key, token, iv=self._sent)
        self._sent = b""
        if plain[16:] != self.challenge[1:] + self.challenge[:1]:
            return b"\xae"
        mine = plain[1:16] + plain[:1]
        return b"\x00" + aes.encrypted(self.key, mine, iv=token[16:])


@dataclass
class NtagApplication:
    """A tag with one AES key."""

    key: bytes
    key_number: int = 0
    challenge: bytes = CHALLENGE
    _selected: bool = False
    _asked: bool = False

    def __call__(self, command: bytes) -> bytes:
        """One ISO 7816 command."""
        if command == bytes.fromhex("00a4040c07d276000085010100"):
            self._selected = True
            return b"\x90\x00"
        if command[:5] == b"\x90\x71\x00\x00\x02" and self._selected:
            if command[5] != self.key_number:
                return b"\x91\x40"
            self._asked = True
            return aes.encrypted(self.key, self.challenge) + b"\x91\xaf"
        if command[:5] == b"\x90\xaf\x00\x00\x20" and self._asked:
            self._asked = False
            return self._proved(command[5:37])
        return b"\x91\x1c"

    def _proved(self, token: bytes) -> bytes:
        plain = aes.decrypted(self.key, token)
        if plain[16:] != self.challenge[1:] + self.challenge[:1]:
            return b"\x91\xae"
        proof = b"\x9d\x00\xc4\xdf" + plain[1:16] + plain[:1] + bytes(12)
        return aes.encrypted(self.key, proof) + b"\x91\x00"
