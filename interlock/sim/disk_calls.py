"""Renames, removals, writes and syncs that code asks of `os` in, a `Disk` told of each: what goes past SQLite.

The journal's salvage and the snapshot builder put finished files in their place with `os.replace` and `os.fsync`.
While `told(disk)` lasts these functions count for files of the disk's folder as SQLite's own calls do: they can
fail, stall and be cut. Everything else (looking, reading, listing) needs no ear: the live files are real ones.
A file that code writes itself with `open()` is not heard, and renaming one fails loudly.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interlock.sim.disk import Disk

_HEARD = ("replace", "rename", "unlink", "remove", "fsync", "fdatasync", "pwrite")


@contextmanager
def told(disk: Disk) -> Iterator[Disk]:
    """`disk` hears of every rename, removal, `pwrite` and sync that this process asks of `os`. One thread at a time."""
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in _HEARD}

    def rename(source: Any, target: Any, **folders: Any) -> None:
        if not disk.holds(target):
            real["replace"](source, target, **folders)
            return
        names = os.path.basename(source), os.path.basename(target)
        disk.rename(*names, lambda: real["replace"](source, target))

    def unlink(path: Any, **folders: Any) -> None:
        if folders or not disk.holds(path) or os.path.basename(path) not in disk.names:
            real["unlink"](path, **folders)
            return
        disk.unlink(os.path.basename(path), lambda: real["unlink"](path))

    def fsync(descriptor: Any) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == disk.folder and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            disk.sync_names()
        elif disk.holds(path) and path.name in disk.names:
            disk.sync(disk.names[path.name], path.name)
        else:
            real["fsync"](descriptor)

    def pwrite(descriptor: Any, written: Any, offset: int) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not disk.holds(path) or path.name not in disk.names:
            return int(real["pwrite"](descriptor, written, offset))
        disk.write(disk.names[path.name], path.name, descriptor, offset, bytes(written))
        return len(written)

    heard = (rename, rename, unlink, unlink, fsync, fsync, pwrite)
    for name, call in zip(_HEARD, heard, strict=True):
        setattr(os, name, call)
    try:
        yield disk
    finally:
        for name, call in real.items():
            setattr(os, name, call)
