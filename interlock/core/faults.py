"""What refuses everybody until a technician comes: lock-outs set by a person, faults found in the contactor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core.model import Fault, Now
from interlock.core.outcomes import Outcome, abandon, gated, record
from interlock.core.states import FaultFacts, LockedOutFacts, MachineState


def lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """The "broken" button was pressed at an idle machine: nobody starts it until a technician clears it."""
    return record_lock_out(gated(replace(state, facts=LockedOutFacts(), notice=None), now))


def record_lock_out(state: MachineState) -> Outcome:
    """The lock-out stands in the journal; where somebody still works, the state follows when they end."""
    return record(state, "lock_out_set", {"source": "machine", "cause": "broken_pressed"})


def abandon_and_lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """The "broken" button was pressed while starting."""
    state, effects = abandon(state)
    state, more = lock_out(state, event, now)
    return state, effects + more


def note_lock_out_behind_fault(state: MachineState, event: Any, now: Now) -> Outcome:
    """The "broken" button was pressed at a machine in fault: the lock-out outlives the fault."""
    assert isinstance(state.facts, FaultFacts)
    if state.facts.locked_out:
        return state, ()
    return record_lock_out(replace(state, facts=replace(state.facts, locked_out=True)))


def latch_welded(state: MachineState, event: Any, now: Now) -> Outcome:
    """The contacts are closed without command: everybody is refused until a technician clears it."""
    return latch(state, Fault.CONTACTOR_WELDED, now)


def abandon_and_latch_welded(state: MachineState, event: Any, now: Now) -> Outcome:
    """Found welded while starting: nothing is powered by us."""
    state, effects = abandon(state)
    state, more = latch(state, Fault.CONTACTOR_WELDED, now)
    return state, effects + more


def latch(state: MachineState, fault: Fault, now: Now) -> Outcome:
    """The fault stands, recorded once, and a lock-out that was there stands behind it."""
    facts = state.facts
    known = facts.faults if isinstance(facts, FaultFacts) else frozenset()
    locked_out = isinstance(facts, LockedOutFacts) or (
        isinstance(facts, FaultFacts) and facts.locked_out
    )
    state = gated(replace(state, facts=FaultFacts(known | {fault}, locked_out), notice=None), now)
    if fault in known:
        return state, ()
    return record(state, "fault_raised", {"fault": fault.value})
