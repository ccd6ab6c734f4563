"""Records and a node's own word to what the board says of its machine, in the same transaction."""

from __future__ import annotations

from datetime import datetime

from interlock.core.model import Fault
from interlock.hub.models import LiveState, Machine, Session
from interlock.protocol import fields
from interlock.protocol.records import Record, RecordType

LIVE_FIELDS = (
    *("live_state", "live_since_at", "live_session", "live_busy"),
    *("live_faults", "live_lock_outs", "live_bypass_at"),
)
MODE_ENDING = "ending"
"""core.states.State.ENDING as a node's hello spells it."""
LOCK_OUTS_MAX = 16
"""Sources of lock-outs a machine can have at once; the protocol names two."""


def session_began(machine: Machine, session: Session) -> None:
    """The machine is in use by `session`."""
    machine.live_session = session
    machine.live_busy = None
    if machine.live_state == LiveState.ENDING:
        machine.live_state = LiveState.IN_USE
    settle(machine, session.started_at)
    if machine.live_state == LiveState.IN_USE:
        machine.live_since_at = session.started_at


def session_went_on(machine: Machine, session: Session, busy: bool | None) -> None:
    """The machine is busy or idle, if this is the session that runs on it."""
    if _is_live(machine, session):
        machine.live_busy = busy


def session_over(machine: Machine, session: Session) -> None:
    """The machine is free again, if this was the session that ran on it."""
    if _is_live(machine, session):
        machine.live_session = None
        machine.live_busy = None
        settle(machine, session.ended_at or session.started_at)


def state_reported(machine: Machine, record: Record, at: datetime) -> None:
    """Faults and lock-outs are as `record` says. Raises ProtocolError."""
    body, kind = record.body or {}, record.header.type
    if kind in (RecordType.FAULT_RAISED, RecordType.FAULT_CLEARED):
        name = fields.choice(body, "fault", Fault).value
        machine.live_faults = _changed(machine.live_faults, name, kind is RecordType.FAULT_RAISED)
    else:
        source = fields.text(body, "source", length_max=32)
        machine.live_lock_outs = _changed(
            machine.live_lock_outs, source, kind is RecordType.LOCK_OUT_SET
        )
    settle(machine, at)


def bypass_turned(machine: Machine, since: datetime | None, at: datetime) -> None:
    """The bypass key is on since then, or (None) off."""
    machine.live_bypass_at = since
    settle(machine, at)


def mode_reported(machine: Machine, mode: str, at: datetime) -> bool:
    """Whether the board changed because the node says it is ending a session, or is not any more."""
    if machine.live_state not in (LiveState.IN_USE, LiveState.ENDING):
        return False
    state = LiveState.ENDING if mode.lower() == MODE_ENDING else LiveState.IN_USE
    if state == machine.live_state:
        return False
    machine.live_state, machine.live_since_at = state, at
    return True


def settle(machine: Machine, at: datetime) -> None:
    """`live_state` follows from faults, session and lock-outs, the most serious first.

    A lock-out bars the next session, not the one that runs, and never the bypass key: who reads "locked
    out" may reach into a machine that works.
    """
    if machine.live_faults:
        state = LiveState.FAULT
    elif machine.live_session is not None:
        ending = machine.live_state == LiveState.ENDING
        state = LiveState.ENDING if ending else LiveState.IN_USE
    elif machine.live_bypass_at is not None:
        state = LiveState.UNMETERED
    elif machine.live_lock_outs or machine.locked_out_at:
        state = LiveState.LOCKED_OUT
    else:
        state = LiveState.FREE
    if state != machine.live_state:
        machine.live_since_at = at
    machine.live_state = state


def forget(machine: Machine, at: datetime) -> bool:
    """Nothing is known of the machine any more: its node is gone. Whether it was locked out or faulty."""
    was_barred = bool(machine.live_faults or machine.live_lock_outs)
    machine.live_session, machine.live_busy = None, None
    machine.live_faults, machine.live_lock_outs = [], []
    machine.live_bypass_at = None
    settle(machine, at)
    return was_barred


def _is_live(machine: Machine, session: Session) -> bool:
    live = machine.live_session
    if live is None:
        return False
    # Two Pis of one machine count alike: 1.7 of the earlier one is another session than 1.7 of this.
    key = (session.node_id, session.epoch, session.seq)
    return (live.node_id, live.epoch, live.seq) == key


def _changed(names: list[str], name: str, present: bool) -> list[str]:
    others = [other for other in names if other != name]
    return sorted([*others, name])[:LOCK_OUTS_MAX] if present else others
