"""The simulated disk keeps what was synced, may lose or tear the rest, and is what the standard sqlite3 writes to."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interlock.sim.disk import (
    SECTOR_BYTES,
    Disk,
    Fault,
    Image,
    Kind,
    Platter,
    cut_points,
    failing_at,
)
from interlock.sim.disk_calls import told
from interlock.sim.disk_vfs import shares_sqlite
from tests.disk.lives import VFS, on_disk, room

pytestmark = pytest.mark.real

DRAWS = 400
A, B, C = (letter * SECTOR_BYTES for letter in (b"a", b"b", b"c"))


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    with room() as folder:
        yield folder


def draws(disk: Disk) -> list[Image]:
    """What a cut after everything may leave."""
    platter = Platter(disk.begun_with)
    for operation in disk.log:
        platter.play(operation)
    rng = random.Random(1)
    return [platter.cut(rng) for _ in range(DRAWS)]


def contents(disk: Disk, name: str = "f") -> set[bytes | None]:
    return {image.get(name) for image in draws(disk)}


class File:
    """A file of the disk, written as SQLite's VFS does."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.disk, self.name = disk, name
        self.number = disk.created(name)
        self.descriptor = os.open(disk.folder / name, os.O_RDWR | os.O_CREAT)

    def write(self, offset: int, written: bytes) -> None:
        self.disk.write(self.number, self.name, self.descriptor, offset, written)

    def truncate(self, size: int) -> None:
        self.disk.truncate(self.number, self.name, self.descriptor, size)

    def sync(self) -> None:
        self.disk.sync(self.number, self.name)


def test_apsw_and_the_standard_module_run_on_one_libsqlite3() -> None:
    assert shares_sqlite(), (
        "apsw brings its own SQLite: install Debian's python3-apsw and link it into the environment"
    )
    with room() as folder, on_disk(folder, {}) as disk:
        with closing(sqlite3.connect(VFS.uri(folder / "x.db"), uri=True)) as connection:
            connection.execute("CREATE TABLE t (a)")
        assert any(operation.kind is Kind.WRITE for operation in disk.log), "it went elsewhere"


def test_what_was_synced_is_there_after_every_cut(folder: Path) -> None:
    disk = Disk(folder)
    file = File(disk, "f")
    file.write(0, A + B)
    file.sync()
    disk.sync_names()
    assert contents(disk) == {A + B}


def test_what_was_not_synced_may_be_lost_torn_or_survive_what_was_written_before_it(
    folder: Path,
) -> None:
    (folder / "f").write_bytes(A + A)
    disk = Disk(folder)
    file = File(disk, "f")
    file.write(0, B)
    file.write(SECTOR_BYTES, C)
    assert contents(disk) == {A + A, B + A, A + C, B + C}


def test_a_file_grows_with_zeros_where_nothing_arrived(folder: Path) -> None:
    (folder / "f").write_bytes(b"")
    disk = Disk(folder)
    File(disk, "f").write(0, A + B)
    zeros = bytes(SECTOR_BYTES)
    assert contents(disk) == {b"", zeros + zeros, A + zeros, zeros + B, A + B}


def test_a_file_is_shortened_or_not_and_never_half(folder: Path) -> None:
    (folder / "f").write_bytes(A + B)
    disk = Disk(folder)
    file = File(disk, "f")
    file.truncate(0)
    assert contents(disk) == {A + B, b""}
    file.write(0, C)
    assert contents(disk) == {A + B, b"", bytes(SECTOR_BYTES), C}


def test_a_failed_sync_is_not_made_good_by_the_next_one(folder: Path) -> None:
    (folder / "f").write_bytes(A)
    found = set()
    for seed in range(20):
        (folder / "f").write_bytes(A)
        disk = Disk(folder, failing_at({2: Fault(errno.EIO)}), rng=random.Random(seed))
        file = File(disk, "f")
        file.write(0, B)
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
        assert (folder / "f").read_bytes() == B, "the process still sees what it wrote"
        file.sync()
        (content,) = contents(disk)
        found.add(content)
    assert found == {A, B}


def test_names_survive_in_order_and_a_synced_folder_keeps_them(folder: Path) -> None:
    (folder / "a").write_bytes(A)
    (folder / "b").write_bytes(B)
    disk = Disk(folder)
    with told(disk):
        (folder / "a").replace(folder / "old")
        os.replace(folder / "b", folder / "a")
    images = [
        {"a": A, "b": B},
        {"old": A, "b": B},
        {"old": A, "a": B},
    ]
    left = draws(disk)
    assert all(image in images for image in left)
    assert all(image in left for image in images)
    with told(disk):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    assert draws(disk) == [images[-1]] * DRAWS


def test_a_disk_that_lies_keeps_nothing_for_certain(folder: Path) -> None:
    (folder / "f").write_bytes(A)
    disk = Disk(folder, lies=True)
    file = File(disk, "f")
    file.write(0, B)
    file.sync()
    assert contents(disk) == {A, B}


@pytest.mark.parametrize(("code", "says"), [(errno.ENOSPC, "full"), (errno.EIO, "disk I/O error")])
def test_sqlite_hears_of_planned_failures_as_of_real_ones(
    folder: Path, code: int, says: str
) -> None:
    with (
        on_disk(folder, {}) as disk,
        closing(sqlite3.connect(VFS.uri(folder / "x.db"), uri=True)) as connection,
    ):
        disk.plan = lambda number, kind, name: Fault(code) if kind is Kind.WRITE else None
        with pytest.raises(sqlite3.OperationalError, match=says):
            connection.execute("CREATE TABLE t (a)")
        disk.plan = lambda number, kind, name: None
        connection.execute("CREATE TABLE t (a)")


def test_a_partly_failed_write_leaves_its_part(folder: Path) -> None:
    disk = Disk(folder, failing_at({2: Fault(errno.ENOSPC, part=0.5)}))
    file = File(disk, "f")
    with pytest.raises(OSError, match="No space"):
        file.write(0, A + B)
    assert (folder / "f").read_bytes() == A


def test_two_connections_lock_each_other_out_as_on_a_real_disk(folder: Path) -> None:
    with on_disk(folder, {}):
        uri = VFS.uri(folder / "x.db")
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)) as one,
            closing(sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)) as two,
        ):
            one.execute("CREATE TABLE t (a)")
            one.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                two.execute("BEGIN IMMEDIATE")
            assert two.execute("SELECT count(*) FROM t").fetchone() == (0,)
            one.execute("COMMIT")
            two.execute("BEGIN IMMEDIATE")
            two.execute("ROLLBACK")


def test_every_write_and_sync_is_a_crash_point(folder: Path) -> None:
    disk = Disk(folder)
    file = File(disk, "f")
    file.write(0, A)
    file.write(0, B)
    file.sync()
    disk.sync_names()
    assert [done for done, _ in cut_points(disk)] == [0, 2, 3, 4, 5]
