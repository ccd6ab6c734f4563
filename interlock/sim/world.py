"""One machine's surroundings: pins, hands, badges and time go in, levels and a history come out.

The world joins four models that know nothing of each other: the kernel's pin rules, the machine's
physics, the reader chip with the cards in its field, and the wiring between them. It has no thread
and no clock of its own: every call first lets happen what was due until `now_us()`, in the order
of its time, so that the same world runs in real time in a process of its own and in virtual time
in a test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import RLock

from interlock.sim.cards import Card
from interlock.sim.kernel_pins import KernelPins, Pull
from interlock.sim.physics import (
    US_PER_MS,
    Facts,
    Given,
    Plant,
    PlantState,
    advance,
    change,
    facts,
    initial,
    next_change_us,
    retrigger,
)
from interlock.sim.rc522 import Rc522
from interlock.sim.rc522_faults import miso_healthy, miso_stuck_high
from interlock.sim.world_wiring import Button, Wiring, signal_levels

HISTORY_LENGTH_MAX = 100_000
"""Facts kept; at one start and stop a second with bounces that is more than an hour."""

LevelWatcher = Callable[[int, bool], None]
"""Told (line, level) of every change at a pin, in the order of time."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A card somebody can lay on a reader: what is printed on it, and its UID."""

    label: str
    uid: bytes


@dataclass(frozen=True, slots=True)
class PinChange:
    """A line took a level."""

    at_us: int
    pin: int
    level: bool


class World:
    """The surroundings of one Pi; several threads may call it, watchers run under its lock."""

    def __init__(
        self,
        wiring: Wiring,
        plant: Plant,
        *,
        now_us: Callable[[], int],
        strict_gpiod: bool = True,
        card_for: Callable[[str, bytes], Card] = lambda _, uid: Card(uid),
    ) -> None:
        self.wiring = wiring
        self.plant = plant
        self.pins = KernelPins(strict_gpiod=strict_gpiod)
        self.chip = Rc522(now_us)
        self.history: deque[Facts] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.pin_history: deque[PinChange] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.now_us = now_us
        self._lock = RLock()
        self._watchers: list[LevelWatcher] = []
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._due_us: int | None = None
        self._pressed: frozenset[Button] = frozenset()
        self._jammed: frozenset[Button] = frozenset()
        self._card_for = card_for
        self._cards: dict[Badge, Card] = {}
        self._reader_plugged = True
        self._forced: dict[int, bool] = {}
        self._state = initial(plant, now_us())
        self.history.append(facts(plant, self._state))
        self._rest_wires()
        self._levels = self.pins.levels()
        self._enable_level = wiring.enable is not None and self._levels[wiring.enable]
        self._pins_changed()

    # ------------------------------------------------------------------------------- the Pi's side

    def claim_input(self, owner: int, number: int, pull: Pull) -> None:
        """`number` is an input of process `owner`. Raises PinError when it belongs to another."""
        with self._lock:
            self.catch_up()
            self.pins.claim_input(owner, number, pull)
            self._pins_changed()

    def claim_output(self, owner: int, number: int, level: bool) -> None:
        """`number` drives `level` for `owner`, with no other level before. Raises PinError."""
        with self._lock:
            self.catch_up()
            self.pins.claim_output(owner, number, level)
            self._pins_changed()

    def write(self, owner: int, number: int, level: bool) -> None:
        """`number` drives `level`. Raises PinError when it is no output of `owner`."""
        with self._lock:
            self.catch_up()
            self.pins.write(owner, number, level)
            self._pins_changed()

    def release(self, owner: int) -> None:
        """Process `owner` is gone; the kernel's rules decide what its lines do now."""
        with self._lock:
            self.catch_up()
            self.pins.release(owner)
            self._pins_changed()

    def level(self, number: int) -> bool:
        """The level at line `number` now."""
        with self._lock:
            self.catch_up()
            return self.pins.level(number)

    def xfer2(self, sent: Iterable[int]) -> list[int]:
        """One chip select on the reader's bus."""
        with self._lock:
            self.catch_up()
            return self.chip.xfer2(list(sent))

    def watch(self, watcher: LevelWatcher) -> Callable[[], None]:
        """`watcher` hears of every level change from now on; call what is returned to end that."""
        with self._lock:
            self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # ---------------------------------------------------------------------------- the people's side

    def press(self, button: Button) -> None:
        """`button` is held down."""
        self._hands(self._pressed | {button}, self._jammed)

    def let_go(self, button: Button) -> None:
        """`button` is up."""
        self._hands(self._pressed - {button}, self._jammed)

    def jam(self, button: Button, jammed: bool) -> None:
        """`button` sticks, pressed, whoever lets go of it; or somebody frees it."""
        now = self._jammed
        self._hands(self._pressed, now | {button} if jammed else now - {button})

    def push(self, button: Button, for_ms: int) -> None:
        """`button` goes down now and up by itself after `for_ms`."""
        with self._lock:
            self.press(button)
            self.after(for_ms, lambda: self.let_go(button))

    def put(self, badge: Badge) -> None:
        """`badge` lies on the reader; harmless when it does already."""
        with self._lock:
            self.catch_up()
            if badge not in self._cards:
                self._cards[badge] = self._card_for(badge.label, badge.uid)
                self.chip.place(self._cards[badge])

    def take(self, badge: Badge | None = None) -> None:
        """`badge`, or every badge, is taken off the reader."""
        with self._lock:
            self.catch_up()
            for one in [badge] if badge else list(self._cards):
                card = self._cards.pop(one, None)
                if card is not None and card not in self._cards.values():
                    self.chip.remove(card)

    def tap(self, badge: Badge, for_ms: int) -> None:
        """`badge` is held to the reader for `for_ms`."""
        with self._lock:
            self.put(badge)
            self.after(for_ms, lambda: self.take(badge))

    def latch_emergency_stop(self, latched: bool) -> None:
        """The mushroom is pushed in, or twisted out."""
        self._impose(emergency_stop=latched)

    def weld(self, welded: bool) -> None:
        """The contacts weld when (or as soon as) they are closed; or somebody mends them."""
        self._impose(welded=welded)

    def stick_open(self, stuck: bool) -> None:
        """The contactor's armature jams when (or as soon as) it is open; or somebody mends it."""
        self._impose(stuck_open=stuck)

    def turn_bypass(self, on: bool) -> None:
        """The bypass key is turned, or back."""
        self._impose(bypass_on=on)

    def open_interlock(self, name: str, opened: bool) -> None:
        """Somebody holds the interlock `name` open (a lid, a door, a cut wire), or closes it again."""
        with self._lock:
            now = self._state.given.opened
            self._impose(opened=now | {name} if opened else now - {name})

    def break_extraction(self, broken: bool) -> None:
        """The extraction moves no air although it runs, or does again."""
        self._impose(extraction_broken=broken)

    def supply_mains(self, on: bool) -> None:
        """The machine's supply is there or cut; the Pi has its own."""
        self._impose(mains=on)

    def supply_pi(self, on: bool) -> None:
        """The Pi and its reader are powered (lines at their boot pulls) or dark."""
        with self._lock:
            self.catch_up()
            if on and not self.pins.powered:
                self.pins.boot()
                self.chip.restore_power()
            elif not on and self.pins.powered:
                self.pins.power_off()
                self.chip.cut_power()
            self._pins_changed()

    def plug_reader(self, plugged: bool) -> None:
        """The reader's cable is in, or out: the Pi then reads a line that is pulled up."""
        with self._lock:
            self.catch_up()
            self._reader_plugged = plugged
            self.chip.miso = miso_healthy if plugged else miso_stuck_high

    def force_contact(self, pin: int, closed: bool | None) -> None:
        """The contact at line `pin` is bridged (True), its wire cut (False), or mended (None)."""
        with self._lock:
            self.catch_up()
            self._forced.pop(pin, None)
            if closed is not None:
                self._forced[pin] = closed
            self._wire_inputs(self.history[-1])
            self._tell()

    # ------------------------------------------------------------------------------- time and truth

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """`act` is called when `delay_ms` have passed, during the `catch_up` that reaches it."""
        with self._lock:
            self._later.append((self._moment_us() + delay_ms * US_PER_MS, act))

    def catch_up(self) -> None:
        """Everything due until now has happened, earliest first."""
        with self._lock:
            if self._due_us is not None:
                return
            now_us = self.now_us()
            while self._later:
                at_us, act = min(self._later, key=lambda one: one[0])
                if at_us > now_us:
                    break
                self._later.remove((at_us, act))
                self._passed(advance(self.plant, self._state, at_us))
                self._due_us = at_us
                try:
                    act()
                finally:
                    self._due_us = None
            self._passed(advance(self.plant, self._state, now_us))

    def next_us(self) -> int | None:
        """When something will happen by itself; None while nothing will."""
        with self._lock:
            due = [at_us for at_us, _ in self._later]
            own_us = next_change_us(self.plant, self._state)
            return min([*due, *([] if own_us is None else [own_us])], default=None)

    def facts(self) -> Facts:
        """What instruments at the machine show now."""
        with self._lock:
            self.catch_up()
            return facts(self.plant, self._state)

    @property
    def given(self) -> Given:
        """What is imposed on the machine now."""
        return self._state.given

    @property
    def pressed(self) -> frozenset[Button]:
        """The buttons that are down: held, or jammed."""
        return self._pressed | self._jammed

    @property
    def jammed(self) -> frozenset[Button]:
        """The buttons that stick."""
        return self._jammed

    @property
    def badges(self) -> tuple[Badge, ...]:
        """The badges on the reader, in the order they were put there."""
        return tuple(self._cards)

    @property
    def reader_plugged(self) -> bool:
        """Whether the reader's cable is in."""
        return self._reader_plugged

    # --------------------------------------------------------------------------------------- inside

    def _moment_us(self) -> int:
        """Now; or, while a due act runs late, the moment it was due."""
        return self.now_us() if self._due_us is None else self._due_us

    def _hands(self, pressed: frozenset[Button], jammed: frozenset[Button]) -> None:
        with self._lock:
            self.catch_up()
            self._pressed, self._jammed = pressed, jammed
            self._wire_inputs(self.history[-1])
            self._tell()
            self._impose(
                start_pressed=Button.MACHINE_START in self.pressed,
                stop_pressed=Button.MACHINE_STOP in self.pressed,
            )

    def _impose(self, **outside: bool | frozenset[str]) -> None:
        with self._lock:
            self.catch_up()
            given = replace(self._state.given, **outside)  # type: ignore[arg-type] # by name
            self._passed(change(self.plant, self._state, self._moment_us(), given))

    def _pins_changed(self) -> None:
        """What the lines do now has reached the machine and whoever watches them."""
        level = self.pins.level
        wiring, powered = self.wiring, self.pins.powered
        relay = powered and wiring.relay_driven(level(wiring.relay))
        fan = powered and wiring.extraction is not None and level(wiring.extraction)
        now_us = self._state.now_us
        if wiring.enable is not None and level(wiring.enable) != self._enable_level:
            self._enable_level = not self._enable_level
            self._passed(retrigger(self.plant, self._state, now_us))
        given = replace(self._state.given, relay_pin=relay, extraction_pin=fan)
        if given != self._state.given:
            self._passed(change(self.plant, self._state, now_us, given))
        self._tell()

    def _passed(self, states: list[PlantState]) -> None:
        """The machine went through `states`; every one of them reaches the input lines."""
        for state in states:
            imposed = state.given != self._state.given
            self._state = state
            shown = facts(self.plant, state)
            differs = replace(self.history[-1], at_us=shown.at_us) != shown
            if differs:
                self.history.append(shown)
            if differs or imposed:
                self._wire_inputs(shown)
                self._tell()

    def _rest_wires(self) -> None:
        """What hangs on the lines apart from contacts: the resistor that keeps the relay off."""
        if self.wiring.relay_external_pull:
            self.pins.wire(self.wiring.relay, not self.wiring.relay_active_high)
        self._wire_inputs(self.history[-1])

    def _wire_inputs(self, shown: Facts) -> None:
        signals = signal_levels(shown, self.pressed, self._state.given)
        for contact in self.wiring.contacts:
            signal = signals.get(contact.signal, contact.signal in shown.open_interlocks)
            closed = self._forced.get(contact.pin, contact.is_closed(signal))
            self.pins.wire(contact.pin, contact.level_closed if closed else None)

    def _tell(self) -> None:
        levels = self.pins.levels()
        if levels == self._levels:
            return
        before, self._levels = self._levels, levels
        for number, (old, new) in enumerate(zip(before, levels, strict=True)):
            if old != new:
                self.pin_history.append(PinChange(self._state.now_us, number, new))
                for watcher in list(self._watchers):
                    watcher(number, new)
