"""Journal records to a file of JSON lines and back: what a person shows, and proves, without the node.

One record a line, exactly as the hub gets it. `show_export` tells each record in one line; `verify_export` walks
every record with the node's chain key and says each place where the chain breaks: an altered record, a missing,
repeated or reordered one, a link that leads elsewhere. It goes on behind a break, so that one bad record does not
hide the next. Truncation at the end shows only against a head somebody else holds (the hub's).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from interlock.errors import ProtocolError, StoreError
from interlock.protocol import canonical, records
from interlock.protocol.records import GENESIS, Head, Record, RecordType

BREAKS_MAX = 100
"""Enough to see what happened; a file that is broken everywhere need not be listed line by line."""

BODY_LENGTH_MAX = 160
"""What of a body fits the line of a record; the export itself has the rest."""


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the chain does not hold: the file's line (from 1), the record and what is wrong."""

    line: int
    record: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}, record {self.record}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk over an export found. `declared` are gaps that the node itself recorded as lost."""

    count: int = 0
    erased: int = 0
    first: Head | None = None
    head: Head | None = None
    breaks: tuple[Break, ...] = ()
    break_count: int = 0
    declared: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True when nothing was altered, moved or left out between the first record and the last."""
        return self.break_count == 0


def write_export(source: Iterable[Record], target: BinaryIO) -> int:
    """Each record is one line of `target`; returns how many there were."""
    count = 0
    for record in source:
        target.write(canonical.dumps(record.to_wire()) + b"\n")
        count += 1
    return count


def read_export(path: Path) -> Iterator[tuple[int, Record | ProtocolError]]:
    """Each line's number (from 1) and its record, or what is wrong with it. Raises StoreError."""
    try:
        with path.open("rb") as source:
            for number, line in enumerate(_bounded(source), start=1):
                try:
                    yield number, records.from_wire(canonical.loads(line, where="record"))
                except ProtocolError as error:
                    yield number, error
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(path)) from error


def show_export(path: Path) -> Iterator[str]:
    """Each record of the export as one line for people; an unreadable one says so. Raises StoreError."""
    for number, record in read_export(path):
        if isinstance(record, ProtocolError):
            yield f"line {number}: {record}"
        else:
            yield _shown(record)


def verify_export(path: Path, chain_key: bytes, *, head: Head | None = None) -> Verdict:
    """What the whole export proves. `head`: where somebody else says that the chain ends. Raises StoreError."""
    walk = _Walk(chain_key)
    number = 0
    for number, record in read_export(path):
        walk.take(number, record)
    return walk.verdict(number, head)


@dataclass(slots=True)
class _Walk:
    """The state of a walk: the record before, and what was found so far."""

    chain_key: bytes
    found: Verdict = field(default_factory=Verdict)
    breaks: list[Break] = field(default_factory=list)
    missing: list[tuple[Break, int, int, int]] = field(default_factory=list)
    declared: list[tuple[int, int, int | None]] = field(default_factory=list)

    def take(self, number: int, record: Record | ProtocolError) -> None:
        """One more line of the file."""
        if isinstance(record, ProtocolError):
            self.breaks.append(Break(number, "?", str(record)))
            return
        try:
            records.verify(
                record, prev=self._expected_prev(number, record), chain_key=self.chain_key
            )
        except ProtocolError as error:
            self.breaks.append(Break(number, record.id, error.what))
        here = Head(record.header.epoch, record.header.seq, record.hash)
        self.found = replace(
            self.found,
            count=self.found.count + 1,
            erased=self.found.erased + (record.body is None),
            first=self.found.first or here,
            head=here,
        )
        self._note_declaration(record)

    def verdict(self, lines: int, head: Head | None) -> Verdict:
        """Everything found, once the file has ended after `lines`."""
        declared = []
        for gap, epoch, first, last in self.missing:
            if self._is_declared(epoch, first, last):
                declared.append(f"{epoch}.{first} to {epoch}.{last}")
            else:
                self.breaks.append(gap)
        if head is not None and head != self.found.head:
            what = f"the chain should end at {head.epoch}.{head.seq} with hash {head.hash.hex()}"
            self.breaks.append(Break(lines, "end", what))
        self.breaks.sort(key=lambda one: one.line)
        return replace(
            self.found,
            breaks=tuple(self.breaks[:BREAKS_MAX]),
            break_count=len(self.breaks),
            declared=tuple(declared),
        )

    def _expected_prev(self, number: int, record: Record) -> bytes:
        """What the record must point back to; its own word where what stood before it is not in the file."""
        epoch, seq = record.header.epoch, record.header.seq
        before = self.found.head
        if before is not None and (epoch, seq) <= (before.epoch, before.seq):
            what = f"it stands behind record {before.epoch}.{before.seq}"
            self.breaks.append(Break(number, record.id, what))
            return record.prev
        if before is not None and epoch == before.epoch and seq == before.seq + 1:
            return before.hash
        if seq == 1:
            return GENESIS
        if before is not None:
            first = before.seq + 1 if epoch == before.epoch else 1
            what = f"records {epoch}.{first} to {epoch}.{seq - 1} are missing before it"
            self.missing.append((Break(number, record.id, what), epoch, first, seq - 1))
        return record.prev

    def _note_declaration(self, record: Record) -> None:
        if record.header.type is not RecordType.PROBLEM_REPORTED or record.body is None:
            return
        lost = record.body.get("lost")
        for one in lost if isinstance(lost, list) else []:
            if isinstance(one, list) and len(one) == 3:
                self.declared.append((one[0], one[1], one[2]))

    def _is_declared(self, epoch: int, first: int, last: int) -> bool:
        return any(
            told == epoch and start <= first and (end is None or last <= end)
            for told, start, end in self.declared
        )


def _bounded(source: BinaryIO) -> Iterator[bytes]:
    """Lines of at most a frame; the rest of a longer one is skipped, and it is reported as too large."""
    while line := source.readline(canonical.FRAME_BYTES_MAX + 1):
        yield line
        while len(line) > canonical.FRAME_BYTES_MAX and not line.endswith(b"\n"):
            line = source.readline(canonical.FRAME_BYTES_MAX + 1)


def _shown(record: Record) -> str:
    header = record.header
    when = "time unknown        "
    if header.wall_ms is not None:
        at = datetime.fromtimestamp(header.wall_ms / 1_000, UTC)
        when = at.strftime("%Y-%m-%dT%H:%M:%SZ" if header.wall_trusted else "%Y-%m-%dT%H:%M:%S?")
    return f"{record.id:>10}  {when}  {header.type.value:<22} {_told(record.body)}"


def _told(body: Any) -> str:
    if body is None:
        return "(erased)"
    parts = []
    for name, value in body.items():
        if name != "evidence" and value is not None:
            shown = value if isinstance(value, str | int) else canonical.dumps(value).decode()
            parts.append(f"{name}={shown}")
    text = " ".join(parts)
    return text if len(text) <= BODY_LENGTH_MAX else text[: BODY_LENGTH_MAX - 1] + "…"
