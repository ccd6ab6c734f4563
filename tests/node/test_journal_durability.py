"""What was called durable is there after kill -9 and after a full disk, and a day's writing stays in its budget."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.node.journal import Journal
from interlock.protocol.records import Record
from tests.node.journals import (
    NOW,
    assert_chained,
    boot,
    draft,
    ended,
    everything,
    opened,
    progress,
    reopened,
    started,
)

pytestmark = pytest.mark.real

KILLS = 20
BATCH_DRAFTS_MAX = 4
"""What `journal_writer` hands over at once: so many may appear that it had not yet told."""

DAY_BYTES_MAX = 50_000_000
"""7-targets.md: disk written by a node with 200 sessions a day."""


def kill_while_writing(folder: Path, seed: int, lines: int) -> list[str]:
    """The lines a writer had told when it was killed, in the middle of whatever it was doing then."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.node.journal_writer", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    told += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -9
    return [line.strip() for line in told if line.endswith("\n")]


def test_everything_reported_durable_survives_kill_9_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(9)
    told: list[str] = []
    for seed in range(KILLS):
        told += kill_while_writing(tmp_path, seed, rng.randrange(1, 40))
        journal = opened(tmp_path)
        records = everything(journal)
        assert_chained(records)
        there = [f"{record.id} {record.hash.hex()}" for record in records]
        extra = unreported(there, told)
        assert len(extra) <= BATCH_DRAFTS_MAX + 1, "more appeared than the batch in flight"
        # What is there now is history: the next writer continues it.
        told = there
        journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.lost == ()
    assert_sessions_are_paired(everything(journal))
    journal.close()


def unreported(there: list[str], told: list[str]) -> list[str]:
    """Records nobody was told of; fails when one that was told is missing or in another place."""
    known = set(told)
    assert [line for line in there if line in known] == told, "a durable record is gone"
    return [line for line in there if line not in known]


def assert_sessions_are_paired(records: list[Record]) -> None:
    starts = [record.id for record in records if record.header.type == "session_started"]
    ends = [
        (record.body or {})["session"]
        for record in records
        if record.header.type == "session_ended"
    ]
    assert ends == starts, "a session was ended twice, or never"


@pytest.fixture(name="small_disk")
def a_real_small_disk() -> Iterator[Path]:
    """A tmpfs of 400 KiB: the kernel's own ENOSPC."""
    folder = Path(tempfile.mkdtemp(prefix="il-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)],
        stderr=subprocess.PIPE,
        check=False,
    )
    if made.returncode != 0:
        folder.rmdir()
        pytest.skip(f"mounting is not allowed here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_loses_nothing_and_the_journal_writes_again_when_there_is_room(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200 * 1024))
    journal = opened(small_disk)
    written: list[Record] = []
    with pytest.raises(StoreError, match="full"):
        fill(journal, written)
    assert len(written) > 10
    with pytest.raises(StoreError, match="not reopened"):
        journal.append([boot()])
    ballast.unlink()
    adopted = journal.reopen(NOW)
    written += adopted
    written += journal.append([boot()])
    assert everything(journal) == written
    assert_chained(written)
    journal.close()
    journal = opened(small_disk)
    assert everything(journal) == written
    journal.close()


def fill(journal: Journal, written: list[Record]) -> None:
    while True:
        written += journal.append([started(), boot()])


def written_bytes() -> int:
    """Every byte this process has handed to write(2) so far."""
    for line in Path("/proc/self/io").read_text("ascii").splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise AssertionError("the kernel counts no bytes")


def test_a_day_with_200_sessions_stays_within_the_card_s_budget(tmp_path: Path) -> None:
    """200 sessions of 5 minutes, a progress record a minute, refusals with evidence, time saved every 10 minutes."""
    evidence = {"state": "locked", "entry": {"text": "x" * 600}, "rules": {"text": "x" * 500}}
    journal = opened(tmp_path)
    before = written_bytes()
    for number in range(200):
        start = draft(started().type, **{**started().body, "evidence": evidence})
        (record,) = journal.append([start])
        for minute in range(1, 6):
            journal.append([progress(record.id, minute * 60_000)])
        journal.append([ended(record.id)])
        refusal = {"reason": "NOT_TRAINED", "tag": "a" * 32, "count": 1, "evidence": evidence}
        journal.append([draft(boot().type, **refusal)])
        if number % 25 == 0:
            # The worker's idle time: at the latest after 200 records.
            journal.checkpoint()
    for minute in range(0, 24 * 60, 10):
        journal.mark(time={"powered_ms": minute * 60_000, "boot_id": "b" * 36})
    journal.checkpoint()
    spent = written_bytes() - before
    journal.close()
    assert 1_000_000 < spent < DAY_BYTES_MAX, f"{spent:,} bytes"
