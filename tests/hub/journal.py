"""A node's journal in memory that seals real records; needs no Django."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from interlock.core.model import Ending
from interlock.protocol.records import GENESIS, SALT_BYTES, Head, Header, Record, RecordType, seal

if TYPE_CHECKING:
    from interlock.hub.domain.nodes import Enrolled
    from tests.hub.lab import SmallLab


@dataclass
class Journal:
    """A node's journal in memory: `write` seals the next record of the chain."""

    node: str
    chain_key: bytes
    boot_id: str = "boot-1"
    boot_ms: int = 10_000
    head: Head = field(default_factory=lambda: Head(1, 0, GENESIS))
    records: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, enrolled: Enrolled) -> Journal:
        """The empty journal of a node just enrolled."""
        return cls(enrolled.node.slug, enrolled.keys.chain_key)

    def write(self, kind: RecordType, **body: Any) -> Record:
        """One record, a second after the last."""
        self.boot_ms += 1_000
        header = Header(
            node=self.node,
            epoch=self.head.epoch,
            seq=self.head.seq + 1,
            boot_id=self.boot_id,
            boot_ms=self.boot_ms,
            wall_ms=None,
            wall_trusted=False,
            type=kind,
        )
        salt = blake2b(header.to_bytes(), digest_size=SALT_BYTES).digest()
        record = seal(header, body, salt=salt, prev=self.head.hash, chain_key=self.chain_key)
        self.head = Head(header.epoch, header.seq, record.hash)
        self.records.append(record)
        return record

    def next_epoch(self) -> None:
        """As after a salvage: the chain begins anew."""
        self.head = Head(self.head.epoch + 1, 0, GENESIS)

    def reboot(self, boot_id: str) -> None:
        """Monotonic time begins anew."""
        self.boot_id, self.boot_ms = boot_id, 5_000

    def anchor(self, wall_ms: int) -> Record:
        """The hub's time arrived."""
        return self.write(RecordType.CLOCK_ANCHORED, wall_ms=wall_ms)

    def start(self, lab: SmallLab, member: str | None = None) -> str:
        """A session of the lab's member; returns its id."""
        record = self.write(
            RecordType.SESSION_STARTED,
            member=member or lab.member.public_id,
            tag=bytes(lab.badge.tag).hex(),
            badge_use="tap",
            evidence={},
        )
        return record.id

    def progress(self, session: str, enabled_s: int, busy_s: int = 0, idle_s: int = 0) -> Record:
        """Totals since the start."""
        self.boot_ms += 1_000
        return self.write(
            RecordType.SESSION_PROGRESS,
            session=session,
            enabled_ms=enabled_s * 1_000,
            busy_ms=busy_s * 1_000,
            idle_ms=idle_s * 1_000,
        )

    def end(
        self,
        session: str,
        enabled_s: int,
        busy_s: int = 0,
        idle_s: int = 0,
        *,
        how: Ending = Ending.TAP_OFF,
        estimated: bool = False,
    ) -> Record:
        """The session is over."""
        return self.write(
            RecordType.SESSION_ENDED,
            session=session,
            how=how.value,
            enabled_ms=enabled_s * 1_000,
            busy_ms=busy_s * 1_000,
            idle_ms=idle_s * 1_000,
            estimated=estimated,
        )

    def session(self, lab: SmallLab, enabled_s: int, busy_s: int = 0) -> str:
        """A whole session that lasts `enabled_s` on the monotonic clock too."""
        started = self.start(lab)
        self.boot_ms += (enabled_s - 1) * 1_000
        self.end(started, enabled_s, busy_s)
        return started

    def wires(self, since: int = 0) -> list[dict[str, Any]]:
        """Records from index `since` on, as sync sends them."""
        return [record.to_wire() for record in self.records[since:]]
