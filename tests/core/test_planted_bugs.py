"""The random lives can fail: each planted bug is found within a bounded number of lives."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from interlock.core import admission, events, outputs, people, sessions, table
from interlock.core.model import Decision, Granted, Now, Presented
from interlock.core.outcomes import Outcome, enabled, ignore
from interlock.core.states import MachineState, Session, StartingFacts, State
from tests.core.rig import ADA, BEN
from tests.core.test_machine_stateful import ENTRIES, HoldLife, Life

pytestmark = pytest.mark.fast

LIVES_MAX = 300
"""Each bug below is found within this many seeds; most within ten."""

HAPPENINGS = 60


def live(life_class: type[Life], seed: int) -> None:
    """One random life of `HAPPENINGS`, every invariant checked after each. Raises AssertionError."""
    chance = random.Random(seed)
    life = life_class()
    for _ in range(HAPPENINGS):
        name, *arguments = chance.choice(moves(life, chance))
        getattr(life, name)(*arguments)
        life.the_reference_model_agrees_about_the_coil()
        life.coil_on_means_one_open_session()
        life.an_open_stop_chain_or_held_stop_means_coil_off()
        life.relay_commands_alternate()


def moves(life: Life, chance: random.Random) -> list[tuple[Any, ...]]:
    """What may happen next; a life that is powered is disturbed, one that is not is started."""
    button = chance.choice(["stop_pressed", "broken_pressed"])
    always: list[tuple[Any, ...]] = [
        ("wait", chance.choice([20, 100, 520, 1_020, 2_020, 3_020])),
        ("motor", chance.random() < 0.7),
        ("arrive", chance.choice(ENTRIES), chance.choice([0, 0, 30])),
        ("remove",),
        ("press_and_release", {button: True}),
        ("press_and_release", {"emergency_stop_closed": False}),
        ("press_and_release_while_a_badge_is_read",),
        ("journal", False),
        ("journal", True),
        ("reader_dies",),
        ("reader_recovers",),
        ("cut",),
        ("hub_asks_for_the_end",),
    ]
    if life.unanswered:
        always += [("answer", chance.choice(life.unanswered), chance.random() < 0.8)] * 3
    if life.rig.is_on:
        return [
            *always,
            ("motor", False),
            *[("holder_arrives",), ("motor", True), ("wait", 2_020)] * 3,
        ]
    return [*always, *[("start", ADA, True), ("start", BEN, False)] * 5]


def seeds_needed(life_class: type[Life]) -> int | None:
    """How many lives it takes until one fails; None when none of `LIVES_MAX` does."""
    for seed in range(LIVES_MAX):
        try:
            live(life_class, seed)
        except AssertionError:
            return seed + 1
    return None


def _ignored(state: State, event: type) -> tuple[tuple[State, type], table.Rule]:
    return (state, event), table.Rule(ignore, frozenset({state}))


def _takes_the_end_back(state: MachineState, event: Any, now: Now) -> Outcome:
    """Any tap of the holder resumes, also after their own tap-off."""
    session = state.session
    assert session is not None
    return enabled(state, session), ()


BUGS: dict[str, tuple[type[Life], tuple[tuple[State, type], table.Rule]]] = {
    "S9 stop button ignored while enabled": (Life, _ignored(State.ENABLED, events.StopPressed)),
    "S9 stop button ignored while ending": (Life, _ignored(State.ENDING, events.StopPressed)),
    "S5 stop chain ignored while enabled": (
        Life,
        _ignored(State.ENABLED, events.EmergencyStopOpened),
    ),
    "S5 stop chain ignored while ending": (
        Life,
        _ignored(State.ENDING, events.EmergencyStopOpened),
    ),
    "S2 stop does not move the gate": (Life, _ignored(State.LOCKED, events.StopPressed)),
    "S9 cut_now ignored": (Life, _ignored(State.ENABLED, events.CutRequested)),
    "S11 journal death does not abandon a start": (
        Life,
        _ignored(State.STARTING, events.JournalFailed),
    ),
    "S8 deadline of the warning ignored": (Life, _ignored(State.ENDING, events.DeadlinePassed)),
    "S8 busy machine ended at once": (
        Life,
        (
            (State.ENABLED, events.BadgeArrived),
            table.Rule(sessions.end_by_cut, frozenset({State.LOCKED})),
        ),
    ),
    "a tap takes an asked end back": (
        Life,
        (
            (State.ENDING, events.BadgeArrived),
            table.Rule(_takes_the_end_back, frozenset({State.ENABLED})),
        ),
    ),
    "hold: removal ignored": (HoldLife, _ignored(State.ENABLED, events.BadgeRemoved)),
    "hold: dead reader ignored": (HoldLife, _ignored(State.ENABLED, events.ReaderFailed)),
    "hold: removal while starting ignored": (
        HoldLife,
        _ignored(State.STARTING, events.BadgeRemoved),
    ),
    "idle machine not ended at the first idle": (
        Life,
        _ignored(State.ENDING, events.MachineBecameIdle),
    ),
    "broken button ignored while ending": (Life, _ignored(State.ENDING, events.BrokenPressed)),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    life, (key, rule) = BUGS[name]
    monkeypatch.setitem(table.TABLE, key, rule)
    assert seeds_needed(life) is not None


def test_a_policy_that_grants_everybody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(state: MachineState, badge: Presented, now: Now, *_: object) -> Decision:
        return Granted(badge.entry.member if badge.entry else "nobody", "en")

    monkeypatch.setattr(admission, "admit", generous)
    assert seeds_needed(Life) is not None


def test_a_blocked_badge_that_keeps_a_session_alive_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "continuing_obstacle", lambda *_: None)
    assert seeds_needed(HoldLife) is not None


def test_an_arrival_of_a_dead_reader_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        admission, "counts_as_arrival", lambda state, badge, now: badge.seen_ms > state.gate_ms
    )
    assert seeds_needed(Life) is not None


def test_a_handover_that_cuts_a_busy_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """S8."""
    careful = people.hand_over

    def careless(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
        inputs = replace(state.inputs, busy=False)
        state = replace(state, watch=replace(state.watch, inputs=inputs))
        return careful(state, session, badge, now)

    monkeypatch.setattr(people, "hand_over", careless)
    assert seeds_needed(Life) is not None


def test_a_handover_that_does_not_wait_for_the_contactor_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    careful = people.hand_over

    def hasty(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
        state, effects = careful(state, session, badge, now)
        if isinstance(state.facts, StartingFacts):
            state = replace(state, facts=replace(state.facts, not_before_ms=None))
        return state, effects

    monkeypatch.setattr(people, "hand_over", hasty)
    assert seeds_needed(Life) is not None


def test_a_coil_left_on_in_another_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = outputs.ENERGISED | {State.LOCKED_OUT}
    monkeypatch.setattr(outputs, "ENERGISED", wider)
    assert seeds_needed(Life) is not None


def test_closing_without_a_last_look_at_the_inputs_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stop is pressed while the start is being recorded, and nobody looks again."""
    monkeypatch.setattr(admission, "closing_obstacle", lambda *_, **__: None)
    assert seeds_needed(Life) is not None


@pytest.mark.parametrize("life", [Life, HoldLife])
def test_without_a_planted_bug_no_life_fails(life: type[Life]) -> None:
    assert seeds_needed(life) is None
