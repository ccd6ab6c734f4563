"""Which transition follows which event in which state: total, and the only place that says so.

Every pair has one Rule: the function that follows and the states it may lead to. `machine.step` refuses to go
elsewhere, `docs/machine-states.md` is drawn from it, and a test compares it with the `Event` type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from interlock.core import arrivals, faults, sessions, starting, surroundings
from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    BrokenPressed,
    ContactLost,
    ContactorStuckClosed,
    ContactorStuckOpen,
    CutRequested,
    DeadlinePassed,
    EmergencyStopClosed,
    EmergencyStopOpened,
    EndRequested,
    Event,
    FaultCleared,
    InputsSampled,
    JournalFailed,
    JournalRecovered,
    MachineBecameBusy,
    MachineBecameIdle,
    ReaderFailed,
    ReaderRecovered,
    RecordDurable,
    RecordFailed,
    SeveralBadgesSeen,
    SnapshotActivated,
    StopPressed,
    TerminationRequested,
)
from interlock.core.outcomes import Handler, ignore
from interlock.core.states import State


@dataclass(frozen=True, slots=True)
class Rule:
    """`follow` is called, and the machine is in one of `to` afterwards."""

    follow: Handler
    to: frozenset[State]


SAMPLED = InputsSampled
"""Not in the table: `machine.step` takes it apart into the signals that are."""

Row = dict[type, tuple[Handler, str] | Handler]

_LETTERS = {
    "L": State.LOCKED,
    "S": State.STARTING,
    "E": State.ENABLED,
    "N": State.ENDING,
    "O": State.LOCKED_OUT,
    "F": State.FAULT,
}

EVERYWHERE: Row = {
    BadgeFound: arrivals.ask_to_present_again,
    BadgeRemoved: ignore,
    SeveralBadgesSeen: arrivals.refuse_several,
    ReaderFailed: surroundings.note_reader_failed,
    ReaderRecovered: surroundings.note_reader_recovered,
    RecordDurable: starting.void_late_start,
    RecordFailed: starting.forget_failed_start,
    JournalFailed: surroundings.note_journal_failed,
    JournalRecovered: surroundings.note_journal_recovered,
    SnapshotActivated: surroundings.use_snapshot,
    EndRequested: ignore,
    CutRequested: surroundings.gate,
    FaultCleared: ignore,
    TerminationRequested: surroundings.leave,
    StopPressed: surroundings.gate,
    EmergencyStopOpened: surroundings.gate,
    EmergencyStopClosed: surroundings.gate,
    ContactLost: ignore,
    ContactorStuckOpen: ignore,
    DeadlinePassed: ignore,
    MachineBecameBusy: ignore,
    MachineBecameIdle: ignore,
}
"""What follows unless a state says otherwise; the state stays what it is."""

IN_STATE: dict[State, Row] = {
    State.LOCKED: {
        BadgeArrived: (arrivals.start_or_refuse, "LS"),
        BrokenPressed: (faults.lock_out, "O"),
        ContactorStuckClosed: (faults.latch_welded, "F"),
    },
    State.STARTING: {
        BadgeArrived: arrivals.refuse_in_use,
        BadgeRemoved: (starting.abandon_start_if_held, "SL"),
        SeveralBadgesSeen: (starting.abandon_start_if_held, "SL"),
        ReaderFailed: (starting.abandon_start_for_reader, "SL"),
        RecordDurable: (starting.close_when_recorded, "ELS"),
        RecordFailed: (starting.refuse_unrecorded, "LS"),
        JournalFailed: (starting.abandon_start_for_journal, "L"),
        EndRequested: (starting.abandon_start, "L"),
        CutRequested: (starting.abandon_start, "L"),
        TerminationRequested: (starting.abandon_and_leave, "L"),
        StopPressed: (starting.abandon_start, "L"),
        BrokenPressed: (faults.abandon_and_lock_out, "O"),
        EmergencyStopOpened: (starting.abandon_start, "L"),
        ContactorStuckClosed: (faults.abandon_and_latch_welded, "F"),
        DeadlinePassed: (starting.give_up_slow_start, "L"),
    },
    State.ENABLED: {
        BadgeArrived: (arrivals.arrival_while_enabled, "ENL"),
        BadgeRemoved: sessions.miss_badge,
        SeveralBadgesSeen: arrivals.several_while_powered,
        ReaderFailed: sessions.miss_reader,
        EndRequested: (sessions.ask_end_from_hub, "NL"),
        CutRequested: (sessions.end_by_cut, "L"),
        TerminationRequested: (sessions.end_and_exit, "L"),
        StopPressed: (sessions.end_by_stop, "L"),
        BrokenPressed: (sessions.end_then_lock_out, "NO"),
        EmergencyStopOpened: (sessions.end_by_emergency_stop, "L"),
        ContactLost: (sessions.end_by_contact_lost, "L"),
        ContactorStuckClosed: ignore,
        ContactorStuckOpen: (sessions.end_and_latch_failed, "F"),
        DeadlinePassed: (sessions.enabled_deadline, "ENL"),
        MachineBecameBusy: sessions.note_busy,
        MachineBecameIdle: sessions.note_idle,
    },
    State.ENDING: {
        BadgeArrived: (arrivals.arrival_while_ending, "NE"),
        BadgeRemoved: sessions.miss_badge,
        SeveralBadgesSeen: arrivals.several_while_powered,
        ReaderFailed: sessions.miss_reader,
        EndRequested: (sessions.confirm_end_from_hub, "NLO"),
        CutRequested: (sessions.end_by_cut, "LO"),
        TerminationRequested: (sessions.end_and_exit, "LO"),
        StopPressed: (sessions.end_by_stop, "LO"),
        BrokenPressed: (sessions.confirm_end_then_lock_out, "NO"),
        EmergencyStopOpened: (sessions.end_by_emergency_stop, "LO"),
        ContactLost: (sessions.end_by_contact_lost, "LO"),
        ContactorStuckClosed: ignore,
        ContactorStuckOpen: (sessions.end_and_latch_failed, "F"),
        DeadlinePassed: (sessions.ending_deadline, "NLO"),
        MachineBecameBusy: (sessions.resume_if_idle_warned, "NE"),
        MachineBecameIdle: (sessions.end_when_idle, "NLO"),
    },
    State.LOCKED_OUT: {
        BadgeArrived: (arrivals.clear_lock_out, "OL"),
        BrokenPressed: ignore,
        ContactorStuckClosed: (faults.latch_welded, "F"),
    },
    State.FAULT: {
        BadgeArrived: (arrivals.clear_faults_by_badge, "FLO"),
        BrokenPressed: faults.note_lock_out_behind_fault,
        ContactorStuckClosed: faults.latch_welded,
        FaultCleared: (arrivals.clear_faults_by_hub, "LO"),
    },
}
"""What is particular to each state: the transition, and the letters of the states it may lead to."""


def _rule(state: State, entry: tuple[Handler, str] | Handler) -> Rule:
    if isinstance(entry, tuple):
        follow, letters = entry
        return Rule(follow, frozenset(_LETTERS[letter] for letter in letters))
    return Rule(entry, frozenset({state}))


TABLE: dict[tuple[State, type], Rule] = {
    (state, event): _rule(state, row[event])
    for state, row in ((state, {**EVERYWHERE, **IN_STATE[state]}) for state in State)
    for event in row
}

EVENTS: tuple[type, ...] = tuple(event for event in get_args(Event) if event is not SAMPLED)
"""Every event that needs an entry in every state."""
