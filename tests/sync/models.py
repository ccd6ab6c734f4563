"""A node and a hub by their rules alone, and a network between them that loses, repeats and delays.

The model hub is what exactly-once is measured against: it checks every link of the chain with the real
protocol code, keeps what it accepted in a list, and says loudly when it was sent anything it must
store aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from interlock.errors import LinkError, ProtocolError
from interlock.protocol import records
from interlock.protocol.records import GENESIS, Head, Header, Record, RecordType
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.links import (
    NO_VERSION,
    Delivered,
    HubHello,
    Installation,
    News,
    No,
    NodeHello,
    OtherChain,
    RecordPage,
    Wire,
)

T = TypeVar("T")

LAB, NODE = "lab-1", "saw"
CHAIN_KEY = bytes(range(32))
EMPTY = Head(0, 0, GENESIS)


@dataclass
class ModelNode:
    """A journal, an acknowledged head, a snapshot version; implements `links.NodeLink`."""

    epoch: int = 1
    journal: list[Record] = field(default_factory=list)
    acked: Head = EMPTY
    version: SnapshotVersion = (1, 0)
    nonces: int = 0
    times: list[Wire] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    page_records: int = 40
    away: bool = False
    switches: bool = True
    refuses_snapshots: bool = False
    refuses_why: str = ""
    busy: bool = False
    commands: list[Wire] = field(default_factory=list)
    says_to_commands: str | No = "done"
    identity: tuple[str, str] = (LAB, NODE)

    @property
    def head(self) -> Head:
        return head_of(self.journal)

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            seq = 1 + sum(record.header.epoch == self.epoch for record in self.journal)
            header = Header(
                NODE, self.epoch, seq, "boot", 1000 + seq, None, False, RecordType.REFUSED
            )
            salt = len(self.journal).to_bytes(records.SALT_BYTES, "big")
            self.journal.append(
                records.seal(
                    header, {"count": seq}, salt=salt, prev=self.head.hash, chain_key=CHAIN_KEY
                )
            )

    def hello(self) -> NodeHello:
        self._answer()
        self.nonces += 1
        lab, node = self.identity
        nonce = f"nonce-{self.nonces}"
        return NodeHello(
            lab, node, "1.0", "boot", "enforce", self.head, self.acked, self.version, nonce
        )

    def records(self, after: Head) -> RecordPage:
        self._answer()
        waiting = [r for r in self.journal if place(r) > (after.epoch, after.seq)]
        page = waiting[: self.page_records]
        return RecordPage(tuple(r.to_wire() for r in page), len(waiting) > len(page))

    def ack(self, head: Head) -> No | None:
        self._answer()
        for record in self.journal:
            if place(record) == (head.epoch, head.seq) and record.hash == head.hash:
                self.acked = head
                return None
        return No("mismatch", f"no record {head.epoch}.{head.seq} with that hash")

    def snapshot(self, file: str) -> No | None:
        self._answer()
        self.files.append(file)
        if self.refuses_snapshots:
            return No("bad_signature", "the signature is not the hub's")
        if self.switches:
            epoch, counter = file.removeprefix("snapshot-").split("-")
            self.version = int(epoch), int(counter)
        return None

    def installed(self) -> Installation:
        self._answer()
        refused = (self.files[-1], self.refuses_why) if self.refuses_why and self.files else None
        return Installation(self.version, self.busy, refused)

    def command(self, message: Wire) -> str | No:
        self._answer()
        self.commands.append(message)
        return self.says_to_commands

    def time(self, message: Wire) -> No | None:
        self._answer()
        if message.get("nonce") != f"nonce-{self.nonces}":
            return No("stale", "it answers an older question")
        self.times.append(message)
        return None

    def _answer(self) -> None:
        if self.away:
            raise LinkError("it does not answer", where="the node")


@dataclass
class ModelHub:
    """The rules of 4-protocol.md for one node; what it was told is in `stored`, in order."""

    stored: list[Record] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    version: SnapshotVersion = (1, 0)
    effects: dict[tuple[int, int], int] = field(default_factory=dict)
    conflict: str | None = None
    poisoned: No | LinkError | None = None
    """What every delivery gets: the hub chokes on a record, while greetings go well."""
    refusal: No | None = None
    away: bool = False
    calls: list[str] = field(default_factory=list)
    heard_versions: list[SnapshotVersion] = field(default_factory=list)
    snapshot: bytes = b"signed\n"
    delta: bytes | None = None
    commands: list[Wire] = field(default_factory=list)
    answers: list[tuple[str, bool, str]] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)

    @property
    def head(self) -> Head:
        return head_of(self.stored)

    def hello(self, hello: NodeHello) -> HubHello | No:
        self._answer("hello")
        if self.refusal is not None:
            return self.refusal
        self.heard_versions.append(hello.version)
        if self.conflict is not None:
            time = {"nonce": hello.nonce}
            return OtherChain("chain_differs", self.conflict, time, self.version)
        return HubHello(self.head, {"nonce": hello.nonce}, self.version, tuple(self.commands))

    def deliver(self, batch: Sequence[Wire]) -> Delivered | No:
        self._answer("deliver")
        self.batch_sizes.append(len(batch))
        if isinstance(self.poisoned, LinkError):
            raise self.poisoned
        if self.poisoned is not None:
            return self.poisoned
        aside: list[str] = []
        for wire in batch:
            why = self._take(records.from_wire(wire))
            if why is not None:
                aside.append(why)
        self.aside += aside
        return Delivered(self.head, tuple(aside))

    def changes(
        self, since: SnapshotVersion, wait_s: int, has: SnapshotVersion = NO_VERSION
    ) -> News | No | None:
        self._answer("changes")
        if self.refusal is not None:
            return self.refusal
        self.heard_versions.append(has)
        if self.commands:
            return News(None, None, tuple(self.commands))
        return News(self.version, self.delta) if self.version > since else None

    def answered(self, number: str, *, done: bool, answer: str) -> No | None:
        self._answer("answered")
        self.answers.append((number, done, answer))
        self.commands = [one for one in self.commands if one["statement"]["number"] != number]
        return None

    def download(self, target: Path) -> No | None:
        self._answer("download")
        target.write_bytes(self.snapshot)
        return None

    def cut(self) -> None:
        self.calls.append("cut")

    def backup(self) -> list[Record]:
        return list(self.stored)

    def restore(self, backup: list[Record]) -> None:
        """A restored hub forgets what came after its backup, effects included, and says so by its epoch."""
        self.stored = list(backup)
        self.effects = {place(record): 1 for record in backup}
        self.version = (self.version[0] + 1, 0)

    def _take(self, record: Record) -> str | None:
        same = [one for one in self.stored if place(one) == place(record)]
        if same:
            return None if same[0].hash == record.hash else f"{record.id}: another body"
        try:
            records.verify(record, prev=self.head.hash, chain_key=CHAIN_KEY)
        except ProtocolError as error:
            return f"{record.id}: {error.what}"
        self.stored.append(record)
        self.effects[place(record)] = self.effects.get(place(record), 0) + 1
        return None

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise LinkError("it does not answer", where="the hub")


@dataclass
class Weather:
    """What the network does to the next request; drawn by Hypothesis, all clear when exhausted."""

    forecast: list[str] = field(default_factory=list)

    def next(self) -> str:
        return self.forecast.pop(0) if self.forecast else "clear"


@dataclass
class BadNetwork:
    """`links.HubLink` in front of a model hub: requests and answers are lost, repeated and late."""

    hub: ModelHub
    weather: Weather
    late: list[Callable[[], object]] = field(default_factory=list)
    broken: bool = False

    def hello(self, hello: NodeHello) -> HubHello | No:
        return self._pass(lambda: self.hub.hello(hello))

    def deliver(self, batch: Sequence[Wire]) -> Delivered | No:
        return self._pass(lambda: self.hub.deliver(batch))

    def changes(
        self, since: SnapshotVersion, wait_s: int, has: SnapshotVersion = NO_VERSION
    ) -> News | No | None:
        if self.broken:
            self.broken = False
            raise LinkError("it hung up", where="the hub")
        return self._pass(lambda: self.hub.changes(since, wait_s, has))

    def answered(self, number: str, *, done: bool, answer: str) -> No | None:
        return self._pass(lambda: self.hub.answered(number, done=done, answer=answer))

    def download(self, target: Path) -> No | None:
        return self._pass(lambda: self.hub.download(target))

    def cut(self) -> None:
        self.hub.cut()

    def _pass(self, request: Callable[[], T]) -> T:
        kind = self.weather.next()
        if kind == "lost":
            raise LinkError("the request was lost", where="the hub")
        if kind == "late":
            # The hub will see it after newer ones, long after sync gave it up.
            self.late.append(request)
            raise LinkError("no answer in time", where="the hub")
        if kind == "late ones arrive":
            for old in self.late:
                old()
            self.late.clear()
        if kind == "repeated":
            request()
        answer = request()
        if kind == "answer lost":
            raise LinkError("the answer was lost", where="the hub")
        return answer


def place(record: Record) -> tuple[int, int]:
    return record.header.epoch, record.header.seq


def head_of(chain: Sequence[Record]) -> Head:
    if not chain:
        return EMPTY
    last = chain[-1]
    return Head(last.header.epoch, last.header.seq, last.hash)
