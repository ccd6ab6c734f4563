"""A record is called durable when the disk has it, and not when the kernel's memory still shows it."""

from __future__ import annotations

import functools
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.errors import StoreError
from tests.node.journals import NOW, boot, everything, opened, started, texts
from tests.node.lying_disk import ABOUT_TO_FAIL, after_power_cut, flushes_before_the_failure, traced

pytestmark = pytest.mark.real

CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the flush fail")
@pytest.mark.parametrize(
    ("failures", "records"),
    [
        (0, 3),
        pytest.param(1, 2, id="the commit's: SQLite forgets the batch"),
        pytest.param(2, 3, id="and the one of closing: the batch is found again"),
        pytest.param(3, 3, id="and the first of opening again"),
    ],
)
def test_what_was_adopted_after_a_failed_flush_survives_the_power_cut_that_follows(
    tmp_path: Path, failures: int, records: int
) -> None:
    _, trace = traced(tmp_path / "well")
    first = flushes_before_the_failure(trace) + 1
    failing = [f"-einject=fdatasync:error=EIO:when={first}..{first + failures - 1}"]
    told, trace = traced(tmp_path / "ill", *failing[:failures])
    told.remove(ABOUT_TO_FAIL)
    assert told == [f"1.{seq}" for seq in range(1, records + 1)]
    after_power_cut(trace, tmp_path / "cut")
    journal = opened(tmp_path / "cut", boot_id="after")
    there = [record.id for record in everything(journal)]
    journal.close()
    assert there == told


class FailingCheckpoint(sqlite3.Connection):
    """A connection whose checkpoint fails, or finds the file held, while `how` says so."""

    how: str | None = None

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == CHECKPOINT and FailingCheckpoint.how == "error":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        if sql == CHECKPOINT and FailingCheckpoint.how == "busy":
            return super().execute("SELECT 1, 3, 0")
        return super().execute(sql, *arguments)


@pytest.fixture(name="checkpoints")
def checkpoints_fail_when_told(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    connect = functools.partial(sqlite3.connect, factory=FailingCheckpoint)
    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(FailingCheckpoint, "how", None)
    return lambda how: monkeypatch.setattr(FailingCheckpoint, "how", how)


@pytest.mark.parametrize("how", ["error", "busy"])
def test_a_reopened_journal_is_no_use_before_its_log_was_written_anew(
    tmp_path: Path, checkpoints: Callable[[str | None], None], how: str
) -> None:
    journal = opened(tmp_path)
    journal.append([boot()])
    checkpoints(how)
    with pytest.raises(StoreError):
        journal.reopen(NOW)
    assert not journal.usable
    with pytest.raises(StoreError):
        journal.append([started()])
    checkpoints(None)
    assert journal.reopen(NOW) == []
    assert (tmp_path / "journal.db-wal").stat().st_size == 0
    journal.append([started()])
    assert texts(everything(journal)) == ["1.1 boot", "1.2 session_started m1"]
    journal.close()


def test_a_process_that_follows_another_writes_its_log_anew_before_it_trusts_it(
    tmp_path: Path, checkpoints: Callable[[str | None], None]
) -> None:
    journal = opened(tmp_path)
    journal.append([boot()])
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("journal.db*"):
        shutil.copy(path, copy)
    journal.close()
    checkpoints("error")
    with pytest.raises(StoreError):
        opened(copy)
    checkpoints(None)
    follower = opened(copy)
    assert (copy / "journal.db-wal").stat().st_size == 0
    assert texts(everything(follower)) == ["1.1 boot"]
    follower.close()
