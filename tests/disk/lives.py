"""Steps and a disk's bad days in, a journal's life on it out: what it did, and what it had promised at every moment.

A life runs once, on live files; the cuts are then drawn from the disk's log, one for every write and sync, each
against the promises of that very moment.
"""

from __future__ import annotations

import random
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from interlock.errors import ProtocolError, StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft
from interlock.protocol.records import Head, Record, RecordType
from interlock.sim.disk import Disk, Image, Plan, cut_points, lay_down, nothing_fails
from interlock.sim.disk_calls import told
from interlock.sim.disk_vfs import SimulatedVfs, inserted
from tests.disk.judge import Broken, Claim, Flight, checked, judged, new_journal
from tests.node.journals import NOW, boot, draft, ended, everything, progress, started

MEMORY = Path("/dev/shm")
VFS = SimulatedVfs("simulated")
"""One for the whole process: SQLite has no use for hundreds."""

REOPENS_MAX = 50
"""A plan of faults runs out; a journal that still cannot be opened then never will be."""


class Step(Enum):
    """What the node asks of its journal."""

    START = "append a start"
    BATCH = "append a batch of 3"
    END = "append progress and end"
    REFUSALS = "append an aggregated refusal"
    ACKNOWLEDGE = "acknowledge the head"
    MARK = "raise the marks"
    REOPEN = "reopen"
    RESTART = "end in order, start again"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Moment:
    """From `at` operations of the disk on: what has been promised, and what is under way."""

    at: int
    claim: Claim
    flight: Flight | None


@dataclass
class Life:
    """A journal on a disk, and every promise it made. `kind`: a planted bug's class instead of the real one."""

    disk: Disk
    claim: Claim = field(default_factory=Claim)
    flight: Flight | None = None
    boot_id: str = "boot-a"
    kind: type[Journal] = Journal
    moments: list[Moment] = field(default_factory=list)
    failures: int = 0
    end: int = 0
    _boots: int = 0

    def __post_init__(self) -> None:
        self.journal = self._new_journal()

    @property
    def path(self) -> Path:
        """Where the journal is."""
        return self.disk.folder / "journal.db"

    def begin(self) -> None:
        """The journal is open, and whatever an earlier life left is closed; faults are met as the worker does."""
        self._note()
        self._until_usable(lambda: self.journal.open(NOW))
        self._recover()

    def step(self, step: Step) -> None:
        """The journal has been asked for `step`, and is usable again."""
        match step:
            case Step.START:
                self._append([started(f"m{len(self.claim.records)}")])
            case Step.BATCH:
                self._append(_batch(len(self.claim.records)))
            case Step.END:
                self._append(self._ending())
            case Step.REFUSALS:
                self._append([_refusals()])
            case Step.ACKNOWLEDGE:
                self._acknowledge()
            case Step.MARK:
                self._mark()
            case Step.REOPEN:
                self._reopen()
            case Step.RESTART:
                self._restart()
            case Step.CHECKPOINT:
                self._attempt(self.journal.checkpoint)

    def stop(self) -> None:
        """The process is gone; what it still does to the disk is no crash point of this life."""
        self.end = len(self.disk.log)
        self.journal.close()

    def moment_at(self, done: int) -> Moment:
        """What held when the disk had done so much."""
        place = bisect_right(self.moments, done, key=lambda moment: moment.at)
        return self.moments[place - 1]

    def _append(self, drafts: Sequence[Draft]) -> None:
        self._fly(Flight(drafts=tuple(drafts)))
        written: list[Record] = []
        if self._attempt(lambda: written.extend(self.journal.append(drafts))):
            self._hold(records=(*self.claim.records, *written))

    def _acknowledge(self) -> None:
        head = self.journal.head
        self._fly(Flight(acknowledged=head))
        kept: list[Head] = []
        if self._attempt(lambda: kept.append(self.journal.acknowledge(head))):
            self._hold(acknowledged=kept[0])

    def _mark(self) -> None:
        old = self.claim.marks
        version = (1, 1) if old.snapshot is None else (1, old.snapshot[1] + 1)
        marks = replace(old, snapshot=version, time={"powered_ms": version[1]})
        self._fly(Flight(marks=marks))
        if self._attempt(lambda: self.journal.mark(snapshot=version, time=marks.time)):
            self._hold(marks=marks)

    def _ending(self) -> list[Draft]:
        session = self.journal.facts.open_session
        if session is None:
            return [boot()]
        return [progress(session.id, 60_000), ended(session.id, 90_000)]

    def _reopen(self) -> None:
        adopted = self._until_usable(lambda: self.journal.reopen(NOW))
        self._settle(tuple(adopted or ()))

    def _restart(self) -> None:
        self._attempt(lambda: self.journal.close(clean=True))
        self.journal.close()
        self.journal = self._new_journal()
        self._until_usable(lambda: self.journal.open(NOW))
        self._recover()

    def _recover(self) -> None:
        """As the service does: when the disk refuses the end, the worker looks again once it has reopened."""
        self._settle_opened()
        while (end := self.journal.closing_draft(NOW)) is not None:
            before = len(self.claim.records)
            self._fly(Flight(drafts=(end,)))
            self.journal.recover(NOW)
            if self.journal.usable:
                self._hold(records=(*self.claim.records, *self._behind(before)))
                return
            self.failures += 1
            self._reopen()

    def _behind(self, count: int) -> list[Record]:
        with self._asking():
            return everything(self.journal)[count:]

    def _settle_opened(self) -> None:
        """A journal opened anew says itself what is there."""
        with self._asking():
            self.claim = checked(self.journal, self.claim, self.flight)
        self.flight = None
        self._note()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """The test asks, not the node: no fault is spent on it."""
        plan, self.disk.plan = self.disk.plan, nothing_fails
        try:
            yield
        finally:
            self.disk.plan = plan

    def _settle(self, adopted: tuple[Record, ...]) -> None:
        """The journal said which records of the batch in doubt are there: believe it, and check it."""
        claim = replace(self.claim, records=(*self.claim.records, *adopted))
        with self._asking():
            found = checked(self.journal, self.claim, self.flight)
        if found.records != claim.records:
            raise Broken("D1", "reopening did not name the records in doubt that are there")
        self.claim, self.flight = found, None
        self._note()

    def _attempt(self, ask: Callable[[], object]) -> bool:
        """Whether it was done; a failed journal is reopened, and what was in doubt is settled."""
        try:
            ask()
        except StoreError:
            self.failures += 1
            if self.journal.usable:
                # As the worker: who can still write is not asked what became of the last batch.
                self.flight = None
                self._note()
            else:
                self._reopen()
            return False
        except ProtocolError as error:
            raise Broken("D7", f"the journal does not know its own: {error}") from error
        return True

    def _until_usable(self, attempt: Callable[[], list[Record] | None]) -> list[Record] | None:
        for _ in range(REOPENS_MAX):
            try:
                return attempt()
            except StoreError:
                self.failures += 1
        raise Broken("D8", "the disk is well again and the journal cannot be opened")

    def _fly(self, flight: Flight) -> None:
        self.flight = flight
        self._note()

    def _hold(self, **claimed: object) -> None:
        self.claim, self.flight = replace(self.claim, **claimed), None  # type: ignore[arg-type]  # fields
        self._note()

    def _note(self) -> None:
        self.moments.append(Moment(len(self.disk.log), self.claim, self.flight))

    def _new_journal(self) -> Journal:
        self._boots += 1
        return new_journal(self.path, VFS.uri, f"{self.boot_id}{self._boots}", self.kind)


@contextmanager
def room() -> Iterator[Path]:
    """A folder in memory, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="il-disk-", dir=MEMORY) as folder:
        yield Path(folder)


@contextmanager
def on_disk(
    folder: Path,
    image: Image,
    plan: Plan = nothing_fails,
    vfs: SimulatedVfs = VFS,
    lies: bool = False,
    forgets_names: bool = False,
) -> Iterator[Disk]:
    """`folder` holds `image`, all of it synced, and is a simulated disk."""
    lay_down(folder, image)
    disk = Disk(folder, plan, lies=lies, forgets_names=forgets_names)
    with ExitStack() as stack:
        stack.enter_context(inserted(vfs, disk))
        stack.enter_context(told(disk))
        yield disk


def cuts(
    life: Life, rng: random.Random, begin: int = 0, share: float = 1.0
) -> Iterator[tuple[Moment, dict[str, bytes]]]:
    """What a cut at each write and sync behind `begin`, or a share of them, leaves; and what was promised then."""
    for done, platter in cut_points(life.disk, begin):
        if done > life.end:
            return
        if share == 1.0 or rng.random() < share:
            yield life.moment_at(done), platter.cut(rng)


def survives(folder: Path, moment: Moment, image: Image, boot_id: str = "after-cut-") -> None:
    """What a cut left is recovered by the real journal on a disk that is well. Raises Broken."""
    with on_disk(folder, image) as disk:
        path = disk.folder / "journal.db"
        judged(path, VFS.uri, moment.claim, moment.flight, boot_id)


def _batch(count: int) -> list[Draft]:
    return [
        boot(),
        draft(RecordType.FAULT_RAISED, fault=f"fault_{count}"),
        draft(RecordType.LOCK_OUT_SET, source="machine", cause="broken"),
    ]


def _refusals() -> Draft:
    return draft(RecordType.REFUSED, reason="NOT_TRAINED", tag="a" * 32, count=7)
