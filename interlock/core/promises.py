"""What takes effect once its record is durable: a training granted on the spot, a long job declared.

Both give more than there was before, so they are recorded first. The "yes" of both is the long-job button: held
while the trainer's badge arrives it grants the training, pressed by itself it declares the job.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import evidence, people
from interlock.core.effects import Message
from interlock.core.hours import midnight_after
from interlock.core.model import (
    Assurance,
    Granted,
    LocalGrant,
    Now,
    Presented,
    Reason,
    Refusal,
)
from interlock.core.outcomes import Outcome, open_session, record, refuse, refused_notice
from interlock.core.states import (
    Company,
    EnabledFacts,
    EndingFacts,
    MachineState,
    Notice,
    Promise,
    Session,
)

GRANTS_MAX = 64
"""A trainer grants a handful a day; beyond it the ones that end first are forgotten."""


def grant(
    state: MachineState, session: Session, badge: Presented, trainer: Granted, now: Now
) -> Outcome:
    """The trainer's badge with the button held: the session's member gets what they had only under supervision."""
    why_not = _ungrantable(state, session, badge, now)
    if why_not is not None:
        return refuse(state, badge, Refusal(why_not, trainer.language), now)
    until_at = _until_at(state, session, badge, now)
    member, since_at = session.granted.member, now.wall_at
    assert member is not None
    assert since_at is not None
    assert until_at is not None
    body = {
        "member": member,
        "trainings": list(session.company.trainings),
        "by": trainer.member,
        "session": session.record,
        "assurance": badge.assurance.name.lower(),
        "since_at": since_at,
        "until_at": until_at,
        "evidence": evidence.evidence(state, badge, now),
    }
    clonable = badge.assurance is Assurance.UID
    grants = tuple(
        LocalGrant(member, training, since_at, until_at, clonable=clonable)
        for training in session.company.trainings
    )
    state, effects = people.confirm(state, session, badge, trainer, now)
    promise = Promise(state.next_ticket, grants)
    state, more = record(state, "training_granted", body)
    return replace(state, promises=(*state.promises, promise)), effects + more


def declare_long_job(state: MachineState, event: Any, now: Now) -> Outcome:
    """The long-job button in a session: the badge may leave once the record is durable.

    Not where somebody has to stay: supervised, or with a second person.
    """
    session = open_session(state)
    is_alone = session.company == Company() and not session.rules.second_person
    if not session.rules.long_jobs or not is_alone or session.long_job:
        return state, ()
    if any(promise.long_job == session.record for promise in state.promises):
        return state, ()
    promise = Promise(state.next_ticket, long_job=session.record)
    body = {"session": session.record, "member": session.granted.member}
    state, effects = record(state, "long_job_declared", body)
    return replace(state, promises=(*state.promises, promise)), effects


def keep(state: MachineState, event: Any, now: Now) -> MachineState | None:
    """The promise whose record is durable is kept; None when the ticket is none of theirs."""
    promise = _promised(state, event.ticket)
    if promise is None:
        return None
    state = _without(state, promise)
    if promise.long_job is not None:
        return _with_long_job(state, promise.long_job)
    granted = tuple(replace(one, record=event.record) for one in promise.grants)
    state = replace(state, grants=with_grants(state.grants, granted))
    return _trained(state, granted, now)


def break_off(state: MachineState, event: Any, now: Now) -> MachineState | None:
    """The promise whose record failed is forgotten and said to be; None when the ticket is none of theirs."""
    promise = _promised(state, event.ticket)
    if promise is None:
        return None
    session = state.session
    language = None if session is None else session.granted.language
    return refused_notice(_without(state, promise), Refusal(Reason.CANNOT_RECORD, language), now)


def note_delivered(state: MachineState, event: Any, now: Now) -> Outcome:
    """The hub holds these records: from its next snapshot on, that one says what was granted."""
    grants = tuple(
        replace(one, delivered=True) if one.record in event.records else one for one in state.grants
    )
    return replace(state, grants=grants), ()


def outlasting(grants: tuple[LocalGrant, ...]) -> tuple[LocalGrant, ...]:
    """The grants that a new snapshot does not replace by its own word."""
    return tuple(one for one in grants if one.clonable or not one.delivered)


def with_grants(
    held: tuple[LocalGrant, ...], more: tuple[LocalGrant, ...]
) -> tuple[LocalGrant, ...]:
    """All of them, one per member and training, without those that had ended when the new ones began."""
    renewed = {(one.member, one.training) for one in more}
    since_at = max(one.since_at for one in more)
    kept = [
        one for one in held if (one.member, one.training) not in renewed and one.until_at > since_at
    ]
    latest = sorted((*kept, *more), key=lambda one: one.until_at)[-GRANTS_MAX:]
    return tuple(sorted(latest, key=lambda one: (one.member, one.training)))


def _ungrantable(
    state: MachineState, session: Session, badge: Presented, now: Now
) -> Reason | None:
    """Why nothing can be granted now; None when it can."""
    if state.journal_trouble is not None:
        return Reason.CANNOT_RECORD
    if badge.cache.version is None or badge.cache.age_s > state.rules.max_offline_s:
        return Reason.CACHE_STALE
    if not now.wall_trusted or _until_at(state, session, badge, now) is None:
        return Reason.CLOCK_UNTRUSTED
    return None


def _until_at(state: MachineState, session: Session, badge: Presented, now: Now) -> int | None:
    """How long the grant counts at most, and never longer than the trainer's own right; None: nobody knows.

    A badge that can be cloned grants until midnight. Any other until the snapshot says it, as long as this
    machine may do without a new one.
    """
    if now.wall_at is None or badge.entry is None:
        return None
    if badge.assurance is Assurance.UID:
        until_at = midnight_after(now.wall_at, state.rules.demands.offsets)
        if until_at is None:
            return None
    else:
        until_at = now.wall_at + state.rules.max_offline_s
    own = [
        right.until_at
        for right in badge.entry.rights
        if right.training in session.company.trainings and right.until_at is not None
    ]
    return min([until_at, *own])


def _promised(state: MachineState, ticket: int) -> Promise | None:
    return next((one for one in state.promises if one.ticket == ticket), None)


def _without(state: MachineState, promise: Promise) -> MachineState:
    return replace(state, promises=tuple(one for one in state.promises if one != promise))


def _with_long_job(state: MachineState, session_record: str) -> MachineState:
    facts = state.facts
    if not isinstance(facts, EnabledFacts) or facts.session.record != session_record:
        return state
    is_known = state.inputs.busy is not None
    session = replace(
        facts.session,
        long_job=True,
        missing=None,
        idle_since_ms=facts.session.idle_since_ms if is_known else None,
    )
    return replace(state, facts=EnabledFacts(session))


def _trained(state: MachineState, granted: tuple[LocalGrant, ...], now: Now) -> MachineState:
    """The member whose session is open needs no trainer any more, and reads so."""
    session = state.session
    if session is None or session.granted.member != granted[0].member:
        return state
    assert isinstance(state.facts, EnabledFacts | EndingFacts)
    session = replace(session, company=Company(), confirm_by_ms=None)
    notice = Notice(
        message=Message.TRAINING_GRANTED,
        since_ms=now.boot_ms,
        until_ms=now.boot_ms + session.rules.notice_s * 1_000,
        language=session.granted.language,
        training=granted[0].training,
    )
    return replace(state, facts=replace(state.facts, session=session), notice=notice)
