"""What becomes of a card laid down: who may have which, in what order hub and card hear of it, and what never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from interlock.cli.desk_desfire import DesfireChip
from interlock.clock import Clock
from interlock.desk.counter import Counter
from interlock.desk.hub import Badge, CardKey, Member
from interlock.desk.making import Maker, Outcome
from interlock.desk.rounds import rotation_target
from interlock.desk.site_keys import Place, SiteKeys
from interlock.desk.taps import Taps
from interlock.desk.uploads import Uploads
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen
from interlock.sim.card_blocks import BlockCard
from interlock.sim.clocks import VirtualClock
from tests.desk.card_rig import (
    AID,
    FRESH,
    ONE,
    TWO,
    UID,
    Disk,
    Line,
    fresh_desfire,
    generations,
    kept,
    wanted,
)
from tests.desk.fake_hub import FakeHub
from tests.desk.test_settings_and_lists import Polls

pytestmark = pytest.mark.fast

ADA = Member("ada", "Ada", "", "active", 0)
CLOCK: Clock = VirtualClock()


class Quiet:
    """A person who listens."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def hear(self, sentence: str) -> None:
        self.heard.append(sentence)

    def answer(self, question: str) -> str:
        raise AssertionError(question)

    def agrees(self, question: str) -> bool:
        raise AssertionError(question)

    def has_pressed_enter(self) -> bool:
        return True

    @contextmanager
    def watches(self, label: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None


class Desk:
    """A desk with a hub in memory; `maker` with one set of site keys or another."""

    def __init__(self, folder: Path) -> None:
        self.hub, self.person = FakeHub(), Quiet()
        self.disk = Disk(folder)
        self.ledger = self.disk.open()
        numbers = count()
        self.uploads = Uploads(folder / "waiting", lambda: f"key-{next(numbers):05}")

    def maker(self, keys: SiteKeys = ONE, *, is_dry: bool = False) -> Maker:
        return Maker(
            Counter(self.hub, Taps(Polls(), CLOCK), self.person),
            keys,
            self.ledger,
            self.uploads,
            partial(DesfireChip, aid=AID, looks_after_card=True),
            is_dry=is_dry,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def seen(card: BlockCard, line: Callable[[bytes], bytes] | None = None) -> CardSeen:
    return CardSeen(UID, card.atqa, card.sak, line or Line(card))


def slot(number: int) -> CardSlot:
    return CardSlot(Scheme.DESFIRE_AES, AID, number)


def test_a_new_card_of_a_member_is_given_and_its_key_told(desk: Desk) -> None:
    card = fresh_desfire()
    made = desk.maker().make(seen(card), ADA)
    assert (made.outcome, made.member, made.key_number) == (Outcome.MADE, "Ada", 1)
    assert desk.hub.owners == {UID: "ada"}
    assert desk.hub.keys == {1: (CardKey(slot(1), 1), ONE.card_key(1, UID, Place(AID, 1)))}


def test_the_hub_hears_nothing_of_a_card_that_does_not_prove_its_key(desk: Desk) -> None:
    """It takes every key, and then cannot answer for the one that machines ask for."""
    card = fresh_desfire()
    line = Line(card)

    def forgetful(command: bytes) -> bytes:
        return b"\xae" if command == b"\xaa\x01" else line(command)

    made = desk.maker().make(seen(card, forgetful), ADA)
    assert made.outcome is Outcome.LEFT
    assert (desk.hub.owners, desk.hub.keys, len(desk.uploads)) == ({}, {}, 0)
    assert desk.maker().make(seen(card), ADA).outcome is Outcome.MADE


def test_a_card_that_leaves_is_not_given_to_anybody_yet(desk: Desk) -> None:
    made = desk.maker().make(seen(FRESH["DESFire"](), Line(fresh_desfire(), leaves_at=20)), ADA)
    assert made.outcome is Outcome.LEFT
    assert (desk.hub.owners, len(desk.uploads)) == ({}, 0)


@pytest.mark.parametrize("condition", ["lost", "stolen", "retired"])
def test_a_blocked_badge_is_refused_unchanged(condition: str, desk: Desk) -> None:
    card = fresh_desfire()
    before = kept(card)
    desk.hub.owners[UID] = "ada"
    desk.hub.conditions[UID] = condition
    assert desk.maker().make(seen(card), None).outcome is Outcome.REFUSED
    assert desk.maker().rotate(seen(card), {}).outcome is Outcome.REFUSED
    assert kept(card) == before


def test_a_card_of_nobody_is_refused_unchanged_when_nobody_was_named(desk: Desk) -> None:
    card = fresh_desfire()
    before = kept(card)
    assert desk.maker().make(seen(card), None).outcome is Outcome.REFUSED
    assert desk.maker().rotate(seen(card), {Scheme.DESFIRE_AES: 3}).outcome is Outcome.REFUSED
    assert kept(card) == before


def test_a_hub_that_refuses_is_heard_and_the_card_is_not_called_done(desk: Desk) -> None:
    card = fresh_desfire()
    line = Line(card)

    def somebody_elses_meanwhile(command: bytes) -> bytes:
        if command[:1] == b"\xc4":
            desk.hub.owners[UID] = "eve"
        return line(command)

    made = desk.maker().make(seen(card, somebody_elses_meanwhile), ADA)
    assert (made.outcome, made.reason) == (Outcome.REFUSED, "taken")
    assert desk.hub.keys == {}


def test_a_hub_that_is_away_is_told_at_the_next_tap(desk: Desk) -> None:
    card = fresh_desfire()
    desk.hub.away_after = 0
    assert desk.maker().make(seen(card), ADA).outcome is Outcome.WAITS_FOR_HUB
    desk.hub.away_after = 99
    assert desk.maker().make(seen(card), None).outcome is Outcome.ALREADY
    assert list(desk.hub.keys) == [1]


def test_a_rotation_keeps_every_key_a_machine_may_still_ask_for(desk: Desk) -> None:
    card = fresh_desfire()
    desk.maker().make(seen(card), ADA)
    target = {Scheme.DESFIRE_AES: 3}
    assert desk.maker(TWO).rotate(seen(card), target).outcome is Outcome.MADE
    assert generations(card, TWO) == wanted(card, 2, {1: 1})
    assert desk.hub.keys[1] == (CardKey(slot(3), 2), TWO.card_key(2, UID, Place(AID, 3)))
    for _tap in range(2):
        assert desk.maker(TWO).rotate(seen(card), target).outcome is Outcome.ALREADY
        assert desk.maker(TWO).make(seen(card), None).outcome is Outcome.ALREADY
    assert generations(card, TWO) == wanted(card, 2, {1: 1})


def test_a_key_in_use_is_never_changed_in_place_and_numbers_only_go_up(desk: Desk) -> None:
    card = fresh_desfire()
    desk.maker().make(seen(card), ADA)
    before = kept(card)
    older = desk.maker(TWO)
    assert older.make(seen(card), None).outcome is Outcome.REFUSED
    assert older.rotate(seen(card), {Scheme.DESFIRE_AES: 1}).outcome is Outcome.REFUSED
    assert kept(card) == before
    assert older.rotate(seen(card), {Scheme.DESFIRE_AES: 3}).outcome is Outcome.MADE
    assert older.rotate(seen(card), {Scheme.DESFIRE_AES: 1}).outcome is Outcome.REFUSED
    assert desk.hub.keys[1][0] == CardKey(slot(3), 2)


def test_a_dry_run_changes_nothing_and_says_what_it_would(desk: Desk) -> None:
    card = fresh_desfire()
    before = kept(card)
    made = desk.maker(is_dry=True).make(seen(card), ADA)
    assert made.outcome is Outcome.SHOWN
    assert kept(card) == before
    assert (desk.hub.owners, desk.disk.path.read_bytes(), len(desk.uploads)) == ({}, b"", 0)
    assert len(desk.person.heard) == 1 + 1 + 15


def badge(number: int, generation: int) -> Badge:
    return Badge(1, "a", "A", "", "active", CardKey(slot(number), generation))


@pytest.mark.parametrize(
    ("badges", "newest", "target"),
    [
        ([badge(1, 1)] * 3, 1, 3),  # nothing begun: begin with the next
        ([badge(1, 1)] * 3, 2, 3),  # a new site key: begin
        ([badge(1, 1), badge(3, 2)], 2, 3),  # begun: go on
        ([badge(1, 1), badge(3, 1)], 1, 3),  # begun after a stolen node: go on
        ([badge(3, 1), badge(3, 1)], 2, 4),  # all at 3, and then a new site key
        ([badge(3, 1), badge(4, 2)], 2, 4),
        ([], 1, 3),
    ],
)
def test_a_rotation_goes_on_where_it_was(badges: list[Badge], newest: int, target: int) -> None:
    hub = FakeHub()
    used = max((one.card.slot.key_number for one in badges if one.card), default=1)
    hub.following = {1: 3, 3: 4, 4: 5}[used]
    assert rotation_target(hub, Scheme.DESFIRE_AES, badges, newest) == target


def test_when_a_card_has_no_number_left_nothing_is_promised() -> None:
    hub = FakeHub()
    hub.following = None
    assert rotation_target(hub, Scheme.DESFIRE_AES, [badge(13, 1)], 2) is None
