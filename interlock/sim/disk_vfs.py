"""SQLite's file calls in, a `Disk` told of each: the standard `sqlite3` module, unmodified, on a simulated disk.

Debian's python3-apsw shares libsqlite3 with the `sqlite3` module, so a VFS registered through the one serves
connections of the other: `sqlite3.connect("file:…?vfs=NAME", uri=True)`. It promises what SQLite's own VFS for
Unix promises (sectors, safe overwriting, when the folder is synced), no more and no less: what is tested is what
ships. There is no shared memory here, and none is needed by a connection that is exclusive before it turns to
WAL, as the journal's is; `disk_shm` adds it for those that are not.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interlock.sim.disk import Disk

apsw: Any = importlib.import_module("apsw")
"""Debian's; any other brings its own SQLite, which `sqlite3` never sees (`shares_sqlite`)."""

_unlink = os.unlink
"""Python's own: `disk_calls` puts another in its place that tells the disk, which would then hear it twice."""

LINUX_SECTOR_BYTES = 4_096
"""What SQLite's VFS for Unix says of every disk."""

UNLOCKED, SHARED, RESERVED, PENDING, EXCLUSIVE = range(5)
"""SQLite's lock levels, as `xLock` is given them."""


def shares_sqlite() -> bool:
    """Whether `apsw` and the standard `sqlite3` module use one and the same library file."""
    import _sqlite3
    import sqlite3

    mapped = Path("/proc/self/maps").read_text("ascii", "replace").splitlines()
    libraries = {line.split()[-1] for line in mapped if "libsqlite3.so" in line}
    bundled = "libsqlite3.so" not in _needed(apsw.__file__) or "libsqlite3.so" not in _needed(
        _sqlite3.__file__
    )
    return len(libraries) == 1 and not bundled and apsw.sqlitelibversion() == sqlite3.sqlite_version


def _needed(extension: str) -> str:
    return Path(extension).read_bytes().decode("latin-1")


class SimulatedVfs(apsw.VFS):  # type: ignore[misc]  # apsw is untyped where it is not installed
    """The VFS called `name` over one disk at a time; paths outside its folder are refused."""

    def __init__(self, name: str, *, default: bool = False) -> None:
        super().__init__(name, base="unix", makedefault=default)
        self.name = name
        self.disk: Disk | None = None
        self.locks: dict[int, dict[int, int]] = {}

    def excepthook(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """A planned failure is told by its code, and apsw's report of it noise; any other is a fault of ours."""
        if not isinstance(error, apsw.Error):
            sys.excepthook(kind, error, trace)

    def uri(self, path: Path) -> str:
        """SQLite's URI of a file on this disk: what `Journal` takes as `uri`."""
        return f"{path.absolute().as_uri()}?vfs={self.name}"

    def mounted(self) -> Disk:
        """The disk in place. Raises when there is none."""
        if self.disk is None:
            raise _failure(apsw.SQLITE_CANTOPEN)
        return self.disk

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        """SQLite's; a file without a name is a sorter's, which no cut can leave."""
        if name is None:
            return ScratchFile()
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = self.mounted()
        if not disk.holds(path):
            raise _failure(apsw.SQLITE_CANTOPEN)
        return SimulatedFile(self, disk, path, flags)

    def xDelete(self, path: str, sync_names: bool) -> None:  # noqa: N802
        """SQLite's."""
        disk = self.mounted()
        try:
            disk.unlink(os.path.basename(path), lambda: _unlink(path))
        except FileNotFoundError as error:
            raise _failure(apsw.SQLITE_IOERR_DELETE_NOENT) from error
        except OSError as error:
            raise _failure(apsw.SQLITE_IOERR_DELETE) from error
        if sync_names:
            _translated(disk.sync_names, apsw.SQLITE_IOERR_DIR_FSYNC)

    def xAccess(self, path: str, flags: int) -> bool:  # noqa: N802
        """SQLite's."""
        return os.path.exists(path)


class SimulatedFile:
    """One open file of SQLite's."""

    def __init__(self, vfs: SimulatedVfs, disk: Disk, path: str, flags: list[int]) -> None:
        self._vfs, self._disk = vfs, disk
        self._name = os.path.basename(path)
        creates = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        if not creates and not os.path.exists(path):
            raise _failure(apsw.SQLITE_CANTOPEN)
        _translated(lambda: disk.created(self._name), apsw.SQLITE_CANTOPEN)
        self._file = disk.names[self._name]
        access = os.O_RDWR | os.O_CREAT if creates else os.O_RDWR
        self._descriptor = os.open(path, access | os.O_CLOEXEC, 0o600)
        beside = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
        # As unixOpen: whoever opens a journal or WAL to create it syncs the folder with its first sync.
        self._names_are_to_be_synced = creates and bool(flags[0] & beside)
        self._path = path if flags[0] & apsw.SQLITE_OPEN_DELETEONCLOSE else None
        self._level = UNLOCKED

    def excepthook(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """See `SimulatedVfs.excepthook`."""
        self._vfs.excepthook(kind, error, trace)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """SQLite's; fewer bytes than asked for is its short read."""
        _translated(lambda: self._disk.read(self._name), apsw.SQLITE_IOERR_READ)
        return os.pread(self._descriptor, amount, offset)

    def xWrite(self, written: bytes, offset: int) -> None:  # noqa: N802
        """SQLite's."""
        _translated(
            lambda: self._disk.write(self._file, self._name, self._descriptor, offset, written),
            apsw.SQLITE_IOERR_WRITE,
        )

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """SQLite's."""
        _translated(
            lambda: self._disk.truncate(self._file, self._name, self._descriptor, size),
            apsw.SQLITE_IOERR_TRUNCATE,
        )

    def xSync(self, flags: int) -> None:  # noqa: N802
        """SQLite's."""
        _translated(lambda: self._disk.sync(self._file, self._name), apsw.SQLITE_IOERR_FSYNC)
        if self._names_are_to_be_synced:
            _translated(self._disk.sync_names, apsw.SQLITE_IOERR_DIR_FSYNC)
            self._names_are_to_be_synced = False

    def xFileSize(self) -> int:  # noqa: N802
        """SQLite's."""
        return os.fstat(self._descriptor).st_size

    def xClose(self) -> None:  # noqa: N802
        """SQLite's."""
        self.xUnlock(UNLOCKED)
        os.close(self._descriptor)
        if self._path is not None and os.path.exists(self._path):
            self._vfs.xDelete(self._path, False)

    def xLock(self, level: int) -> None:  # noqa: N802
        """SQLite's: many share, one reserves, one excludes."""
        others = [held for who, held in self._holders().items() if who != id(self)]
        most = max(others, default=UNLOCKED)
        if level == SHARED:
            refused = most >= PENDING
        elif level == RESERVED:
            refused = most >= RESERVED
        else:
            refused = most > UNLOCKED
        if refused:
            raise _failure(apsw.SQLITE_BUSY)
        self._hold(level)

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """SQLite's."""
        self._hold(level)

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """SQLite's."""
        return max(self._holders().values(), default=UNLOCKED) >= RESERVED

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        """SQLite's; there is nothing to control."""
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        """As SQLite's VFS for Unix."""
        return LINUX_SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """As SQLite's VFS for Unix: a write harms nothing beside it. The model keeps that promise."""
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)

    def _holders(self) -> dict[int, int]:
        return self._vfs.locks.setdefault(self._file, {})

    def _hold(self, level: int) -> None:
        self._level = level
        if level == UNLOCKED:
            self._holders().pop(id(self), None)
        else:
            self._holders()[id(self)] = level


class ScratchFile:
    """A file without a name, in memory: a sorter's or a statement's, which no cut can leave."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("scratch", os.MFD_CLOEXEC)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """SQLite's."""
        return os.pread(self._descriptor, amount, offset)

    def xWrite(self, written: bytes, offset: int) -> None:  # noqa: N802
        """SQLite's."""
        os.pwrite(self._descriptor, written, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """SQLite's."""
        os.ftruncate(self._descriptor, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Nothing of it is to survive."""

    def xFileSize(self) -> int:  # noqa: N802
        """SQLite's."""
        return os.fstat(self._descriptor).st_size

    def xClose(self) -> None:  # noqa: N802
        """SQLite's."""
        os.close(self._descriptor)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Nobody else can see it."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Nobody else can see it."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Nobody else can see it."""
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        """There is nothing to control."""
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        """As every file's."""
        return LINUX_SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """Nothing that could matter."""
        return 0


@contextmanager
def serving_all() -> Iterator[SimulatedVfs]:
    """A VFS that also serves who names none, `sqlite3.connect(path)`; afterwards Unix's is the default again.

    No such connection may be open at the end.
    """
    vfs = SimulatedVfs("simulated-default", default=True)
    try:
        yield vfs
    finally:
        vfs.unregister()


@contextmanager
def inserted(vfs: SimulatedVfs, disk: Disk) -> Iterator[Disk]:
    """`vfs` serves `disk`. A process that dies in between holds no lock afterwards."""
    vfs.disk, vfs.locks = disk, {}
    try:
        yield disk
    finally:
        vfs.disk = None


def _translated(perform: Any, code: int) -> None:
    try:
        perform()
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise _failure(apsw.SQLITE_FULL if full else code) from error


def _failure(code: int) -> Exception:
    error: Exception = apsw.exceptionfor(code)
    return error
