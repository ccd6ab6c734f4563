"""The journal worker keeps order, answers once, and loses nothing to a disk that fails for a while."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from interlock.clock import SystemClock
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import (
    Event,
    JournalRecovered,
    RecordDurable,
    RecordFailed,
)
from interlock.errors import ProtocolError, StoreError
from interlock.node import journal as journal_module
from interlock.node import journal_schema as schema
from interlock.node import journal_work as worker_module
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Stamp
from interlock.node.journal_work import JournalWork, Pending
from interlock.node.journal_worker import JournalWorker
from interlock.protocol.records import BODY_BYTES_MAX, Head, Record, RecordType
from tests.node.journals import (
    KEYS,
    NOW,
    boot,
    counted_bytes,
    draft,
    ended,
    everything,
    opened,
    progress,
    reopened,
    started,
    texts,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.real

WAL_FULL_BYTES = 8_192
"""Smaller than any WAL with a record in it: every write fails, as on a full disk."""


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow: the kernel itself refuses the journal's writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (WAL_FULL_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class UncertainJournal(Journal):
    """A journal whose disk takes a batch and then reports an error: written, but nobody knows."""

    uncertain = False

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        if not self.uncertain:
            return super().append(drafts)
        before = self._stored
        super().append(drafts)
        self._disconnect()
        self._stored = before
        self.uncertain = False
        raise StoreError("the disk reported an error", where="journal")


def work_on(journal: Journal) -> JournalWork:
    return JournalWork(journal, lambda: NOW, start_deadline_ms=2_000)


def pending(*drafts: Draft, first_ticket: int = 1) -> list[Pending]:
    return [
        Pending(one, ticket, NOW.boot_ms) for ticket, one in enumerate(drafts, start=first_ticket)
    ]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_each_record_is_answered_with_its_id_in_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    events = work_on(journal).write(pending(boot(), started(), ended("1.2")), 1_000)
    assert events == [RecordDurable(1, "1.1"), RecordDurable(2, "1.2"), RecordDurable(3, "1.3")]
    journal.close()


def test_evidence_too_large_for_a_record_is_left_out_and_the_member_works(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    body = {**started().body, "evidence": {"rights": ["x" * 64] * 200}}
    huge = Draft(RecordType.SESSION_STARTED, body, NOW)
    assert work_on(journal).write(pending(boot(), huge), 1_000)[1] == RecordDurable(2, "1.2")
    written = journal.records_after(1, 1, 60_000).records[0].body
    assert written is not None
    assert (written["member"], written["evidence"]) == (body["member"], None)
    assert written["evidence_bytes"] > BODY_BYTES_MAX
    journal.close()


def test_on_a_full_disk_a_start_fails_and_everything_else_is_written_later_in_order(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    work = work_on(journal)
    work.write(pending(started()), 1_000)
    with full_disk():
        told = work.write(pending(progress("1.1", 1), first_ticket=2), 1_000)
        assert kinds(told) == ["JournalFailed"]
        told = work.write(pending(started("m2"), progress("1.1", 2), first_ticket=3), 1_100)
        assert [
            (type(event), event.ticket) for event in told if isinstance(event, RecordFailed)
        ] == [(RecordFailed, 3)]
        assert kinds(told) == ["RecordFailed"]
        assert work.idle(1_700) == [], "a disk that still fails is reported once"
        assert work.write(pending(ended("1.1", 3), first_ticket=5), 1_800) == []
        assert work.failed is not None
    told = work.idle(2_500)
    assert told == [
        RecordDurable(2, "1.2"),
        RecordDurable(4, "1.3"),
        RecordDurable(5, "1.4"),
        JournalRecovered(),
    ]
    assert texts(everything(journal)) == [
        "1.1 session_started m1",
        "1.2 session_progress 1.1",
        "1.3 session_progress 1.1",
        "1.4 session_ended 1.1",
    ]
    assert work.write(pending(started(), first_ticket=6), 2_600) == [RecordDurable(6, "1.5")]
    journal.close()


def test_a_start_caught_by_the_failing_disk_is_answered_once_the_disk_has_said(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    work = work_on(journal)
    with full_disk():
        assert kinds(work.write(pending(started(), boot()), 1_000)) == ["JournalFailed"]
    told = work.idle(2_000)
    assert kinds(told) == ["RecordFailed", "RecordDurable", "JournalRecovered"]
    assert texts(everything(journal)) == ["1.1 boot"]
    journal.close()


def test_a_batch_that_reached_the_disk_after_all_is_answered_and_not_written_twice(
    tmp_path: Path,
) -> None:
    journal = UncertainJournal(
        tmp_path / "journal.db", KEYS, boot_id="a", random_bytes=counted_bytes()
    )
    journal.open(NOW)
    work = work_on(journal)
    work.write(pending(boot()), 1_000)
    journal.uncertain = True
    told = work.write(pending(started(), progress("1.2", 5), first_ticket=2), 1_000)
    assert kinds(told) == ["JournalFailed"]
    work.write(pending(ended("1.2"), first_ticket=4), 1_100)
    assert work.idle(2_000) == [
        RecordDurable(2, "1.2"),
        RecordDurable(3, "1.3"),
        RecordDurable(4, "1.4"),
        JournalRecovered(),
    ]
    assert texts(everything(journal)) == [
        "1.1 boot",
        "1.2 session_started m1",
        "1.3 session_progress 1.2",
        "1.4 session_ended 1.2",
    ]
    assert journal.facts.open_session is None
    journal.close()


def test_a_start_older_than_its_deadline_is_not_written(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    told = work_on(journal).write(pending(started(), boot()), NOW.boot_ms + 2_001)
    assert kinds(told) == ["RecordFailed", "RecordDurable"]
    assert texts(everything(journal)) == ["1.1 boot"]
    journal.close()


def test_a_draft_that_can_be_no_record_does_not_take_its_neighbours_with_it(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    bad = draft(RecordType.BOOT, text="x" * 9_000)
    told = work_on(journal).write(pending(boot(), bad, boot()), 1_000)
    assert kinds(told) == ["RecordDurable", "RecordFailed", "RecordDurable"]
    assert texts(everything(journal)) == ["1.1 boot", "1.2 boot"]
    journal.close()


def test_a_full_store_fails_the_start_only_and_the_journal_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "UNSENT_STARTS_MAX", 3)
    monkeypatch.setattr(journal_module, "UNSENT_MAX", 9)
    journal = opened(tmp_path)
    work = work_on(journal)
    work.write(pending(boot(), boot()), 1_000)
    told = work.write(pending(started(), started("m2"), ended("1.3"), first_ticket=3), 1_000)
    assert kinds(told) == ["RecordDurable", "RecordFailed", "RecordDurable"]
    assert work.failed is None
    journal.close()


def test_memory_is_bounded_and_the_oldest_progress_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "BACKLOG_MAX", 4)
    journal = opened(tmp_path)
    work = work_on(journal)
    work.write(pending(started()), 1_000)
    with full_disk():
        work.write(pending(boot(), first_ticket=2), 1_000)
        for place in range(6):
            work.write(pending(progress("1.1", place), first_ticket=10 + place), 1_001)
        work.write(pending(ended("1.1", 9), first_ticket=20), 1_002)
    work.idle(2_000)
    bodies = [record.body or {} for record in everything(journal)][2:]
    assert [body["enabled_ms"] for body in bodies] == [4, 5, 9]
    assert "a session_progress record is lost" in caplog.text
    journal.close()


def test_the_log_says_what_was_lost_for_want_of_memory_and_not_of_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "BACKLOG_MAX", 1)
    journal = opened(tmp_path)
    work = work_on(journal)
    refused = draft(RecordType.REFUSED, reason="NOT_TRAINED", member="m-ada", tag="ab" * 16)
    with full_disk():
        work.write(pending(boot()), 1_000)
        work.write(pending(refused, refused, refused, first_ticket=0), 1_001)
    assert "a refused record is lost" in caplog.text
    for secret in ("m-ada", "abab", "NOT_TRAINED"):
        assert secret not in caplog.text
    journal.close()


class Shell:
    """A running worker and what it told."""

    def __init__(self, folder: Path, *, aggregation_s: int = 60) -> None:
        self.clock = SystemClock()
        self.told: list[Event] = []
        self.journal = opened(folder)
        self.worker = JournalWorker(
            self.journal,
            emit=self.told.append,
            stamp=lambda: Stamp(self.clock.boot_ms()),
            clock=self.clock,
            aggregation_s=aggregation_s,
        )
        self.worker.start()

    def stop(self) -> list[Record]:
        assert self.worker.stop(5.0)
        journal = opened(self.journal._path.parent)
        records = everything(journal)
        journal.close()
        return records


def refusal(tag: str, member: str | None = None, reason: str = "UNKNOWN_BADGE") -> ReportRefusal:
    body = {"reason": reason, "tag": tag, "member": member, "training": None, "count": 1}
    return ReportRefusal({**body, "evidence": {"state": "locked"}})


def test_what_was_submitted_is_durable_when_the_worker_has_stopped(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for ticket in range(1, 41):
        assert shell.worker.submit(WriteRecord(ticket, "boot", {"n": ticket}))
    wait_until(lambda: len(shell.told) == 40)
    assert shell.told == [RecordDurable(n, f"1.{n}") for n in range(1, 41)]
    assert [(record.body or {})["n"] for record in shell.stop()] == list(range(1, 41))
    _, recovery = (pair := reopened(tmp_path))
    assert recovery.clean
    pair[0].close()


def test_questions_of_other_threads_are_answered_between_the_records(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for ticket in range(1, 4):
        shell.worker.submit(WriteRecord(ticket, "boot", {}))
    batch = shell.worker.records_after(1, 0, 60_000)
    assert (texts(list(batch.records)), batch.more) == (["1.1 boot", "1.2 boot", "1.3 boot"], False)
    head = Head(1, 2, batch.records[1].hash)
    assert shell.worker.acknowledge(head) == head
    with pytest.raises(ProtocolError):
        shell.worker.acknowledge(Head(1, 3, bytes(32)))
    shell.worker.mark(snapshot=(1, 4), config_digest="abc")
    status = shell.worker.status()
    assert (status.head.seq, status.acknowledged, status.unsent) == (3, head, 1)
    assert (status.marks.snapshot, status.failed) == ((1, 4), None)
    shell.stop()


def test_a_question_to_a_stalled_disk_ends_in_time_and_changes_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    stall = threading.Event()
    shell.worker.submit(WriteRecord(1, "boot", {}))
    wait_until(lambda: shell.told)
    asking = threading.Thread(target=shell.worker._ask, args=(lambda _: stall.wait(5.0), 5.0))
    asking.start()
    with pytest.raises(StoreError, match="no answer from the disk"):
        shell.worker.acknowledge(Head(1, 1, everything_hash(shell)), timeout_s=0.05)
    stall.set()
    asking.join()
    wait_until(lambda: shell.worker.records_after(1, 0, 1_000).records)
    assert shell.worker.status().acknowledged.seq == 0
    shell.stop()


def everything_hash(shell: Shell) -> bytes:
    return shell.worker.status().head.hash


def test_the_worker_is_alive_while_nothing_happens_and_silent_while_the_disk_stalls(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    first = shell.worker.last_alive_ms
    wait_until(lambda: shell.worker.last_alive_ms > first)
    stall = threading.Event()
    asking = threading.Thread(target=shell.worker._ask, args=(lambda _: stall.wait(5.0), 5.0))
    asking.start()
    wait_until(lambda: shell.clock.boot_ms() - shell.worker.last_alive_ms > 400)
    stall.set()
    asking.join()
    wait_until(lambda: shell.clock.boot_ms() - shell.worker.last_alive_ms < 300)
    shell.stop()


def test_the_same_refusal_again_is_counted_and_written_once_per_window(tmp_path: Path) -> None:
    shell = Shell(tmp_path, aggregation_s=1)
    for _ in range(30):
        shell.worker.submit(refusal("aa" * 16))
    wait_until(lambda: shell.worker.status().head.seq == 1, what="the first, at once")
    wait_until(lambda: shell.worker.status().head.seq == 2, what="the count, after the window")
    assert [(record.body or {})["count"] for record in shell.stop()] == [1, 29]


def test_counts_of_an_unfinished_window_are_written_at_the_end(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for _ in range(5):
        shell.worker.submit(refusal("aa" * 16))
    assert [(record.body or {})["count"] for record in shell.stop()] == [1, 4]


def test_an_error_of_the_operating_system_is_one_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    work = work_on(journal)
    with full_disk():
        work.write(pending(boot()), 1_000)

    def unreadable(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal_module, "finish_interrupted", unreadable)
    assert work.idle(2_000) == []
    assert (journal.usable, journal.damage) == (False, None)
    monkeypatch.undo()
    assert kinds(work.idle(3_000)) == ["RecordDurable", "JournalRecovered"]
    journal.close()


def test_a_thread_that_ends_of_the_unforeseen_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    died = threading.Event()
    journal = opened(tmp_path)
    worker = JournalWorker(
        journal,
        emit=lambda event: 1 // 0,
        stamp=lambda: NOW,
        clock=SystemClock(),
        died=died.set,
    )
    worker.start()
    worker.submit(WriteRecord(1, "boot", {}))
    wait_until(died.is_set)
    assert "ZeroDivisionError" in caplog.text
    assert worker.stop(1.0)
    journal.close()


def altered_far_back(folder: Path) -> Journal:
    """An open journal whose third record somebody changed, too far back for the start to see."""
    journal = opened(folder)
    journal.append([boot() for _ in range(100)])
    journal.close(clean=True)
    with closing(sqlite3.connect(folder / "journal.db")) as direct, direct:
        direct.execute("UPDATE records SET boot_ms = 5 WHERE place & 0xFFFF = 3")
    direct.close()
    return opened(folder)


def test_idle_time_verifies_the_chain_and_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10)
    journal = altered_far_back(tmp_path)
    work = work_on(journal)
    told = [event for turn in range(20) for event in work.idle(1_000 + 100 * turn)]
    assert told == []
    assert [(r.header.epoch, r.header.seq) for r in everything(journal)][-2:] == [(1, 100), (2, 1)]
    assert work.write(pending(boot()), 5_000) == [RecordDurable(1, "2.2")]
    assert work.is_settled
    journal.close()


def test_a_disk_that_fails_for_a_moment_does_not_end_the_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10)
    journal = altered_far_back(tmp_path)
    work = work_on(journal)

    def hiccup(*_: object) -> NoReturn:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    with monkeypatch.context() as failing:
        failing.setattr(schema, "record_of", lambda row, node: hiccup())
        assert kinds(work.idle(1_000)) == ["JournalFailed"]
    assert not work.is_settled
    told = [event for turn in range(20) for event in work.idle(2_000 + 100 * turn)]
    assert told == [JournalRecovered()]
    assert [(r.header.epoch, r.header.seq) for r in everything(journal)][-2:] == [(1, 100), (2, 1)]
    assert work.is_settled
    journal.close()


def test_mending_waits_until_nobody_uses_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10)
    journal = altered_far_back(tmp_path)
    work = work_on(journal)
    work.write(pending(started()), 1_000)
    for turn in range(20):
        work.idle(1_000 + 100 * turn)
    assert (journal.head.epoch, journal.damage is None) == (1, False)
    work.write(pending(ended("1.101"), first_ticket=2), 4_000)
    work.idle(4_100)
    assert (journal.head.epoch, journal.damage) == (2, None)
    assert "1.102 session_ended 1.101" in texts(everything(journal))
    journal.close()


def test_what_is_queued_together_is_one_commit(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    work = work_on(journal)
    work.write(pending(boot()), 1_000)
    assert journal._connection is not None
    commits: list[str] = []
    journal._connection.set_trace_callback(
        lambda sql: commits.append(sql) if sql == "COMMIT" else None
    )
    work.write(pending(*[boot()] * worker_module.BATCH_RECORDS_MAX, first_ticket=2), 1_000)
    assert len(commits) == 1
    work.write(pending(*[boot()] * (worker_module.BATCH_RECORDS_MAX + 1), first_ticket=50), 1_000)
    assert len(commits) == 3
    journal.close()
