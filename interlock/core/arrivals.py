"""A badge arrived: in each state, who it starts, continues, ends or clears something for, and who is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission, evidence, people, promises
from interlock.core.effects import Effect
from interlock.core.model import (
    Assurance,
    BadgeUse,
    Ending,
    Granted,
    Now,
    Presented,
    Reason,
    Refusal,
)
from interlock.core.outcomes import (
    Outcome,
    at_rest,
    gated,
    member_of,
    open_session,
    record,
    refusal_of,
    refuse,
    refused_notice,
)
from interlock.core.sessions import miss, request_end
from interlock.core.states import (
    Company,
    FaultFacts,
    LockedOutFacts,
    MachineState,
    Session,
    StartingFacts,
)


def start_or_refuse(state: MachineState, event: Any, now: Now) -> Outcome:
    """An arrival at an idle machine: ask the journal for a start record, wait for somebody else, or say why not."""
    badge: Presented = event.badge
    decision = admission.admit(state, badge, now)
    if isinstance(decision, Granted):
        return people.start(state, decision, evidence.evidence(state, badge, now), now, Company())
    if decision.reason in people.WAITED_FOR:
        return people.wait(state, badge, decision, now)
    return refuse(state, badge, decision, now)


def refuse_powered_by_key(state: MachineState, event: Any, now: Now) -> Outcome:
    """An arrival while the bypass key powers the machine: whoever turned it is using it."""
    return refuse(state, event.badge, refusal_of(event.badge, Reason.MACHINE_IN_USE), now)


def refuse_in_use(state: MachineState, event: Any, now: Now) -> Outcome:
    """Another arrival while a start is being recorded: the machine is taken, unless it is one of the same people."""
    facts, badge = state.facts, event.badge
    assert isinstance(facts, StartingFacts)
    ours = {facts.company.supervisor, facts.company.second} - {None}
    is_ours = people.is_holder(facts.granted, badge) or member_of(badge) in ours
    if badge.trouble is None and is_ours:
        return state, ()
    reason = badge.trouble or Reason.MACHINE_IN_USE
    return refuse(state, badge, refusal_of(badge, reason), now)


def arrival_while_enabled(state: MachineState, event: Any, now: Now) -> Outcome:
    """`tap`: the holder's second tap asks for the end. `hold`: the holder's badge is back in the slot."""
    session, badge = open_session(state), event.badge
    if badge.trouble is not None:
        return refuse(state, badge, refusal_of(badge, badge.trouble), now)
    if not people.is_holder(session.granted, badge):
        return _another_arrives(state, session, badge, now)
    if session.rules.badge_use is BadgeUse.TAP:
        return request_end(state, session, Ending.TAP_OFF, now)
    return people.back_in_the_slot(state, session, badge, now)


def arrival_while_ending(state: MachineState, event: Any, now: Now) -> Outcome:
    """The holder may go on when the end was asked by absence or idleness, never when a person asked for it."""
    session, badge = open_session(state), event.badge
    if badge.trouble is not None:
        return refuse(state, badge, refusal_of(badge, badge.trouble), now)
    if not people.is_holder(session.granted, badge):
        return _another_arrives(state, session, badge, now)
    return people.back_in_the_slot(state, session, badge, now)


def clear_lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """A technician's arrival ends the lock-out; anybody else is told about it."""
    verdict = admission.technician(state, event.badge, now, assurance=Assurance.UID)
    if isinstance(verdict, Refusal):
        return refuse(state, event.badge, verdict, now)
    seen = evidence.evidence(state, event.badge, now)
    body = {"source": "machine", "by": verdict, "evidence": seen}
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
    return _clear_faults(state, {"by": verdict, "evidence": seen}, now)


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


def _another_arrives(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
    """Not the holder: a trainer of theirs, their second person, or somebody who takes the machine over."""
    trainer = people.trainer_beside(state, session, badge, now)
    if trainer is not None and state.watch.says_yes(now.boot_ms):
        return promises.grant(state, session, badge, trainer, now)
    if trainer is not None:
        return people.confirm(state, session, badge, trainer, now)
    member = member_of(badge)
    if member is not None and member == session.company.second:
        return people.second_back(state, session, badge, now)
    if member is not None and member == session.company.supervisor:
        # Teaches it no longer: their tap neither confirms nor ends the session.
        return refuse(state, badge, refusal_of(badge, Reason.MACHINE_IN_USE), now)
    return people.hand_over(state, session, badge, now)


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
