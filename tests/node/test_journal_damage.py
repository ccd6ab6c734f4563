"""A damaged journal ends in a verified one: nothing readable is lost, and what is lost is said."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interlock.node import journal as journal_module
from interlock.node.journal import Journal
from interlock.node.journal_facts import Facts
from interlock.node.journal_schema import SEQ_BITS, row_of
from interlock.protocol.records import Head, Record, RecordType
from tests.node.journals import (
    NOW,
    assert_chained,
    boot,
    draft,
    ended,
    everything,
    new_journal,
    opened,
    reopened,
    started,
    texts,
)

pytestmark = pytest.mark.real

RECORDS = 400


@pytest.fixture(name="written", scope="module")
def journal_with_records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A folder with a closed journal of several hundred records, some facts among them."""
    folder = tmp_path_factory.mktemp("written")
    journal = opened(folder)
    journal.append([draft(RecordType.FAULT_RAISED, fault="contactor_welded")])
    for _ in range(RECORDS // 3):
        (start,) = journal.append([started()])
        journal.append([ended(start.id), boot()])
    journal.mark(snapshot=(1, 9))
    records = everything(journal)
    journal.close(clean=True)
    return folder, records


@pytest.fixture(name="folder")
def fresh_copy(written: tuple[Path, list[Record]], tmp_path: Path) -> Path:
    for path in written[0].iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def kept_and_declared(journal: Journal) -> tuple[list[Record], list[list[int | None]]]:
    records = everything(journal)
    epoch_1 = [record for record in records if record.header.epoch == 1]
    (declared, *_) = [record for record in records if record.header.epoch == 2]
    assert (declared.header.seq, declared.header.type) == (1, RecordType.PROBLEM_REPORTED)
    assert declared.body is not None
    return epoch_1, declared.body["lost"]


def seqs(records: list[Record]) -> set[int]:
    return {record.header.seq for record in records}


def in_ranges(ranges: list[list[int | None]], last: int) -> set[int]:
    found: set[int] = set()
    for _, first, end in ranges:
        assert first is not None
        found |= set(range(first, (last if end is None else end) + 1))
    return found


def test_what_a_flipped_bit_leaves_readable_is_kept_and_the_rest_is_declared(
    written: tuple[Path, list[Record]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10_000)
    _, records = written
    rng = random.Random(7)
    good = (folder / "journal.db").read_bytes()
    noticed = 0
    for round_number in range(40):
        home = folder / f"round-{round_number}"
        home.mkdir()
        damaged = bytearray(good)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (home / "journal.db").write_bytes(damaged)
        journal, recovery = reopened(home)
        (home / "journal.db").stat()
        if journal.head.epoch == 1:
            assert everything(journal) == records, "a flipped bit went unseen"
        else:
            noticed += 1
            kept, lost = kept_and_declared(journal)
            assert [r for r in records if r.header.seq in seqs(kept)] == kept
            assert seqs(records) - seqs(kept) == in_ranges(lost, len(records))
            assert any(home.glob("journal.db.damaged-before-epoch-2"))
        if "contactor_welded" not in recovery.facts.faults:
            assert recovery.facts.locked_out, "a latched fault was forgotten without a word"
        (after,) = journal.append([boot()])
        assert after.header.epoch == journal.head.epoch
        journal.close()
    assert noticed > 10


def readable_seqs(path: Path, last: int) -> set[int]:
    """What SQLite itself still finds when it is asked for each record alone."""
    found = set()
    with closing(sqlite3.connect(path)) as direct:
        for seq in range(1, last + 1):
            try:
                row = direct.execute(
                    "SELECT hash FROM records WHERE place = ?", (1 << SEQ_BITS | seq,)
                ).fetchone()
            except sqlite3.DatabaseError:
                continue
            if row is not None:
                found.add(seq)
    return found


@pytest.mark.parametrize("page", range(12, 24))
def test_a_page_of_rubbish_costs_exactly_the_records_that_nobody_could_read(
    written: tuple[Path, list[Record]], folder: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10_000)
    _, records = written
    path = folder / "journal.db"
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(random.Random(page).randbytes(4096))
    oracle = readable_seqs(path, len(records))
    journal, recovery = reopened(folder)
    kept, lost = kept_and_declared(journal)
    missing = seqs(records) - seqs(kept)
    assert 0 < len(missing) < 20
    assert seqs(kept) == oracle
    assert in_ranges(lost, len(records)) == missing
    assert [(r.epoch, r.first, r.last) for r in recovery.lost] == [tuple(r) for r in lost]
    assert recovery.facts == Facts(faults=frozenset({"contactor_welded"}))
    assert journal.marks.snapshot == (1, 9)
    journal.close()
    journal, recovery = reopened(folder)
    assert (journal.head.epoch, recovery.lost) == (2, ()), "it was salvaged twice"
    while journal.verify_slice(50):
        pass
    assert journal.damage is None
    journal.close()


def test_a_sound_record_of_another_branch_is_noticed(
    written: tuple[Path, list[Record]], folder: Path, tmp_path: Path
) -> None:
    """A card that was cloned and written twice: every record is genuine, the chain is not."""
    (tmp_path / "twin").mkdir()
    twin = opened(tmp_path / "twin", boot_id="twin")
    twin.append([boot() for _ in range(len(written[1]) - 5)])
    stranger = everything(twin)[-1]
    twin.close()
    with closing(sqlite3.connect(folder / "journal.db")) as direct:
        columns = ", ".join("?" * 11)
        direct.execute(f"INSERT OR REPLACE INTO records VALUES ({columns})", row_of(stranger))
        direct.commit()
    journal, recovery = reopened(folder)
    seq = stranger.header.seq
    assert [(r.epoch, r.first, r.last) for r in recovery.lost] == [(1, seq, seq)]
    journal.close()


def test_a_file_that_is_no_database_ends_in_a_new_epoch_locked_out_and_says_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal.db").write_bytes(os.urandom(9_000))
    journal, recovery = reopened(tmp_path)
    assert journal.head == Head(2, 2, everything(journal)[-1].hash)
    assert recovery.facts.lock_outs == {"machine": "journal_lost"}
    assert [(lost.epoch, lost.first, lost.last) for lost in recovery.lost] == [(1, 1, None)]
    journal.close()
    (tmp_path / "journal.db").write_bytes(os.urandom(9_000))
    journal, recovery = reopened(tmp_path)
    assert journal.head.epoch == 3, "an epoch was used twice"
    journal.close()


def test_missing_last_records_are_noticed_at_the_start(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db")) as direct, direct:
        direct.execute("DELETE FROM records WHERE place > (SELECT max(place) - 3 FROM records)")
        (last,) = direct.execute("SELECT max(place) & 0xFFFFFFFF FROM records").fetchone()
    direct.close()
    journal, recovery = reopened(folder)
    assert [(r.epoch, r.first, r.last) for r in recovery.lost] == [(1, last + 1, last + 3)]
    journal.close()


def test_missing_last_records_of_an_epoch_that_is_over_are_noticed(
    written: tuple[Path, list[Record]], folder: Path
) -> None:
    end = len(written[1])
    for epoch in (1, 2):
        with closing(sqlite3.connect(folder / "journal.db")) as direct, direct:
            (last,) = direct.execute(
                "SELECT max(place) & 0xFFFFFFFF FROM records WHERE place >> 40 = 1"
            ).fetchone()
            direct.execute("DELETE FROM records WHERE place = 1 << 40 | ?", (last,))
        direct.close()
        journal, recovery = reopened(folder)
        assert journal.head.epoch == epoch + 1
        assert [(r.epoch, r.first, r.last) for r in recovery.lost] == [(1, last, end)]
        journal.close()


def test_an_altered_record_far_back_is_found_by_the_slices_and_mended(
    written: tuple[Path, list[Record]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10)
    with closing(sqlite3.connect(folder / "journal.db")) as direct, direct:
        direct.execute("UPDATE records SET boot_ms = boot_ms + 1 WHERE place & 0xFFFFFF = 17")
    direct.close()
    journal, _ = reopened(folder)
    assert journal.head.epoch == 1, "the tail is whole, so the start may not wait"
    while journal.verify_slice(50):
        pass
    assert journal.damage is not None
    assert "altered" in journal.damage
    assert journal.reopen(NOW) == []
    kept, lost = kept_and_declared(journal)
    assert lost == [[1, 17, 17]]
    assert len(kept) == len(written[1]) - 1
    journal.close()


def test_acknowledged_records_that_became_unreadable_are_no_loss(
    written: tuple[Path, list[Record]], folder: Path
) -> None:
    _, records = written
    journal = opened(folder)
    journal.acknowledge(Head(1, 100, records[99].hash))
    journal.close(clean=True)
    with closing(sqlite3.connect(folder / "journal.db")) as direct, direct:
        direct.execute("UPDATE records SET boot_ms = 5 WHERE place & 0xFFFFFF IN (50, 200)")
    direct.close()
    journal, recovery = reopened(folder)
    assert [(r.epoch, r.first, r.last) for r in recovery.lost] == [(1, 200, 200)]
    assert journal.acknowledged.seq == 100
    journal.close()


@pytest.mark.parametrize("moved_wal", [False, True])
def test_a_salvage_cut_off_between_its_renames_is_finished(folder: Path, moved_wal: bool) -> None:
    (folder / "journal.db").rename(folder / "journal.db.salvaged")
    if not moved_wal:
        (folder / "journal.db-wal").write_bytes(b"of the damaged file")
    journal, recovery = reopened(folder)
    assert len(everything(journal)) > 300
    assert recovery.facts.faults == {"contactor_welded"}
    journal.close()


def test_an_unfinished_salvage_is_forgotten(folder: Path) -> None:
    (folder / "journal.db.salvaged").write_bytes(b"half")
    journal, _ = reopened(folder)
    assert journal.head.epoch == 1
    assert not (folder / "journal.db.salvaged").exists()
    journal.close()


def test_a_missing_file_is_a_fresh_journal(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.open(NOW)
    recovery = journal.recover(NOW)
    assert (recovery.clean, recovery.lost, recovery.facts) == (True, (), Facts())
    assert_chained(journal.append([boot()]))
    assert texts(everything(journal)) == ["1.1 boot"]
    journal.close()
