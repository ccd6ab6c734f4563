"""Journals for tests: a folder goes in, a journal with known keys, stamps and salts comes out."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Stamp
from interlock.node.journal_marks import Recovery
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import GENESIS, Record, RecordType, verify

KEYS = NodeKeys(
    lab="lab",
    node="saw",
    epoch=1,
    chain_key=b"c" * 32,
    badge_key=b"b" * 32,
    hub_public_key=bytes(32),
    decryption_key=b"d" * 32,
)
NOW = Stamp(boot_ms=1_000, wall_ms=1_767_225_600_000, wall_trusted=True)


def counted_bytes(seed: str = "") -> Callable[[int], bytes]:
    """A source of bytes that never repeats and is the same in every run."""
    calls = iter(range(1 << 40))

    def take(length: int) -> bytes:
        return blake2b(f"{seed}{next(calls)}".encode(), digest_size=length).digest()

    return take


def new_journal(
    folder: Path, keys: NodeKeys = KEYS, *, name: str = "journal.db", boot_id: str = "boot-a"
) -> Journal:
    return Journal(folder / name, keys, boot_id=boot_id, random_bytes=counted_bytes(boot_id))


def opened(folder: Path, keys: NodeKeys = KEYS, *, boot_id: str = "boot-a") -> Journal:
    journal = new_journal(folder, keys, boot_id=boot_id)
    journal.open(NOW)
    return journal


def reopened(folder: Path, *, boot_id: str = "boot-b") -> tuple[Journal, Recovery]:
    journal = opened(folder, boot_id=boot_id)
    return journal, journal.recover(NOW)


def draft(type: RecordType, **body: Any) -> Draft:
    return Draft(type, body, NOW)


def boot(clean: bool = True) -> Draft:
    return draft(RecordType.BOOT, software="1", config_digest="d", clean=clean)


def started(member: str = "m1") -> Draft:
    return draft(
        RecordType.SESSION_STARTED, member=member, tag="00" * 16, badge_use="tap", evidence={}
    )


def progress(session: str, enabled_ms: int) -> Draft:
    busy_ms = enabled_ms // 2
    return draft(
        RecordType.SESSION_PROGRESS,
        session=session,
        enabled_ms=enabled_ms,
        busy_ms=busy_ms,
        idle_ms=enabled_ms - busy_ms,
    )


def ended(session: str, enabled_ms: int = 60_000, how: str = "tap_off") -> Draft:
    return draft(
        RecordType.SESSION_ENDED,
        session=session,
        how=how,
        enabled_ms=enabled_ms,
        busy_ms=0,
        idle_ms=0,
        estimated=False,
    )


def everything(journal: Journal, epoch: int = 0, seq: int = 0) -> list[Record]:
    """Every record behind (epoch, seq), fetched the way sync does: in frames."""
    records: list[Record] = []
    more = True
    while more:
        batch = journal.records_after(epoch, seq, 60_000)
        records.extend(batch.records)
        more = batch.more
        if batch.records:
            epoch, seq = batch.records[-1].header.epoch, batch.records[-1].header.seq
    return records


def assert_chained(records: list[Record], keys: NodeKeys = KEYS) -> None:
    """The records are an unbroken chain from the first of an epoch."""
    previous = GENESIS
    for seq, record in enumerate(records, start=1):
        assert record.header.seq == seq
        verify(record, prev=previous, chain_key=keys.chain_key)
        previous = record.hash


def texts(records: list[Record]) -> list[str]:
    """The history as a reader would tell it: type, and what makes it different from the next one."""
    told = []
    for record in records:
        body = dict(record.body or {})
        about = body.get("session") or body.get("fault") or body.get("member") or ""
        told.append(f"{record.id} {record.header.type} {about}".rstrip())
    return told
