"""A change to its row in the lab's change log and, when a person made it, in the chained audit log.

Domain functions call these inside the transaction of the change itself, so that there is never one
without the other: no signals (bulk operations send none), no log written afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db import transaction

from interlock.errors import StoreError
from interlock.hub.hints import hint_on_commit
from interlock.hub.models import AuditRow, ChangeLog, Lab, Topic
from interlock.hub.permissions import Actor
from interlock.protocol import canonical

SALT_BYTES = 16
HASH_BYTES = 32
ROWS_AT_ONCE = 500
"""Rows of one INSERT: more gain nothing, and SQLite counts every value against a limit."""


def log_change(lab: Lab, topic: Topic, what: str, subject: str, at: datetime) -> int:
    """The lab's next change number, now taken by this change. Raises StoreError outside `atomic`."""
    _require_transaction()
    locked = Lab.objects.select_for_update().get(pk=lab.pk)
    seq = locked.change_seq + 1
    heads = {"change_seq": seq}
    if topic == Topic.RIGHTS:
        heads["rights_seq"] = seq
    Lab.objects.filter(pk=lab.pk).update(**heads)
    ChangeLog.objects.create(
        lab_id=lab.pk, seq=seq, topic=topic, what=what, subject=subject, changed_at=at
    )
    hint_on_commit()
    return seq


def log_changes(lab: Lab, topic: Topic, what: str, subjects: Sequence[str], at: datetime) -> None:
    """As `log_change` for each subject, with three statements for all. Raises StoreError outside `atomic`."""
    _require_transaction()
    if not subjects:
        return
    locked = Lab.objects.select_for_update().get(pk=lab.pk)
    rows = [
        ChangeLog(lab_id=lab.pk, seq=seq, topic=topic, what=what, subject=subject, changed_at=at)
        for seq, subject in enumerate(subjects, start=locked.change_seq + 1)
    ]
    ChangeLog.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
    heads = {"change_seq": rows[-1].seq}
    if topic == Topic.RIGHTS:
        heads["rights_seq"] = rows[-1].seq
    Lab.objects.filter(pk=lab.pk).update(**heads)
    hint_on_commit()


@dataclass(frozen=True, slots=True)
class Deed:
    """One of many changes made at once, for `log_deeds`."""

    action: str
    subject: str
    after: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None


def log_deeds(actor: Actor, lab: Lab, topic: Topic, deeds: Sequence[Deed], why: str = "") -> None:
    """As `log_deed` for each of them, in their order, with a handful of statements for all: a list of
    thousands of members would hold the hub's one writer for minutes otherwise."""
    _require_transaction()
    if not deeds:
        return
    at = actor.now()
    locked = Lab.objects.select_for_update().get(pk=lab.pk)
    changes, rows, head = [], [], bytes(locked.audit_head)
    for number, deed in enumerate(deeds, start=1):
        changes.append(
            ChangeLog(
                lab_id=lab.pk,
                seq=locked.change_seq + number,
                topic=topic,
                what=deed.action,
                subject=deed.subject,
                changed_at=at,
            )
        )
        row = AuditRow(
            lab_id=lab.pk,
            seq=locked.audit_seq + number,
            done_at=at,
            user=actor.user,
            actor=actor.name,
            action=deed.action,
            subject=deed.subject,
            before=None if deed.before is None else dict(deed.before),
            after=None if deed.after is None else dict(deed.after),
            why=why,
            salt=secrets.token_bytes(SALT_BYTES),
            prev=head,
        )
        row.commit = commitment(row)
        head = row.hash = link(row)
        rows.append(row)
    ChangeLog.objects.bulk_create(changes, batch_size=ROWS_AT_ONCE)
    AuditRow.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
    heads: dict[str, Any] = {
        "change_seq": locked.change_seq + len(deeds),
        "audit_seq": locked.audit_seq + len(deeds),
        "audit_head": head,
    }
    if topic == Topic.RIGHTS:
        heads["rights_seq"] = heads["change_seq"]
    Lab.objects.filter(pk=lab.pk).update(**heads)
    hint_on_commit()


def log_deed(
    actor: Actor,
    lab: Lab,
    topic: Topic,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    why: str = "",
) -> None:
    """What `actor` did is in both logs. `before` and `after` hold canonical JSON values only."""
    at = actor.now()
    log_change(lab, topic, action, subject, at)
    locked = Lab.objects.select_for_update().get(pk=lab.pk)
    row = AuditRow(
        lab_id=lab.pk,
        seq=locked.audit_seq + 1,
        done_at=at,
        user=actor.user,
        actor=actor.name,
        action=action,
        subject=subject,
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        why=why,
        salt=secrets.token_bytes(SALT_BYTES),
        prev=bytes(locked.audit_head),
    )
    row.commit = commitment(row)
    row.hash = link(row)
    row.save(force_insert=True)
    Lab.objects.filter(pk=lab.pk).update(audit_seq=row.seq, audit_head=row.hash)


def verify_audit(lab: Lab) -> int:
    """The number of audit rows, every one of them linked and unaltered. Raises StoreError."""
    prev, count = bytes(HASH_BYTES), 0
    # Somebody may do something while this reads: what comes behind this head is asked the next time.
    head = Lab.objects.get(pk=lab.pk)
    rows = AuditRow.objects.filter(lab=lab)
    for row in rows.filter(seq__lte=head.audit_seq).order_by("seq").iterator():
        count += 1
        whole = row.salt is None or commitment(row) == bytes(row.commit)
        if row.seq != count or bytes(row.prev) != prev or link(row) != bytes(row.hash) or not whole:
            raise StoreError(
                "this row was altered, or one before it is missing",
                where=f"audit log of {lab.slug}, row {row.seq}",
                remedy="Compare with a back-up: somebody wrote into the database by hand",
            )
        prev = bytes(row.hash)
    if bytes(head.audit_head) != prev or count != head.audit_seq:
        raise StoreError("its last rows are missing", where=f"audit log of {lab.slug}")
    has_more = rows.filter(seq__gt=head.audit_seq).exists()
    if has_more and Lab.objects.get(pk=lab.pk).audit_seq == head.audit_seq:
        raise StoreError("rows stand behind its last one", where=f"audit log of {lab.slug}")
    return count


def commitment(row: AuditRow) -> bytes:
    """BLAKE2b-256(salt ‖ canonical JSON of what the row says)."""
    said = {
        "seq": row.seq,
        "done_at": int(row.done_at.timestamp()),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "before": row.before,
        "after": row.after,
        "why": row.why,
    }
    salt = bytes(row.salt or b"")
    return blake2b(salt + canonical.dumps(said), digest_size=HASH_BYTES).digest()


def link(row: AuditRow) -> bytes:
    """BLAKE2b-256(prev ‖ commit): erasing a row's words and salt leaves the chain whole."""
    return blake2b(bytes(row.prev) + bytes(row.commit), digest_size=HASH_BYTES).digest()


def _require_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise StoreError(
            "a change must be logged in its own transaction",
            where="change log",
            remedy="Call the domain function inside transaction.atomic()",
        )
