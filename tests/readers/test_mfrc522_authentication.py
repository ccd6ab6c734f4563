"""An RC522 speaks to genuine cards for a known number of transfers, and finds them again at the next poll."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cards.authentication import Proof, authenticate
from interlock.cards.exchange import Transceive
from interlock.errors import CardError
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen
from interlock.sim.card_blocks import ENDLESS, Ats, BlockCard, Habits, Reply
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.cards import Card, CardState
from interlock.sim.rc522_faults import CardsRemoved
from tests.readers.rig import Rig

pytestmark = pytest.mark.fast

UID = bytes.fromhex("04112233445566")
KEY = bytes(range(16))
AID = bytes.fromhex("010af5")
DESFIRE, NTAG = CardSlot(Scheme.DESFIRE_AES, AID, 1), CardSlot(Scheme.NTAG424_AES, bytes(3), 0)

POLL, NEXT_POLL, STILL = 45, 58, 53
"""Transfers: a poll that sees a 7-byte card first, one after a conversation (it deselects, and sets the frame timer
back), and one that finds the card as the poll before left it."""


def desfire(habits: Habits | None = None, ats: Ats | None = None) -> BlockCard:
    application = Application(AID, (DesfireKey(), DesfireKey(KEY)))
    draw = random.Random(7).randbytes
    return desfire_card(UID, draw, (FACTORY_MASTER, application), habits=habits, ats=ats)


def ntag() -> BlockCard:
    return ntag424_card(UID, random.Random(7).randbytes, (NtagKey(KEY),) * 5)


def draw(length: int) -> bytes:
    return bytes(range(100, 100 + length))


class Echo:
    """A card's software that says what it was told, with a status in front."""

    def power_on(self) -> None:
        """Nothing volatile."""

    def answer(self, command: bytes) -> Reply:
        return Reply(b"\x00" + command, 1_000.0)


def spoken_to(rig: Rig) -> tuple[CardSeen, Transceive]:
    """The card the next poll sees, and the line to it."""
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive is not None
    return sight, sight.transceive


def authenticated(card: BlockCard, slot: CardSlot) -> tuple[list[int], Rig]:
    """Transfers of: the poll that sees the card, its authentication, and three polls more."""
    rig = Rig().opened()
    rig.place(card)
    counts, transfers = [], rig.chip.transfers

    def count() -> None:
        nonlocal transfers
        counts.append(rig.chip.transfers - transfers)
        transfers = rig.chip.transfers

    sight, transceive = spoken_to(rig)
    count()
    assert authenticate(transceive, slot, KEY, draw) is Proof.GENUINE
    count()
    for _ in range(3):
        assert rig.reader.poll() == sight, "a card lying still was not seen"
        count()
    return counts, rig


# 3-cards.md allows 250 in total on a 7-byte card; these are the counts themselves, the same in every run.
@pytest.mark.parametrize(
    ("make", "slot", "transfers"),
    [(desfire, DESFIRE, 50), (ntag, NTAG, 51)],
    ids=["desfire", "ntag"],
)
def test_an_authentication_takes_exactly_so_many_transfers(
    make: Callable[[], BlockCard], slot: CardSlot, transfers: int
) -> None:
    counts, _ = authenticated(make(), slot)
    assert counts == [POLL, transfers, NEXT_POLL, STILL, STILL]
    assert sum(counts[:3]) <= 250


def test_the_slowest_card_that_keeps_to_its_frame_waiting_time_stays_within_the_budget() -> None:
    card = desfire()
    inner = card.software.answer

    def slow(command: bytes) -> Reply | None:
        reply = inner(command)
        return None if reply is None else Reply(reply.content, 70_000.0)

    card.habits = Habits(asks_for_time=False)
    card.software.answer = slow  # type: ignore[method-assign] # the model's own method, made slower
    counts, _ = authenticated(card, DESFIRE)
    assert sum(counts[:3]) <= 250


def test_after_a_conversation_the_next_poll_wakes_the_card_from_halt() -> None:
    card = desfire()
    authenticated(card, DESFIRE)
    assert (card.state, card.has_star) == (CardState.ACTIVE, True)


@pytest.mark.parametrize("size", [1, 58, 59, 60, 61, 62, 63, 64, 65, 122, 200])
def test_commands_and_answers_longer_than_the_fifo_are_chained(size: int) -> None:
    rig = Rig().opened()
    rig.place(BlockCard(UID, Echo(), ats=Ats(fsci=8)))
    _, transceive = spoken_to(rig)
    command = bytes(range(size))
    assert transceive(command) == b"\x00" + command
    assert transceive(b"again") == b"\x00again"


def test_a_line_ends_with_the_next_poll_the_next_wake_and_the_reader() -> None:
    rig = Rig().opened()
    rig.place(desfire())
    moves: list[Callable[[], object]] = [rig.reader.poll, rig.reader.close]
    sight, transceive = spoken_to(rig)
    woken = rig.reader.wake(sight)
    assert woken == sight
    with pytest.raises(CardError, match="moved on"):
        transceive(b"\x5a" + AID)
    assert woken is not None
    assert woken.transceive is not None
    assert woken.transceive(b"\x5a" + AID) == b"\x00"
    for move in moves:
        _, transceive = spoken_to(rig)
        move()
        with pytest.raises(CardError, match="moved on"):
            transceive(b"\x5a" + AID)


def test_a_line_that_failed_once_stays_dead_until_the_card_is_woken() -> None:
    rig = Rig().opened()
    card = rig.place(desfire())
    sight, transceive = spoken_to(rig)
    rig.chip.air.faults.append(CardsRemoved(rig.chip.air.frames))
    for says in ("RATS", "failed before"):
        with pytest.raises(CardError, match=says):
            transceive(b"\x5a" + AID)
    assert rig.reader.wake(sight) is None
    rig.chip.air.faults.clear()
    rig.place(card)
    assert rig.reader.poll() == sight


@pytest.mark.parametrize(
    "habits", [Habits(wtx_requests=ENDLESS), Habits(ats=b"\x00")], ids=["endless", "no ATS"]
)
def test_a_card_that_failed_and_lies_still_is_seen_in_every_poll(habits: Habits) -> None:
    rig = Rig().opened()
    rig.place(desfire(habits))
    sight, transceive = spoken_to(rig)
    with pytest.raises(CardError):
        transceive(b"\x5a" + AID)
    assert rig.sights(3) == [sight] * 3


def test_waking_takes_the_field_away_for_ten_milliseconds() -> None:
    rig = Rig().opened()
    card = desfire()
    rig.place(card)
    sight, transceive = spoken_to(rig)
    transceive(b"\x5a" + AID)
    began_us, states = rig.clock.now_us(), [card.state]
    assert rig.reader.wake(sight) == sight
    states.append(card.state)
    assert states == [CardState.PROTOCOL, CardState.ACTIVE]
    assert 15_000 <= rig.clock.now_us() - began_us <= 22_000


def test_another_card_two_cards_and_no_card_are_not_woken() -> None:
    rig = Rig().opened()
    first = rig.place(desfire())
    sight, _ = spoken_to(rig)
    second = rig.place(Card(bytes.fromhex("04aabbccddeeff"), sak=0x20))
    assert rig.reader.wake(sight) is None, "two cards"
    rig.chip.remove(first)
    assert rig.reader.wake(sight) is None, "another card"
    rig.chip.remove(second)
    assert rig.reader.wake(sight) is None, "no card"


def test_a_card_of_a_simple_kind_has_no_line() -> None:
    rig = Rig().opened()
    rig.place(Card(UID, sak=0x08))
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive is None


@given(st.integers(0, 14), st.integers(0, 60_000))
def test_a_card_removed_at_any_moment_of_a_conversation_is_gone_at_the_next_poll(
    frames: int, after_us: int
) -> None:
    rig = Rig().opened()
    card = rig.place(desfire())
    _, transceive = spoken_to(rig)
    leave_at_us = rig.clock.now_us() + after_us

    def leaves(driven: list[int]) -> list[int]:
        if rig.clock.now_us() >= leave_at_us or rig.chip.air.frames > 5 + frames:
            rig.chip.remove(card)
        return driven

    rig.chip.miso = leaves
    with suppress(CardError):
        assert authenticate(transceive, DESFIRE, KEY, draw) is Proof.GENUINE
    rig.chip.clear()
    began_us = rig.clock.now_us()
    assert rig.reader.poll() is None
    assert rig.clock.now_us() - began_us <= 40_000
