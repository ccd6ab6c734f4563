"""What every transition is made of: the small moves that several of them share.

An Outcome is (state, effects). Less power acts first and records after; more power records first and acts after.
Nothing here touches the coil: it follows from the state (`outputs.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interlock.core import evidence
from interlock.core.effects import Effect, Message, ReportRefusal, WriteRecord
from interlock.core.model import BadgeUse, Now, Presented, Reason, Refusal
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    LockedFacts,
    MachineState,
    Notice,
    RunOnFacts,
    Session,
    StartingFacts,
    UnmeteredFacts,
)

Outcome = tuple[MachineState, tuple[Effect, ...]]
Handler = Callable[[MachineState, Any, Now], Outcome]


def ignore(state: MachineState, event: Any, now: Now) -> Outcome:
    """Nothing follows."""
    return state, ()


def refuse(state: MachineState, badge: Presented | None, refusal: Refusal, now: Now) -> Outcome:
    """The refusal is shown with its reason and reported; nothing else changes."""
    report = ReportRefusal(evidence.refused_body(state, badge, refusal, now))
    return refused_notice(state, refusal, now), (report,)


def record(state: MachineState, type_: str, body: dict[str, Any]) -> Outcome:
    """The journal is asked for a record, under a ticket of its own."""
    write = WriteRecord(state.next_ticket, type_, body)
    return replace(state, next_ticket=state.next_ticket + 1), (write,)


def gated(state: MachineState, now: Now) -> MachineState:
    """Arrivals seen up to now open nothing."""
    return replace(state, gate_ms=max(state.gate_ms, now.boot_ms))


def open_session(state: MachineState) -> Session:
    """The open session of a state that has one."""
    session = state.session
    assert session is not None
    return session


def with_session(state: MachineState, session: Session) -> MachineState:
    """The same state with its open session replaced."""
    assert isinstance(state.facts, EnabledFacts | EndingFacts)
    return replace(state, facts=replace(state.facts, session=session))


def enabled(state: MachineState, session: Session) -> MachineState:
    """Relay closed for `session`, with nothing else to say."""
    return replace(state, facts=EnabledFacts(session), notice=None)


def still_here(session: Session, state: MachineState, now: Now) -> Session:
    """The session as it goes on now: its idle time begins here, unless the machine is known to work.

    In `hold` the badge in the slot speaks for the member; in `tap` without a current sensor nothing does, so
    the idle timeout asks whether anybody is there.
    """
    busy = state.inputs.busy
    unattended = busy is None and session.rules.badge_use is BadgeUse.TAP
    rests = busy is False or unattended
    return replace(session, idle_since_ms=now.boot_ms if rests else None)


def at_rest(state: MachineState) -> MachineState:
    """No session, nothing latched: powered past us by the key, running on, or simply locked."""
    if state.unmetered_since_ms is not None:
        return replace(state, facts=UnmeteredFacts())
    if state.run_on_until_ms is not None:
        return replace(state, facts=RunOnFacts())
    return replace(state, facts=LockedFacts())


def abandon(state: MachineState, why: str = "abandoned", detail: str | None = None) -> Outcome:
    """The start is given up: its record is declared void, at once or as soon as it turns out to be durable."""
    facts = state.facts
    assert isinstance(facts, StartingFacts)
    state = at_rest(state)
    if facts.record is None:
        return replace(state, abandoned=state.abandoned | {facts.ticket}), ()
    return void(state, facts.record, why, detail)


def void(state: MachineState, session: str, why: str, detail: str | None = None) -> Outcome:
    """A durable start that powered nothing is taken back; `detail` names the interlock, where one is why."""
    body = {"session": session, "why": why}
    return record(state, "session_voided", body if detail is None else {**body, "detail": detail})


def member_of(badge: Presented) -> str | None:
    """Whose badge it is, None for an unknown one."""
    return badge.entry.member if badge.entry is not None else None


def refusal_of(badge: Presented, reason: Reason) -> Refusal:
    """A refusal in the language of the badge's holder."""
    return Refusal(reason, badge.entry.language if badge.entry is not None else None)


def refused_notice(state: MachineState, refusal: Refusal, now: Now) -> MachineState:
    """The screen says why not, for a few seconds."""
    notice = Notice(
        message=Message.REFUSED,
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + state.rules.notice_s * 1_000,
        language=refusal.language,
        reason=refusal.reason,
        training=refusal.training,
        detail=refusal.detail,
    )
    return replace(state, notice=notice)
