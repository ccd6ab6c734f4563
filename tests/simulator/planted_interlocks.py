"""Deliberate mistakes with interlocks: this machine's own, another machine's, and the words between the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from interlock.core import machine
from interlock.core.effects import Effect, Message, ShowPanel
from interlock.core.events import CutRequested, Event, InputsSampled, RemoteInterlockReported
from interlock.core.interlocks import RemoteReport
from interlock.core.model import Now
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    LockedFacts,
    MachineState,
    RunOnFacts,
    StartingFacts,
)
from interlock.sim.simulator.fitting import Fitting
from interlock.sim.simulator.next_door import NEXT_DOOR, NextDoor
from interlock.sim.simulator.pi import Parts
from tests.simulator.planted_life import Planted, of, visit, with_effects
from tests.simulator.planted_steps import Outcome

IMPATIENT_MS = 5_000
WORDS = frozenset({Message.INTERLOCK_OPEN, Message.INTERLOCK_UNKNOWN})


def waits(fit: Fitting) -> bool:
    """The machine waits for a contact at another one."""
    return fit.waits_for_another


def has_its_own(fit: Fitting) -> bool:
    """The machine has an interlock of its own that people open."""
    return any(one.name == "lid" for one in fit.rules.interlocks)


def closed(state: MachineState, at_ms: int) -> MachineState:
    """As if the other machine had said at `at_ms` that its contact is closed."""
    if not any(one.remote for one in state.rules.interlocks):
        return state
    return replace(state, remote=(RemoteReport(NEXT_DOOR, True, at_ms),))


def never_grows_old(state: MachineState, event: Event, now: Now) -> Outcome:
    """Nobody looks at how old a word is."""
    if any(one.closed for one in state.remote):
        state = closed(state, now.boot_ms)
    return machine.step(state, event, now)


def young_as_its_arrival(state: MachineState, event: Event, now: Now) -> Outcome:
    """However long a word lay at the hub, it counts from when it was heard here."""
    if isinstance(event, RemoteInterlockReported):
        event = replace(event, age_ms=0)
    return machine.step(state, event, now)


def unknown_is_closed(state: MachineState, event: Event, now: Now) -> Outcome:
    """Only a word that says "open" keeps anybody back."""
    if not any(one.closed is False for one in state.remote):
        state = closed(state, now.boot_ms)
    return machine.step(state, event, now)


def not_looked_at_while(*facts: type) -> Callable[[], Parts]:
    """The other machine's contact is not looked at in these states."""

    def step(state: MachineState, event: Event, now: Now) -> Outcome:
        if not isinstance(state.facts, facts) or isinstance(event, RemoteInterlockReported):
            return machine.step(state, event, now)
        known = state.remote
        state, effects = machine.step(closed(state, now.boot_ms), event, now)
        return replace(state, remote=known), effects

    return of(step)


def cuts_at_once(state: MachineState, event: Event, now: Now) -> Outcome:
    """Another machine's contact that opens cuts whoever works here."""
    state, effects = machine.step(state, event, now)
    if isinstance(event, RemoteInterlockReported) and event.closed is not True:
        state, more = machine.step(state, CutRequested(), now)
        effects += more
    return state, effects


def impatient(state: MachineState, event: Event, now: Now) -> Outcome:
    """A word is too old after a few seconds."""
    known = tuple(one for one in state.remote if now.boot_ms - one.at_ms <= IMPATIENT_MS)
    return machine.step(replace(state, remote=known), event, now)


def lids_closed_while(*facts: type) -> Callable[[], Parts]:
    """This machine's own interlocks are not looked at in these states."""

    def step(state: MachineState, event: Event, now: Now) -> Outcome:
        if isinstance(event, InputsSampled) and isinstance(state.facts, facts):
            levels = tuple(None if one is None else True for one in event.inputs.interlocks_closed)
            event = InputsSampled(replace(event.inputs, interlocks_closed=levels))
        return machine.step(state, event, now)

    return of(step)


def says_nothing(effect: Effect) -> Effect:
    """The screen of a running machine stays as it is."""
    if isinstance(effect, ShowPanel) and effect.panel.message in WORDS:
        return ShowPanel(replace(effect.panel, message=Message.IN_USE))
    return effect


class SaysItWithTheNextGreeting(NextDoor):
    """The other machine's node does not say at once that its contact opened."""

    def move(self, closed: bool) -> None:
        self._closed_us = self._schedule.now_us if closed else None


INTERLOCKS: tuple[Planted, ...] = (
    Planted(
        "I1",
        "an open lid keeps nobody from starting",
        lids_closed_while(LockedFacts, RunOnFacts, StartingFacts),
        1,
        has_its_own,
    ),
    Planted(
        "I2",
        "an open lid stops nobody who works",
        lids_closed_while(EnabledFacts, EndingFacts),
        1,
        has_its_own,
    ),
    Planted(
        "I1",
        "another machine's word never grows old",
        of(never_grows_old),
        3,
        waits,
        ("20000 0 hearsay half_open", *visit(125_000)),
    ),
    Planted(
        "I1",
        "another machine's word is as young as its arrival",
        of(young_as_its_arrival),
        3,
        waits,
        (
            "40000 0 hearsay away",
            "42000 0 next_door open",
            "100000 0 link down",
            *visit(125_000),
        ),
    ),
    Planted("I1", "another machine's silence counts as closed", of(unknown_is_closed), 3, waits),
    Planted(
        "I1",
        "another machine's contact is not looked at when the relay closes",
        not_looked_at_while(StartingFacts),
        216,
        waits,
        ("99250 0 next_door open", *visit(100_750)),
    ),
    Planted(
        "I1",
        "an opening is told with the next greeting only",
        lambda: Parts(neighbour=SaysItWithTheNextGreeting),
        3,
        waits,
    ),
    Planted(
        "I3",
        "a machine that rests stays on while another's contact is open",
        not_looked_at_while(EnabledFacts),
        3,
        waits,
    ),
    Planted(
        "I3",
        "in the idle warning nobody looks at another machine's contact",
        not_looked_at_while(EndingFacts),
        92,
        waits,
        ("112000 0 next_door open", *visit(110_000)),
    ),
    Planted(
        "I3", "no screen tells of another machine's contact", with_effects(says_nothing), 3, waits
    ),
    Planted("S8", "another machine's contact cuts whoever works", of(cuts_at_once), 3, waits),
    Planted("A10", "a word is too old after five seconds", of(impatient), 3, waits),
)
