"""NTAG 424 DNA at the desk: keys go in, ISO 7816 commands under EV2 secure messaging come out, and are believed.

    command   90 C4 00 00 Lc  number  E(SesENC, key material)  MAC  00
    answer    MAC 91 00, or 91 00 alone after the session's own key was changed

Sections in brackets are those of NT4H2421Gx rev. 3.0; the figures of AN12196 rev. 2.0, tables 25 and 26, are tests.
"""

from __future__ import annotations

import os
import zlib

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from interlock.cards import aes, ntag424
from interlock.cards.exchange import Draw, Transceive
from interlock.cards.keys import AES_KEY_BYTES
from interlock.desk.chips import APPLICATION_MASTER, CARD_AID, Key, refused
from interlock.desk.site_keys import Place
from interlock.desk.words import _
from interlock.protocol.card_keys import Scheme

KEYS = 5
FACTORY_KEY = bytes(AES_KEY_BYTES)
CHANGE_KEY, GET_KEY_VERSION, GET_UID = 0xC4, 0x64, 0x51
COMMAND_LABEL, ANSWER_LABEL = bytes.fromhex("a55a"), bytes.fromhex("5aa5")
MAC_BYTES = 8
COUNTER_BYTES = 2
UID_BYTES = 7
PADDING = b"\x80"
OK = b"\x00"


class Channel:
    """What an authentication opened: commands are sealed, answers checked; `counter` is CmdCtr (9.1.2)."""

    def __init__(self, session: ntag424.Session, counter: int = 0) -> None:
        self._session = session
        self.counter = counter

    def sealed(self, code: int, header: bytes, secret: bytes = b"") -> bytes:
        """One command in mode Full, or in mode MAC where nothing is secret (9.1.9, 9.1.10)."""
        content = header
        if secret:
            padded = secret + PADDING
            padded += bytes(-len(padded) % aes.BLOCK_BYTES)
            iv = self._initial(COMMAND_LABEL)
            content += aes.encrypted(self._session.encryption_key, padded, iv=iv)
        content += self._mac(bytes((code,)), content)
        return bytes((0x90, code, 0x00, 0x00, len(content))) + content + b"\x00"

    def opened(self, answer: bytes) -> bytes | None:
        """What a confirming answer holds, deciphered where there is anything; None for any other answer."""
        self.counter += 1
        content, mac = answer[: -MAC_BYTES - 2], answer[-MAC_BYTES - 2 : -2]
        if answer[-2:] != ntag424.DONE or not aes.same(mac, self._mac(OK, content)):
            return None
        if not content:
            return b""
        if len(content) % aes.BLOCK_BYTES:
            return None
        iv = self._initial(ANSWER_LABEL)
        plain = aes.decrypted(self._session.encryption_key, content, iv=iv).rstrip(b"\x00")
        return plain[:-1] if plain.endswith(PADDING) else None

    def _initial(self, label: bytes) -> bytes:
        """IV of the current command or answer (9.1.4)."""
        block = label + self._session.transaction_id + self._counter_bytes() + bytes(8)
        return aes.encrypted(self._session.encryption_key, block)

    def _mac(self, code: bytes, content: bytes) -> bytes:
        """Every second byte of the CMAC (9.1.3)."""
        cmac = CMAC(AES(self._session.mac_key))
        cmac.update(code + self._counter_bytes() + self._session.transaction_id + content)
        return cmac.finalize()[1::2]

    def _counter_bytes(self) -> bytes:
        return self.counter.to_bytes(COUNTER_BYTES, "little")


def key_material(number: int, old: bytes, new: bytes, version: int) -> bytes:
    """The secret part of ChangeKey under key 0 (10.6.1, table 63)."""
    if number == APPLICATION_MASTER:
        return new + bytes((version,))
    mixed = bytes(one ^ other for one, other in zip(old, new, strict=True))
    return mixed + bytes((version,)) + crc32_nxp(new)


def crc32_nxp(content: bytes) -> bytes:
    """CRC-32 without its final inversion, low byte first."""
    return (zlib.crc32(content) ^ 0xFFFFFFFF).to_bytes(4, "little")


class Ntag424Chip:
    """A `chips.Chip`: five keys, of which 0 changes them all."""

    name = "NTAG 424 DNA"
    scheme = Scheme.NTAG424_AES
    aid = CARD_AID

    def __init__(self, transceive: Transceive, draw: Draw = os.urandom) -> None:
        self._transceive = transceive
        self._draw = draw
        self._channel: Channel | None = None
        self._opened_with: tuple[int, bytes] | None = None

    def has_application(self) -> bool:
        """It has only one, from the factory."""
        return True

    def places(self) -> tuple[Place, ...]:
        """Key 0 first: from then on nobody else changes anything."""
        return tuple(Place(self.aid, number) for number in range(KEYS))

    def version(self, place: Place) -> int | None:
        """One byte, or None when the tag does not tell it to strangers."""
        self._channel = self._opened_with = None
        self._transceive(ntag424.SELECT_BY_NAME)
        asked = bytes((0x90, GET_KEY_VERSION, 0x00, 0x00, 0x01, place.number, 0x00))
        answer = self._transceive(asked)
        return answer[0] if len(answer) == 3 and answer[1:] == ntag424.DONE else None

    def knows(self, place: Place, key: Key) -> bool:
        """Whether AuthenticateEV2First succeeded."""
        known = FACTORY_KEY if key is None else key
        self._channel = self._opened_with = None
        session = ntag424.authenticate(self._transceive, place.number, known, self._draw)
        if session is None:
            return False
        self._channel, self._opened_with = Channel(session), (place.number, known)
        return True

    def told_uid(self) -> bytes:
        """GetCardUID under the session that is open (10.5.3)."""
        channel = self._open_channel()
        uid = channel.opened(self._transceive(channel.sealed(GET_UID, b"")))
        if uid is None or len(uid) != UID_BYTES:
            raise refused(_("it does not prove its own number"))
        return uid

    def create_application(self, authority: Key, *, is_known: bool) -> None:
        """It is there already."""

    def change(self, place: Place, old: Key, new: bytes, version: int, authority: Key) -> None:
        """One ChangeKey, confirmed by the tag (10.6.1)."""
        master = FACTORY_KEY if authority is None else authority
        if self._opened_with != (APPLICATION_MASTER, master) and not self.knows(
            Place(self.aid, APPLICATION_MASTER), master
        ):
            raise refused(_("it does not know its master key any more"))
        channel = self._open_channel()
        material = key_material(place.number, FACTORY_KEY if old is None else old, new, version)
        answer = self._transceive(channel.sealed(CHANGE_KEY, bytes((place.number,)), material))
        if place.number == APPLICATION_MASTER:
            self._channel = self._opened_with = None
            is_done = answer == ntag424.DONE
        else:
            is_done = channel.opened(answer) == b""
        if not is_done:
            self._channel = self._opened_with = None
            raise refused(_("it did not take its new key %d") % place.number)

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise refused(_("nobody has proved anything to it yet"))
        return self._channel
