"""The transition table is total, closed and reachable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import machine, outputs, table
from interlock.core.events import DeadlinePassed, StopPressed
from interlock.core.outcomes import Outcome, ignore
from interlock.core.states import LockedOutFacts, MachineState, State
from tests.core.rig import ADA, TAP, Rig, enabled

pytestmark = pytest.mark.fast


def test_every_state_has_an_entry_for_every_event_and_no_other() -> None:
    assert set(table.TABLE) == {(state, event) for state in State for event in table.EVENTS}


def test_an_event_without_an_everywhere_row_stands_in_every_state() -> None:
    for event in table.EVENTS:
        if event not in table.EVERYWHERE:
            assert all(event in table.IN_STATE[state] for state in State), event


def test_every_state_can_be_reached_from_locked() -> None:
    reached = {State.LOCKED}
    while True:
        wider = reached | {
            to for (at, _), rule in table.TABLE.items() if at in reached for to in rule.to
        }
        if wider == reached:
            break
        reached = wider
    assert reached == set(State)


def test_the_coil_can_only_come_on_when_a_start_record_is_durable() -> None:
    """S3, S11 as a property of the table: the only ways from an unpowered into a powered state."""
    powered = outputs.ENERGISED
    ways_in = {
        (at, event.__name__)
        for (at, event), rule in table.TABLE.items()
        if at not in powered and rule.to & powered
    }
    assert ways_in == {(State.STARTING, "RecordDurable"), (State.STARTING, "DeadlinePassed")}


def test_a_deadline_while_starting_closes_nothing_before_the_record_is_durable() -> None:
    """S11: the second way in is the end of the pre-run, which only a durable record begins."""
    rig = Rig(replace(TAP, pre_run_s=1), durable=False)
    rig.arrive(ADA)
    state, _ = machine.step(rig.state, DeadlinePassed(), rig.now)
    assert state.state is State.LOCKED


def test_a_transition_the_table_does_not_allow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def astray(state: MachineState, event: object, now: object) -> Outcome:
        return replace(state, facts=LockedOutFacts()), ()

    rig = enabled()
    key = (State.ENABLED, StopPressed)
    monkeypatch.setitem(table.TABLE, key, table.Rule(astray, table.TABLE[key].to))
    before = rig.state
    with pytest.raises(AssertionError) as raised:
        machine.step(rig.state, StopPressed(), rig.now)
    assert str(raised.value) == (
        "StopPressed led from ENABLED to LOCKED_OUT, which the table does not allow"
    )
    assert rig.state is before


def test_an_ignored_event_changes_nothing() -> None:
    rig = Rig()
    assert ignore(rig.state, None, rig.now) == (rig.state, ())
