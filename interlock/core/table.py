"""Which transition follows which event in which state: total, and the only place that says so.

Every pair has one Rule: the function that follows and the states it may lead to. `machine.step` refuses to go
elsewhere, `docs/machine-states.md` is drawn from it, and a test compares it with the `Event` type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any, get_args

from interlock.core import arrivals, faults, people, promises, sessions, starting, surroundings
from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    BrokenPressed,
    BypassTurnedOff,
    BypassTurnedOn,
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
    InterlockOpened,
    JournalFailed,
    JournalRecovered,
    LongJobPressed,
    MachineBecameBusy,
    MachineBecameIdle,
    MachineBecameUnknown,
    MachineStartedByItself,
    NoticeGiven,
    ReaderFailed,
    ReaderRecovered,
    RecordDurable,
    RecordFailed,
    RecordsDelivered,
    RemoteInterlockLost,
    RemoteInterlockReported,
    RunOnOver,
    SeveralBadgesSeen,
    SnapshotActivated,
    StopPressed,
    TerminationRequested,
)
from interlock.core.model import Now
from interlock.core.outcomes import Handler, Outcome, ignore
from interlock.core.states import MachineState, State


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
    "W": State.WAITING_FOR_SECOND,
    "S": State.STARTING,
    "E": State.ENABLED,
    "N": State.ENDING,
    "R": State.RUN_ON,
    "U": State.UNMETERED,
    "O": State.LOCKED_OUT,
    "F": State.FAULT,
}


def _no_longer_waiting(follow: Handler) -> Handler:
    """The first badge waits no longer, and then what follows at a machine at rest."""

    @wraps(follow)
    def both(state: MachineState, event: Any, now: Now) -> Outcome:
        state, effects = people.give_up_wait(state)
        state, more = follow(state, event, now)
        return state, effects + more

    return both


EVERYWHERE: Row = {
    BadgeFound: arrivals.ask_to_present_again,
    BadgeRemoved: ignore,
    SeveralBadgesSeen: arrivals.refuse_several,
    ReaderFailed: surroundings.note_reader_failed,
    ReaderRecovered: surroundings.note_reader_recovered,
    RecordDurable: starting.void_late_start,
    RecordFailed: starting.forget_failed_start,
    RecordsDelivered: promises.note_delivered,
    JournalFailed: surroundings.note_journal_failed,
    JournalRecovered: surroundings.note_journal_recovered,
    SnapshotActivated: surroundings.use_snapshot,
    EndRequested: ignore,
    CutRequested: surroundings.gate,
    NoticeGiven: surroundings.show_notice,
    FaultCleared: ignore,
    TerminationRequested: surroundings.leave,
    StopPressed: surroundings.stop_everything,
    LongJobPressed: ignore,
    InterlockOpened: surroundings.note_interlock_opened,
    RemoteInterlockReported: surroundings.note_remote,
    RemoteInterlockLost: ignore,
    BypassTurnedOn: surroundings.begin_unmetered,
    BypassTurnedOff: surroundings.end_unmetered,
    EmergencyStopOpened: surroundings.stop_everything,
    EmergencyStopClosed: surroundings.gate,
    ContactLost: ignore,
    ContactorStuckOpen: ignore,
    MachineStartedByItself: ignore,
    RunOnOver: surroundings.end_run_on,
    DeadlinePassed: ignore,
    MachineBecameBusy: ignore,
    MachineBecameIdle: ignore,
    MachineBecameUnknown: ignore,
}
"""What follows unless a state says otherwise; the state stays what it is."""

IN_STATE: dict[State, Row] = {
    State.LOCKED: {
        BadgeArrived: (arrivals.start_or_refuse, "LWS"),
        BrokenPressed: (faults.lock_out, "O"),
        BypassTurnedOn: (surroundings.begin_unmetered, "U"),
        ContactorStuckClosed: (faults.latch_welded, "F"),
    },
    State.WAITING_FOR_SECOND: {
        BadgeArrived: (people.arrival_while_waiting, "WSLR"),
        ReaderFailed: (_no_longer_waiting(surroundings.note_reader_failed), "LR"),
        JournalFailed: (_no_longer_waiting(surroundings.note_journal_failed), "LR"),
        EndRequested: (_no_longer_waiting(surroundings.gate), "LR"),
        CutRequested: (_no_longer_waiting(surroundings.gate), "LR"),
        TerminationRequested: (_no_longer_waiting(surroundings.leave), "LR"),
        StopPressed: (_no_longer_waiting(surroundings.stop_everything), "L"),
        BrokenPressed: (_no_longer_waiting(faults.lock_out), "O"),
        BypassTurnedOn: (_no_longer_waiting(surroundings.begin_unmetered), "U"),
        EmergencyStopOpened: (_no_longer_waiting(surroundings.stop_everything), "L"),
        ContactorStuckClosed: (_no_longer_waiting(faults.latch_welded), "F"),
        DeadlinePassed: (people.wait_over, "LR"),
    },
    State.STARTING: {
        BadgeArrived: arrivals.refuse_in_use,
        BadgeRemoved: (starting.abandon_start_if_held, "SLR"),
        SeveralBadgesSeen: (starting.abandon_start_if_held, "SLR"),
        ReaderFailed: (starting.abandon_start_for_reader, "SLR"),
        RecordDurable: (starting.close_when_recorded, "ESLR"),
        RecordFailed: (starting.refuse_unrecorded, "SLR"),
        JournalFailed: (starting.abandon_start_for_journal, "LR"),
        EndRequested: (starting.abandon_start, "LR"),
        CutRequested: (starting.abandon_start, "LR"),
        TerminationRequested: (starting.abandon_and_leave, "LR"),
        StopPressed: (starting.abandon_start_by_stop, "L"),
        BrokenPressed: (faults.abandon_and_lock_out, "O"),
        InterlockOpened: (starting.abandon_start_for_interlock, "SLR"),
        BypassTurnedOn: (starting.abandon_start_for_key, "U"),
        EmergencyStopOpened: (starting.abandon_start_by_stop, "L"),
        ContactorStuckClosed: (faults.abandon_and_latch_welded, "F"),
        DeadlinePassed: (starting.starting_deadline, "ELR"),
    },
    State.ENABLED: {
        BadgeArrived: (arrivals.arrival_while_enabled, "ENLRUS"),
        BadgeRemoved: sessions.miss_badge,
        SeveralBadgesSeen: arrivals.several_while_powered,
        ReaderFailed: sessions.miss_reader,
        EndRequested: (sessions.ask_end_from_hub, "NLRU"),
        CutRequested: (sessions.end_by_cut, "LRU"),
        TerminationRequested: (sessions.end_and_exit, "LRU"),
        StopPressed: (sessions.end_by_stop, "LU"),
        BrokenPressed: (sessions.end_then_lock_out, "NO"),
        InterlockOpened: (sessions.end_by_interlock, "LRU"),
        LongJobPressed: promises.declare_long_job,
        RemoteInterlockLost: (sessions.end_with_job, "ELRU"),
        EmergencyStopOpened: (sessions.end_by_emergency_stop, "LU"),
        ContactLost: (sessions.end_by_contact_lost, "LRU"),
        ContactorStuckClosed: ignore,
        ContactorStuckOpen: (sessions.end_and_latch_failed, "F"),
        MachineStartedByItself: (sessions.end_and_latch_unexpected, "F"),
        DeadlinePassed: (sessions.enabled_deadline, "ENLRU"),
        MachineBecameBusy: sessions.note_busy,
        MachineBecameIdle: sessions.note_idle,
        MachineBecameUnknown: sessions.note_unknown,
    },
    State.ENDING: {
        BadgeArrived: (arrivals.arrival_while_ending, "NES"),
        BadgeRemoved: sessions.miss_badge,
        SeveralBadgesSeen: arrivals.several_while_powered,
        ReaderFailed: sessions.miss_reader,
        EndRequested: (sessions.confirm_end_from_hub, "NLRUO"),
        CutRequested: (sessions.end_by_cut, "LRUO"),
        TerminationRequested: (sessions.end_and_exit, "LRUO"),
        StopPressed: (sessions.end_by_stop, "LUO"),
        BrokenPressed: (sessions.confirm_end_then_lock_out, "NO"),
        InterlockOpened: (sessions.end_by_interlock, "LRUO"),
        RemoteInterlockLost: (sessions.end_with_job, "NLRUO"),
        EmergencyStopOpened: (sessions.end_by_emergency_stop, "LUO"),
        ContactLost: (sessions.end_by_contact_lost, "LRUO"),
        ContactorStuckClosed: ignore,
        ContactorStuckOpen: (sessions.end_and_latch_failed, "F"),
        MachineStartedByItself: (sessions.end_and_latch_unexpected, "F"),
        DeadlinePassed: (sessions.ending_deadline, "NLRUO"),
        MachineBecameBusy: (sessions.resume_if_idle_warned, "NE"),
        MachineBecameIdle: (sessions.end_when_idle, "NLRUO"),
    },
    State.RUN_ON: {
        BadgeArrived: (arrivals.start_or_refuse, "RWS"),
        StopPressed: (surroundings.stop_everything, "L"),
        BrokenPressed: (faults.lock_out, "O"),
        InterlockOpened: (surroundings.note_interlock_opened, "RL"),
        BypassTurnedOn: (surroundings.begin_unmetered, "U"),
        EmergencyStopOpened: (surroundings.stop_everything, "L"),
        ContactorStuckClosed: (faults.latch_welded, "F"),
        RunOnOver: (surroundings.end_run_on, "L"),
    },
    State.UNMETERED: {
        BadgeArrived: arrivals.refuse_powered_by_key,
        BrokenPressed: (faults.lock_out, "O"),
        BypassTurnedOff: (surroundings.end_unmetered, "LR"),
        ContactorStuckClosed: (faults.latch_welded, "F"),
    },
    State.LOCKED_OUT: {
        BadgeArrived: (arrivals.clear_lock_out, "OLRU"),
        BrokenPressed: ignore,
        ContactorStuckClosed: (faults.latch_welded, "F"),
    },
    State.FAULT: {
        BadgeArrived: (arrivals.clear_faults_by_badge, "FLRUO"),
        BrokenPressed: faults.note_lock_out_behind_fault,
        ContactorStuckClosed: faults.latch_welded,
        FaultCleared: (arrivals.clear_faults_by_hub, "LRUO"),
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
