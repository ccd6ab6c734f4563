"""Random lives of a machine at which not everybody may be alone: the coil agrees with the second opinion."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from interlock.core import admission, events, people, policy, table
from interlock.core.effects import WriteRecord
from interlock.core.model import BadgeState, BadgeUse, Ending, Entry, Granted, Level, Now, Presented
from interlock.core.outcomes import Outcome, ignore
from interlock.core.sessions import request_end
from interlock.core.states import MachineState, Session, State
from tests.core.reference_people import PeopleReference
from tests.core.rig import ADA, BEN, TECHNICIAN, TICK_MS, TRAINEE, TRAINER, UNTRAINED, Rig
from tests.core.test_machine_stateful import BRIEF, LIVES, Life
from tests.core.test_planted_bugs import live, moves

pytestmark = pytest.mark.fast

PEOPLE_LIVES_MAX = 100
"""Each bug below is found within this many seeds; most within ten."""

WATCHED = replace(BRIEF, second_wait_s=1, supervise_s=3)
BLOCKED = replace(TRAINER, badge=BadgeState.BLOCKED)
PEOPLE = [ADA, BEN, TRAINEE, TRAINEE, TRAINER, TRAINER, BLOCKED, UNTRAINED, TECHNICIAN, None]
BY_MEMBER = {one.member: one for one in PEOPLE if one is not None and one is not BLOCKED}


class PeopleLife(Life):
    asked = WATCHED
    reference: PeopleReference

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self.rig = Rig(self.asked, durable=False)
        self.reference = PeopleReference(self.asked, self.rig.ms - TICK_MS)
        self.open: list[str] = []
        self.unanswered: list[WriteRecord] = []
        self.read = 0

    def arrive(self, entry: Entry | None, ago_ms: int) -> None:
        # The loop samples before it takes events: the contactor has been seen to let go.
        self.sample(lambda: None)
        if entry is BLOCKED:
            self.rig.arrive(entry, ago_ms=ago_ms)
            seen_ms = self.rig.ms - ago_ms
            self.reference.arrive(BLOCKED.member, False, seen_ms, self.rig.ms, blocked=True)
            self.absorb()
        elif entry is TRAINER:
            self.rig.arrive(entry, ago_ms=ago_ms)
            self.reference.arrive(TRAINER.member, True, self.rig.ms - ago_ms, self.rig.ms)
            self.absorb()
        else:
            super().arrive(entry, ago_ms)

    arrive = rule(entry=st.sampled_from(PEOPLE), ago_ms=st.sampled_from([0, 0, 0, 30, 5_000]))(
        arrive
    )

    @precondition(lambda self: not self.rig.is_on)
    @rule(answered=st.booleans())
    def begin_together(self, answered: bool) -> None:
        """A first badge and the one it waits for."""
        self.start(TRAINEE, False)
        waiting = len(self.unanswered)
        self.arrive(TRAINER, 0)
        if answered and len(self.unanswered) > waiting:
            self.answer(self.unanswered[-1], works=True)

    def holder_arrives(self) -> None:
        self.arrive(BY_MEMBER[self.reference.holder or ADA.member], 0)

    holder_arrives = precondition(lambda self: self.reference.holder is not None)(
        rule()(holder_arrives)
    )

    def reader_dies(self) -> None:
        self.reference.first = None
        super().reader_dies()

    reader_dies = rule()(reader_dies)

    def journal(self, works: bool) -> None:
        if not works:
            self.reference.first = None
        super().journal(works)

    journal = rule(works=st.booleans())(journal)

    def hub_asks_for_the_end(self) -> None:
        if self.reference.first is not None:
            self.reference.force_off(self.rig.ms)
        super().hub_asks_for_the_end()

    hub_asks_for_the_end = rule()(hub_asks_for_the_end)

    @invariant()
    def the_reference_model_agrees_about_the_coil(self) -> None:
        """And about whose the machine is, and who answers for them."""
        super().the_reference_model_agrees_about_the_coil()
        session = self.rig.state.session
        if session is None:
            return
        beside = session.company.second or session.company.supervisor
        assert session.granted.member == self.reference.holder
        assert beside == self.reference.beside
        if self.reference.supervised:
            assert session.company.supervisor == TRAINER.member, "S1"
            assert session.confirm_by_ms is not None
        if self.asked.second_person:
            assert beside not in (None, session.granted.member), "S1"


class PeopleHoldLife(PeopleLife):
    asked = replace(WATCHED, badge_use=BadgeUse.HOLD)


class TogetherLife(PeopleLife):
    asked = replace(WATCHED, second_person=True)


class TogetherHoldLife(TogetherLife):
    asked = replace(WATCHED, second_person=True, badge_use=BadgeUse.HOLD)


TestPeople = PeopleLife.TestCase
TestPeople.settings = LIVES
TestPeopleHold = PeopleHoldLife.TestCase
TestPeopleHold.settings = LIVES
TestTogether = TogetherLife.TestCase
TestTogether.settings = LIVES
TestTogetherHold = TogetherHoldLife.TestCase
TestTogetherHold.settings = LIVES


def people_moves(life: Life, chance: random.Random) -> list[tuple[Any, ...]]:
    """A first who waits is disturbed or joined, a supervised session left to work; else something begins."""
    assert isinstance(life, PeopleLife)
    usual = moves(life, chance)
    anybody = ("arrive", chance.choice(PEOPLE), chance.choice([0, 0, 30]))
    if life.reference.first is not None:
        stops: list[tuple[Any, ...]] = [
            ("press_and_release", {"stop_pressed": True}),
            ("press_and_release", {"emergency_stop_closed": False}),
            *[("cut",), ("wait", 1_020), ("arrive", BLOCKED, 0), ("arrive", TRAINER, 30)],
        ]
        answers = [("answer", write, True) for write in life.unanswered[-1:]] * 2
        return [*stops, *answers, ("arrive", TRAINER, 0), ("arrive", TRAINER, 0), anybody]
    if life.reference.supervised:
        works: list[tuple[Any, ...]] = [("motor", True), ("wait", 3_020), ("arrive", TRAINER, 0)]
        return [*works * 4, anybody, chance.choice(usual)]
    if life.rig.is_on or life.rig.at() is State.STARTING:
        return [*usual, *[anybody] * 8]
    begun = [("begin_together", chance.random() < 0.9), ("start", TRAINEE, False)]
    return [*begun * 8, anybody, chance.choice(usual)]


def seeds_needed(
    life_class: type[PeopleLife],
    monkeypatch: pytest.MonkeyPatch,
    lives_max: int = PEOPLE_LIVES_MAX,
) -> int | None:
    monkeypatch.setattr("tests.core.test_planted_bugs.moves", people_moves)
    for seed in range(lives_max):
        lives: list[PeopleLife] = []

        def born(chosen: type[PeopleLife] = life_class, kept: list[PeopleLife] = lives) -> Life:
            kept.append(chosen())
            return kept[-1]

        try:
            live(born, seed)  # type: ignore[arg-type]
        except AssertionError:
            return seed + 1
    return None


@pytest.mark.parametrize("life", [PeopleLife, PeopleHoldLife, TogetherLife, TogetherHoldLife])
def test_without_a_planted_bug_no_life_fails(
    life: type[PeopleLife], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seeds_needed(life, monkeypatch, lives_max=40) is None


def everybody_teaches(entry: Entry, rules: object, now: Now) -> tuple[str, ...]:
    return ("saw",)


def anybody_may(entry: Entry | None, *_: object) -> None:
    """Whoever comes counts as there, also with a blocked badge."""


def supervised_is_enough(right: Any, now: Now) -> None:
    assert right.level in Level


def own_second(granted: Granted, badge: Presented) -> bool:
    return False


def tap_of_the_trainer_ends(
    state: MachineState, session: Session, badge: Presented, trainer: Granted, now: Now
) -> Outcome:
    return request_end(state, session, Ending.TAP_OFF, now)


BUGS: dict[str, tuple[type[PeopleLife], Any, str, Any]] = {
    "S1 everybody teaches": (PeopleLife, admission, "trains", everybody_teaches),
    "S1 a blocked trainer counts": (PeopleLife, admission, "accompanies", anybody_may),
    "S1 supervised is as good as alone": (PeopleLife, policy, "_lacks", supervised_is_enough),
    "S1 one's own second person": (TogetherLife, people, "is_holder", own_second),
    "a trainer's tap ends the session": (PeopleLife, people, "confirm", tap_of_the_trainer_ends),
    "a removed end is taken back by anybody": (
        PeopleLife,
        people,
        "ABSENCES",
        frozenset(Ending),
    ),
    "S1 a trainer of any time counts": (
        PeopleLife,
        admission,
        "counts_as_arrival",
        lambda state, badge, now: state.reader_trouble is None,
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    life, module, attribute, wrong = BUGS[name]
    monkeypatch.setattr(module, attribute, wrong)
    assert seeds_needed(life, monkeypatch) is not None


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.WAITING_FOR_SECOND, events.StopPressed),
        (State.WAITING_FOR_SECOND, events.EmergencyStopOpened),
        (State.WAITING_FOR_SECOND, events.CutRequested),
        (State.WAITING_FOR_SECOND, events.DeadlinePassed),
    ],
)
def test_a_wait_that_outlives_its_end_is_found(
    state: State, event: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S9: the stop before the trainer came would be forgotten."""
    monkeypatch.setitem(table.TABLE, (state, event), table.Rule(ignore, frozenset({state})))
    assert seeds_needed(PeopleLife, monkeypatch) is not None


def test_a_supervision_that_nobody_asks_about_again_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "_confirm_by_ms", lambda session, now: now.boot_ms + 10**9)
    assert seeds_needed(PeopleLife, monkeypatch) is not None
