"""gpiozero on the world: its devices' claims, writes and reads go in, the port's lines answer.

Unmodified gpiozero devices run on it. What differs from `gpiozero.pins.lgpio` is only where the
line ends; what does not differ is checked by the contract tests that run on every factory: an
output has its level from the first instant, a line has one owner, closing gives it back as an
input.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from gpiozero.exc import (
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinSetInput,
    PinSPIUnsupported,
)
from gpiozero.pins.pi import PiFactory, PiPin

from interlock.errors import PinError
from interlock.sim.kernel_pins import Pull
from interlock.sim.pin_port import LocalPort, PinPort, SocketPort
from interlock.sim.world import World

PI_ZERO_2_W = 0x902120
"""Board revision the factory answers with: the smallest Pi a node is meant for."""
US_PER_S = 1_000_000
EDGES = {"both": (False, True), "rising": (True,), "falling": (False,), "none": ()}


class WorldPin(PiPin):  # type: ignore[misc] # gpiozero has no types
    """One line of the world, as gpiozero wants it."""

    def __init__(self, factory: WorldFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._port = factory.port
        self._function = "input"
        self._pull = info.pull or "floating"
        self._edges = "both"
        self._bounce_s: float | None = None
        self._fired_us: int | None = None

    def close(self) -> None:
        """The line is an input without pull, as lgpio leaves it; harmless when called again."""
        self.when_changed = None
        if self._function == "output" and self.factory.is_open:
            self._pull = "floating"
            # When the world has gone before us the kernel's rules have been applied already.
            with contextlib.suppress(PinError):
                self._set_function("input")

    def output_with_state(self, state: bool) -> None:
        """The line drives `state` from its first instant: one claim, no level before."""
        self._port.claim_output(self._number, bool(state))
        self._function = "output"

    def input_with_pull(self, pull: str) -> None:
        """The line is an input with `pull` in one claim."""
        self._port.claim_input(self._number, self._checked_pull(pull))
        self._function, self._pull = "input", pull

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value == "input":
            self.input_with_pull(self._pull)
        elif value == "output":
            self.output_with_state(False)
        else:
            raise PinInvalidFunction(f'invalid function "{value}" for pin {self!r}')

    def _get_state(self) -> bool:
        return self._port.level(self._number)

    def _set_state(self, value: float) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        self._port.write(self._number, bool(value))

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if self._function != "input":
            raise PinFixedPull(f"cannot set pull on non-input pin {self!r}")
        self.input_with_pull(value)

    def _checked_pull(self, value: str) -> Pull:
        if self.info.pull not in (value, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")
        try:
            return Pull(value)
        except ValueError as error:
            raise PinInvalidPull(f'invalid pull "{value}" for pin {self!r}') from error

    def _get_bounce(self) -> float | None:
        return self._bounce_s

    def _set_bounce(self, value: float | None) -> None:
        if value is not None and value < 0:
            raise PinInvalidBounce("bounce must be 0 or greater")
        self._bounce_s = value

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in EDGES:
            raise PinInvalidEdges(f'invalid edges "{value}" for pin {self!r}')
        self._edges = value

    def _enable_event_detect(self) -> None:
        self._port.listen(self._number, self._level_changed)

    def _disable_event_detect(self) -> None:
        self._port.listen(self._number, None)

    def _level_changed(self, level: bool) -> None:
        now_us = self._port.ticks_us()
        if level not in EDGES[self._edges] or self._is_bouncing(now_us):
            return
        self._fired_us = now_us
        with self._when_changed_lock:
            if self._when_changed is not None:
                self._call_when_changed(now_us / US_PER_S, level)

    def _is_bouncing(self, now_us: int) -> bool:
        if not self._bounce_s or self._fired_us is None:
            return False
        return now_us - self._fired_us < self._bounce_s * US_PER_S


class WorldFactory(PiFactory):  # type: ignore[misc] # gpiozero has no types
    """The pins of a Pi whose lines end in a world; the port given is closed with the factory."""

    def __init__(self, port: PinPort) -> None:
        super().__init__()
        self.pin_class = WorldPin
        self.port = port
        self.is_open = True

    def close(self) -> None:
        """Every line is given back; harmless when called again."""
        if self.is_open:
            self.is_open = False
            super().close()
            self.port.close()

    def spi(self, **spi_args: Any) -> Any:
        """Always raises PinSPIUnsupported: the reader's bus is `spi_client`, not gpiozero's."""
        raise PinSPIUnsupported("the world's SPI bus is reached through spidev")

    def ticks(self) -> float:
        """Seconds of the port's clock."""
        return self.port.ticks_us() / US_PER_S

    def ticks_diff(self, later: float, earlier: float) -> float:
        """Seconds between two `ticks()`."""
        return later - earlier

    def _get_revision(self) -> int:
        return PI_ZERO_2_W


def world_factory(directory: Path) -> WorldFactory:
    """The pins of the world process that serves `directory`. Raises PinError when none does."""
    return WorldFactory(SocketPort(directory / "pins.sock"))


def local_factory(world: World) -> WorldFactory:
    """The pins of a world in this process, under its clock."""
    return WorldFactory(LocalPort(world, world.now_us))
