"""Interlocks of other nodes: told soon, asked often, never believed closed on one look, silent when nobody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from interlock.config.sections import InputConfig, InterlockConfig
from interlock.errors import LinkError
from interlock.sim.clocks import VirtualClock
from interlock.sync.backoff import Backoff
from interlock.sync.links import No, Word
from interlock.sync.neighbours import ASK_MS, LOOK_MS, TELL_MS, Neighbours

pytestmark = pytest.mark.fast


def declared(name: str, remote: str | None = None) -> InterlockConfig:
    contact = None if remote else InputConfig(23, pull="up", normally="closed")
    return InterlockConfig(name, contact, remote, 500, 0, False, False)


@dataclass
class Machine:
    """A node's contacts, and what it was told."""

    levels: list[bool | None]
    told: list[tuple[str, bool | None]] = field(default_factory=list)
    ages_ms: list[int] = field(default_factory=list)
    away: bool = False
    refuses: bool = False

    def contacts(self) -> Sequence[bool | None]:
        if self.away:
            raise LinkError("it does not answer", where="the node")
        return self.levels

    def interlock(self, name: str, closed: bool | None, age_ms: int) -> No | None:
        self.told.append((name, closed))
        self.ages_ms.append(age_ms)
        return No("malformed", "no such interlock") if self.refuses else None


@dataclass
class Office:
    """A hub: what it was told and when, and what it answers."""

    clock: VirtualClock
    heard: list[tuple[int, dict[str, bool | None]]] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    answers: dict[str, bool | None] = field(default_factory=dict)
    looked: list[tuple[str, int]] = field(default_factory=list)
    age_ms: int = 0
    takes_ms: int = 0
    away: bool = False

    def interlocks(
        self, own: Mapping[str, bool | None], wanted: Sequence[str], boot_id: str, boot_ms: int
    ) -> dict[str, Word] | No:
        if self.away:
            raise LinkError("it cannot be reached", where="the hub")
        self.heard.append((self.clock.boot_ms(), dict(own)))
        self.looked.append((boot_id, boot_ms))
        self.wanted = list(wanted)
        self.clock.advance_us(self.takes_ms * 1_000)
        return {one: Word(self.answers.get(one), self.age_ms) for one in wanted}


class Place:
    """One node's exchange under a virtual clock."""

    def __init__(self, *interlocks: InterlockConfig, levels: Sequence[bool | None]) -> None:
        self.clock = VirtualClock()
        self.machine, self.hub = Machine(list(levels)), Office(self.clock)
        self.exchange = Neighbours(
            node=self.machine,
            hub=self.hub,
            declared=interlocks,
            clock=self.clock,
            backoff=Backoff(Random(1)),
        )
        self.began_ms = self.clock.boot_ms()

    def run_ms(self, duration_ms: int) -> None:
        end_ms = self.clock.boot_ms() + duration_ms
        while self.clock.boot_ms() < end_ms:
            self.clock.advance_us(max(1, self.exchange.step()) * 1_000)

    def told_at(self) -> list[tuple[int, dict[str, bool | None]]]:
        return [(at_ms - self.began_ms, own) for at_ms, own in self.hub.heard]


def test_a_contact_is_closed_when_two_looks_saw_it_and_open_at_the_first() -> None:
    place = Place(declared("Lid"), levels=[True])
    place.run_ms(3_500)
    place.machine.levels = [False]
    place.run_ms(2_000)
    assert [own["Lid"] for _, own in place.told_at()] == [False, True, False]
    # A contact that flutters at every second look is never told to be closed.
    for level in (True, False, True, False, True):
        place.machine.levels = [level]
        place.run_ms(LOOK_MS)
    assert [own["Lid"] for _, own in place.told_at()] == [False, True, False]


def test_who_only_tells_says_so_twice_a_minute_and_a_change_at_once() -> None:
    place = Place(declared("Lid"), levels=[False])
    place.run_ms(2 * TELL_MS)
    assert [at_ms for at_ms, _ in place.told_at()] == [0, TELL_MS]
    place.machine.levels = [None]
    place.run_ms(LOOK_MS)
    assert place.told_at()[-1] == (2 * TELL_MS, {"Lid": None})


def test_who_waits_for_another_asks_every_ten_seconds_and_hands_over_every_answer() -> None:
    place = Place(declared("Air", "extraction/Air flow"), levels=[None])
    place.hub.answers = {"extraction/Air flow": True}
    place.run_ms(ASK_MS)
    place.hub.answers = {"extraction/Air flow": False}
    place.run_ms(ASK_MS)
    place.hub.answers = {}
    place.run_ms(ASK_MS)
    assert place.hub.wanted == ["extraction/Air flow"]
    assert place.machine.told == [("Air", True), ("Air", False), ("Air", None)]
    assert [own for _, own in place.told_at()] == [{}] * 3


def test_a_word_is_as_old_as_it_lay_at_the_hub_and_on_its_way() -> None:
    """Found by the simulator (I1): kept for 90 s at the hub and for 90 s more here, it was believed for 180 s."""
    place = Place(declared("Air", "x/Air"), levels=[None])
    place.hub.answers, place.hub.age_ms, place.hub.takes_ms = {"x/Air": True}, 60_000, 4_000
    place.run_ms(LOOK_MS)
    assert (place.machine.told, place.machine.ages_ms) == ([("Air", True)], [64_000])


def test_every_question_says_when_the_contacts_were_looked_at() -> None:
    place = Place(declared("Lid"), levels=[False])
    place.run_ms(TELL_MS + LOOK_MS)
    boot_id = place.clock.boot_id
    assert place.hub.looked == [(boot_id, at_ms) for at_ms, _ in place.hub.heard]
    assert len(place.hub.looked) == 2


def test_a_hub_that_is_away_tells_nothing_and_hears_of_us_when_it_is_back() -> None:
    place = Place(declared("Lid"), declared("Air", "x/Air"), levels=[False, None])
    place.hub.away = True
    place.run_ms(120_000)
    # Nothing is made up meanwhile: the node forgets the last word by itself.
    assert (place.machine.told, place.hub.heard) == ([], [])
    place.hub.away = False
    place.exchange.wake()
    place.run_ms(LOOK_MS)
    assert place.machine.told == [("Air", None)]
    assert place.told_at()[0][1] == {"Lid": False}


def test_a_node_that_is_away_says_nothing_to_the_hub() -> None:
    place = Place(declared("Lid"), levels=[True])
    place.machine.away = True
    place.run_ms(60_000)
    assert place.hub.heard == []


def test_a_node_that_refuses_a_name_does_not_stop_the_others() -> None:
    place = Place(declared("A", "x/A"), declared("B", "x/B"), levels=[None, None])
    place.machine.refuses = True
    place.run_ms(LOOK_MS)
    assert [name for name, _ in place.machine.told] == ["A", "B"]
