"""One node's SD card: the real journal on a simulated disk in, what a cut, a kill or an older card leaves out.

Where Debian's apsw is (`disk_vfs`), SQLite's own calls go to the simulated disk: they fail as it is told to, and a
power cut leaves any subset of the sectors that were not synced. Without it a cut leaves what the kernel had.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from interlock.errors import InterlockError, StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Marks, Stamp
from interlock.node.journal_marks import Batch
from interlock.node.journal_schema import file_uri
from interlock.node.journal_work import JournalStatus
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import Head, Record
from interlock.sim.disk import (
    EIO,
    ENOSPC,
    Disk,
    Fault,
    Image,
    Kind,
    cut_points,
    lay_down,
    nothing_fails,
)
from interlock.sim.simulator.disk import JournalShell, Platter

T = TypeVar("T")
ROWS_MAX = 100_000
LOG_MAX = 20_000
"""Operations of the disk that are kept: behind it everything counts as synced, and memory stays small."""
_SERVED: dict[int, Any] = {}
"""By node: a VFS, one for the whole process. SQLite has no use for hundreds."""


class Mirror(Platter):
    """What the journal's file holds, as the witness reads it; and everything it ever held."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[bytes, Record] = {}
        self.lost: set[bytes] = set()
        """What went with a card that was taken out: nobody has it any more, and nobody is to blame."""

    def follow(self, journal: MirroredJournal) -> None:
        """The file was opened, or began a branch: what is in it is read anew."""
        self.records = []
        self.grown(tuple(journal.all_records()), journal)

    def grown(self, written: Sequence[Record], journal: Journal) -> None:
        """These were appended."""
        self.records += written
        self.ever.update((one.hash, one) for one in written)
        self.facts, self.marks = journal.facts, journal.marks


class MirroredJournal(Journal):
    """The real journal; whoever looks at the card sees what it writes."""

    mirror: Mirror

    def all_records(self) -> Iterator[Record]:
        """Every record in the file."""
        return self._rows_after(0, ROWS_MAX)

    def open(self, stamp: Stamp) -> None:
        super().open(stamp)
        self.mirror.follow(self)

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        written = super().append(drafts)
        self.mirror.grown(written, self)
        return written

    def branch(self, epoch: int, stamp: Stamp) -> bool:
        begun = super().branch(epoch, stamp)
        self.mirror.follow(self)
        return begun


class SdCard:
    """The files of one node: the journal on a disk that can be cut, caches and spool in an ordinary folder."""

    def __init__(self, node: int, folder: Path, chance: random.Random, mirror: Mirror) -> None:
        self.journal_path = folder / "journal" / "journal.db"
        self.state_dir = folder / "state"
        self.spool = self.state_dir / "spool"
        self.cuts = 0
        self.manner = "ok"
        self._chance, self._mirror = chance, mirror
        for made in (self.journal_path.parent, self.spool):
            made.mkdir(parents=True)
        self._disk = Disk(self.journal_path.parent, self._plan)
        self._vfs = _served(node)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """While this lasts the folder is the simulated disk."""
        with ExitStack() as stack:
            if self._vfs is not None:
                from interlock.sim.disk_calls import told
                from interlock.sim.disk_vfs import inserted

                stack.enter_context(inserted(self._vfs, self._disk))
                stack.enter_context(told(self._disk))
            yield

    def journal(self, kind: type[MirroredJournal], keys: NodeKeys, boot_id: str) -> MirroredJournal:
        """The journal of a new process, not yet open."""
        journal = kind(
            self.journal_path,
            keys,
            boot_id=boot_id,
            random_bytes=self._chance.randbytes,
            uri=file_uri if self._vfs is None else self._vfs.uri,
        )
        journal.mirror = self._mirror
        if len(self._disk.log) > LOG_MAX:
            self._begin_anew(self._files())
        return journal

    def leave(
        self, journal: Journal, *, has_power: bool, in_flight: Callable[[], object] | None
    ) -> None:
        """The process is gone; `in_flight` is the commit that it was in. What is left is as a disk leaves it."""
        begun = len(self._disk.log)
        before = self._files()
        if in_flight is not None:
            in_flight()
        if has_power or self._vfs is None:
            left = self._files() if self._chance.random() < 0.5 else before
        else:
            left = self._cut(begun, len(self._disk.log))
        journal.close()
        self._begin_anew(left)

    def image(self) -> tuple[Image, Image]:
        """A copy of the card, of a node that is off."""
        caches = {path.name: path.read_bytes() for path in self.state_dir.glob("auth-*.db")}
        return self._files(), caches

    def put_back(self, image: tuple[Image, Image]) -> None:
        """The card is the copy now."""
        self._begin_anew(image[0])
        for path in self.state_dir.glob("auth-*"):
            path.unlink()
        for name, content in image[1].items():
            (self.state_dir / name).write_bytes(content)

    def _cut(self, begun: int, ended: int) -> Image:
        self.cuts += 1
        chosen = self._chance.randint(begun, ended)
        left: Image = dict(self._disk.begun_with)
        for done, platter in cut_points(self._disk):
            if done > chosen:
                break
            # The last point before the cut counts; drawing is cheap beside playing back.
            if done >= chosen - 1 or done == begun:
                left = platter.cut(self._chance)
        else:
            left = platter.cut(self._chance)
        return left

    def _begin_anew(self, image: Image) -> None:
        # Whoever puts the files there is not the node: no fault of the card's is spent on it.
        self._disk.plan = nothing_fails
        lay_down(self.journal_path.parent, image)
        Disk.__init__(self._disk, self.journal_path.parent, self._plan)
        if self._vfs is not None:
            self._vfs.locks = {}

    def _files(self) -> Image:
        return {path.name: path.read_bytes() for path in self.journal_path.parent.iterdir()}

    def _plan(self, number: int, kind: Kind, name: str) -> Fault | None:
        if kind is Kind.READ or self.manner not in ("failing", "full"):
            return None
        if self.manner == "failing":
            return EIO
        return ENOSPC if kind is Kind.WRITE else None


def _served(node: int) -> Any:
    """The VFS of that node, None where there is no apsw that shares its SQLite."""
    if node not in _SERVED:
        try:
            from interlock.sim import disk_vfs
        except ImportError:
            return None
        if not disk_vfs.shares_sqlite():
            return None
        _SERVED[node] = disk_vfs.SimulatedVfs(f"full{node}")
    return _SERVED[node]


class FullShell(JournalShell):
    """`JournalWorker` without its thread, over the real journal; what it answers beside its writing stands here too."""

    card: SdCard
    acked: Callable[[Head], None]
    """Is told of every record that the hub is believed to hold."""
    has_power = True
    """Whether the process dies alone."""

    def lose_power(self) -> None:
        """The process is gone in mid-commit or between two."""
        drafts = [item.draft for item in self._writing]
        journal = self.journal
        may_write = bool(drafts) and journal.usable and self._disk.manner in ("ok", "slow")

        def commit() -> None:
            try:
                Journal.append(journal, drafts)
            except InterlockError:
                # A batch that could be no record, or a full store: nothing was in flight.
                return

        self.card.leave(journal, has_power=self.has_power, in_flight=commit if may_write else None)

    def finish(self) -> None:
        if self._busy_since_ms is None and self._disk.manner in ("ok", "full"):
            self._tell(self.work.write(self._queue, self._boot_ms()))
            self._queue = []
            self._tell(self.work.finish(self._boot_ms()))
        self.lose_power()

    # ------------------------------------------------------- what `JournalWorker` answers

    def records_after(self, epoch: int, seq: int, bytes_max: int) -> Batch:
        """As the worker."""
        return self.ask(lambda journal: journal.records_after(epoch, seq, bytes_max))

    def acknowledge(self, head: Head) -> Head:
        """As the worker."""
        acked = self.ask(lambda journal: journal.acknowledge(head))
        self.acked(acked)
        return acked

    def branch(self, epoch: int) -> bool:
        """As the worker."""
        return self.ask(lambda journal: journal.branch(epoch, self._stamp()))

    def mark(self, **marks: Any) -> Marks:
        """As the worker."""
        return self.ask(lambda journal: journal.mark(**marks))

    def forget(self, digests: Sequence[bytes]) -> None:
        """As the worker."""
        self.work.forgetting.ask(frozenset(digests))

    def status(self) -> JournalStatus:
        """As the worker."""
        return self.work.status()

    def ask(self, question: Callable[[Journal], T]) -> T:
        """`question` on the journal, in its place between two commits. Raises StoreError."""
        now_ms = self._boot_ms()
        if self._busy_since_ms is not None and self._disk.manner != "ok":
            raise StoreError("no answer from the disk within 5 s", where="journal")
        self._tell(self.work.before_question(now_ms))
        try:
            return question(self.journal)
        except InterlockError as error:
            self._tell(self.work.after_question(error, now_ms))
            raise
