"""What is soldered where: a machine's signals go in, the lines they hang on and their sense out.

A contact at an input connects the line to ground or to 3.3 V when it closes and leaves it to its
pull when it opens; whether it closes when the signal is true (NO) or false (NC) is part of the
wiring, not of the signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from interlock.config import InputConfig, NodeConfig
from interlock.sim.physics import Facts, Given, Plant, StartControl

US_PER_S = 1_000_000


class Button(StrEnum):
    """What a hand can press at a machine: three on our enclosure, two on the machine itself."""

    STOP = "stop"
    BROKEN = "broken"
    LONG_JOB = "long_job"
    MACHINE_START = "machine_start"
    MACHINE_STOP = "machine_stop"


class Signal(Enum):
    """What an input line can tell."""

    STOP_PRESSED = "stop_pressed"
    BROKEN_PRESSED = "broken_pressed"
    EMERGENCY_STOP_LATCHED = "emergency_stop_latched"
    STOP_CHAIN_DEAD = "stop_chain_dead"
    """The stop chain is open, or the supply that feeds it is gone."""
    MIRROR_CLOSED = "mirror_closed"
    BUSY = "busy"
    SWITCH_ON = "switch_on"
    LONG_JOB_PRESSED = "long_job_pressed"
    BYPASS_ON = "bypass_on"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact at line `pin`: closed when `signal` is `closed_when`, driving `level_closed`.

    A signal that is text names an interlock, and is true while that interlock is open.
    """

    pin: int
    signal: Signal | str
    closed_when: bool = True
    level_closed: bool = False

    def is_closed(self, signal_on: bool) -> bool:
        """Whether the contact conducts while its signal is true or false."""
        return signal_on == self.closed_when


@dataclass(frozen=True, slots=True)
class Wiring:
    """The lines of one machine."""

    relay: int
    relay_active_high: bool = True
    relay_external_pull: bool = True
    """A resistor outside holds the relay's line at "off" while nobody drives it (2-machine.md)."""
    enable: int | None = None
    extraction: int | None = None
    lamp: tuple[int | None, int | None, int | None] = (None, None, None)
    """Red, green, blue; high lights."""
    buzzer: int | None = None
    contacts: tuple[Contact, ...] = ()

    def relay_driven(self, level: bool) -> bool:
        """Whether `level` at the relay's line asks for power."""
        return level == self.relay_active_high


def wiring_of(config: NodeConfig) -> Wiring:
    """The wiring a node's file describes, soldered as described."""
    panel = config.panel
    return Wiring(
        relay=config.relay.pin,
        relay_active_high=config.relay.active_high,
        enable=config.relay.dynamic_enable_pin,
        extraction=config.relay.extraction_pin,
        lamp=(panel.lamp_red_pin, panel.lamp_green_pin, panel.lamp_blue_pin),
        buzzer=panel.buzzer_pin,
        contacts=tuple(_contacts(config)),
    )


def plant_of(config: NodeConfig) -> Plant:
    """A machine built as its node's file says, and no better.

    A switch that is sensed is one that stays where it was put, unless the file claims a no-volt
    release; every other machine starts by an act of its own (EN 60204-1, 7.5). Its tool coasts as
    long as the file says, and stands still at once where the file says nothing.
    """
    protection = config.machine.restart_protection
    start_control = StartControl.NO_VOLT_RELEASE
    if protection == "self_holding":
        start_control = StartControl.SELF_HOLDING
    elif config.inputs.machine_switch and protection != "no_volt_release":
        start_control = StartControl.MAINTAINED
    plant = Plant(
        start_control=start_control,
        coast_us=config.times.coast_down_s * US_PER_S,
        airflow_interlocks=frozenset(one.name for one in config.interlocks if one.needs_extraction),
    )
    if config.relay.dynamic_enable_pin is None:
        return replace(plant, monostable_us=None)
    return plant


def signal_levels(
    facts: Facts, pressed: frozenset[Button], given: Given
) -> dict[Signal | str, bool]:
    """Every signal of a machine that shows `facts`, given its buttons and what is imposed on it."""
    return {
        Signal.STOP_PRESSED: Button.STOP in pressed,
        Signal.BROKEN_PRESSED: Button.BROKEN in pressed,
        Signal.EMERGENCY_STOP_LATCHED: given.emergency_stop,
        Signal.STOP_CHAIN_DEAD: given.emergency_stop or not given.mains,
        Signal.MIRROR_CLOSED: facts.mirror,
        Signal.BUSY: facts.busy,
        Signal.SWITCH_ON: facts.switch_on,
        Signal.LONG_JOB_PRESSED: Button.LONG_JOB in pressed,
        Signal.BYPASS_ON: given.bypass_on,
    }


def _contacts(config: NodeConfig) -> Iterator[Contact]:
    inputs = config.inputs
    stop = inputs.emergency_stop
    chain = Signal.STOP_CHAIN_DEAD if stop and stop.supply_sense else Signal.EMERGENCY_STOP_LATCHED
    declared: tuple[tuple[InputConfig | None, Signal], ...] = (
        (inputs.stop_button, Signal.STOP_PRESSED),
        (inputs.broken_button, Signal.BROKEN_PRESSED),
        (stop, chain),
        (inputs.machine_switch, Signal.SWITCH_ON),
        (inputs.current_sensor, Signal.BUSY),
        (inputs.long_job_button, Signal.LONG_JOB_PRESSED),
        (inputs.bypass_key, Signal.BYPASS_ON),
    )
    for one, signal in declared:
        if one is not None:
            yield Contact(one.pin, signal, one.normally == "open", one.pull == "down")
    for interlock in config.interlocks:
        wire = interlock.contact
        if wire is not None:
            # It rests while all is well, and leaves its rest when it opens.
            yield Contact(wire.pin, interlock.name, wire.normally == "open", wire.pull == "down")
    if inputs.mirror_contact is not None:
        # Its rest position belongs to the contactor; the signal already tells open from closed.
        mirror = inputs.mirror_contact
        yield Contact(mirror.pin, Signal.MIRROR_CLOSED, True, mirror.pull == "down")
