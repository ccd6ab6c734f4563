"""MIFARE DESFire: native or wrapped commands go in; applications, keys and AES sessions answer.

NXP gives the full data sheet under NDA only; the sources are the public short data sheets (MF3ICDx1_SDS
rev. 3.2, MF3D(H)x3), AN10922, AN12752 and what public implementations agree on. Modelled: the part
that access control uses — the card's master key (fresh cards: DES zeros) and up to 28 applications
with up to 14 AES keys, AuthenticateISO (DES and two-key 3DES), AuthenticateAES, AuthenticateEV2First,
ChangeKey, ChangeKeySettings and its rules, FormatPICC, GetVersion, GetCardUID.
Not modelled: files and values, three-key 3DES, the legacy authentication 0A, SetConfiguration (random
UID), key sets and the other additions of EV2 and EV3, Virtual Card, Proximity Check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlock.sim.card_blocks import Ats, BlockCard, Habits
from interlock.sim.card_chip import CRYPTO_US, WRITE_US, Chip, Command, Draw, Said, Status
from interlock.sim.card_crypto import AES_BYTES, CardCipher, KeyKind, crc32_nxp, xor

AID_BYTES = 3
PICC_AID = bytes(AID_BYTES)
"""The level of the card itself, which holds the card's master key alone."""
MASTER_KEY = 0
KEYS_MAX = 14
APPLICATIONS_MAX = 28
AIDS_PER_FRAME = 19
"""Nineteen identifiers fill a frame of 60 bytes."""
KEY_COUNT = 0x0F
KEY_KIND = 0xC0
KINDS = {kind.value: kind for kind in KeyKind}
DF_NAME = bytes.fromhex("d2760000850100")
DESFIRE_ATQA = b"\x44\x03"
VERSION_HARDWARE = bytes.fromhex("04010101001805")
VERSION_SOFTWARE = bytes.fromhex("04010101041805")
"""Vendor NXP, type DESFire, version 1.0 and 1.4, 4 KiB, ISO 14443-4: an EV1 of 4 KiB."""
BATCH_AND_DATE = bytes.fromhex("ba341d50600814")

MAY_CHANGE_MASTER_KEY = 0x01
MAY_LIST_FREELY = 0x02
MAY_CREATE_FREELY = 0x04
MAY_CHANGE_SETTINGS = 0x08
FACTORY_SETTINGS = 0x0F
"""Everything is allowed; in an application the upper half says which key changes keys."""
CHANGED_BY_ITSELF = 0x0E
FROZEN = 0x0F

CHANGE_KEY = 0xC4
CHANGE_KEY_SETTINGS = 0x54
KEY_SHORTEST_BYTES = 1 + 24
"""ChangeKey: the number and at least three blocks of DES."""
KEY_LONGEST_BYTES = 1 + 40


@dataclass(frozen=True, slots=True)
class DesfireKey:
    """One key, 16 bytes; `version` is what the desk wrote beside it."""

    content: bytes = bytes(AES_BYTES)
    kind: KeyKind = KeyKind.AES_128
    version: int = 0

    def cipher(self) -> CardCipher:
        """The key at work."""
        return CardCipher(self.kind, self.content)


@dataclass(frozen=True, slots=True)
class Application:
    """An application and its keys, or (`aid` zero) the card's own level."""

    aid: bytes
    keys: tuple[DesfireKey, ...]
    settings: int = FACTORY_SETTINGS

    def with_key(self, number: int, key: DesfireKey) -> Application:
        """The same with another key `number`."""
        return replace(self, keys=(*self.keys[:number], key, *self.keys[number + 1 :]))


FACTORY_MASTER = Application(PICC_AID, (DesfireKey(kind=KeyKind.TWO_KEY_3DES),))


class Desfire(Chip):
    """The software of a DESFire card; `memory` (the card's level first) survives without power."""

    def __init__(
        self, uid: bytes, draw: Draw, memory: tuple[Application, ...] = (FACTORY_MASTER,)
    ) -> None:
        super().__init__(uid, draw)
        self.memory = memory
        self._aid = PICC_AID
        self._names = {DF_NAME: self._select_picc}
        self._commands = {
            0x60: Command(self._get_version),
            0x5A: Command(self._select, (AID_BYTES,), is_raw=True),
            0x6A: Command(self._get_application_ids),
            0xCA: Command(self._create_application, (AID_BYTES + 2,)),
            0xDA: Command(self._delete_application, (AID_BYTES,)),
            0xFC: Command(self._format),
            0x1A: Command(self._authenticate_iso, (1,), is_raw=True),
            0xAA: Command(self._authenticate_aes, (1,), is_raw=True),
            0x71: Command(self._authenticate_ev2_first, range(2, 9), is_raw=True),
            0x45: Command(self._get_key_settings),
            CHANGE_KEY_SETTINGS: Command(self._change_key_settings, range(8, 26), is_raw=True),
            0x64: Command(self._get_key_version, (1,)),
            CHANGE_KEY: Command(
                self._change_key, range(KEY_SHORTEST_BYTES, KEY_LONGEST_BYTES + 1), is_raw=True
            ),
            0x51: Command(self._get_uid),
        }

    def power_on(self) -> None:
        """The card's own level is selected, nobody is authenticated."""
        super().power_on()
        self._aid = PICC_AID

    @property
    def selected(self) -> Application:
        """The application commands apply to now."""
        return next(one for one in self.memory if one.aid == self._aid)

    # ------------------------------------------------------------------------------- applications

    def _get_version(self, _: bytes) -> Said:
        return self._in_frames([VERSION_HARDWARE, VERSION_SOFTWARE, self.uid + BATCH_AND_DATE])

    def _select_picc(self) -> None:
        self._aid = PICC_AID

    def _select(self, aid: bytes) -> Said:
        """Whatever it selects, the session is over."""
        self.session = None
        if not self._has(aid):
            return Said(Status.APPLICATION_NOT_FOUND)
        self._aid = aid
        return Said(Status.OK)

    def _get_application_ids(self, _: bytes) -> Said:
        if self._aid != PICC_AID:
            return Said(Status.PERMISSION_DENIED)
        if not self._may(MAY_LIST_FREELY):
            return Said(Status.AUTHENTICATION_ERROR)
        aids = [one.aid for one in self.memory[1:]]
        starts = range(0, max(len(aids), 1), AIDS_PER_FRAME)
        return self._in_frames([b"".join(aids[at : at + AIDS_PER_FRAME]) for at in starts])

    def _create_application(self, body: bytes) -> Said:
        aid, settings, keys = body[:AID_BYTES], body[AID_BYTES], body[AID_BYTES + 1]
        if self._aid != PICC_AID:
            return Said(Status.PERMISSION_DENIED)
        if not self._may(MAY_CREATE_FREELY):
            return Said(Status.AUTHENTICATION_ERROR)
        if self._has(aid):
            return Said(Status.DUPLICATE)
        if keys & KEY_KIND not in KINDS or not 1 <= keys & KEY_COUNT <= KEYS_MAX:
            return Said(Status.PARAMETER_ERROR)
        if len(self.memory) > APPLICATIONS_MAX:
            return Said(Status.COUNT_ERROR)
        key = DesfireKey(kind=KINDS[keys & KEY_KIND])
        self.memory = (*self.memory, Application(aid, (key,) * (keys & KEY_COUNT), settings))
        return self._done(work_us=WRITE_US)

    def _delete_application(self, aid: bytes) -> Said:
        """With the card's master key, or from inside with the application's own."""
        if not self._is_authenticated_with(MASTER_KEY):
            return Said(Status.AUTHENTICATION_ERROR)
        if aid == PICC_AID or not self._has(aid):
            return Said(Status.APPLICATION_NOT_FOUND)
        if self._aid not in (PICC_AID, aid):
            return Said(Status.PERMISSION_DENIED)
        said = self._done(work_us=WRITE_US)
        self.memory = tuple(one for one in self.memory if one.aid != aid)
        if self._aid == aid:
            self._aid, self.session = PICC_AID, None
        return said

    def _format(self, _: bytes) -> Said:
        """No application is left; the card's own key and settings stay."""
        if self._aid != PICC_AID or not self._is_authenticated_with(MASTER_KEY):
            return Said(Status.AUTHENTICATION_ERROR)
        self.memory = self.memory[:1]
        return self._done(work_us=WRITE_US)

    def _get_uid(self, _: bytes) -> Said:
        if self.session is None:
            return Said(Status.AUTHENTICATION_ERROR)
        return Said(Status.OK, self.session.secret_out(self.uid), CRYPTO_US)

    # ------------------------------------------------------------------------------ authentication

    def _authenticate_iso(self, body: bytes) -> Said:
        return self._authenticate(body[0], KeyKind.TWO_KEY_3DES)

    def _authenticate_aes(self, body: bytes) -> Said:
        return self._authenticate(body[0], KeyKind.AES_128)

    def _authenticate(self, number: int, kind: KeyKind) -> Said:
        keys = self.selected.keys
        if number >= len(keys):
            return Said(Status.NO_SUCH_KEY)
        if keys[number].kind is not kind:
            return Said(Status.AUTHENTICATION_ERROR)
        return self._authenticate_ev1(number, keys[number].cipher())

    def _authenticate_ev2_first(self, body: bytes) -> Said:
        number, length, capabilities = body[0], body[1], body[2:]
        keys = self.selected.keys
        if length != len(capabilities):
            return Said(Status.LENGTH_ERROR)
        if number >= len(keys):
            return Said(Status.NO_SUCH_KEY)
        if keys[number].kind is not KeyKind.AES_128:
            return Said(Status.AUTHENTICATION_ERROR)
        return self._authenticate_ev2(number, keys[number].cipher(), capabilities)

    # ---------------------------------------------------------------------------------------- keys

    def _get_key_settings(self, _: bytes) -> Said:
        if not self._may(MAY_LIST_FREELY):
            return Said(Status.AUTHENTICATION_ERROR)
        keys = self.selected.keys
        return self._done(bytes((self.selected.settings, keys[0].kind | len(keys))))

    def _get_key_version(self, body: bytes) -> Said:
        if body[0] >= len(self.selected.keys):
            return Said(Status.NO_SUCH_KEY)
        return self._done(bytes((self.selected.keys[body[0]].version,)))

    def _change_key_settings(self, body: bytes) -> Said:
        session, application = self.session, self.selected
        if session is None or session.key_number != MASTER_KEY:
            return Said(Status.AUTHENTICATION_ERROR)
        if not application.settings & MAY_CHANGE_SETTINGS:
            return Said(Status.PERMISSION_DENIED)
        plain = session.secret_in(CHANGE_KEY_SETTINGS, body, 0, (1, 0))
        if plain is None:
            return Said(Status.INTEGRITY_ERROR)
        self._remember(replace(application, settings=plain[0]))
        return self._done(work_us=CRYPTO_US + WRITE_US)

    def _change_key(self, body: bytes) -> Said:
        """The session's own key arrives plain, another one xored with the old and with its CRC.

        The kind of key can change at the card's own level only; a two-key 3DES key has no version.
        """
        session, application = self.session, self.selected
        number, kind = self._named_key(body[0])
        if kind is None:
            return Said(Status.PARAMETER_ERROR)
        if number >= len(application.keys):
            return Said(Status.NO_SUCH_KEY)
        refusal = self._change_refused(number)
        if session is None or refusal is not None:
            return Said(refusal or Status.AUTHENTICATION_ERROR)
        is_own = number == session.key_number
        versions = 1 if kind is KeyKind.AES_128 else 0
        plain = session.secret_in(CHANGE_KEY, body, 1, (AES_BYTES + versions, 0 if is_own else 4))
        if plain is None:
            return Said(Status.INTEGRITY_ERROR)
        content, version = plain[:AES_BYTES], plain[AES_BYTES] if versions else 0
        if not is_own:
            content = xor(content, application.keys[number].content)
            if plain[-4:] != crc32_nxp(content):
                return Said(Status.INTEGRITY_ERROR)
        self._remember(application.with_key(number, DesfireKey(content, kind, version)))
        self.session = None if is_own else session
        return self._done(work_us=CRYPTO_US + WRITE_US)

    def _named_key(self, code: int) -> tuple[int, KeyKind | None]:
        """Which key ChangeKey means; at the card's own level its upper bits name the new kind."""
        if self._aid != PICC_AID:
            return code, self.selected.keys[0].kind
        return code & ~KEY_KIND, KINDS.get(code & KEY_KIND)

    def _change_refused(self, number: int) -> Status | None:
        """Why the session must not change key `number`; None when it may."""
        settings = self.selected.settings
        if number == MASTER_KEY:
            if not settings & MAY_CHANGE_MASTER_KEY:
                return Status.PERMISSION_DENIED
            needed = MASTER_KEY
        else:
            needed = settings >> 4
            if needed == FROZEN:
                return Status.PERMISSION_DENIED
            if needed == CHANGED_BY_ITSELF:
                needed = number
        return None if self._is_authenticated_with(needed) else Status.AUTHENTICATION_ERROR

    # ---------------------------------------------------------------------------------- its memory

    def _has(self, aid: bytes) -> bool:
        return any(one.aid == aid for one in self.memory)

    def _may(self, freely: int) -> bool:
        return bool(self.selected.settings & freely) or self._is_authenticated_with(MASTER_KEY)

    def _is_authenticated_with(self, number: int) -> bool:
        return self.session is not None and self.session.key_number == number

    def _remember(self, changed: Application) -> None:
        """The one place where keys and settings are written: all of it, or nothing."""
        self.memory = tuple(changed if one.aid == changed.aid else one for one in self.memory)


def desfire_card(
    uid: bytes,
    draw: Draw,
    memory: tuple[Application, ...] = (FACTORY_MASTER,),
    *,
    ats: Ats | None = None,
    habits: Habits | None = None,
) -> BlockCard:
    """A DESFire of 7-byte `uid`, to be laid on an antenna; fresh from the factory by default."""
    return BlockCard(uid, Desfire(uid, draw, memory), ats=ats, habits=habits, atqa=DESFIRE_ATQA)
