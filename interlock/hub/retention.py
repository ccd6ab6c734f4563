"""A lab's tables in, the same without what is older than its promised time out (5-hub.md, "Privacy").

Every limit stands here with its reason; docs/privacy.md and the privacy page read them from here.

    taps and refusals      90 days     why somebody was refused is settled within a term; counts by machine,
                                       day and reason stay, and name nobody
    sessions with names    36 months   three years of reports, then the use stays and the person does not
    audit words            12 months   CNIL: logs of access and change are kept 6 months to a year; links stay,
                                       so that the chain still verifies
    looks at usage         12 months   as audit rows
    changes                12 months   their subjects name members
    billed lines           10 years    Code de commerce, art. L123-22

Records are emptied, not removed: body and salt go, commitment and links stay. Everything is done in short
transactions, so that no page or node waits for a night's work.
"""

from __future__ import annotations

import json
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from interlock.hub import rollup
from interlock.hub.models import (
    Alarm,
    AuditRow,
    ChangeLog,
    Lab,
    Line,
    NodeRecord,
    PayerKind,
    RefusalCount,
    Session,
    SetAside,
    UsageView,
)
from interlock.hub.problems import RECORDS_LOST
from interlock.protocol.records import RecordType

REFUSAL_DAYS = 90
SESSION_MONTHS = 36
AUDIT_MONTHS = 12
LOOK_MONTHS = 12
CHANGE_MONTHS = 12
ALARM_MONTHS = 12
LINE_YEARS = 10

CHUNK = 500
"""Rows in one transaction: some milliseconds, so that no node's batch waits."""

OF_NO_PERSON = (
    *(RecordType.BOOT, RecordType.CLOCK_ANCHORED, RecordType.CONFIGURATION_CHANGED),
    *(RecordType.FAULT_RAISED, RecordType.LOCK_OUT_SET, RecordType.UNMETERED_USE),
)
"""Records whose bodies tell of the machine alone; they stay as long as the machine."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows a run emptied, made anonymous or removed."""

    refusals: int
    records: int
    sessions: int
    audit_rows: int
    others: int

    def __str__(self) -> str:
        return (
            f"{self.refusals} refusals and {self.records} records emptied, "
            f"{self.sessions} sessions anonymous, {self.audit_rows} audit rows emptied, "
            f"{self.others} other rows removed"
        )


def forget_old(lab: Lab, at: datetime) -> Forgotten:
    """Nothing of `lab` is older than promised."""
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    oldest_session = months_before(at, SESSION_MONTHS)
    return Forgotten(
        refusals=_forget_refusals(lab, at - timedelta(days=REFUSAL_DAYS), zone),
        records=_forget_bodies(lab, oldest_session),
        sessions=_make_anonymous(lab, oldest_session),
        audit_rows=_forget_audit(lab, months_before(at, AUDIT_MONTHS)),
        others=_remove_old(lab, at, zone),
    )


def months_before(at: datetime, months: int) -> datetime:
    """The same day that many months ago; the month's last where it is shorter."""
    year, month = divmod(at.year * 12 + at.month - 1 - months, 12)
    first = at.replace(year=year, month=month + 1, day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)
    return first.replace(day=min(at.day, (next_month - timedelta(days=1)).day))


def _forget_refusals(lab: Lab, before: datetime, zone: zoneinfo.ZoneInfo) -> int:
    """Refused records have no body any more; how many there were of each reason is counted."""
    old = NodeRecord.objects.filter(
        lab=lab, type=RecordType.REFUSED.value, received_at__lte=before, body__isnull=False
    ).select_related("node")
    return sum(_count_and_empty(lab, chunk, zone) for chunk in _chunks(old))


@transaction.atomic
def _count_and_empty(lab: Lab, records: list[NodeRecord], zone: zoneinfo.ZoneInfo) -> int:
    counts: Counter[tuple[int, date, str]] = Counter()
    for record in records:
        reason, count = _refusal(record.body or "")
        day = _moment_of(record).astimezone(zone).date()
        counts[record.node.machine_id, day, reason] += count
    for (machine, day, reason), count in sorted(counts.items()):
        RefusalCount.objects.get_or_create(
            lab=lab, machine_id=machine, day=day, reason=reason, defaults={"count": 0}
        )
        RefusalCount.objects.filter(machine=machine, day=day, reason=reason).update(
            count=F("count") + count
        )
    return empty(NodeRecord.objects.filter(pk__in=[record.pk for record in records]))


def empty(records: QuerySet[NodeRecord]) -> int:
    """The records say "erased": commitment and links stay, so that the chain verifies."""
    return records.update(body=None, salt=None)


def _forget_bodies(lab: Lab, before: datetime) -> int:
    """Records about people end with the sessions they tell of; which records were lost is about nobody."""
    losses = Q(type=RecordType.PROBLEM_REPORTED.value, body__contains=f'"{RECORDS_LOST}"')
    old = (
        NodeRecord.objects.filter(lab=lab, received_at__lte=before, body__isnull=False)
        .exclude(type__in=[one.value for one in OF_NO_PERSON])
        .exclude(losses)
    )
    return sum(
        empty(NodeRecord.objects.filter(pk__in=[record.pk for record in chunk]))
        for chunk in _chunks(old)
    )


def _make_anonymous(lab: Lab, before: datetime) -> int:
    """Use stays, with its group, purpose and price; who it was does not. A session that goes on is left."""
    named = Session.objects.filter(lab=lab, ended_at__lte=before)
    old = named.filter(_NAMES_SOMEBODY)
    count = 0
    for chunk in _chunks(old):
        keys = [session.pk for session in chunk]
        with transaction.atomic():
            Line.objects.filter(used_in__in=keys).update(member=None)
            count += Session.objects.filter(pk__in=keys).update(
                member=None, badge=None, supervisor=None, second=None
            )
            rollup.mark_sessions(lab, chunk)
            # Whoever pays for themselves is named by their payer; its line and statement stay.
            Session.objects.filter(pk__in=keys, payer__kind=PayerKind.PERSON).update(payer=None)
    # The sums of reports named them too: those months are added up again, without them.
    rollup.refresh(lab)
    return count


_NAMES_SOMEBODY = (
    Q(member__isnull=False)
    | Q(badge__isnull=False)
    | Q(supervisor__isnull=False)
    | Q(second__isnull=False)
    | Q(payer__kind=PayerKind.PERSON)
)


def _forget_audit(lab: Lab, before: datetime) -> int:
    old = AuditRow.objects.filter(lab=lab, done_at__lte=before, salt__isnull=False)
    return sum(empty_audit([row.pk for row in chunk]) for chunk in _chunks(old))


def empty_audit(rows: list[int]) -> int:
    """The rows say nothing any more; their commitments and links stay."""
    return AuditRow.objects.filter(pk__in=rows).update(
        salt=None, user=None, actor="", action="", subject="", before=None, after=None, why=""
    )


def _remove_old(lab: Lab, at: datetime, zone: zoneinfo.ZoneInfo) -> int:
    today = at.astimezone(zone).date()
    oldest_look = months_before(at, LOOK_MONTHS).astimezone(zone).date()
    old: list[QuerySet[Any]] = [
        UsageView.objects.filter(lab=lab, day__lte=min(oldest_look, today)),
        ChangeLog.objects.filter(lab=lab, changed_at__lte=months_before(at, CHANGE_MONTHS)),
        Alarm.objects.filter(lab=lab, closed_at__lte=months_before(at, ALARM_MONTHS)),
        SetAside.objects.filter(lab=lab, arrived_at__lte=months_before(at, SESSION_MONTHS)),
    ]
    return sum(
        rows.model._default_manager.filter(pk__in=[row.pk for row in chunk]).delete()[0]
        for rows in old
        for chunk in _chunks(rows)
    )


def _chunks(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """`rows` in slices by their key; each slice must be gone from the query once it was dealt with."""
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        last = chunk[-1].pk
        yield chunk


def _refusal(body: str) -> tuple[str, int]:
    """Reason and count of a refused record; what cannot be read counts as one of no known reason."""
    try:
        said = json.loads(body)
        reason, count = said["reason"], said["count"]
    except (ValueError, KeyError, TypeError):
        return "", 1
    readable = isinstance(reason, str) and isinstance(count, int) and 0 < count <= 1_000_000
    return (reason[:32], count) if readable else ("", 1)


def _moment_of(record: NodeRecord) -> datetime:
    """When it happened, by the node's own trusted clock; else when it arrived."""
    from interlock.hub.timeline import moment

    if record.wall_trusted and record.wall_ms is not None:
        return moment(record.wall_ms)
    return record.received_at
