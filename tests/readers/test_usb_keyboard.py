"""What a keyboard reader types becomes the id of a card, once; everything else becomes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ReaderError
from interlock.node.presence import Arrived, Presence, Removed, Sighting, step
from interlock.readers import CardSeen, Reader, SeveralCards, Sight
from interlock.readers.usb_keyboard import IdForm, KeysFile, UsbKeyboardReader, evdev_opener, to_uid
from interlock.sim.cards import Card
from interlock.sim.clocks import VirtualClock
from interlock.sim.keyboard import KEY_OF_LETTER, Wedge
from tests.readers.contract import Bench, LifeContract

pytestmark = pytest.mark.fast

ID = "0011259375"
UID = bytes.fromhex("00abcdef")
POLL_US = 50_000


class Desk:
    """A wedge and a reader on it."""

    def __init__(self, form: IdForm = IdForm.DECIMAL, *, keypad: bool = False) -> None:
        self.clock = VirtualClock()
        self.clock.advance_us(60_000_000)
        self.keypad = keypad
        self.wedge = Wedge(keypad=keypad)
        self.reader = UsbKeyboardReader(lambda: KeysFile(self.wedge.reopened()), self.clock, form)

    def opened(self) -> Desk:
        self.reader.open()
        return self

    def poll(self) -> Sight | None:
        sight = self.reader.poll()
        self.clock.advance_us(POLL_US)
        return sight

    def polls(self, count: int) -> list[Sight | None]:
        return [self.poll() for _ in range(count)]

    def place(self, card: Card) -> None:
        self.wedge.type(f"{int.from_bytes(card.uid, 'big'):010d}")

    def remove(self, card: Card) -> None:
        """A keyboard does not say so."""

    def die(self) -> None:
        self.wedge.unplug()

    def revive(self) -> None:
        self.wedge.close()
        self.wedge = Wedge(keypad=self.keypad)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.reader.close()
    made.wedge.close()


def card(uid: bytes = UID) -> CardSeen:
    return CardSeen(uid, b"\x00\x00", 0)


@pytest.mark.parametrize(
    ("typed", "form", "uid"),
    [
        ("0011259375", IdForm.DECIMAL, "00abcdef"),
        ("17152719", IdForm.DECIMAL, "00abcdef"),
        ("4294967295", IdForm.DECIMAL, "ffffffff"),
        ("4294967296", IdForm.DECIMAL, None),
        ("25665535", IdForm.DECIMAL, None),
        ("25565536", IdForm.DECIMAL, None),
        ("0011259375", IdForm.DECIMAL_REVERSED, "efcdab00"),
        ("deadbeef", IdForm.DECIMAL, None),
        ("123456789", IdForm.DECIMAL, None),
        ("deadbeef", IdForm.HEX, "deadbeef"),
        ("12345678", IdForm.HEX, "12345678"),
        ("04112233445566", IdForm.HEX, "04112233445566"),
        ("04112233445566778899", IdForm.HEX, "04112233445566778899"),
        ("deadbeef", IdForm.HEX_REVERSED, "efbeadde"),
        ("0011259375", IdForm.HEX, None),
        ("", IdForm.HEX, None),
        ("", IdForm.DECIMAL, None),
    ],
)
def test_a_number_becomes_the_uid_its_form_says_or_none(
    typed: str, form: IdForm, uid: str | None
) -> None:
    assert to_uid(typed, form) == (bytes.fromhex(uid) if uid else None)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_different_numbers_are_different_uids(first: int, second: int) -> None:
    uids = {to_uid(f"{number:010d}", IdForm.DECIMAL) for number in (first, second)}
    assert len(uids) == len({first, second})


@pytest.mark.parametrize("keypad", [False, True])
def test_a_typed_card_is_seen_once_and_then_the_field_is_empty(keypad: bool) -> None:
    desk = Desk(keypad=keypad).opened()
    before = desk.polls(3)
    desk.wedge.type(ID)
    assert before + desk.polls(4) == [None] * 3 + [card()] + [None] * 3
    desk.wedge.type(ID)
    assert desk.polls(2) == [card(), None]


def test_capitals_typed_with_shift_are_the_same_digits() -> None:
    desk = Desk(IdForm.HEX).opened()
    desk.wedge.type("DEADBEEF")
    desk.clock.advance_us(POLL_US)
    told = [desk.poll()]
    desk.wedge.type("deadbeef")
    assert [*told, desk.poll()] == [card(bytes.fromhex("deadbeef"))] * 2


def test_each_tap_is_an_arrival_and_no_badge_is_held(desk: Desk) -> None:
    """Together with the node's own rules: an arrival, and after the gap the badge is gone."""
    desk.opened()
    presence, told = Presence(), list[Sighting]()

    def turn() -> None:
        nonlocal presence
        presence, new = step(presence, desk.poll(), desk.clock.boot_ms(), 300)
        told.extend(new)

    for _ in range(10):
        turn()
    for _ in range(2):
        desk.wedge.type(ID)
        for _ in range(10):
            turn()
    assert [type(one) for one in told] == [Arrived, Removed, Arrived, Removed]


def test_an_id_that_comes_in_pieces_is_seen_when_enter_comes(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID[:4], enter=False)
    told = desk.polls(2)
    desk.wedge.type(ID[4:], enter=False)
    told += desk.polls(1)
    desk.wedge.type("")
    assert told + desk.polls(2) == [None] * 3 + [card(), None]


def test_a_half_typed_id_is_forgotten_and_does_not_lengthen_the_next(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID[:4], enter=False)
    told = desk.polls(2)
    desk.clock.advance_us(600_000)
    desk.wedge.type(ID)
    assert told + desk.polls(2) == [None, None, card(), None]


def test_two_halves_of_two_ids_are_never_one(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID[:4], enter=False)
    desk.poll()
    desk.clock.advance_us(600_000)
    desk.wedge.type(ID[4:])
    assert desk.polls(2) == [None, None]


def test_what_was_typed_before_opening_is_not_seen(desk: Desk) -> None:
    desk.wedge.type(ID)
    desk.opened()
    assert desk.polls(2) == [None, None]


def test_a_key_that_is_no_digit_spoils_the_whole_id(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID[:5], enter=False)
    desk.wedge.key(KEY_OF_LETTER["Q"])
    desk.wedge.type(ID[5:])
    told = desk.polls(1)
    desk.wedge.type(ID)
    assert told + desk.polls(1) == [None, card()]


def test_events_the_kernel_dropped_spoil_the_whole_id(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID[:5], enter=False)
    desk.wedge.overrun()
    desk.wedge.type(ID[5:])
    told = desk.polls(1)
    desk.wedge.type(ID)
    assert told + desk.polls(1) == [None, card()]


def test_a_key_that_is_held_types_one_digit(desk: Desk) -> None:
    desk.opened()
    desk.wedge.hold(desk.wedge.digit(ID[0]), repeats=20)
    desk.wedge.type(ID[1:])
    assert desk.polls(1) == [card()]


def test_endless_digits_are_no_id_and_the_next_card_is_read(desk: Desk) -> None:
    desk.opened()
    for _ in range(20):
        desk.wedge.type("1234567890", enter=False)
        desk.poll()
    desk.wedge.type(ID)
    told = desk.polls(1)
    desk.wedge.type(ID)
    assert told + desk.polls(1) == [None, card()]


def test_two_ids_in_one_poll_are_several_cards_and_the_same_twice_is_one(desk: Desk) -> None:
    desk.opened()
    desk.wedge.type(ID)
    desk.wedge.type("0000000001")
    told = desk.polls(2)
    desk.wedge.type(ID)
    desk.wedge.type(ID)
    assert told + desk.polls(2) == [SeveralCards(), None, card(), None]


@given(st.binary(max_size=2_000))
def test_random_bytes_are_no_card(noise: bytes) -> None:
    desk = Desk().opened()
    os.write(desk.wedge._out, noise)
    desk.poll()
    desk.reader.close()
    desk.wedge.close()


# ----------------------------------------------------- what it owes like every reader


class TestUsbKeyboard(LifeContract):
    @pytest.fixture
    def bench(self, desk: Desk) -> Bench:
        return desk

    def shows(self, card: Card) -> CardSeen:
        return CardSeen(card.uid, b"\x00\x00", 0)


def test_nothing_can_be_woken_through_a_keyboard(desk: Desk) -> None:
    reader: Reader = desk.opened().reader
    assert reader.wake(card()) is None


# ------------------------------------------------------------------------------- the real device


def test_a_file_that_is_no_input_device_is_refused_and_closed() -> None:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        path = Path(folder) / "event0"
        os.mkfifo(path)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ReaderError, match="no input device"):
            evdev_opener(str(path))()
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_device_that_is_not_there_says_where_to_look() -> None:
    with pytest.raises(ReaderError, match="/dev/input/by-id/"):
        evdev_opener("/dev/input/no-such-event")()
