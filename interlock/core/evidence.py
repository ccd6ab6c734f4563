"""A decision's record bodies: everything that decided it, so that `journal replay` decides it again.

Only what bears on the decision: of rights, schedules, offsets and reservations those that were looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import admission
from interlock.core.day_use import used_ms
from interlock.core.hours import foreign_reservation, offsets_around, schedule_of
from interlock.core.model import (
    Demands,
    Entry,
    Granted,
    Inputs,
    LocalGrant,
    Now,
    Presented,
    Refusal,
    Rules,
)
from interlock.core.states import (
    Company,
    EndingFacts,
    FaultFacts,
    MachineState,
    StartingFacts,
    WaitingFacts,
)


def evidence(state: MachineState, badge: Presented, now: Now) -> dict[str, Any]:
    """What the decision looked at: state, entry, rules, snapshot, levels and times. No name, no UID."""
    obstacle = admission.closing_obstacle(state, now)
    return {
        "state": state.state.value,
        "situation": _situation(state),
        "tag": badge.tag.hex(),
        "entry": _entry_wire(badge.entry, state.rules.demands),
        "trouble": badge.trouble,
        "code": badge.code,
        "rules": rules_wire(state.rules, badge.entry, now),
        "grants": [grant_wire(one) for one in _grants(state, badge)],
        "day_use": _day_use(state, badge.entry),
        "snapshot": None if badge.cache.version is None else list(badge.cache.version),
        "age_s": badge.cache.age_s,
        "assurance": badge.assurance.name.lower(),
        "inputs": inputs_wire(state.inputs),
        "yes": state.watch.says_yes(now.boot_ms),
        "obstacle": None if obstacle is None else [obstacle.reason.value, obstacle.detail],
        "gate_ms": state.gate_ms,
        "seen_ms": badge.seen_ms,
        "boot_ms": now.boot_ms,
        "wall_at": now.wall_at,
        "wall_trusted": now.wall_trusted,
        "reader_trouble": state.reader_trouble is not None,
        "journal_trouble": state.journal_trouble is not None,
    }


def started_body(
    seen: dict[str, Any], granted: Granted, rules: Rules, company: Company
) -> dict[str, Any]:
    """The body of a `session_started` record; `seen` is the evidence of the badge that completed it."""
    return {
        "member": granted.member,
        "tag": granted.tag.hex(),
        "badge_use": rules.badge_use.value,
        "supervisor": company.supervisor,
        "second": company.second,
        "would_refuse": None if granted.would_refuse is None else granted.would_refuse.value,
        "evidence": seen,
    }


def refused_body(
    state: MachineState, badge: Presented | None, refusal: Refusal, now: Now
) -> dict[str, Any]:
    """The body of a `refused` record; without a badge (several at once) there is no one to name."""
    entry = badge.entry if badge is not None else None
    return {
        "reason": refusal.reason.value,
        "tag": badge.tag.hex() if badge is not None else None,
        "member": entry.member if entry is not None else None,
        "training": refusal.training,
        "detail": refusal.detail,
        "count": 1,
        "evidence": evidence(state, badge, now) if badge is not None else None,
    }


def rules_wire(rules: Rules, entry: Entry | None, now: Now) -> dict[str, Any]:
    """The part of the rules that decides about this person at this hour."""
    demands = rules.demands
    schedule = None if entry is None else schedule_of(entry, demands)
    reserved = None if entry is None else foreign_reservation(entry, demands, now)
    return {
        "badge_use": rules.badge_use.value,
        "trainings": list(demands.trainings),
        "needs": demands.needs.value,
        "locked_out": demands.locked_out,
        "min_assurance": rules.min_assurance.name.lower(),
        "max_offline_s": rules.max_offline_s,
        "start_deadline_ms": rules.start_deadline_ms,
        "enforcement": rules.enforcement.value,
        "second_person": rules.second_person,
        "supervise_s": rules.supervise_s,
        "daily_limit_s": demands.daily_limit_s,
        "offsets": [list(pair) for pair in offsets_around(demands.offsets, now.wall_at)],
        "schedule": None
        if schedule is None
        else {"name": schedule.name, "windows": [list(window) for window in schedule.windows]},
        "reservation": None
        if reserved is None
        else {
            "from_at": reserved.from_at,
            "until_at": reserved.until_at,
            "member": reserved.member,
        },
    }


def inputs_wire(inputs: Inputs) -> dict[str, Any]:
    """The sampled levels by name; those of interlocks in the order they are declared."""
    levels = {name: getattr(inputs, name) for name in inputs.__slots__}
    return {**levels, "interlocks_closed": list(inputs.interlocks_closed)}


def grant_wire(grant: LocalGrant) -> dict[str, Any]:
    """A grant as JSON values."""
    return {name: getattr(grant, name) for name in grant.__slots__}


def _entry_wire(entry: Entry | None, demands: Demands) -> dict[str, Any] | None:
    if entry is None:
        return None
    asked = tuple(right for right in entry.rights if right.training in demands.trainings)
    return {**replace(entry, rights=asked).to_wire(), "name": None}


def _grants(state: MachineState, badge: Presented) -> tuple[LocalGrant, ...]:
    if badge.entry is None:
        return ()
    return tuple(one for one in state.grants if one.member == badge.entry.member)


def _day_use(state: MachineState, entry: Entry | None) -> list[int]:
    use = state.day_use
    return [use.day, 0 if entry is None else used_ms(use, entry.member, use.day)]


def _situation(state: MachineState) -> dict[str, Any] | None:
    """Whose the machine is, and what the state remembers of them; None when it is nobody's."""
    facts = state.facts
    if isinstance(facts, FaultFacts):
        faults = sorted(fault.value for fault in facts.faults)
        return {"faults": faults, "locked_out": facts.locked_out}
    if isinstance(facts, WaitingFacts):
        return {"first": facts.refusal_body["evidence"], "reason": facts.refusal_body["reason"]}
    session = state.session
    if isinstance(facts, StartingFacts):
        return _holder(facts.granted, facts.company)
    if session is None:
        return None
    ending = facts.cause.value if isinstance(facts, EndingFacts) else None
    return {
        **_holder(session.granted, session.company),
        "record": session.record,
        "enabled_ms": session.enabled_ms,
        "version": None if session.granted.version is None else list(session.granted.version),
        "snapshot": None if state.cache.version is None else list(state.cache.version),
        "long_job": session.long_job,
        "ending": ending,
    }


def _holder(granted: Granted, company: Company) -> dict[str, Any]:
    return {
        "member": granted.member,
        "tag": granted.tag.hex(),
        "trains": list(granted.trains),
        "supervisor": company.supervisor,
        "second": company.second,
        "trainings": list(company.trainings),
    }
