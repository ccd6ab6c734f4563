"""PyPI `python-desfire` on one side, the desk's `Chip` on the other: where the desk's DESFire cards are personalised.

It stands in `cli` because only the composition root may know this library (1-architecture.md, import rules). The
library writes keys into its debug log, so its loggers are shut, and it tells a wrong MAC by a bare Exception.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from desfire import DESFire, DESFireKey
from desfire.devices.base import Device
from desfire.enums import DESFireKeySettings, DESFireKeyType
from desfire.exceptions import DESFireCommunicationError, DESFireException
from desfire.schemas import KeySettings

from interlock.cards.exchange import Transceive
from interlock.desk.chips import APPLICATION_MASTER, CARD_AID, CARD_MASTER, Key, refused
from interlock.desk.ntag424_keys import crc32_nxp
from interlock.desk.site_keys import Place
from interlock.desk.words import _
from interlock.errors import CardError, InterlockError
from interlock.protocol.card_keys import Scheme

KEYS_MAX = 14
"""As many as an application can have: machines, doors, and eleven numbers to rotate to."""
SELECT_APPLICATION, GET_KEY_SETTINGS, GET_KEY_VERSION, GET_UID = 0x5A, 0x45, 0x64, 0x51
UID_BYTES, CRC_BYTES = 7, 4
CREATE_APPLICATION = 0xCA
OK, NO_SUCH_APPLICATION, WRONG_KEY, NO_SUCH_KEY = 0x00, 0xA0, 0xAE, 0x40
KIND_MASK, KIND_AES, COUNT_MASK = 0xC0, 0x80, 0x0F
SETTINGS = [
    DESFireKeySettings.KS_ALLOW_CHANGE_MK,
    DESFireKeySettings.KS_LISTING_WITHOUT_MK,
    DESFireKeySettings.KS_CONFIGURATION_CHANGEABLE,
]
"""0B: keys change under the application's master key; everybody may read how many there are."""
FACTORY_DES = bytes(8)
FACTORY_AES = bytes(16)

logging.getLogger("desfire").setLevel(logging.CRITICAL + 1)


class _Line(Device):  # type: ignore[misc] # the library has no types
    """The library's device over the desk's reader."""

    def __init__(self, transceive: Transceive) -> None:
        self._transceive = transceive

    def transceive(self, command: list[int]) -> list[int]:
        """One native command, its answer."""
        answer = self._transceive(bytes(command))
        if not answer:
            raise refused(_("its answer is empty"))
        return list(answer)


class DesfireChip:
    """A `chips.Chip`: DESFire EV1, EV2 or EV3 with the lab's application `aid`.

    `looks_after_card`: the master key of the whole card is the lab's, too, so that nobody else can erase it.
    """

    name = "DESFire"
    scheme = Scheme.DESFIRE_AES

    def __init__(self, transceive: Transceive, aid: bytes, *, looks_after_card: bool) -> None:
        self.aid = aid
        self._transceive = transceive
        self._looks_after_card = looks_after_card
        self._card = DESFire(_Line(transceive))
        self._opened_with: tuple[Place, bytes | None] | None = None

    def has_application(self) -> bool:
        """Whether it can be selected."""
        return self._select(self.aid)

    def places(self) -> tuple[Place, ...]:
        """The card's master key where it is ours, the application's, then the others."""
        count = self._key_count() if self.has_application() else KEYS_MAX
        own = tuple(Place(self.aid, number) for number in range(count))
        return (Place(CARD_AID, CARD_MASTER), *own) if self._looks_after_card else own

    def version(self, place: Place) -> int | None:
        """GetKeyVersion, asked without a session."""
        if not self._select(place.aid):
            return None
        answer = self._transceive(bytes((GET_KEY_VERSION, _number(place))))
        return answer[1] if len(answer) == 2 and answer[0] == OK else None

    def knows(self, place: Place, key: Key) -> bool:
        """Whether the card authenticated with `key`."""
        if not self._select(place.aid):
            return False
        card = DESFire(_Line(self._transceive))
        if place.aid != CARD_AID:
            # The library chooses ChangeKey's parameters by what it believes to be selected.
            card.last_selected_application = list(place.aid)
        try:
            card.authenticate(_number(place), _library_key(place, key))
        except DESFireCommunicationError as error:
            if error.status_code in (WRONG_KEY, NO_SUCH_KEY):
                return False
            raise refused(_("it answers with status %02X") % error.status_code) from error
        except DESFireException:
            return False
        self._card, self._opened_with = card, (place, key)
        return True

    def told_uid(self) -> bytes:
        """GetCardUID under the session that is open."""
        session = self._card.session_key
        if session is None:
            raise refused(_("nobody has proved anything to it yet"))
        with _translated():
            session.calculate_cmac([GET_UID])
            answer = self._transceive(bytes((GET_UID,)))
            secret = list(answer[1:])
            plain = bytes(session.decrypt(secret))
            session.set_iv(secret[-session.cipher_block_size :])
        # Not the library's get_real_uid: it takes a CRC that ends in 00 for padding, and fails on such cards for ever.
        uid, crc = plain[:UID_BYTES], plain[UID_BYTES : UID_BYTES + CRC_BYTES]
        if answer[0] != OK or crc != crc32_nxp(uid + answer[:1]):
            raise refused(_("it does not prove its own number"))
        return uid

    def create_application(self, authority: Key, *, is_known: bool) -> None:
        """With the card's master key, or, where that is another's, by whoever may (its issuer decides)."""
        settings = KeySettings(key_type=DESFireKeyType.DF_KEY_AES, settings=SETTINGS)
        if is_known:
            self._opened(Place(CARD_AID, CARD_MASTER), authority)
            with _translated():
                self._card.create_application(list(self.aid), settings, KEYS_MAX)
            return
        self._select(CARD_AID)
        body = bytes((*self.aid, settings.get_settings(), KIND_AES | KEYS_MAX))
        answer = self._transceive(bytes((CREATE_APPLICATION,)) + body)
        if answer[:1] != bytes((OK,)):
            raise CardError(
                _("it lets nobody but its issuer add an application"),
                where=_("card"),
                remedy=_("Take another card, or ask who issued it"),
            )

    def change(self, place: Place, old: Key, new: bytes, version: int, authority: Key) -> None:
        """One ChangeKey, confirmed by the card."""
        master = Place(place.aid, place.number if place.number == CARD_MASTER else 0)
        self._opened(master, authority)
        with _translated():
            self._card.change_key(
                _number(place),
                _library_key(place, old),
                _aes_key(new),
                new_key_version=version,
            )
        if place == master:
            self._opened_with = None

    def _opened(self, place: Place, key: Key) -> None:
        if self._opened_with != (place, key) and not self.knows(place, key):
            raise refused(_("it does not know its master key any more"))

    def _select(self, aid: bytes) -> bool:
        self._opened_with = None
        answer = self._transceive(bytes((SELECT_APPLICATION,)) + aid)
        if answer[:1] == bytes((NO_SUCH_APPLICATION,)):
            return False
        if answer != bytes((OK,)):
            raise refused(_("it answers with status %s") % answer[:1].hex())
        return True

    def _key_count(self) -> int:
        """Of the application that is selected. Raises CardError when its keys are not AES."""
        answer = self._transceive(bytes((GET_KEY_SETTINGS,)))
        if len(answer) != 3 or answer[0] != OK or answer[2] & KIND_MASK != KIND_AES:
            raise CardError(
                _("its application %s is not the lab's: it has other keys")
                % self.aid[::-1].hex().upper(),
                where=_("card"),
                remedy=_("Take another card, or choose another cards.aid for the whole lab"),
            )
        return answer[2] & COUNT_MASK


def _number(place: Place) -> int:
    return APPLICATION_MASTER if place.number == CARD_MASTER else place.number


def _library_key(place: Place, key: Key) -> DESFireKey:
    """A new one each time: the library turns the one it authenticates with into the session's."""
    if key is None and place.number == CARD_MASTER:
        return DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_2K3DES), FACTORY_DES)
    return _aes_key(FACTORY_AES if key is None else key)


def _aes_key(content: bytes) -> DESFireKey:
    return DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_AES), content)


@contextmanager
def _translated() -> Iterator[None]:
    """The library's errors as the desk's."""
    try:
        yield
    except InterlockError:
        raise
    except DESFireCommunicationError as error:
        raise refused(_("it answers with status %02X") % error.status_code) from error
    except Exception as error:
        # The library raises bare Exceptions for a wrong MAC, and whatever Python does for a short answer.
        raise refused(_("its answer is not to be believed")) from error
