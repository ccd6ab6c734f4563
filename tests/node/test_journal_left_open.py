"""A session that an earlier process left open is ended once, whatever the disk did to the start of this one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.core.effects import WriteRecord
from interlock.core.events import Event, JournalRecovered, RecordDurable
from interlock.errors import StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Stamp
from interlock.node.journal_worker import JournalWorker
from tests.node.journals import (
    KEYS,
    NOW,
    boot,
    counted_bytes,
    everything,
    opened,
    reopened,
    started,
    texts,
)
from tests.node.test_journal_worker import UncertainJournal, full_disk
from tests.waiting import wait_until

pytestmark = pytest.mark.real


class Refused(Journal):
    """A journal whose disk refuses the first `refusals` attempts to open it."""

    refusals = 0

    def _connect(self) -> None:
        if self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        super()._connect()


def left_open(folder: Path) -> Path:
    """A journal whose process died in the middle of a session, a boot record before it."""
    journal = opened(folder)
    journal.append([boot(), started()])
    journal.close()
    return folder / "journal.db"


def history_of_a_worker_on(journal: Journal) -> list[str]:
    """What the journal holds once a worker on it has written one start."""
    clock = SystemClock()
    told: list[Event] = []
    worker = JournalWorker(
        journal, emit=told.append, stamp=lambda: Stamp(clock.boot_ms()), clock=clock
    )
    worker.start()
    if worker.status().failed:
        wait_until(lambda: JournalRecovered() in told, what="the journal to be opened")
    worker.submit(WriteRecord(1, "session_started", dict(started("m2").body)))
    wait_until(lambda: RecordDurable(1, "1.4") in told)
    assert worker.stop(5.0)
    after, recovery = reopened(journal._path.parent)
    assert recovery.ended == "1.4"
    history = texts(everything(after))
    after.close()
    return history


CLOSED_ONCE = [
    "1.1 boot",
    "1.2 session_started m1",
    "1.3 session_ended 1.2",
    "1.4 session_started m2",
    "1.5 session_ended 1.4",
]


def test_a_session_whose_end_the_disk_refused_at_the_start_is_closed_by_the_worker(
    tmp_path: Path,
) -> None:
    left_open(tmp_path)
    journal = opened(tmp_path)
    with full_disk():
        recovery = journal.recover(NOW)
    assert (recovery.ended, journal.usable) == ("1.2", False)
    assert history_of_a_worker_on(journal) == CLOSED_ONCE


def test_a_session_whose_end_reached_the_disk_without_anybody_knowing_is_closed_once(
    tmp_path: Path,
) -> None:
    journal = UncertainJournal(
        left_open(tmp_path), KEYS, boot_id="b", random_bytes=counted_bytes("b")
    )
    journal.open(NOW)
    journal.uncertain = True
    assert (journal.recover(NOW).ended, journal.usable) == ("1.2", False)
    assert history_of_a_worker_on(journal) == CLOSED_ONCE


def test_a_journal_that_could_not_be_opened_at_the_start_is_opened_by_the_worker(
    tmp_path: Path,
) -> None:
    journal = Refused(left_open(tmp_path), KEYS, boot_id="b", random_bytes=counted_bytes("b"))
    journal.refusals = 2
    with pytest.raises(StoreError):
        journal.open(NOW)
    assert history_of_a_worker_on(journal) == CLOSED_ONCE
