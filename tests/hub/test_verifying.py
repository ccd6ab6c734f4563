"""`interlock hub verify`: a hub that holds is called whole, and every kind of meddling is named with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from interlock.errors import StoreError
from interlock.hub import changes, verifying
from interlock.hub.changes import verify_audit
from interlock.hub.domain import members
from interlock.hub.domain.erasure import erase_from_tables
from interlock.hub.models import Alarm, AlarmKind, AuditRow, Line, NodeRecord, Session
from interlock.hub.traces import needles_of
from interlock.hub.verifying import Found, verify_hub
from interlock.protocol.records import RecordType
from tests.hub.billing_lab import billing_lab
from tests.hub.journal import Journal
from tests.hub.lab import console, small_lab
from tests.hub.test_erasure import deliver, used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


TOTALS = {"enabled_ms": 600_000, "busy_ms": 300_000, "idle_ms": 100_000}


def verified() -> Found:
    return verify_hub(settings.HUB_CLOCK)


def test_a_hub_that_holds_is_whole_before_and_after_an_erasure() -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    found = verified()
    assert (found.faults, found.records, found.sessions, found.lines) == ([], 3, 1, 1)
    erase_from_tables(console(), lab.member, needles_of(lab.member), "asked")
    found = verified()
    assert (found.faults, found.erased) == ([], 1)


def test_verifying_changes_nothing() -> None:
    used(small_lab(), seconds=3_600)
    Line.objects.update(cents=1)
    assert not verified().is_whole
    assert Line.objects.get().cents == 1


MEDDLING: dict[str, tuple[Callable[[], object], str]] = {
    "a body": (
        lambda: NodeRecord.objects.filter(seq=3).update(
            body=NodeRecord.objects.get(seq=3).body.replace("3600000", "1800000")  # type: ignore[union-attr]
        ),
        "its body was altered",
    ),
    "a header": (
        lambda: NodeRecord.objects.filter(seq=2).update(boot_ms=1),
        "its header or link was altered",
    ),
    "a record taken out": (
        lambda: NodeRecord.objects.filter(seq=2).delete(),
        "records 1.2 to 1.2 are missing",
    ),
    "the last record": (
        lambda: NodeRecord.objects.filter(seq=3).delete(),
        "its last records are missing",
    ),
    "an audit row": (lambda: AuditRow.objects.filter(seq=2).update(why="x"), "audit log"),
    "a session's time": (lambda: Session.objects.update(enabled_ms=1), "enabled_ms is 1"),
    "a session taken out": (
        lambda: (Line.objects.all().delete(), Session.objects.all().delete()),
        "its records are here and it is not",
    ),
    "a price": (lambda: Line.objects.update(cents=1), "it says 1 cents"),
}


@pytest.mark.parametrize("what", list(MEDDLING))
def test_meddling_is_named_with_its_place(what: str) -> None:
    used(small_lab(), seconds=3_600)
    meddle, said = MEDDLING[what]
    meddle()
    assert any(said in fault for fault in verified().faults), verified().faults


@pytest.mark.parametrize(
    ("lost", "whole"), [([1, 2, 2], True), ([1, 3, 9], False), ([2, 2, 2], False)]
)
def test_only_the_range_that_the_node_declared_lost_may_be_missing(
    lost: list[int], whole: bool
) -> None:
    """An alarm about some loss is no licence for every hole."""
    lab = small_lab()
    journal = used(lab, seconds=3_600)
    said = {"problem": "records_lost", "detail": "page 7", "lost": [lost]}
    journal.write(RecordType.PROBLEM_REPORTED, **said)
    deliver(lab, journal)
    assert verified().is_whole
    NodeRecord.objects.filter(seq=2).delete()
    assert Alarm.objects.filter(kind=AlarmKind.RECORDS_LOST).exists()
    faults = [fault for fault in verified().faults if "missing" in fault]
    assert faults == ([] if whole else [MISSING])


MISSING = "node saw: records 1.2 to 1.2 are missing, and it declared no such loss"


def test_every_flipped_bit_of_a_record_row_is_found() -> None:
    """Each column of a stored record, each byte of it, one bit of each byte in turn."""
    used(small_lab(), seconds=3_600)
    row = NodeRecord.objects.get(seq=3)
    table = NodeRecord._meta.db_table
    unseen = []
    for column in ("body", "salt", "commit", "prev", "hash", "boot_id", "type"):
        value = getattr(row, column)
        original = value.encode() if isinstance(value, str) else bytes(value)
        for place in range(0, len(original), 5):
            bent = bytearray(original)
            bent[place] ^= 1 << (place % 7)
            stored = bent.decode("latin-1") if isinstance(value, str) else bytes(bent)
            with connection.cursor() as cursor:
                cursor.execute(f'UPDATE {table} SET "{column}" = %s WHERE seq = 3', [stored])
            if verified_records_are_whole():
                unseen.append((column, place))
        NodeRecord.objects.filter(seq=3).update(**{column: value})
    assert unseen == []
    assert verified_records_are_whole()


def verified_records_are_whole() -> bool:
    return not [fault for fault in verified().faults if fault.startswith("record ")]


def test_what_cannot_be_read_is_a_fault_and_hides_none_of_the_next() -> None:
    """A date that none is, as a page of rubbish leaves it, behind a deed that somebody altered."""
    used(small_lab(), seconds=3_600)
    AuditRow.objects.filter(seq=2).update(why="x")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE hub_session SET started_at = '2025-99-99 00:00:00'")
    faults = verified().faults
    said = [one.partition(":")[0] for one in faults]
    assert said == ["audit log of lab, row 2", "node saw", "open prices"]
    assert all("it cannot be read to its end" in one for one in faults[1:])


def test_a_database_that_answers_nothing_is_a_fault_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(found: Found) -> None:
        raise DatabaseError("database disk image is malformed")

    used(small_lab(), seconds=3_600)
    monkeypatch.setattr(verifying, "_database", unreadable)
    found = verified()
    said = "database: it cannot be read to its end: database disk image is malformed"
    assert (found.faults, found.records) == ([said], 3)


NONSENSE: dict[str, list[tuple[RecordType, dict[str, Any]]]] = {
    "an end that is none": [
        (RecordType.SESSION_ENDED, {**TOTALS, "how": "tired", "estimated": False})
    ],
    "more parts than the whole": [(RecordType.SESSION_PROGRESS, {**TOTALS, "busy_ms": 800_000})],
    "time as text": [(RecordType.SESSION_PROGRESS, {**TOTALS, "enabled_ms": "x"})],
    "a report after the end": [
        (RecordType.SESSION_ENDED, {**TOTALS, "how": "tap_off", "estimated": False}),
        (RecordType.SESSION_PROGRESS, {**TOTALS, "enabled_ms": 900_000}),
    ],
    "a report after a restart": [
        (RecordType.BOOT, {}),
        (RecordType.SESSION_PROGRESS, {**TOTALS, "enabled_ms": 900_000}),
    ],
    "a loss that is none": [
        (RecordType.PROBLEM_REPORTED, {"problem": "records_lost", "lost": [[1, "x", None]]}),
    ],
    "a start by nobody": [(RecordType.SESSION_STARTED, {"member": None, "tag": "00" * 16})],
    "a start without a badge": [(RecordType.SESSION_STARTED, {"member": "m", "tag": []})],
}


@pytest.mark.parametrize("what", list(NONSENSE))
def test_what_a_mad_node_reported_and_the_intake_did_not_believe_is_no_fault(what: str) -> None:
    """It is kept and proved like any other word of the node's; that it had no effect is as it should be."""
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    session = journal.start(lab)
    journal.progress(session, 100, 50, 20)
    for kind, body in NONSENSE[what]:
        journal.write(kind, session=session, **body)
    deliver(lab, journal)
    assert verified().faults == []
    Session.objects.update(enabled_ms=7)
    assert verified().faults != []


@pytest.mark.django_db(transaction=True)
def test_prices_are_worked_out_some_payers_at_a_time_and_nobody_waits_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A verification of hours must not keep the hub from taking records: nodes would fill their disks."""
    monkeypatch.setattr(verifying, "PAYERS_AT_ONCE", 1)
    made = billing_lab()
    held = []

    def told(what: str, done: int, total: int) -> None:
        if what == "open prices":
            held.append((done, total, connection.in_atomic_block))

    def of_lines(found: Found) -> list[str]:
        return [fault for fault in found.faults if fault.startswith("line ")]

    assert of_lines(verify_hub(settings.HUB_CLOCK, told)) == []
    payers = len(held)
    assert payers >= 2
    assert held == [(done, payers, False) for done in range(payers)]
    Line.objects.filter(payer=made.firm).update(payer=made.ada.payer)
    (moved,) = of_lines(verified())
    assert "it says 1200 cents (1200 before passes) and costs 1200 cents" in moved


def test_a_deed_whose_words_are_no_words_is_a_fault_and_no_traceback() -> None:
    small_lab()
    for words in (["x"], "x", 7):
        AuditRow.objects.filter(action="member_created").update(after=words)
        faults = verified().faults
        assert any("was altered" in one for one in faults)
        assert any(one.startswith("deeds: it cannot be read to its end") for one in faults)


def test_a_deed_that_is_done_while_the_log_is_read_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = small_lab()
    known, link = verify_audit(lab.lab), changes.link

    def while_reading(row: AuditRow) -> bytes:
        if row.seq == known:
            monkeypatch.setattr(changes, "link", link)
            members.suspend_member(console(), lab.member, "meanwhile")
        return link(row)

    monkeypatch.setattr(changes, "link", while_reading)
    assert verify_audit(lab.lab) == known
    assert verify_audit(lab.lab) == known + 1


def test_rows_behind_the_head_of_the_log_are_a_fault() -> None:
    lab = small_lab()
    last = AuditRow.objects.latest("seq")
    last.pk, last.seq = None, last.seq + 1
    last.save(force_insert=True)
    with pytest.raises(StoreError, match="rows stand behind its last one"):
        verify_audit(lab.lab)
