"""One flipped bit anywhere: the journal opens, keeps what is readable, says what is not, and writes on."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from interlock.clock import perf_us
from interlock.core.events import RecordDurable
from interlock.errors import StoreError
from interlock.node import journal as journal_module
from interlock.node.journal import Journal
from interlock.node.journal_facts import Facts
from interlock.node.journal_work import JournalWork, Pending
from interlock.protocol.records import Record, RecordType
from tests.node.journals import NOW, boot, draft, ended, everything, opened, reopened, started
from tests.node.test_journal_damage import in_ranges, kept_and_declared, seqs

pytestmark = pytest.mark.real

SESSIONS = 12
FLIPS = 2_000
FLIPS_MIN = 300
US_MAX = 15_000_000
"""A slower computer tries fewer: what matters is that none of them is ever seen to fail."""

HEADER_BITS = range(16 * 8, 100 * 8)
"""The file's header behind its name: sizes, versions, counters. One bit there is the whole file's business."""

MEMORY = Path("/dev/shm")
BOOT_ID = "an-unmistakable-boot"
HIGH, LOW = 0x80, 0x01

KEY_OF_17 = bytes((0xA0, 0x80, 0x80, 0x80, 0x80, 17))
"""Record 1.17's key as SQLite spells it: 7 bits a byte, the high bit says that more follow."""


@dataclass(frozen=True)
class Written:
    """A closed journal, byte by byte, and what it holds."""

    good: bytes
    records: list[Record]
    facts: Facts


@pytest.fixture(name="home")
def quick_folder() -> Iterator[Path]:
    """Where a flush costs nothing: it is the reading that is tested."""
    folder = Path(tempfile.mkdtemp(prefix="il-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="written")
def small_journal(home: Path) -> Written:
    journal = opened(home, boot_id=BOOT_ID)
    journal.append([draft(RecordType.FAULT_RAISED, fault="contactor_welded")])
    for _ in range(SESSIONS):
        (start,) = journal.append([started()])
        journal.append([ended(start.id), boot()])
    journal.mark(snapshot=(1, 9))
    records, facts = everything(journal), journal.facts
    journal.close(clean=True)
    return Written((home / "journal.db").read_bytes(), records, facts)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Every salvage is logged, and here there are hundreds."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def flipped(good: bytes, bit: int) -> bytes:
    damaged = bytearray(good)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def laid_down(home: Path, content: bytes) -> Path:
    folder = home / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "journal.db").write_bytes(content)
    return folder


def outcome(home: Path, written: Written, content: bytes) -> str:
    """How it ended: unharmed, or mended; fails when it is not usable, or not honest."""
    folder = laid_down(home, content)
    journal, _ = reopened(folder)
    (after,) = mending(journal, lambda: journal.append([boot()]))
    while mending(journal, lambda: journal.verify_slice(50)):
        pass
    if journal.damage is not None:
        journal.reopen(NOW)
    mending(journal, lambda: everything(journal))
    known = [*written.records, *([after] if after.header.epoch == 1 else [])]
    if journal.head.epoch == 1:
        assert everything(journal) == known, "a flipped bit went unseen"
        assert (journal.facts, journal.marks.snapshot) == (written.facts, (1, 9))
        end = "unharmed"
    else:
        kept, lost = kept_and_declared(journal)
        assert [record for record in known if record.header.seq in seqs(kept)] == kept
        assert seqs(known) - seqs(kept) == in_ranges(lost, len(known))
        assert journal.facts.faults == written.facts.faults or journal.facts.locked_out
        end = "mended"
    head = journal.head
    journal.close()
    journal, recovery = reopened(folder)
    assert (journal.head, recovery.lost) == (head, ())
    journal.close()
    return end


T = TypeVar("T")


def mending(journal: Journal, use: Callable[[], T]) -> T:
    """What `use` comes to; what the opening cannot have met is mended as the worker mends it."""
    try:
        return use()
    except StoreError:
        assert journal.damage is not None, "the disk is blamed, and it is well"
        journal.reopen(NOW)
        return use()


def test_no_single_flipped_bit_makes_a_journal_useless_or_dishonest(
    home: Path, written: Written
) -> None:
    rng = random.Random(3)
    bits = [rng.randrange(8 * len(written.good)) for _ in range(FLIPS)]
    ends: Counter[str] = Counter()
    begun_us = perf_us()
    for bit in bits:
        ends[outcome(home, written, flipped(written.good, bit))] += 1
        if ends.total() >= FLIPS_MIN and perf_us() - begun_us > US_MAX:
            break
    assert ends.total() >= FLIPS_MIN
    assert min(ends.values()) > FLIPS_MIN // 10


def test_no_flipped_bit_of_the_header_does_either(home: Path, written: Written) -> None:
    for bit in HEADER_BITS:
        assert outcome(home, written, flipped(written.good, bit)) in ("unharmed", "mended"), bit


@pytest.mark.parametrize("mask", [HIGH, LOW], ids=["no text any more", "another text"])
@pytest.mark.parametrize(
    "text",
    [
        *(BOOT_ID, "session_started", "session_ended", "fault_raised"),
        *("0001_records", "acknowledged", "facts", "contactor_welded"),
        *("CREATE TABLE records", "boot_ms INTEGER", "sealed BLOB", "migrations"),
    ],
)
def test_a_letter_that_became_another_is_noticed_wherever_it_stands(
    home: Path, written: Written, text: str, mask: int
) -> None:
    place = -1
    tried = 0
    while (place := written.good.find(text.encode(), place + 1)) >= 0:
        damaged = bytearray(written.good)
        damaged[place + 2] ^= mask
        outcome(home, written, bytes(damaged))
        tried += 1
    assert tried


@pytest.mark.parametrize(
    ("byte", "bit"),
    [
        pytest.param(0, 0x40, id="to an epoch that never was"),
        pytest.param(5, 0x20, id="to a place behind its neighbours"),
    ],
)
def test_a_row_that_moved_where_its_page_does_not_list_it_is_noticed(
    home: Path, written: Written, byte: int, bit: int
) -> None:
    damaged = bytearray(written.good)
    damaged[written.good.find(KEY_OF_17) + byte] ^= bit
    assert outcome(home, written, bytes(damaged)) == "mended"


@pytest.mark.parametrize("mask", [HIGH, LOW], ids=["no text any more", "another text"])
@pytest.mark.parametrize("text", [BOOT_ID, "session_started"])
def test_a_broken_letter_far_back_does_not_stop_the_outbox(
    home: Path, written: Written, text: str, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 5)
    damaged = bytearray(written.good)
    end_of_row = written.good.find(written.records[1].commit)
    damaged[written.good.rfind(text.encode(), 0, end_of_row) + 2] ^= mask
    journal, _ = reopened(laid_down(home, bytes(damaged)))
    assert journal.head.epoch == 1, "it lies in the tail: this shows nothing"
    work = JournalWork(journal, lambda: NOW, start_deadline_ms=2_000)
    for turn in range(5):
        work.idle(1_000 + 600 * turn)
    kept, lost = kept_and_declared(journal)
    assert len(kept) == len(written.records) - 1
    assert seqs(written.records) - seqs(kept) == in_ranges(lost, len(written.records))
    assert work.write([Pending(boot(), 1, NOW.boot_ms)], 5_000) == [RecordDurable(1, "2.2")]
    journal.close()
