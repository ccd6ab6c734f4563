"""The air: parity, time and superposition as ISO 14443-2/-3 have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.sim.cards import Card
from interlock.sim.rc522_air import (
    BIT_US,
    DELAY_AFTER_0_US,
    DELAY_AFTER_1_US,
    POWER_UP_US,
    Air,
    bits_of,
    bytes_of,
    duration_us,
    superposed,
    with_parity,
)
from interlock.sim.rc522_faults import BitsFlipped

pytestmark = pytest.mark.fast

WUPA = bits_of([0x52])[:7]


def test_bits_go_least_significant_first() -> None:
    assert bits_of([0x26]) == (0, 1, 1, 0, 0, 1, 0, 0)
    assert bytes_of((1, 0, 0, 0, 0, 0, 0, 0, 1, 1)) == b"\x01\x03"


@given(st.binary(max_size=20))
def test_every_whole_byte_with_its_parity_has_an_odd_number_of_ones(content: bytes) -> None:
    raw = with_parity(bits_of(content))
    assert len(raw) == 9 * len(content)
    assert all(sum(raw[start : start + 9]) % 2 == 1 for start in range(0, len(raw), 9))
    assert bytes_of(bits_of(content)) == content


def test_the_air_time_floor_is_the_published_one() -> None:
    """2.2, 4.1 and 6.0 ms for 4, 7 and 10 byte UIDs (3-cards.md)."""
    wake_up = duration_us(7) + DELAY_AFTER_1_US + duration_us(2 * 9)
    level = duration_us(2 * 9) + duration_us(5 * 9) + duration_us(9 * 9) + duration_us(3 * 9)
    level += 2 * DELAY_AFTER_0_US
    floors = [round((wake_up + levels * level) / 1000, 1) for levels in (1, 2, 3)]
    assert floors == [2.2, 4.1, 6.0]
    assert round(BIT_US, 2) == 9.44
    assert (round(DELAY_AFTER_0_US), round(DELAY_AFTER_1_US)) == (86, 91)


def test_cards_that_differ_collide_where_they_differ() -> None:
    assert superposed([(0, 1, 1), (0, 0, 1)]) == (0, None, 1)
    assert superposed([(1, 0), (1, 0, 1)]) == (1, 0, 1)
    assert superposed([]) == ()


def test_a_card_listens_only_after_its_power_up_time_and_only_in_a_field() -> None:
    air = Air()
    air.place(Card(bytes.fromhex("deadbeef")), 0)
    assert air.send(WUPA, POWER_UP_US) is None
    air.switch(True, 10_000)
    assert air.send(WUPA, 10_000 + POWER_UP_US - 1) is None
    assert air.send(WUPA, 10_000 + POWER_UP_US) is not None


def test_a_card_placed_twice_lies_there_once_and_one_removed_twice_is_gone() -> None:
    air = Air(is_on=True)
    card = Card(bytes.fromhex("deadbeef"))
    air.place(card, 0)
    air.place(card, 0)
    assert list(air.cards) == [card]
    air.remove(card)
    air.remove(card)
    assert not air.cards


@given(st.integers(0, 17))
def test_a_flipped_bit_of_an_answer_arrives_flipped(place: int) -> None:
    flipped = BitsFlipped(in_answers={0: frozenset({place})})
    air = Air(is_on=True, faults=[flipped])
    air.place(Card(bytes.fromhex("deadbeef")), -POWER_UP_US)
    reception = air.send(WUPA, 0)
    assert reception is not None
    sent = with_parity(bits_of(b"\x04\x00"))
    assert air.heard(reception) == tuple(bit ^ (index == place) for index, bit in enumerate(sent))
