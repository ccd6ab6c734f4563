"""A snapshot built, marked and switched to, cut at each write and rename: a usable cache that is never too old.

The steps are the installer's, in its order (`SnapshotInstaller._install`): build, mark in the journal, remove the
older file. Its threads and the builder's process are not here; the files, renames and syncs are.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.node import snapshot_builder
from interlock.node.cache import BadgeCache
from interlock.node.journal import Journal
from interlock.node.snapshot_builder import build
from interlock.node.snapshot_installer import remove_older, usable_cache
from interlock.node.timekeeping import Timekeeper
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.clocks import VirtualClock
from interlock.sim.disk import Disk, Image, cut_points
from interlock.sim.disk_vfs import SimulatedVfs, serving_all
from tests.disk.judge import Broken
from tests.disk.lives import on_disk, room
from tests.node.journals import NOW, counted_bytes
from tests.node.signed_snapshots import SIGNED_KEYS, entry, order, snapshot_bytes, tag

pytestmark = pytest.mark.real

OLD, NEW = (1, 4), (1, 5)
OLD_BADGES, NEW_BADGES = 20, 60
"""Two snapshots of several pages each; the newer knows more badges, which tells them apart."""

DRAWS = 5


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    logging.disable(logging.CRITICAL)
    with room() as folder:
        yield folder
    logging.disable(logging.NOTSET)


@pytest.fixture(name="vfs")
def default_vfs() -> Iterator[SimulatedVfs]:
    with serving_all() as vfs:
        yield vfs


@contextmanager
def journal_in(folder: Path, boot_id: str) -> Iterator[Journal]:
    journal = Journal(
        folder / "journal.db",
        SIGNED_KEYS,
        boot_id=boot_id,
        random_bytes=counted_bytes(boot_id),
    )
    with closing(journal):
        journal.open(NOW)
        yield journal


def install(folder: Path, journal: Journal, spool: Path, version: SnapshotVersion) -> None:
    """What `SnapshotInstaller` does once a file is in the spool."""
    build(order(spool, folder, mark=journal.marks.snapshot))
    journal.mark(snapshot=version)
    remove_older(folder, version)


def spooled(spool: Path, version: SnapshotVersion, badges: int) -> Path:
    spool.write_bytes(snapshot_bytes([entry(n) for n in range(badges)], version))
    return spool


@pytest.fixture(name="old")
def node_with_an_older_cache(folder: Path, vfs: SimulatedVfs, tmp_path: Path) -> Image:
    with on_disk(folder, {}, vfs=vfs), journal_in(folder, "first-") as journal:
        install(folder, journal, spooled(tmp_path / "spool", OLD, OLD_BADGES), OLD)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def installed(folder: Path, old: Image, vfs: SimulatedVfs, spool: Path) -> tuple[Disk, int]:
    """A disk on which the newer snapshot was installed, and how much it had done when the mark was durable."""
    with on_disk(folder, old, vfs=vfs) as disk, journal_in(folder, "second-") as journal:
        build(order(spool, folder, mark=journal.marks.snapshot))
        journal.mark(snapshot=NEW)
        marked = len(disk.log)
        remove_older(folder, NEW)
    return disk, marked


def version_in_use(folder: Path, least: SnapshotVersion) -> SnapshotVersion:
    """What a start finds and uses. Raises Broken when it is nothing, too old, or not what the hub signed."""
    with journal_in(folder, "after-") as journal:
        path = usable_cache(folder, journal, SIGNED_KEYS, Timekeeper(VirtualClock()))
        if path is None:
            raise Broken("A6", "nobody can be let in any more")
        with closing(
            BadgeCache(path, SIGNED_KEYS.hub_key(), lab=SIGNED_KEYS.lab, node=SIGNED_KEYS.node)
        ) as cache:
            if cache.version < least or journal.marks.snapshot != cache.version:
                raise Broken("A2", f"{cache.version} is in use, {journal.marks.snapshot} marked")
            try:
                while cache.verify_slice(1_000):
                    pass
                known = sum(cache.lookup(tag(n)) is not None for n in range(NEW_BADGES))
            except StoreError as error:
                raise Broken("A3", str(error)) from error
            assert known == (NEW_BADGES if cache.version == NEW else OLD_BADGES)
            return cache.version


def switched(folder: Path, old: Image, vfs: SimulatedVfs, spool: Path) -> set[SnapshotVersion]:
    """The versions that starts after all these cuts used. Raises Broken."""
    disk, marked = installed(folder, old, vfs, spool)
    rng = random.Random(5)
    used = set()
    for _ in range(DRAWS):
        for done, platter in cut_points(disk):
            with on_disk(folder, platter.cut(rng), vfs=vfs):
                used.add(version_in_use(folder, NEW if done >= marked else OLD))
    return used


def test_a_switch_cut_at_every_write_leaves_the_old_cache_or_the_new_one_whole(
    folder: Path, old: Image, vfs: SimulatedVfs, tmp_path: Path
) -> None:
    spool = spooled(tmp_path / "spool", NEW, NEW_BADGES)
    assert switched(folder, old, vfs, spool) == {OLD, NEW}


def nothing(path: Path) -> None:
    return


def renames_first(temporary: Path, path: Path) -> None:
    temporary.rename(path)
    snapshot_builder._sync(path.parent)


@pytest.mark.parametrize(
    ("name", "planted"), [("_sync", nothing), ("_put_in_place", renames_first)]
)
def test_a_builder_that_does_not_sync_before_it_renames_is_caught(
    folder: Path,
    old: Image,
    vfs: SimulatedVfs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    planted: Callable[..., None],
) -> None:
    monkeypatch.setattr(snapshot_builder, name, planted)
    with pytest.raises(Broken):
        switched(folder, old, vfs, spooled(tmp_path / "spool", NEW, NEW_BADGES))
