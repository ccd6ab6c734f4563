"""Each page of a journal damaged in turn, a salvage cut at each write: recovered, or honest about the loss (D8)."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.node import journal as journal_module
from interlock.node.journal import Journal
from interlock.node.journal_facts import Facts
from interlock.node.journal_salvage import _Copied
from interlock.protocol.records import Record, RecordType
from interlock.sim.disk import Kind, cut_points
from tests.disk.judge import Broken, check_file, new_journal
from tests.disk.lives import VFS, Life, Step, on_disk, room
from tests.node.journals import NOW, boot, everything

pytestmark = pytest.mark.real

PAGE_BYTES = 4_096
FILL = (Step.BATCH, Step.START, Step.END, Step.REFUSALS, Step.MARK)
ROUNDS = 8
"""A dozen pages of records under a root page: enough for holes at the end, in the middle and above."""

DRAWS = 1


@dataclass(frozen=True)
class Written:
    """A journal closed in order: its file, its records, and what they leave true."""

    good: bytes
    records: list[Record]
    facts: Facts


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Every salvage is logged, and here there are hundreds."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    with room() as folder:
        yield folder


@pytest.fixture(name="written")
def journal_with_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setattr(journal_module, "TAIL_RECORDS", 10_000)
    with on_disk(folder, {}) as disk:
        life = Life(disk)
        life.begin()
        for _ in range(ROUNDS):
            for step in FILL:
                life.step(step)
        records, facts = everything(life.journal), life.journal.facts
        life.journal.close(clean=True)
        assert [path.name for path in folder.iterdir()] == ["journal.db"]
        return Written((folder / "journal.db").read_bytes(), records, facts)


def damaged(good: bytes, page: int, kind: str) -> bytes:
    """The file with one page of zeros, of rubbish, half lost, or gone with all that follow."""
    begin = page * PAGE_BYTES
    content = bytearray(good)
    match kind:
        case "zeros":
            content[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)
        case "rubbish":
            content[begin : begin + PAGE_BYTES] = random.Random(page).randbytes(PAGE_BYTES)
        case "torn":
            content[begin + PAGE_BYTES // 2 : begin + PAGE_BYTES] = bytes(PAGE_BYTES // 2)
        case "cut off":
            del content[begin:]
    return bytes(content)


def usable(folder: Path, boot_id: str) -> Journal:
    """An opened, verified journal; what only a later read met is mended as the worker mends it."""
    journal = new_journal(folder / "journal.db", VFS.uri, boot_id)
    journal.open(NOW)
    journal.recover(NOW)
    try:
        while journal.verify_slice(50):
            pass
    except StoreError:
        assert journal.damage is not None
    if journal.damage is not None:
        journal.reopen(NOW)
    return journal


def honest(journal: Journal, written: Written) -> str:
    """How it ended: unharmed, or with exactly the missing records declared lost. Raises Broken."""
    found = everything(journal)
    kept = [record for record in found if record.header.epoch == 1]
    known = [record for record in kept if record.header.boot_id != "after-"]
    if journal.head.epoch == 1:
        if known != written.records:
            raise Broken("D8", "records are gone and nobody says so")
        return "unharmed"
    if [record for record in written.records if record in kept] != known:
        raise Broken("D7", "a record was altered")
    seqs = {record.header.seq for record in kept}
    missing = {record.header.seq for record in written.records} - seqs
    lost: set[int] = set()
    for record in found:
        if record.header.type is RecordType.PROBLEM_REPORTED and record.header.epoch > 1:
            for epoch, first, last in (record.body or {})["lost"]:
                end = len(written.records) if last is None else last
                lost |= set(range(first, end + 1)) if epoch == 1 else set()
    if missing != lost:
        raise Broken("D8", f"{len(missing)} records are missing, {len(lost)} declared lost")
    faults = journal.facts.faults
    if faults != written.facts.faults and not journal.facts.locked_out:
        raise Broken("D8", "a latched fault was forgotten without a word")
    return "salvaged"


@pytest.mark.parametrize("kind", ["zeros", "rubbish", "torn", "cut off"])
def test_a_journal_with_any_one_page_damaged_is_recovered_or_honestly_salvaged(
    folder: Path, written: Written, kind: str
) -> None:
    ends = []
    for page in range(len(written.good) // PAGE_BYTES):
        content = damaged(written.good, page, kind)
        if content in (written.good, b""):
            # A file of no bytes is a new node's; that it is an old one's only the hub can know (D11).
            continue
        with on_disk(folder, {"journal.db": content}):
            journal = usable(folder, "after-")
            ends.append(honest(journal, written))
            (record,) = journal.append([boot()])
            assert record.header.epoch == journal.head.epoch
            journal.close(clean=True)
            check_file(folder / "journal.db", VFS.uri)
    assert ends.count("salvaged") > len(written.good) // PAGE_BYTES // 2


def salvage_cuts(folder: Path, written: Written, page: int) -> int:
    """How many cuts a salvage of this page survived; each ends in a journal as honest as without one."""
    with on_disk(folder, {"journal.db": damaged(written.good, page, "rubbish")}) as disk:
        usable(folder, "first-").close(clean=True)
    assert any(operation.kind is Kind.RENAME for operation in disk.log), "nothing was salvaged"
    done = 0
    rng = random.Random(page)
    for _ in range(DRAWS):
        for _, platter in cut_points(disk):
            with on_disk(folder, platter.cut(rng)):
                journal = usable(folder, "after-")
                if honest(journal, written) != "salvaged":
                    raise Broken("D8", "the damage was forgotten")
                if journal.head.epoch != 2:
                    raise Broken("D11", f"one damage began epoch {journal.head.epoch}")
                journal.append([boot()])
                journal.close(clean=True)
                check_file(folder / "journal.db", VFS.uri)
            done += 1
    return done


def test_a_salvage_cut_at_every_write_and_rename_ends_in_one(
    folder: Path, written: Written
) -> None:
    pages = len(written.good) // PAGE_BYTES
    assert sum(salvage_cuts(folder, written, page) for page in (pages // 2, pages - 1)) > 50


def test_a_salvage_that_does_not_say_what_it_lost_is_caught(
    folder: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Copied, "lost", ())
    page = len(written.good) // PAGE_BYTES - 2
    with (
        on_disk(folder, {"journal.db": damaged(written.good, page, "rubbish")}),
        pytest.raises((Broken, StoreError), match=r"declared lost|records before it are missing"),
    ):
        honest(usable(folder, "after-"), written)
