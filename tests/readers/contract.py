"""What every reader owes its callers: a bench with cards goes in, the same tests run over it.

A bench is a reader on a model of its wire, with hands that lay cards down, take them away and pull
plugs. Histories are compared whole: between two stable sights nothing else may have been seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from interlock.cards.authentication import Proof, authenticate
from interlock.clock import Clock
from interlock.errors import CardError, ReaderError
from interlock.node.presence import Arrived, Phase, Presence, Removed, Sighting, step
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen, Reader, SeveralCards, Sight
from interlock.sim.card_blocks import BlockCard, Reply
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.cards import SAK_MIFARE_CLASSIC, SAK_TYPE_2, Card

FOUR = bytes.fromhex("deadbeef")
SEVEN = bytes.fromhex("04112233445566")
TEN = bytes.fromhex("04112233445566778899")
KEY = bytes(range(16))
AID = bytes.fromhex("0110f5")
SAK_OF_SIZE = {4: SAK_MIFARE_CLASSIC, 7: SAK_TYPE_2, 10: SAK_TYPE_2}

POLL_S = 0.05
SEEN_WITHIN_MS = 3_000
DEAD_WITHIN_MS = 2_000
"""3-cards.md: a dead reader is a fault within 2 s."""
STABLE_POLLS = 4
ARRIVAL_GAP_MS = 300


class Echo:
    """Card software that answers each command backwards."""

    def power_on(self) -> None:
        """Nothing volatile to forget."""

    def answer(self, command: bytes) -> Reply | None:
        return Reply(command[::-1])


def plain(uid: bytes) -> Card:
    """A card that only has a UID."""
    return Card(uid, sak=SAK_OF_SIZE[len(uid)])


def speaking(uid: bytes = SEVEN) -> Card:
    """A card of ISO 14443-4."""
    return BlockCard(uid, Echo())


def genuine(kind: str) -> tuple[Card, CardSlot]:
    """A badge that knows KEY, and where it lies."""
    draw = random.Random(7).randbytes
    if kind == "desfire":
        application = Application(AID, (DesfireKey(), DesfireKey(KEY)))
        card = desfire_card(SEVEN, draw, (FACTORY_MASTER, application))
        return card, CardSlot(Scheme.DESFIRE_AES, AID, 1)
    return ntag424_card(SEVEN, draw, (NtagKey(KEY),) * 5), CardSlot(Scheme.NTAG424_AES, bytes(3), 0)


def fixed(length: int) -> bytes:
    """What a reader would draw."""
    return bytes(range(100, 100 + length))


class Bench(Protocol):
    """One reader, not yet open, and hands."""

    @property
    def reader(self) -> Reader: ...
    @property
    def clock(self) -> Clock: ...
    def place(self, card: Card) -> None: ...
    def remove(self, card: Card) -> None: ...
    def die(self) -> None: ...
    def revive(self) -> None: ...


def seen(card: Card) -> CardSeen:
    """What a reader tells of this card alone."""
    return CardSeen(card.uid, card.atqa, card.sak)


def history(bench: Bench, until: Sight | None, *, stable: int = STABLE_POLLS) -> list[Sight | None]:
    """The different sights, in order, until `until` was seen at `stable` polls in a row."""
    told: list[Sight | None] = []
    in_a_row = 0
    deadline_ms = bench.clock.boot_ms() + SEEN_WITHIN_MS
    while in_a_row < stable:
        sight = bench.reader.poll()
        in_a_row = in_a_row + 1 if sight == until else 0
        if not told or told[-1] != sight:
            told.append(sight)
        assert bench.clock.boot_ms() < deadline_ms, f"{until} not seen, but {told}"
        bench.clock.sleep(POLL_S)
    return told


def raises_within(bench: Bench, act: Callable[[], object], limit_ms: int = DEAD_WITHIN_MS) -> None:
    """`act` raises a ReaderError with a remedy, and in time."""
    began_ms = bench.clock.boot_ms()
    with pytest.raises(ReaderError) as caught:
        act()
    assert bench.clock.boot_ms() - began_ms <= limit_ms
    assert caught.value.remedy


class LifeContract:
    """Every reader: inherit, and give a fixture `bench` whose reader is closed."""

    @pytest.fixture
    def bench(self) -> Bench | Iterator[Bench]:
        raise NotImplementedError

    def shows(self, card: Card) -> CardSeen:
        """What this reader tells of `card`."""
        return seen(card)

    def test_an_empty_field_is_none_at_every_poll(self, bench: Bench) -> None:
        bench.reader.open()
        assert [bench.reader.poll() for _ in range(5)] == [None] * 5

    def test_a_dead_reader_does_not_open_and_says_so_in_time(self, bench: Bench) -> None:
        bench.die()
        raises_within(bench, bench.reader.open)
        raises_within(bench, bench.reader.poll)
        bench.reader.close()

    def test_a_reader_that_came_back_opens_again_and_reads(self, bench: Bench) -> None:
        card = plain(FOUR)
        bench.reader.open()
        bench.die()
        raises_within(bench, lambda: [bench.reader.poll() for _ in range(50)])
        raises_within(bench, bench.reader.open)
        bench.revive()
        bench.reader.open()
        bench.place(card)
        assert history(bench, self.shows(card), stable=1)[-1] == self.shows(card)

    def test_a_tap_is_one_arrival_and_one_removal_to_the_node(self, bench: Bench) -> None:
        """With the rules of the node's own `presence`: nothing else closes a relay."""
        card = plain(FOUR)
        bench.reader.open()
        presence, told = Presence(), list[type[Sighting]]()

        def polls_until(phase: Phase) -> None:
            nonlocal presence
            deadline_ms = bench.clock.boot_ms() + SEEN_WITHIN_MS
            while presence.phase is not phase:
                sight = bench.reader.poll()
                presence, new = step(presence, sight, bench.clock.boot_ms(), ARRIVAL_GAP_MS)
                told.extend(type(one) for one in new)
                assert bench.clock.boot_ms() < deadline_ms
                bench.clock.sleep(POLL_S)

        for _ in range(2):
            polls_until(Phase.EMPTY)
            bench.place(card)
            polls_until(Phase.PRESENT)
            bench.remove(card)
        polls_until(Phase.EMPTY)
        assert told == [Arrived, Removed] * 2

    def test_closing_twice_is_harmless_and_a_closed_reader_is_not_an_empty_field(
        self, bench: Bench
    ) -> None:
        bench.reader.close()
        bench.reader.open()
        bench.reader.close()
        bench.reader.close()
        raises_within(bench, bench.reader.poll)
        bench.reader.open()
        assert bench.reader.poll() is None


class ReaderContract(LifeContract):
    """Readers that know whether a card still lies there."""

    @pytest.mark.parametrize("uid", [FOUR, SEVEN, TEN], ids=bytes.hex)
    def test_a_card_is_seen_whole_while_it_lies_there_and_then_no_more(
        self, bench: Bench, uid: bytes
    ) -> None:
        bench.reader.open()
        card = plain(uid)
        told = history(bench, None)
        bench.place(card)
        told += history(bench, self.shows(card))
        bench.remove(card)
        told += history(bench, None)
        assert _changes(told) == [None, self.shows(card), None]

    def test_a_card_that_lay_there_before_is_seen_after_opening(self, bench: Bench) -> None:
        card = plain(SEVEN)
        bench.place(card)
        bench.reader.open()
        assert history(bench, self.shows(card))[-1] == self.shows(card)

    def test_a_swapped_card_is_seen_as_the_new_one(self, bench: Bench) -> None:
        bench.reader.open()
        old, new = plain(SEVEN), plain(FOUR)
        bench.place(old)
        told = history(bench, self.shows(old))
        bench.remove(old)
        bench.place(new)
        told += history(bench, self.shows(new))
        assert [one for one in _changes(told) if one is not None] == [
            self.shows(old),
            self.shows(new),
        ]

    def test_a_reader_that_died_is_a_fault_in_time_and_shows_no_other_card(
        self, bench: Bench
    ) -> None:
        bench.reader.open()
        card = plain(SEVEN)
        bench.place(card)
        history(bench, self.shows(card))
        bench.die()
        told: list[Sight | None] = []

        def polling() -> None:
            end_ms = bench.clock.boot_ms() + DEAD_WITHIN_MS
            while bench.clock.boot_ms() < end_ms:
                told.append(bench.reader.poll())
                bench.clock.sleep(POLL_S)

        raises_within(bench, polling)
        assert told == [self.shows(card)] * len(told), "a dead reader told of another field"


class SpeakingContract(ReaderContract):
    """Readers through which a card of ISO 14443-4 is spoken to."""

    def opened_before(self, bench: Bench, card: Card) -> CardSeen:
        """The reader is open and has seen `card`, alone."""
        bench.reader.open()
        bench.place(card)
        history(bench, self.shows(card))
        sight = bench.reader.poll()
        assert isinstance(sight, CardSeen)
        return sight

    def test_only_a_card_of_iso_14443_4_can_be_spoken_to(self, bench: Bench) -> None:
        card = plain(SEVEN)
        assert self.opened_before(bench, card).transceive is None
        bench.remove(card)
        other = speaking(TEN)
        bench.place(other)
        history(bench, self.shows(other))
        sight = bench.reader.poll()
        assert isinstance(sight, CardSeen)
        assert sight.transceive is not None

    @pytest.mark.parametrize("length", [5, 61, 130, 240])
    def test_a_command_and_its_answer_pass_whole(self, bench: Bench, length: int) -> None:
        sight = self.opened_before(bench, speaking())
        assert sight.transceive
        # An APDU by its first byte, so that no reader takes it for a native DESFire command.
        command = bytes((0x00, *(index % 251 for index in range(1, length))))
        for _ in range(3):
            assert sight.transceive(command) == command[::-1]

    def test_a_card_that_leaves_is_a_card_error_and_then_an_empty_field(self, bench: Bench) -> None:
        card = speaking()
        sight = self.opened_before(bench, card)
        assert sight.transceive
        bench.remove(card)
        with pytest.raises(CardError) as caught:
            sight.transceive(b"\x00\xa4\x04\x00\x00")
        assert caught.value.remedy
        assert _changes(history(bench, None)) in ([None], [self.shows(card), None])

    def test_a_dead_reader_is_no_card_error(self, bench: Bench) -> None:
        sight = self.opened_before(bench, speaking())
        bench.die()
        talk = sight.transceive
        assert talk
        raises_within(bench, lambda: talk(b"\x00\xa4\x04\x00\x00"))

    def test_a_woken_card_is_the_same_and_speaks(self, bench: Bench) -> None:
        sight = self.opened_before(bench, speaking())
        woken = bench.reader.wake(sight)
        assert woken == sight
        assert woken is not None
        assert woken.transceive
        assert woken.transceive(b"\x00abcd") == b"dcba\x00"

    def test_another_card_or_none_is_not_woken(self, bench: Bench) -> None:
        card = speaking()
        sight = self.opened_before(bench, card)
        bench.remove(card)
        history(bench, None)
        assert bench.reader.wake(sight) is None
        other = speaking(TEN)
        bench.place(other)
        history(bench, self.shows(other))
        assert bench.reader.wake(sight) is None

    @pytest.mark.parametrize("kind", ["desfire", "ntag424"])
    @pytest.mark.parametrize(
        ("key", "proof"), [(KEY, Proof.GENUINE), (bytes(16), Proof.FORGED)], ids=["right", "wrong"]
    )
    def test_a_badge_with_the_right_key_is_genuine_and_no_other(
        self, bench: Bench, kind: str, key: bytes, proof: Proof
    ) -> None:
        card, slot = genuine(kind)
        sight = self.opened_before(bench, card)
        assert sight.transceive
        assert authenticate(sight.transceive, slot, key, fixed) is proof
        assert history(bench, self.shows(card))[-1] == self.shows(card)

    def test_a_badge_that_leaves_while_it_proves_itself_proves_nothing(self, bench: Bench) -> None:
        card, slot = genuine("desfire")
        sight = self.opened_before(bench, card)
        assert sight.transceive
        talk, said = sight.transceive, list[bytes]()

        def leaving(command: bytes) -> bytes:
            if said:
                bench.remove(card)
            said.append(command)
            return talk(command)

        with pytest.raises(CardError):
            authenticate(leaving, slot, KEY, fixed)
        assert history(bench, None)[-1] is None


class SeveralContract(SpeakingContract):
    """Readers that notice a second card."""

    @pytest.mark.parametrize("other", [SEVEN[:-1] + b"\x67", FOUR, TEN], ids=bytes.hex)
    @pytest.mark.parametrize("kind", [plain, speaking])
    def test_two_cards_are_several_and_never_one_of_them(
        self, bench: Bench, kind: Callable[[bytes], Card], other: bytes
    ) -> None:
        bench.reader.open()
        first, second = kind(SEVEN), plain(other)
        bench.place(first)
        told = history(bench, self.shows(first))
        bench.place(second)
        told += history(bench, SeveralCards())
        bench.remove(second)
        told += history(bench, self.shows(first))
        assert _changes(told)[-3:] == [self.shows(first), SeveralCards(), self.shows(first)]


def _changes(told: list[Sight | None]) -> list[Sight | None]:
    """`told` without repetitions."""
    return [one for at, one in enumerate(told) if at == 0 or one != told[at - 1]]
