"""Every event in every state, whole: where it leads, what is recorded, said and changed.

`table.py` names functions; here stands what a machine does. One situation for each state, each with air that runs on
from the session before, a start given up whose record is not back, and a granted training the hub has not heard of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from interlock.core import machine, table
from interlock.core.effects import (
    Effect,
    Exit,
    Message,
    ReportRefusal,
    SetExtraction,
    SetRelay,
    WriteRecord,
)
from interlock.core.events import (
    BadgeArrived,
    BadgeRemoved,
    BypassTurnedOn,
    ContactorStuckClosed,
    DeadlinePassed,
    EndRequested,
    Event,
    FaultCleared,
    InterlockOpened,
    JournalFailed,
    JournalRecovered,
    NoticeGiven,
    ReaderFailed,
    ReaderRecovered,
    RecordDurable,
    RecordFailed,
    RecordsDelivered,
    RemoteInterlockLost,
    RemoteInterlockReported,
    SnapshotActivated,
)
from interlock.core.model import (
    Assurance,
    Cache,
    Demands,
    Entry,
    Interlock,
    LocalGrant,
    Now,
    Presented,
)
from interlock.core.states import EndingFacts, MachineState, StartingFacts, State, deadline_ms
from tests.core.rig import ADA, CACHE, HOLD, QUIET, TRAINEE, WALL_AT, Rig

pytestmark = pytest.mark.fast

FIRE = Interlock("fire", permit_after_ms=0, stops_extraction=True)
CHILLER = Interlock("chiller", remote=True)
RULES = replace(HOLD, run_on_s=100, long_jobs=True, interlocks=(FIRE, CHILLER))
GIVEN_UP, GRANTED = 77, "1.9"


def later(rig: Rig, ms: int) -> Rig:
    """The machine looked at again after this time, and the other node's report is fresh."""
    rig.ms += ms
    rig.give(RemoteInterlockReported("chiller", True))
    rig.sample()
    return rig


def running_on() -> Rig:
    """Ada's session is over and the air runs on; what hangs in the air from earlier hangs on."""
    rig = later(Rig(RULES, inputs=replace(QUIET, interlocks_closed=(True,))), 1)
    rig.arrive(ADA)
    rig.give(EndRequested())
    later(rig, 8_000)
    grant = LocalGrant("m-tin", "dust", 0, WALL_AT * 2, record=GRANTED, clonable=False)
    rig.state = replace(rig.state, abandoned=frozenset({GIVEN_UP}), grants=(grant,))
    return rig


def waiting() -> Rig:
    rig = running_on()
    rig.arrive(TRAINEE)
    return rig


def starting() -> Rig:
    rig = running_on()
    rig.durable = False
    rig.arrive(ADA)
    return rig


def enabled() -> Rig:
    rig = running_on()
    rig.arrive(ADA)
    return later(rig, 100)


def busy() -> Rig:
    rig = enabled()
    rig.sample(busy=True)
    return rig


def missing() -> Rig:
    """The badge left the slot of a machine at work, and the grace time is over."""
    rig = busy()
    rig.give(BadgeRemoved())
    return later(rig, RULES.grace_s * 1_000)


def keyed() -> Rig:
    rig = running_on()
    rig.give(BypassTurnedOn())
    return rig


def locked_out() -> Rig:
    rig = running_on()
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    return rig


def faulty() -> Rig:
    rig = running_on()
    rig.give(ContactorStuckClosed())
    return rig


SITUATIONS: dict[str, tuple[Callable[[], Rig], State]] = {
    "locked": (lambda: later(running_on(), 100_000), State.LOCKED),
    "waiting": (waiting, State.WAITING_FOR_SECOND),
    "starting": (starting, State.STARTING),
    "enabled": (enabled, State.ENABLED),
    "busy": (busy, State.ENABLED),
    "ending": (missing, State.ENDING),
    "idle": (lambda: later(enabled(), 30_000), State.ENDING),
    "run-on": (running_on, State.RUN_ON),
    "keyed": (keyed, State.UNMETERED),
    "out": (locked_out, State.LOCKED_OUT),
    "fault": (faulty, State.FAULT),
}
"""Idle: nobody has worked for long, and the warning runs."""


@pytest.fixture(scope="module")
def machines() -> dict[str, Rig]:
    """A machine in each situation; nobody moves them, for a step gives a new state."""
    built = {name: build() for name, (build, _) in SITUATIONS.items()}
    assert {name: rig.at() for name, rig in built.items()} == {
        name: state for name, (_, state) in SITUATIONS.items()
    }
    return built


def presented(entry: Entry, seen_ms: int) -> BadgeArrived:
    return BadgeArrived(Presented(entry.tag, seen_ms, Assurance.AES, entry, CACHE))


def happening(event: type, state: MachineState, seen_ms: int) -> Event:
    """This event at this machine, as it is most telling."""
    facts = state.facts
    ticket = facts.ticket if isinstance(facts, StartingFacts) else GIVEN_UP
    telling: dict[type, Event] = {
        BadgeArrived: presented(ADA, seen_ms),
        ReaderFailed: ReaderFailed("silent"),
        JournalFailed: JournalFailed("disk full"),
        RecordDurable: RecordDurable(ticket, "1.7"),
        RecordFailed: RecordFailed(ticket, "disk full"),
        RecordsDelivered: RecordsDelivered((GRANTED,)),
        SnapshotActivated: SnapshotActivated(Cache((1, 2)), Demands(("saw", "dust"))),
        NoticeGiven: NoticeGiven(Message.FROM_HUB, "Coffee", 60_000),
        FaultCleared: FaultCleared("u-7"),
        InterlockOpened: InterlockOpened(("fire",)),
        RemoteInterlockReported: RemoteInterlockReported("chiller", False),
        RemoteInterlockLost: RemoteInterlockLost(("chiller",)),
    }
    made: Event = telling[event] if event in telling else event()
    return made


def what_follows(event: type, rig: Rig) -> str:
    """State, effects and what changed, in words; the panel is a function of these."""
    before = rig.state
    if event in (ReaderRecovered, JournalRecovered):
        before = replace(before, reader_trouble="silent", journal_trouble="disk full")
    due_ms = deadline_ms(before) if event is DeadlinePassed else None
    ms = rig.ms + 1 if due_ms is None else due_ms
    now = Now(ms, WALL_AT + ms // 1_000, wall_trusted=True)
    after, effects = machine.step(before, happening(event, before, ms), now)
    led = () if after.state is before.state else (after.state.name,)
    told = tuple(word for effect in effects if (word := _word(effect)))
    return " ".join((*led, *told, *_changed(before, after))) or "nothing"


def _word(effect: Effect) -> str:
    match effect:
        case SetRelay(on):
            return f"relay={'on' if on else 'off'}"
        case SetExtraction(on):
            return f"air={'on' if on else 'off'}"
        case WriteRecord(type=type_, body=body):
            whys = [str(body[key]) for key in ("how", "why", "phase", "fault") if key in body]
            return ":".join((type_, *whys))
        case ReportRefusal(body):
            return f"refused:{body['reason']}"
        case Exit():
            return "exit"
    return ""


UNSAID = {"facts", "watch", "shown", "next_ticket"}


def _changed(before: MachineState, after: MachineState) -> list[str]:
    words = []
    for field in fields(MachineState):
        was, now = getattr(before, field.name), getattr(after, field.name)
        if was != now and field.name not in UNSAID:
            words.append(f"{'-' if now in (None, frozenset(), ()) else '+'}{field.name}")
    if before.session is not None and after.session is not None:
        for name in ("idle_since_ms", "missing", "long_job", "company", "next_progress_ms"):
            was, now = getattr(before.session, name), getattr(after.session, name)
            if was != now:
                words.append(f"{'-' if now is None else '+'}{name}")
    if isinstance(before.facts, EndingFacts) and isinstance(after.facts, EndingFacts):
        words += [after.facts.cause.value] if after.facts.cause is not before.facts.cause else []
        words += ["then_lock_out"] if after.facts.then_lock_out else []
    return words


ELSE = "everywhere else"
TOLD = "refused:NEEDS_SUPERVISOR"
"""The first badge waits no longer, and its refusal is recorded."""
OVER = "+gate_ms +notice +run_on_until_ms"
"""A session is over: no badge seen so far opens anything, its length is told, the air runs on."""

BROKEN_OFF = "FAULT relay=off session_ended:fault fault_raised"

FOLLOWS: dict[str, dict[str, str]] = {
    "BadgeArrived": {
        "locked run-on": "STARTING session_started",
        "waiting keyed": "refused:MACHINE_IN_USE +notice",
        "ending": "ENABLED -missing",
        "idle": "ENABLED +idle_since_ms",
        "out": "refused:MACHINE_LOCKED_OUT +notice",
        "fault": "refused:MACHINE_FAULT +notice",
        ELSE: "nothing",
    },
    "BadgeFound": {ELSE: "+notice"},
    "BadgeRemoved": {
        "starting": "RUN_ON +gate_ms +abandoned",
        "enabled busy idle": "+missing",
        ELSE: "nothing",
    },
    "SeveralBadgesSeen": {
        "starting": "RUN_ON +gate_ms +abandoned",
        "enabled busy idle": "refused:SEVERAL_BADGES +notice +missing",
        ELSE: "refused:SEVERAL_BADGES +notice",
    },
    "ReaderFailed": {
        "waiting": f"RUN_ON {TOLD} +gate_ms +reader_trouble",
        "starting": "RUN_ON +gate_ms +reader_trouble +abandoned",
        "enabled busy idle": "+gate_ms +reader_trouble +missing",
        ELSE: "+gate_ms +reader_trouble",
    },
    "ReaderRecovered": {ELSE: "+gate_ms -reader_trouble"},
    "RecordDurable": {
        "starting": "ENABLED relay=on -run_on_until_ms",
        ELSE: "session_voided:abandoned -abandoned",
    },
    "RecordFailed": {
        "starting": "RUN_ON +notice",
        ELSE: "-abandoned",
    },
    "RecordsDelivered": {ELSE: "+grants"},
    "JournalFailed": {
        "waiting": f"RUN_ON {TOLD} +journal_trouble",
        "starting": "RUN_ON +journal_trouble +notice +abandoned",
        ELSE: "+journal_trouble",
    },
    "JournalRecovered": {ELSE: "-journal_trouble"},
    "SnapshotActivated": {ELSE: "+rules +cache"},
    "EndRequested": {
        "waiting": f"RUN_ON {TOLD} +gate_ms",
        "starting": "RUN_ON +gate_ms +abandoned",
        "enabled idle": f"RUN_ON relay=off session_ended:hub_request {OVER}",
        "busy": "ENDING",
        "ending": "hub_request",
        ELSE: "nothing",
    },
    "CutRequested": {
        "waiting": f"RUN_ON {TOLD} +gate_ms",
        "starting": "RUN_ON +gate_ms +abandoned",
        "enabled busy ending idle": f"RUN_ON relay=off session_ended:cut_now {OVER}",
        ELSE: "+gate_ms",
    },
    "NoticeGiven": {ELSE: "+notice"},
    "FaultCleared": {
        "fault": "RUN_ON fault_cleared:contactor_welded +gate_ms",
        ELSE: "nothing",
    },
    "TerminationRequested": {
        "waiting": f"RUN_ON {TOLD} exit +gate_ms",
        "starting": "RUN_ON exit +gate_ms +abandoned",
        "enabled busy ending idle": f"RUN_ON relay=off session_ended:terminated exit {OVER}",
        ELSE: "exit +gate_ms",
    },
    "RemoteInterlockReported": {ELSE: "+remote"},
    "StopPressed": {
        "locked": "+gate_ms",
        "waiting": f"LOCKED air=off {TOLD} +gate_ms -run_on_until_ms",
        "starting": "LOCKED air=off +gate_ms +abandoned -run_on_until_ms",
        "run-on": "LOCKED air=off +gate_ms -run_on_until_ms",
        "keyed out fault": "air=off +gate_ms -run_on_until_ms",
        ELSE: "LOCKED relay=off air=off session_ended:stop_button +gate_ms +notice",
    },
    "BrokenPressed": {
        "waiting": f"LOCKED_OUT {TOLD} lock_out_set +gate_ms",
        "starting": "LOCKED_OUT lock_out_set +gate_ms +abandoned",
        "enabled idle": "LOCKED_OUT relay=off lock_out_set session_ended:broken_pressed +gate_ms +run_on_until_ms",
        "busy": "ENDING lock_out_set",
        "ending": "lock_out_set broken_pressed then_lock_out",
        "out": "nothing",
        "fault": "lock_out_set",
        ELSE: "LOCKED_OUT lock_out_set +gate_ms",
    },
    "LongJobPressed": {
        "enabled busy": "long_job_declared +promises",
        ELSE: "nothing",
    },
    "InterlockOpened": {
        "locked": "nothing",
        "starting": "LOCKED air=off +gate_ms +notice +abandoned -run_on_until_ms",
        "enabled busy ending idle": "LOCKED relay=off air=off session_ended:interlock_opened +gate_ms +notice",
        "run-on": "LOCKED air=off -run_on_until_ms",
        ELSE: "air=off -run_on_until_ms",
    },
    "RemoteInterlockLost": {
        "enabled idle": f"RUN_ON relay=off session_ended:interlock_opened {OVER}",
        ELSE: "nothing",
    },
    "BypassTurnedOn": {
        "locked run-on": "UNMETERED unmetered_use:began +unmetered_since_ms",
        "waiting": f"UNMETERED {TOLD} unmetered_use:began +unmetered_since_ms",
        "starting": "UNMETERED unmetered_use:began +abandoned +unmetered_since_ms",
        ELSE: "unmetered_use:began +unmetered_since_ms",
    },
    "BypassTurnedOff": {
        "keyed": "RUN_ON unmetered_use:ended +gate_ms -unmetered_since_ms",
        ELSE: "unmetered_use:ended +gate_ms",
    },
    "EmergencyStopOpened": {
        "locked": "+gate_ms",
        "waiting": f"LOCKED air=off {TOLD} +gate_ms -run_on_until_ms",
        "starting": "LOCKED air=off +gate_ms +abandoned -run_on_until_ms",
        "run-on": "LOCKED air=off +gate_ms -run_on_until_ms",
        "keyed out fault": "air=off +gate_ms -run_on_until_ms",
        ELSE: "LOCKED relay=off air=off session_ended:emergency_stop +gate_ms +notice",
    },
    "EmergencyStopClosed": {ELSE: "+gate_ms"},
    "ContactLost": {
        "enabled busy ending idle": f"RUN_ON relay=off session_ended:contact_lost {OVER}",
        ELSE: "nothing",
    },
    "ContactorStuckClosed": {
        "waiting": f"FAULT {TOLD} fault_raised:contactor_welded +gate_ms",
        "starting": "FAULT fault_raised:contactor_welded +gate_ms +abandoned",
        "enabled busy ending idle": "nothing",
        "fault": "+gate_ms",
        ELSE: "FAULT fault_raised:contactor_welded +gate_ms",
    },
    "ContactorStuckOpen": {
        "enabled busy ending idle": f"{BROKEN_OFF}:contactor_failed +gate_ms +run_on_until_ms",
        ELSE: "nothing",
    },
    "MachineStartedByItself": {
        "enabled busy ending idle": f"{BROKEN_OFF}:unexpected_start +gate_ms +run_on_until_ms",
        ELSE: "nothing",
    },
    "RunOnOver": {
        "waiting starting keyed out fault": "air=off -run_on_until_ms",
        "run-on": "LOCKED air=off -run_on_until_ms",
        ELSE: "nothing",
    },
    "DeadlinePassed": {
        "waiting": f"RUN_ON {TOLD} +notice",
        "starting": "RUN_ON +journal_trouble +notice +abandoned",
        "enabled busy": "session_progress +next_progress_ms",
        "ending": f"RUN_ON relay=off session_ended:badge_removed {OVER}",
        "idle": f"RUN_ON relay=off session_ended:idle_timeout {OVER}",
        ELSE: "nothing",
    },
    "MachineBecameIdle": {
        "busy": "+idle_since_ms",
        "ending": f"RUN_ON relay=off session_ended:badge_removed {OVER}",
        ELSE: "nothing",
    },
    "MachineBecameBusy": {
        "enabled": "-idle_since_ms",
        "idle": "ENABLED -idle_since_ms",
        ELSE: "nothing",
    },
    "MachineBecameUnknown": {
        "enabled": "-idle_since_ms",
        ELSE: "nothing",
    },
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_every_event_does_in_every_state_what_stands_here_and_nothing_else(
    name: str, machines: dict[str, Rig]
) -> None:
    (event,) = [one for one in table.EVENTS if one.__name__ == name]
    told = {where: text for places, text in FOLLOWS[name].items() for where in places.split()}
    expected = {where: told.get(where, FOLLOWS[name][ELSE]) for where in SITUATIONS}
    assert {where: what_follows(event, rig) for where, rig in machines.items()} == expected


def test_every_event_stands_here() -> None:
    assert set(FOLLOWS) == {event.__name__ for event in table.EVENTS}
