"""One writer at a time: threads and processes that write together never meet a locked database."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, close_old_connections, connection, transaction

from interlock.clock import SystemClock
from interlock.hub.models import Lab
from interlock.hub.sqlite.writer import WriterLock, writer_lock
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]


ROUNDS = 20
"""Threads that never meet on a busy computer prove nothing; nobody misses each other so often."""


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """SQLite itself waits for nobody: whatever is not serialised by our lock fails at once."""
    connection.ensure_connection()
    connection.connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.close()


def write_in_threads(threads: int, writes: int) -> list[Exception]:
    """Each thread raises the same counter `writes` times; returns what went wrong."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            with impatient():
                for _ in range(writes):
                    with transaction.atomic():
                        lab = Lab.objects.get(slug="lab")
                        lab.change_seq += 1
                        lab.save()
        except OperationalError as error:
            failures.append(error)
        finally:
            close_old_connections()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return failures


def test_threads_that_read_and_then_write_lose_nothing_and_never_fail() -> None:
    Lab.objects.create(slug="lab", name="Lab")
    assert write_in_threads(threads=6, writes=30) == []
    assert Lab.objects.get().change_seq == 180


def test_without_the_lock_the_same_writes_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with the lock taken out, SQLite says "database is locked"."""
    Lab.objects.create(slug="lab", name="Lab")
    monkeypatch.setattr(WriterLock, "acquire", lambda self: None)
    monkeypatch.setattr(WriterLock, "release", lambda self: None)
    rounds = (write_in_threads(threads=6, writes=30) for _ in range(ROUNDS))
    assert any("locked" in str(failure) for failures in rounds for failure in failures)


def test_a_write_outside_a_transaction_takes_the_lock_too() -> None:
    lock = writer_lock(str(connection.settings_dict["NAME"]))
    done = threading.Event()

    def write() -> None:
        Lab.objects.create(slug="lab", name="Lab")
        Lab.objects.update(name="Other")
        connection.close()
        done.set()

    with lock.held():
        writer = threading.Thread(target=write)
        writer.start()
        assert not done.wait(0.2)
        assert not Lab.objects.exists()
    writer.join()
    assert done.is_set()
    assert Lab.objects.get().name == "Other"


def test_reading_needs_no_lock() -> None:
    with writer_lock(str(connection.settings_dict["NAME"])).held():
        assert not Lab.objects.exists()


def test_a_rolled_back_or_broken_transaction_lets_the_lock_go() -> None:
    for _ in range(2):
        with pytest.raises(Lab.DoesNotExist), transaction.atomic():
            Lab.objects.get(slug="lab")
    with transaction.atomic():
        connection.close()
    connection.close()
    lock = writer_lock(str(connection.settings_dict["NAME"]))
    with WriterLock(lock.path, SystemClock(), wait_s_max=0.0).held():
        pass


def test_a_lock_that_is_never_let_go_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "x.lock")
    with WriterLock(path, SystemClock()).held(), pytest.raises(OperationalError, match="stopped"):
        WriterLock(path, SystemClock(), wait_s_max=0.05).acquire()


WRITER = textwrap.dedent(
    """
    import sys
    import django
    from django.conf import settings
    settings.DATABASES["default"]["NAME"] = sys.argv[1]
    settings.DATABASES["default"]["OPTIONS"]["timeout"] = 0
    django.setup()
    from django.db import transaction
    from interlock.hub.models import Lab
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[2])):
        with transaction.atomic():
            lab = Lab.objects.get(slug="lab")
            lab.change_seq += 1
            lab.save()
    """
)


def write_in_processes(processes: int, writes: int, program: str = WRITER) -> list[int]:
    """Exit codes of processes that all raise the same counter `writes` times."""
    database = str(connection.settings_dict["NAME"])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, database, str(writes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
    return [worker.returncode for worker in workers]


def test_processes_that_write_together_lose_nothing_and_never_fail() -> None:
    Lab.objects.create(slug="lab", name="Lab")
    assert write_in_processes(processes=3, writes=60) == [0, 0, 0]
    assert Lab.objects.get().change_seq == 180


def test_without_the_lock_the_same_processes_fail() -> None:
    Lab.objects.create(slug="lab", name="Lab")
    unlocked = WRITER.replace(
        'print("ready"',
        "from interlock.hub.sqlite.writer import WriterLock\n"
        "WriterLock.acquire = WriterLock.release = lambda self: None\n"
        'print("ready"',
    )
    rounds = (write_in_processes(processes=3, writes=60, program=unlocked) for _ in range(ROUNDS))
    assert any(any(codes) for codes in rounds)


FORKED = textwrap.dedent(
    """
    import os, sys
    from django.db.utils import OperationalError
    from interlock.hub.sqlite import writer
    lock = writer.writer_lock(sys.argv[1])
    writer.keep_open(sys.argv[1])
    lock._wait_s_max = 0.05
    with lock.held():
        pass
    begin, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(begin, 1)
        try:
            lock.acquire()
        except OperationalError as error:
            waited = "another process" in str(error)
        else:
            waited = False
        os._exit(0 if waited and not writer._kept else 1)
    with lock.held():
        os.write(go, b"x")
        status = os.waitpid(child, 0)[1]
    with lock.held():
        sys.exit(os.waitstatus_to_exitcode(status))
    """
)


def test_a_forked_child_shares_neither_lock_nor_connection_with_its_parent(tmp_path: Path) -> None:
    """Both would hold one file lock: it belongs to the open file, which fork() shares."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "x.db")], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_closing_a_connection_is_never_the_last_close() -> None:
    """A last close would checkpoint and remove the WAL; the kept connection prevents it."""
    Lab.objects.create(slug="lab", name="Lab")
    connection.close()
    wal = Path(f"{connection.settings_dict['NAME']}-wal")
    assert wal.exists()
    assert wal.stat().st_size > 0


def test_a_file_that_no_process_holds_open_loses_its_wal_at_the_last_close(tmp_path: Path) -> None:
    """What the test above would see without the kept connection."""
    raw = sqlite3.connect(tmp_path / "x.db")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE t (x)")
    assert (tmp_path / "x.db-wal").exists()
    raw.close()
    wait_until(lambda: not (tmp_path / "x.db-wal").exists())
