"""A badge arrived: in each state, who it starts, continues, ends or clears something for, and who is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission, evidence
from interlock.core.effects import Effect
from interlock.core.model import Assurance, BadgeUse, Ending, Now, Presented, Reason, Refusal
from interlock.core.outcomes import (
    Outcome,
    at_rest,
    enabled,
    gated,
    member_of,
    record,
    refusal_of,
    refuse,
    refused_notice,
    still_here,
)
from interlock.core.sessions import miss, request_end
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    FaultFacts,
    LockedOutFacts,
    MachineState,
    StartingFacts,
)


def start_or_refuse(state: MachineState, event: Any, now: Now) -> Outcome:
    """An arrival at an idle machine: ask the journal for a start record, or say why not."""
    badge: Presented = event.badge
    decision = admission.admit(state, badge, now)
    if isinstance(decision, Refusal):
        return refuse(state, badge, decision, now)
    body = evidence.started_body(state, badge, decision, now)
    facts = StartingFacts(state.next_ticket, decision, state.rules, now.boot_ms)
    state, effects = record(state, "session_started", body)
    return replace(state, facts=facts, notice=None), effects


def refuse_powered_by_key(state: MachineState, event: Any, now: Now) -> Outcome:
    """An arrival while the bypass key powers the machine: whoever turned it is using it."""
    return refuse(state, event.badge, refusal_of(event.badge, Reason.MACHINE_IN_USE), now)


def refuse_in_use(state: MachineState, event: Any, now: Now) -> Outcome:
    """Another arrival while a start is being recorded: the machine is taken, unless it is the same person."""
    assert isinstance(state.facts, StartingFacts)
    if member_of(event.badge) == state.facts.granted.member:
        return state, ()
    return refuse(state, event.badge, refusal_of(event.badge, Reason.MACHINE_IN_USE), now)


def arrival_while_enabled(state: MachineState, event: Any, now: Now) -> Outcome:
    """`tap`: the holder's second tap asks for the end. `hold`: the holder's badge is back in the slot."""
    assert isinstance(state.facts, EnabledFacts)
    session = state.facts.session
    if member_of(event.badge) != session.granted.member:
        return refuse(state, event.badge, refusal_of(event.badge, Reason.MACHINE_IN_USE), now)
    if session.rules.badge_use is BadgeUse.TAP:
        return request_end(state, session, Ending.TAP_OFF, now)
    obstacle = admission.continuing_obstacle(state, event.badge, session.rules, now)
    if obstacle is not None:
        return refuse(state, event.badge, obstacle, now)
    return enabled(state, replace(session, missing=None)), ()


def arrival_while_ending(state: MachineState, event: Any, now: Now) -> Outcome:
    """The holder may go on when the end was asked by absence or idleness, never when a person asked for it."""
    assert isinstance(state.facts, EndingFacts)
    session = state.facts.session
    if member_of(event.badge) != session.granted.member:
        return refuse(state, event.badge, refusal_of(event.badge, Reason.MACHINE_IN_USE), now)
    if state.facts.cause not in (Ending.BADGE_REMOVED, Ending.READER_LOST, Ending.IDLE_TIMEOUT):
        return state, ()
    obstacle = admission.continuing_obstacle(state, event.badge, session.rules, now)
    if obstacle is not None:
        return refuse(state, event.badge, obstacle, now)
    return enabled(state, still_here(replace(session, missing=None), state, now)), ()


def clear_lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """A technician's arrival ends the lock-out; anybody else is told about it."""
    verdict = admission.technician(state, event.badge, now, assurance=Assurance.UID)
    if isinstance(verdict, Refusal):
        return refuse(state, event.badge, verdict, now)
    seen = evidence.evidence(state, event.badge, now)
    body = {"source": "machine", "by": verdict.member, "evidence": seen}
    state, effects = record(state, "lock_out_cleared", body)
    return gated(replace(at_rest(state), notice=None), now), effects


def clear_faults_by_badge(state: MachineState, event: Any, now: Now) -> Outcome:
    """A technician's arrival with a badge that cannot be cloned clears latched faults."""
    verdict = admission.technician(state, event.badge, now, assurance=Assurance.AES)
    if isinstance(verdict, Refusal):
        if verdict.reason is Reason.MACHINE_LOCKED_OUT:
            verdict = replace(verdict, reason=Reason.MACHINE_FAULT)
        return refuse(state, event.badge, verdict, now)
    seen = evidence.evidence(state, event.badge, now)
    return _clear_faults(state, {"by": verdict.member, "evidence": seen}, now)


def clear_faults_by_hub(state: MachineState, event: Any, now: Now) -> Outcome:
    """A technician logged in at the hub clears latched faults."""
    return _clear_faults(state, {"by": event.by}, now)


def ask_to_present_again(state: MachineState, event: Any, now: Now) -> Outcome:
    """A badge that already lay in the field opens nothing."""
    return refused_notice(state, Refusal(Reason.PRESENT_AGAIN), now), ()


def refuse_several(state: MachineState, event: Any, now: Now) -> Outcome:
    """One badge at a time; which one counts is never guessed."""
    return refuse(state, None, Refusal(Reason.SEVERAL_BADGES), now)


def several_while_powered(state: MachineState, event: Any, now: Now) -> Outcome:
    """A second badge over the first hides both: in `hold` the grace time begins."""
    state, effects = refuse_several(state, event, now)
    return miss(state, Ending.BADGE_REMOVED, now), effects


def _clear_faults(state: MachineState, why: dict[str, Any], now: Now) -> Outcome:
    assert isinstance(state.facts, FaultFacts)
    locked_out = state.facts.locked_out
    effects: tuple[Effect, ...] = ()
    for fault in sorted(state.facts.faults):
        state, more = record(state, "fault_cleared", {"fault": fault.value, **why})
        effects += more
    watch = state.watch.retest(now.boot_ms)
    state = replace(state, facts=LockedOutFacts()) if locked_out else at_rest(state)
    return gated(replace(state, watch=watch, notice=None), now), effects
