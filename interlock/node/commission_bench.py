"""A machine's pins in the hands of a commissioner: the coil on for a few seconds, every level written down.

The node is stopped, so these pins are ours alone. The coil is on only inside `hold`:

- never longer than HOLD_MS_MAX, and off at once when the stop button is pressed or the stop chain opens;
- never closed against an open stop chain, a machine's switch that is on, or a contactor that is in already;
- the dynamic enable is turned by the very loop that samples: when this program hangs, the contactor drops as it
  does under the node;
- nothing is printed and nobody is asked meanwhile: a terminal that is full or gone must not hold the loop up;
- Ctrl-C and every other polite signal is heard at the next sample (`Ending`), so that none can come between the
  coil and the line that switches it off.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from interlock.clock import Clock
from interlock.core.model import Inputs
from interlock.errors import DeviceError
from interlock.node.pins import MachinePins

SAMPLE_S = 0.005
"""The bounds that are measured are 200 ms and more: 5 ms tell them apart."""

ENABLE_MS = 20
"""How often the dynamic enable turns under the node: its tick."""

HOLD_MS_MAX = 45_000
"""The drop-out test: a machine is started, its main switch opened for 3 s and closed again. No step takes longer."""

FALL_MS = 2_000
"""The most that `times.open_time_ms` may say: a contactor that is in for longer is welded."""

ENDING_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
)
"""Ctrl-C, systemd, a terminal that is gone, Ctrl-\\, and Ctrl-Z, which would stop us with the coil on."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The levels of every declared input and the measured current, `at_ms` after the step began."""

    at_ms: int
    inputs: Inputs
    rms_ma: int | None = None


Seen = Callable[[Sample], bool]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen, at least one sample; `turned_ms` is when the dynamic enable last turned."""

    samples: tuple[Sample, ...]
    turned_ms: int = 0

    @property
    def last(self) -> Sample:
        """The end of it."""
        return self.samples[-1]

    def first_ms(self, seen: Seen) -> int | None:
        """When it first was as `seen` asks; None when it never was."""
        return next((one.at_ms for one in self.samples if seen(one)), None)

    def settled_ms(self, seen: Seen, from_ms: int = 0) -> int | None:
        """From when on it stayed as `seen` asks (contacts bounce); None when it did not."""
        since_ms: int | None = None
        for one in self.samples:
            if one.at_ms < from_ms:
                continue
            if not seen(one):
                since_ms = None
            elif since_ms is None:
                since_ms = one.at_ms
        return since_ms


class NotSafe(DeviceError):
    """The coil was not energised, or not any longer: `signal` is the input that forbids it."""

    def __init__(self, signal: str) -> None:
        super().__init__("the relay is not closed while it is so", where=signal)
        self.signal = signal


class Ending:
    """Somebody asks this program to end: KeyboardInterrupt at once, or once the coil is off."""

    def __init__(self) -> None:
        self._asked = False
        self._deferred = False

    def ask(self, *_: object) -> None:
        """The handler of every ending signal; only the first one counts."""
        if self._asked:
            return
        self._asked = True
        if not self._deferred:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt when it was asked for meanwhile."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, nothing is raised but by `check()`."""
        self.check()
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Every ending signal of this process asks for the end. In the main thread only."""
        before = {number: signal.signal(number, self.ask) for number in ENDING_SIGNALS}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


class Bench:
    """The pins of one machine; the coil is off whenever no method runs, and after `close()`."""

    def __init__(
        self,
        pins: MachinePins,
        clock: Clock,
        rms_ma: Callable[[], int | None] = lambda: None,
        ending: Ending | None = None,
    ) -> None:
        """`rms_ma` is the measured current of a clamp on a converter; None where there is none."""
        self._pins = pins
        self._clock = clock
        self._rms_ma = rms_ma
        self._ending = ending or Ending()

    def levels(self) -> Inputs:
        """Every declared input, now."""
        return self._pins.sample()

    def watch(self, for_ms: int, until: Seen | None = None) -> Trace:
        """What is seen with the coil off, for so long or until that."""
        return self._trace(for_ms, until)

    def hold(
        self,
        for_ms: int,
        until: Seen | None = None,
        *,
        enabled_ms: int = HOLD_MS_MAX,
        chain_may_open: bool = False,
    ) -> Trace:
        """The coil is driven for so long or until that, and off afterwards, whatever happens.

        `enabled_ms`: from then on the dynamic enable stands still, as under a node that hangs. `chain_may_open`:
        the coil stays driven when the stop chain opens, which is what the step looks at. Raises NotSafe.
        """
        self._check_safe()
        with self._ending.deferred():
            try:
                self._pins.relay(True)
                driven = _Driven(self._pins, self._ending, enabled_ms, chain_may_open)
                trace = self._trace(min(for_ms, HOLD_MS_MAX), until, each=driven)
                return replace(trace, turned_ms=driven.turned_ms or 0)
            finally:
                self._pins.relay(False)

    def extraction(self, on: bool) -> None:
        """Extraction or cooling runs, or not."""
        self._pins.extraction(on)

    def show(self, light: tuple[bool, bool, bool], sounding: bool = False) -> None:
        """Lamp and buzzer."""
        self._pins.show(light, sounding)

    def close(self) -> None:
        """Everything off, every pin let go."""
        self._pins.close()

    def _check_safe(self) -> None:
        # A quick hand starts the next hold while the contactor still lets go of the last one.
        inputs = self.watch(FALL_MS, lambda one: one.inputs.mirror_closed is not False).last.inputs
        _refuse_stops(inputs, chain_may_open=False)
        if inputs.machine_switch_on is True:
            raise NotSafe("machine_switch")
        if inputs.mirror_closed is False:
            raise NotSafe("mirror_contact")
        if inputs.bypass_on is True:
            raise NotSafe("bypass_key")

    def _trace(
        self, for_ms: int, until: Seen | None, *, each: Callable[[Sample], None] | None = None
    ) -> Trace:
        began_ms = self._clock.boot_ms()
        samples: list[Sample] = []
        while True:
            inputs = self._pins.sample()
            sample = Sample(self._clock.boot_ms() - began_ms, inputs, self._rms_ma())
            samples.append(sample)
            if sample.at_ms >= for_ms or (until is not None and until(sample)):
                return Trace(tuple(samples))
            if each is not None:
                each(sample)
            self._clock.sleep(SAMPLE_S)


class _Driven:
    """What must be looked at, at each sample, while the coil is on; and the dynamic enable turns."""

    def __init__(
        self, pins: MachinePins, ending: Ending, enabled_ms: int, chain_may_open: bool
    ) -> None:
        self.turned_ms: int | None = None
        self._pins = pins
        self._ending = ending
        self._enabled_ms = enabled_ms
        self._chain_may_open = chain_may_open

    def __call__(self, sample: Sample) -> None:
        self._ending.check()
        _refuse_stops(sample.inputs, self._chain_may_open)
        due = self.turned_ms is None or sample.at_ms - self.turned_ms >= ENABLE_MS
        if due and sample.at_ms < self._enabled_ms:
            self.turned_ms = sample.at_ms
            self._pins.toggle_enable()


def _refuse_stops(inputs: Inputs, chain_may_open: bool) -> None:
    if inputs.stop_pressed:
        raise NotSafe("stop_button")
    if inputs.emergency_stop_closed is False and not chain_may_open:
        raise NotSafe("emergency_stop")
