"""NTAG 424 DNA: wrapped commands go in; five AES keys, EV2 authentication and ChangeKey answer.

From NXP NT4H2421Gx rev. 3.0 (sections in brackets) and AN12196. Modelled: ISO SELECT of the NDEF
application by name (10.9.1), GetVersion (10.5.2), AuthenticateEV2First and NonFirst (10.4), ChangeKey
(10.6.1), GetKeyVersion (10.6.2), GetCardUID (10.5.3), secure messaging in modes MAC and Full (9.1).
Not modelled: files, SDM and its mirrors, LRP, SetConfiguration, ReadSig, the counters of failed
authentications and their delay (8.2.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlock.sim.card_blocks import Ats, BlockCard, Habits
from interlock.sim.card_chip import CRYPTO_US, WRITE_US, Chip, Command, Draw, Said, Status
from interlock.sim.card_crypto import AES_BYTES, aes, crc32_nxp, xor

NDEF_APPLICATION = bytes.fromhex("d2760000850101")
"""DF name of the application that holds the keys (8.2.2)."""
MASTER_FILE = bytes.fromhex("d2760000850100")
KEYS = 5
MASTER_KEY = 0
NTAG424_ATQA = b"\x44\x03"
NTAG424_ATS = Ats(fsci=7, fwi=7, sfgi=1)
"""06 77 77 71 02 80 (8.5.3.2): frames of 128 bytes, 38.7 ms to answer."""
VERSION_HARDWARE = bytes.fromhex("04040230001105")
VERSION_SOFTWARE = bytes.fromhex("04040201021105")
"""Vendor NXP, type NTAG, 50 pF, version 48.0 and 1.2, 416 bytes, ISO 14443-4 (10.5.2)."""
BATCH_AND_DATE = bytes.fromhex("cf7f2b5d102226")
CHANGE_KEY_BYTES = 1 + 2 * AES_BYTES + 8
GET_UID = 0x51
CHANGE_KEY = 0xC4


@dataclass(frozen=True, slots=True)
class NtagKey:
    """A key of 16 bytes and the version the desk gave it."""

    content: bytes
    version: int = 0


FACTORY_KEYS = (NtagKey(bytes(AES_BYTES)),) * KEYS


class Ntag424(Chip):
    """The software of an NTAG 424 DNA; `keys` survive without power."""

    speaks_native = False

    def __init__(self, uid: bytes, draw: Draw, keys: tuple[NtagKey, ...] = FACTORY_KEYS) -> None:
        super().__init__(uid, draw)
        self.keys = keys
        self._is_selected = False
        self._names = {NDEF_APPLICATION: self._select, MASTER_FILE: self._deselect}
        self._commands = {
            0x60: Command(self._get_version),
            0x71: Command(self._authenticate_first, range(2, 9), is_raw=True),
            0x77: Command(self._authenticate_again, (1,), is_raw=True),
            CHANGE_KEY: Command(self._change_key, (CHANGE_KEY_BYTES,), is_raw=True),
            0x64: Command(self._get_key_version, (1,)),
            GET_UID: Command(self._get_uid),
        }

    def power_on(self) -> None:
        """The master file is selected, nobody is authenticated."""
        super().power_on()
        self._is_selected = False

    def _select(self) -> None:
        self._is_selected = True

    def _deselect(self) -> None:
        self._is_selected = False

    def _get_version(self, _: bytes) -> Said:
        return self._in_frames([VERSION_HARDWARE, VERSION_SOFTWARE, self.uid + BATCH_AND_DATE])

    def _authenticate_first(self, body: bytes) -> Said:
        number, length, capabilities = body[0], body[1], body[2:]
        if length != len(capabilities):
            return Said(Status.LENGTH_ERROR)
        if not self._is_selected:
            return Said(Status.PERMISSION_DENIED)
        if number >= KEYS:
            return Said(Status.NO_SUCH_KEY)
        return self._authenticate_ev2(number, aes(self.keys[number].content), capabilities)

    def _authenticate_again(self, body: bytes) -> Said:
        if body[0] >= KEYS:
            return Said(Status.NO_SUCH_KEY)
        return self._authenticate_ev2_again(body[0], aes(self.keys[body[0]].content))

    def _get_key_version(self, body: bytes) -> Said:
        if not self._is_selected:
            return Said(Status.PERMISSION_DENIED)
        if body[0] >= KEYS:
            return Said(Status.NO_SUCH_KEY)
        return self._done(bytes((self.keys[body[0]].version,)))

    def _get_uid(self, _: bytes) -> Said:
        if self.session is None:
            return Said(Status.AUTHENTICATION_ERROR)
        return Said(Status.OK, self.session.secret_out(self.uid), CRYPTO_US)

    def _change_key(self, body: bytes) -> Said:
        """Only under key 0; another key than that arrives xored with the old one and with a CRC."""
        session, number = self.session, body[0]
        if session is None or session.key_number != MASTER_KEY:
            return Said(Status.AUTHENTICATION_ERROR)
        if number >= KEYS:
            return Said(Status.NO_SUCH_KEY)
        lengths = (AES_BYTES + 1, 0 if number == MASTER_KEY else 4)
        plain = session.secret_in(CHANGE_KEY, body, 1, lengths)
        if plain is None:
            return Said(Status.INTEGRITY_ERROR)
        content, version, crc = plain[:AES_BYTES], plain[AES_BYTES], plain[AES_BYTES + 1 :]
        if number != MASTER_KEY:
            content = xor(content, self.keys[number].content)
            if crc != crc32_nxp(content):
                return Said(Status.INTEGRITY_ERROR)
        changed = replace(self.keys[number], content=content, version=version)
        self.keys = (*self.keys[:number], changed, *self.keys[number + 1 :])
        if number == MASTER_KEY:
            self.session = None
        return self._done(work_us=CRYPTO_US + WRITE_US)


def ntag424_card(
    uid: bytes,
    draw: Draw,
    keys: tuple[NtagKey, ...] = FACTORY_KEYS,
    *,
    ats: Ats = NTAG424_ATS,
    habits: Habits | None = None,
) -> BlockCard:
    """An NTAG 424 DNA of 7-byte `uid`, to be laid on an antenna."""
    software = Ntag424(uid, draw, keys)
    return BlockCard(uid, software, ats=ats, habits=habits, atqa=NTAG424_ATQA)
