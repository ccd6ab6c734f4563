"""Between an accepted badge and a closed relay: the start is durable, late, impossible or given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission
from interlock.core.model import BadgeUse, Now, Reason, Refusal
from interlock.core.outcomes import (
    Outcome,
    abandon,
    enabled,
    gated,
    record,
    refused_notice,
    still_here,
)
from interlock.core.states import LockedFacts, MachineState, Session, StartingFacts
from interlock.core.surroundings import leave
from interlock.core.usage import Meter

SLOW_JOURNAL = "the start record was not durable in time"


def close_when_recorded(state: MachineState, event: Any, now: Now) -> Outcome:
    """The start is on the disk: the relay may close, if the machine still agrees."""
    assert isinstance(state.facts, StartingFacts)
    if event.ticket != state.facts.ticket:
        return void_late_start(state, event, now)
    granted, rules = state.facts.granted, state.facts.rules
    obstacle = admission.closing_obstacle(state)
    if obstacle is not None:
        state = replace(state, facts=LockedFacts())
        state = refused_notice(state, Refusal(obstacle, granted.language), now)
        return record(state, "session_voided", {"session": event.record, "why": obstacle.value})
    session = Session(
        record=event.record,
        granted=granted,
        rules=rules,
        enabled_ms=now.boot_ms,
        meter=Meter(now.boot_ms),
        next_progress_ms=now.boot_ms + rules.progress_s * 1_000,
    )
    return enabled(state, still_here(session, state, now)), ()


def void_late_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """An abandoned start reached the disk after all: it closes nothing and is declared void."""
    state = replace(state, journal_trouble=_unless_slow(state.journal_trouble))
    if event.ticket not in state.abandoned:
        return state, ()
    state = replace(state, abandoned=state.abandoned - {event.ticket})
    return record(state, "session_voided", {"session": event.record, "why": "abandoned"})


def forget_failed_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """An abandoned start never reached the disk: nothing is left of it, and the journal does answer."""
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
    state = replace(state, facts=LockedFacts())
    return refused_notice(state, Refusal(Reason.CANNOT_RECORD, language), now), ()


def give_up_slow_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """The start is not durable within its deadline: no power, and the journal is suspect."""
    assert isinstance(state.facts, StartingFacts)
    language = state.facts.granted.language
    state = replace(abandon(state), journal_trouble=SLOW_JOURNAL)
    return refused_notice(state, Refusal(Reason.CANNOT_RECORD, language), now), ()


def abandon_start(state: MachineState, event: Any, now: Now) -> Outcome:
    """A stop, cut or chain opened while starting: back to idle, nothing was powered."""
    return gated(abandon(state), now), ()


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
    state = replace(abandon(state), journal_trouble=event.detail)
    return refused_notice(state, Refusal(Reason.CANNOT_RECORD, language), now), ()


def abandon_and_leave(state: MachineState, event: Any, now: Now) -> Outcome:
    """The process stops while a start is being recorded."""
    return leave(abandon(state), event, now)


def _unless_slow(trouble: str | None) -> str | None:
    return None if trouble == SLOW_JOURNAL else trouble
