"""Records in, what they leave true out: open session, faults, lock-outs, grants, the day's use, persisted marks.

`after(facts, …)` is a pure fold, written in the transaction of the record itself, so that the facts of a
journal are always those of its last durable record and can be computed again from the records alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from interlock.core.day_use import counted
from interlock.core.evidence import grant_wire
from interlock.core.model import Assurance, DayUse, Ending, LocalGrant
from interlock.core.promises import with_grants
from interlock.errors import ProtocolError
from interlock.protocol import canonical
from interlock.protocol import fields as wire_fields
from interlock.protocol.records import BODY_BYTES_MAX, RecordType
from interlock.protocol.snapshots import SnapshotVersion

BRANCHED = "journal_branched"
"""The problem that the first record of a branch reports (Journal.branch)."""

DELIVERED = "delivered"
"""Beside the time marks: how far the hub's acknowledgement had come, week by week (journal_forgetting)."""

MACHINE = "machine"
"""The source of lock-outs set at the machine itself; the other one is the hub."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something happened: milliseconds of this boot, and UTC milliseconds where any are known."""

    boot_ms: int
    wall_ms: int | None = None
    wall_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has a place in the chain; `stamp` is when it happened, not when it is written."""

    type: RecordType
    body: Mapping[str, Any]
    stamp: Stamp


def fitting(draft: Draft) -> Draft:
    """`draft`, without its evidence where that is too large for a record, and saying how large it was.

    A lab whose machine asks for dozens of trainings gets decisions that cannot be replayed, and members who work.
    """
    if not draft.body.get("evidence"):
        return draft
    try:
        size_bytes = len(canonical.dumps(dict(draft.body)))
    except ProtocolError:
        return draft
    if size_bytes <= BODY_BYTES_MAX:
        return draft
    return replace(draft, body={**draft.body, "evidence": None, "evidence_bytes": size_bytes})


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session without an end: the id of its start record and its totals at its last proof of life.

    `member` is None for somebody nobody knows, and in a journal written before there was a daily limit.
    """

    id: str
    enabled_ms: int = 0
    busy_ms: int = 0
    idle_ms: int = 0
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What must survive a restart; `lock_outs` maps the source (machine, hub) to the cause.

    `commissioned` is the id of the last commissioning on record.
    """

    open_session: OpenSession | None = None
    faults: frozenset[str] = frozenset()
    lock_outs: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[LocalGrant, ...] = ()
    day_use: DayUse = field(default_factory=DayUse)
    commissioned: str | None = None

    @property
    def locked_out(self) -> bool:
        """True while anybody's lock-out stands."""
        return bool(self.lock_outs)

    def delivered(self, epoch: int, seq: int) -> tuple[str, ...]:
        """The ids of the granted trainings' records up to the one that the hub acknowledged."""
        ids = {grant.record for grant in self.grants}
        return tuple(sorted(id for id in ids if _place(id) <= (epoch, seq)))

    def grants_after(self, epoch: int, seq: int) -> tuple[LocalGrant, ...]:
        """The grants, told which of them the hub holds: everything up to (epoch, seq)."""
        held = self.delivered(epoch, seq)
        return tuple(replace(one, delivered=one.record in held) for one in self.grants)


@dataclass(frozen=True, slots=True)
class Marks:
    """What outlives cache and clock. None: nothing yet.

    snapshot        the newest version ever accepted: nothing older is ever used again
    time            what the timekeeper asked to be kept, its own JSON object
    config_digest   the configuration that the last `configuration_changed` record named
    commands        numbers of the hub's commands that were carried out, and until when each was valid
    """

    snapshot: SnapshotVersion | None = None
    time: Mapping[str, Any] | None = None
    config_digest: str | None = None
    commands: tuple[tuple[str, int], ...] = ()

    def raised(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
        commands: tuple[tuple[str, int], ...] | None = None,
    ) -> Marks:
        """These marks with what is given. Raises ProtocolError when the snapshot's version would fall."""
        if snapshot is not None and self.snapshot is not None and snapshot < self.snapshot:
            raise ProtocolError(
                f"snapshot {snapshot} is older than {self.snapshot}, which this node has accepted",
                where="journal",
            )
        # Whoever keeps time knows nothing of the notes beside it.
        beside = {key: value for key, value in (self.time or {}).items() if key == DELIVERED}
        return Marks(
            self.snapshot if snapshot is None else snapshot,
            self.time if time is None else {**beside, **time},
            self.config_digest if config_digest is None else config_digest,
            self.commands if commands is None else commands,
        )


def closing(session: OpenSession, stamp: Stamp) -> Draft:
    """The end of a session at its last proof of life: only what is proved is billed."""
    body = {
        "session": session.id,
        "how": Ending.POWER_LOST.value,
        "enabled_ms": session.enabled_ms,
        "busy_ms": session.busy_ms,
        "idle_ms": session.idle_ms,
        "estimated": True,
    }
    return Draft(RecordType.SESSION_ENDED, body, stamp)


def branching(epoch: int, seq: int, stamp: Stamp) -> Draft:
    """What begins a branch behind (epoch, seq): two cards wrote under one name."""
    detail = f"the hub holds other records than this card, which had come to {epoch}.{seq}"
    body = {"problem": BRANCHED, "detail": detail, "lost": []}
    return Draft(RecordType.PROBLEM_REPORTED, body, stamp)


def after(facts: Facts, record_id: str, type: RecordType, body: Mapping[str, Any]) -> Facts:
    """The facts once this record is durable. Raises ProtocolError for a body that lacks what it must say."""
    match type:
        case RecordType.SESSION_STARTED:
            member = wire_fields.optional_text(body, "member")
            return replace(facts, open_session=OpenSession(record_id, member=member))
        case RecordType.SESSION_PROGRESS:
            return _progressed(facts, body)
        case RecordType.SESSION_ENDED | RecordType.SESSION_VOIDED:
            return _ended(facts, body)
        case RecordType.TRAINING_GRANTED:
            return replace(facts, grants=with_grants(facts.grants, _granted(record_id, body)))
        case RecordType.FAULT_RAISED:
            return replace(facts, faults=facts.faults | {wire_fields.text(body, "fault")})
        case RecordType.FAULT_CLEARED:
            return replace(facts, faults=facts.faults - {wire_fields.text(body, "fault")})
        case RecordType.LOCK_OUT_SET:
            source = wire_fields.text(body, "source")
            cause = wire_fields.text(body, "cause")
            return replace(facts, lock_outs={**facts.lock_outs, source: cause})
        case RecordType.LOCK_OUT_CLEARED:
            source = wire_fields.text(body, "source")
            left = {key: cause for key, cause in facts.lock_outs.items() if key != source}
            return replace(facts, lock_outs=left)
        case RecordType.COMMISSIONED:
            return replace(facts, commissioned=wire_fields.text(body, "id", length_max=64))
        case _:
            return facts


def facts_to_wire(facts: Facts) -> dict[str, Any]:
    """The facts as JSON values."""
    session = facts.open_session
    return {
        "open_session": None
        if session is None
        else {name: getattr(session, name) for name in _SESSION_FIELDS},
        "faults": sorted(facts.faults),
        "lock_outs": dict(facts.lock_outs),
        "grants": [grant_wire(one) for one in facts.grants],
        "day_use": [facts.day_use.day, [list(one) for one in facts.day_use.used]],
        "commissioned": facts.commissioned,
    }


def facts_from_wire(wire: Mapping[str, Any]) -> Facts:
    """The facts a JSON object describes. Raises ProtocolError."""
    try:
        session = wire["open_session"]
        return Facts(
            open_session=None if session is None else OpenSession(**session),
            faults=frozenset(wire["faults"]),
            lock_outs=dict(wire["lock_outs"]),
            # A journal of the first days knows neither grants nor a daily limit.
            grants=tuple(LocalGrant(**one) for one in wire.get("grants", [])),
            day_use=_day_use(*wire.get("day_use", [0, []])),
            commissioned=wire_fields.optional_text(wire, "commissioned"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("the stored facts are not facts", where="journal") from error


def marks_to_wire(marks: Marks) -> dict[str, Any]:
    """The marks as JSON values."""
    return {
        "snapshot": None if marks.snapshot is None else list(marks.snapshot),
        "time": None if marks.time is None else dict(marks.time),
        "config_digest": marks.config_digest,
        "commands": [list(command) for command in marks.commands],
    }


def marks_from_wire(wire: Mapping[str, Any]) -> Marks:
    """The marks a JSON object describes. Raises ProtocolError."""
    try:
        snapshot, time = wire["snapshot"], wire["time"]
        return Marks(
            None if snapshot is None else (int(snapshot[0]), int(snapshot[1])),
            None if time is None else dict(time),
            wire_fields.optional_text(wire, "config_digest"),
            # Marks of before there were commands have none.
            tuple((str(number), int(until)) for number, until in wire.get("commands", ())),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ProtocolError("the stored marks are not marks", where="journal") from error


_SESSION_FIELDS = tuple(entry.name for entry in fields(OpenSession))


def _progressed(facts: Facts, body: Mapping[str, Any]) -> Facts:
    session = facts.open_session
    if session is None or session.id != wire_fields.text(body, "session", length_max=64):
        return facts
    grown = OpenSession(
        session.id,
        enabled_ms=wire_fields.integer(body, "enabled_ms"),
        busy_ms=wire_fields.integer(body, "busy_ms"),
        idle_ms=wire_fields.integer(body, "idle_ms"),
        member=session.member,
    )
    return replace(facts, open_session=grown, day_use=_used(facts, session, body))


def _ended(facts: Facts, body: Mapping[str, Any]) -> Facts:
    session = facts.open_session
    if session is None or session.id != wire_fields.text(body, "session", length_max=64):
        return facts
    return replace(facts, open_session=None, day_use=_used(facts, session, body))


def _used(facts: Facts, session: OpenSession, body: Mapping[str, Any]) -> DayUse:
    """The day's use with what is new in the session's totals; `day` stands there only under a daily limit."""
    day = wire_fields.optional_integer(body, "day")
    if day is None or session.member is None:
        return facts.day_use
    more_ms = wire_fields.integer(body, "enabled_ms") - session.enabled_ms
    return counted(facts.day_use, session.member, more_ms, day)


def _granted(record_id: str, body: Mapping[str, Any]) -> tuple[LocalGrant, ...]:
    trainings = body.get("trainings")
    if not isinstance(trainings, list) or not trainings:
        raise ProtocolError("trainings must name what was granted")
    return tuple(
        LocalGrant(
            member=wire_fields.text(body, "member"),
            training=wire_fields.text({"training": training}, "training"),
            since_at=wire_fields.integer(body, "since_at"),
            until_at=wire_fields.integer(body, "until_at"),
            record=record_id,
            clonable=wire_fields.text(body, "assurance") != Assurance.AES.name.lower(),
        )
        for training in trainings
    )


def _day_use(day: int, used: list[list[Any]]) -> DayUse:
    return DayUse(int(day), tuple((str(member), int(ms)) for member, ms in used))


def _place(record_id: str) -> tuple[int, int]:
    epoch, _, seq = record_id.partition(".")
    return int(epoch), int(seq)
