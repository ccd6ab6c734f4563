"""An arrived badge in, a decision out: the badge itself, the policy about the person, then the machine's state."""

from __future__ import annotations

from dataclasses import replace

from interlock.core import interlocks
from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Decision,
    Enforcement,
    Granted,
    Inputs,
    Now,
    Presented,
    Reason,
    Refusal,
    Rules,
)
from interlock.core.policy import Circumstances, accompanies, decide, identify, trains
from interlock.core.states import MachineState

PERSONAL = frozenset(
    {
        *(Reason.NO_CACHE, Reason.CACHE_STALE, Reason.CLOCK_UNTRUSTED, Reason.UNKNOWN_BADGE),
        *(Reason.BADGE_NOT_SECURE_ENOUGH, Reason.MEMBER_SUSPENDED, Reason.MEMBERSHIP_EXPIRED),
        *(Reason.NOT_TRAINED, Reason.TRAINING_EXPIRED, Reason.TRAINING_LAPSED),
        *(Reason.NEEDS_SUPERVISOR, Reason.NEEDS_SECOND_PERSON, Reason.OUTSIDE_HOURS),
        *(Reason.RESERVED, Reason.NO_CREDIT, Reason.DAILY_LIMIT),
    }
)
"""What a lab that only warns lets pass, recorded. A blocked badge may be stolen: that one never passes."""


def admit(
    state: MachineState, badge: Presented, now: Now, around: Circumstances | None = None
) -> Decision:
    """Granted when this arrival may start a session here and now; otherwise the first Refusal that applies.

    `around`: who stands beside, when not only the machine's own memory counts.
    """
    wrong = wrongly_presented(state, badge, now)
    if wrong is not None:
        return wrong
    decision = judge(state, badge, now, around or remembered(state))
    if isinstance(decision, Refusal):
        return decision
    obstacle = closing_obstacle(state, now)
    return decision if obstacle is None else replace(obstacle, language=decision.language)


def judge(state: MachineState, badge: Presented, now: Now, around: Circumstances) -> Decision:
    """What the policy says of the person, whatever the machine is doing and however the badge came."""
    decision = decide(badge.entry, state.rules, now, badge.cache, badge.assurance, around)
    if isinstance(decision, Refusal):
        decision = _leniently(decision, badge, state.rules)
    if isinstance(decision, Refusal):
        return _with_code(decision, badge)
    return replace(decision, tag=badge.tag, version=badge.cache.version)


def remembered(
    state: MachineState, *, trainer_of: tuple[str, ...] = (), accompanied: bool = False
) -> Circumstances:
    """What the machine knows by itself, and who stands beside."""
    return Circumstances(state.grants, state.day_use, trainer_of, accompanied)


def wrongly_presented(state: MachineState, badge: Presented, now: Now) -> Refusal | None:
    """What the badge itself says against it, or how it came; None when it is genuine and has just arrived."""
    if badge.trouble is not None:
        return Refusal(badge.trouble, _language(badge))
    if not counts_as_arrival(state, badge, now):
        return Refusal(Reason.PRESENT_AGAIN, _language(badge))
    return None


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
    wrong = wrongly_presented(state, badge, now)
    if wrong is not None:
        return wrong
    refusal = identify(badge.entry, rules, _young(badge.cache), badge.assurance)
    if refusal is None:
        return None
    lenient = _leniently(refusal, badge, rules)
    return lenient if isinstance(lenient, Refusal) else None


def beside(
    state: MachineState, badge: Presented, now: Now, *, running: bool = False
) -> Granted | Refusal:
    """Granted when the badge is that of an active member who is there, with what they teach.

    `running`: beside a session that is open, which no old cache cuts.
    """
    wrong = wrongly_presented(state, badge, now)
    if wrong is not None:
        return wrong
    cache = _young(badge.cache) if running else badge.cache
    refusal = accompanies(badge.entry, state.rules, now, cache, badge.assurance)
    if refusal is not None:
        return _with_code(refusal, badge)
    assert badge.entry is not None
    trained = trains(badge.entry, state.rules, now)
    return Granted(badge.entry.member, badge.entry.language, trains=trained)


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
    inputs = state.inputs
    if state.session is not None:
        # Asked for a handover: the contactor is closed for the session that ends first.
        inputs = replace(inputs, mirror_closed=None, busy=None)
    reason = input_obstacle(inputs)
    if reason is None and state.unmetered_since_ms is not None:
        reason = Reason.MACHINE_IN_USE
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
    if inputs.machine_switch_on is True or inputs.busy is True:
        # A current while our contacts are open comes past them, welded or bridged, through the machine's own switch.
        return Reason.MACHINE_SWITCH_ON
    if inputs.mirror_closed is False:
        # The contactor has not let go yet; longer than the opening time and it is a latched fault.
        return Reason.MACHINE_FAULT
    if inputs.stop_pressed or inputs.broken_pressed:
        return Reason.INTERLOCK_OPEN
    return None


def technician(
    state: MachineState, badge: Presented, now: Now, *, assurance: Assurance
) -> str | Refusal:
    """Which member it is when the badge is an active technician's with at least `assurance`."""
    wrong = wrongly_presented(state, badge, now)
    if wrong is not None:
        return wrong
    refusal = identify(badge.entry, state.rules, badge.cache, badge.assurance)
    if refusal is not None:
        return _with_code(refusal, badge)
    assert badge.entry is not None
    if not badge.entry.technician:
        return Refusal(Reason.MACHINE_LOCKED_OUT, _language(badge))
    if badge.assurance.value < assurance.value:
        return Refusal(Reason.BADGE_NOT_SECURE_ENOUGH, _language(badge))
    return badge.entry.member


def _leniently(refusal: Refusal, badge: Presented, rules: Rules) -> Decision:
    """The refusal, or where people are only warned who is let in in spite of it."""
    entry = badge.entry
    if rules.enforcement is not Enforcement.WARN_ONLY or refusal.reason not in PERSONAL:
        return refusal
    if entry is None:
        return Granted(None, None, would_refuse=refusal.reason)
    if entry.badge is not BadgeState.ACTIVE:
        # Hidden behind an old cache, it is a blocked badge all the same.
        return Refusal(Reason.BADGE_BLOCKED, entry.language)
    return Granted(entry.member, entry.language, entry.name, would_refuse=refusal.reason)


def _with_code(refusal: Refusal, badge: Presented) -> Refusal:
    """The refusal; that of an unknown badge with the code by which the desk finds it, in whatever role it came."""
    is_unknown = refusal.reason is Reason.UNKNOWN_BADGE
    return replace(refusal, detail=badge.code) if is_unknown else refusal


def _young(cache: Cache) -> Cache:
    return replace(cache, age_s=0)


def _language(badge: Presented) -> str | None:
    return badge.entry.language if badge.entry is not None else None
