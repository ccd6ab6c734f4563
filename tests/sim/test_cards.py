"""Card models answer what ISO 14443-3 lets a card answer, state by state."""

from __future__ import annotations

import random

import pytest

from interlock.sim.cards import (
    Card,
    CardState,
    Phone,
    append_crc,
    cascade_levels,
    without_parity,
)
from interlock.sim.rc522_air import Bits, bits_of, bytes_of, with_parity

pytestmark = pytest.mark.fast

REQA: Bits = bits_of([0x26])[:7]
WUPA: Bits = bits_of([0x52])[:7]
HLTA = with_parity(bits_of(append_crc(b"\x50\x00")))


def frame(text: str, crc: bool = False) -> Bits:
    content = bytes.fromhex(text)
    return with_parity(bits_of(append_crc(content) if crc else content))


def said(card: Card, *frames: Bits) -> list[str | None]:
    """What `card` answers to each frame, as hex; None for silence."""
    answers = [card.hear(one) for one in frames]
    return [None if answer is None else bytes_of(answer.bits).hex() for answer in answers]


def powered(uid: str = "04112233445566") -> Card:
    card = Card(bytes.fromhex(uid))
    card.power_on()
    return card


SELECT_7 = [
    frame("9320"),
    frame("937088041122bf", crc=True),
    frame("9520"),
    frame("95703344556644", crc=True),
]
SAID_7 = ["88041122bf", "04da17", "3344556644", "20fc70"]


def test_a_seven_byte_card_is_selected_in_two_levels() -> None:
    card = powered()
    assert said(card, REQA, *SELECT_7) == ["4400", *SAID_7]
    assert (card.state, card.has_star) == (CardState.ACTIVE, False)


def test_a_ten_byte_card_is_selected_in_three_levels() -> None:
    levels = cascade_levels(bytes.fromhex("04112233445566778899"))
    assert [one.hex() for one in levels] == ["88041122bf", "88334455aa", "6677889900"]
    card = powered("04112233445566778899")
    frames = [REQA]
    for code, part in zip(("93", "95", "97"), levels, strict=True):
        frames += [frame(code + "20"), frame(code + "70" + part.hex(), crc=True)]
    assert said(card, *frames) == [
        "8400",
        "88041122bf",
        "04da17",
        "88334455aa",
        "04da17",
        levels[2].hex(),
        "20fc70",
    ]


def test_a_halted_card_answers_wupa_but_not_reqa() -> None:
    card = powered()
    said(card, REQA, *SELECT_7)
    assert said(card, HLTA, REQA, WUPA) == [None, None, "4400"]
    assert (card.state, card.has_star) == (CardState.READY, True)


@pytest.mark.parametrize(
    ("first", "fallen_to", "then"),
    [(REQA, CardState.IDLE, "4400"), (WUPA, CardState.IDLE, "4400")],
)
def test_a_second_request_sends_a_ready_card_back_in_silence(
    first: Bits, fallen_to: CardState, then: str
) -> None:
    card = powered()
    assert said(card, first, first) == ["4400", None]
    assert card.state is fallen_to
    assert said(card, first) == [then]


def test_a_card_woken_from_halt_falls_back_to_halt() -> None:
    card = powered()
    said(card, REQA, *SELECT_7, HLTA, WUPA)
    assert said(card, WUPA) == [None]
    assert card.state is CardState.HALT
    said(card, WUPA, *SELECT_7)
    assert (card.state, card.has_star) == (CardState.ACTIVE, True)
    assert said(card, frame("3000", crc=True)) == [None]
    assert card.state is CardState.HALT


@pytest.mark.parametrize(
    ("why", "wrong"),
    [
        ("another UID", frame("9370880411229d", crc=True)),
        ("another level", frame("9520")),
        ("wrong CRC", frame("937088041122bf0000")),
        ("NVB that does not fit the frame", frame("9330")),
        ("NVB of single bits that are missing", frame("9323")),
        ("a lone byte", frame("93")),
        ("halt instead of select", HLTA),
        ("wrong parity", (*frame("9320")[:8], 1 - frame("9320")[8], *frame("9320")[9:])),
    ],
)
def test_an_unexpected_or_damaged_frame_sends_a_ready_card_back(why: str, wrong: Bits) -> None:
    card = powered()
    assert said(card, REQA, wrong) == ["4400", None], why
    assert card.state is CardState.IDLE


def test_a_partial_anticollision_is_answered_with_the_rest_only_when_it_fits() -> None:
    bits = bits_of(bytes.fromhex("88041122bf"))
    for known in range(40):
        nvb = (2 + known // 8) << 4 | known % 8
        asked = with_parity(bits_of([0x93, nvb]) + bits[:known])
        card = powered()
        card.hear(REQA)
        answer = card.hear(asked)
        assert answer is not None
        assert (answer.bits, answer.align) == (bits[known:], known % 8)
        if known:
            other = with_parity(bits_of([0x93, nvb]) + bits[: known - 1] + (1 - bits[known - 1],))
            card = powered()
            card.hear(REQA)
            assert card.hear(other) is None


def test_a_card_without_power_is_silent_and_forgets() -> None:
    card = Card(bytes.fromhex("deadbeef"))
    assert said(card, REQA, WUPA) == [None, None]
    card.power_on()
    said(card, REQA)
    card.power_off()
    assert said(card, frame("9320")) == [None]
    card.power_on()
    assert said(card, frame("9320"), REQA) == [None, "0400"]


def test_a_phone_has_another_uid_in_every_field_and_keeps_it_meanwhile() -> None:
    phone = Phone(random.Random(1))
    uids = set()
    for _ in range(20):
        phone.power_on()
        uids.add(phone.uid)
        said(phone, REQA)
        assert said(phone, frame("9320")) == [cascade_levels(phone.uid)[0].hex()]
    assert len(uids) == 20
    assert {uid[:1] for uid in uids} == {b"\x08"}


@pytest.mark.parametrize("uid", ["", "04", "0411223344", "00" * 11])
def test_a_card_with_an_odd_uid_cannot_be_made(uid: str) -> None:
    with pytest.raises(ValueError, match="4, 7 or 10"):
        Card(bytes.fromhex(uid))


def test_a_byte_with_a_wrong_parity_or_without_one_is_no_byte() -> None:
    good = frame("9320")
    assert without_parity(good) == bits_of(bytes.fromhex("9320"))
    assert without_parity(good[:-1]) is None
    for place in range(len(good)):
        damaged = tuple(bit ^ (index == place) for index, bit in enumerate(good))
        assert without_parity(damaged) is None
