"""Events and their instants in; the last 10,000, and the state before them, out for a replay.

Ticks that changed nothing but time come by the hundred: of such a run only the first and the last
are kept. What leaves the recorder is stepped into the state it begins with, so a replay always
ends where the machine ended: the core is pure.
"""

from __future__ import annotations

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
    """One event as the core got it."""

    event: Event
    now: Now
    ends_a_run: bool = False
    """The same sample was taken again and again since the moment before."""


class FlightRecorder:
    """Written by the loop alone; `moments()` may be asked for by any thread."""

    def __init__(
        self, step: Step, state: MachineState, length_max: int = FLIGHT_EVENTS_MAX
    ) -> None:
        self._step = step
        self._first = state
        self._length_max = length_max
        self._moments: deque[Moment] = deque()
        self._in_a_run = False

    def note(self, event: Event, now: Now, effects: tuple[Effect, ...]) -> None:
        """`event` was stepped at `now` and had `effects`."""
        quiet = isinstance(event, InputsSampled) and not effects
        last = self._moments[-1] if self._moments else None
        same = quiet and last is not None and last.event == event
        if same and self._in_a_run:
            self._moments.pop()
        self._in_a_run = same
        self._moments.append(Moment(event, now, ends_a_run=same))
        while len(self._moments) > self._length_max:
            oldest = self._moments.popleft()
            self._first = self._stepped(self._first, oldest)

    def replay(self) -> MachineState:
        """The state that the kept events lead to."""
        state = self._first
        for moment in self.moments():
            state = self._stepped(state, moment)
        return state

    def moments(self) -> list[Moment]:
        """The kept events, oldest first."""
        while True:
            try:
                return list(self._moments)
            except RuntimeError:
                # The loop appended meanwhile. It never waits for us, so we look again.
                continue

    def _stepped(self, state: MachineState, moment: Moment) -> MachineState:
        if moment.ends_a_run:
            # The samples that were left out must not look like a loop that hung.
            watch = replace(state.watch, sampled_ms=moment.now.boot_ms)
            state = replace(state, watch=watch)
        after, _ = self._step(state, moment.event, moment.now)
        return after
