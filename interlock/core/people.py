"""The people at the machine: who holds a session, who has to be beside them, who takes it over.

A first badge that only lacks somebody beside it waits a short time with nothing powered. A trainer answers for
trainings the member has only under supervision, and says again and again that they are still there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission, evidence
from interlock.core.effects import Message, ReportRefusal
from interlock.core.model import (
    BadgeUse,
    Ending,
    Granted,
    Now,
    Presented,
    Reason,
    Refusal,
)
from interlock.core.outcomes import (
    Outcome,
    at_rest,
    enabled,
    member_of,
    record,
    refusal_of,
    refuse,
    refused_notice,
    still_here,
)
from interlock.core.policy import unsupervised
from interlock.core.sessions import end
from interlock.core.states import (
    Company,
    EndingFacts,
    MachineState,
    Notice,
    Session,
    StartingFacts,
    WaitingFacts,
)

WAITED_FOR = {
    Reason.NEEDS_SUPERVISOR: Message.WAITING_FOR_TRAINER,
    Reason.NEEDS_SECOND_PERSON: Message.WAITING_FOR_SECOND,
}
"""What somebody else's badge mends, and what the screen asks for meanwhile."""

ABSENCES = frozenset({Ending.BADGE_REMOVED, Ending.READER_LOST, Ending.IDLE_TIMEOUT})
"""Ends that nobody asked for: the badge that was missing takes them back."""

UNCONFIRMED = ABSENCES | {Ending.SUPERVISION_OVER}
"""Ends that a trainer's badge takes back: theirs was the one that was missing."""


def is_holder(granted: Granted, badge: Presented) -> bool:
    """Whether the badge is that of the person the machine was granted to; strangers are told by their card."""
    member = member_of(badge)
    if granted.member is None or member is None:
        return badge.tag == granted.tag
    return member == granted.member


def start(
    state: MachineState, granted: Granted, seen: dict[str, Any], now: Now, company: Company
) -> Outcome:
    """The journal is asked for the start record; power follows when it is durable."""
    body = evidence.started_body(seen, granted, state.rules, company)
    facts = StartingFacts(state.next_ticket, granted, state.rules, now.boot_ms, company)
    state, effects = record(state, "session_started", body)
    return replace(state, facts=facts, notice=None), effects


def wait(state: MachineState, badge: Presented, refusal: Refusal, now: Now) -> Outcome:
    """A first badge waits for somebody else's, unless the machine could not start anyhow."""
    obstacle = admission.closing_obstacle(state, now)
    if obstacle is not None:
        return refuse(state, badge, replace(obstacle, language=refusal.language), now)
    entry = badge.entry
    assert entry is not None
    facts = WaitingFacts(
        badge=badge,
        granted=Granted(entry.member, entry.language, entry.name),
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + state.rules.second_wait_s * 1_000,
        message=WAITED_FOR[refusal.reason],
        refusal_body=evidence.refused_body(state, badge, refusal, now),
    )
    return replace(state, facts=facts, notice=None), ()


def arrival_while_waiting(state: MachineState, event: Any, now: Now) -> Outcome:
    """A trainer who answers for the first, or any other member as the second person, completes the start."""
    facts, badge = state.facts, event.badge
    assert isinstance(facts, WaitingFacts)
    other = admission.beside(state, badge, now)
    if isinstance(other, Refusal):
        return refuse(state, badge, other, now)
    if is_holder(facts.granted, badge):
        return state, ()
    decision = _first_again(state, facts, other, now)
    if isinstance(decision, Refusal) and decision.reason in WAITED_FOR:
        # Somebody else, but nobody who teaches what is missing: the first goes on waiting.
        return refuse(state, badge, refusal_of(badge, Reason.MACHINE_IN_USE), now)
    if isinstance(decision, Refusal):
        state, effects = give_up_wait(state)
        return refused_notice(state, decision, now), effects
    seen = evidence.evidence(state, badge, now)
    if facts.message is Message.WAITING_FOR_SECOND:
        return start(state, decision, seen, now, Company(second=other.member))
    return start(state, decision, seen, now, _supervised(state, facts.badge, other, now))


def wait_over(state: MachineState, event: Any, now: Now) -> Outcome:
    """Nobody came: the first badge is refused for what it lacked."""
    facts = state.facts
    assert isinstance(facts, WaitingFacts)
    body = facts.refusal_body
    refusal = Refusal(Reason(body["reason"]), facts.granted.language, body["training"])
    state, effects = give_up_wait(state)
    return refused_notice(state, refusal, now), effects


def give_up_wait(state: MachineState) -> Outcome:
    """The waiting is over without a start: the machine rests, and the refusal is recorded."""
    facts = state.facts
    assert isinstance(facts, WaitingFacts)
    return at_rest(state), (ReportRefusal(facts.refusal_body),)


def opened(state: MachineState, session: Session, now: Now) -> MachineState:
    """The relay closes for `session`; what its member has to know beforehand is said."""
    granted = session.granted
    if session.company.supervisor is not None and session.confirm_by_ms is None:
        session = replace(session, confirm_by_ms=_confirm_by_ms(session, now))
    state = enabled(state, session)
    if granted.would_refuse is not None:
        return _told(state, Message.WOULD_BE_REFUSED, granted, now)
    if granted.low_credit:
        return _told(state, Message.LOW_CREDIT, granted, now)
    return state


def trainer_beside(
    state: MachineState, session: Session, badge: Presented, now: Now
) -> Granted | None:
    """The arrival is of somebody who teaches all that this session's member has only under supervision."""
    if not session.company.trainings:
        return None
    other = admission.beside(state, badge, now, running=True)
    if isinstance(other, Refusal) or not set(session.company.trainings) <= set(other.trains):
        return None
    return other


def confirm(
    state: MachineState, session: Session, badge: Presented, trainer: Granted, now: Now
) -> Outcome:
    """The trainer is still there: recorded, and asked again later. Their tap never ends the session."""
    body = {
        "session": session.record,
        "by": trainer.member,
        "evidence": evidence.evidence(state, badge, now),
    }
    session = replace(
        session,
        company=replace(session.company, supervisor=trainer.member),
        confirm_by_ms=_confirm_by_ms(session, now),
        missing=None,
    )
    if isinstance(state.facts, EndingFacts):
        if state.facts.cause not in UNCONFIRMED:
            return state, ()
        session = still_here(session, state, now)
    return record(enabled(state, session), "supervision_confirmed", body)


def hand_over(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
    """Another entitled arrival at a machine known to be idle: one session ends, the next is recorded and closes.

    Busy or unknown, a handover would cut somebody's work; a long job stays its member's.
    """
    facts = state.facts
    is_asked = isinstance(facts, EndingFacts) and facts.cause not in ABSENCES
    if session.long_job or is_asked or state.inputs.busy is not False:
        return _refuse_in_use(state, badge, now)
    teaches = _teaches(state, session, now)
    around = admission.remembered(state, trainer_of=teaches)
    decision = admission.admit(state, badge, now, around)
    if isinstance(decision, Refusal):
        if decision.reason in WAITED_FOR:
            return _refuse_in_use(state, badge, now)
        return refuse(state, badge, decision, now)
    company = Company()
    alone = admission.judge(state, badge, now, admission.remembered(state))
    lacks = alone.reason if isinstance(alone, Refusal) else alone.would_refuse
    if lacks is Reason.NEEDS_SUPERVISOR and decision.would_refuse is None:
        company = _supervised(state, badge, session.granted, now)
    seen = evidence.evidence(state, badge, now)
    state, effects = end(state, Ending.HANDED_OVER, now)
    state, more = start(state, decision, seen, now, company)
    assert isinstance(state.facts, StartingFacts)
    not_before_ms = max(now.boot_ms + state.rules.open_time_ms, state.coasting_until_ms or 0)
    seen_until_ms = None if company.supervisor is None else _trainer_counts_until_ms(session)
    facts = replace(state.facts, not_before_ms=not_before_ms, confirm_by_ms=seen_until_ms)
    return replace(state, facts=facts), effects + more


def second_back(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
    """The second person's badge: in `hold` it may lie in the slot in place of the first; in `tap` it says nothing."""
    if session.rules.badge_use is BadgeUse.TAP:
        return state, ()
    return back_in_the_slot(state, session, badge, now)


def back_in_the_slot(state: MachineState, session: Session, badge: Presented, now: Now) -> Outcome:
    """A badge that answers for the session lies in the slot: it goes on, unless the badge was blocked meanwhile."""
    if isinstance(state.facts, EndingFacts) and state.facts.cause not in ABSENCES:
        return state, ()
    obstacle = admission.continuing_obstacle(state, badge, session.rules, now)
    if obstacle is not None:
        return refuse(state, badge, obstacle, now)
    is_attended = session.rules.badge_use is BadgeUse.HOLD
    session = replace(session, missing=None, long_job=session.long_job and not is_attended)
    if isinstance(state.facts, EndingFacts):
        session = still_here(session, state, now)
    return enabled(state, session), ()


def _first_again(
    state: MachineState, facts: WaitingFacts, other: Granted, now: Now
) -> Granted | Refusal:
    """What is said of the first badge now that somebody is beside; a newer snapshot may have taken its right away."""
    language = facts.granted.language
    if facts.badge.cache.version != state.cache.version:
        return Refusal(Reason.PRESENT_AGAIN, language)
    around = admission.remembered(state, trainer_of=other.trains, accompanied=True)
    decision = admission.judge(state, facts.badge, now, around)
    if isinstance(decision, Refusal):
        return decision
    obstacle = admission.closing_obstacle(state, now)
    return decision if obstacle is None else replace(obstacle, language=language)


def _supervised(state: MachineState, badge: Presented, trainer: Granted, now: Now) -> Company:
    """The trainer answers for what the badge's holder has only under supervision, and no more than they teach."""
    assert badge.entry is not None
    lacking = unsupervised(badge.entry, state.rules, now, admission.remembered(state))
    answered = tuple(training for training in lacking if training in trainer.trains)
    return Company(supervisor=trainer.member, trainings=answered)


def _teaches(state: MachineState, session: Session, now: Now) -> tuple[str, ...]:
    """What the holder answers for as a trainer, as long as no newer snapshot may have taken it away.

    A trainer who tapped long ago may have left: their tap counts for as long as a confirmation would.
    """
    is_trainer = session.company == Company() and session.granted.would_refuse is None
    is_current = session.granted.version == state.cache.version
    is_there = now.boot_ms < _trainer_counts_until_ms(session)
    return session.granted.trains if is_trainer and is_current and is_there else ()


def _trainer_counts_until_ms(session: Session) -> int:
    return session.enabled_ms + session.rules.supervise_s * 1_000


def _confirm_by_ms(session: Session, now: Now) -> int:
    return now.boot_ms + session.rules.supervise_s * 1_000


def _refuse_in_use(state: MachineState, badge: Presented, now: Now) -> Outcome:
    return refuse(state, badge, refusal_of(badge, Reason.MACHINE_IN_USE), now)


def _told(state: MachineState, message: Message, granted: Granted, now: Now) -> MachineState:
    notice = Notice(
        message=message,
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + state.rules.notice_s * 1_000,
        language=granted.language,
        reason=granted.would_refuse,
    )
    return replace(state, notice=notice)
