"""Between an accepted badge and a closed relay: the start is durable, late, impossible or given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission, people, promises
from interlock.core.model import BadgeUse, Now, Reason, Refusal
from interlock.core.outcomes import (
    Outcome,
    abandon,
    at_rest,
    gated,
    refused_notice,
    still_here,
    void,
)
from interlock.core.states import MachineState, Session, StartingFacts
from interlock.core.surroundings import (
    begin_unmetered,
    leave,
    note_interlock_opened,
    stop_everything,
)
from interlock.core.usage import Meter

SLOW_JOURNAL = "the start record was not durable in time"


def close_when_recorded(state: MachineState, event: Any, now: Now) -> Outcome:
    """The start is on the disk: the relay closes, or the extraction runs first and a tool comes to rest."""
    facts = state.facts
    assert isinstance(facts, StartingFacts)
    if event.ticket != facts.ticket:
        return void_late_start(state, event, now)
    ready_ms = max(now.boot_ms + facts.rules.pre_run_s * 1_000, facts.not_before_ms or 0)
    facts = replace(facts, record=event.record, pre_run_until_ms=ready_ms)
    state = replace(state, facts=facts)
    if now.boot_ms >= ready_ms:
        return _close(state, now)
    # A handover's contactor may not have let go of the session before yet: only the last look counts there.
    early = facts.not_before_ms is None
    obstacle = admission.closing_obstacle(state, now) if early else None
    return (state, ()) if obstacle is None else _give_up(state, obstacle, now)


def starting_deadline(state: MachineState, event: Any, now: Now) -> Outcome:
    """The pre-run is over and the relay closes; or the start is not durable in time, and nothing does."""
    assert isinstance(state.facts, StartingFacts)
    if state.facts.record is None:
        return give_up_slow_start(state, event, now)
    return _close(state, now)


def void_late_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """An abandoned start reached the disk after all: it closes nothing and is declared void.

    Or what was promised for when its record is durable: it takes effect.
    """
    kept = promises.keep(state, event, now)
    if kept is not None:
        return kept, ()
    state = replace(state, journal_trouble=_unless_slow(state.journal_trouble))
    if event.ticket not in state.abandoned:
        return state, ()
    state = replace(state, abandoned=state.abandoned - {event.ticket})
    return void(state, event.record, "abandoned")


def forget_failed_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """An abandoned start never reached the disk: nothing is left of it, and the journal does answer."""
    broken_off = promises.break_off(state, event, now)
    if broken_off is not None:
        return broken_off, ()
    if event.ticket not in state.abandoned:
        return state, ()
    abandoned = state.abandoned - {event.ticket}
    trouble = _unless_slow(state.journal_trouble)
    return replace(state, abandoned=abandoned, journal_trouble=trouble), ()


def refuse_unrecorded(state: MachineState, event: Any, now: Now) -> Outcome:
    """The start cannot be recorded: no power."""
    assert isinstance(state.facts, StartingFacts)
    if event.ticket != state.facts.ticket:
        return forget_failed_start(state, event, now)
    language = state.facts.granted.language
    return refused_notice(at_rest(state), Refusal(Reason.CANNOT_RECORD, language), now), ()


def give_up_slow_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """The start is not durable within its deadline: no power, and the journal is suspect."""
    assert isinstance(state.facts, StartingFacts)
    language = state.facts.granted.language
    state, effects = abandon(state)
    state = replace(state, journal_trouble=SLOW_JOURNAL)
    return refused_notice(state, Refusal(Reason.CANNOT_RECORD, language), now), effects


def abandon_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """Cut or asked to end while starting: back to rest, nothing was powered."""
    state, effects = abandon(state)
    return gated(state, now), effects


def abandon_start_by_stop(state: MachineState, event: Any, now: Now) -> Outcome:
    """The stop button or an open stop chain while starting: nothing was powered, and no air runs either."""
    state, effects = abandon(state)
    state, _ = stop_everything(state, event, now)
    return state, effects


def abandon_start_for_interlock(state: MachineState, event: Any, now: Now) -> Outcome:
    """An interlock opened while starting; those that need the extraction are only asked for after it ran."""
    assert isinstance(state.facts, StartingFacts)
    waiting = {one.name for one in state.rules.interlocks if one.needs_extraction}
    name = next((name for name in event.names if name not in waiting), None)
    if name is None:
        return state, ()
    state, effects = _give_up(state, Refusal(Reason.INTERLOCK_OPEN, detail=name), now)
    state, _ = note_interlock_opened(state, event, now)
    return gated(state, now), effects


def abandon_start_for_key(state: MachineState, event: Any, now: Now) -> Outcome:
    """The bypass key was turned while starting: the machine is powered, and not by us."""
    state, effects = abandon(state, Reason.MACHINE_IN_USE.value)
    state, more = begin_unmetered(state, event, now)
    return state, effects + more


def abandon_start_if_held(state: MachineState, event: Any, now: Now) -> Outcome:
    """In `hold` the badge has to be there when the relay closes; a tap is allowed to be short."""
    assert isinstance(state.facts, StartingFacts)
    if state.facts.rules.badge_use is BadgeUse.TAP:
        return state, ()
    return abandon_start(state, event, now)


def abandon_start_for_reader(state: MachineState, event: Any, now: Now) -> Outcome:
    """The reader died while starting: in `hold` that is a removal."""
    state, effects = abandon_start_if_held(state, event, now)
    return gated(replace(state, reader_trouble=event.detail), now), effects


def abandon_start_for_journal(state: MachineState, event: Any, now: Now) -> Outcome:
    """The journal died while starting: no power."""
    assert isinstance(state.facts, StartingFacts)
    language = state.facts.granted.language
    state, effects = abandon(state, Reason.CANNOT_RECORD.value)
    state = replace(state, journal_trouble=event.detail)
    return refused_notice(state, Refusal(Reason.CANNOT_RECORD, language), now), effects


def abandon_and_leave(state: MachineState, event: Any, now: Now) -> Outcome:
    """The process stops while a start is being recorded."""
    state, effects = abandon(state)
    state, more = leave(state, event, now)
    return state, effects + more


def _close(state: MachineState, now: Now) -> Outcome:
    """The relay closes, if the machine still agrees; the start is void otherwise."""
    facts = state.facts
    assert isinstance(facts, StartingFacts)
    assert facts.record is not None
    obstacle = admission.closing_obstacle(state, now, extraction_ran=True)
    if obstacle is None and facts.granted.version not in (None, state.cache.version):
        # What was granted may have been taken away during the pre-run or the handover (A4): ask again.
        obstacle = Refusal(Reason.PRESENT_AGAIN)
    if obstacle is not None:
        return _give_up(state, obstacle, now)
    session = Session(
        record=facts.record,
        granted=facts.granted,
        rules=facts.rules,
        enabled_ms=now.boot_ms,
        meter=Meter(now.boot_ms),
        next_progress_ms=now.boot_ms + facts.rules.progress_s * 1_000,
        company=facts.company,
        confirm_by_ms=facts.confirm_by_ms,
    )
    state = replace(state, run_on_until_ms=None)
    return people.opened(state, still_here(session, state, now), now), ()


def _give_up(state: MachineState, obstacle: Refusal, now: Now) -> Outcome:
    """Something stands in the way by now: nothing was powered, and the screen says what it is."""
    assert isinstance(state.facts, StartingFacts)
    refusal = replace(obstacle, language=state.facts.granted.language)
    state, effects = abandon(state, obstacle.reason.value, obstacle.detail)
    return refused_notice(state, refusal, now), effects


def _unless_slow(trouble: str | None) -> str | None:
    return None if trouble == SLOW_JOURNAL else trouble
