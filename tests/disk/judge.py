"""What a power cut left, and what had been promised in; nothing out when every promise holds, else which one broke."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import ProtocolError, StoreError
from interlock.node import journal_schema as schema
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Facts, Marks, after
from interlock.protocol.records import GENESIS, Head, Record, verify
from tests.node.journals import KEYS, NOW, boot, counted_bytes, everything

VERIFY_ROWS = 50
"""More than a short life writes: one slice walks the whole chain."""

NOTHING_YET = Head(KEYS.epoch, 0, GENESIS)
NO_MARKS = Marks()


class Broken(AssertionError):
    """A promise that does not hold: the invariant's name and what was found."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant


@dataclass(frozen=True, slots=True)
class Claim:
    """What the journal has called durable: every record, how far the hub is said to be, and the marks."""

    records: tuple[Record, ...] = ()
    acknowledged: Head = NOTHING_YET
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Flight:
    """What was under way and may have happened or not, as a whole."""

    drafts: tuple[Draft, ...] = ()
    acknowledged: Head | None = None
    marks: Marks | None = None


def new_journal(
    path: Path, uri: schema.Uri, boot_id: str, kind: type[Journal] = Journal
) -> Journal:
    """A journal that is not open yet, with salts of its own boot."""
    return kind(path, KEYS, boot_id=boot_id, random_bytes=counted_bytes(boot_id), uri=uri)


def judged(path: Path, uri: schema.Uri, claim: Claim, flight: Flight | None, boot_id: str) -> None:
    """The file a cut left keeps what was claimed, can be written on and is a sound database. Raises Broken."""
    journal = new_journal(path, uri, boot_id)
    try:
        journal.open(NOW)
        found = checked(journal, claim, flight)
        before = journal.head
        was_open = journal.facts.open_session
        ended = journal.recover(NOW).ended
        if ended != (None if was_open is None else was_open.id):
            raise Broken("D1", f"of the open session {was_open} recovery says {ended}")
        (written,) = journal.append([boot()])
        added = everything(journal, before.epoch, before.seq)
        if added[-1] != written or len(added) != 1 + (ended is not None):
            raise Broken("D11", "what was written on is not what follows")
        check_chain(journal, (*found.records, *added))
        check_slices(journal)
    except (StoreError, ProtocolError) as error:
        raise Broken("D8", f"it cannot be used: {error}") from error
    finally:
        journal.close(clean=journal.usable)
    check_file(path, uri)


def checked(journal: Journal, claim: Claim, flight: Flight | None) -> Claim:
    """What an opened journal holds: what was claimed, and all or nothing of what was under way. Raises Broken."""
    if journal.head.epoch != KEYS.epoch:
        raise Broken("D8", "a cut was taken for damage: a new epoch was begun")
    records = tuple(everything(journal))
    if records[: len(claim.records)] != claim.records:
        raise Broken("D1", f"{len(claim.records)} records were durable, {len(records)} are there")
    extra = [Draft(r.header.type, r.body or {}, NOW) for r in records[len(claim.records) :]]
    allowed = flight or Flight()
    if extra and extra != list(allowed.drafts):
        raise Broken("D1", f"{len(extra)} records appeared that were not the batch in flight")
    if journal.acknowledged not in (claim.acknowledged, allowed.acknowledged):
        raise Broken("D1", f"the acknowledgement is {journal.acknowledged}")
    if journal.marks not in (claim.marks, allowed.marks):
        raise Broken("A2", f"the marks are {journal.marks}")
    if journal.facts != fold(records):
        raise Broken("D1", f"the facts are {journal.facts}")
    return Claim(records, journal.acknowledged, journal.marks)


def check_chain(journal: Journal, records: Sequence[Record]) -> None:
    """The records are numbered without a gap, chained, and told by the facts. Raises Broken."""
    previous = GENESIS
    for seq, record in enumerate(records, start=1):
        if record.header.seq != seq:
            raise Broken("D11", f"record {record.id} stands where {seq} belongs")
        try:
            verify(record, prev=previous, chain_key=KEYS.chain_key)
        except ProtocolError as error:
            raise Broken("D7", str(error)) from error
        previous = record.hash
    if journal.facts != fold(records):
        raise Broken("D1", f"the facts are {journal.facts}")


def check_slices(journal: Journal) -> None:
    """The journal's own walk over its chain finds nothing. Raises Broken."""
    while journal.verify_slice(VERIFY_ROWS):
        pass
    if journal.damage is not None:
        raise Broken("D7", journal.damage)


def fold(records: Sequence[Record]) -> Facts:
    """What the records alone say is true."""
    facts = Facts()
    for record in records:
        facts = after(facts, record.id, record.header.type, record.body or {})
    return facts


def check_file(path: Path, uri: schema.Uri) -> None:
    """SQLite finds nothing to complain of. Raises Broken."""
    with closing(schema.connect(path, uri)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise Broken("D8", f"the database is damaged: {found}")
