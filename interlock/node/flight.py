"""Events and their instants in; the last 10,000, and the state before them, out for a replay.

Ticks that changed nothing but time come by the hundred: of such a run only the first and the last
are kept. What leaves the recorder is stepped into the state it begins with, so a replay always
ends where the machine ended: the core is pure. Of the effects a sum is kept, which tells whether a
replay has the same ones.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from interlock.core.effects import Effect
from interlock.core.events import Event, InputsSampled
from interlock.core.model import Now
from interlock.core.states import MachineState

FLIGHT_EVENTS_MAX = 10_000
"""1-architecture.md; about 5 MB, hours of an ordinary day."""

Step = Callable[[MachineState, Event, Now], tuple[MachineState, tuple[Effect, ...]]]
"""The pure core's `machine.step`; tests hand in broken ones."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One event as the core got it; `sum_` is that of the effects it had, None when the step never ended."""

    event: Event
    now: Now
    ends_a_run: bool = False
    """The same sample was taken again and again since the moment before."""
    sum_: int | None = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """Some moments, oldest first, and the state before the first of them."""

    first: MachineState
    moments: tuple[Moment, ...]


class FlightRecorder:
    """Written by the loop alone; `moments()` may be asked for by any thread, `recording()` by the loop."""

    def __init__(
        self, step: Step, state: MachineState, length_max: int = FLIGHT_EVENTS_MAX
    ) -> None:
        self._step = step
        self._first = state
        self._length_max = length_max
        self._moments: deque[Moment] = deque()
        self._in_a_run = False
        self._begun: tuple[Event, Now] | None = None

    def begin(self, event: Event, now: Now) -> None:
        """`event` is stepped from here on; without a `note` of it, that never ended."""
        self._begun = (event, now)

    def note(self, event: Event, now: Now, effects: tuple[Effect, ...]) -> None:
        """`event` was stepped at `now` and had `effects`."""
        self._begun = None
        quiet = isinstance(event, InputsSampled) and not effects
        last = self._moments[-1] if self._moments else None
        same = quiet and last is not None and last.event == event
        if same and self._in_a_run:
            self._moments.pop()
        self._in_a_run = same
        self._moments.append(Moment(event, now, ends_a_run=same, sum_=sum_of(effects)))
        while len(self._moments) > self._length_max:
            oldest = self._moments.popleft()
            self._first, _ = stepped(self._step, self._first, oldest)

    def replay(self) -> MachineState:
        """The state that the kept events lead to."""
        state = self._first
        for moment in self.moments():
            state, _ = stepped(self._step, state, moment)
        return state

    def recording(self) -> Recording:
        """Everything kept, and what was begun and never ended."""
        moments = tuple(self._moments)
        if self._begun is not None:
            moments = (*moments, Moment(*self._begun, sum_=None))
        return Recording(self._first, moments)

    def moments(self) -> list[Moment]:
        """The kept events, oldest first."""
        while True:
            try:
                return list(self._moments)
            except RuntimeError:
                # The loop appended meanwhile. It never waits for us, so we look again.
                continue


def stepped(
    step: Step, state: MachineState, moment: Moment
) -> tuple[MachineState, tuple[Effect, ...]]:
    """The state after `moment`, and its effects."""
    if moment.ends_a_run:
        # The samples that were left out must not look like a loop that hung.
        watch = replace(state.watch, sampled_ms=moment.now.boot_ms)
        state = replace(state, watch=watch)
    return step(state, moment.event, moment.now)


def sum_of(effects: tuple[Effect, ...]) -> int:
    """Four bytes that tell one step's effects from others; 0 for none. The effects themselves, with
    their evidence, would fill the memory in a flood of unknown badges.
    """
    return zlib.crc32(repr(effects).encode()) if effects else 0
