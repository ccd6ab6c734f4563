"""Accepted records of one node to its sessions: read in one go, changed in memory, written in one go.

The number of queries does not depend on the number of records, so that a node that was offline for
a week costs a batch what a quiet one costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q

from interlock.core.model import Ending
from interlock.errors import ProtocolError
from interlock.hub.billing import Day, billable_day, day_of
from interlock.hub.cut import cut
from interlock.hub.models import Badge, Boot, ClockAnchor, Member, Node, Purpose, Session
from interlock.hub.standing import Standings
from interlock.hub.timeline import Anchor, moment, wall_ms_of
from interlock.protocol import fields
from interlock.protocol.records import Record, RecordType
from interlock.protocol.tags import TAG_BYTES

ABOUT_A_SESSION = frozenset(
    {
        RecordType.SESSION_PROGRESS,
        RecordType.SESSION_ENDED,
        RecordType.SESSION_VOIDED,
        RecordType.SUPERVISION_CONFIRMED,
        RecordType.LONG_JOB_DECLARED,
    }
)
WRITTEN_BY_RECORDS = (
    *("started_at", "ended_at", "provisional", "end_boot_id", "end_boot_ms"),
    *("enabled_ms", "busy_ms", "idle_ms", "how", "estimated", "voided", "voided_why", "tariff"),
    *("confirmations", "interlocks", "long_job"),
)
WRITTEN_BY_DATES = ("payer", "group", "purpose")
"""What a session has by its member's dated terms, once its own date is known."""
VOIDED_WHY_MAX = 200
REASON_MAX = 32
INTERLOCKS_MAX = 64
"""Names one record can give; a node declares a handful, each of at most 64 characters."""
SESSION_MS_MAX = 366 * 86_400 * 1_000
"""No session lasts a year: a longer one is a broken counter, and would not fit a calendar."""


class Timeline:
    """What time it was, for every boot that a batch or its sessions mention."""

    def __init__(self, node: Node, records: list[Record], arrived_ms: int) -> None:
        self._arrived_ms = arrived_ms
        self._newest_ms: dict[str, int] = defaultdict(int)
        for record in records:
            boot_id = record.header.boot_id
            self._newest_ms[boot_id] = max(self._newest_ms[boot_id], record.header.boot_ms)
        self._node = node
        self._boots = _boots(node, set(self._newest_ms))
        self._new: list[ClockAnchor] = []
        self._anchors: dict[str, list[Anchor]] = {}
        self.newly_anchored: set[str] = set()
        self.load(set(self._newest_ms))

    def load(self, boot_ids: set[str]) -> None:
        """The stored anchors of those boots count too."""
        missing = boot_ids - set(self._anchors)
        if not missing:
            return
        self._anchors.update((boot_id, []) for boot_id in missing)
        stored = ClockAnchor.objects.filter(boot__node=self._node, boot__boot_id__in=missing)
        for anchor in stored.select_related("boot"):
            self._anchors[anchor.boot.boot_id].append(Anchor(anchor.boot_ms, anchor.wall_ms))

    def add(self, record: Record) -> None:
        """The anchor in `record` counts from now on. Raises ProtocolError."""
        header = record.header
        wall_ms = fields.integer(record.body or {}, "wall_ms")
        if not self._anchors[header.boot_id]:
            self.newly_anchored.add(header.boot_id)
        anchor = Anchor(header.boot_ms, wall_ms)
        if all(known.boot_ms != header.boot_ms for known in self._anchors[header.boot_id]):
            self._anchors[header.boot_id].append(anchor)
            self._new.append(
                ClockAnchor(
                    boot=self._boots[header.boot_id], boot_ms=header.boot_ms, wall_ms=wall_ms
                )
            )

    def save(self) -> None:
        """The anchors added are stored."""
        if self._new:
            ClockAnchor.objects.bulk_create(self._new)

    def known(self, boot_id: str, boot_ms: int) -> datetime | None:
        """UTC at that instant, None when no anchor of that boot has arrived."""
        wall_ms = wall_ms_of(boot_ms, self._anchors.get(boot_id, []))
        return None if wall_ms is None else moment(wall_ms)

    def of(self, record: Record) -> tuple[datetime, bool]:
        """UTC of a record and whether it is provisional: the node's trusted clock, or its arrival."""
        header = record.header
        anchored = self.known(header.boot_id, header.boot_ms)
        if anchored is not None:
            return anchored, False
        if header.wall_trusted and header.wall_ms is not None:
            return moment(header.wall_ms), True
        # The youngest record of its boot is taken to be from just now.
        return moment(self._arrived_ms - self._newest_ms[header.boot_id] + header.boot_ms), True


class SessionBook:
    """The sessions a batch starts, continues, ends or dates anew."""

    def __init__(self, node: Node, records: list[Record], timeline: Timeline) -> None:
        self._node = node
        self._machine = node.machine
        self._timeline = timeline
        self._members, self._badges = _people(node, records)
        self._sessions = _mentioned(node, records)
        timeline.load({session.start_boot_id for session in self._sessions.values()})
        self._standings = Standings()
        self._standings.load(
            {member.pk for member in self._members.values()} | _members_of(self._sessions.values())
        )
        self._restood = False
        self.created: list[Session] = []
        self.touched: dict[tuple[int, int], Session] = {}
        self.unknown_members: list[str] = []
        self.strangers: list[Session] = []
        self.left_open: list[Session] = []
        self._days: set[Day] = set()
        self._used_on: set[date] = set()
        self._tariffs: list[tuple[datetime, int | None]] | None = None

    def start(self, record: Record) -> Session:
        """The session that `record` began. Raises ProtocolError."""
        body = record.body or {}
        tag, would_refuse = start_of(body)
        member = self._member(record, "member")
        started_at, provisional = self._timeline.of(record)
        standing = self._standings.of(member, started_at) if member else None
        session = Session(
            lab_id=self._node.lab_id,
            machine=self._machine,
            node=self._node,
            epoch=record.header.epoch,
            seq=record.header.seq,
            member=member,
            badge=self._badges.get(tag),
            payer_id=standing.pays() if standing else None,
            group_id=standing.group_id if standing else None,
            purpose=standing.purpose if standing else Purpose.OWN,
            tariff_id=self._tariff_at(started_at, self._machine.tariff_id),
            started_at=started_at,
            provisional=provisional,
            start_boot_id=record.header.boot_id,
            start_boot_ms=record.header.boot_ms,
            supervisor=self._member(record, "supervisor"),
            second=self._member(record, "second"),
            would_refuse=would_refuse[:REASON_MAX],
        )
        if body.get("member") is None:
            self.strangers.append(session)
        self._sessions[session.epoch, session.seq] = session
        self.created.append(session)
        return session

    def progress(self, record: Record) -> tuple[Session, bool | None]:
        """The session with its new totals, and whether the machine worked since the last report
        (None: no sensor told). Raises ProtocolError."""
        session = self._open(record)
        busy_ms, idle_ms = session.busy_ms, session.idle_ms
        self._measure(session, record)
        if session.busy_ms > busy_ms:
            return session, True
        return session, (False if session.idle_ms > idle_ms else None)

    def end(self, record: Record) -> Session:
        """The session that `record` ended. Raises ProtocolError."""
        how, estimated, interlocks = ending_of(record.body or {})
        session = self._session(record)
        # An estimate of ours gives way to the node's own, which its disk may have held up.
        if not (estimated and session.estimated and not session.voided):
            session = self._open(record)
        self._measure(session, record)
        session.how, session.estimated = how.value, estimated
        session.interlocks = interlocks
        if not estimated:
            session.end_boot_id = record.header.boot_id
            session.end_boot_ms = record.header.boot_ms
        self._date(session, fallback=self._timeline.of(record)[0])
        return session

    def void(self, record: Record) -> Session:
        """The session that `record` declares never powered: it is not billed. Raises ProtocolError."""
        session = self._session(record)
        why = fields.text(record.body or {}, "why")
        detail = fields.optional_text(record.body or {}, "detail")
        self._touch(session)
        session.voided, session.voided_why = True, why[:VOIDED_WHY_MAX]
        session.interlocks = [] if detail is None else [detail]
        session.ended_at = session.ended_at or session.started_at
        return session

    def confirm(self, record: Record) -> None:
        """The supervisor of the session is still there. Raises ProtocolError."""
        session = self._session(record)
        self._touch(session)
        session.confirmations += 1

    def declare_long_job(self, record: Record) -> None:
        """The session goes on without its badge. Raises ProtocolError."""
        session = self._session(record)
        self._touch(session)
        session.long_job = True

    def cut_all(self) -> list[Session]:
        """Every open session of this node is over: the process that ran it is dead, and a living one
        would have ended it before it said so."""
        found = [one for one in self._sessions.values() if not (one.how or one.voided)]
        for session in found:
            self._cut(session)
        return found

    def supersede(self, session: Session | None) -> bool:
        """Whether `session` was an open one of this node, that the start of another ended."""
        own = None if session is None else self._sessions.get((session.epoch, session.seq))
        if session is None or own is None or session.node_id != self._node.pk:
            return False
        if not (own.how or own.voided):
            self._cut(own)
        return True

    def date_again(self) -> None:
        """Sessions of boots that were anchored by this batch carry their real times."""
        boots = self._timeline.newly_anchored
        if not boots:
            return
        stale = Session.objects.filter(node=self._node, provisional=True).filter(
            Q(start_boot_id__in=boots) | Q(end_boot_id__in=boots)
        )
        for stored in stale:
            self._sessions.setdefault((stored.epoch, stored.seq), stored)
        self._timeline.load(
            {session.start_boot_id for session in stale}
            | {session.end_boot_id for session in stale if session.end_boot_id}
        )
        self._standings.load(_members_of(stale))
        for session in self._sessions.values():
            if session.provisional and boots & {session.start_boot_id, session.end_boot_id}:
                self._date(session, fallback=session.ended_at)

    def days(self) -> set[Day]:
        """The days, as they were and as they are, whose prices the changes may have altered."""
        return self._days.union(*(self._day(session) for session in self.touched.values()))

    def used_on(self) -> set[date]:
        """The lab's days, as they were and as they are, whose sums for reports the changes may have altered."""
        return self._used_on.union(*(self._use_day(one) for one in self.touched.values()))

    def save(self) -> None:
        """Everything above is stored, in two statements."""
        if self.created:
            Session.objects.bulk_create(self.created)
        new = {(session.epoch, session.seq) for session in self.created}
        older = [session for key, session in self.touched.items() if key not in new]
        if older:
            by_dates = WRITTEN_BY_DATES if self._restood else ()
            Session.objects.bulk_update(older, (*WRITTEN_BY_RECORDS, *by_dates))

    def _cut(self, session: Session) -> None:
        self._touch(session)
        cut(session)
        self.left_open.append(session)

    def practised(self) -> list[Session]:
        """The sessions this batch changed that are over and dated by an anchor: proof of practice."""
        return [one for one in self.touched.values() if one.how and not one.provisional]

    def _member(self, record: Record, role: str) -> Member | None:
        """Whom the record names in that role; somebody the hub does not know is said. Raises ProtocolError."""
        public_id = fields.optional_text(record.body or {}, role)
        member = None if public_id is None else self._members.get(public_id)
        if public_id is not None and member is None:
            self.unknown_members.append(f"{record.id}: {public_id[:64]}")
        return member

    def _session(self, record: Record) -> Session:
        key = session_key(record)
        session = self._sessions.get(key)
        if session is None:
            raise ProtocolError(f"it speaks of session {key[0]}.{key[1]}, which never started")
        return session

    def _open(self, record: Record) -> Session:
        session = self._session(record)
        if session.how or session.voided:
            raise ProtocolError(f"session {session} had ended before")
        return session

    def _measure(self, session: Session, record: Record) -> None:
        enabled_ms, busy_ms, idle_ms = totals_of(record.body or {})
        self._touch(session)
        # Totals since the start: a report can only add.
        session.enabled_ms = max(session.enabled_ms, enabled_ms)
        session.busy_ms = max(session.busy_ms, busy_ms)
        # Reports that contradict each other leave at most the time there was: never more than enabled.
        session.idle_ms = min(max(session.idle_ms, idle_ms), session.enabled_ms - session.busy_ms)

    def _date(self, session: Session, *, fallback: datetime | None) -> None:
        """Start and end from anchors where they are; a cut session ends at its last proof of life."""
        self._touch(session)
        started_at = self._timeline.known(session.start_boot_id, session.start_boot_ms)
        session.started_at = started_at or session.started_at
        session.provisional = started_at is None
        session.tariff_id = self._tariff_at(session.started_at, session.tariff_id)
        self._stand(session)
        if not session.how:
            return
        if session.end_boot_ms is None:
            session.ended_at = session.started_at + timedelta(milliseconds=session.enabled_ms)
            return
        ended_at = self._timeline.known(session.end_boot_id, session.end_boot_ms)
        session.provisional = session.provisional or ended_at is None
        session.ended_at = max(ended_at or fallback or session.started_at, session.started_at)

    def _stand(self, session: Session) -> None:
        """Group and payer are those its member had when it began, unless somebody chose others."""
        if session.member_id is None or session.reassigned:
            return
        standing = self._standings.dated(session.member_id, session.started_at)
        if standing is None:
            return
        terms = (standing.group_id, standing.pays(), standing.purpose)
        if terms != (session.group_id, session.payer_id, session.purpose):
            session.group_id, session.payer_id, session.purpose = terms
            self._restood = True

    def _tariff_at(self, at: datetime, known: int | None) -> int | None:
        """What the machine cost by at that moment; `known` when its tariff never changed."""
        if self._tariffs is None:
            history = self._machine.tariff_history.values_list("starts_at", "tariff_id")
            self._tariffs = list(history)
        return next((tariff for since, tariff in self._tariffs if since <= at), known)

    def _touch(self, session: Session) -> None:
        """Called before a session changes: the day it leaves has to be priced again too."""
        if (session.epoch, session.seq) not in self.touched:
            self.touched[session.epoch, session.seq] = session
            self._days |= self._day(session)
            self._used_on |= self._use_day(session)

    def _use_day(self, session: Session) -> set[date]:
        ended_at = session.ended_at
        return set() if ended_at is None else {day_of(self._node.lab, ended_at)}

    def _day(self, session: Session) -> set[Day]:
        day = billable_day(self._node.lab, session)
        return set() if day is None else {day}


def start_of(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """The tag that began a session and why it would have been refused. Raises ProtocolError."""
    for role in ("member", "supervisor", "second"):
        fields.optional_text(body, role)
    would_refuse = fields.optional_text(body, "would_refuse") or ""
    if body.get("member") is None and not would_refuse:
        raise ProtocolError("it names nobody, and no reason to refuse them")
    return fields.octets(body, "tag", TAG_BYTES), would_refuse


def totals_of(body: Mapping[str, Any]) -> tuple[int, int, int]:
    """Milliseconds enabled, busy and idle since the start. Raises ProtocolError."""
    enabled_ms, busy_ms, idle_ms = (
        fields.integer(body, key, high=SESSION_MS_MAX)
        for key in ("enabled_ms", "busy_ms", "idle_ms")
    )
    if busy_ms + idle_ms > enabled_ms:
        raise ProtocolError("it counts more busy and idle time than enabled time")
    return enabled_ms, busy_ms, idle_ms


def ending_of(body: Mapping[str, Any]) -> tuple[Ending, bool, list[str]]:
    """How a session ended, whether that is an estimate, and the interlocks that ended it. Raises ProtocolError."""
    how = fields.choice(body, "how", Ending)
    return how, fields.flag(body, "estimated"), _names(body)


def session_key(record: Record) -> tuple[int, int]:
    """(epoch, seq) of the session a record speaks of. Raises ProtocolError."""
    text = fields.text(record.body or {}, "session", length_max=41)
    epoch, dot, seq = text.partition(".")
    if not (dot and epoch.isascii() and epoch.isdigit() and seq.isascii() and seq.isdigit()):
        raise ProtocolError("session must be EPOCH.SEQ")
    key = int(epoch), int(seq)
    if max(key) > fields.INT_MAX:
        raise ProtocolError("session names a number that no record can have")
    return key


def _mentioned(node: Node, records: Sequence[Record]) -> dict[tuple[int, int], Session]:
    """Stored sessions that `records` speak of, and those that they prove to be over."""
    keys = set()
    types = {record.header.type for record in records}
    for record in records:
        if record.header.type in ABOUT_A_SESSION:
            try:
                keys.add(session_key(record))
            except ProtocolError:
                continue  # reported when the record is applied
    wanted = Q()
    if RecordType.BOOT in types:
        wanted |= Q(how="", voided=False)
    if RecordType.SESSION_STARTED in types and node.machine.live_session_id is not None:
        wanted |= Q(pk=node.machine.live_session_id)
    for epoch in {epoch for epoch, _ in keys}:
        wanted |= Q(epoch=epoch, seq__in=[seq for of, seq in keys if of == epoch])
    if not wanted:
        return {}
    found = Session.objects.filter(wanted, node=node)
    return {(session.epoch, session.seq): session for session in found}


def _members_of(sessions: Iterable[Session]) -> set[int]:
    return {session.member_id for session in sessions if session.member_id is not None}


def _people(node: Node, records: Iterable[Record]) -> tuple[dict[str, Member], dict[bytes, Badge]]:
    """The members named in starts of sessions and the badges that made them, by opaque id and by tag."""
    bodies: list[Mapping[str, Any]] = [
        record.body or {} for record in records if record.header.type is RecordType.SESSION_STARTED
    ]
    roles = ("member", "supervisor", "second")
    named = (body.get(role) for body in bodies for role in roles)
    ids = {public_id for public_id in named if isinstance(public_id, str)}
    tags = set()
    for body in bodies:
        try:
            tags.add(fields.octets(body, "tag", TAG_BYTES))
        except ProtocolError:
            continue  # reported when the record is applied
    members = Member.objects.filter(lab=node.lab_id, public_id__in=ids) if ids else ()
    badges = Badge.objects.filter(lab=node.lab_id, tag__in=tags) if tags else ()
    return (
        {member.public_id: member for member in members},
        {bytes(badge.tag): badge for badge in badges},
    )


def _names(body: Mapping[str, Any]) -> list[str]:
    """The interlocks that ended a session. Raises ProtocolError."""
    listed = body.get("interlocks", [])
    if not isinstance(listed, list) or len(listed) > INTERLOCKS_MAX:
        raise ProtocolError(f"interlocks must be a list of at most {INTERLOCKS_MAX} names")
    return [fields.text({"name": name}, "name", length_max=64) for name in listed]


def _boots(node: Node, boot_ids: set[str]) -> dict[str, Boot]:
    """The boots of that name, made where they are new."""
    found = {boot.boot_id: boot for boot in Boot.objects.filter(node=node, boot_id__in=boot_ids)}
    new = [Boot(node=node, boot_id=boot_id) for boot_id in sorted(boot_ids - set(found))]
    if new:
        found.update((boot.boot_id, boot) for boot in Boot.objects.bulk_create(new))
    return found
