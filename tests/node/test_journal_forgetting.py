"""What a node forgets of delivered records, when, and that the chain still verifies: real files, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from interlock.core.model import Ending
from interlock.errors import StoreError
from interlock.node import journal_forgetting
from interlock.node.journal import Journal, head_of
from interlock.node.journal_facts import Draft, Stamp
from interlock.node.journal_forgetting import BODY_DAYS, DAY_MS, RECORD_DAYS, Forgetting, notes_of
from interlock.protocol.erasure import digest_of
from interlock.protocol.records import Record, RecordType
from tests.node.journals import boot, draft, ended, everything, opened, progress

pytestmark = pytest.mark.fast

ADA, BOB = "ada-public-id-0001", "bob-public-id-0002"
ADAS_TAG = "ad" * 16
FIRST_DAY = 20_500
TIME = {"boot_id": "b", "powered_ms": 0, "trusted_boot_id": "b", "boot_ms": 0}


def on_day(day: int, boot_ms: int = 0) -> Stamp:
    return Stamp(boot_ms or day * DAY_MS, (FIRST_DAY + day) * DAY_MS, wall_trusted=True)


def use_of(member: str, tag: str, session: int) -> list[Draft]:
    start = draft(
        RecordType.SESSION_STARTED, member=member, tag=tag, badge_use="tap", evidence={"tag": tag}
    )
    return [start, progress(f"1.{session}", 30_000), ended(f"1.{session}", 60_000, Ending.TAP_OFF)]


def deliver(journal: Journal) -> list[Record]:
    records = everything(journal)
    journal.acknowledge(head_of(records[-1]))
    return records


def walk(forgetting: Forgetting, journal: Journal, stamp: Stamp) -> None:
    """Step until nothing is left to do; a walk that never ends is a failure."""
    for _ in range(1_000):
        if forgetting.is_settled(journal, stamp.boot_ms):
            return
        forgetting.step(journal, stamp)
    raise AssertionError("it never settles")


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def bodies(journal: Journal) -> list[bool]:
    return [record.body is not None for record in everything(journal)]


def whole(folder: Path) -> list[Record]:
    """Every record after a reopening, which verifies the chain, and a walk over all of it."""
    journal = opened(folder, boot_id="boot-z")
    while journal.verify_slice(100):
        pass
    assert journal.damage is None
    records = everything(journal)
    journal.close()
    return records


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = opened(tmp_path)
    journal.append([boot(), *use_of(ADA, ADAS_TAG, 2), *use_of(BOB, "b0" * 16, 5)])
    journal.mark(time=TIME)
    yield journal
    journal.close()


def test_an_erased_member_is_in_no_byte_of_the_node_and_the_chain_still_verifies(
    journal: Journal, tmp_path: Path
) -> None:
    before = deliver(journal)
    assert ADA.encode() in bytes_of(tmp_path)
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA), digest_of(ADAS_TAG)}))
    walk(forgetting, journal, on_day(0))
    assert ADA.encode() not in bytes_of(tmp_path)
    assert ADAS_TAG.encode() not in bytes_of(tmp_path)
    assert bytes(before[1].salt or b"?") not in bytes_of(tmp_path)
    assert BOB.encode() in bytes_of(tmp_path)
    assert bodies(journal) == [True, False, True, True, True, True, True]
    journal.close()
    assert [record.hash for record in whole(tmp_path)] == [record.hash for record in before]


def test_erasing_the_many_of_a_full_page_leaves_no_copy_behind_in_a_merged_page(
    tmp_path: Path,
) -> None:
    """Rows that shrink let SQLite merge pages; what a merged page no longer uses is overwritten too."""
    journal = opened(tmp_path)
    for session in range(1, 600, 3):
        who = ADA if session % 2 else BOB
        journal.append([*use_of(who, who.encode().hex(), session)])
    journal.mark(time=TIME)
    deliver(journal)
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(BOB)}))
    walk(forgetting, journal, on_day(0))
    forgetting.ask(frozenset({digest_of(ADA), digest_of(BOB)}))
    walk(forgetting, journal, on_day(0))
    found = bytes_of(tmp_path)
    assert (found.count(ADA.encode()), found.count(BOB.encode())) == (0, 0)
    journal.close()
    assert len(whole(tmp_path)) == 600


def test_a_body_of_any_length_is_overwritten_where_it_stands(tmp_path: Path) -> None:
    """Lengths around each step of SQLite's varints, and those that spill to overflow pages."""
    lengths = [*range(20, 64), *range(4_000, 4_100, 7), *range(8_120, 8_190)]
    journal = opened(tmp_path)
    for length in lengths:
        padded = {"by": ADA, "x": "x" * (length - len('{"by":"","x":""}') - len(ADA))}
        body = padded if length > 40 else {"b": "x" * (length - len('{"b":""}'))}
        journal.append([Draft(RecordType.LONG_JOB_DECLARED, body, on_day(0))])
    journal.mark(time=TIME)
    deliver(journal)
    forgetting = history(journal, [0])
    pages = journal.look("PRAGMA page_count", ())
    walk(forgetting, journal, on_day(BODY_DAYS))
    assert forgetting.is_settled(journal, on_day(BODY_DAYS).boot_ms)
    assert not any(bodies(journal))
    assert journal.look("PRAGMA page_count", ()) == pages
    assert journal.look("PRAGMA freelist_count", ()) == [(0,)]
    assert ADA.encode() not in bytes_of(tmp_path)
    journal.close()
    assert len(whole(tmp_path)) == len(lengths)


def test_a_body_left_in_the_wal_would_be_noticed(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(journal)
    monkeypatch.setattr(Journal, "checkpoint", lambda journal, truncate=False: None)
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA), digest_of(ADAS_TAG)}))
    walk(forgetting, journal, on_day(0))
    assert ADA.encode() in bytes_of(tmp_path)


def test_what_is_not_delivered_is_kept_whole_and_forgotten_once_it_is(
    journal: Journal, tmp_path: Path
) -> None:
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA), digest_of(ADAS_TAG)}))
    walk(forgetting, journal, on_day(0))
    assert all(bodies(journal))
    deliver(journal)
    walk(forgetting, journal, on_day(0))
    assert ADA.encode() not in bytes_of(tmp_path)


def test_local_grants_and_the_use_of_the_day_of_an_erased_member_are_forgotten_too(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    grant = draft(
        RecordType.TRAINING_GRANTED,
        member=ADA,
        trainer=BOB,
        trainings=["saw"],
        since_at=1,
        until_at=2,
        assurance="uid",
    )
    day = {"day": 20_500, "session": "1.2"}
    start = draft(
        RecordType.SESSION_STARTED, member=ADA, tag=ADAS_TAG, badge_use="tap", evidence={}
    )
    end = ended("1.2", 60_000)
    journal.append([grant, start, Draft(end.type, {**end.body, **day}, end.stamp)])
    journal.mark(time=TIME)
    assert (len(journal.facts.grants), len(journal.facts.day_use.used)) == (1, 1)
    deliver(journal)
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA), digest_of(ADAS_TAG)}))
    walk(forgetting, journal, on_day(0))
    assert (journal.facts.grants, journal.facts.day_use.used) == ((), ())
    assert ADA.encode() not in bytes_of(tmp_path)
    journal.close()


def test_a_damaged_journal_that_was_set_aside_is_emptied_and_its_epoch_stays_used(
    journal: Journal, tmp_path: Path
) -> None:
    aside = tmp_path / "journal.db.damaged-before-epoch-7"
    aside.write_bytes(b"readable rests of " + ADA.encode())
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA)}))
    deliver(journal)
    walk(forgetting, journal, on_day(0))
    assert aside.read_bytes() == b""


def history(journal: Journal, days: Sequence[int]) -> Forgetting:
    """A walk on each of those days, as a node makes them that runs all the time."""
    forgetting = Forgetting()
    for day in days:
        walk(forgetting, journal, on_day(day))
    return forgetting


def test_bodies_about_people_leave_in_the_week_after_their_90th_day_at_the_hub(
    journal: Journal,
) -> None:
    deliver(journal)
    forgetting = history(journal, range(BODY_DAYS))
    assert all(bodies(journal)), "on the 89th day everything is still there"
    walk(forgetting, journal, on_day(BODY_DAYS))
    assert bodies(journal) == [True, False, False, False, False, False, False]


def test_what_was_written_long_before_it_was_delivered_stays_90_days_after_that(
    journal: Journal,
) -> None:
    history(journal, range(0, 200, 7))
    deliver(journal)
    forgetting = history(journal, range(200, 200 + BODY_DAYS))
    assert all(bodies(journal))
    walk(forgetting, journal, on_day(200 + BODY_DAYS))
    assert not all(bodies(journal))


def test_records_leave_after_a_year_but_never_the_last_one_the_hub_holds(
    journal: Journal, tmp_path: Path
) -> None:
    deliver(journal)
    forgetting = history(journal, range(0, RECORD_DAYS, 7))
    assert len(everything(journal)) == 7
    walk(forgetting, journal, on_day(RECORD_DAYS))
    assert [record.id for record in everything(journal)] == ["1.7"]
    journal.append([boot()])
    journal.close()
    assert [record.id for record in whole(tmp_path)] == ["1.7", "1.8"]


def test_without_a_time_the_hub_vouched_for_nothing_grows_old(journal: Journal) -> None:
    deliver(journal)
    forgetting = Forgetting()
    for day in range(0, 800, 7):
        unsure = Stamp(day * DAY_MS, (FIRST_DAY + day) * DAY_MS, wall_trusted=False)
        walk(forgetting, journal, unsure)
    assert all(bodies(journal))
    assert notes_of(journal) == []


def test_the_notes_survive_whoever_keeps_time_and_stay_few(journal: Journal) -> None:
    deliver(journal)
    forgetting = Forgetting()
    for day in range(0, 1_000, 7):
        walk(forgetting, journal, on_day(day))
        journal.append([boot()])
        deliver(journal)
        journal.mark(time=TIME)
    assert 52 <= len(notes_of(journal)) <= 55


def test_a_disk_that_refuses_leaves_the_slice_to_be_walked_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliver(journal)
    forgetting = Forgetting()
    forgetting.ask(frozenset({digest_of(ADA), digest_of(ADAS_TAG)}))

    def refuse(*_: object) -> None:
        raise StoreError("disk I/O error", where="journal")

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "rewrite", refuse)
        with pytest.raises(StoreError):
            walk(forgetting, journal, on_day(0))
    walk(forgetting, journal, on_day(0))
    assert ADA.encode() not in bytes_of(tmp_path)


def test_a_record_type_that_may_name_somebody_is_not_taken_for_one_of_the_machine_alone() -> None:
    assert journal_forgetting.OF_NO_PERSON.isdisjoint(
        {RecordType.SESSION_STARTED, RecordType.REFUSED, RecordType.FAULT_CLEARED}
        | {RecordType.LOCK_OUT_CLEARED, RecordType.TRAINING_GRANTED, RecordType.COMMISSIONED}
    )
