"""A batch of journal records to stored records, sessions, prices and the board: exactly once.

Everything a batch changes is one transaction, answered with the head it left; so a batch that is
sent again (its answer was lost, the hub died) finds its records stored and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from interlock.clock import Clock
from interlock.core.model import Fault
from interlock.errors import ProtocolError
from interlock.hub import downtime, live, machine_reports, rollup
from interlock.hub.alarms import ask_to_check, close_alarm, raise_alarm
from interlock.hub.billing import reprice
from interlock.hub.chain import ASIDE, Checked, Position, Standing, check, classify
from interlock.hub.changes import log_change
from interlock.hub.cut import cut_open_sessions
from interlock.hub.domain import grants
from interlock.hub.erased import all_digests_of
from interlock.hub.models import (
    AlarmKind,
    Authorisation,
    Node,
    NodeRecord,
    Session,
    SetAside,
    Topic,
    UseSetAside,
)
from interlock.hub.problems import alarm_of
from interlock.hub.refusals import Refusals
from interlock.hub.sessions import SessionBook, Timeline
from interlock.hub.timeline import moment
from interlock.hub.unknown_types import UnknownType, read_record
from interlock.protocol import canonical
from interlock.protocol.erasure import names_any
from interlock.protocol.records import Head, Record, RecordType

SET_ASIDE_MAX = 10_000
"""Contradictions kept per node; a lying node must not fill the disk, its alarm counts on."""

PRACTICE_EVERY = timedelta(days=1)
"""How exactly practice is dated: finer would renew every node's snapshot at each session."""

Noticed = dict[AlarmKind, list[str]]
"""What somebody has to look at, by kind: one alarm for a batch, however much it says."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: the head after it, and what was set aside and why."""

    head: Head
    set_aside: tuple[tuple[int, int, str], ...]

    def to_wire(self) -> dict[str, Any]:
        """The fields of the hub's answer (protocol.hubapi)."""
        return {
            "head": self.head.to_wire(),
            "set_aside": [
                {"epoch": epoch, "seq": seq, "why": why} for epoch, seq, why in self.set_aside
            ],
        }


def take(node: Node, wires: Sequence[dict[str, Any]], clock: Clock) -> Taken:
    """The batch is stored and has had its effects, once. Raises ProtocolError for a malformed record
    or one in another node's name: then nothing at all was changed."""
    batch = [check(_own(node, wire), bytes(node.chain_key)) for wire in wires]
    arrived_ms = clock.wall_ms()
    with transaction.atomic():
        locked = Node.objects.select_for_update(of=("self",)).select_related(
            "lab", "machine__live_session"
        )
        return _take(locked.get(pk=node.pk), batch, arrived_ms, clock)


def head_of(node: Node) -> Head:
    """The last record of `node` up to which the hub holds everything."""
    return Head(node.head_epoch, node.head_seq, bytes(node.head_hash))


def _own(node: Node, wire: dict[str, Any]) -> Record:
    record = read_record(wire)
    if record.header.node != node.slug:
        raise ProtocolError(
            f"record {record.id} is in the name of {record.header.node!r:.70}",
            where=f"node {node.slug}",
            remedy="A node reports its own records only",
        )
    return record


def _take(node: Node, batch: list[Checked], arrived_ms: int, clock: Clock) -> Taken:
    at, before = moment(arrived_ms), head_of(node)
    sorted_out = classify(batch, before, _stored(node, batch), node.journal_epoch)
    pairs = list(zip(batch, sorted_out.standings, strict=True))
    new = [checked.record for checked, standing in pairs if standing is Standing.NEW]
    aside = [(checked, standing) for checked, standing in pairs if standing in ASIDE]
    early = [checked.record.id for checked, standing in pairs if standing is Standing.EARLY]
    head = sorted_out.head
    if sorted_out.holes:
        raise_alarm(node, AlarmKind.RECORDS_LOST, _in_words(sorted_out.holes), at)
    if new:
        _apply(node, new, arrived_ms, clock)
        node.head_epoch, node.head_seq, node.head_hash = head.epoch, head.seq, head.hash
        node.save(update_fields=["head_epoch", "head_seq", "head_hash", "config_digest"])
        close_alarm(node, AlarmKind.RECORDS_MISSING, at)
    elif early:
        detail = f"{early[0]} arrived, the last one before it is {before.epoch}.{before.seq}"
        raise_alarm(node, AlarmKind.RECORDS_MISSING, detail, at)
    if aside:
        _set_aside(node, aside, at)
    if new or aside or early:
        log_change(node.lab, Topic.USE, "records", node.machine.slug, at)
    return Taken(head, tuple((*checked.position, standing.value) for checked, standing in aside))


def _stored(node: Node, batch: list[Checked]) -> dict[Position, bytes]:
    """Hashes of the batch's positions that are stored: none can be when all are behind the head."""
    positions = [checked.position for checked in batch]
    known = [position for position in positions if position <= (node.head_epoch, node.head_seq)]
    if not known:
        return {}
    rows = NodeRecord.objects.filter(
        node=node,
        epoch__in={epoch for epoch, _ in known},
        seq__gte=min(seq for _, seq in known),
        seq__lte=max(seq for _, seq in known),
        seq__in={seq for _, seq in known},
    ).values_list("epoch", "seq", "hash")
    return {(epoch, seq): bytes(hash_) for epoch, seq, hash_ in rows}


def _apply(node: Node, records: list[Record], arrived_ms: int, clock: Clock) -> None:
    """`records` are stored and have their effects on sessions, prices, practice and the board."""
    at, state_before = moment(arrived_ms), node.machine.live_state
    erased = all_digests_of(node.lab)
    late = {record.id for record in records if names_any(record.body or {}, erased)}
    NodeRecord.objects.bulk_create([_row(node, _unsaid(record, late), at) for record in records])
    timeline = Timeline(node, records, arrived_ms)
    book = SessionBook(node, records, timeline)
    whole = [record for record in records if record.body is not None]
    anchors = [r for r in whole if r.header.type is RecordType.CLOCK_ANCHORED]
    # A clock that becomes known dates every record of its boot, the earlier ones too.
    complaints = _each(anchors, timeline.add)
    noticed: Noticed = defaultdict(list)
    complaints += _each(whole, lambda record: _apply_one(node, book, timeline, record, noticed))
    granted = [r for r in whole if r.header.type is RecordType.TRAINING_GRANTED]
    complaints += _each(granted, lambda record: _grant(node, record, clock))
    refusals = Refusals(node)
    refused = [record for record in whole if record.header.type is RecordType.REFUSED]
    complaints += _each(refused, lambda record: refusals.add(record, timeline.of(record)[0]))
    refusals.save(at)
    book.date_again()
    timeline.save()
    book.save()
    node.machine.save(update_fields=live.LIVE_FIELDS)
    if node.machine.live_state != state_before:
        downtime.follow(node.machine, at)
    reprice(node.lab, book.days(), at)
    rollup.mark(node.lab, book.used_on())
    _note_practice(node, book.practised(), at)
    if book.left_open:
        ask_to_check(node, book.left_open, "no record says how it ended", at)
    if book.strangers:
        ask_to_check(node, book.strangers, "of somebody nobody knows: billed to nobody", at)
    for kind, details in (
        (AlarmKind.RECORD_UNREADABLE, complaints),
        *noticed.items(),
        (AlarmKind.MEMBER_UNKNOWN, [one for one in book.unknown_members if not _of(one, late)]),
    ):
        if details:
            raise_alarm(node, kind, "; ".join(details), at)


def _unsaid(record: Record, late: set[str]) -> Record:
    """`record`, without its words where it tells of somebody who was erased before it arrived."""
    return replace(record, body=None, salt=None) if record.id in late else record


def _of(complaint: str, records: set[str]) -> bool:
    return complaint.partition(":")[0] in records


def _each(records: Iterable[Record], apply: Callable[[Record], None]) -> list[str]:
    """`apply` to every record; what is said of those that make no sense: they are stored all the
    same (they are the node's word), but have no effect."""
    complaints = []
    for record in records:
        try:
            apply(record)
        except ProtocolError as error:
            complaints.append(f"{record.id} {record.header.type}: {error.what}")
    return complaints


def _apply_one(
    node: Node, book: SessionBook, timeline: Timeline, record: Record, noticed: Noticed
) -> None:
    machine = node.machine
    _apply_to_machine(node, timeline, record, noticed)
    match record.header.type:
        case RecordType.SESSION_STARTED:
            running = machine.live_session
            live.session_began(machine, book.start(record))
            if running is not None:
                noticed[AlarmKind.SESSION_OVERLAP].append(f"{record.id} during {running}")
                _supersede(book, running, timeline.of(record)[0])
        case RecordType.BOOT:
            for session in book.cut_all():
                live.session_over(machine, session)
        case RecordType.SESSION_PROGRESS:
            live.session_went_on(machine, *book.progress(record))
        case RecordType.SESSION_ENDED:
            live.session_over(machine, book.end(record))
        case RecordType.SESSION_VOIDED:
            live.session_over(machine, book.void(record))
        case RecordType.SUPERVISION_CONFIRMED:
            book.confirm(record)
        case RecordType.LONG_JOB_DECLARED:
            book.declare_long_job(record)
        case (
            RecordType.FAULT_RAISED
            | RecordType.FAULT_CLEARED
            | RecordType.LOCK_OUT_SET
            | RecordType.LOCK_OUT_CLEARED
        ):
            live.state_reported(machine, record, timeline.of(record)[0])
        case RecordType.PROBLEM_REPORTED:
            kind, detail = alarm_of(record.body or {})
            noticed[kind].append(detail)
        case UnknownType() as unknown:
            noticed[AlarmKind.RECORD_UNKNOWN].append(f"{record.id} {unknown}")
        case _:
            pass  # stored, shown and replayed; nothing else follows from it


def _apply_to_machine(node: Node, timeline: Timeline, record: Record, noticed: Noticed) -> None:
    """What `record` says of the machine whoever uses it. Raises ProtocolError."""
    body, at = record.body or {}, timeline.of(record)[0]
    match record.header.type:
        case RecordType.BOOT:
            machine_reports.wiring(node, body, "config_digest")
            # A key that is still on says so again.
            live.bypass_turned(node.machine, None, at)
        case RecordType.CONFIGURATION_CHANGED:
            machine_reports.wiring(node, body, "digest")
        case RecordType.COMMISSIONED:
            machine_reports.commissioned(node, record, at)
        case RecordType.UNMETERED_USE:
            if machine_reports.unmetered(node, record, at):
                noticed[AlarmKind.BYPASS_USED].append(record.id)
        case RecordType.FAULT_RAISED if body.get("fault") == Fault.UNEXPECTED_START:
            noticed[AlarmKind.UNEXPECTED_START].append(record.id)
        case _:
            pass  # about people, or nothing follows from it


def _grant(node: Node, record: Record, clock: Clock) -> None:
    """A training granted at the machine counts, waits to be confirmed, or is alarmed. Raises ProtocolError."""
    said = grants.read_grant(record.id, record.body or {})
    for refused in grants.take(node, said, clock):
        at = moment(clock.wall_ms())
        raise_alarm(node, AlarmKind.GRANT_REFUSED, refused.why, at, badge=refused.badge)


def _supersede(book: SessionBook, running: Session, at: datetime) -> None:
    """One machine runs one session: the one before is over, whatever became of its end."""
    if not book.supersede(running):
        cut_open_sessions(running.node, "another one began", at)


def _note_practice(node: Node, ended: list[Session], at: datetime) -> None:
    """Whoever used the machine practised its trainings that lapse, to the day. A guessed date would
    keep a training alive that nobody practised."""
    latest: dict[int, datetime] = {}
    for session in ended:
        if session.member_id is not None and session.ended_at is not None and session.enabled_ms:
            known = latest.get(session.member_id, session.ended_at)
            latest[session.member_id] = max(known, session.ended_at)
    if not latest:
        return
    held = Authorisation.objects.filter(
        member__in=latest,
        revoked_at=None,
        training__machines=node.machine,
        training__lapse_days__isnull=False,
    )
    moved = []
    for authorisation in held:
        practised_at = min(latest[authorisation.member_id], at)
        known_at = authorisation.practised_at
        if known_at is None or practised_at - known_at >= PRACTICE_EVERY:
            authorisation.practised_at = practised_at
            moved.append(authorisation)
    if moved:
        Authorisation.objects.bulk_update(moved, ["practised_at"])
        log_change(node.lab, Topic.RIGHTS, "practised", node.machine.slug, at)


def _set_aside(node: Node, aside: list[tuple[Checked, Standing]], at: datetime) -> None:
    """Each contradiction is kept once, word for word, and somebody is told."""
    erased = all_digests_of(node.lab)
    late = {c.record.id for c, _ in aside if names_any(c.record.body or {}, erased)}
    room = SET_ASIDE_MAX - SetAside.objects.filter(node=node).count()
    rows = [
        SetAside(
            lab_id=node.lab_id,
            node=node,
            epoch=checked.record.header.epoch,
            seq=checked.record.header.seq,
            hash=checked.record.hash,
            why=standing.value,
            wire=canonical.dumps(_unsaid(checked.record, late).to_wire()).decode(),
            arrived_at=at,
        )
        for checked, standing in aside
    ]
    SetAside.objects.bulk_create(rows[: max(0, room)], ignore_conflicts=True)
    _ask_about_uses(node, [checked.record for checked, _ in aside if checked.record.id not in late])
    detail = "; ".join(f"{checked.record.id} {standing.value}" for checked, standing in aside)
    raise_alarm(node, AlarmKind.RECORDS_SET_ASIDE, detail, at)


def _ask_about_uses(node: Node, records: Iterable[Record]) -> None:
    """Somebody decides about every use that begins among the records that were just set aside."""
    starts = {one.hash for one in records if one.header.type is RecordType.SESSION_STARTED}
    kept = (
        SetAside.objects.filter(node=node, hash__in=starts) if starts else SetAside.objects.none()
    )
    UseSetAside.objects.bulk_create(
        [UseSetAside(lab_id=node.lab_id, start=one) for one in kept.order_by("pk")],
        ignore_conflicts=True,
    )


def _row(node: Node, record: Record, at: datetime) -> NodeRecord:
    header = record.header
    return NodeRecord(
        lab_id=node.lab_id,
        node=node,
        epoch=header.epoch,
        seq=header.seq,
        boot_id=header.boot_id,
        boot_ms=header.boot_ms,
        wall_ms=header.wall_ms,
        wall_trusted=header.wall_trusted,
        type=header.type.value,
        body=None if record.body is None else canonical.dumps(dict(record.body)).decode(),
        salt=record.salt,
        commit=record.commit,
        prev=record.prev,
        hash=record.hash,
        received_at=at,
    )


def _in_words(holes: Sequence[tuple[Position, Position]]) -> str:
    return "; ".join(
        f"nothing between {before[0]}.{before[1]} and {after[0]}.{after[1]}"
        for before, after in holes
    )
