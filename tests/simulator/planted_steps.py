"""Deliberate mistakes that remember something between two steps of the core, each in place of the real step."""

from __future__ import annotations

from dataclasses import replace

from interlock.core import machine
from interlock.core.effects import Effect, SetExtraction, SetRelay, WriteRecord
from interlock.core.events import BadgeArrived, Event, InputsSampled, ReaderFailed, RecordDurable
from interlock.core.model import Now
from interlock.core.states import EnabledFacts, LockedFacts, MachineState

Outcome = tuple[MachineState, tuple[Effect, ...]]


class GoesOn:
    """A new process takes up the session that the one before had open."""

    def __init__(self) -> None:
        self._session: EnabledFacts | None = None

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        first = state.watch.sampled_ms is None and isinstance(event, InputsSampled)
        state, effects = machine.step(state, event, now)
        if first and self._session is not None:
            state = replace(state, facts=self._session)
            watch = state.watch.command(True, now.boot_ms)
            return replace(state, watch=watch), (*effects, SetRelay(True))
        self._session = state.facts if isinstance(state.facts, EnabledFacts) else self._session
        return state, effects


class ReleaseEnables:
    """What the emergency stop ended goes on when it is released."""

    def __init__(self) -> None:
        self._ended: EnabledFacts | None = None

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        before = state
        state, effects = machine.step(state, event, now)
        closed = state.inputs.emergency_stop_closed
        if isinstance(before.facts, EnabledFacts) and closed is False:
            self._ended = before.facts
        if closed and self._ended is not None and isinstance(state.facts, LockedFacts):
            facts, self._ended = self._ended, None
            watch = state.watch.command(True, now.boot_ms)
            return replace(state, facts=facts, watch=watch), (*effects, SetRelay(True))
        return state, effects


class StopDebounced:
    """The stop button counts once it was seen for five ticks."""

    def __init__(self) -> None:
        self._seen = 0

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        if isinstance(event, InputsSampled):
            self._seen = self._seen + 1 if event.inputs.stop_pressed else 0
            event = InputsSampled(replace(event.inputs, stop_pressed=self._seen >= 5))
        return machine.step(state, event, now)


class WaitsForTheDisk:
    """A badge at a running machine is looked at once every record that was asked for is durable."""

    def __init__(self) -> None:
        self._owed: set[int] = set()
        self._held: list[Event] = []

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        if isinstance(event, RecordDurable):
            self._owed.discard(event.ticket)
        if isinstance(event, BadgeArrived) and isinstance(state.facts, EnabledFacts) and self._owed:
            self._held.append(event)
            return state, ()
        state, effects = machine.step(state, event, now)
        while self._held and not self._owed:
            state, more = machine.step(state, self._held.pop(0), now)
            effects += more
        self._owed |= {one.ticket for one in effects if isinstance(one, WriteRecord)}
        return state, effects


class AirOffWithTheRelay:
    """The extraction stops with the relay and its run-on is only believed."""

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        state, effects = machine.step(state, event, now)
        if SetRelay(False) in effects:
            effects = (*effects, SetExtraction(False))
        return state, effects


class DeafAfterAReaderFault:
    """Once the reader has failed, no badge arrives any more."""

    def __init__(self) -> None:
        self._is_deaf = False

    def step(self, state: MachineState, event: Event, now: Now) -> Outcome:
        self._is_deaf = self._is_deaf or isinstance(event, ReaderFailed)
        if self._is_deaf and isinstance(event, BadgeArrived):
            return state, ()
        return machine.step(state, event, now)
