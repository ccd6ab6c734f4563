"""What the loop is told to do, imperative; and what the panel shows. Opening the relay is performed first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from interlock.core.model import Fault, Reason


@dataclass(frozen=True, slots=True)
class SetRelay:
    """Energise (`on`) or de-energise the coil. Emitted only when the commanded level changes."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetExtraction:
    """Extraction or cooling on or off. Emitted only when the commanded level changes."""

    on: bool


@dataclass(frozen=True, slots=True)
class ShowPanel:
    """Lamp, buzzer and screen as they are from now on. Emitted only when something changes."""

    panel: Panel


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Make a journal record durable; the journal worker answers RecordDurable or RecordFailed with `ticket`.

    `type` is one of protocol.records.RecordType's values, `body` canonical JSON values.
    """

    ticket: int
    type: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportRefusal:
    """A badge was refused: to be aggregated (a flood is one record a minute) and recorded; nothing waits for it."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exit:
    """Everything is off and said; the process may end."""


Effect = SetRelay | SetExtraction | ShowPanel | WriteRecord | ReportRefusal | Exit


class Colour(StrEnum):
    """Lamp colours; never the only carrier of a meaning."""

    OFF = "off"
    WHITE = "white"
    GREEN = "green"
    BLUE = "blue"
    YELLOW = "yellow"
    RED = "red"


class Pattern(StrEnum):
    """How lamp or buzzer behaves in time: the second carrier of each meaning."""

    OFF = "off"
    STEADY = "steady"
    SLOW_BLINK = "slow_blink"
    FAST_BLINK = "fast_blink"
    DOUBLE_BLINK = "double_blink"
    ONE_BEEP = "one_beep"
    TWO_BEEPS = "two_beeps"
    WARNING_BEEPS = "warning_beeps"


class Message(StrEnum):
    """What the screen says, as a code; `node/panel.py` has the words in each language."""

    READY = "ready"
    STARTING = "starting"
    IN_USE = "in_use"
    BADGE_MISSING = "badge_missing"
    ENDING = "ending"
    IDLE_SOON_OFF = "idle_soon_off"
    LOCKED_OUT = "locked_out"
    FAULT = "fault"
    EMERGENCY_STOP = "emergency_stop"
    NO_READER = "no_reader"
    NO_JOURNAL = "no_journal"
    NO_RIGHTS = "no_rights"
    REFUSED = "refused"
    SESSION_ENDED = "session_ended"
    WAITING_FOR_TRAINER = "waiting_for_trainer"
    WAITING_FOR_SECOND = "waiting_for_second"
    PRE_RUN = "pre_run"
    RUN_ON = "run_on"
    COASTING = "coasting"
    SUPERVISED = "supervised"
    CONFIRM_SUPERVISION = "confirm_supervision"
    TRAINING_GRANTED = "training_granted"
    LONG_JOB = "long_job"
    LOW_CREDIT = "low_credit"
    WOULD_BE_REFUSED = "would_be_refused"
    INTERLOCK_OPEN = "interlock_open"
    INTERLOCK_TRIPPED = "interlock_tripped"
    INTERLOCK_UNKNOWN = "interlock_unknown"
    UNMETERED = "unmetered"
    FROM_HUB = "from_hub"
    IDENTIFY = "identify"


@dataclass(frozen=True, slots=True)
class Panel:
    """A function of the state: colour and pattern and text, so that everybody can read it.

    `seconds` counts down (ENDING, BADGE_MISSING, IDLE_SOON_OFF, waits and runs) or tells the session's length
    (IN_USE, SESSION_ENDED). `detail` is what else is named: an open interlock, an unknown badge's code. `since_ms`
    is when colour, patterns and message began: beeps are functions of the time since.
    """

    colour: Colour
    lamp: Pattern
    buzzer: Pattern
    message: Message
    since_ms: int = 0
    language: str | None = None
    reason: Reason | None = None
    fault: Fault | None = None
    training: str | None = None
    name: str | None = None
    detail: str | None = None
    seconds: int | None = None
