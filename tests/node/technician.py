"""A virtual machine and who commissions it: acts in, hands on the world; looks in, what its lines show out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import pi, sin, sqrt
from typing import Any

from interlock.config import NodeConfig, parse_node
from interlock.errors import ReaderError
from interlock.node.break_glass import new_code
from interlock.node.commission import Walk, steps_of
from interlock.node.commission_bench import Bench, Ending
from interlock.node.commission_site import Result, Site
from interlock.node.commission_words import Act, Look, Step
from interlock.node.currents import CurrentWorker
from interlock.node.pins import MachinePins
from interlock.readers import CardSeen, Sight
from interlock.sim.clocks import VirtualClock
from interlock.sim.physics import Plant
from interlock.sim.pin_factory import local_factory
from interlock.sim.world import World
from interlock.sim.world_wiring import Button, Wiring
from tests.sim.worlds import VirtualWorld

RELAY, ENABLE, EXTRACTION = 17, 27, 23
STOP, BROKEN, EMERGENCY, MIRROR, SWITCH, BUSY, KEY = 5, 6, 12, 13, 19, 26, 4
RED, GREEN, BLUE, BUZZER, LID, AIR, FIRE, DOOR = 16, 20, 21, 22, 18, 14, 15, 25

SAW: dict[str, Any] = {
    "machine": {"name": "Table saw", "restart_protection": "mirror_contact"},
    "relay": {"pin": RELAY, "dynamic_enable_pin": ENABLE, "extraction_pin": EXTRACTION},
    "inputs": {
        "stop_button": {"pin": STOP, "normally": "closed"},
        "broken_button": {"pin": BROKEN},
        "emergency_stop": {"pin": EMERGENCY},
        "mirror_contact": {"pin": MIRROR},
        "machine_switch": {"pin": SWITCH},
        "current_sensor": {"pin": BUSY},
        "bypass_key": {"pin": KEY},
    },
    "interlocks": [
        {"name": "Lid", "pin": LID},
        {"name": "Door", "pin": DOOR},
        {"name": "Air flow", "pin": AIR, "needs_extraction": True},
        {"name": "Fire", "pin": FIRE, "stops_extraction": True},
        {"name": "Chiller", "remote": "cellar/Chiller"},
    ],
    "panel": {
        "lamp_red_pin": RED,
        "lamp_green_pin": GREEN,
        "lamp_blue_pin": BLUE,
        "buzzer_pin": BUZZER,
    },
    "reader": {"reset_pin": 24},
    "times": {"pre_run_s": 3, "unexpected_start_ms": 1500, "inrush_ms": 300},
}
"""Every signal that a machine can have, wired as in docs/wiring.md."""

PRESS_MS, HELD_MS = 300, 400
UID = b"\x04" * 7
PERIOD_US = 20_000
BIAS_MV = 1_650


class CardReader:
    """A reader with one card that comes when it was asked for."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.comes_ms: int | None = None
        self.dead = False

    def open(self) -> None:
        if self.dead:
            raise ReaderError("no chip answers", where="reader mfrc522")

    def poll(self) -> Sight | None:
        if self.comes_ms is None or self._clock.boot_ms() < self.comes_ms:
            return None
        return CardSeen(UID, b"\x44\x00", 0x20)

    def wake(self, card: CardSeen) -> CardSeen | None:
        return card

    def close(self) -> None:
        """Nothing to let go of."""


class Screen:
    """A display that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] = ()

    def wake(self) -> None:
        """It is awake."""

    def show(self, lines: Any) -> None:
        self.lines = tuple(lines)

    def close(self) -> None:
        """Dark."""


class ClampConverter:
    """A clamp on the world's machine: its current as a biased sine of 50 Hz."""

    def __init__(self, world: World, config: NodeConfig) -> None:
        self._world = world
        self._ma_per_v = config.current.clamp_ma_per_v

    def read_mv(self) -> float:
        peak_ma = self._world.facts().current_ma * sqrt(2)
        angle = 2 * pi * (self._world.now_us() % PERIOD_US) / PERIOD_US
        return BIAS_MV + peak_ma * sin(angle) * 1_000 / self._ma_per_v

    def close(self) -> None:
        """Nothing to let go of."""


class TurningClock(VirtualClock):
    """Sleeping lets the clamp's worker turn, which takes 20 ms of its own, as a thread of its own would.

    `late_us`: how much longer than asked every sleep takes, as on a Pi that is busy.
    """

    def __init__(self, late_us: int = 0) -> None:
        super().__init__()
        self._late_us = late_us
        self.turn: Callable[[], None] = lambda: None
        self._inside = False
        self._owed_us = 0

    def sleep(self, seconds: float) -> None:
        if self._inside:
            super().sleep(seconds)
            return
        seconds += self._late_us / 1_000_000
        self._owed_us += round(seconds * 1_000_000)
        before_us = self.now_us()
        if self._owed_us >= PERIOD_US:
            self._inside = True
            self.turn()
            self._inside = False
            self._owed_us = 0
            if self.now_us() > before_us:
                return
        super().sleep(seconds)


@dataclass
class Technician:
    """Does what an act says, after the time a hand needs; sees what the lines of `wiring` show."""

    world: World
    clock: VirtualClock
    wiring: Wiring
    reader: CardReader
    screen: Screen
    lazy: frozenset[Act] = frozenset()
    said: list[Act | Look] = field(default_factory=list)
    stop_is_bridged: bool = False

    def told(self, act: Act, **values: str) -> None:
        self._do(act, values)

    def ready(self, act: Act, **values: str) -> None:
        self._do(act, values)
        self._pass(2_000)

    def sees(self, look: Look) -> bool:
        self.said.append(look)
        lamp = [pin is not None and self.world.level(pin) for pin in self.wiring.lamp]
        seen = {
            Look.LAMP_RED: lamp == [True, False, False],
            Look.LAMP_GREEN: lamp == [False, True, False],
            Look.LAMP_BLUE: lamp == [False, False, True],
            Look.BUZZER: any(
                change.pin == self.wiring.buzzer and change.level
                for change in self.world.pin_history
            ),
            Look.SCREEN: self.screen.lines == ("Interlock", "0123456789"),
        }
        return seen.get(look, True)

    def copies(self, code: str) -> bool:
        return True

    def _do(self, act: Act, values: dict[str, str]) -> None:
        self.said.append(act)
        if act in self.lazy:
            return
        name = values.get("name", "")
        world, later = self.world, self.world.after
        if act in BUTTONS:
            self._push(BUTTONS[act])
        elif act is Act.TURN_SWITCH:
            self._push(Button.MACHINE_START)
            later(900, lambda: world.push(Button.MACHINE_STOP, 200))
        elif act is Act.SHOW_BADGE:
            self.reader.comes_ms = self.clock.boot_ms() + 1_000
        elif act in (Act.PULL_MIRROR_WIRE, Act.PUT_MIRROR_WIRE):
            cut = False if act is Act.PULL_MIRROR_WIRE else None
            later(PRESS_MS, lambda: world.force_contact(MIRROR, cut))
        elif act is Act.PRESS_EMERGENCY:
            # `ready` lets two seconds pass first.
            later(3_000, lambda: self._emergency(True))
        elif act is Act.PRESS_EMERGENCY_ON_KEY:
            self._emergency(True)
        elif act is Act.RELEASE_EMERGENCY:
            self._emergency(False)
        elif act is Act.CUT_MAINS_WHILE_ON:
            later(3_000, lambda: world.push(Button.MACHINE_START, 300))
            later(6_000, lambda: world.supply_mains(False))
            later(9_000, lambda: world.supply_mains(True))
        elif act is Act.RESTORE_MAINS:
            self._pass(4_000)
            world.supply_mains(True)
        elif act in (Act.SWITCH_OFF, Act.PUT_SENSE_WIRE):
            world.let_go(Button.MACHINE_START)
            world.push(Button.MACHINE_STOP, 300)
            self._pass(500)
            world.force_contact(SWITCH, None)
        elif act is Act.WORK:
            later(3_000, lambda: world.push(Button.MACHINE_START, 300))
        elif act is Act.HOLD_SWITCH_ON:
            if any(contact.pin == SWITCH for contact in self.wiring.contacts):
                world.force_contact(SWITCH, False)
            later(1_900, lambda: world.press(Button.MACHINE_START))
        elif act in (Act.OPEN_INTERLOCK, Act.OPEN_FIRE):
            later(PRESS_MS, lambda: world.open_interlock(name, True))
            later(PRESS_MS + HELD_MS, lambda: world.open_interlock(name, False))
        elif act is Act.TURN_KEY:
            later(PRESS_MS, lambda: world.turn_bypass(True))
        elif act is Act.TURN_KEY_BACK:
            world.turn_bypass(False)
            later(500, lambda: self._emergency(False))

    def _emergency(self, pressed: bool) -> None:
        """Where the power contact is bridged, only the status contact moves."""
        if self.stop_is_bridged:
            self.world.force_contact(EMERGENCY, False if pressed else None)
        else:
            self.world.latch_emergency_stop(pressed)

    def _push(self, button: Button) -> None:
        self.world.after(PRESS_MS, lambda: self.world.push(button, HELD_MS))

    def _pass(self, duration_ms: int) -> None:
        self.clock.advance_us(duration_ms * 1_000)
        self.world.catch_up()


BUTTONS = {
    Act.PRESS_STOP: Button.STOP,
    Act.PRESS_BROKEN: Button.BROKEN,
    Act.PRESS_LONG_JOB: Button.LONG_JOB,
}


@dataclass
class Workshop:
    """A whole commissioning under virtual time; `walk()` and then look at the world's history."""

    document: dict[str, Any] = field(default_factory=lambda: SAW)
    plant: Plant | None = None
    wiring: Wiring | None = None
    ending: Ending = field(default_factory=Ending)
    late_us: int = 15_000
    began_ms: dict[Step, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = parse_node(self.document)
        self.clock = TurningClock(self.late_us)
        self.virtual = VirtualWorld(self.config, plant=self.plant, clock=self.clock)
        self.world = self.virtual.world
        if self.wiring is not None:
            self.world.wiring = self.wiring
            self.world._rest_wires()
        self.reader, self.screen = CardReader(self.clock), Screen()
        self.person = Technician(
            self.world, self.clock, self.world.wiring, self.reader, self.screen
        )
        self.results: list[Result] = []

    def walk(self, *only: Step) -> dict[str, bool | None]:
        """The results by name; the pins are let go of afterwards."""
        worker = None
        if self.config.current.kind == "ads1115":
            clamp = ClampConverter(self.world, self.config)
            worker = CurrentWorker(self.config.current, self.clock, lambda current: clamp)
            self.clock.turn = worker.turn
        pins = MachinePins(self.config, local_factory(self.world))
        rms_ma = (lambda: None) if worker is None else worker.rms_ma
        bench = Bench(pins, self.clock, rms_ma, self.ending)
        self.site = Site(
            config=self.config,
            bench=bench,
            person=self.person,
            say=str,
            clock=self.clock,
            open_reader=lambda: self.reader,
            open_display=lambda: self.screen,
            new_code=lambda: new_code(lambda letters: letters[0]),
        )
        self.steps: list[tuple[int, int, Step]] = []
        walk = Walk(self.site, only or steps_of(self.config))
        try:
            walk.run(self._announced)
        finally:
            bench.close()
        self.taken_walk, self.taken = walk, walk.results
        self.is_good = walk.is_good
        self.results = [one for results in walk.results.values() for one in results]
        return {one.name: one.good for one in self.results}

    def _announced(self, number: int, of: int, step: Step) -> None:
        self.steps.append((number, of, step))
        self.began_ms[step] = self.clock.boot_ms()

    def not_good(self) -> set[Step]:
        return {step for step, found in self.taken.items() if any(r.good is False for r in found)}

    def relay_times(self) -> list[tuple[float, float]]:
        """(milliseconds at which our relay closed, how long it stayed closed)."""
        found: list[tuple[float, float]] = []
        since_ms: float | None = None
        for change in self.world.pin_history:
            if change.pin != self.world.wiring.relay:
                continue
            if change.level:
                since_ms = change.at_us / 1_000
            elif since_ms is not None:
                found.append((since_ms, change.at_us / 1_000 - since_ms))
                since_ms = None
        assert since_ms is None, "the relay is still on"
        return found
