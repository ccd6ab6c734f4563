"""Records in, what they leave true out: the open session, latched faults, lock-outs, and the persisted marks.

`after(facts, …)` is a pure fold, written in the transaction of the record itself, so that the facts of a
journal are always those of its last durable record and can be computed again from the records alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from interlock.errors import ProtocolError
from interlock.protocol import fields as wire_fields
from interlock.protocol.records import RecordType
from interlock.protocol.snapshots import SnapshotVersion

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


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session without an end: the id of its start record and its totals at its last proof of life."""

    id: str
    enabled_ms: int = 0
    busy_ms: int = 0
    idle_ms: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What must survive a restart; `lock_outs` maps the source (machine, hub) to the cause."""

    open_session: OpenSession | None = None
    faults: frozenset[str] = frozenset()
    lock_outs: Mapping[str, str] = field(default_factory=dict)

    @property
    def locked_out(self) -> bool:
        """True while anybody's lock-out stands."""
        return bool(self.lock_outs)


@dataclass(frozen=True, slots=True)
class Marks:
    """What outlives cache and clock. None: nothing yet.

    snapshot        the newest version ever accepted: nothing older is ever used again
    time            what the timekeeper asked to be kept, its own JSON object
    config_digest   the configuration that the last `configuration_changed` record named
    """

    snapshot: SnapshotVersion | None = None
    time: Mapping[str, Any] | None = None
    config_digest: str | None = None

    def raised(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
    ) -> Marks:
        """These marks with what is given. Raises ProtocolError when the snapshot's version would fall."""
        if snapshot is not None and self.snapshot is not None and snapshot < self.snapshot:
            raise ProtocolError(
                f"snapshot {snapshot} is older than {self.snapshot}, which this node has accepted",
                where="journal",
            )
        return Marks(
            self.snapshot if snapshot is None else snapshot,
            self.time if time is None else dict(time),
            self.config_digest if config_digest is None else config_digest,
        )


def after(facts: Facts, record_id: str, type: RecordType, body: Mapping[str, Any]) -> Facts:
    """The facts once this record is durable. Raises ProtocolError for a body that lacks what it must say."""
    match type:
        case RecordType.SESSION_STARTED:
            return replace(facts, open_session=OpenSession(record_id))
        case RecordType.SESSION_PROGRESS:
            return _progressed(facts, body)
        case RecordType.SESSION_ENDED | RecordType.SESSION_VOIDED:
            return _ended(facts, wire_fields.text(body, "session", length_max=64))
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
    }


def facts_from_wire(wire: Mapping[str, Any]) -> Facts:
    """The facts a JSON object describes. Raises ProtocolError."""
    try:
        session = wire["open_session"]
        return Facts(
            open_session=None if session is None else OpenSession(**session),
            faults=frozenset(wire["faults"]),
            lock_outs=dict(wire["lock_outs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("the stored facts are not facts", where="journal") from error


def marks_to_wire(marks: Marks) -> dict[str, Any]:
    """The marks as JSON values."""
    return {
        "snapshot": None if marks.snapshot is None else list(marks.snapshot),
        "time": None if marks.time is None else dict(marks.time),
        "config_digest": marks.config_digest,
    }


def marks_from_wire(wire: Mapping[str, Any]) -> Marks:
    """The marks a JSON object describes. Raises ProtocolError."""
    try:
        snapshot, time = wire["snapshot"], wire["time"]
        return Marks(
            None if snapshot is None else (int(snapshot[0]), int(snapshot[1])),
            None if time is None else dict(time),
            wire_fields.optional_text(wire, "config_digest"),
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
    )
    return replace(facts, open_session=grown)


def _ended(facts: Facts, session: str) -> Facts:
    if facts.open_session is None or facts.open_session.id != session:
        return facts
    return replace(facts, open_session=None)
