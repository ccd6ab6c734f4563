"""Happenings in, lives of processes out: one Pi at one machine, with systemd, a hardware watchdog and a supply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from interlock.core import machine
from interlock.core.events import (
    CutRequested,
    EndRequested,
    Event,
    FaultCleared,
    RemoteInterlockReported,
)
from interlock.node.flight import Step
from interlock.sim.physics import Facts
from interlock.sim.simulator.bench import Bench
from interlock.sim.simulator.disk import Disk, Platter
from interlock.sim.simulator.fitting import Fitting, fitting
from interlock.sim.simulator.happenings import Happening
from interlock.sim.simulator.hub_model import HubModel
from interlock.sim.simulator.life import Card, Life, PiClock
from interlock.sim.simulator.next_door import NEXT_DOOR, Neighbour, NextDoor
from interlock.sim.simulator.schedule import Act, Schedule
from interlock.sim.simulator.slot import Slot
from interlock.sim.simulator.witness import Witness

SAFE_STATE_US = 150_000
"""ExecStopPost: `interlock node safe-state` claims the relay and drives it off."""
RESTART_US = 1_000_000
"""RestartSec=1."""
LOAD_US = 700_000
"""From exec to the claim of the pins."""
WATCHDOG_US = 2_000_000
ABORT_US = 1_000_000
"""WatchdogSec=2: then SIGABRT, which a stopped process does not hear, and a second later SIGKILL."""
HARDWARE_WATCHDOG_US = 15_000_000
KERNEL_BOOT_US = 4_000_000
READER_DEAD_US = 2_500_000
"""Whoever was silent for so long was told to be dead, and what it saw before counts no more."""
SAFE_STATE_OWNER = 1
LOOKS_US = (50_000, 250_000, 1_000_000)
LOOK_BEHIND_US = 21_000


@dataclass(frozen=True)
class Parts:
    """What a run is made of; tests put broken ones in their places, and nothing else knows of it."""

    step: Step = machine.step
    bench: Callable[[Fitting, Callable[[Facts], None]], Bench] = Bench
    platter: Callable[[], Platter] = Platter
    neighbour: type[NextDoor] = NextDoor
    skips: bool = True


class Pi:
    """One machine of the run, with everything that is screwed, soldered and plugged to it."""

    def __init__(
        self, node: int, seed: int, hub: HubModel, schedule: Schedule, parts: Parts
    ) -> None:
        chance = Random(f"run {seed} {node}")
        fit = fitting(seed, node)
        self.fit = fit
        self._schedule, self._chance, self._office = schedule, chance, hub
        self.witness = Witness(
            schedule=schedule, fit=fit, platter=parts.platter(), node=node, identity=node
        )
        bench = parts.bench(fit, self._observed)
        self.card = Card(
            fit=fit,
            bench=bench,
            slot=Slot(),
            platter=self.witness.platter,
            disk=Disk(Random(f"disk {seed} {node}")),
            clock=PiClock(schedule),
            hub=hub,
            witness=self.witness,
            schedule=schedule,
            chance=Random(f"network {seed} {node}"),
            noise=Random(f"noise {seed} {node}"),
            step=parts.step,
            node=node,
            skips=parts.skips,
        )
        self.life: Life | None = None
        self.on_relay: Callable[[bool], None] = lambda on: None
        self.on_ready: Act = lambda: None
        self._owners = SAFE_STATE_OWNER
        self._era = 0
        self._plant_due_us: int | None = None
        self._powered = True
        self._neighbour = self._new_neighbour(seed, parts) if fit.waits_for_another else None
        self.witness.observe(bench.facts, bench.given)
        self._at(LOAD_US, self._start)

    def befall(self, happening: Happening) -> None:
        """This happens here and now."""
        self.witness.tell(f"{happening.kind.value} {happening.value}".rstrip())
        getattr(self, f"_{happening.kind.value}")(happening.value)
        if self.life is not None and not self.life.is_paused:
            self.life.wake()

    def mend(self) -> None:
        """Every fault ends; nothing is held, open or dead any more, and nobody's badge lies there."""
        self._disk("ok")
        self._reader("ok")
        self._wall("+0")
        given = self.card.bench.given
        if given.emergency_stop:
            self._emergency("off")
        if not given.mains:
            self._mains("on")
        self._impose(
            welded=False,
            stuck_open=False,
            bypass_on=False,
            extraction_broken=False,
            start_pressed=False,
            stop_pressed=True,
            opened=frozenset(),
        )
        self._impose(stop_pressed=False)
        for button in ("stop", "broken", "long_job"):
            self._button(button, False)
        for card in self.card.slot.cards:
            self._lift(card.label)
        self._next_door("close")
        self._hearsay("ok")
        self._hearsay("back")
        self._link("up")
        life = self.life
        if life is not None and life.is_paused:
            self._kill("")

    # ------------------------------------------------------------------------- people and hands

    def _lay(self, label: str) -> None:
        slot = self.card.slot
        was_empty = not slot.cards
        slot.lay(label, self._schedule.now_us)
        self.witness.laid(slot.cards[-1], was_empty)
        self._field_changed()

    def _lift(self, label: str) -> None:
        slot = self.card.slot
        if any(card.label == label for card in slot.cards):
            slot.lift(label, self._schedule.now_us)
            self.witness.lifted(not slot.cards)
        self._field_changed()

    def _press(self, what: str) -> None:
        self._touch(what, True)

    def _release(self, what: str) -> None:
        self._touch(what, False)

    def _touch(self, what: str, down: bool) -> None:
        if what in ("start", "machine_stop"):
            self.witness.start_touched_us = self._schedule.now_us
            name = "start_pressed" if what == "start" else "stop_pressed"
            self._impose(**{name: down})
            return
        self._button(what, down)

    def _button(self, what: str, down: bool) -> None:
        witness, now_us = self.witness, self._schedule.now_us
        was_down = what in self.card.bench.buttons
        self.card.bench.press(what, down)
        if what == "stop" and was_down is not down:
            witness.hazard("stop")
            witness.stopped_since_us = now_us if down else None
            witness.gate_us = now_us
        if what == "long_job":
            witness.longjob_pressed, witness.longjob_us = down, now_us

    def _emergency(self, value: str) -> None:
        latched = value == "on"
        witness = self.witness
        witness.imposed_us = self._schedule.now_us
        if self.fit.emergency_sensed:
            # Else no Pi can know: the chain itself keeps the coil dropped (S5).
            witness.gate_us = witness.imposed_us
        witness.hazard("emergency")
        witness.emergency_since_us = witness.now_us if latched else None
        self._impose(emergency_stop=latched)

    def _bypass(self, value: str) -> None:
        self.witness.imposed_us = self._schedule.now_us
        self._impose(bypass_on=value == "on")

    def _interlock(self, value: str) -> None:
        act, name = value.split()
        opened = self.card.bench.given.opened
        self.witness.hazard("interlock")
        self._impose(opened=opened | {name} if act == "open" else opened - {name})

    def _next_door(self, value: str) -> None:
        """Somebody opens or closes what another machine has and this one waits for."""
        if self._neighbour is not None:
            hearsay = self.witness.hearsay
            if value == "close":
                hearsay.opened_us = None
            elif hearsay.opened_us is None:
                hearsay.opened_us = self._schedule.now_us
            self._neighbour.move(value == "close")

    # ------------------------------------------------------------------------------ wear and mains

    def _weld(self, value: str) -> None:
        self._impose(welded=value == "on")

    def _stick(self, value: str) -> None:
        self._impose(stuck_open=value == "on")

    def _fan(self, value: str) -> None:
        self._impose(extraction_broken=value == "broken")

    def _mains(self, value: str) -> None:
        on = value == "on"
        witness = self.witness
        witness.imposed_us = self._schedule.now_us
        if not on:
            witness.hazard("mains")
            witness.mains_lost_us = witness.now_us
        elif witness.mains_lost_us is not None:
            witness.mains_out_us = witness.now_us - witness.mains_lost_us
        self._impose(mains=on)

    # ---------------------------------------------------------------------------------- the Pi

    def _kill(self, value: str) -> None:
        """kill -9, or the abort of systemd's watchdog: the kernel takes the lines, systemd cleans up."""
        life = self._buried()
        if life is None:
            return
        self._gone("killed", SAFE_STATE_US)
        self.card.bench.release(life.owner, self._schedule.now_us)
        self._at(SAFE_STATE_US, self._safe_state)
        self._at(SAFE_STATE_US + RESTART_US + LOAD_US, self._start)

    def _terminate(self, value: str) -> None:
        life = self.life
        if life is not None and not life.is_paused:
            self.witness.hazard("process")
            life.loop.request_termination()

    def _stop(self, value: str) -> None:
        """SIGSTOP or a stuck loop for `value` ms; systemd ends it when its watchdog is not fed."""
        life = self.life
        if life is None or life.is_paused:
            return
        life.pause()
        self._gone("stopped", WATCHDOG_US + ABORT_US + SAFE_STATE_US)
        if int(value) * 1_000 < WATCHDOG_US:
            self._at(int(value) * 1_000, lambda: self._go_on(life))
        else:
            self._at(WATCHDOG_US + ABORT_US, lambda: self._kill_if(life))

    def _kernel_hang(self, value: str) -> None:
        """Nothing runs, the lines stay; the hardware watchdog resets the Pi."""
        life = self.life
        if life is None or life.is_paused:
            return
        life.pause()
        self._gone("kernel", HARDWARE_WATCHDOG_US)
        self._era += 1
        self._at(self._chance.randrange(8_000_000, HARDWARE_WATCHDOG_US), self._reset)

    def _power_cut(self, value: str) -> None:
        """The Pi's supply fails; `all`: the machine's too. Both come back together."""
        if not self._powered:
            return
        self._powered = False
        self._buried()
        self._era += 1
        self._gone("off", 0)
        self.card.bench.power_off(self._schedule.now_us)
        if value == "all":
            self._mains("off")
        self._at(self._chance.randrange(1_000_000, 20_000_000), lambda: self._power_back(value))

    def _disk(self, manner: str) -> None:
        self.card.disk.manner = manner
        self.witness.disk_changed(is_well=manner == "ok")
        if self.life is not None:
            self.life.shell.mended()

    def _reader(self, manner: str) -> None:
        slot = self.card.slot
        was, bad_us = slot.manner, self._schedule.now_us - slot.changed_us
        slot.manner, slot.changed_us = manner, self._schedule.now_us
        self.witness.reader_ok_us = slot.changed_us if manner == "ok" else None
        if self.life is not None and manner == "stuck":
            self.life.reading.sticks()
        if manner == "ok" and was in ("dead", "stuck") and bad_us > READER_DEAD_US:
            self.witness.reader_well_us = self._schedule.now_us
        self._field_changed()

    def _wall(self, value: str) -> None:
        """`1970`: the clock was never set; else how many seconds it is wrong by."""
        wrong_ms = -(10**12) * 2 if value == "1970" else int(value) * 1_000
        self.card.clock.wall_error_ms = wrong_ms

    # ------------------------------------------------------------------------------------- hub

    def _hearsay(self, manner: str) -> None:
        """What befalls the words on their way from the other machine's contact to this node."""
        if self._neighbour is not None:
            repeated = self._neighbour.manner == "again"
            self._neighbour.behave(manner)
            self._way_changed(repeats=repeated)

    def _link(self, value: str) -> None:
        self.card.link = value == "up"
        self._way_changed()
        if self.card.link and self.life is not None:
            self.life.later(200_000, self.life.greet)

    def hub_changed(self) -> None:
        """The hub has something new: a connected node hears of it within 2 s (A4)."""
        if self.life is not None:
            self.life.later(self.card.chance.randrange(200_000, 1_500_000), self.life.greet)

    def _hub(self, words: str) -> None:
        if words == "replay":
            if self.life is not None and not self.life.is_paused:
                self.life.install(self.card.chance.choice(self._office.snapshots))
            return
        self._office.change(words, self.card.node, self._schedule.now_us)

    def _command(self, words: str) -> None:
        events: dict[str, Event] = {
            "end": EndRequested(),
            "cut": CutRequested(),
            "clear": FaultCleared("u-1"),
        }
        life, witness = self.life, self.witness
        if life is None or life.is_paused:
            return
        if words == "cut":
            witness.hazard("cut")
            witness.cut_us = witness.now_us
        life.emit(events[words])

    # ---------------------------------------------------------------------------------- inside

    def _new_neighbour(self, seed: int, parts: Parts) -> Neighbour:
        node = self.card.node
        return parts.neighbour(
            self._schedule,
            node,
            Random(f"words {seed} {node}"),
            is_linked=lambda: self.card.link,
            tell=self._told,
        )

    def _told(self, word: bool | None, age_us: int) -> None:
        """Sync hands over what it was answered; a node that stands still is not reached."""
        life = self.life
        if life is not None and not life.is_paused:
            age_ms = age_us // 1_000
            self.witness.heard(word, age_us)
            life.emit(RemoteInterlockReported(NEXT_DOOR, word, age_ms))

    def _way_changed(self, *, repeats: bool = False) -> None:
        if self._neighbour is not None:
            now_us, is_well = self._schedule.now_us, self._neighbour.is_well
            hearsay = self.witness.hearsay
            repeats = repeats or self._neighbour.manner == "again"
            hearsay.way_changed(is_well=is_well, repeats=repeats, now_us=now_us)

    def _at(self, us: int, act: Act) -> None:
        """`act` in `us`, unless the Pi was reset or lost its supply meanwhile."""
        era = self._era

        def unless_reset() -> None:
            if self._era == era:
                act()

        self._schedule.at(self._schedule.now_us + us, unless_reset, self.card.node)

    def _impose(self, **changes: Any) -> None:
        self.card.bench.impose(self._schedule.now_us, **changes)
        self._plan_plant()

    def _field_changed(self) -> None:
        if self.life is not None and not self.life.is_paused:
            self.life.field_changed()

    def _buried(self) -> Life | None:
        life, self.life = self.life, None
        if life is not None:
            life.end()
        return life

    def _gone(self, how: str, within_us: int) -> None:
        now_us = self._schedule.now_us
        self.witness.process_gone(how, now_us + within_us)
        for bound_us in (*LOOKS_US, within_us):
            # Nobody ticks any more: the rules are asked when a bound has passed.
            self._schedule.at(now_us + bound_us + LOOK_BEHIND_US, lambda: None, self.card.node)

    def _go_on(self, life: Life) -> None:
        if self.life is life:
            self.witness.process_continued()
            life.go_on()
            life.wake()

    def _kill_if(self, life: Life) -> None:
        if self.life is life:
            self._kill("")

    def _safe_state(self) -> None:
        bench = self.card.bench
        if self.life is None:
            bench.claim(SAFE_STATE_OWNER)
            bench.follow_pins(self._schedule.now_us)
            bench.release(SAFE_STATE_OWNER, self._schedule.now_us)

    def _reset(self) -> None:
        self._buried()
        self._gone("off", 0)
        self._boot()

    def _power_back(self, value: str) -> None:
        self._powered = True
        if value == "all":
            self._mains("on")
        self._boot()

    def _boot(self) -> None:
        clock = self.card.clock
        self.witness.booted()
        clock.boots, clock.booted_us = clock.boots + 1, self._schedule.now_us
        self.card.bench.boot(self._schedule.now_us)
        self._at(KERNEL_BOOT_US, self._start)

    def _start(self) -> None:
        if self.life is not None or not self._powered:
            return
        if self.card.disk.manner == "stalled":
            # Opening the journal waits for the card.
            self._at(RESTART_US, self._start)
            return
        self._owners += 1
        life = self._new_life()
        self.life = life
        self.witness.process_ready()
        self.on_ready()
        life.begin()

    def _new_life(self) -> Life:
        return Life(self.card, self._owners, self._exited)

    def _exited(self) -> None:
        self.life = None
        self._gone("off", 0)
        self._at(RESTART_US + LOAD_US, self._start)

    def _observed(self, facts: Facts) -> None:
        bench = self.card.bench
        self.witness.observe(facts, bench.given)
        if bench.given.relay_pin != self.witness.relay:
            self.witness.relay_changed(bench.given.relay_pin)
            self.on_relay(bench.given.relay_pin)
        if self.life is not None and not self.life.is_paused:
            self.life.wake()
        self._plan_plant()

    def _plan_plant(self) -> None:
        """The machine's own next change comes in its time, also when nobody looks."""
        due_us = self.card.bench.due_us()
        if due_us is None or (self._plant_due_us is not None and self._plant_due_us <= due_us):
            return
        self._plant_due_us = due_us
        self._schedule.at(due_us, self._plant_due, self.card.node)

    def _plant_due(self) -> None:
        self._plant_due_us = None
        self.card.bench.advance(self._schedule.now_us)
        self._plan_plant()
