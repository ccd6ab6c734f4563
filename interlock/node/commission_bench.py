"""A machine's pins in the hands of a commissioner: the coil on for a few seconds, every level written down.

The node is stopped, so these pins are ours alone. The coil is only ever on inside `hold`, for a bounded time, with
the dynamic enable turned by the very loop that samples: when this program hangs or dies, the contactor drops as it
does under the node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interlock.clock import Clock
from interlock.core.model import Inputs
from interlock.node.pins import MachinePins

TICK_S = 0.02
"""The node's own tick: what is measured here is what the node will see."""

HOLD_MS_MAX = 20_000
"""Nobody stands beside a powered machine for longer in one step."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What the inputs showed: (milliseconds since the step began, levels), at least one."""

    samples: tuple[tuple[int, Inputs], ...]

    @property
    def last(self) -> Inputs:
        """The levels at the end."""
        return self.samples[-1][1]

    def first_ms(self, seen: Callable[[Inputs], bool]) -> int | None:
        """When the levels first were as `seen` asks; None when they never were."""
        return next((at_ms for at_ms, inputs in self.samples if seen(inputs)), None)

    def settled_ms(self, seen: Callable[[Inputs], bool]) -> int | None:
        """From when on the levels stayed as `seen` asks (contacts bounce); None when they did not."""
        since_ms: int | None = None
        for at_ms, inputs in self.samples:
            if not seen(inputs):
                since_ms = None
            elif since_ms is None:
                since_ms = at_ms
        return since_ms


class Bench:
    """The pins of one machine; the coil is off whenever no method runs, and after `close()`."""

    def __init__(
        self, pins: MachinePins, clock: Clock, rms_ma: Callable[[], int | None] = lambda: None
    ) -> None:
        """`rms_ma` is the measured current of a clamp on a converter; None where there is none."""
        self._pins = pins
        self._clock = clock
        self.rms_ma = rms_ma

    def levels(self) -> Inputs:
        """Every declared input, now."""
        return self._pins.sample()

    def watch(self, for_ms: int, until: Callable[[Inputs], bool] | None = None) -> Trace:
        """What the inputs show with the coil off, for so long or until they show that."""
        return self._trace(for_ms, until, coil=False, enable=False)

    def hold(
        self,
        for_ms: int,
        until: Callable[[Inputs], bool] | None = None,
        *,
        enable: bool = True,
        each: Callable[[], None] = lambda: None,
    ) -> Trace:
        """The coil is driven for so long (at most HOLD_MS_MAX), and off afterwards; `each` runs every tick.

        `enable` False: the dynamic enable stands still, as under a node that hangs.
        """
        try:
            self._pins.relay(True)
            return self._trace(min(for_ms, HOLD_MS_MAX), until, coil=True, enable=enable, each=each)
        finally:
            self._pins.relay(False)

    def extraction(self, on: bool) -> None:
        """Extraction or cooling runs, or not."""
        self._pins.extraction(on)

    def close(self) -> None:
        """Everything off, every pin let go."""
        self._pins.close()

    def _trace(
        self,
        for_ms: int,
        until: Callable[[Inputs], bool] | None,
        *,
        coil: bool,
        enable: bool,
        each: Callable[[], None] = lambda: None,
    ) -> Trace:
        began_ms = self._clock.boot_ms()
        samples: list[tuple[int, Inputs]] = []
        while True:
            if coil and enable:
                self._pins.toggle_enable()
            inputs = self._pins.sample()
            passed_ms = self._clock.boot_ms() - began_ms
            samples.append((passed_ms, inputs))
            each()
            if passed_ms >= for_ms or (until is not None and until(inputs)):
                return Trace(tuple(samples))
            self._clock.sleep(TICK_S)
