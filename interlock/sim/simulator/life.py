"""One process of a node, from its start to its death: the real loop, its pins, its reader and its journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from interlock import __version__
from interlock.core import machine
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import (
    Event,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    RecordDurable,
    RecordsDelivered,
    SnapshotActivated,
)
from interlock.core.model import Cache, Entry, Fault, Inputs
from interlock.core.states import MachineState, Recovered, deadline_ms
from interlock.errors import ProtocolError, StoreError
from interlock.node import panel as panels
from interlock.node.flight import Step
from interlock.node.inbox import Inbox
from interlock.node.journal_facts import Stamp
from interlock.node.journal_work import NO_TICKET
from interlock.node.loop import TICK_US, Loop, Silence
from interlock.node.timekeeping import Timekeeper, TimeMarks, marks_from_wire
from interlock.sim.simulator.bench import EXTRACTION_LINE, RELAY_LINE, Bench
from interlock.sim.simulator.disk import Disk, JournalShell, ModelledJournal, Platter
from interlock.sim.simulator.fitting import Fitting
from interlock.sim.simulator.hub_model import LAB, NODE, HubModel, Snapshot
from interlock.sim.simulator.schedule import BEGUN_MS, Act, Schedule
from interlock.sim.simulator.slot import POLL_US, SETTLED_US, Reading, Slot
from interlock.sim.simulator.witness import Witness

SILENCE_MS = 2_000
RESTLESS_US = 800_000
"""So long after anything happened every tick is taken: the longest bound of a core at rest is the opening time."""
TICK_PHASE_US, POLL_PHASE_US = 100, 7_300
"""Ticks, polls and happenings never fall into one microsecond: which came first would be nobody's choice."""
SYNC_US = 30_000_000
SAVE_US = 600_000_000
"""How often time is saved without a hub (`TimeSaver`)."""


class PiClock:
    """The two clocks of one Pi; `wall_error_ms` is how wrong its wall is."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.boots = 1
        self.booted_us = 0
        self.wall_error_ms = 0

    @property
    def boot_id(self) -> str:
        """Another one for every boot."""
        return f"boot-{self.boots}"

    def boot_ms(self) -> int:
        """Milliseconds of this boot."""
        return (self._schedule.now_us - self.booted_us) // 1_000

    def wall_ms(self) -> int:
        """What the system believes."""
        return BEGUN_MS + self._schedule.now_us // 1_000 + self.wall_error_ms

    def sleep(self, seconds: float) -> None:
        """Nothing in the simulator sleeps."""
        raise AssertionError(f"somebody slept for {seconds} s in virtual time")


@dataclass(slots=True)
class Card:
    """The SD card and what is screwed to the Pi: everything that outlives a process."""

    fit: Fitting
    bench: Bench
    slot: Slot
    platter: Platter
    disk: Disk
    clock: PiClock
    hub: HubModel
    witness: Witness
    schedule: Schedule
    chance: Random
    """Of network and hub. Disk and reader have chances of their own: what breaks in one shifts nothing in another."""
    noise: Random
    step: Step
    node: int
    snapshot: Snapshot | None = None
    link: bool = True
    skips: bool = True
    """Ticks and polls that can tell nothing new are left out; a test compares."""
    steps: int = 0
    polls: int = 0
    turns: int = 0


class _Pins:
    """What the loop does with the pins of this machine."""

    def __init__(self, card: Card, owner: int) -> None:
        self._card, self._owner = card, owner

    def relay(self, on: bool) -> None:
        self._card.bench.write(self._owner, RELAY_LINE, on, self._card.schedule.now_us)

    def extraction(self, on: bool) -> None:
        self._card.bench.write(self._owner, EXTRACTION_LINE, on, self._card.schedule.now_us)

    def toggle_enable(self) -> None:
        self._card.bench.turn_enable(self._card.schedule.now_us)

    def show(self, light: panels.Light, sounding: bool) -> None:
        """What people see is told by the panel itself."""

    def sample(self) -> Inputs:
        return self._card.bench.sample()

    def close(self) -> None:
        self.relay(False)
        self.extraction(False)
        self._card.bench.release(self._owner, self._card.schedule.now_us)


class Life:
    """A running process. `exited` is called when it ends by itself; `end()` when it is ended."""

    def __init__(self, card: Card, owner: int, exited: Act) -> None:
        """The pins are claimed and the journal is read; `begin()` starts its threads."""
        self.owner = owner
        self.is_dead = False
        self.is_paused = False
        self._card, self._exited = card, exited
        self._held: list[Act] = []
        self._restless_until_us = card.schedule.now_us + RESTLESS_US
        self._tick_due_us: int | None = None
        self._poll_due_us: int | None = None
        self._polled_us = self._went_on_us = 0
        self._syncing = False
        self._types: dict[int, str] = {}
        card.bench.claim(owner)
        card.bench.follow_pins(card.schedule.now_us)
        self.time = self._new_time(None)
        self.inbox = Inbox()
        self.shell = self._new_shell()
        self.reading = self._new_reading()
        self._unopened = not self.shell.journal.usable
        self._pins = _Pins(card, owner)
        self.loop = self._new_loop(self._recovered())

    def begin(self) -> None:
        """Ticks, polls and greetings of the hub go on from here."""
        boot = {"software": __version__, "config_digest": "0" * 64, "clean": False}
        self._submit(WriteRecord(NO_TICKET, "boot", boot))
        self.shell.begin()
        if self._unopened:
            self.emit(JournalFailed("it could not be opened"))
        self._use_first_snapshot()
        self._tick_at(self._grid(TICK_US))
        self._poll_at(self._grid(POLL_US))
        self._begin_sync()
        self.later(SAVE_US, self._save_again)

    def later(self, us: int, act: Act) -> None:
        """`act` in `us` microseconds, unless the process is dead; when it is stopped, as soon as it goes on."""

        def unless_dead() -> None:
            if self.is_dead:
                return
            if self.is_paused:
                self._held.append(act)
            else:
                act()

        self._card.schedule.at(self._card.schedule.now_us + us, unless_dead, self._card.node)

    def pause(self) -> None:
        """SIGSTOP, or a kernel that hangs: nothing of it runs."""
        self.is_paused = True
        if self._poll_due_us is None:
            self.reading.slept_until(self._card.clock.boot_ms())

    def go_on(self) -> None:
        """SIGCONT: what was due happens now."""
        self.is_paused = False
        self._polled_us = self._went_on_us = self._card.schedule.now_us
        self.field_changed()
        held, self._held = self._held, []
        for act in held:
            self.later(0, act)

    def end(self) -> None:
        """It is dead, whatever it was doing: its lines are the kernel's."""
        if not self.is_dead:
            self.is_dead = True
            self.shell.lose_power()
            self._count()

    def wake(self) -> None:
        """Something happened: every tick is taken for a while."""
        self._restless_until_us = self._card.schedule.now_us + RESTLESS_US
        if self._tick_due_us is None or self._tick_due_us > self._card.schedule.now_us + TICK_US:
            self._tick_at(self._grid(TICK_US))

    def field_changed(self) -> None:
        """Something happened in front of the reader."""
        if self._poll_due_us is None:
            self._poll_at(self._grid(POLL_US))

    def emit(self, event: Event) -> bool:
        """A worker tells the loop."""
        if not self.inbox.put(event, 0.0):
            raise AssertionError("the inbox is full in a simulation that never floods it")
        self.wake()
        return True

    def greet(self) -> None:
        """The network process greets the hub as soon as it can."""
        if self._card.link and not self._syncing:
            self._syncing = True
            nonce = self.time.fresh_nonce()
            self.later(self._card.chance.randrange(20_000, 400_000), lambda: self._greeted(nonce))

    # ------------------------------------------------------- what the full stack has real ones of

    def _new_time(self, marks: TimeMarks | None) -> Timekeeper:
        return Timekeeper(self._card.clock, marks, entropy=self._card.chance.randbytes)

    def _new_shell(self) -> JournalShell:
        card = self._card
        return JournalShell(
            ModelledJournal(card.platter, card.disk, card.clock.boot_id),
            card.platter,
            card.disk,
            boot_id=card.clock.boot_id,
            stamp=self._stamp,
            later=self.later,
            emit=self._journal_says,
            boot_ms=card.clock.boot_ms,
            start_deadline_ms=card.fit.rules.start_deadline_ms,
        )

    def _new_reading(self) -> Reading:
        card = self._card
        return Reading(
            card.slot,
            card.noise,
            emit=self.emit,
            look_up=self._look_up,
            cache=self._cache,
            boot_ms=card.clock.boot_ms,
        )

    def _use_first_snapshot(self) -> None:
        if self._card.snapshot is not None:
            self._activate(self._card.snapshot)

    def _begin_sync(self) -> None:
        self.later(500_000, self._sync_again)

    # -------------------------------------------------------------------------------------- ticks

    def _tick(self) -> None:
        card = self._card
        self._tick_due_us = None
        card.bench.advance(card.schedule.now_us)
        self.loop.tick(True)
        card.witness.shown(self.loop.shown)
        if not self.loop.is_running:
            self._exit()
            return
        self._tick_at(self._next_tick_us())

    def _next_tick_us(self) -> int | None:
        now_us = self._card.schedule.now_us
        restless = self.loop.coil_on or now_us < self._restless_until_us or len(self.inbox)
        if restless or not self._card.skips or not self.shell.is_quiet or self.reading.is_silent:
            return self._grid(TICK_US)
        due_ms = _wanted_ms(self.loop.state)
        if due_ms is None:
            return None
        due_us = self._card.clock.booted_us + due_ms * 1_000
        return max(self._grid(TICK_US), self._grid(TICK_US, due_us - 1))

    def _tick_at(self, at_us: int | None) -> None:
        self._tick_due_us = at_us
        if at_us is None:
            return

        def unless_moved() -> None:
            if self._tick_due_us == at_us and not self.is_dead:
                if self.is_paused:
                    self._held.append(self._tick)
                else:
                    self._tick()

        self._card.schedule.at(at_us, unless_moved, self._card.node)

    def _grid(self, period_us: int, after_us: int | None = None) -> int:
        """The next instant (behind `after_us`) at which a timer of `period_us` that never slept would fire."""
        begun_us = self._card.schedule.now_us if after_us is None else after_us
        offset_us = POLL_PHASE_US if period_us == POLL_US else TICK_PHASE_US
        return ((begun_us - offset_us) // period_us + 1) * period_us + offset_us

    def _exit(self) -> None:
        self.shell.finish()
        self._pins.close()
        self.is_dead = True
        self._count()
        self._exited()

    def _count(self) -> None:
        self._card.steps += self.loop.steps
        self._card.turns += self.loop.enable_turns

    # -------------------------------------------------------------------------------------- polls

    def _poll(self) -> None:
        card, now_us = self._card, self._card.schedule.now_us
        slept = now_us - self._polled_us > POLL_US
        self._poll_due_us, self._polled_us = None, now_us
        card.witness.looked(card.slot.cards)
        self.reading.poll(card.clock.boot_ms(), slept)
        card.polls += 1
        news_us = max(card.slot.changed_us, self._went_on_us)
        settled = now_us - news_us > SETTLED_US and self.reading.is_steady
        if not settled or not card.skips:
            self._poll_at(self._grid(POLL_US))

    def _poll_at(self, at_us: int) -> None:
        self._poll_due_us = at_us
        self.later(at_us - self._card.schedule.now_us, self._poll)

    def _look_up(self, tag: bytes) -> tuple[Entry | None, bool]:
        snapshot = self._card.snapshot
        if snapshot is None:
            return None, False
        keyed = any(person.aes and person.tag == tag for person in snapshot.people.values())
        return snapshot.entries.get(tag), keyed

    def _cache(self) -> Cache:
        snapshot = self._card.snapshot
        version = None if snapshot is None else snapshot.version
        return Cache(version, self.time.cache_age_s(version))

    # ------------------------------------------------------------------------------------ journal

    def _stamp(self) -> Stamp:
        return Stamp(self._card.clock.boot_ms(), *self.time.wall())

    def _recovered(self) -> Recovered:
        """As `service` does it: what the journal remembers, and the end of a session that was left open."""
        journal = self.shell.journal
        if self._unopened:
            return Recovered()
        if journal.marks.time is not None:
            self.time = self._new_time(marks_from_wire(journal.marks.time))
        facts = journal.recover(self._stamp()).facts
        acked = journal.acknowledged
        return Recovered(
            faults=frozenset(Fault(name) for name in facts.faults),
            locked_out=facts.locked_out,
            grants=facts.grants_after(acked.epoch, acked.seq),
            day_use=facts.day_use,
        )

    def _new_loop(self, recovered: Recovered) -> Loop:
        card = self._card
        return Loop(
            state=machine.initial(card.fit.rules, recovered, self.time.now()),
            pins=self._pins,
            inbox=self.inbox,
            submit=self._submit,
            now=self.time.now,
            silences=(
                Silence(self.reading, "reader", SILENCE_MS, ReaderFailed, ReaderRecovered),
                Silence(self.shell, "journal", SILENCE_MS, JournalFailed, JournalRecovered),
            ),
            step=card.step,
        )

    def _submit(self, effect: WriteRecord | ReportRefusal) -> None:
        if isinstance(effect, WriteRecord):
            self._types[effect.ticket] = effect.type
            self._card.witness.submitted(effect.type, effect.body)
        else:
            self._card.witness.reported(effect.body)
        self.shell.submit(effect)

    def _journal_says(self, event: Event) -> bool:
        if isinstance(event, RecordDurable):
            self._card.witness.answered(event.record, self._types.get(event.ticket, ""))
        if isinstance(event, JournalRecovered) and self._unopened:
            # As `service`: a journal that can be read now may know of faults; the node begins again.
            self.loop.request_termination()
        return self.emit(event)

    # ---------------------------------------------------------------------------------------- hub

    def _sync_again(self) -> None:
        self.greet()
        self.later(SYNC_US, self._sync_again)

    def _save_again(self) -> None:
        self._keep_time()
        self.later(SAVE_US, self._save_again)

    def _greeted(self, nonce: bytes) -> None:
        self._syncing = False
        card = self._card
        if not card.link:
            return
        message = card.hub.signed_time(nonce, card.schedule.now_us)
        try:
            told = self.time.accept(message, card.hub.public_key, lab=LAB, node=NODE)
        except ProtocolError:
            # A wall that is months away: believed once a second answer agrees.
            self.later(SYNC_US, self.greet)
            return
        card.witness.told_time()
        if card.snapshot is not None and told.version == card.snapshot.version:
            self.time.confirm_current(told.version)
            card.witness.confirmed_us = card.schedule.now_us
        else:
            self.install(card.hub.current)
        self._keep_time()
        self._acknowledged()

    def install(self, snapshot: Snapshot) -> None:
        """A snapshot from the spool is used from here on, unless it is older than the journal's mark."""
        issued_at = (BEGUN_MS + snapshot.issued_us // 1_000) // 1_000
        try:
            marks = self.time.marks_once_current(snapshot.version, issued_at)
            self.shell.journal.mark(snapshot=snapshot.version, time=marks.to_wire())
        except (ProtocolError, StoreError):
            return
        self._card.snapshot = snapshot
        self.time.confirm_current(snapshot.version, issued_at)
        self._card.witness.confirmed_us = self._card.schedule.now_us
        self._activate(snapshot)
        self.later(1_000_000, self.greet)

    def _activate(self, snapshot: Snapshot) -> None:
        card = self._card
        card.witness.uses(snapshot)
        card.witness.versions.append(snapshot.version)
        demands = card.fit.demands
        demands = replace(demands, locked_out=card.node in snapshot.locked_out)
        age_s = self.time.cache_age_s(snapshot.version)
        self.emit(SnapshotActivated(Cache(snapshot.version, age_s), demands))

    def _keep_time(self) -> None:
        try:
            self.shell.journal.mark(time=self.time.marks().to_wire())
        except StoreError:
            # `TimeSaver` logs it and tries again; here the next greeting does.
            return

    def _acknowledged(self) -> None:
        platter = self._card.platter
        platter.acknowledged_seq = len(platter.records)
        delivered = platter.facts.delivered(1, platter.acknowledged_seq)
        if delivered:
            self.emit(RecordsDelivered(delivered))


def _wanted_ms(state: MachineState) -> int | None:
    """When the core at rest wants to be looked at next: its deadline, the end of a notice or of a run-on."""
    notice = state.notice
    due = [
        deadline_ms(state),
        state.run_on_until_ms,
        state.coasting_until_ms,
        None if notice is None else notice.until_ms,
    ]
    return min((one for one in due if one is not None), default=None)
