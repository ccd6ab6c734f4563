"""What is noted in the same way whatever the machine is doing: reader, journal and snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core.effects import Exit
from interlock.core.model import Now
from interlock.core.outcomes import Outcome, gated
from interlock.core.states import MachineState


def gate(state: MachineState, event: Any, now: Now) -> Outcome:
    """Arrivals up to here open nothing."""
    return gated(state, now), ()


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
    return replace(state, cache=event.cache, rules=rules), ()


def leave(state: MachineState, event: Any, now: Now) -> Outcome:
    """The process stops and nothing is powered."""
    return gated(state, now), (Exit(),)
