"""An export's decisions in, decided again from their evidence: where today's core says otherwise, out.

The machine is built up as the evidence describes it, the badge arrives, and the transition of the core's own
table follows: whatever a record claims was decided has to be among what is decided now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import BadgeArrived
from interlock.core.model import (
    Assurance,
    BadgeUse,
    Cache,
    DayUse,
    Demands,
    Ending,
    Enforcement,
    Fault,
    Granted,
    Inputs,
    Interlock,
    LocalGrant,
    Needs,
    Now,
    Presented,
    Reason,
    Reservation,
    Rules,
    Schedule,
)
from interlock.core.people import WAITED_FOR
from interlock.core.sensing import Watch
from interlock.core.states import (
    Company,
    EnabledFacts,
    EndingFacts,
    Facts,
    FaultFacts,
    LockedFacts,
    LockedOutFacts,
    MachineState,
    RunOnFacts,
    Session,
    StartingFacts,
    State,
    UnmeteredFacts,
    WaitingFacts,
)
from interlock.core.table import TABLE
from interlock.core.usage import Meter
from interlock.errors import ProtocolError
from interlock.node.export import read_export
from interlock.protocol.records import Record, RecordType
from interlock.protocol.snapshots import entry_from_wire

CLAIMS: dict[RecordType, tuple[str, ...]] = {
    RecordType.SESSION_STARTED: ("member", "tag", "supervisor", "second", "would_refuse"),
    RecordType.REFUSED: ("reason", "member", "tag", "training", "detail"),
    RecordType.LOCK_OUT_CLEARED: ("source", "by"),
    RecordType.FAULT_CLEARED: ("fault", "by"),
    RecordType.SUPERVISION_CONFIRMED: ("session", "by"),
    RecordType.TRAINING_GRANTED: (
        *("member", "trainings", "by", "session", "assurance", "since_at", "until_at"),
    ),
}
"""What each kind of decision says; the rest of its body is evidence, or counts."""

DIFFERENCES_MAX = 100
"""Enough to see what changed; a core that decides everything otherwise need not be listed record by record."""

Claim = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A record whose decision is not made again: what it says, and what is decided now."""

    record: str
    recorded: str
    decided: str

    def __str__(self) -> str:
        return f"record {self.record}: recorded {self.recorded}, decided again {self.decided}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many decisions there were, how many are made again, and those that are not, oldest first.

    `skipped` have no evidence: erased, several badges at once, a flood counted in one record, or more of it than a
    record holds.
    """

    decided: int = 0
    agreed: int = 0
    skipped: int = 0
    differences: tuple[Difference, ...] = ()


def replay_export(path: Path) -> Replayed:
    """Every decision of the export, made again. Raises StoreError when it cannot be read."""
    decided = agreed = skipped = 0
    differences: list[Difference] = []
    for number, record in read_export(path):
        if isinstance(record, ProtocolError):
            decided += 1
            differences.append(Difference(f"on line {number}", "nothing readable", str(record)))
            continue
        if record.header.type not in CLAIMS:
            continue
        if record.body is None or not record.body.get("evidence"):
            # A clearing by the hub names who did it and needs no badge.
            skipped += 1
            continue
        decided += 1
        difference = _differs(record, record.body)
        if difference is None:
            agreed += 1
        else:
            differences.append(difference)
    return Replayed(decided, agreed, skipped, tuple(differences[:DIFFERENCES_MAX]))


def _differs(record: Record, body: Mapping[str, Any]) -> Difference | None:
    recorded = _claim(record.header.type.value, body)
    try:
        claims = decide_again(body["evidence"])
    except (ProtocolError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Difference(
            record.id, _told([recorded]), f"nothing: its evidence is none ({error!r})"
        )
    if recorded in claims:
        return None
    return Difference(record.id, _told([recorded]), _told(claims))


def decide_again(evidence: Mapping[str, Any]) -> list[Claim]:
    """What follows, by the core's own table, when that badge arrives in that situation.

    Raises ProtocolError, KeyError, TypeError or ValueError for what is no evidence.
    """
    state, badge, now = _state(evidence), _badge(evidence), _now(evidence)
    state, effects = TABLE[state.state, BadgeArrived].follow(state, BadgeArrived(badge), now)
    claims = []
    for effect in effects:
        if isinstance(effect, ReportRefusal):
            claims.append(_claim(RecordType.REFUSED.value, effect.body))
        elif isinstance(effect, WriteRecord) and effect.type in CLAIMS:
            claims.append(_claim(effect.type, effect.body))
    if isinstance(state.facts, WaitingFacts) and not effects:
        # The first badge waits; its refusal is recorded only when nobody comes.
        claims.append(_claim(RecordType.REFUSED.value, state.facts.refusal_body))
    return claims


def _claim(type_: str, body: Mapping[str, Any]) -> Claim:
    return type_, {name: body[name] for name in CLAIMS[RecordType(type_)]}


def _told(claims: list[Claim]) -> str:
    if not claims:
        return "nothing"
    return " and ".join(
        " ".join([type_, *(f"{name}={value}" for name, value in said.items() if value is not None)])
        for type_, said in claims
    )


def _now(evidence: Mapping[str, Any]) -> Now:
    return Now(evidence["boot_ms"], evidence["wall_at"], evidence["wall_trusted"])


def _badge(evidence: Mapping[str, Any]) -> Presented:
    entry, trouble = evidence["entry"], evidence["trouble"]
    return Presented(
        tag=bytes.fromhex(evidence["tag"]),
        seen_ms=evidence["seen_ms"],
        assurance=Assurance[evidence["assurance"].upper()],
        entry=None if entry is None else entry_from_wire(entry),
        cache=Cache(_version(evidence["snapshot"]), evidence["age_s"]),
        trouble=None if trouble is None else Reason(trouble),
        code=evidence["code"],
    )


def _state(evidence: Mapping[str, Any]) -> MachineState:
    situation = evidence["situation"] or {}
    rules = _rules(evidence)
    facts = _facts(State(evidence["state"]), situation, rules)
    activated = situation.get("snapshot", evidence["snapshot"])
    seen = [evidence, situation["first"]] if "first" in situation else [evidence]
    yes_since_ms = evidence["boot_ms"] if evidence["yes"] else None
    return MachineState(
        facts=facts,
        base_rules=rules,
        rules=rules,
        watch=Watch(
            _inputs(evidence["inputs"]),
            coil_on=False,
            commanded_ms=0,
            yes_since_ms=yes_since_ms,
        ),
        gate_ms=evidence["gate_ms"],
        cache=Cache(_version(activated)),
        reader_trouble="it had failed" if evidence["reader_trouble"] else None,
        journal_trouble="it had failed" if evidence["journal_trouble"] else None,
        grants=tuple(LocalGrant(**grant) for one in seen for grant in one["grants"]),
        day_use=_day_use(seen),
    )


def _rules(evidence: Mapping[str, Any]) -> Rules:
    """The rules as far as they decided; of somebody who waited, hours and reservation as they were for them."""
    wire, situation = evidence["rules"], evidence["situation"] or {}
    of_person = situation["first"]["rules"] if "first" in situation else wire
    schedule, reserved = of_person["schedule"], of_person["reservation"]
    obstacle = evidence["obstacle"]
    in_the_way = obstacle is not None and obstacle[0] == Reason.INTERLOCK_OPEN and obstacle[1]
    demands = Demands(
        trainings=tuple(wire["trainings"]),
        needs=Needs(wire["needs"]),
        locked_out=wire["locked_out"],
        daily_limit_s=wire["daily_limit_s"],
        hours=None if schedule is None else schedule["name"],
        schedules=() if schedule is None else (_schedule(schedule),),
        offsets=tuple((start_at, east) for start_at, east in wire["offsets"]),
        reservations=() if reserved is None else (Reservation(**reserved),),
    )
    return Rules(
        badge_use=BadgeUse(wire["badge_use"]),
        demands=demands,
        enforcement=Enforcement(wire["enforcement"]),
        min_assurance=Assurance[wire["min_assurance"].upper()],
        second_person=wire["second_person"],
        supervise_s=wire["supervise_s"],
        # Debounced contacts and reports are not in the levels: what they came to stands as one unheard-of report.
        interlocks=(Interlock(str(obstacle[1]), remote=True),) if in_the_way else (),
        max_offline_s=wire["max_offline_s"],
        start_deadline_ms=wire["start_deadline_ms"],
    )


def _facts(state: State, situation: Mapping[str, Any], rules: Rules) -> Facts:
    match state:
        case State.LOCKED:
            return LockedFacts()
        case State.RUN_ON:
            return RunOnFacts()
        case State.UNMETERED:
            return UnmeteredFacts()
        case State.LOCKED_OUT:
            return LockedOutFacts()
        case State.FAULT:
            faults = frozenset(Fault(name) for name in situation["faults"])
            return FaultFacts(faults, situation["locked_out"])
        case State.WAITING_FOR_SECOND:
            return _waiting(situation)
        case State.STARTING:
            return StartingFacts(0, _holder(situation), rules, 0, _company(situation))
        case State.ENABLED:
            return EnabledFacts(_session(situation, rules))
        case State.ENDING:
            return EndingFacts(_session(situation, rules), Ending(situation["ending"]), 0, 0)


def _waiting(situation: Mapping[str, Any]) -> WaitingFacts:
    first = _badge(situation["first"])
    if first.entry is None:
        raise ProtocolError("nobody unknown ever waits for somebody", where="evidence")
    granted = Granted(first.entry.member, first.entry.language, tag=first.tag)
    reason = Reason(situation["reason"])
    body = {
        "reason": reason.value,
        "member": first.entry.member,
        "tag": first.tag.hex(),
        "training": None,
        "detail": None,
        "evidence": situation["first"],
    }
    return WaitingFacts(first, granted, 0, 0, WAITED_FOR[reason], body)


def _session(situation: Mapping[str, Any], rules: Rules) -> Session:
    return Session(
        record=situation["record"],
        granted=_holder(situation),
        rules=rules,
        enabled_ms=situation["enabled_ms"],
        meter=Meter(0),
        next_progress_ms=0,
        company=_company(situation),
        long_job=situation["long_job"],
    )


def _holder(situation: Mapping[str, Any]) -> Granted:
    return Granted(
        situation["member"],
        None,
        tag=bytes.fromhex(situation["tag"]),
        trains=tuple(situation["trains"]),
        version=_version(situation.get("version")),
    )


def _company(situation: Mapping[str, Any]) -> Company:
    return Company(situation["supervisor"], situation["second"], tuple(situation["trainings"]))


def _schedule(wire: Mapping[str, Any]) -> Schedule:
    return Schedule(wire["name"], tuple((first, last) for first, last in wire["windows"]))


def _inputs(wire: Mapping[str, Any]) -> Inputs:
    return Inputs(**{**wire, "interlocks_closed": tuple(wire["interlocks_closed"])})


def _day_use(seen: list[Mapping[str, Any]]) -> DayUse:
    """Of the person who is decided about: whoever waited, or whoever came."""
    day, used_ms = seen[-1]["day_use"]
    entry = seen[-1]["entry"]
    return DayUse(day, () if entry is None else ((entry["member"], used_ms),))


def _version(wire: Any) -> tuple[int, int] | None:
    return None if wire is None else (wire[0], wire[1])
