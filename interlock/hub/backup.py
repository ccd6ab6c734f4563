"""A hub's folder to one sealed file while it serves, and such a file to a hub's folder on any computer.

The file is a sealed (hub.sealed_file), compressed tar of hub.toml, keys/ and a consistent copy of the database,
made by SQLite's own back-up in one read transaction: writers are not held up. It is read back and compared
before it gets its name. Whoever restores one gets a hub whose epoch is above every list its nodes have seen,
from which everybody who was erased since is erased again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from interlock import __version__
from interlock.clock import Clock
from interlock.errors import ConfigError, StoreError
from interlock.hub.directory import FOLDER_MODE, KEY_MODE, HubDirectory
from interlock.hub.sealed_file import SealedReader, SealedWriter, new_key

KEY_NAME = "backup.key"
DATABASE, CONFIG = "hub.db", "hub.toml"
MANIFEST = "manifest.json"
ERASED = "erased.json"
"""Beside the back-ups: whom a restore has to erase again; digests, no names (hub.erased)."""

COPY_BYTES = 1 << 20
MEMBERS_MAX = 200
"""A hub has a handful of keys; an archive with more files is not ours."""
_ALLOWED = re.compile(r"hub\.db|hub\.toml|manifest\.json|keys/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME = re.compile(r"interlock-(\d{4}-\d{2}-\d{2})-\d{6}\.backup")

DAYS_MAX = 90
"""GDPR: whoever was erased is gone from the last back-up after this (5-hub.md, "Privacy")."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A back-up that was read back: where, how large, which older ones made room for it, and what of the hub in it
    does not hold."""

    path: Path
    size_bytes: int
    removed: tuple[Path, ...] = ()
    faults: tuple[str, ...] = ()


def key_of(hub: HubDirectory) -> str:
    """The hub's back-up key. Raises ConfigError when it has none yet."""
    path = hub.keys / KEY_NAME
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            "this hub has no back-up key",
            where=str(path),
            remedy="Run: interlock hub backup-key, and keep what it prints on paper",
        ) from error


def make_key(hub: HubDirectory) -> str:
    """The hub's back-up key, made now if there was none."""
    path = hub.keys / KEY_NAME
    if not path.exists():
        _write_private(path, new_key().encode() + b"\n")
    return key_of(hub)


def back_up(hub: HubDirectory, out: Path, key: str, clock: Clock, progress: Progress) -> Made:
    """The whole hub is in `out`, sealed, on the disk and read back. Raises ConfigError, StoreError."""
    if out.exists():
        raise ConfigError("exists already", where=str(out), remedy="Name a new file")
    partial = out.with_name(f"{out.name}.partial")
    copy = hub.path / "backup.partial.db"
    try:
        partial.unlink(missing_ok=True)
        _copy_database(hub, copy)
        sums = _write(hub, copy, partial, key, clock, progress)
        with _opened(partial, key) as archive:
            found = {name: _digest(stream) for name, stream in archive}
        if found != sums:
            raise StoreError("what was read back is not what was written", where=str(partial))
        partial.replace(out)
        _sync(out.parent)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}",
            where=str(out),
            remedy="Is the disk there, and is there room on it?",
        ) from error
    finally:
        for left in (partial, *hub.path.glob(f"{copy.name}*")):
            left.unlink(missing_ok=True)
    return Made(out, out.stat().st_size)


def name_for(at: datetime) -> str:
    """What the back-up of that moment is called."""
    return f"interlock-{at.astimezone(UTC):%Y-%m-%d-%H%M%S}.backup"


def too_old(names: list[str], today: date) -> list[str]:
    """Which of those back-ups nobody may keep, whatever the others are worth."""
    dated = [(date.fromisoformat(m[1]), m[0]) for m in map(_NAME.fullmatch, names) if m]
    return [name for day, name in sorted(dated) if today - day >= timedelta(days=DAYS_MAX)]


def superfluous(names: list[str], today: date, *, daily: int, weekly: int) -> list[str]:
    """Which of those back-ups make room: all but the last of each of the last `daily` days that have one,
    of each of the last `weekly` weeks that have one, and in any case those that are too old."""
    dated = sorted((date.fromisoformat(m[1]), m[0]) for m in map(_NAME.fullmatch, names) if m)
    young = [(day, name) for day, name in dated if today - day < timedelta(days=DAYS_MAX)]
    by_day = dict(young)
    by_week = {day.isocalendar()[:2]: name for day, name in young}
    kept = {by_day[day] for day in sorted(by_day)[-daily:]} if daily else set()
    kept |= {by_week[week] for week in sorted(by_week)[-weekly:]} if weekly else set()
    return [name for _, name in dated if name not in kept]


def unpack(file: Path, folder: Path, key: str) -> None:
    """`folder` holds what was backed up, checked; it must be empty or missing. Raises ConfigError, StoreError."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            "a hub, or something else, lives in this folder already",
            where=str(folder),
            remedy="Move it away first: nothing is ever overwritten",
        )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    (folder / "keys").mkdir(mode=FOLDER_MODE, exist_ok=True)
    try:
        with _opened(file, key) as archive:
            for name, stream in archive:
                if name != MANIFEST:
                    with os.fdopen(_new_file(folder / name), "wb") as target:
                        shutil.copyfileobj(stream, target, COPY_BYTES)
        # An old back-up in which an index alone is wrong is better than none: `hub verify` names that.
        _check_database(folder / DATABASE, "quick_check", file, "Take the back-up before this one")
    except OSError as error:
        raise StoreError(f"cannot be restored: {error.strerror}", where=str(file)) from error


def _copy_database(hub: HubDirectory, copy: Path) -> None:
    """`copy` is the database as it is at this moment. The caller has opened the hub (commands.open_hub)."""
    from django.db import DatabaseError, connection

    if connection.vendor != "sqlite":
        raise ConfigError(
            "only a hub on SQLite is backed up by this command",
            where=str(hub.path),
            remedy="Use pg_dump for its database, and copy hub.toml and keys/",
        )
    for left in hub.path.glob(f"{copy.name}*"):
        left.unlink()
    os.close(_new_file(copy))
    try:
        connection.ensure_connection()
        with closing(sqlite3.connect(copy)) as target:
            # All pages in one step: one read transaction, which no writer can make begin again.
            connection.connection.backup(target)
            # Logins are no data of the lab's, and whoever finds the file must not use one.
            target.execute("DELETE FROM django_session")
            target.commit()
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
    except (*_SAID_BY_SQLITE, DatabaseError) as error:
        raise StoreError(
            f"the database cannot be copied: {_one_line(error)}",
            where=str(hub.database),
            remedy=_KEPT,
        ) from error
    # Indexes compared with their tables too: half of a page, or yesterday's, is found by nothing else. It takes
    # twelve times as long as quick_check: 65 s of two million sessions, once a night, and nobody waits.
    _check_database(copy, "integrity_check", hub.database, _KEPT)


_SAID_BY_SQLITE = (sqlite3.Error, UnicodeDecodeError)
"""The second when its complaint quotes the rubbish that it read."""
_KEPT = "Nothing was backed up; the back-ups you have are kept. Run: interlock hub verify; docs/backup.md"


def _check_database(path: Path, check: str, called: Path, remedy: str) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    except _SAID_BY_SQLITE as error:
        raise _damaged(error, called, remedy) from error
    if found != "ok":
        raise _damaged(found, called, remedy)


def _damaged(what: object, database: Path, remedy: str) -> StoreError:
    said = f"the database is damaged: {_one_line(what)}"
    return StoreError(said, where=str(database), remedy=remedy)


def _one_line(said: object) -> str:
    return " ".join(str(said).split())


def _write(
    hub: HubDirectory, copy: Path, target: Path, key: str, clock: Clock, progress: Progress
) -> dict[str, str]:
    """The archive is in `target`, on the disk; returns the SHA-256 of each file in it."""
    keys = [path for path in sorted(hub.keys.iterdir()) if path.is_file() and path.name != KEY_NAME]
    files = [(f"keys/{path.name}", path) for path in keys]
    files += [(CONFIG, hub.config_file), (DATABASE, copy)]
    made = {"made_at_ms": clock.wall_ms(), "software": __version__}
    manifest = json.dumps(made).encode()
    sums = {MANIFEST: hashlib.sha256(manifest).hexdigest()}
    total = sum(path.stat().st_size for _, path in files)
    done = 0
    with os.fdopen(_new_file(target), "wb") as raw:
        sealed = SealedWriter(raw, key)
        with tarfile.open(fileobj=sealed, mode="w|gz", bufsize=COPY_BYTES) as archive:
            archive.addfile(_entry(MANIFEST, len(manifest)), io.BytesIO(manifest))
            for name, path in files:
                with path.open("rb") as source:
                    size = os.fstat(source.fileno()).st_size
                    archive.addfile(_entry(name, size), source)
                with path.open("rb") as source:
                    sums[name] = _digest(source)
                done += size
                progress(done, total)
        sealed.close()
        raw.flush()
        os.fsync(raw.fileno())
    return sums


@contextmanager
def _opened(file: Path, key: str) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    """The files of a back-up, each readable until the next is asked for."""
    with file.open("rb") as raw, SealedReader(raw, key, str(file)) as sealed:
        buffered = io.BufferedReader(sealed, COPY_BYTES)
        try:
            with tarfile.open(fileobj=buffered, mode="r|gz") as archive:
                yield _files(archive, file)
            # Whatever stands behind the archive's end is authenticated too: a cut file is no whole one.
            while buffered.read(COPY_BYTES):
                pass
        except tarfile.TarError as error:
            raise StoreError(f"it cannot be unpacked: {error}", where=str(file)) from error


def _files(archive: tarfile.TarFile, file: Path) -> Iterator[tuple[str, BinaryIO]]:
    for count, member in enumerate(archive):
        stream = archive.extractfile(member) if member.isreg() else None
        if stream is None or count >= MEMBERS_MAX or not _ALLOWED.fullmatch(member.name):
            raise StoreError(f"it holds something strange: {member.name!r}", where=str(file))
        yield member.name, stream  # type: ignore[misc] # IO[bytes] is what it is


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, KEY_MODE
    return entry


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(COPY_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_MODE)


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(_new_file(path), "wb") as target:
        target.write(content)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
