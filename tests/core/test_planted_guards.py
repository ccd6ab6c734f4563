"""Every safety rule of 2-machine.md that the core can break: broken on purpose, and seen red.

| rule | planted bug (P: test_planted_bugs.py, H: here) |
|---|---|
| S1 | P a policy that grants everybody · P the coil on in LOCKED_OUT · H the coil follows the key |
| S2 | P a stop does not move the gate · P an arrival of a dead reader counts · H the key's return does not |
| S3 | H a report, the key turned back or a clearing that closes the relay |
| S4 | H the machine's switch is not looked at · H a start by itself is ignored · H the inrush counts |
| S5 | P the stop chain ignored while enabled, ending · H the same in the pre-run |
| S6 | H a weld, a contactor that does not close, a weld behind the key is ignored |
| S7 | H a hang in which the dynamic enable let go goes unnoticed |
| S8 | P a busy machine ended at once, a warning without end, a busy handover · H another node cuts a job |
| S9 | P stop button, cut_now ignored · H the stop button ignored in the pre-run |
| S10 | H no pre-run · no run-on · one without end · a stop, a fire leaves the air running |
| S11 | P journal death does not abandon a start · H closing before the record is durable |
| S12 | H a pre-run that is given up is not taken back: two open sessions |
| S13 | H an interlock ignored at the start, when it opens, its flicker or debounce · a report that never ages |

A rule about processes and pins (S5 with software hung, S7 killed) has its breaks in tests/node and tests/sim.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from interlock.core import admission, events, interlocks, machine, outcomes, outputs, sensing, table
from interlock.core.events import FaultCleared, RemoteInterlockReported
from interlock.core.interlocks import REMOTE_FRESH_MS, Contact
from interlock.core.model import Inputs, Now, Rules
from interlock.core.outcomes import Outcome, ignore
from interlock.core.states import (
    EnabledFacts,
    MachineState,
    StartingFacts,
    State,
)
from tests.core import (
    test_bypass,
    test_faults,
    test_hangs,
    test_interlocks,
    test_planted_bugs,
    test_sensing,
    test_starting,
)
from tests.core.rig import ADA, QUIET, TAP, Rig
from tests.core.test_machine_guarded import GuardedHoldLife, GuardedLife

pytestmark = pytest.mark.fast

LIVES_MAX = 80
HAPPENINGS = 50


def live(life_class: type[GuardedLife], seed: int) -> None:
    """One random life of a guarded machine, every invariant checked after each happening."""
    chance = random.Random(seed)
    life = life_class()
    for _ in range(HAPPENINGS):
        name, *arguments = chance.choice(guarded_moves(life, chance))
        getattr(life, name)(*arguments)
        life.the_reference_model_agrees_about_the_coil()
        life.the_reference_model_agrees_about_the_air()
        life.coil_on_means_one_open_session()
        life.an_open_stop_chain_or_held_stop_means_coil_off()
        life.an_open_interlock_or_a_fire_means_coil_off()
        life.unmetered_is_the_key_alone()
        life.relay_commands_alternate()


def guarded_moves(life: GuardedLife, chance: random.Random) -> list[tuple[Any, ...]]:
    """What may happen next: mostly what disturbs a guarded machine, and each start now and then in peace."""
    always = [
        *test_planted_bugs.moves(life, chance),
        ("put_right",),
        ("lid_falls_shut_as_a_badge_arrives",),
        ("key_returns_while_a_badge_is_read",),
        *[
            ("lid", chance.random() < 0.5),
            ("fire", chance.random() < 0.5),
            ("chiller", chance.choice([True, False, None])),
            ("key", chance.random() < 0.5),
            ("wait", 100),
        ]
        * 2,
    ]
    if life.rig.at() is State.STARTING:
        always = [move for move in always if move[0] != "start"]
        disturbed = [("key", True), ("wait", 100), ("remove",), ("journal", False), ("wait", 520)]
        return [*always, *disturbed * 5]
    return always


def first_red(life_class: type[GuardedLife], lives: int = LIVES_MAX) -> int | None:
    """How many lives it takes until one fails; None when none of them does."""
    for seed in range(lives):
        try:
            live(life_class, seed)
        except AssertionError:
            return seed + 1
    return None


Plant = Callable[[pytest.MonkeyPatch], None]


def _ignoring(state: State, event: type) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(table.TABLE, (state, event), table.Rule(ignore, frozenset({state})))

    return plant


def _following(state: State, event: type, follow: Callable[..., Outcome], *to: State) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(table.TABLE, (state, event), table.Rule(follow, frozenset(to)))

    return plant


def _coil_follows_the_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outputs, "ENERGISED", outputs.ENERGISED | {State.UNMETERED})


def _no_pre_run(patch: pytest.MonkeyPatch) -> None:
    """Rules without a pre-run, as far as the start is concerned."""
    key = (State.STARTING, events.RecordDurable)
    original = table.TABLE[key].follow

    def hasty(state: MachineState, event: Any, now: Now) -> Outcome:
        facts = state.facts
        if isinstance(facts, StartingFacts):
            state = replace(state, facts=replace(facts, rules=replace(facts.rules, pre_run_s=0)))
        return original(state, event, now)

    patch.setitem(table.TABLE, key, replace(table.TABLE[key], follow=hasty))


def _no_run_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        outputs,
        "extraction_on",
        lambda state: outputs.coil_on(state) or isinstance(state.facts, StartingFacts),
    )


def _air_never_stops(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(interlocks, "stops_extraction", lambda *_: False)


def _stops_only_gate(patch: pytest.MonkeyPatch) -> None:
    key = (State.RUN_ON, events.StopPressed)
    patch.setitem(
        table.TABLE,
        key,
        table.Rule(
            lambda state, event, now: (outcomes.gated(state, now), ()), frozenset({State.RUN_ON})
        ),
    )


def _pre_run_without_void(patch: pytest.MonkeyPatch) -> None:
    def forget(state: MachineState, *_: object) -> Outcome:
        return state, ()

    patch.setattr(outcomes, "void", forget)


def _without_interlocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(interlocks, "missing", lambda *_, **__: None)


def _without_debounce(patch: pytest.MonkeyPatch) -> None:
    def believing(contact: Contact, declared: object, level: bool | None, at_ms: int) -> Contact:
        return Contact(level is True, at_ms, None if level is True else at_ms)

    patch.setattr(Contact, "sampled", believing)


def _cut_by_another_node(patch: pytest.MonkeyPatch) -> None:
    """A lost report ends the session whatever the machine does."""
    key = (State.ENABLED, events.RemoteInterlockLost)
    cut = table.TABLE[State.ENABLED, events.CutRequested]
    patch.setitem(table.TABLE, key, cut)


def _closing_before_durable(patch: pytest.MonkeyPatch) -> None:
    key = (State.STARTING, events.DeadlinePassed)
    original = table.TABLE[key].follow

    def hopeful(state: MachineState, event: Any, now: Now) -> Outcome:
        facts = state.facts
        if isinstance(facts, StartingFacts) and facts.record is None:
            state = replace(state, facts=replace(facts, record="1.0", pre_run_until_ms=now.boot_ms))
        return original(state, event, now)

    patch.setitem(table.TABLE, key, replace(table.TABLE[key], follow=hopeful))


BUGS: dict[str, tuple[type[GuardedLife], Plant]] = {
    "S1 the coil follows the key": (GuardedLife, _coil_follows_the_key),
    "S5 stop chain ignored in the pre-run": (
        GuardedLife,
        _ignoring(State.STARTING, events.EmergencyStopOpened),
    ),
    "S8 another node's interlock cuts a job": (GuardedLife, _cut_by_another_node),
    "S9 stop button ignored in the pre-run": (
        GuardedLife,
        _ignoring(State.STARTING, events.StopPressed),
    ),
    "S10 no pre-run": (GuardedLife, _no_pre_run),
    "S10 no run-on": (GuardedLife, _no_run_on),
    "S10 the run-on never ends": (GuardedLife, _ignoring(State.RUN_ON, events.RunOnOver)),
    "S10 a stop leaves the run-on": (GuardedLife, _stops_only_gate),
    "S10 a fire leaves the air running": (GuardedLife, _air_never_stops),
    "S10 hold: the badge may leave during the pre-run": (
        GuardedHoldLife,
        _ignoring(State.STARTING, events.BadgeRemoved),
    ),
    "S11 closing before the record is durable": (GuardedLife, _closing_before_durable),
    "S11 journal death in the pre-run ignored": (
        GuardedLife,
        _ignoring(State.STARTING, events.JournalFailed),
    ),
    "S12 a pre-run given up is not taken back": (GuardedLife, _pre_run_without_void),
    "S13 interlocks are not asked for at the start": (GuardedLife, _without_interlocks),
    "S13 an interlock that opens is ignored while enabled": (
        GuardedLife,
        _ignoring(State.ENABLED, events.InterlockOpened),
    ),
    "S13 an interlock that opens is ignored while ending": (
        GuardedLife,
        _ignoring(State.ENDING, events.InterlockOpened),
    ),
    "S13 a contact permits without debounce": (GuardedLife, _without_debounce),
    "S13 another node's lost interlock does not end the session": (
        GuardedLife,
        _ignoring(State.ENABLED, events.RemoteInterlockLost),
    ),
    "the key is ignored while starting": (
        GuardedLife,
        _ignoring(State.STARTING, events.BypassTurnedOn),
    ),
    "the key turned back does not move the gate": (
        GuardedLife,
        _following(
            State.UNMETERED,
            events.BypassTurnedOff,
            lambda state, event, now: (
                outcomes.at_rest(replace(state, unmetered_since_ms=None)),
                (),
            ),
            State.LOCKED,
            State.RUN_ON,
        ),
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    life, plant = BUGS[name]
    plant(monkeypatch)
    assert first_red(life) is not None


@pytest.mark.parametrize("life", [GuardedLife, GuardedHoldLife])
def test_without_a_planted_bug_no_guarded_life_fails(life: type[GuardedLife]) -> None:
    assert first_red(life, 40) is None


def test_guarded_lives_do_close_the_relay_and_run_the_air() -> None:
    """Lives in which nothing happens would agree with anything."""
    closings = airings = 0
    for seed in range(20):
        chance, life = random.Random(seed), GuardedLife()
        for _ in range(HAPPENINGS):
            name, *arguments = chance.choice(guarded_moves(life, chance))
            getattr(life, name)(*arguments)
        closings += sum(on for _, on in life.rig.relay)
        airings += sum(on for _, on in life.rig.air)
    assert closings >= 40
    assert airings >= 40


# ---------------------------------------------------------------- bugs that single cases see, not lives


def test_a_closing_that_nobody_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3: the table's own property sees any new way into a powered state."""

    def close(state: MachineState, event: Any, now: Now) -> Outcome:
        return replace(state, facts=EnabledFacts(_a_session())), ()

    for event in (RemoteInterlockReported, events.BypassTurnedOff, FaultCleared):
        with monkeypatch.context() as patch:
            _following(State.LOCKED, event, close, State.LOCKED, State.ENABLED)(patch)
            with pytest.raises(AssertionError):
                _the_only_ways_in_are_known()
    _the_only_ways_in_are_known()


def _switch_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    original = admission.input_obstacle

    def blind(inputs: Inputs) -> Any:
        return original(replace(inputs, machine_switch_on=None))

    patch.setattr(admission, "input_obstacle", blind)


SINGLE: dict[str, tuple[Plant, Callable[[], None]]] = {
    "S4 a switch that is on is not looked at": (
        _switch_not_looked_at,
        lambda: test_starting.test_an_input_that_forbids_closing_refuses_the_badge(
            {"machine_switch_on": True}, "MACHINE_SWITCH_ON"
        ),
    ),
    "S4 a start by itself is ignored": (
        _ignoring(State.ENABLED, events.MachineStartedByItself),
        lambda: test_sensing.test_a_machine_that_starts_by_itself_is_opened_at_once_and_latched(
            QUIET
        ),
    ),
    "S4 a start by itself is ignored while ending": (
        _ignoring(State.ENDING, events.MachineStartedByItself),
        test_sensing.test_a_start_by_itself_while_the_end_is_asked_is_one_too,
    ),
    "S4 the inrush counts as a start": (
        lambda patch: _patch_sense(patch, rules={"inrush_ms": -1}),
        test_sensing.test_charging_right_after_closing_is_no_start,
    ),
    "S6 a weld is never reported": (
        _ignoring(State.LOCKED, events.ContactorStuckClosed),
        test_faults.test_a_contactor_found_closed_at_boot_is_welded,
    ),
    "S6 a contactor that does not close is ignored": (
        _ignoring(State.ENABLED, events.ContactorStuckOpen),
        test_faults.test_a_contactor_that_does_not_close_ends_the_session_and_latches,
    ),
    "S6 the key hides a weld for good": (
        lambda patch: _patch_sense(patch, levels={"bypass_on": True}),
        test_bypass.test_a_contactor_that_stays_closed_when_the_key_is_back_is_welded,
    ),
    "S7 a hang goes unnoticed": (
        lambda patch: patch.setattr(sensing, "hung", lambda *_: False),
        lambda: (
            test_hangs.test_a_hang_in_which_the_enable_let_go_ends_the_session_and_is_not_billed(
                5_000, True
            )
        ),
    ),
    "S13 a report never ages": (
        lambda patch: patch.setattr(interlocks, "REMOTE_FRESH_MS", REMOTE_FRESH_MS * 1_000),
        lambda: test_interlocks.test_a_report_is_believed_for_its_time_and_no_longer(1, False),
    ),
    "S13 a flicker within the trip time does not keep a start back": (
        lambda patch: patch.setattr(
            Contact, "is_settled", property(lambda contact: contact.permits)
        ),
        test_interlocks.test_a_start_asks_for_more_than_a_running_machine_does,
    ),
}


def _patch_sense(
    patch: pytest.MonkeyPatch,
    *,
    rules: dict[str, Any] | None = None,
    levels: dict[str, Any] | None = None,
) -> None:
    """The core senses other levels, or by other rules, than there are."""
    original = sensing.sense

    def other(watch: Any, inputs: Inputs, declared: Rules, now_ms: int) -> Any:
        seen = replace(inputs, **(levels or {}))
        return original(watch, seen, replace(declared, **(rules or {})), now_ms)

    patch.setattr(machine, "sense", other)


@pytest.mark.parametrize("name", SINGLE)
def test_a_planted_bug_turns_its_test_red(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, sees = SINGLE[name]
    sees()
    plant(monkeypatch)
    with pytest.raises((AssertionError, IndexError, ValueError)):
        sees()


def test_every_safety_rule_has_a_planted_bug() -> None:
    names = [*BUGS, *SINGLE, *test_planted_bugs.BUGS]
    by_function = {"S3"}
    assert {name.split()[0] for name in names} | by_function >= {
        f"S{rule}" for rule in range(1, 14)
    }


def _the_only_ways_in_are_known() -> None:
    powered = outputs.ENERGISED
    ways_in = {
        (at, event.__name__)
        for (at, event), rule in table.TABLE.items()
        if at not in powered and rule.to & powered
    }
    assert ways_in == {(State.STARTING, "RecordDurable"), (State.STARTING, "DeadlinePassed")}


def _a_session() -> Any:
    rig = Rig(TAP)
    rig.arrive(ADA)
    assert rig.state.session is not None
    return rig.state.session
