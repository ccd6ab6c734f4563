"""An arrived badge in, a decision out: the policy about the person, then the machine's own preconditions."""

from __future__ import annotations

from dataclasses import replace

from interlock.core import interlocks
from interlock.core.model import (
    Assurance,
    Cache,
    Decision,
    Granted,
    Inputs,
    Now,
    Presented,
    Reason,
    Refusal,
    Rules,
)
from interlock.core.policy import decide, identify
from interlock.core.states import MachineState


def admit(state: MachineState, badge: Presented, now: Now) -> Decision:
    """Granted when this arrival may start a session here and now; otherwise the first Refusal that applies."""
    language = badge.entry.language if badge.entry is not None else None
    if not counts_as_arrival(state, badge, now):
        return Refusal(Reason.PRESENT_AGAIN, language)
    decision = decide(badge.entry, state.rules, now, badge.cache, badge.assurance)
    if isinstance(decision, Refusal):
        return decision
    obstacle = closing_obstacle(state, now)
    return decision if obstacle is None else replace(obstacle, language=decision.language)


def counts_as_arrival(state: MachineState, badge: Presented, now: Now) -> bool:
    """Whether the badge was seen after the last stop, fault, lock-out or recovery, by a living reader, just now.

    An arrival older than a start may take was held up somewhere: whoever presented it may have left.
    """
    age_ms = now.boot_ms - badge.seen_ms
    fresh = badge.seen_ms > state.gate_ms and age_ms <= state.rules.start_deadline_ms
    return fresh and state.reader_trouble is None


def continuing_obstacle(
    state: MachineState, badge: Presented, rules: Rules, now: Now
) -> Refusal | None:
    """Why the holder's badge may not keep a running session alive; None when it may.

    A badge or member blocked meanwhile keeps nothing alive. The age of the cache is no obstacle: it was young
    enough at the start, and a running job is not cut because the hub is away.
    """
    language = badge.entry.language if badge.entry is not None else None
    if not counts_as_arrival(state, badge, now):
        return Refusal(Reason.PRESENT_AGAIN, language)
    refusal = identify(badge.entry, rules, now, badge.cache, badge.assurance)
    if refusal is not None and refusal.reason is Reason.CACHE_STALE:
        fresh = Cache(badge.cache.version, 0)
        refusal = identify(badge.entry, rules, now, fresh, badge.assurance)
    return refusal


def closing_obstacle(
    state: MachineState, now: Now, *, extraction_ran: bool = False
) -> Refusal | None:
    """Why the relay must not close whoever asks, in nobody's language; None when nothing stands in the way.

    `extraction_ran`: the pre-run is over, so interlocks that need the extraction are asked for, too.
    """
    if state.journal_trouble is not None:
        return Refusal(Reason.CANNOT_RECORD)
    if state.rules.demands.locked_out:
        return Refusal(Reason.MACHINE_LOCKED_OUT)
    reason = input_obstacle(state.inputs)
    if reason is not None:
        return Refusal(reason)
    open_name = interlocks.missing(
        state.rules.interlocks,
        state.watch.contacts,
        state.remote,
        now.boot_ms,
        extraction_ran=extraction_ran,
    )
    return None if open_name is None else Refusal(Reason.INTERLOCK_OPEN, detail=open_name)


def input_obstacle(inputs: Inputs) -> Reason | None:
    """What the sampled levels hold against closing the relay; None when nothing."""
    if inputs.emergency_stop_closed is False:
        return Reason.EMERGENCY_STOP
    if inputs.bypass_on is True:
        # Powered by the key already: whoever turned it is using the machine.
        return Reason.MACHINE_IN_USE
    if inputs.machine_switch_on is True:
        return Reason.MACHINE_SWITCH_ON
    if inputs.mirror_closed is False:
        # The contactor has not let go yet; longer than the opening time and it is a latched fault.
        return Reason.MACHINE_FAULT
    if inputs.stop_pressed or inputs.broken_pressed:
        return Reason.INTERLOCK_OPEN
    return None


def technician(
    state: MachineState, badge: Presented, now: Now, *, assurance: Assurance
) -> Granted | Refusal:
    """Granted when the badge is an active technician's with at least `assurance`."""
    language = badge.entry.language if badge.entry is not None else None
    if not counts_as_arrival(state, badge, now):
        return Refusal(Reason.PRESENT_AGAIN, language)
    refusal = identify(badge.entry, state.rules, now, badge.cache, badge.assurance)
    if refusal is not None or badge.entry is None:
        return refusal or Refusal(Reason.UNKNOWN_BADGE)
    if not badge.entry.technician:
        return Refusal(Reason.MACHINE_LOCKED_OUT, language)
    if badge.assurance.value < assurance.value:
        return Refusal(Reason.BADGE_NOT_SECURE_ENOUGH, language)
    return Granted(badge.entry.member, badge.entry.language, badge.entry.name)
