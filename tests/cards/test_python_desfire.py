"""Somebody else's code (PyPI `python-desfire`, unmodified) authenticates and personalises the model.

Once over the bare commands, once through our reader, the RC522 model and the air between. The library
brings its own AES, CMAC, CRC-32 and key diversification (pycryptodome).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from desfire import DESFire, DESFireKey, diversify_key
from desfire.devices.base import Device
from desfire.enums import DESFireKeySettings, DESFireKeyType
from desfire.exceptions import DESFireAuthException, DESFireCommunicationError
from desfire.schemas import KeySettings

from interlock.readers import CardSeen
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.card_blocks import BlockCard, Software
from interlock.sim.card_crypto import KeyKind, diversified
from interlock.sim.card_desfire import Desfire, DesfireKey
from interlock.sim.spi_inprocess import InProcessSpi
from tests.readers.rig import TRANSFER_US, Rig
from tests.sim.card_talk import UID, counted

pytestmark = pytest.mark.fast

AID = "f51001"
SITE_KEY = bytes(range(16))
SITE_ID = b"sample"
MACHINES, DOORS = 1, 2
DESK_MS_MAX = 10_000
WRONG_KEY, NO_SUCH_APPLICATION = 0xAE, 0xA0


class Bare(Device):  # type: ignore[misc] # the library has no types
    """The library's device: commands go straight to the software of a card."""

    def __init__(self, software: Software) -> None:
        self.software = software
        self.commands = 0

    def transceive(self, command: list[int]) -> list[int]:
        """What the card answers."""
        self.commands += 1
        reply = self.software.answer(bytes(command))
        assert reply is not None
        return list(reply.content)


class Through(Device):  # type: ignore[misc] # as above
    """The library's device: commands go through our reader, the chip model and the air."""

    def __init__(self, software: Desfire) -> None:
        rig = Rig()
        # The desk writes cards and gives them the time for it.
        rig.reader = Mfrc522Reader(
            lambda: InProcessSpi(rig.chip, clock=rig.clock, transfer_us=TRANSFER_US),
            rig.clock,
            attempt_ms_max=DESK_MS_MAX,
        )
        rig.opened().place(BlockCard(software.uid, software))
        seen = rig.reader.poll()
        assert isinstance(seen, CardSeen)
        assert seen.transceive is not None
        self._transceive = seen.transceive
        self.chip = rig.chip

    def transceive(self, command: list[int]) -> list[int]:
        """What the card answers."""
        return list(self._transceive(bytes(command)))


Connect = Callable[[Desfire], Device]
both_ways = pytest.mark.parametrize("connect", [Bare, Through], ids=["bare", "through the reader"])


def aes_key(content: bytes) -> DESFireKey:
    return DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_AES), content)


def des_key() -> DESFireKey:
    return DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_2K3DES), bytes(8))


def badge_key(number: int) -> bytes:
    """A genuine badge's key as the library derives it."""
    diversification = list(UID + bytes.fromhex(AID) + SITE_ID)
    return bytes(diversify_key([SITE_KEY[0] ^ number, *SITE_KEY[1:]], [1, *diversification]))


def factory_fresh() -> Desfire:
    card = Desfire(UID, counted())
    card.power_on()
    return card


def personalise(card: DESFire) -> None:
    """A fresh card becomes a badge: an AES master key, our application, its own keys."""
    card.authenticate(0, des_key())
    card.change_key(0, des_key(), aes_key(badge_key(9)), new_key_version=1)
    card.authenticate(0, aes_key(badge_key(9)))
    settings = KeySettings(
        key_type=DESFireKeyType.DF_KEY_AES,
        settings=[
            DESFireKeySettings.KS_ALLOW_CHANGE_MK,
            DESFireKeySettings.KS_LISTING_WITHOUT_MK,
            DESFireKeySettings.KS_CONFIGURATION_CHANGEABLE,
        ],
    )
    card.create_application(AID, settings, 5)
    card.select_application(AID)
    card.authenticate(0, aes_key(bytes(16)))
    for number in (MACHINES, DOORS):
        card.change_key(number, aes_key(bytes(16)), aes_key(badge_key(number)), new_key_version=1)
    card.change_key(0, aes_key(bytes(16)), aes_key(badge_key(0)), new_key_version=1)


@both_ways
def test_it_reads_the_version_and_the_uid_of_a_fresh_card(connect: Connect) -> None:
    card = DESFire(connect(factory_fresh()))
    version = card.get_card_version()
    assert (bytes(version.uid), version.software_major_version) == (UID, 1)
    assert card.get_application_ids() == []
    assert card.get_key_setting().key_type is DESFireKeyType.DF_KEY_2K3DES


def test_its_diversification_is_the_models() -> None:
    assert badge_key(0) == diversified(SITE_KEY, UID, bytes.fromhex(AID), SITE_ID)


@both_ways
def test_it_makes_a_fresh_card_a_genuine_badge(connect: Connect) -> None:
    software = factory_fresh()
    personalise(DESFire(connect(software)))
    master, application = software.memory
    assert master.keys == (DesfireKey(badge_key(9), KeyKind.AES_128, 1),)
    assert application.aid.hex() == AID
    made = {number: DesfireKey(badge_key(number), version=1) for number in (0, MACHINES, DOORS)}
    assert application.keys == tuple(made.get(number, DesfireKey()) for number in range(5))


@both_ways
def test_the_badge_then_opens_with_its_own_key_and_with_no_other(connect: Connect) -> None:
    software = factory_fresh()
    personalise(DESFire(Bare(software)))
    card = DESFire(connect(software))
    card.select_application(AID)
    card.authenticate(MACHINES, aes_key(badge_key(MACHINES)))
    assert card.get_key_version(MACHINES) == 1
    assert bytes(card.get_real_uid()) == UID
    for wrong in (badge_key(DOORS), bytes(16)):
        with pytest.raises(DESFireCommunicationError) as refused:
            card.authenticate(MACHINES, aes_key(wrong))
        assert refused.value.status_code == WRONG_KEY


@pytest.mark.parametrize("stop_after", range(24))
def test_a_card_taken_away_between_commands_has_each_key_old_or_new_and_is_finished_later(
    stop_after: int,
) -> None:
    software = factory_fresh()
    old_or_new = {bytes(16), *(badge_key(number) for number in (0, MACHINES, DOORS, 9))}

    class TakenAway(Bare):
        def transceive(self, command: list[int]) -> list[int]:
            if self.commands >= stop_after:
                raise ConnectionError
            return super().transceive(command)

    with suppress(ConnectionError):
        personalise(DESFire(TakenAway(software)))
    software.power_on()
    for application in software.memory:
        assert {key.content for key in application.keys} <= old_or_new
    for number, key in enumerate(software.memory[-1].keys):
        card = DESFire(Bare(software))
        card.select_application(software.memory[-1].aid)
        known = aes_key(key.content) if key.kind is KeyKind.AES_128 else des_key()
        card.authenticate(number, known)


def test_it_formats_the_card_and_starts_over() -> None:
    software = factory_fresh()
    personalise(DESFire(Bare(software)))
    card = DESFire(Bare(software))
    card.select_application("000000")
    card.authenticate(0, aes_key(badge_key(9)))
    assert card.get_application_ids() == [list(bytes.fromhex(AID))]
    card.format_card()
    card = DESFire(Bare(software))
    with pytest.raises(DESFireCommunicationError) as refused:
        card.select_application(AID)
    assert refused.value.status_code == NO_SUCH_APPLICATION


@both_ways
def test_many_applications_come_in_a_chained_list(connect: Connect) -> None:
    """28 identifiers are two frames of the card's and more than one block of the air's."""
    software = factory_fresh()
    card = DESFire(connect(software))
    card.authenticate(0, des_key())
    settings = KeySettings(
        key_type=DESFireKeyType.DF_KEY_AES, settings=[DESFireKeySettings.KS_FACTORY_DEFAULT]
    )
    aids = [[0xF5, 0, number] for number in range(28)]
    for aid in aids:
        card.create_application(aid, settings, 1)
    assert card.get_application_ids() == aids


def _breaks(change: Callable[[bytes, bytes], bytes]) -> type[Bare]:
    """A card that says something slightly wrong."""

    class Broken(Bare):
        def transceive(self, command: list[int]) -> list[int]:
            return list(change(bytes(command), bytes(super().transceive(command))))

    return Broken


def test_the_library_notices_a_card_that_does_not_know_the_key() -> None:
    """The control: were the library content with anything, all of the above would prove nothing."""

    def last_bit(command: bytes, answer: bytes) -> bytes:
        is_proof = command[0] == 0xAF and len(answer) == 17
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if is_proof else answer

    software = factory_fresh()
    personalise(DESFire(Bare(software)))
    card = DESFire(_breaks(last_bit)(software))
    card.select_application(AID)
    with pytest.raises(DESFireAuthException):
        card.authenticate(MACHINES, aes_key(badge_key(MACHINES)))


def test_the_library_notices_a_card_whose_session_is_wrong() -> None:
    def mac(command: bytes, answer: bytes) -> bytes:
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if command[0] == 0x64 else answer

    software = factory_fresh()
    personalise(DESFire(Bare(software)))
    card = DESFire(_breaks(mac)(software))
    card.select_application(AID)
    card.authenticate(MACHINES, aes_key(badge_key(MACHINES)))
    with pytest.raises(Exception, match="CMAC verification failed"):
        card.get_key_version(MACHINES)
