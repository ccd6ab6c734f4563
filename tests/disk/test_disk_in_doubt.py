"""What a reopened journal says of a batch in doubt stays true, whatever a later power cut brings back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.core.events import JournalFailed, JournalRecovered, RecordDurable, RecordFailed
from interlock.errors import StoreError
from interlock.node.journal_work import JournalWork, Pending
from interlock.sim.clocks import VirtualClock
from interlock.sim.disk import EIO, Disk, Fault, Kind
from tests.disk.judge import Claim, new_journal
from tests.disk.lives import VFS, Life, Step, cuts, on_disk, room, survives
from tests.node.journals import NOW, boot, everything, started

pytestmark = pytest.mark.real

DRAWS = 50
STALL_MS = 3_000
"""Longer than the 2 s a start may take (2-machine.md)."""


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    with room() as folder:
        yield folder


def failing_once(disk: Disk, *kinds: Kind, fault: Fault = EIO) -> None:
    """The next operation of one of these kinds fails."""

    def plan(number: int, kind: Kind, name: str) -> Fault | None:
        if kind not in kinds or happened:
            return None
        happened.append(number)
        return fault

    happened: list[int] = []
    disk.plan = plan


def failing_for(disk: Disk, count: int) -> None:
    """The next `count` flushes fail."""
    left = [EIO] * count
    disk.plan = lambda number, kind, name: left.pop() if kind is Kind.SYNC and left else None


def test_a_start_that_reopening_called_lost_does_not_come_back_with_a_power_cut(
    folder: Path,
) -> None:
    """Found by the simulated disk (random seed 62): closing removed the WAL, and nobody synced the folder."""
    for seed in range(DRAWS):
        rng = random.Random(seed)
        with on_disk(folder, {}) as disk:
            disk.rng = rng
            life = Life(disk)
            life.begin()
            # The first commit syncs the WAL's header; it is the sync of the frames that is to fail.
            life.step(Step.MARK)
            failing_once(disk, Kind.SYNC)
            life.step(Step.START)
            assert (life.failures, life.claim.records) == (1, ()), "it was refused"
            told = len(disk.log)
            life.stop()
        for moment, image in cuts(life, rng, told - 1):
            assert moment.flight is None
            survives(folder, moment, image)


def test_a_batch_found_again_after_failed_flushes_is_not_undone_by_a_wal_that_comes_back(
    folder: Path,
) -> None:
    """Found by the simulated disk (random seeds 85, 126, 371 …): frames in the kernel's memory were built on."""
    adopted = 0
    for seed in range(DRAWS):
        rng = random.Random(seed)
        with on_disk(folder, {}) as disk:
            disk.rng = rng
            life = Life(disk)
            life.begin()
            life.step(Step.START)
            begin = len(disk.log)
            failing_for(disk, 4)
            life.step(Step.BATCH)
            assert life.failures > 1, "the close must fail as well"
            adopted += len(life.claim.records) == 4
            life.stop()
        for moment, image in cuts(life, rng, begin):
            survives(folder, moment, image)
    assert adopted == DRAWS


@pytest.mark.parametrize("kind", [Kind.WRITE, Kind.SYNC])
def test_a_stalled_disk_refuses_the_starts_that_waited_too_long_and_keeps_the_rest(
    folder: Path, kind: Kind
) -> None:
    clock = VirtualClock()
    with on_disk(folder, {}) as disk:
        journal = new_journal(folder / "journal.db", VFS.uri, "boot-a")
        journal.open(NOW)
        work = JournalWork(journal, lambda: NOW, start_deadline_ms=2_000)
        disk.stalled = lambda ms: clock.advance_us(ms * 1_000)
        failing_once(disk, kind, fault=Fault(stall_ms=STALL_MS))
        queued_ms = clock.boot_ms()
        assert work.write([Pending(boot(), 1, queued_ms)], queued_ms) == [RecordDurable(1, "1.1")]
        assert clock.boot_ms() == queued_ms + STALL_MS, "it did not stall"
        late = [Pending(started(), 2, queued_ms), Pending(boot(), 3, queued_ms)]
        assert work.write(late, clock.boot_ms()) == [
            RecordFailed(2, "the disk was too slow"),
            RecordDurable(3, "1.2"),
        ]
        assert [record.header.type for record in everything(journal)] == ["boot", "boot"]
        journal.close()


def test_a_full_disk_refuses_a_start_says_so_and_writes_the_rest_when_there_is_room(
    folder: Path,
) -> None:
    full = True

    def plan(number: int, kind: Kind, name: str) -> Fault | None:
        return Fault(28, part=0.5) if full and kind is Kind.WRITE else None

    with on_disk(folder, {}) as disk:
        journal = new_journal(folder / "journal.db", VFS.uri, "boot-a")
        journal.open(NOW)
        work = JournalWork(journal, lambda: NOW, start_deadline_ms=2_000)
        disk.plan = plan
        (failed,) = work.write([Pending(started(), 1, 0), Pending(boot(), 2, 0)], 0)
        assert isinstance(failed, JournalFailed)
        assert "full" in failed.detail
        full = False
        assert work.write([], 600) == [
            RecordFailed(1, failed.detail),
            RecordDurable(2, "1.1"),
            JournalRecovered(),
        ]
        journal.close()


def test_a_journal_whose_disk_never_flushes_calls_nothing_durable(folder: Path) -> None:
    syncs = (Kind.SYNC, Kind.SYNC_NAMES)
    with on_disk(folder, {}) as disk:
        journal = new_journal(folder / "journal.db", VFS.uri, "boot-a")
        journal.open(NOW)
        disk.plan = lambda number, kind, name: EIO if kind in syncs else None
        for _ in range(5):
            with pytest.raises(StoreError):
                journal.append([boot()])
            with pytest.raises(StoreError):
                journal.reopen(NOW)
        disk.plan = lambda number, kind, name: None
        assert [record.id for record in journal.reopen(NOW)] in ([], ["1.1"])
        journal.close()


def test_a_claim_of_nothing_is_kept_by_an_empty_disk(folder: Path) -> None:
    with on_disk(folder, {}) as disk:
        life = Life(disk)
        life.begin()
        life.stop()
    survives(folder, life.moments[0], {})
    assert life.moments[0].claim == Claim()
