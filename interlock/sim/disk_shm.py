"""A simulated VFS in, the same with shared memory out: what several connections in WAL need, and apsw does not offer.

The memory of a WAL index belongs to the running processes and never to the disk: no cut can leave any of it, so it
is plain memory here, one list of regions for each database. Only its callbacks are ours, written with `ctypes`
against SQLite's published structures (sqlite3.h, `sqlite3_vfs` version 1, `sqlite3_io_methods` version 2); files,
writes and syncs remain those of `disk_vfs`. Connections of one process only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from interlock.sim.disk_vfs import SimulatedVfs

OK, BUSY = 0, 5
UNLOCK, LOCK, SHARED, EXCLUSIVE = 1, 2, 4, 8
"""The flags of `xShmLock`."""

SLOTS = 8
"""Locks of a WAL index (SQLITE_SHM_NLOCK)."""

_P, _INT = ctypes.c_void_p, ctypes.c_int
_OPEN = ctypes.CFUNCTYPE(_INT, _P, ctypes.c_char_p, _P, _INT, _P)
_MAP = ctypes.CFUNCTYPE(_INT, _P, _INT, _INT, _INT, ctypes.POINTER(_P))
_LOCK = ctypes.CFUNCTYPE(_INT, _P, _INT, _INT, _INT)
_BARRIER = ctypes.CFUNCTYPE(None, _P)
_UNMAP = ctypes.CFUNCTYPE(_INT, _P, _INT)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`; the calls behind `xOpen` are copied and never looked at."""

    _fields_ = [
        ("iVersion", _INT),
        ("szOsFile", _INT),
        ("mxPathname", _INT),
        ("pNext", _P),
        ("zName", ctypes.c_char_p),
        ("pAppData", _P),
        ("xOpen", _OPEN),
        ("calls", _P * 14),
    ]


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods` of version 2: 12 calls of version 1, then those of shared memory."""

    _fields_ = [
        ("iVersion", _INT),
        ("calls", _P * 12),
        ("xShmMap", _MAP),
        ("xShmLock", _LOCK),
        ("xShmBarrier", _BARRIER),
        ("xShmUnmap", _UNMAP),
    ]


class _File(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = [("pMethods", ctypes.POINTER(_Methods))]


@dataclass(slots=True)
class _Index:
    """The shared memory of one database: its regions, and who holds which lock how."""

    regions: list[Any] = field(default_factory=list)
    shared: list[set[int]] = field(default_factory=lambda: [set() for _ in range(SLOTS)])
    exclusive: list[int | None] = field(default_factory=lambda: [None] * SLOTS)
    users: set[int] = field(default_factory=set)

    def lock(self, who: int, slots: range, flags: int) -> int:
        """SQLite's `xShmLock`."""
        if flags & UNLOCK:
            for slot in slots:
                self.shared[slot].discard(who)
                if self.exclusive[slot] == who:
                    self.exclusive[slot] = None
            return OK
        for slot in slots:
            taken = self.exclusive[slot] not in (None, who)
            if taken or (flags & EXCLUSIVE and self.shared[slot] - {who}):
                return BUSY
        for slot in slots:
            if flags & EXCLUSIVE:
                self.exclusive[slot] = who
            else:
                self.shared[slot].add(who)
        return OK


class SharedMemory:
    """Adds shared memory to every database file that `vfs` opens from here on."""

    def __init__(self, vfs: SimulatedVfs) -> None:
        self._sqlite = ctypes.CDLL("libsqlite3.so.0")
        self._sqlite.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._vfs = self._sqlite.sqlite3_vfs_find(vfs.name.encode()).contents
        # By its address: the field itself is about to name ours.
        self._open = _OPEN(ctypes.cast(self._vfs.xOpen, _P).value or 0)
        self._indexes: dict[bytes, _Index] = {}
        self._files: dict[int, bytes] = {}
        # Kept: SQLite holds their addresses.
        self._ours = (
            _OPEN(self._opened),
            _MAP(self._mapped),
            _LOCK(self._locked),
            _BARRIER(lambda file: None),
            _UNMAP(self._unmapped),
        )
        self._methods: _Methods | None = None
        self._vfs.xOpen = self._ours[0]

    def forget(self) -> None:
        """The processes are gone, and the memory with them."""
        self._indexes.clear()
        self._files.clear()

    def remove(self) -> None:
        """The VFS opens files as before."""
        self._vfs.xOpen = self._open

    def _opened(self, vfs: int, name: bytes, file: int, flags: int, flags_out: int) -> int:
        code = int(self._open(vfs, name, file, flags, flags_out))
        main_database = 0x100
        if code == OK and flags & main_database:
            opened = ctypes.cast(file, ctypes.POINTER(_File)).contents
            if self._methods is None:
                calls = opened.pMethods.contents.calls
                self._methods = _Methods(2, calls, *self._ours[1:])
            opened.pMethods = ctypes.pointer(self._methods)
            self._files[file] = name
        return code

    def _mapped(self, file: int, region: int, size: int, extend: int, out: Any) -> int:
        index = self._index(file)
        index.users.add(file)
        while extend and len(index.regions) <= region:
            index.regions.append(ctypes.create_string_buffer(size))
        there = region < len(index.regions)
        out[0] = ctypes.addressof(index.regions[region]) if there else None
        return OK

    def _locked(self, file: int, offset: int, count: int, flags: int) -> int:
        return self._index(file).lock(file, range(offset, offset + count), flags)

    def _unmapped(self, file: int, delete: int) -> int:
        index = self._index(file)
        index.users.discard(file)
        index.lock(file, range(SLOTS), UNLOCK)
        if delete and not index.users:
            self._indexes.pop(self._files[file], None)
        return OK

    def _index(self, file: int) -> _Index:
        return self._indexes.setdefault(self._files[file], _Index())


@contextmanager
def sharing_memory(vfs: SimulatedVfs) -> Iterator[SharedMemory]:
    """Databases on `vfs` may be in WAL with several connections of this process."""
    memory = SharedMemory(vfs)
    try:
        yield memory
    finally:
        memory.remove()
