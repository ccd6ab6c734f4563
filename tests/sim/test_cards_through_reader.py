"""The card models under our reader: two implementations of each protocol, and faults between them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from interlock.cards.authentication import authenticate
from interlock.errors import CardError
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen
from interlock.sim.card_blocks import Ats, BlockCard, Habits
from interlock.sim.card_crypto import diversified
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_faults import (
    EMPTY_ATS,
    ENDLESS_LONG_WTX,
    ENDLESS_PATIENCE_ATS,
    ENDLESS_WTX,
    LATE,
    LYING_ATS,
    OVERSIZED_ATS,
    Babbling,
    Garbled,
    Leaves,
    Overheard,
    Silent,
    Slow,
    WeakSupply,
    copy_of_uid_alone,
    copy_on_another_chip,
    copy_with_other_keys,
    copy_without_application,
    deaf_at,
    deaf_to,
)
from interlock.sim.card_ntag424 import FACTORY_KEYS, NtagKey, ntag424_card
from interlock.sim.rc522_air import AirCard
from tests.readers.rig import Rig

pytestmark = pytest.mark.fast

UID = bytes.fromhex("04782e21801d80")
AID = bytes.fromhex("0101f5")
SITE_KEY = bytes(range(16))
KEY = diversified(SITE_KEY, UID, AID, b"sample")
DESFIRE = CardSlot(Scheme.DESFIRE_AES, AID, 1)
NTAG = CardSlot(Scheme.NTAG424_AES, bytes(3), 1)
APPLICATION = Application(AID, (DesfireKey(), DesfireKey(KEY), DesfireKey()))
MEMORY = (FACTORY_MASTER, APPLICATION)
TRANSACTION_MS_MAX = 600
"""3-cards.md: with its one retry after the field was off."""

FRAMES = 9
"""WUPA, two levels of two frames, RATS, and three commands."""

draw = random.Random(3).randbytes


def badge(habits: Habits | None = None) -> BlockCard:
    return desfire_card(UID, draw, MEMORY, habits=habits)


def tag() -> BlockCard:
    return ntag424_card(UID, draw, (FACTORY_KEYS[0], NtagKey(KEY), *FACTORY_KEYS[2:]))


def proof(card: AirCard, slot: CardSlot = DESFIRE, key: bytes = KEY) -> tuple[str, float]:
    """What our reader makes of `card` (with its one retry), and in how many milliseconds."""
    rig = Rig().opened()
    rig.place(card)
    began_us = rig.clock.now_us()
    outcome = _outcome(rig, slot, key)
    return outcome, (rig.clock.now_us() - began_us) / 1_000


def _outcome(rig: Rig, slot: CardSlot, key: bytes) -> str:
    seen = rig.reader.poll()
    for _ in range(2):
        if not isinstance(seen, CardSeen):
            return "nothing"
        if seen.transceive is None:
            return "no protocol"
        try:
            return authenticate(seen.transceive, slot, key, draw).name
        except CardError:
            seen = rig.reader.wake(seen)
    return "left"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_genuine_desfire_proves_itself_with_each_of_its_keys(number: int) -> None:
    key = APPLICATION.keys[number].content
    assert proof(badge(), CardSlot(Scheme.DESFIRE_AES, AID, number), key)[0] == "GENUINE"


def test_a_genuine_ntag_424_proves_itself() -> None:
    assert proof(tag(), NTAG)[0] == "GENUINE"
    assert proof(tag(), NTAG, bytes(16))[0] == "FORGED"


COPIES: dict[str, Callable[[], AirCard]] = {
    "with keys of his own": lambda: copy_with_other_keys(UID, draw, APPLICATION),
    "without the application": lambda: copy_without_application(UID, draw),
    "on another chip": lambda: copy_on_another_chip(UID),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copied_uid_is_forged(name: str) -> None:
    outcome, ms = proof(COPIES[name]())
    assert outcome == "FORGED"
    assert ms <= TRANSACTION_MS_MAX


def test_a_copied_uid_without_iso_14443_4_offers_no_conversation() -> None:
    rig = Rig().opened()
    rig.place(copy_of_uid_alone(UID))
    seen = rig.reader.poll()
    assert isinstance(seen, CardSeen)
    assert (seen.uid, seen.transceive) == (UID, None)


BROKEN: dict[str, tuple[Callable[[], AirCard], set[str]]] = {
    "slow, asks for time": (lambda: _slow(30_000), {"GENUINE"}),
    "late": (lambda: _slow(200_000, LATE), {"left"}),
    "endless S(WTX)": (lambda: badge(ENDLESS_WTX), {"left"}),
    "endless long S(WTX)": (lambda: badge(ENDLESS_LONG_WTX), {"left"}),
    "asks twice for nothing": (lambda: badge(Habits(wtx_requests=2)), {"GENUINE"}),
    "oversized ATS": (lambda: badge(OVERSIZED_ATS), {"left"}),
    "lying ATS": (lambda: badge(LYING_ATS), {"left"}),
    "empty ATS": (lambda: badge(EMPTY_ATS), {"left"}),
    "reserved times": (lambda: badge(ENDLESS_PATIENCE_ATS), {"GENUINE"}),
    "weak for ever": (lambda: _weak(1_000), {"left"}),
    "weak once": (lambda: _weak(1), {"GENUINE"}),
    "deaf to everything": (lambda: Silent(badge(), lambda _: True), {"nothing"}),
}


def _slow(extra_us: float, habits: Habits | None = None) -> BlockCard:
    card = badge(habits)
    card.software = Slow(card.software, extra_us)
    return card


def _weak(collapses: int) -> BlockCard:
    card = badge()
    card.software = WeakSupply(card.software, collapses)
    return card


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_card_has_its_outcome_in_bounded_time(name: str) -> None:
    make, expected = BROKEN[name]
    outcome, ms = proof(make())
    assert outcome in expected
    assert ms <= TRANSACTION_MS_MAX


def test_an_authentication_takes_nine_frames() -> None:
    heard: list[bytes] = []
    assert proof(Overheard(badge(), heard))[0] == "GENUINE"
    assert len(heard) == FRAMES


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("at_frame", range(FRAMES))
def test_a_card_taken_away_at_any_frame_is_never_forged_and_never_slow(
    at_frame: int, heard: bool
) -> None:
    outcome, ms = proof(Leaves(badge(), at_frame, heard))
    assert outcome in ("left", "nothing")
    assert ms <= TRANSACTION_MS_MAX


@pytest.mark.parametrize("frame", range(5, FRAMES))
def test_one_lost_frame_or_answer_is_made_good(frame: int) -> None:
    assert proof(Silent(badge(), deaf_at(frame)))[0] == "GENUINE"
    assert proof(Silent(badge(), deaf_at(), deaf_at(frame)))[0] == "GENUINE"


@pytest.mark.parametrize("seed", range(40))
def test_random_silence_ends_in_time_and_never_makes_a_genuine_card_forged(seed: int) -> None:
    outcome, ms = proof(Silent(badge(), deaf_to(random.Random(seed), 0.3)))
    assert outcome != "FORGED"
    assert ms <= TRANSACTION_MS_MAX


@pytest.mark.parametrize("seed", range(40))
def test_nonsense_is_never_genuine_and_ends_in_time(seed: int) -> None:
    chance = random.Random(seed)
    garbled = badge()
    garbled.software = Garbled(garbled.software, chance, from_command=seed % 3)
    for card in (garbled, Babbling(badge(), chance, from_answer=5 + seed % 4)):
        outcome, ms = proof(card)
        assert outcome != "GENUINE"
        assert ms <= TRANSACTION_MS_MAX


def test_a_slow_answer_costs_the_cards_own_time_and_little_more() -> None:
    """The frame timer waits for the card, and not much longer: three commands compute longer."""
    quick, slow = proof(badge())[1], proof(_slow(20_000))[1]
    assert 60 <= slow - quick <= 60 * 9 / 8 + 3


def test_a_card_that_answers_just_before_its_waiting_time_ends_is_heard() -> None:
    """And is not asked again: the reader's frame timer is not too short."""
    fwt_us = Ats().fwt_us
    heard: list[bytes] = []
    outcome, _ = proof(Overheard(_slow(fwt_us - 3_000, LATE), heard))
    blocks = [frame[:1].hex() for frame in heard[6:]]
    assert outcome == "GENUINE"
    assert "b2" not in blocks
    assert "b3" not in blocks


def test_a_card_is_deaf_until_its_guard_time_is_over() -> None:
    """The control of the one before: a reader that hurries loses its first block."""
    rig = Rig().opened()
    card = desfire_card(UID, draw, MEMORY, ats=Ats(sfgi=6))
    rig.place(card)
    seen = rig.reader.poll()
    assert isinstance(seen, CardSeen)
    assert seen.transceive is not None
    assert seen.transceive(b"\x5a" + AID) == b"\x00"
    hurried = Rig().opened()
    hurried.place(desfire_card(UID, draw, MEMORY, ats=_Unsaid(sfgi=6)))
    seen = hurried.reader.poll()
    assert isinstance(seen, CardSeen)
    assert seen.transceive is not None
    frames = hurried.chip.air.frames
    assert seen.transceive(b"\x5a" + AID) == b"\x00"
    assert hurried.chip.air.frames - frames > 2, "RATS and a block were enough"


class _Unsaid(Ats):
    """Needs a guard time and does not say so."""

    def to_bytes(self) -> bytes:
        """As if SFGI were 0."""
        return Ats(fsci=self.fsci, fwi=self.fwi, sfgi=0).to_bytes()
