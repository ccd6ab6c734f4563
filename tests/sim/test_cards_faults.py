"""Misbehaving cards misbehave as they say, where they say, and nothing else of them changes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_chip import CRYPTO_US, QUICK_US, Chip
from interlock.sim.card_crypto import KeyKind
from interlock.sim.card_desfire import (
    FACTORY_MASTER,
    PICC_AID,
    Application,
    Desfire,
    DesfireKey,
    desfire_card,
)
from interlock.sim.card_faults import (
    EMPTY_ATS,
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
    desfire_of,
)
from interlock.sim.card_ntag424 import FACTORY_KEYS, Ntag424, ntag424_card
from interlock.sim.cards import CardState, append_crc
from interlock.sim.rc522_air import Bits, CardAnswer, bits_of, bytes_of, with_parity
from tests.sim.card_talk import UID, activated, counted, framed, said, select, told

pytestmark = pytest.mark.fast

AID = bytes.fromhex("0101f5")
APPLICATION = Application(AID, (DesfireKey(b"k" * 16), DesfireKey(b"m" * 16)))
WUPA: Bits = bits_of([0x52])[:7]


def badge() -> BlockCard:
    return desfire_card(UID, counted(), (FACTORY_MASTER, APPLICATION))


def shown(answer: CardAnswer | None) -> str | None:
    return None if answer is None else bytes_of(answer.bits)[:-2].hex()


# --------------------------------------------------------------------------------------- software


def test_a_slow_card_says_the_same_later() -> None:
    quick, slow = badge().software, Slow(badge().software, 7_000)
    for command in (b"\x5a" + AID, b"\xaa\x01"):
        first, second = quick.answer(command), slow.answer(command)
        assert first is not None
        assert second is not None
        assert (second.content, second.work_us - first.work_us) == (first.content, 7_000)


def test_a_weak_supply_bears_a_selection_and_breaks_down_under_aes() -> None:
    card = badge()
    card.software = WeakSupply(card.software, collapses=1)
    activated(card)
    assert said(card, "025a" + AID.hex()) == ["0200"]
    assert said(card, "03aa01") == [None]
    assert card.state is CardState.IDLE
    activated(card)
    assert said(card, "025a" + AID.hex()) == ["0200"]
    assert said(card, "03aa01") != [None], "the second time it holds"


def test_what_counts_as_aes_load_is_what_computes_aes() -> None:
    one = badge().software
    works = [one.answer(bytes.fromhex(text)) for text in ("5a" + AID.hex(), "60", "aa01")]
    assert [reply and reply.work_us for reply in works] == [QUICK_US, QUICK_US, QUICK_US]
    one = badge().software
    one.answer(b"\x5a" + AID)
    reply = one.answer(b"\xaa\x01")
    assert reply is not None
    assert reply.work_us == CRYPTO_US


def test_a_garbled_card_answers_nonsense_from_its_command_on() -> None:
    honest = told(badge().software, "5a" + AID.hex(), "6400", "6401")
    garbled = told(Garbled(badge().software, random.Random(1), 1), "5a" + AID.hex(), "6400", "6401")
    assert garbled[0] == honest[0]
    assert garbled[1:] != honest[1:]
    assert all(garbled)


# -------------------------------------------------------------------------------------------- card


@pytest.mark.parametrize("heard", [False, True])
def test_a_card_taken_away_has_written_what_it_heard_and_nothing_else(heard: bool) -> None:
    master = Application(PICC_AID, (DesfireKey(),))
    inside = desfire_card(UID, counted(), (master,))
    card = Leaves(inside, at_frame=6, heard=heard)
    card.power_on()
    frames = [WUPA, *(framed(one) for one in ("937088" + "04782e" + "da", "9570" + "21801d803c"))]
    for frame in [*frames, framed("e050"), framed("025a000000"), framed("036400")]:
        assert card.hear(frame) is not None
    assert card.hear(framed("02ca0101f50f81")) is None
    assert card.is_gone
    assert card.hear(WUPA) is None
    made = [one.aid for one in desfire_of(inside).memory[1:]]
    assert made == ([AID] if heard else [])
    card.power_on()
    assert inside.state is CardState.POWER_OFF, "the field does not reach it any more"
    card.brought_back()
    assert card.hear(WUPA) is not None
    assert [one.aid for one in desfire_of(inside).memory[1:]] == made


def test_a_silent_card_misses_just_those_frames() -> None:
    inside = badge()
    card = Silent(activated(inside), deaf_at(1), deaf_at(3))
    blocks = ["02", "0360", "b3", "03"]
    assert [shown(card.hear(framed(one))) for one in blocks] == ["02", None, "a2", None]
    assert shown(card.hear(framed("b3"))) == "03", "it had heard the last one"


def test_random_silence_is_about_as_often_as_it_says() -> None:
    rule = deaf_to(random.Random(5), 0.3)
    assert 250 <= sum(rule(number) for number in range(1_000)) <= 350


def test_a_babbling_card_sends_sound_frames_of_nonsense() -> None:
    card = Babbling(activated(badge()), random.Random(1), from_answer=1)
    assert shown(card.hear(framed("02"))) == "02"
    answer = card.hear(framed("03"))
    assert answer is not None
    content = bytes_of(answer.bits)
    assert append_crc(content[:-2]) == content
    assert content[:-2] != b"\x03"


def test_overhearing_changes_nothing() -> None:
    heard: list[bytes] = []
    card = Overheard(activated(badge()), heard)
    assert shown(card.hear(framed("0260"))) == shown(activated(badge()).hear(framed("0260")))
    assert heard == [append_crc(bytes.fromhex("0260"))]


def test_each_wrong_ats_is_wrong_in_its_own_way() -> None:
    for habits, length, says in (
        (OVERSIZED_ATS, 254, 254),
        (LYING_ATS, 6, 32),
        (EMPTY_ATS, 0, None),
    ):
        assert habits.ats is not None
        assert len(habits.ats) == length
        assert (habits.ats[0] if habits.ats else None) == says
        card = desfire_card(UID, counted(), habits=habits)
        select(card)
        assert said(card, "e050") == [habits.ats.hex()] if habits.ats else True


# ------------------------------------------------------------------------------------------ copies


def test_copies_have_the_number_and_nothing_of_the_key() -> None:
    same = copy_with_other_keys(UID, counted(), APPLICATION)
    keys = {key.content for one in desfire_of(same).memory[1:] for key in one.keys}
    assert len(keys) == len(APPLICATION.keys)
    assert not keys & {key.content for key in APPLICATION.keys}
    assert told(copy_without_application(UID, counted()).software, "5a" + AID.hex()) == ["a0"]
    assert told(copy_on_another_chip(UID).software, "5a" + AID.hex(), "aa01") == ["6e00", "6e00"]
    plain = copy_of_uid_alone(UID)
    select(plain)
    assert said(plain, "e050") == [None]
    assert {one.uid for one in (same, plain)} == {UID}


# ------------------------------------------------------------------------------------------- fuzzed


@given(st.lists(st.binary(min_size=0, max_size=70), max_size=12))
def test_no_frames_make_a_card_fail_or_change_what_it_remembers(contents: list[bytes]) -> None:
    """Not even after a hundred thousand of them would anybody guess a proof."""
    for card in (badge(), ntag424_card(UID, counted())):
        activated(card)
        for content in contents:
            card.hear(with_parity(bits_of(append_crc(content))))
        software = card.software
        if isinstance(software, Desfire):
            assert software.memory[1] == APPLICATION
            assert software.session is None
        elif isinstance(software, Ntag424):
            assert (software.keys, software.session) == (FACTORY_KEYS, None)


COMMANDS = st.binary(max_size=60) | st.builds(
    lambda code, body: bytes((code,)) + body,
    st.sampled_from([0x00, 0x90, 0xAA, 0x1A, 0x71, 0x77, 0xAF, 0x5A, 0x60, 0xC4, 0x54, 0x51, 0x64]),
    st.binary(max_size=60),
)


@given(st.lists(COMMANDS, max_size=20))
def test_no_commands_make_a_chip_fail_or_open_a_session(commands: list[bytes]) -> None:
    master = Application(PICC_AID, (DesfireKey(kind=KeyKind.AES_128),), settings=0x00)
    chips: list[Chip] = [
        Desfire(UID, random.Random(1).randbytes, (master, APPLICATION)),
        Ntag424(UID, random.Random(1).randbytes),
    ]
    for chip in chips:
        chip.power_on()
        for command in commands:
            assert chip.answer(command) is not None
        assert chip.session is None
    assert isinstance(chips[0], Desfire)
    assert chips[0].memory == (master, APPLICATION)
