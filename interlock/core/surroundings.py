"""What is noted in the same way whatever the machine is doing: reader, journal, snapshot, other nodes, the key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import interlocks, promises
from interlock.core.effects import Exit
from interlock.core.interlocks import RemoteReport
from interlock.core.model import Now
from interlock.core.outcomes import Outcome, at_rest, gated, record
from interlock.core.states import (
    LockedFacts,
    MachineState,
    Notice,
    RunOnFacts,
    UnmeteredFacts,
)

AT_REST = LockedFacts | RunOnFacts | UnmeteredFacts


def gate(state: MachineState, event: Any, now: Now) -> Outcome:
    """Arrivals up to here open nothing."""
    return gated(state, now), ()


def stop_everything(state: MachineState, event: Any, now: Now) -> Outcome:
    """A stop, also of the extraction that runs on; arrivals up to here open nothing."""
    return _rested(gated(replace(state, run_on_until_ms=None), now)), ()


def end_run_on(state: MachineState, event: Any, now: Now) -> Outcome:
    """Extraction has run on for long enough, whatever else the machine is by now."""
    return _rested(replace(state, run_on_until_ms=None)), ()


def note_interlock_opened(state: MachineState, event: Any, now: Now) -> Outcome:
    """Nothing is powered, so nothing trips; but a fire input stops the air that would feed the fire."""
    if not interlocks.stops_extraction(state.rules.interlocks, event.names):
        return state, ()
    return end_run_on(state, event, now)


def note_remote(state: MachineState, event: Any, now: Now) -> Outcome:
    """The newest word on an interlock of another node; names that are not declared here are not kept."""
    if not any(one.remote and one.name == event.name for one in state.rules.interlocks):
        return state, ()
    others = tuple(report for report in state.remote if report.name != event.name)
    report = RemoteReport(event.name, event.closed, now.boot_ms - event.age_ms)
    return replace(state, remote=(*others, report)), ()


def begin_unmetered(state: MachineState, event: Any, now: Now) -> Outcome:
    """The bypass key powers the machine: recorded as unmetered use; a session that is open goes on."""
    state = _rested(replace(state, unmetered_since_ms=now.boot_ms))
    return _record_unmetered(state, "began", 0)


def end_unmetered(state: MachineState, event: Any, now: Now) -> Outcome:
    """The bypass key is back: recorded with how long it was on."""
    since_ms = now.boot_ms if state.unmetered_since_ms is None else state.unmetered_since_ms
    state = _rested(gated(replace(state, unmetered_since_ms=None), now))
    return _record_unmetered(state, "ended", now.boot_ms - since_ms)


def note_reader_failed(state: MachineState, event: Any, now: Now) -> Outcome:
    """The screen says that the reader is dead; what it saw before does not count any more."""
    return gated(replace(state, reader_trouble=event.detail), now), ()


def note_reader_recovered(state: MachineState, event: Any, now: Now) -> Outcome:
    """The reader answers again; what was presented before does not count."""
    return gated(replace(state, reader_trouble=None), now), ()


def note_journal_failed(state: MachineState, event: Any, now: Now) -> Outcome:
    """No start until the journal writes again; a running session goes on."""
    return replace(state, journal_trouble=event.detail), ()


def note_journal_recovered(state: MachineState, event: Any, now: Now) -> Outcome:
    """Starts are possible again."""
    return replace(state, journal_trouble=None), ()


def use_snapshot(state: MachineState, event: Any, now: Now) -> Outcome:
    """The next decisions use the new demands; the hub may only tighten `max_offline_s`."""
    rules = state.base_rules.tightened(event.demands)
    grants = promises.outlasting(state.grants)
    return replace(state, cache=event.cache, rules=rules, grants=grants), ()


def show_notice(state: MachineState, event: Any, now: Now) -> Outcome:
    """The screen says it for a while; what stands there about danger comes back by itself."""
    until_ms = now.boot_ms + event.duration_ms
    notice = Notice(event.message, now.boot_ms, until_ms, detail=event.text)
    return replace(state, notice=notice), ()


def leave(state: MachineState, event: Any, now: Now) -> Outcome:
    """The process stops and nothing is powered."""
    return gated(state, now), (Exit(),)


def _rested(state: MachineState) -> MachineState:
    """A resting machine rests as what holds now: unmetered, running on or locked."""
    return at_rest(state) if isinstance(state.facts, AT_REST) else state


def _record_unmetered(state: MachineState, phase: str, duration_ms: int) -> Outcome:
    session = state.session.record if state.session is not None else None
    body = {"phase": phase, "session": session, "duration_ms": duration_ms}
    return record(state, "unmetered_use", body)
