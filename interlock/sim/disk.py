"""File operations and a cut in, what a disk could then hold out: the model behind `disk_vfs` and `disk_calls`.

A `Disk` numbers every operation on one folder and writes it down; the live files are ordinary files of that folder
(on a tmpfs), so that code which never heard of this model reads them. A `Platter` plays the operations back and
draws, for a power cut after any one of them, files that a real disk may be left with:

- what was synced is there. Of what was not, every 512-byte sector of every file independently holds any version it
  had since its last sync: nothing is ordered (a later write can survive an earlier one) and a page can be torn;
- a file's length is any it had since its last sync; what lies in it and was never written is zero. Shortening it
  happened or did not, and what was written behind it is only there if it did;
- names (created, renamed, unlinked) survive as a prefix, in order, as in the journal of ext4; only the sync of the
  folder makes them certain. Syncing a file does not, although Linux is kinder;
- a sync that fails leaves each sector at any of its versions, and the kernel calls it clean: another sync does not
  write it again, only another write does (Linux since 4.13).

Not modelled: rot of what was synced (the damage tests do that), a sector half old and half new or of rubbish, a
card that loses what lies next to a write, file systems that reorder names.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""

_pwrite = os.pwrite
"""Python's own: `disk_calls` puts another in its place that ends here."""

Image = Mapping[str, bytes]
"""The files of a folder: name to content."""


class Kind(Enum):
    """What was done to the folder."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_NAMES = "sync names"
    RENAME = "rename"
    UNLINK = "unlink"
    READ = "read"


CUT_KINDS = frozenset(Kind) - {Kind.READ, Kind.CREATE}
"""After each of these something else may be left: the crash points."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: on which file (a number that outlives its names), where, with which bytes."""

    kind: Kind
    file: int = 0
    name: str = ""
    new_name: str = ""
    offset: int = 0
    written: bytes = b""
    failed_seed: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong instead: an errno, how much of a write still happened, and how long it took."""

    code: int = 0
    part: float = 0.0
    stall_ms: int = 0


EIO = Fault(errno.EIO)
ENOSPC = Fault(errno.ENOSPC)

Plan = Callable[[int, Kind, str], Fault | None]
"""Number, kind and name of an operation that is about to happen, to what is to go wrong."""


def nothing_fails(number: int, kind: Kind, name: str) -> Fault | None:
    """No fault, ever."""
    return None


def failing_at(faults: Mapping[int, Fault]) -> Plan:
    """The operations of these numbers fail; reads have no number and never do."""
    return lambda number, kind, name: None if kind is Kind.READ else faults.get(number)


@dataclass(slots=True)
class Disk:
    """The disk under `folder`. `lies`: it says that a sync succeeded and does nothing; `stalled` hears the wait.

    `forgets_names`: it does the same for the sync of the folder alone.
    """

    folder: Path
    plan: Plan = nothing_fails
    stalled: Callable[[int], object] = lambda ms: None
    lies: bool = False
    forgets_names: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    log: list[Operation] = field(default_factory=list)
    begun_with: dict[str, bytes] = field(default_factory=dict)
    done: int = 0
    _files: dict[str, int] = field(default_factory=dict)
    _last_file: int = 0

    def __post_init__(self) -> None:
        for path in sorted(self.folder.iterdir()):
            self.begun_with[path.name] = path.read_bytes()
            self._files[path.name] = self._next_file()

    @property
    def names(self) -> Mapping[str, int]:
        """Which file each name stands for now."""
        return self._files

    def holds(self, path: str | Path) -> bool:
        """Whether `path` is in this disk's folder."""
        return os.path.dirname(os.path.abspath(path)) == str(self.folder)

    def created(self, name: str) -> int:
        """The file called `name`, new when there was none. Raises OSError as planned."""
        if name in self._files:
            return self._files[name]
        self._face(Kind.CREATE, name)
        number = self._files[name] = self._next_file()
        self.log.append(Operation(Kind.CREATE, number, name))
        return number

    def read(self, name: str) -> None:
        """A read is about to happen. Raises OSError as planned."""
        self._face(Kind.READ, name)

    def write(self, file: int, name: str, descriptor: int, offset: int, written: bytes) -> None:
        """The bytes are in the file, for now. Raises OSError as planned, with a part of them written."""
        try:
            self._face(Kind.WRITE, name)
        except _Partly as partly:
            kept = written[: int(len(written) * partly.part)]
            self._write(file, descriptor, offset, kept)
            raise
        self._write(file, descriptor, offset, written)

    def truncate(self, file: int, name: str, descriptor: int, size: int) -> None:
        """The file ends at `size`, for now. Raises OSError as planned."""
        self._face(Kind.TRUNCATE, name)
        os.ftruncate(descriptor, size)
        self.log.append(Operation(Kind.TRUNCATE, file, offset=size))

    def sync(self, file: int, name: str) -> None:
        """What the file holds survives from here on. Raises OSError as planned."""
        try:
            self._face(Kind.SYNC, name)
        except OSError:
            self.log.append(Operation(Kind.SYNC, file, failed_seed=self.rng.getrandbits(32)))
            raise
        if not self.lies:
            self.log.append(Operation(Kind.SYNC, file))

    def sync_names(self) -> None:
        """The folder's names survive from here on. Raises OSError as planned."""
        self._face(Kind.SYNC_NAMES, "")
        if not (self.lies or self.forgets_names):
            self.log.append(Operation(Kind.SYNC_NAMES))

    def rename(self, name: str, new_name: str, perform: Callable[[], None]) -> None:
        """What was `name` is `new_name`, for now. Raises OSError as planned."""
        self._face(Kind.RENAME, name)
        perform()
        self._files[new_name] = self._files.pop(name)
        self.log.append(Operation(Kind.RENAME, self._files[new_name], name, new_name))

    def unlink(self, name: str, perform: Callable[[], None]) -> None:
        """`name` is gone, for now. Raises OSError as planned, or when there is none."""
        self._face(Kind.UNLINK, name)
        perform()
        self.log.append(Operation(Kind.UNLINK, self._files.pop(name), name))

    def _write(self, file: int, descriptor: int, offset: int, written: bytes) -> None:
        _pwrite(descriptor, written, offset)
        self.log.append(Operation(Kind.WRITE, file, offset=offset, written=written))

    def _face(self, kind: Kind, name: str) -> None:
        if kind is not Kind.READ:
            self.done += 1
        fault = self.plan(self.done, kind, name)
        if fault is None:
            return
        if fault.stall_ms:
            self.stalled(fault.stall_ms)
        if fault.code:
            raise _Partly(fault.code, os.strerror(fault.code), fault.part)

    def _next_file(self) -> int:
        self._last_file += 1
        return self._last_file


class _Partly(OSError):
    """The planned failure of an operation of which `part` happened."""

    def __init__(self, code: int, text: str, part: float) -> None:
        super().__init__(code, text)
        self.part = part


_NO_CHANCE = random.Random(0)
"""Draws that have only one outcome."""


class _File:
    """One file played back: as the process sees it, as it was synced, and what each sector was in between.

    Shortening a file begins another era of it: a cut chooses how many of the eras ever began, and what was written
    in one that did not lay in blocks the file never got.
    """

    def __init__(self, content: bytes | bytearray = b"") -> None:
        self.live = bytearray(content)
        self.durable = bytearray(content)
        self.versions: dict[int, list[tuple[int, bytes]]] = {}
        self.lengths: list[list[int]] = [[len(content)]]

    def write(self, offset: int, written: bytes) -> None:
        if len(self.live) < offset:
            self.live.extend(bytes(offset - len(self.live)))
        self.live[offset : offset + len(written)] = written
        self._changed(offset, offset + len(written))

    def truncate(self, size: int) -> None:
        before = len(self.live)
        if size < before:
            del self.live[size:]
            self.lengths.append([])
            self._changed(size, size)
        elif size > before:
            self.live.extend(bytes(size - before))
            self._changed(before, before)

    def sync(self) -> None:
        """What changed since the last sync; what a failed one left behind is clean and stays behind."""
        self.durable = self.drawn(_NO_CHANCE, 1.0)
        self._forget_versions()

    def fail_to_sync(self, rng: random.Random) -> None:
        self.durable = self.drawn(rng, rng.random())
        self._forget_versions()

    def drawn(self, rng: random.Random, kept: float) -> bytearray:
        """The file as a cut may leave it; `kept` is how likely a sector has its newest version."""
        era = _drawn(rng, range(len(self.lengths)), kept)
        length = _drawn(rng, self.lengths[era], kept)
        shortest = min([len(self.durable), *(lengths[0] for lengths in self.lengths[1 : era + 1])])
        left = self.durable[:shortest]
        left.extend(bytes(max(0, length - len(left))))
        for number, versions in self.versions.items():
            self._put(left, number, self._of_era(number, versions, era), rng, kept)
        del left[length:]
        return left

    def _of_era(self, number: int, versions: list[tuple[int, bytes]], era: int) -> list[bytes]:
        """What was written to a sector up to `era`, since it was last cut off."""
        begin = number * SECTOR_BYTES
        cut_off = [n for n in range(1, era + 1) if self.lengths[n][0] <= begin]
        first = cut_off[-1] if cut_off else 0
        return [content for written_in, content in versions if first <= written_in <= era]

    def _put(
        self, left: bytearray, number: int, written: list[bytes], rng: random.Random, kept: float
    ) -> None:
        """The sector has one of the versions written, or stays as it is."""
        chosen = _drawn(rng, range(len(written) + 1), kept)
        if chosen:
            begin = number * SECTOR_BYTES
            left.extend(bytes(max(0, begin + SECTOR_BYTES - len(left))))
            left[begin : begin + SECTOR_BYTES] = written[chosen - 1]

    def _changed(self, begin: int, end: int) -> None:
        self.lengths[-1].append(len(self.live))
        era = len(self.lengths) - 1
        for number in range(begin // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            at = number * SECTOR_BYTES
            content = bytes(self.live[at : at + SECTOR_BYTES]).ljust(SECTOR_BYTES, b"\0")
            self.versions.setdefault(number, []).append((era, content))

    def _forget_versions(self) -> None:
        self.versions.clear()
        self.lengths = [[len(self.durable)]]


def _drawn(rng: random.Random, choices: Sequence[int], kept: float) -> int:
    """The last of them, as likely as `kept`; else any other."""
    last = len(choices) - 1
    return choices[last if last == 0 or rng.random() < kept else rng.randrange(last)]


class Platter:
    """A disk's operations played back one by one, and what a cut between two of them may leave."""

    def __init__(self, begun_with: Image) -> None:
        """`begun_with`: what was there and synced; files are numbered in the order of their names, as `Disk` does."""
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        for number, name in enumerate(sorted(begun_with), start=1):
            self._files[number] = _File(begun_with[name])
            self._names[name] = number
        self._changes: list[Operation] = []

    def play(self, operation: Operation) -> None:
        """`operation` has happened."""
        match operation.kind:
            case Kind.WRITE:
                self._files[operation.file].write(operation.offset, operation.written)
            case Kind.TRUNCATE:
                self._files[operation.file].truncate(operation.offset)
            case Kind.SYNC if operation.failed_seed is None:
                self._files[operation.file].sync()
            case Kind.SYNC:
                rng = random.Random(operation.failed_seed)
                self._files[operation.file].fail_to_sync(rng)
            case Kind.SYNC_NAMES:
                self._names = _renamed(self._names, self._changes)
                self._changes.clear()
            case Kind.CREATE:
                self._files[operation.file] = _File()
                self._changes.append(operation)
            case Kind.RENAME | Kind.UNLINK:
                self._changes.append(operation)
            case Kind.READ:
                raise ValueError("a read is not written down")

    def cut(self, rng: random.Random) -> dict[str, bytes]:
        """The files that are there after a power cut now; another draw gives others."""
        kept = rng.choice((0.0, 1.0, 0.5, rng.random()))
        changes = len(self._changes)
        if rng.random() >= kept:
            changes = rng.randint(0, changes)
        names = _renamed(self._names, self._changes[:changes])
        return {
            name: bytes(self._files[file].drawn(rng, kept)) for name, file in sorted(names.items())
        }


def cut_points(disk: Disk, begin: int = 0) -> Iterator[tuple[int, Platter]]:
    """Each crash point behind operation `begin` of the log: how many operations had happened, and the platter.

    The platter is one and the same and plays on: draw from it before asking for the next point.
    """
    platter = Platter(disk.begun_with)
    if begin == 0:
        yield 0, platter
    for done, operation in enumerate(disk.log, start=1):
        platter.play(operation)
        if done > begin and operation.kind in CUT_KINDS:
            yield done, platter


def lay_down(folder: Path, image: Image) -> None:
    """`folder` holds these files and no others."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)


def _renamed(names: Mapping[str, int], changes: list[Operation]) -> dict[str, int]:
    left = dict(names)
    for change in changes:
        if change.kind is not Kind.CREATE:
            left.pop(change.name, None)
        if change.kind is Kind.CREATE:
            left[change.name] = change.file
        elif change.kind is Kind.RENAME:
            left[change.new_name] = change.file
    return left
