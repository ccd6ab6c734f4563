"""A whole hub to what in it does not hold, and where: database, chains, sessions from their records, open prices.

Each check is told of as it runs; a fault in one hides none of the next. What was erased is no fault: its
commitment stands for it. Nothing is changed: prices are worked out anew in a transaction that is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q

from interlock.clock import Clock
from interlock.errors import ProtocolError, StoreError
from interlock.hub.billing import billable_day, reprice
from interlock.hub.changes import verify_audit
from interlock.hub.history import EPOCH_OF_HISTORY
from interlock.hub.last_told import contradictions
from interlock.hub.ledger import verify_ledger
from interlock.hub.models import Lab, Line, Node, NodeRecord, Session
from interlock.hub.problems import RECORDS_LOST, lost_ranges
from interlock.hub.retelling import Retelling, Use
from interlock.hub.set_aside import EPOCH_OF_ASIDE
from interlock.hub.unknown_types import read_record
from interlock.protocol import canonical
from interlock.protocol.records import GENESIS, Record, RecordType, verify

CHUNK = 1_000
"""Rows read at once; memory does not grow with the hub."""

PAYERS_AT_ONCE = 20
"""Priced in one transaction: some 4 ms a session of two cores, and whoever else would write waits 30 s at most."""

Told = Callable[[str, int, int], None]
"""What is checked, how much of it is done, of how much."""


@dataclass
class Found:
    """What a walk found: every fault with its place, and how much was walked."""

    faults: list[str] = field(default_factory=list)
    records: int = 0
    erased: int = 0
    audit_rows: int = 0
    statements: int = 0
    sessions: int = 0
    lines: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything holds."""
        return not self.faults


def verify_hub(clock: Clock, told: Told = lambda what, done, total: None) -> Found:
    """Everything that can be proved of this hub, proved or named as a fault."""
    found = Found()
    at = datetime.fromtimestamp(clock.wall_ms() / 1_000).astimezone()
    _walked(found, "database", lambda: _database(found))
    _walked(found, "labs", lambda: _labs(found, at, told))
    return found


def verify_proofs() -> list[str]:
    """What of deeds and statements does not hold, and where a table says otherwise than its last deed: what a
    back-up asks every night, in minutes where all of `verify_hub` would take hours, and without a lock while
    all of it holds."""
    found = Found()
    _walked(found, "labs", lambda: _proofs(found))
    return found.faults


def _proofs(found: Found) -> None:
    for lab in Lab.objects.order_by("pk"):
        _walked(found, "audit log", lambda lab=lab: _audit(found, lab))  # type: ignore[misc]
        _walked(found, "deeds", lambda lab=lab: _deeds(found, lab))  # type: ignore[misc]
        _walked(found, "ledger", lambda lab=lab: _ledger(found, lab))  # type: ignore[misc]


def _labs(found: Found, at: datetime, told: Told) -> None:
    _proofs(found)
    for lab in Lab.objects.order_by("pk"):
        for node in Node.objects.filter(lab=lab).order_by("pk"):
            _walked(found, f"node {node.slug}", lambda node=node: _records(found, node, told))  # type: ignore[misc]
        _walked(found, "open prices", lambda lab=lab: _lines(found, lab, at, told))  # type: ignore[misc]


def _database(found: Found) -> None:
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        said = _damage(cursor, DAMAGE_LINES_MAX)
        found.faults += [f"database: {one}" for one in said]
        if said:
            found.faults += [
                f"database: table {name} is damaged" for name in _damaged_tables(cursor)
            ]
        cursor.execute("PRAGMA foreign_key_check")
        strays = cursor.fetchall()
    found.faults += [f"database: {row[0]}, row {row[1]} points at nothing" for row in strays[:20]]


DAMAGE_LINES_MAX = 20


def _damage(cursor: CursorWrapper, of: int | str) -> list[str]:
    """What SQLite says of the whole database (`of`: so many lines at most) or of one table; nothing: it is whole."""
    try:
        cursor.execute(f"PRAGMA integrity_check({json.dumps(of)})")
        return [" ".join(str(row[0]).split()) for row in cursor.fetchall() if row[0] != "ok"]
    except UNREADABLE as error:
        return [str(error)]


def _damaged_tables(cursor: CursorWrapper) -> list[str]:
    """Whose rows or indexes are damaged: SQLite speaks of trees and pages, people of tables."""
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in cursor.fetchall() if _damage(cursor, name)]


UNREADABLE = (
    DatabaseError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading a row raises that a damaged page or somebody's hand has made of another type, or of no text at all."""


def _walked(found: Found, what: str, walk: Callable[[], None]) -> None:
    """What stops this walk is a fault, and the next walk begins all the same."""
    try:
        walk()
    except StoreError as error:
        found.faults.append(str(error))
    except UNREADABLE as error:
        found.faults.append(f"{what}: it cannot be read to its end: {error}")


def _audit(found: Found, lab: Lab) -> None:
    found.audit_rows += verify_audit(lab)


def _deeds(found: Found, lab: Lab) -> None:
    found.faults += [f"lab {lab.slug}: {one}" for one in contradictions(lab)]


def _ledger(found: Found, lab: Lab) -> None:
    found.statements += verify_ledger(lab)


def _records(found: Found, node: Node, told: Told) -> None:
    """The node's chain holds from its first record to its head, and its sessions are what it says."""
    total = NodeRecord.objects.filter(node=node).count()
    before: Record | None = None
    retold = Retelling()
    holes = _Holes()
    for done, row in enumerate(_rows(node), start=1):
        if done % CHUNK == 0:
            told(f"records of {node.slug}", done, total)
        try:
            record = _record(row, node)
            _verify(record, before, bytes(node.chain_key), holes)
        except ProtocolError as error:
            found.faults.append(f"record {row} of node {node.slug}: {error.what}")
            record = None
        found.records += 1
        found.erased += row.body is None
        before = record or before
        if record is not None:
            holes.hear(record)
            retold.hear(record)
    told(f"records of {node.slug}", total, total)
    head = (node.head_epoch, node.head_seq)
    if before is not None and head != (before.header.epoch, before.header.seq):
        found.faults.append(
            f"node {node.slug}: its last records are missing, up to {head[0]}.{head[1]}"
        )
    found.faults += [f"node {node.slug}: {hole}" for hole in holes.undeclared()]
    _sessions(found, node, retold)


def _verify(record: Record, before: Record | None, chain_key: bytes, holes: _Holes) -> None:
    verify(record, prev=record.prev, chain_key=chain_key)
    if before is None:
        return
    here, there = record.header, before.header
    if (here.epoch, here.seq) == (there.epoch, there.seq + 1):
        if record.prev != before.hash:
            raise ProtocolError("it does not follow the record before it")
    elif here.epoch > there.epoch and here.seq == 1:
        if record.prev not in (GENESIS, before.hash):
            raise ProtocolError("the first of its epoch follows another record")
    else:
        first = there.seq + 1 if here.epoch == there.epoch else 1
        holes.missing.append((here.epoch, first, here.seq - 1))


@dataclass
class _Holes:
    """Ranges (epoch, first, last) that are missing, and those that a record of the node itself declares lost."""

    missing: list[tuple[int, int, int]] = field(default_factory=list)
    declared: list[tuple[int, int, int | None]] = field(default_factory=list)

    def hear(self, record: Record) -> None:
        """What `record` declares is no fault, wherever it stands; one that makes no sense declares nothing."""
        body = record.body or {}
        if (
            record.header.type == RecordType.PROBLEM_REPORTED
            and body.get("problem") == RECORDS_LOST
        ):
            with suppress(ProtocolError):
                self.declared += lost_ranges(body)

    def undeclared(self) -> Iterator[str]:
        """Each range of which nobody said that it was lost."""
        for epoch, first, last in self.missing:
            if not any(self._covers(one, epoch, first, last) for one in self.declared):
                yield f"records {epoch}.{first} to {epoch}.{last} are missing, and it declared no such loss"

    @staticmethod
    def _covers(said: tuple[int, int, int | None], epoch: int, first: int, last: int) -> bool:
        return said[0] == epoch and said[1] <= first and (said[2] is None or last <= said[2])


def _sessions(found: Found, node: Node, retold: Retelling) -> None:
    # An invented past has no records, and what was billed from records set aside stands in no chain.
    told = Session.objects.filter(node=node).exclude(epoch__in=(EPOCH_OF_HISTORY, EPOCH_OF_ASIDE))
    rows = told.select_related("member").iterator(chunk_size=CHUNK)
    stored = {(one.epoch, one.seq): one for one in rows}
    found.sessions += len(stored)
    for place, use in retold.uses.items():
        where = f"session {place[0]}.{place[1]} of node {node.slug}"
        session = stored.pop(place, None)
        if session is None:
            if place not in retold.emptied:
                found.faults.append(f"{where}: its records are here and it is not")
            continue
        for name, said, held in _differences(use, session, place in retold.emptied):
            found.faults.append(f"{where}: {name} is {held!r}, its records say {said!r}")
    for epoch, seq in stored:
        found.faults.append(f"session {epoch}.{seq} of node {node.slug}: no record began it")


def _differences(use: Use, session: Session, emptied: bool) -> Iterator[tuple[str, Any, Any]]:
    # Records of a session that ended long ago may be emptied, some of them before others.
    if not emptied:
        member = session.member.public_id if session.member else None
        if member is not None and member != use.member:
            yield "member", use.member, member
    if session.enabled_ms < use.enabled_ms or (use.how and session.enabled_ms != use.enabled_ms):
        yield "enabled_ms", use.enabled_ms, session.enabled_ms
    if use.how and session.busy_ms != use.busy_ms:
        yield "busy_ms", use.busy_ms, session.busy_ms
    if use.how and session.how != use.how:
        yield "how", use.how, session.how
    if use.voided and not session.voided:
        yield "voided", True, False


_PRICED = ("session_id", "payer_id", "day", "cents", "price_cents", "steps")
_OPEN = Q(statement=None, session__isnull=False)
_Costs = dict[int, tuple[Any, ...]]
"""By session row: who pays, the day, the cents, and the steps they came by."""


def _lines(found: Found, lab: Lab, at: datetime, told: Told) -> None:
    """Every line that is still open costs the same when it is worked out again.

    Some payers at a time, since nobody else can write meanwhile: the hub goes on taking records in between.
    """
    owing = Line.objects.filter(_OPEN, lab=lab).values_list("payer", flat=True)
    using = Session.objects.filter(lab=lab, payer__isnull=False).values_list("payer", flat=True)
    payers = sorted({*owing.distinct(), *using.distinct()})
    before: _Costs = {}
    after: _Costs = {}
    for begin in range(0, len(payers), PAYERS_AT_ONCE):
        told("open prices", begin, len(payers))
        some = payers[begin : begin + PAYERS_AT_ONCE]
        with transaction.atomic():
            before |= _open_lines(lab, some)
            _price_anew(lab, some, at)
            after |= _open_lines(lab, some)
            transaction.set_rollback(True)
    found.lines += len(before)
    for session in sorted(before.keys() | after.keys()):
        was, costs = before.get(session), after.get(session)
        if was != costs:
            found.faults.append(
                f"line of session row {session}: it says {_cents(was)} and costs {_cents(costs)}"
            )


def _price_anew(lab: Lab, payers: list[int], at: datetime) -> None:
    ended = Session.objects.filter(lab=lab, payer__in=payers, ended_at__isnull=False)
    days = {billable_day(lab, session) for session in ended.iterator(chunk_size=CHUNK)}
    # A line whose steps are the same keeps its row: without them every one is written anew.
    Line.objects.filter(_OPEN, lab=lab, payer__in=payers).update(steps=[])
    reprice(lab, {day for day in days if day is not None}, at)


def _open_lines(lab: Lab, payers: list[int]) -> _Costs:
    rows = Line.objects.filter(_OPEN, lab=lab, payer__in=payers)
    return {
        session: (*facts[:-1], json.dumps(facts[-1], sort_keys=True))
        for session, *facts in rows.values_list(*_PRICED)
    }


def _cents(facts: tuple[Any, ...] | None) -> str:
    return "nothing" if facts is None else f"{facts[2]} cents ({facts[3]} before passes)"


def _rows(node: Node) -> Iterator[NodeRecord]:
    rows = NodeRecord.objects.filter(node=node).order_by("epoch", "seq")
    return rows.iterator(chunk_size=CHUNK)


def _record(row: NodeRecord, node: Node) -> Record:
    """The record a row holds. Raises ProtocolError: it is none any more."""
    try:
        body = None if row.body is None else json.loads(row.body)
    except ValueError as error:
        raise ProtocolError("its body is no JSON") from error
    # Another spelling of the same words has the same commitment, and is not what arrived.
    if body is not None and canonical.dumps(body).decode() != row.body:
        raise ProtocolError("its body is spelt otherwise")
    return read_record(
        {
            "v": 1,
            "node": node.slug,
            "epoch": row.epoch,
            "seq": row.seq,
            "boot_id": row.boot_id,
            "boot_ms": row.boot_ms,
            "wall_ms": row.wall_ms,
            "wall_trusted": row.wall_trusted,
            "type": row.type,
            "body": body,
            "salt": None if row.salt is None else bytes(row.salt).hex(),
            "commit": bytes(row.commit).hex(),
            "prev": bytes(row.prev).hex(),
            "hash": bytes(row.hash).hex(),
        }
    )
