"""What happened in the world in, what somebody with instruments at the machine knows out.

It listens to pins, contactor and motor, to what lay on the reader, to the card's records and to the life of the
process. It never looks into the state of the core: the rules in `invariants` are judged on this alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Level
from interlock.sim.physics import Facts, Given
from interlock.sim.simulator.disk import Platter
from interlock.sim.simulator.fitting import Fitting
from interlock.sim.simulator.hub_model import Snapshot
from interlock.sim.simulator.next_door import Hearsay
from interlock.sim.simulator.people import Card
from interlock.sim.simulator.schedule import Schedule

MS = 1_000
TICK_US = 20 * MS
LOOK_US = 2 * TICK_US + 5 * MS
"""One tick until the level is sampled, one for an event that waited in the queue, and the time of the step."""
GAP_US = 300_000
WATCHED_US = GAP_US + 150_000
"""So long an empty field was surely watched for the gap: polls are 50 ms apart, and the first may only begin it."""
MARKS_LOST_US = 600_000_000
"""Powered time is saved every ten minutes: a power cut forgets at most that much of it."""
PLACINGS_KEPT = 40
RECORDS_KEPT = 50
WORDS = {True: "closed", False: "open", None: "unknown"}


@dataclass(slots=True)
class Placing:
    """A badge was put into a field that was physically empty for the arrival gap."""

    at_us: int
    card: Card
    spent: bool = False
    """It has closed a relay or cleared something: it does nothing a second time."""
    seen_us: int | None = None
    """When a well reader first looked at it and at nothing else, having watched the empty field for the gap."""
    warned: bool = False
    """The machine was warning of a cut already when it was seen."""


@dataclass(slots=True)
class Powered:
    """A session that the relay closed for: its record, whose, and how long the coil was commanded on."""

    record: str
    member: str | None
    closed_us: int
    commanded_us: int = 0
    hung: bool = False


@dataclass(slots=True)
class Witness:
    """One machine as seen from outside; times are microseconds of the run, None: not now."""

    schedule: Schedule
    fit: Fitting
    platter: Platter
    node: int = 0
    identity: int = 0
    """The machine that it is at the hub: another one than `node` with a copy of that one's card."""
    facts: Facts | None = None
    given: Given = field(default_factory=Given)
    relay: bool = False
    relay_since_us: int = 0
    fan: bool = False
    fan_since_us: int = 0
    coil_since_us: int | None = None
    coil_rose_us: int = -1
    contacts_since_us: int | None = None
    motor_since_us: int | None = None
    motor_rose_us: int = -1
    interlocks_open: dict[str, int] = field(default_factory=dict)
    """This machine's own interlocks that are open, and since when."""
    hearsay: Hearsay = field(default_factory=Hearsay)
    """Of the contact at another machine, where this one waits for it."""
    idle_since_us: int | None = None
    """Since when the current sensor shows no work; None while it does."""
    stopped_since_us: int | None = None
    """Since when the stop button is held."""
    emergency_since_us: int | None = None
    start_held: bool = False
    start_touched_us: int = -(10**12)
    imposed_us: int = -(10**12)
    """When mains, stop chain or bypass key last changed."""
    mains_lost_us: int | None = None
    mains_out_us: int = 0
    cut_us: int | None = None
    alive: bool = False
    """A process owns the pins and the kernel runs."""
    ready_us: int = 0
    ticking_since_us: int | None = None
    gone_since_us: int | None = None
    gone_how: str = "off"
    safe_us: int | None = None
    boot_us: int = 0
    gate_us: int = 0
    reader_well_us: int = 0
    reader_ok_us: int | None = 0
    """Since when the reader works as it should; None while it does not."""
    empty_since_us: int = -(10**12)
    is_empty: bool = True
    watched_us: int | None = None
    """Since when the reader has looked at an empty field and at nothing else."""
    placings: list[Placing] = field(default_factory=list)
    longjob_pressed: bool = False
    longjob_us: int = -(10**12)
    """When its button was last touched."""
    hazards: dict[str, int] = field(default_factory=dict)
    warned_since_us: int | None = None
    message: Message | None = None
    """What the screen says."""
    snapshot: Snapshot | None = None
    switched_us: int = -(10**12)
    """When the machine last began to use another snapshot."""
    versions: list[tuple[int, int]] = field(default_factory=list)
    confirmed_us: int | None = None
    trusted: bool = False
    """The hub's signed time came in this boot."""
    told_us: int | None = None
    aged_us: int = 0
    """What is surely known of powered time before this boot, since `told_us`."""
    granted: set[str] = field(default_factory=set)
    durable: dict[str, str] = field(default_factory=dict)
    last_start: str | None = None
    closed_for: set[str] = field(default_factory=set)
    session: Powered | None = None
    previous_member: str | None = None
    worked: list[tuple[int, str | None]] = field(default_factory=list)
    """When the relay closed, and for whom."""
    refused: Mapping[str, Any] | None = None
    """The refusal that was reported just now."""
    ended: Mapping[str, Any] | None = None
    last_ended: Powered | None = None
    last_powered: Powered | None = None
    fault_known: bool = False
    locked_out: bool = False
    """Somebody said "broken" here, or asked for it, and no technician came since: recorded or about to be."""
    disk_well_us: int | None = -(10**12)
    """Since when the card writes as it should; None: it does not."""
    owes_air_until_us: int = 0
    lanes: list[tuple[int, str, bool]] = field(default_factory=list)
    tale: list[tuple[int, str]] = field(default_factory=list)

    @property
    def now_us(self) -> int:
        """The instant of the run."""
        return self.schedule.now_us

    def served_us(self, since_us: int) -> int:
        """For how long somebody has been serving the machine since then, without a pause until now."""
        if self.ticking_since_us is None:
            return 0
        return self.now_us - max(since_us, self.ticking_since_us)

    # ---------------------------------------------------------------------------- the machine

    def observe(self, facts: Facts, given: Given) -> None:
        """The machine is in this state now."""
        before = self.facts
        self.facts, self.given = facts, given
        if given.extraction_pin != self.fan:
            self.fan, self.fan_since_us = given.extraction_pin, self.now_us
            self.lane("fan", self.fan)
        if before is None or facts.coil != before.coil:
            self.coil_since_us = self.now_us if facts.coil else None
            if facts.coil:
                self.coil_rose_us = self.now_us
            self.lane("coil", facts.coil)
        if before is None or facts.contacts != before.contacts:
            self.contacts_since_us = self.now_us if facts.contacts else None
            self.lane("contacts", facts.contacts)
        if before is None or facts.motor != before.motor:
            self.motor_since_us = self.now_us if facts.motor else None
            if facts.motor:
                self.motor_rose_us = self.now_us
            self.lane("motor", facts.motor)
        if before is None or facts.busy != before.busy:
            self.idle_since_us = None if facts.busy else self.now_us
        if before is None or facts.open_interlocks != before.open_interlocks:
            since_us = self.interlocks_open
            self.interlocks_open = {
                name: since_us.get(name, self.now_us) for name in facts.open_interlocks
            }

    def relay_changed(self, on: bool) -> None:
        """The pin of the relay took a level."""
        self.relay, self.relay_since_us = on, self.now_us
        self.lane("relay", on)

    def hazard(self, name: str) -> None:
        """Something that may cut power without a warning happened now."""
        self.hazards[name] = self.now_us

    def since_hazard_us(self, *names: str) -> int:
        """How long ago the last of these was."""
        known = [at for name, at in self.hazards.items() if not names or name in names]
        return self.now_us - max(known, default=-(10**12))

    def shown(self, panel: Panel) -> None:
        """What lamp and screen tell people; a fast yellow lamp is the warning before a cut."""
        self.message = panel.message
        warning = panel.colour is Colour.YELLOW and panel.lamp is Pattern.FAST_BLINK
        if not warning:
            self.warned_since_us = None
        elif self.warned_since_us is None:
            self.warned_since_us = self.now_us

    # ----------------------------------------------------------------------------- the reader

    def laid(self, card: Card, was_empty: bool) -> None:
        """A badge was put down."""
        if was_empty and self.now_us - self.empty_since_us >= GAP_US:
            self.placings = [*self.placings[-PLACINGS_KEPT:], Placing(self.now_us, card)]
        self.is_empty = False
        self.lane("badge", True)

    def lifted(self, is_empty: bool) -> None:
        """A badge was taken away."""
        self.is_empty = is_empty
        if is_empty:
            self.empty_since_us = self.now_us
            self.lane("badge", False)

    def looked(self, cards: Sequence[Card]) -> None:
        """The reader's field was on, and these lay in it."""
        if self.reader_ok_us is None or self.ticking_since_us is None:
            self.watched_us = None
            return
        if not cards:
            self.watched_us = self.now_us if self.watched_us is None else self.watched_us
            return
        watched_us, self.watched_us = self.watched_us, None
        if watched_us is None or len(cards) > 1 or not self.placings:
            return
        watched_us = max(watched_us, self.ticking_since_us, self.reader_ok_us)
        placing = self.placings[-1]
        if self.now_us - watched_us > WATCHED_US and placing.card is cards[0]:
            placing.seen_us, placing.warned = self.now_us, self.warned_since_us is not None

    # ---------------------------------------------------------------------------- the process

    def process_ready(self) -> None:
        """A process claimed the pins and serves the machine."""
        self.alive, self.ready_us, self.ticking_since_us = True, self.now_us, self.now_us
        self.gone_since_us = None
        self.hearsay.forgotten(self.now_us)
        self.lane("process", True)

    def process_gone(self, how: str, safe_us: int | None = None) -> None:
        """Nobody serves the machine: `how` it went; `safe_us`: by when somebody switches it off for sure."""
        if self.gone_since_us is None or how in ("killed", "off"):
            self.gone_since_us = self.now_us
        self.ticking_since_us, self.gone_how, self.safe_us = None, how, safe_us
        self.alive = self.alive and how in ("stopped", "kernel")
        if how in ("killed", "off"):
            # A loop that stands still leaves lamp and screen as they are.
            self.warned_since_us = None
        self.hazard("process")
        self.lane("process", False)

    def process_continued(self) -> None:
        """It ticks again after it was stopped."""
        if self.session is not None:
            self.session.hung = True
        self.ticking_since_us, self.gone_since_us = self.now_us, None
        self.hazard("process")
        self.lane("process", True)

    def booted(self) -> None:
        """The Pi's kernel began anew: of the time before, all but ten minutes is surely remembered."""
        if self.told_us is not None:
            since_us = max(self.told_us, self.boot_us)
            self.aged_us += max(0, self.now_us - since_us - MARKS_LOST_US)
        self.boot_us, self.trusted = self.now_us, False

    def disk_changed(self, *, is_well: bool) -> None:
        """The card began, or ceased, to write as it should."""
        self.disk_well_us = self.now_us if is_well else None

    def uses(self, snapshot: Snapshot | None) -> None:
        """Badges are looked up in this from now on; None: in nothing."""
        self.snapshot, self.switched_us = snapshot, self.now_us

    def told_time(self) -> None:
        """The hub's signed time was accepted."""
        self.trusted, self.told_us, self.aged_us = True, self.now_us, 0

    def closed(self, read_us: int) -> None:
        """The relay closed for the last durable start; what was presented for it has done its work."""
        record = self.last_start or "?"
        body = next((one.body for one in reversed(self.platter.records) if one.id == record), None)
        member = (body or {}).get("member")
        self.session = Powered(record, member, self.now_us)
        self.lane("session", True)
        self.closed_for.add(record)
        self.worked.append((self.now_us, None if member is None else str(member)))
        for placing in self.placings:
            person = placing.card.person
            if placing.at_us + read_us < self.now_us or member == f"m-{person}":
                placing.spent = True

    def opened(self) -> None:
        """The relay opened: what was on for the session is known."""
        self.last_powered = self.session
        if self.session is not None:
            self.session.commanded_us = self.now_us - self.session.closed_us

    def recovered(self) -> None:
        """A new process has read the journal: a session of the one before ends with what was proved of it."""
        session, self.session = self.session, None
        self.ended = self.last_ended = None
        self.fault_known = bool(self.platter.facts.faults)
        if session is None:
            return
        self.lane("session", False)
        session.hung = True
        for record in reversed(self.platter.records):
            body = record.body or {}
            if (
                record.header.type.value == "session_ended"
                and body.get("session") == session.record
            ):
                self.last_ended, self.ended = session, body
                return

    # ---------------------------------------------------------------------------- the records

    def submitted(self, type_: str, body: Mapping[str, Any]) -> None:
        """The process asked for a record."""
        self.tell(f"record {type_} {_brief(body)}".rstrip())
        if type_ in ("session_ended", "session_voided"):
            session = self.session
            if session is not None and session.record == body.get("session"):
                self.previous_member, self.last_ended = session.member, session
                self.ended, self.session = dict(body), None
                self.lane("session", False)
        if type_ == "fault_raised":
            self.fault_known = True
        if type_ == "training_granted" and self._trainer_says_yes():
            self.granted.add(str(body.get("member")).removeprefix("m-"))
        if type_ in ("lock_out_set", "lock_out_cleared"):
            self.locked_out = type_ == "lock_out_set"
        if type_ in ("fault_cleared", "lock_out_cleared"):
            self.fault_known = self.fault_known and type_ != "fault_cleared"
            self.gate_us = self.now_us
            if self.placings and "evidence" in body:
                self.placings[-1].spent = True

    def reported(self, body: Mapping[str, Any]) -> None:
        """The process refused a badge."""
        self.tell(f"refused {body.get('reason')}")
        self.refused = body

    def answered(self, record: str, type_: str) -> None:
        """The process was told that this record is durable."""
        self.durable[record] = type_
        if type_ == "session_started":
            self.last_start = record

    def heard(self, word: bool | None, age_us: int) -> None:
        """The node was told what was said so long ago of the contact at the other machine."""
        self.hearsay.told(word, age_us, self.now_us)
        self.tell(f"next door is {WORDS[word]}")

    def tell(self, words: str) -> None:
        """A line of the trace."""
        self.tale.append((self.now_us, words))

    def _trainer_says_yes(self) -> bool:
        """The last badge put down is a trainer's, and the "yes" button is held."""
        if not self.longjob_pressed or not self.placings or self.snapshot is None:
            return False
        card = self.placings[-1].card
        person = self.snapshot.person_of(card.person)
        return person is not None and person.level is Level.TRAINER and card.genuine

    def lane(self, name: str, on: bool) -> None:
        """A line of the picture: this is on, or off, from now on."""
        self.lanes.append((self.now_us, name, on))


def _brief(body: Mapping[str, Any]) -> str:
    names = ("member", "how", "why", "fault", "enabled_ms", "session", "by", "reason", "phase")
    return " ".join(f"{name}={body[name]}" for name in names if body.get(name) is not None)
