"""What the journal called durable stays, in order, numbered once, chained; what was open is closed honestly."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.errors import ProtocolError, StoreError
from interlock.node import journal as journal_module
from interlock.node.journal_facts import Facts, Marks, OpenSession
from interlock.node.journal_schema import SEQ_MAX, connect, migrate
from interlock.protocol.records import GENESIS, Head, RecordType
from tests.node.journals import (
    KEYS,
    assert_chained,
    boot,
    draft,
    ended,
    everything,
    opened,
    progress,
    reopened,
    started,
    texts,
)

pytestmark = pytest.mark.fast


def test_records_are_chained_from_genesis_and_come_back_as_they_were_written(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    assert journal.head == Head(1, 0, GENESIS)
    written = [*journal.append([boot(), started()]), *journal.append([ended("1.2")])]
    assert texts(written) == ["1.1 boot", "1.2 session_started m1", "1.3 session_ended 1.2"]
    assert everything(journal) == written
    assert_chained(written)
    assert journal.head == Head(1, 3, written[-1].hash)
    journal.close()


def test_the_chain_goes_on_behind_its_head_after_a_restart(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    before = journal.append([boot()])
    journal.close(clean=True)
    journal, recovery = reopened(tmp_path)
    assert recovery.clean
    after = journal.append([boot()])
    assert_chained([*before, *after])
    assert [record.header.boot_id for record in (*before, *after)] == ["boot-a", "boot-b"]
    journal.close()


def test_two_records_with_the_same_body_have_different_commitments(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    first, second = journal.append([boot(), boot()])
    assert first.body == second.body
    assert first.commit != second.commit
    journal.close()


def test_a_wall_time_nobody_knows_is_recorded_as_none(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    stamp = replace(boot().stamp, wall_ms=None, wall_trusted=False)
    journal.append([replace(boot(), stamp=stamp)])
    journal.close()
    journal = opened(tmp_path)
    assert everything(journal)[0].header.wall_ms is None
    journal.close()


def test_an_append_is_all_or_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    too_large = draft(RecordType.BOOT, text="x" * 9_000)
    with pytest.raises(ProtocolError, match="larger than"):
        journal.append([boot(), too_large])
    assert everything(journal) == []
    assert texts(journal.append([boot()])) == ["1.1 boot"]
    journal.close()


def test_a_session_left_open_is_closed_at_its_last_proof_of_life(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([boot(), started(), progress("1.2", 60_000), progress("1.2", 120_000)])
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert (recovery.ended, recovery.clean) == ("1.2", False)
    last = everything(journal)[-1]
    assert dict(last.body or {}) == {
        "session": "1.2",
        "how": "power_lost",
        "enabled_ms": 120_000,
        "busy_ms": 60_000,
        "idle_ms": 60_000,
        "estimated": True,
    }
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.ended is None, "a session was closed twice"
    journal.close()


def test_a_session_without_proof_that_the_relay_ever_closed_is_closed_with_nothing(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    journal.append([started()])
    journal.close()
    journal, recovery = reopened(tmp_path)
    body = everything(journal)[-1].body or {}
    assert (recovery.ended, body["enabled_ms"], body["estimated"]) == ("1.1", 0, True)
    journal.close()


@pytest.mark.parametrize("end", ["ended", "voided"])
def test_a_session_that_was_ended_is_not_closed_again(tmp_path: Path, end: str) -> None:
    journal = opened(tmp_path)
    voided = draft(RecordType.SESSION_VOIDED, session="1.1", why="late")
    journal.append([started(), ended("1.1") if end == "ended" else voided])
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.ended is None
    assert len(everything(journal)) == 2
    journal.close()


def test_latched_faults_and_lock_outs_survive_until_they_are_cleared(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(
        [
            draft(RecordType.FAULT_RAISED, fault="contactor_welded"),
            draft(RecordType.FAULT_RAISED, fault="contactor_failed"),
            draft(RecordType.LOCK_OUT_SET, source="machine", cause="broken_pressed"),
            draft(RecordType.FAULT_CLEARED, fault="contactor_failed", by="t1"),
        ]
    )
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.facts == Facts(
        faults=frozenset({"contactor_welded"}), lock_outs={"machine": "broken_pressed"}
    )
    journal.append(
        [
            draft(RecordType.FAULT_CLEARED, fault="contactor_welded", by="t1"),
            draft(RecordType.LOCK_OUT_CLEARED, source="machine", by="t1"),
        ]
    )
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert (recovery.facts, recovery.facts.locked_out) == (Facts(), False)
    journal.close()


def test_the_facts_are_those_of_the_durable_records_only(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(ProtocolError):
        journal.append([started(), draft(RecordType.FAULT_RAISED)])
    assert journal.facts == Facts()
    journal.append([started()])
    assert journal.facts.open_session == OpenSession("1.1", member="m1")
    journal.close()


def test_records_are_cut_by_bytes_and_at_least_one_comes(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([boot() for _ in range(10)])
    one = journal.records_after(1, 0, 1)
    assert (texts(list(one.records)), one.more) == (["1.1 boot"], True)
    some = journal.records_after(1, 1, 1_500)
    assert 1 < len(some.records) < 9
    rest = journal.records_after(1, 9, 60_000)
    assert (texts(list(rest.records)), rest.more) == (["1.10 boot"], False)
    assert journal.records_after(1, 10, 60_000).records == ()
    journal.close()


@pytest.mark.parametrize(("epoch", "seq"), [(-1, 0), (1, -1), (1 << 30, 0), (1, SEQ_MAX + 1)])
def test_a_place_that_cannot_exist_is_refused(tmp_path: Path, epoch: int, seq: int) -> None:
    journal = opened(tmp_path)
    with pytest.raises(ProtocolError, match="there is no record"):
        journal.records_after(epoch, seq, 1_000)
    journal.close()


def test_an_acknowledgement_counts_only_with_the_right_hash(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    records = journal.append([boot() for _ in range(5)])
    third = Head(1, 3, records[2].hash)
    with pytest.raises(ProtocolError, match="another record"):
        journal.acknowledge(replace(third, hash=records[3].hash))
    with pytest.raises(ProtocolError, match="never wrote"):
        journal.acknowledge(Head(1, 6, bytes(32)))
    with pytest.raises(ProtocolError, match="never wrote"):
        journal.acknowledge(Head(2, 1, records[0].hash))
    assert (journal.acknowledged, journal.unsent) == (Head(1, 0, GENESIS), 5)
    assert journal.acknowledge(third) == third
    assert journal.acknowledge(Head(1, 1, records[0].hash)) == third, "an old one moved it back"
    with pytest.raises(ProtocolError, match="another record"):
        journal.acknowledge(Head(1, 1, records[1].hash))
    assert journal.unsent == 2
    journal.close()
    journal = opened(tmp_path)
    assert (journal.acknowledged, journal.unsent) == (third, 2)
    journal.close()


def test_a_sequence_number_is_never_used_again_even_when_every_row_is_gone(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    records = journal.append([boot() for _ in range(3)])
    journal.acknowledge(Head(1, 3, records[2].hash))
    journal.close(clean=True)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as direct, direct:
        direct.execute("DELETE FROM records")
    direct.close()
    journal, recovery = reopened(tmp_path)
    (fourth,) = journal.append([boot()])
    assert (recovery.lost, fourth.id, fourth.prev) == ((), "1.4", records[2].hash)
    journal.close()


def test_a_new_enrolment_begins_a_new_chain_and_still_sends_the_old_one(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    old = journal.append([boot(), boot()])
    journal.acknowledge(Head(1, 1, old[0].hash))
    journal.close(clean=True)
    journal = opened(tmp_path, replace(KEYS, epoch=2, chain_key=b"n" * 32))
    assert (journal.head, journal.unsent) == (Head(2, 0, GENESIS), 1)
    (new,) = journal.append([boot()])
    assert (new.id, new.prev, journal.unsent) == ("2.1", GENESIS, 2)
    assert texts(everything(journal, 1, 1)) == ["1.2 boot", "2.1 boot"]
    journal.acknowledge(Head(2, 1, new.hash))
    assert journal.unsent == 0
    journal.close(clean=True)
    journal = opened(tmp_path, replace(KEYS, epoch=2, chain_key=b"n" * 32))
    assert journal.head == Head(2, 1, new.hash)
    journal.close()


def test_the_journal_of_another_node_is_not_continued(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([boot()])
    journal.close()
    with pytest.raises(StoreError, match="belongs to node saw"):
        opened(tmp_path, replace(KEYS, node="laser"))
    journal = opened(tmp_path)
    assert len(everything(journal)) == 1
    journal.close()


def test_marks_are_kept_and_the_snapshot_mark_never_falls(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.mark(snapshot=(1, 7))
    journal.mark(time={"powered_ms": 600, "current_version": [1, 7]})
    for version in ((1, 6), (0, 99)):
        with pytest.raises(ProtocolError, match="older than"):
            journal.mark(snapshot=version)
    journal.close()
    journal = opened(tmp_path)
    assert journal.marks == Marks((1, 7), {"powered_ms": 600, "current_version": [1, 7]})
    journal.mark(snapshot=(2, 0))
    assert journal.marks.snapshot == (2, 0)
    journal.close()


def test_a_full_store_refuses_starts_and_still_takes_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "UNSENT_STARTS_MAX", 5)
    monkeypatch.setattr(journal_module, "UNSENT_MAX", 7)
    journal = opened(tmp_path)
    journal.append([boot(), boot(), boot(), boot(), started()])
    assert not journal.has_room_for(RecordType.SESSION_STARTED)
    with pytest.raises(StoreError, match="wait for the hub"):
        journal.append([started()])
    with pytest.raises(StoreError, match="wait for the hub"):
        journal.append([draft(RecordType.REFUSED, reason="UNKNOWN_BADGE", count=1)])
    journal.append([progress("1.5", 1), ended("1.5")])
    with pytest.raises(StoreError, match="wait for the hub"):
        journal.append([boot()])
    assert journal.usable
    last = everything(journal)[-1]
    assert texts([last]) == ["1.7 session_ended 1.5"]
    journal.acknowledge(Head(1, 7, last.hash))
    journal.append([started()])
    journal.close()


def test_the_limits_are_those_of_the_protocol_and_ends_have_their_room() -> None:
    assert journal_module.UNSENT_STARTS_MAX == 1_000_000
    assert journal_module.UNSENT_MAX >= 1_010_000
    assert RecordType.SESSION_ENDED not in journal_module.MORE_POWER


def test_nobody_else_can_open_the_journal_while_the_node_runs(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    other = sqlite3.connect(tmp_path / "journal.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM records").fetchall()
    other.close()
    journal.append([boot()])
    journal.close()


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    connection = connect(tmp_path / "journal.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_migration_that_fails_half_way_leaves_the_version_before_it(tmp_path: Path) -> None:
    connection = connect(tmp_path / "journal.db")
    good = ("0001", ("CREATE TABLE a (x INTEGER)",))
    bad = ("0002", ("CREATE TABLE b (x INTEGER)", "CREATE TABLE a (x INTEGER)"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (good, bad))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"a"} <= tables
    assert "b" not in tables
    mended = ("0002", ("CREATE TABLE b (x INTEGER)",))
    assert migrate(connection, (good, mended)) == ["0002"]
    assert migrate(connection, (good, mended)) == []
    with pytest.raises(StoreError, match="newer release"):
        migrate(connection, (good,))
    connection.close()


def test_a_migration_that_cannot_be_noted_is_not_applied(tmp_path: Path) -> None:
    connection = connect(tmp_path / "journal.db")
    migrate(connection, ())
    connection.execute(
        "CREATE TRIGGER no_note BEFORE INSERT ON migrations BEGIN SELECT RAISE(ABORT, 'cut'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="cut"):
        migrate(connection, (("0001", ("CREATE TABLE a (x INTEGER)",)),))
    assert not connection.in_transaction
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "a" not in tables
    connection.close()


def test_the_rest_of_the_chain_is_verified_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    journal.append([boot() for _ in range(20)])
    journal.close()
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 5)
    journal = opened(tmp_path)
    slices = 1
    while journal.verify_slice(4):
        slices += 1
    assert (slices, journal.damage) == (6, None)
    journal.close()
