"""Pin levels, hands and wear in, the machine's facts out: `physics.Plant` and the kernel's pins under virtual time.

The dynamic enable turns fifty times a second and mostly changes nothing: while its monostable is alive and stays so,
an edge only moves the instant at which it would die. That instant is kept apart (`_alive_until_us`) and put into
the plant's state before anything else is asked of it; a test compares the two ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interlock.core.model import Inputs
from interlock.sim import physics
from interlock.sim.kernel_pins import KernelPins
from interlock.sim.physics import Facts, Given, PlantState
from interlock.sim.simulator.fitting import Fitting

RELAY_LINE, EXTRACTION_LINE, ENABLE_LINE = 17, 27, 22

Observer = Callable[[Facts], None]


class Bench:
    """One machine and the pins of its Pi. Every method happens at `now_us`, which never goes back."""

    def __init__(self, fit: Fitting, observe: Observer) -> None:
        """`observe` is told of every state the machine passes through, in order."""
        self.fit = fit
        self.pins = KernelPins(strict_gpiod=fit.strict_gpiod)
        self.buttons: frozenset[str] = frozenset()
        self.changes = 0
        self._observe = observe
        self._without_enable = replace(fit.plant, monostable_us=None)
        self._state: PlantState = physics.initial(fit.plant)
        self._alive_until_us = 0
        self._enable_level = False
        self.facts = physics.facts(fit.plant, self._state)
        self._due_us = physics.next_change_us(fit.plant, self._state)

    @property
    def given(self) -> Given:
        """What is imposed on the machine now."""
        return self._state.given

    def due_us(self) -> int | None:
        """When the machine changes next by itself."""
        alive = self._alive_until_us
        if alive <= self._state.now_us:
            return self._due_us
        return alive if self._due_us is None else min(alive, self._due_us)

    # ------------------------------------------------------------------------------ the Pi's side

    def claim(self, owner: int) -> None:
        """Process `owner` has the lines, all low. Raises PinError when another has them."""
        for line in (RELAY_LINE, EXTRACTION_LINE, ENABLE_LINE):
            self.pins.claim_output(owner, line, False)
        self._enable_level = False

    def write(self, owner: int, line: int, level: bool, now_us: int) -> None:
        """`owner` drives `line`. Raises PinError when it is not its output."""
        self.pins.write(owner, line, level)
        self.follow_pins(now_us)

    def turn_enable(self, now_us: int) -> None:
        """The dynamic enable shows its other level."""
        self._enable_level = not self._enable_level
        self.edge(now_us)

    def release(self, owner: int, now_us: int) -> None:
        """The process is gone; the kernel's rules say what its lines do."""
        self.pins.release(owner)
        if self.fit.strict_gpiod:
            self._enable_falls(now_us)
        self.follow_pins(now_us)

    def power_off(self, now_us: int) -> None:
        """The Pi has no supply."""
        self.pins.power_off()
        self._enable_falls(now_us)
        self.follow_pins(now_us)

    def boot(self, now_us: int) -> None:
        """The Pi's kernel begins anew: every line an input with its boot pull."""
        self.pins.boot()
        self._enable_falls(now_us)
        self.follow_pins(now_us)

    def follow_pins(self, now_us: int) -> None:
        """The machine sees the levels as they are at the pins now."""
        relay, extraction = self.pins.level(RELAY_LINE), self.pins.level(EXTRACTION_LINE)
        if (relay, extraction) != (self.given.relay_pin, self.given.extraction_pin):
            self.impose(now_us, relay_pin=relay, extraction_pin=extraction)

    def sample(self) -> Inputs:
        """Every input this machine's Pi has, as it is now; None for the others."""
        fit, facts, given, buttons = self.fit, self.facts, self._state.given, self.buttons
        return Inputs(
            stop_pressed="stop" in buttons,
            broken_pressed="broken" in buttons,
            emergency_stop_closed=not given.emergency_stop if fit.emergency_sensed else None,
            mirror_closed=facts.mirror if fit.mirror_sensed else None,
            machine_switch_on=facts.switch_on if fit.switch_sensed else None,
            busy=facts.busy if fit.busy_sensed else None,
            bypass_on=given.bypass_on,
            long_job_pressed="long_job" in buttons,
            interlocks_closed=tuple(
                None if one.remote else one.name not in facts.open_interlocks
                for one in fit.rules.interlocks
            ),
        )

    # --------------------------------------------------------------------------- people and wear

    def press(self, button: str, down: bool) -> None:
        """A button of the panel goes down or up."""
        self.buttons = self.buttons | {button} if down else self.buttons - {button}

    def impose(self, now_us: int, **changes: Any) -> None:
        """What is imposed on the machine is this from now on."""
        state = self._whole()
        self._passed(physics.change(self.fit.plant, state, now_us, replace(state.given, **changes)))

    def advance(self, now_us: int) -> None:
        """What falls due until `now_us` has happened."""
        due_us = self.due_us()
        if due_us is not None and due_us <= now_us:
            self._passed(physics.advance(self.fit.plant, self._whole(), now_us))

    def edge(self, now_us: int) -> None:
        """The monostable of the dynamic enable is triggered, where there is one."""
        plant = self.fit.plant
        if plant.monostable_us is None:
            return
        is_quiet = self._due_us is None or self._due_us > now_us
        if self._alive_until_us > now_us and is_quiet:
            self._alive_until_us = now_us + plant.monostable_us
            return
        self._passed(physics.retrigger(plant, self._whole(), now_us))

    # ------------------------------------------------------------------------------------ inside

    def _enable_falls(self, now_us: int) -> None:
        if self._enable_level:
            self._enable_level = False
            self.edge(now_us)

    def _whole(self) -> PlantState:
        if self._alive_until_us <= self._state.enable_until_us:
            return self._state
        return replace(self._state, enable_until_us=self._alive_until_us)

    def _passed(self, states: list[PlantState]) -> None:
        plant, last = self.fit.plant, states[-1]
        self._alive_until_us = last.enable_until_us
        # The monostable's own end is `_alive_until_us`; everything else is due apart from it.
        self._due_us = physics.next_change_us(self._without_enable, last)
        for state in states:
            self._state = state
            self.facts = physics.facts(plant, state)
            self.changes += 1
            self._observe(self.facts)
