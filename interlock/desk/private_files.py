"""Bytes go to a file that nobody but its owner may read, and come back; a file others may read is refused.

Site keys, the hub's token, the ledger and what waits for the hub: everything the desk keeps.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from interlock.desk.words import _
from interlock.errors import ConfigError, StoreError

OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700
OTHERS = 0o077
FILE_BYTES_MAX = 64 * 1024 * 1024
"""A ledger of 20,000 badges has 50 MB; what is longer is no file of ours."""


def read(path: Path) -> bytes:
    """What `path` holds. Raises ConfigError: missing, unreadable, or readable by others."""
    try:
        with path.open("rb") as source:
            mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
            content = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            _("cannot be read: %s") % error.strerror,
            where=str(path),
            remedy=_("Check the path, and whose file it is"),
        ) from error
    if mode & OTHERS:
        raise ConfigError(
            _("others may read this secret (mode %04o)") % mode,
            where=str(path),
            remedy=_("Run: chmod 600 %s") % path,
        )
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(_("is too long to be a file of the desk"), where=str(path))
    return content


def create(path: Path, content: bytes) -> None:
    """A new file holds `content`. Raises ConfigError when there is one already."""
    _written(path, content, os.O_EXCL)
    _settle_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """`path` holds `content`: after a power cut either all of the old or all of the new."""
    new = path.with_name(f".{path.name}.new")
    _written(new, content, os.O_TRUNC)
    os.replace(new, path)
    _settle_folder(path.parent)


def open_for_appending(path: Path) -> int:
    """A descriptor whose writes go to the end of `path`, made where there is none. Raises StoreError."""
    is_new = not path.exists()
    try:
        path.parent.mkdir(mode=FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
    except OSError as error:
        raise StoreError(_("cannot be written: %s") % error.strerror, where=str(path)) from error
    if is_new:
        _settle_folder(path.parent)
    return descriptor


def append(descriptor: int, content: bytes, sync: Callable[[int], object] = os.fsync) -> None:
    """`content` is on the disk, whatever happens next. Raises StoreError, and then none of it is there."""
    try:
        length = os.fstat(descriptor).st_size
        if os.write(descriptor, content) != len(content):
            os.ftruncate(descriptor, length)
            raise StoreError(_("the disk is full"), remedy=_("Make room on it, then tap again"))
        sync(descriptor)
    except OSError as error:
        raise StoreError(
            _("the desk's disk does not keep what is written: %s") % error.strerror,
            remedy=_("Do not go on before it does: cards could be left with keys nobody knows"),
        ) from error


def _written(path: Path, content: bytes, flag: int) -> None:
    try:
        path.parent.mkdir(mode=FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, OWNER_ONLY)
    except FileExistsError as error:
        raise ConfigError(
            _("exists already"), where=str(path), remedy=_("Choose another place, or keep it")
        ) from error
    except OSError as error:
        raise ConfigError(_("cannot be written: %s") % error.strerror, where=str(path)) from error
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())


def _settle_folder(folder: Path) -> None:
    """The name of a new file survives a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
