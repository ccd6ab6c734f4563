"""The open session: absence, idleness, asked and forced ends. A planned end warns first; a forced one does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import interlocks
from interlock.core.day_use import counted, day_of
from interlock.core.effects import Exit, Message
from interlock.core.faults import latch, record_lock_out
from interlock.core.model import BadgeUse, Ending, Fault, Now
from interlock.core.outcomes import (
    Outcome,
    at_rest,
    enabled,
    gated,
    open_session,
    record,
    with_session,
)
from interlock.core.states import (
    EndingFacts,
    LockedOutFacts,
    MachineState,
    Missing,
    Notice,
    Session,
    grace_ends_ms,
    idle_ends_ms,
)

RUN_OUT = frozenset({Ending.IDLE_TIMEOUT, Ending.SUPERVISION_OVER})
"""Ends that ask whether somebody is there: an idle machine gets the whole warning, too."""

STOPS = frozenset({Ending.STOP_BUTTON, Ending.EMERGENCY_STOP})
"""Whoever stops the machine wants everything still, the extraction too (2-machine.md S10)."""


def miss_badge(state: MachineState, event: Any, now: Now) -> Outcome:
    """In `hold` the grace time begins; in `tap` the badge is free to go."""
    return miss(state, Ending.BADGE_REMOVED, now), ()


def miss_reader(state: MachineState, event: Any, now: Now) -> Outcome:
    """A reader that dies in mid-session counts as removal in `hold`."""
    state = gated(replace(state, reader_trouble=event.detail), now)
    return miss(state, Ending.READER_LOST, now), ()


def note_idle(state: MachineState, event: Any, now: Now) -> Outcome:
    """The idle time runs from here, or goes on where it ran already: a sensor may come and go."""
    session = open_session(state)
    since_ms = now.boot_ms if session.idle_since_ms is None else session.idle_since_ms
    return with_session(state, replace(session, idle_since_ms=since_ms)), ()


def note_unknown(state: MachineState, event: Any, now: Now) -> Outcome:
    """The current sensor fell silent, so the machine goes on as one without: in `tap` the idle time runs, lest
    a machine that everybody left stay on for ever; a badge in the slot, or a declared long job, speaks for itself.
    """
    session = open_session(state)
    if session.rules.badge_use is BadgeUse.TAP and not session.long_job:
        return note_idle(state, event, now)
    return with_session(state, replace(session, idle_since_ms=None)), ()


def end_with_job(state: MachineState, event: Any, now: Now) -> Outcome:
    """Another node's interlock is not known to be closed: no next job begins, a running one is never cut."""
    if state.inputs.busy is not False:
        return state, ()
    return end(state, Ending.INTERLOCK_OPENED, now, names=event.names)


def note_busy(state: MachineState, event: Any, now: Now) -> Outcome:
    """The machine works: the idle time is forgotten."""
    return with_session(state, replace(open_session(state), idle_since_ms=None)), ()


def end_when_idle(state: MachineState, event: Any, now: Now) -> Outcome:
    """The end was asked and the machine rests: off. A warning that asks for a badge runs its time instead."""
    assert isinstance(state.facts, EndingFacts)
    if state.facts.cause in RUN_OUT:
        return state, ()
    return end(state, state.facts.cause, now)


def resume_if_idle_warned(state: MachineState, event: Any, now: Now) -> Outcome:
    """Work began during the idle warning, so its reason is gone; any other asked end stands."""
    assert isinstance(state.facts, EndingFacts)
    if state.facts.cause is not Ending.IDLE_TIMEOUT:
        return state, ()
    return enabled(state, replace(state.facts.session, idle_since_ms=None)), ()


def enabled_deadline(state: MachineState, event: Any, now: Now) -> Outcome:
    """Progress is due, the grace time is over, a trainer has to confirm, or the machine has been idle too long."""
    state, effects = _progress(state, now)
    session = open_session(state)
    grace_ms, idle_ms = grace_ends_ms(session), idle_ends_ms(session)
    confirm_ms = session.confirm_by_ms
    if session.missing is not None and grace_ms is not None and now.boot_ms >= grace_ms:
        state, more = request_end(state, session, session.missing.cause, now)
    elif confirm_ms is not None and now.boot_ms >= confirm_ms:
        state, more = request_end(state, session, Ending.SUPERVISION_OVER, now)
    elif idle_ms is not None and now.boot_ms >= idle_ms:
        state, more = request_end(state, session, Ending.IDLE_TIMEOUT, now)
    else:
        more = ()
    return state, effects + more


def ending_deadline(state: MachineState, event: Any, now: Now) -> Outcome:
    """Progress is due, or the warning time is over and the power goes off."""
    assert isinstance(state.facts, EndingFacts)
    until_ms, cause = state.facts.until_ms, state.facts.cause
    state, effects = _progress(state, now)
    if now.boot_ms < until_ms:
        return state, effects
    state, more = end(state, cause, now)
    return state, effects + more


def request_end(
    state: MachineState, session: Session, cause: Ending, now: Now, *, then_lock_out: bool = False
) -> Outcome:
    """Idle: off at once. Busy or unknown: warned, off at the first idle, at the latest after the warning."""
    facts = EndingFacts(
        session=session,
        cause=cause,
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + session.rules.warning_s * 1_000,
        then_lock_out=then_lock_out,
    )
    state = replace(state, facts=facts, notice=None)
    if state.inputs.busy is False and cause not in RUN_OUT:
        return end(state, cause, now)
    return state, ()


def ask_end_from_hub(state: MachineState, event: Any, now: Now) -> Outcome:
    """The hub asks that the session end when the machine is idle."""
    return request_end(state, open_session(state), Ending.HUB_REQUEST, now)


def confirm_end_from_hub(state: MachineState, event: Any, now: Now) -> Outcome:
    """The hub asks for an end that is already asked: from now on nobody's badge takes it back."""
    assert isinstance(state.facts, EndingFacts)
    return _harden(state, Ending.HUB_REQUEST, state.facts.then_lock_out, now)


def end_then_lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """The "broken" button was pressed during somebody's session: its end is asked, the lock-out follows.

    The lock-out is recorded at once: a power cut during the warning must not lose it.
    """
    state, effects = record_lock_out(state)
    session = open_session(state)
    state, more = request_end(state, session, Ending.BROKEN_PRESSED, now, then_lock_out=True)
    return state, effects + more


def confirm_end_then_lock_out(state: MachineState, event: Any, now: Now) -> Outcome:
    """The "broken" button was pressed while an end is already asked: the lock-out follows it."""
    assert isinstance(state.facts, EndingFacts)
    is_known = state.facts.then_lock_out
    state, effects = (state, ()) if is_known else record_lock_out(state)
    state, more = _harden(state, Ending.BROKEN_PRESSED, True, now)
    return state, effects + more


def end_by_stop(state: MachineState, event: Any, now: Now) -> Outcome:
    """The stop button: off now."""
    return end(state, Ending.STOP_BUTTON, now)


def end_by_emergency_stop(state: MachineState, event: Any, now: Now) -> Outcome:
    """The stop chain is open: off now, whatever the contactor already did by itself."""
    return end(state, Ending.EMERGENCY_STOP, now)


def end_by_cut(state: MachineState, event: Any, now: Now) -> Outcome:
    """`cut_now`: off now."""
    return end(state, Ending.CUT_NOW, now)


def end_by_contact_lost(state: MachineState, event: Any, now: Now) -> Outcome:
    """The contactor dropped by itself: coil off, so that returning power closes nothing. Not latched."""
    return end(state, Ending.CONTACT_LOST, now)


def end_by_interlock(state: MachineState, event: Any, now: Now) -> Outcome:
    """An interlock of this machine opened: off now; record and screen name it."""
    language = open_session(state).granted.language
    state, effects = end(state, Ending.INTERLOCK_OPENED, now, names=event.names)
    notice = Notice(
        message=Message.INTERLOCK_TRIPPED,
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + state.rules.notice_s * 1_000,
        language=language,
        detail=event.names[0],
    )
    return replace(state, notice=notice), effects


def end_and_exit(state: MachineState, event: Any, now: Now) -> Outcome:
    """The process stops: off, said, over."""
    state, effects = end(state, Ending.TERMINATED, now)
    return state, (*effects, Exit())


def end_and_latch_failed(state: MachineState, event: Any, now: Now) -> Outcome:
    """The contactor does not follow the coil: session over, latched."""
    return _end_and_latch(state, Fault.CONTACTOR_FAILED, now)


def end_and_latch_unexpected(state: MachineState, event: Any, now: Now) -> Outcome:
    """The machine started by itself: off now, latched."""
    return _end_and_latch(state, Fault.UNEXPECTED_START, now)


def end(state: MachineState, how: Ending, now: Now, *, names: tuple[str, ...] = ()) -> Outcome:
    """The session is over: coil off by the state alone, then its record. A lock-out that was asked follows.

    `names` are the interlocks that ended it. Extraction runs on, unless a stop or a fire input ended it; a tool
    with a coast-down time still turns.
    """
    facts = state.facts
    session = open_session(state)
    rules = session.rules
    stopped = how in STOPS or interlocks.stops_extraction(rules.interlocks, names)
    run_on_ms = 0 if stopped else rules.run_on_s * 1_000
    state = replace(
        state,
        run_on_until_ms=now.boot_ms + run_on_ms if run_on_ms else None,
        coasting_until_ms=now.boot_ms + rules.coast_down_s * 1_000 if rules.coast_down_s else None,
    )
    state = replace(at_rest(state), notice=_ended_notice(session, state.coasting_until_ms, now))
    body: dict[str, Any] = {"session": session.record, "how": how.value}
    state, totals = _accounted(state, session, now)
    body |= totals
    if names:
        body["interlocks"] = list(names)
    if isinstance(facts, EndingFacts) and facts.then_lock_out:
        state = replace(state, facts=LockedOutFacts(), notice=None)
    return record(gated(state, now), "session_ended", {**body, "estimated": False})


def miss(state: MachineState, cause: Ending, now: Now) -> MachineState:
    """In `hold` the grace time runs from the first moment of absence; `tap` and a long job know no absence."""
    session = open_session(state)
    is_free_to_go = session.rules.badge_use is BadgeUse.TAP or session.long_job
    if is_free_to_go or session.missing is not None:
        return state
    return with_session(state, replace(session, missing=Missing(cause, now.boot_ms)))


def _progress(state: MachineState, now: Now) -> Outcome:
    session = open_session(state)
    if now.boot_ms < session.next_progress_ms:
        return state, ()
    state, totals = _accounted(state, session, now)
    body = {"session": session.record, **totals}
    session = replace(
        session,
        next_progress_ms=now.boot_ms + session.rules.progress_s * 1_000,
        counted_ms=session.meter.enabled_ms,
    )
    return record(with_session(state, session), "session_progress", body)


def _accounted(
    state: MachineState, session: Session, now: Now
) -> tuple[MachineState, dict[str, int]]:
    """The session's totals; under a daily limit with the `day` that what is new in them was counted to."""
    totals, demands = session.meter.totals(), session.rules.demands
    member = session.granted.member
    if demands.daily_limit_s is None or member is None:
        return state, totals
    day = day_of(state.day_use, now, demands.offsets)
    more_ms = session.meter.enabled_ms - session.counted_ms
    use = counted(state.day_use, member, more_ms, day)
    return replace(state, day_use=use), {**totals, "day": day}


def _harden(state: MachineState, cause: Ending, then_lock_out: bool, now: Now) -> Outcome:
    assert isinstance(state.facts, EndingFacts)
    facts = replace(state.facts, cause=cause, then_lock_out=then_lock_out)
    state = replace(state, facts=facts)
    return end(state, cause, now) if state.inputs.busy is False else (state, ())


def _end_and_latch(state: MachineState, fault: Fault, now: Now) -> Outcome:
    state, effects = end(state, Ending.FAULT, now)
    state, more = latch(state, fault, now)
    return state, effects + more


def _ended_notice(session: Session, resting_ms: int | None, now: Now) -> Notice:
    """What the session came to; said once the tool rests (`resting_ms`), for until then it turns."""
    since_ms = now.boot_ms if resting_ms is None else resting_ms
    return Notice(
        message=Message.SESSION_ENDED,
        since_ms=since_ms,
        until_ms=since_ms + session.rules.notice_s * 1_000,
        language=session.granted.language,
        name=session.granted.name,
        seconds=session.meter.enabled_ms // 1_000,
    )
