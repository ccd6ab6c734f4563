"""What a machine can be: one State, the few facts that state carries, and what surrounds every state.

`State` is never a bundle of booleans: each state has its own frozen facts, and `MachineState.state` is read
off their type. What outlives a state (extraction running on, a tool still turning, the bypass key) stands in
`MachineState` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from interlock.core.effects import Message, Panel
from interlock.core.interlocks import RemoteReport
from interlock.core.model import (
    Cache,
    DayUse,
    Ending,
    Fault,
    Granted,
    Inputs,
    LocalGrant,
    Presented,
    Reason,
    Rules,
)
from interlock.core.sensing import Watch
from interlock.core.usage import Meter


class State(Enum):
    """The machine's states (2-machine.md)."""

    LOCKED = "locked"
    WAITING_FOR_SECOND = "waiting_for_second"
    STARTING = "starting"
    ENABLED = "enabled"
    ENDING = "ending"
    RUN_ON = "run_on"
    UNMETERED = "unmetered"
    LOCKED_OUT = "locked_out"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Missing:
    """In `hold`: the badge left the slot (or its reader died) at `since_ms`; grace runs from there."""

    cause: Ending
    since_ms: int


@dataclass(frozen=True, slots=True)
class Company:
    """Who else answers for a session: a supervising trainer, or the second person a machine asks for.

    `trainings`: what the supervisor answers for, because the member has it only under supervision.
    """

    supervisor: str | None = None
    second: str | None = None
    trainings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: whose, under which rules, and what it has used so far.

    `record` is the id of its start record; `idle_since_ms` is None while busy or unknown; `confirm_by_ms` is when
    a supervisor has to confirm again; `long_job`: declared unattended, the badge may leave; `counted_ms` of its
    enabled time stand in the day's use already.
    """

    record: str
    granted: Granted
    rules: Rules
    enabled_ms: int
    meter: Meter
    next_progress_ms: int
    idle_since_ms: int | None = None
    missing: Missing | None = None
    company: Company = Company()
    confirm_by_ms: int | None = None
    long_job: bool = False
    counted_ms: int = 0


@dataclass(frozen=True, slots=True)
class LockedFacts:
    """Idle, off, waiting for a badge."""


@dataclass(frozen=True, slots=True)
class WaitingFacts:
    """A first `badge` waits until `until_ms` for a trainer or a second person; nothing is powered.

    `message` says for whom; `refusal_body` is the record of its refusal, should nobody come.
    """

    badge: Presented
    granted: Granted
    since_ms: int
    until_ms: int
    message: Message
    refusal_body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StartingFacts:
    """Accepted: the start record `ticket` is being made durable; nothing is powered yet."""

    ticket: int
    granted: Granted
    rules: Rules
    since_ms: int
    company: Company = Company()
    record: str | None = None
    pre_run_until_ms: int | None = None
    """Set with `record` once the start is durable: the extraction runs until then, the relay is still open."""
    not_before_ms: int | None = None
    """A handover waits until contactor and tool have come to rest: its power changes hands unseen."""
    confirm_by_ms: int | None = None
    """A handover from the trainer: they tapped when their own session began. None: they have just come."""


@dataclass(frozen=True, slots=True)
class EnabledFacts:
    """Relay closed, session open."""

    session: Session


@dataclass(frozen=True, slots=True)
class EndingFacts:
    """The end was asked: relay still closed until the first idle, at the latest `until_ms`."""

    session: Session
    cause: Ending
    since_ms: int
    until_ms: int
    then_lock_out: bool = False


@dataclass(frozen=True, slots=True)
class RunOnFacts:
    """Idle, off, waiting for a badge; extraction or cooling runs on (`MachineState.run_on_until_ms`)."""


@dataclass(frozen=True, slots=True)
class UnmeteredFacts:
    """The bypass key powers the machine past us (`MachineState.unmetered_since_ms`); our coil is off."""


@dataclass(frozen=True, slots=True)
class LockedOutFacts:
    """Set by a person, cleared by a technician."""


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """Latched; `locked_out` remembers a lock-out that stands behind the faults."""

    faults: frozenset[Fault]
    locked_out: bool = False


Facts = (
    LockedFacts
    | WaitingFacts
    | StartingFacts
    | EnabledFacts
    | EndingFacts
    | RunOnFacts
    | UnmeteredFacts
    | LockedOutFacts
    | FaultFacts
)

STATE_OF: dict[type, State] = {
    LockedFacts: State.LOCKED,
    WaitingFacts: State.WAITING_FOR_SECOND,
    StartingFacts: State.STARTING,
    EnabledFacts: State.ENABLED,
    EndingFacts: State.ENDING,
    RunOnFacts: State.RUN_ON,
    UnmeteredFacts: State.UNMETERED,
    LockedOutFacts: State.LOCKED_OUT,
    FaultFacts: State.FAULT,
}


@dataclass(frozen=True, slots=True)
class Promise:
    """What takes effect once the record asked for under `ticket` is durable: trainings granted to somebody, or
    that the session of this record is a long job."""

    ticket: int
    grants: tuple[LocalGrant, ...] = ()
    long_job: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What the screen tells the person in front of it for a few seconds."""

    message: Message
    since_ms: int
    until_ms: int
    language: str | None = None
    reason: Reason | None = None
    training: str | None = None
    name: str | None = None
    detail: str | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class MachineState:
    """Everything the decision knows. `rules` are the TOML's, tightened by the live snapshot.

    `gate_ms`: an arrival seen up to here opens nothing (process start, last stop, fault, lock-out, reader
    recovery). `reader_trouble` and `journal_trouble` are None when healthy, else say what is wrong.
    `abandoned` are tickets of starts that were given up before their record was durable, `shown` is the
    panel as it was last told to the loop.

    `run_on_until_ms`: extraction runs on until then. `coasting_until_ms`: the tool still turns until then.
    `unmetered_since_ms`: since when the bypass key is on. `remote`: what other nodes say of their interlocks,
    `remote_lost` those not known to be closed at the last sample.
    """

    facts: Facts
    base_rules: Rules
    rules: Rules
    watch: Watch
    gate_ms: int
    cache: Cache = field(default_factory=Cache)
    reader_trouble: str | None = None
    journal_trouble: str | None = None
    notice: Notice | None = None
    next_ticket: int = 1
    abandoned: frozenset[int] = field(default_factory=frozenset)
    shown: Panel | None = None
    grants: tuple[LocalGrant, ...] = ()
    day_use: DayUse = field(default_factory=DayUse)
    promises: tuple[Promise, ...] = ()
    run_on_until_ms: int | None = None
    coasting_until_ms: int | None = None
    unmetered_since_ms: int | None = None
    remote: tuple[RemoteReport, ...] = ()
    remote_lost: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """Which state the facts belong to."""
        return STATE_OF[type(self.facts)]

    @property
    def session(self) -> Session | None:
        """The open session, if there is one."""
        if isinstance(self.facts, EnabledFacts | EndingFacts):
            return self.facts.session
        return None

    @property
    def inputs(self) -> Inputs:
        """The last sampled levels."""
        return self.watch.inputs


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the journal remembers from before this process."""

    faults: frozenset[Fault] = frozenset()
    locked_out: bool = False
    grants: tuple[LocalGrant, ...] = ()
    day_use: DayUse = field(default_factory=DayUse)


def deadline_ms(state: MachineState) -> int | None:
    """The monotonic millisecond at which the state wants DeadlinePassed; None when it only waits."""
    facts = state.facts
    if isinstance(facts, StartingFacts):
        recorded_ms = facts.since_ms + facts.rules.start_deadline_ms
        return recorded_ms if facts.record is None else facts.pre_run_until_ms
    if isinstance(facts, WaitingFacts):
        return facts.until_ms
    if isinstance(facts, EndingFacts):
        return min(facts.until_ms, facts.session.next_progress_ms)
    if isinstance(facts, EnabledFacts):
        session = facts.session
        candidates = [
            session.next_progress_ms,
            session.confirm_by_ms,
            grace_ends_ms(session),
            idle_ends_ms(session),
        ]
        return min(candidate for candidate in candidates if candidate is not None)
    return None


def grace_ends_ms(session: Session) -> int | None:
    """When a missing badge is asked about no longer; None while it is not missing."""
    if session.missing is None:
        return None
    return session.missing.since_ms + session.rules.grace_s * 1_000


def idle_ends_ms(session: Session) -> int | None:
    """When idleness alone asks for the end; None while busy, unknown, or where the timeout is off."""
    if session.idle_since_ms is None or session.rules.idle_timeout_s is None:
        return None
    return session.idle_since_ms + session.rules.idle_timeout_s * 1_000
