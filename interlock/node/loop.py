"""Inputs and queued events in, the pure step between, effects out: the supervision loop.

Every 20 ms, and whenever woken: sample every declared input, step, toggle the dynamic enable if
the coil is on and the toggle is not too late, take at most 32 queued events, step each, perform
effects (opening before anything else), feed the watchdog. Nothing here can block: no disk, no
bus, no socket that waits. What can block lives in workers, whose silence is itself an event. An
exception opens the relay and ends the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from interlock.clock import perf_us
from interlock.core import machine
from interlock.core.effects import (
    Effect,
    Exit,
    ReportRefusal,
    SetExtraction,
    SetRelay,
    ShowPanel,
    WriteRecord,
)
from interlock.core.events import (
    ContactLost,
    Event,
    InputsSampled,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    TerminationRequested,
)
from interlock.core.model import Inputs, Now
from interlock.core.outputs import panel as panel_of
from interlock.core.states import MachineState, State
from interlock.node import panel as panels
from interlock.node.flight import FlightRecorder, Recording, Step
from interlock.node.inbox import Inbox

LOG = logging.getLogger(__name__)

TICK_US = 20_000
"""1-architecture.md: a stop is seen within a fifth of the time a contactor needs to open."""

EVENTS_PER_TICK_MAX = 32
"""A tick's share of a flood: at 0.1 ms a decision it costs 3 of the 20 ms."""

LATENESS_EDGES_MS = (1, 2, 5, 10, 20, 50, 100, 500)
"""Upper edges of the counters of how late a tick began; 20 ms is the target of 7-targets.md."""


class Pins(Protocol):
    """What the loop does with a machine's pins; `pins.MachinePins` is the one there is."""

    def relay(self, on: bool) -> None:
        """The coil is energised, or not."""

    def extraction(self, on: bool) -> None:
        """Extraction or cooling runs, or not."""

    def toggle_enable(self) -> None:
        """The dynamic enable shows the other level."""

    def show(self, light: panels.Light, sounding: bool) -> None:
        """Lamp and buzzer show this."""

    def sample(self) -> Inputs:
        """Every declared input."""

    def close(self) -> None:
        """Everything off and let go."""


class Worker(Protocol):
    """A thread whose silence counts: it writes down when it last got round."""

    @property
    def last_alive_ms(self) -> int:
        """Monotonic milliseconds of its last turn."""


Submit = Callable[[WriteRecord | ReportRefusal], object]
"""Hands an effect to the journal worker; must return at once, whatever the disk does."""


@dataclass(slots=True)
class Silence:
    """Watches one worker: silent for too long is a failure.

    Its return is a recovery, unless the worker's own last word was that it failed.
    """

    worker: Worker
    name: str
    silence_ms: int
    failed: type[ReaderFailed] | type[JournalFailed]
    recovered: type[ReaderRecovered] | type[JournalRecovered]
    is_silent: bool = False
    has_failed: bool = False

    def heard(self, event: Event) -> None:
        """Take note of what the worker itself says of its health."""
        if isinstance(event, self.failed):
            self.has_failed = True
        elif isinstance(event, self.recovered):
            self.has_failed = self.is_silent = False

    def check(self, now_ms: int) -> Event | None:
        """The event that its silence, or its return, is."""
        silent = now_ms - self.worker.last_alive_ms > self.silence_ms
        if silent is self.is_silent:
            return None
        self.is_silent = silent
        if silent:
            return self.failed(f"the {self.name} worker was silent for {self.silence_ms} ms")
        return None if self.has_failed else self.recovered()


class Lateness:
    """How late ticks began: counts by class, the worst, and how many there were."""

    def __init__(self) -> None:
        self.ticks = 0
        self.worst_us = 0
        self.counts = [0] * (len(LATENESS_EDGES_MS) + 1)

    def note(self, late_us: int) -> None:
        """One more tick, begun `late_us` after its time."""
        self.ticks += 1
        self.worst_us = max(self.worst_us, late_us)
        place = sum(late_us > edge_ms * 1_000 for edge_ms in LATENESS_EDGES_MS)
        self.counts[place] += 1

    def to_wire(self) -> dict[str, int]:
        """The counts as integers, each under the edge it stays below."""
        names = [*(f"late_ms_max_{edge_ms}" for edge_ms in LATENESS_EDGES_MS), "later"]
        return {
            "ticks": self.ticks,
            "worst_us": self.worst_us,
            **dict(zip(names, self.counts, strict=True)),
        }


class Loop:
    """Owns the state and the pins; runs in the process's main thread until the core says Exit."""

    def __init__(
        self,
        *,
        state: MachineState,
        pins: Pins,
        inbox: Inbox,
        submit: Submit,
        now: Callable[[], Now],
        silences: Sequence[Silence] = (),
        feed_watchdog: Callable[[], None] = lambda: None,
        faulted: Callable[[Recording], None] = lambda recording: None,
        step: Step = machine.step,
    ) -> None:
        """`state` is what the machine begins with: coil off. `faulted` gets what led to a latched fault."""
        self.state = state
        self.state_since_ms = state.gate_ms
        self.began_ms = state.gate_ms
        self.shown = state.shown or panel_of(state, state.gate_ms)
        self.coil_on = False
        self._enabled_ms = state.gate_ms
        self.closings = 0
        self.enable_turns = 0
        self.enable_gap_ms_max = 0
        self.steps = 0
        self.lateness = Lateness()
        self.flight: FlightRecorder = FlightRecorder(step, state)
        self._step = step
        self._pins = pins
        self._inbox = inbox
        self._submit = submit
        self._now = now
        self._silences = silences
        self._feed_watchdog = feed_watchdog
        self._faulted = faulted
        self._termination_asked = False
        self._running = True

    @property
    def is_running(self) -> bool:
        """False once the core said Exit, or the loop was asked to end."""
        return self._running

    def request_termination(self) -> None:
        """The loop ends the session and itself at its next tick. Safe in a signal handler: no
        lock.
        """
        self._termination_asked = True

    def run(self) -> None:
        """Tick until the core says Exit; the relay is off when this returns, and also when it
        raises.
        """
        due_us = perf_us()
        with ExitStack() as stack:
            stack.callback(self._inbox.close)
            # Undone first: closing the inbox takes a lock that a worker may hold.
            stack.callback(self._pins.close)
            while self._running:
                now_us = perf_us()
                scheduled = now_us >= due_us
                if scheduled:
                    self.lateness.note(now_us - due_us)
                    # A missed tick is not made up for: levels are the truth, and they are sampled now.
                    due_us = due_us + TICK_US if due_us + TICK_US > now_us else now_us + TICK_US
                self.tick(scheduled)
                self._inbox.wait((due_us - perf_us()) / 1_000_000)

    def tick(self, scheduled: bool = True) -> None:
        """One turn. `scheduled` turns come every 20 ms; only they move the dynamic enable."""
        inputs = self._pins.sample()
        # Read after the sample: a pin that took seconds must show as a hang, not as a fresh look.
        now = self._now()
        self._follow(InputsSampled(inputs), now)
        if scheduled and self.coil_on:
            self._keep_enabled()
        for silence in self._silences:
            event = silence.check(now.boot_ms)
            if event is not None:
                self._follow(event, now)
        for event in self._inbox.take(EVENTS_PER_TICK_MAX):
            for silence in self._silences:
                silence.heard(event)
            self._follow(event, self._now())
        self._terminate(now)
        self._pins.show(
            panels.lamp(self.shown, now.boot_ms), panels.buzzer(self.shown, now.boot_ms)
        )
        self._feed_watchdog()

    def _keep_enabled(self) -> None:
        """The dynamic enable turns; unless it has let go by now, for then turning it would close
        the contactor again with nobody asking (S3), and what it let go of is ended instead.
        """
        now = self._now()
        hang_ms = self.state.base_rules.hang_ms
        if hang_ms is not None and now.boot_ms - self._enabled_ms > hang_ms:
            self._follow(ContactLost(), now)
            return
        self._pins.toggle_enable()
        self.enable_turns += 1
        self.enable_gap_ms_max = max(self.enable_gap_ms_max, now.boot_ms - self._enabled_ms)
        self._enabled_ms = now.boot_ms

    def _follow(self, event: Event, now: Now) -> None:
        before = self.state.state
        self.flight.begin(event, now)
        self.state, effects = self._step(self.state, event, now)
        self.steps += 1
        if self.state.state is not before:
            self.state_since_ms = now.boot_ms
        # Opening first, whatever else the same decision asks for.
        for effect in effects:
            if isinstance(effect, SetRelay) and not effect.on:
                self._perform(effect, now)
        for effect in effects:
            if not (isinstance(effect, SetRelay) and not effect.on):
                self._perform(effect, now)
        self.flight.note(event, now, effects)
        if self.state.state is State.FAULT and before is not State.FAULT:
            self._faulted(self.flight.recording())
        if effects and not isinstance(event, InputsSampled):
            LOG.info("%s at %d ms: %s", type(event).__name__, now.boot_ms, _words(effects))

    def _perform(self, effect: Effect, now: Now) -> None:
        match effect:
            case SetRelay(on=on):
                self._pins.relay(on)
                self.closings += on
                self.coil_on = on
                self._enabled_ms = now.boot_ms
            case SetExtraction(on=on):
                self._pins.extraction(on)
            case ShowPanel(panel=panel):
                self.shown = panel
            case WriteRecord() | ReportRefusal():
                self._submit(effect)
            case Exit():
                self._running = False

    def _terminate(self, now: Now) -> None:
        if self._termination_asked and self._running:
            self._follow(TerminationRequested(), now)
            # Whatever the core thinks of it: who asked will not ask again, but kill.
            self._running = False


def _words(effects: Sequence[Effect]) -> str:
    """The effects for the log: their kinds and what is not personal."""
    words = []
    for effect in effects:
        match effect:
            case SetRelay(on=on):
                words.append("relay on" if on else "relay off")
            case WriteRecord(type=kind, ticket=ticket):
                words.append(f"record {kind} #{ticket}")
            case ReportRefusal(body=body):
                words.append(f"refused {body.get('reason')}")
            case SetExtraction(on=on):
                words.append("extraction on" if on else "extraction off")
            case ShowPanel(panel=panel):
                words.append(f"show {panel.message.value}")
            case Exit():
                words.append("exit")
    return ", ".join(words)
