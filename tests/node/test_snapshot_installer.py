"""A snapshot is built, marked, switched to, and only then are older files gone; a refused one changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.core.events import Event
from interlock.errors import ProtocolError, StoreError
from interlock.node.build_orders import BuildOrders
from interlock.node.journal import Journal
from interlock.node.journal_facts import Stamp
from interlock.node.journal_worker import JournalWorker
from interlock.node.reader_worker import ReaderWorker
from interlock.node.snapshot_installer import SPOOL, SnapshotInstaller, usable_cache
from interlock.node.timekeeping import CACHE_AGE_UNKNOWN_S, Timekeeper, marks_from_wire
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.clocks import VirtualClock
from tests.node.journals import NOW, new_journal
from tests.node.kernel import children
from tests.node.scripted_reader import ScriptedReader
from tests.node.signed_snapshots import ISSUED_AT, SIGNED_KEYS, built, entry, snapshot_bytes
from tests.waiting import wait_until

pytestmark = pytest.mark.real

HOUR_US = 3_600_000_000


class Node:
    """Journal worker, reader worker and installer over one state folder, as the service composes them."""

    def __init__(self, state_dir: Path, *, build_s_max: float = 30.0) -> None:
        self.state_dir = state_dir
        (state_dir / SPOOL).mkdir(exist_ok=True)
        clock = SystemClock()
        journal = new_journal(state_dir, SIGNED_KEYS)
        journal.open(NOW)
        cache = usable_cache(state_dir, journal, SIGNED_KEYS, Timekeeper(clock))
        self.told: list[Event] = []
        self.confirmed: list[tuple[SnapshotVersion, int | None]] = []
        self.journal = JournalWorker(
            journal, emit=self.told.append, stamp=lambda: Stamp(clock.boot_ms()), clock=clock
        )
        self.reader = ReaderWorker(
            ScriptedReader(),
            badge_key=SIGNED_KEYS.badge_key,
            hub_key=SIGNED_KEYS.hub_key(),
            lab=SIGNED_KEYS.lab,
            node=SIGNED_KEYS.node,
            emit=self.told.append,
            clock=clock,
            cache_age_s=lambda version: 0,
            cache_path=cache,
        )
        self.orders = BuildOrders()
        self.orders.start()
        self.installer = SnapshotInstaller(
            self.journal,
            self.reader,
            orders=self.orders,
            keys=SIGNED_KEYS,
            state_dir=state_dir,
            accept=lambda version, issued_at: self.journal.mark(snapshot=version),
            confirm=lambda version, issued_at: self.confirmed.append((version, issued_at)),
            build_s_max=build_s_max,
        )
        self.journal.start()
        self.reader.start()
        if cache is not None:
            wait_until(lambda: self.reader.version)

    def spool(self, content: bytes, name: str = "snapshot") -> str:
        (self.state_dir / SPOOL / name).write_bytes(content)
        return name

    def mark(self) -> SnapshotVersion | None:
        return self.journal.status().marks.snapshot

    def caches(self) -> list[str]:
        return sorted(path.name for path in self.state_dir.glob("auth-*"))

    def stop(self) -> None:
        self.reader.stop(5.0)
        self.journal.stop(5.0)
        self.orders.close()


@pytest.fixture(name="node")
def running_node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.stop()


def test_an_installed_snapshot_is_live_marked_confirmed_and_alone(node: Node) -> None:
    node.installer.install(node.spool(snapshot_bytes([entry(1)], (1, 1))))
    installed = node.installer.install(node.spool(snapshot_bytes([entry(1), entry(2)], (1, 2))))
    assert (installed.version, installed.entries) == ((1, 2), 2)
    assert (node.reader.version, node.mark()) == ((1, 2), (1, 2))
    assert node.confirmed == [((1, 1), ISSUED_AT), ((1, 2), ISSUED_AT)]
    assert node.caches() == ["auth-1-2.db"]
    assert list((node.state_dir / SPOOL).iterdir()) == []


def test_a_refused_snapshot_changes_neither_cache_nor_mark(node: Node) -> None:
    node.installer.install(node.spool(snapshot_bytes([entry(1)], (1, 5))))
    good = snapshot_bytes([entry(1)], (1, 6))
    for bad in (snapshot_bytes([], (1, 4)), snapshot_bytes([], (1, 5)), good[:-9], b"noise\n"):
        with pytest.raises(ProtocolError):
            node.installer.install(node.spool(bad))
    assert (node.reader.version, node.mark(), node.caches()) == ((1, 5), (1, 5), ["auth-1-5.db"])


@pytest.mark.parametrize("name", ["../journal.db", "", "..", "/etc/passwd", "a/b"])
def test_a_name_that_leads_out_of_the_spool_is_refused(node: Node, name: str) -> None:
    with pytest.raises(ProtocolError, match="plain file name"):
        node.installer.install(name)


def test_a_snapshot_that_is_not_there_is_said_so(node: Node) -> None:
    with pytest.raises(StoreError, match="No such file"):
        node.installer.install("missing")


def test_one_snapshot_is_installed_at_a_time_and_its_end_is_told(node: Node) -> None:
    many = snapshot_bytes([entry(n) for n in range(2_000)], (1, 1))
    assert node.installer.start(node.spool(many, "one"))
    assert not node.installer.start(node.spool(many, "two"))
    wait_until(lambda: node.installer.last, deadline_s=20)
    assert node.installer.last == "1.1 is live"
    assert node.installer.start("two")
    wait_until(lambda: "not newer" in str(node.installer.last), deadline_s=20)


def test_a_builder_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    node = Node(tmp_path, build_s_max=0.001)
    with pytest.raises(StoreError, match="took too long"):
        node.installer.install(node.spool(snapshot_bytes([], (1, 1))))
    assert (node.caches(), node.mark()) == ([], None)
    node.stop()


def test_a_builder_that_dies_is_a_store_error_and_the_next_snapshot_is_installed(
    node: Node,
) -> None:
    os.mkfifo(node.state_dir / SPOOL / "stuck")
    assert node.installer.start("stuck")
    (builder,) = wait_until(lambda: children(node.orders.launcher_pid))
    os.kill(builder, signal.SIGKILL)
    wait_until(lambda: node.installer.last)
    assert "code -9" in str(node.installer.last)
    node.installer.install(node.spool(snapshot_bytes([entry(1)], (1, 1))))
    assert node.reader.version == (1, 1)


def test_a_damaged_cache_is_replaced_by_the_same_version(tmp_path: Path) -> None:
    node = Node(tmp_path)
    content = snapshot_bytes([entry(1)], (1, 5))
    node.installer.install(node.spool(content))
    node.stop()
    (tmp_path / "auth-1-5.db").write_bytes(b"rubbish")
    node = Node(tmp_path)
    assert (node.reader.version, node.mark()) == (None, (1, 5))
    node.installer.install(node.spool(content))
    assert node.reader.version == (1, 5)
    node.stop()


def opened(state_dir: Path) -> Journal:
    journal = new_journal(state_dir, SIGNED_KEYS)
    journal.open(NOW)
    return journal


def test_after_a_crash_before_the_mark_the_verified_file_is_marked_and_as_old_as_the_one_before(
    tmp_path: Path,
) -> None:
    """Found by the simulator (full, seed 21): it was of unknown age, and nobody was let in until the hub was back."""
    clock = VirtualClock(wall_ms=NOW.wall_ms or 0)
    keeper = Timekeeper(clock)
    keeper.confirm_current((1, 1))
    journal = opened(tmp_path)
    journal.mark(snapshot=(1, 1), time={"beside": 7, **keeper.marks().to_wire()})
    built(tmp_path, [], (1, 1))
    newer = built(tmp_path, [entry(1)], (1, 2))
    clock.advance_us(HOUR_US)
    assert usable_cache(tmp_path, journal, SIGNED_KEYS, keeper) == newer
    assert journal.marks.snapshot == (1, 2)
    assert journal.marks.time is not None
    assert journal.marks.time["beside"] == 7
    clock.advance_us(HOUR_US)
    for one in (keeper, Timekeeper(clock, marks_from_wire(journal.marks.time))):
        assert one.cache_age_s((1, 2)) == 2 * 3_600
    journal.close()


@pytest.mark.parametrize("proved", [None, (1, 0)])
def test_what_was_never_known_to_be_current_is_not_made_so_by_a_newer_file(
    tmp_path: Path, proved: SnapshotVersion | None
) -> None:
    keeper = Timekeeper(VirtualClock(wall_ms=NOW.wall_ms or 0))
    if proved is not None:
        keeper.confirm_current(proved)
    journal = opened(tmp_path)
    journal.mark(snapshot=(1, 1), time=keeper.marks().to_wire())
    built(tmp_path, [entry(1)], (1, 2))
    assert usable_cache(tmp_path, journal, SIGNED_KEYS, keeper) is not None
    assert keeper.cache_age_s((1, 2)) == CACHE_AGE_UNKNOWN_S
    journal.close()


def test_a_list_beside_a_journal_that_knows_nothing_is_of_unknown_age(tmp_path: Path) -> None:
    """A card on which somebody removed the journal lets nobody in by the list it has."""
    keeper = Timekeeper(VirtualClock(wall_ms=NOW.wall_ms or 0))
    journal = opened(tmp_path)
    newer = built(tmp_path, [entry(1)], (1, 2))
    assert usable_cache(tmp_path, journal, SIGNED_KEYS, keeper) == newer
    assert journal.marks.snapshot == (1, 2)
    assert keeper.cache_age_s((1, 2)) == CACHE_AGE_UNKNOWN_S
    journal.close()


def test_a_cache_older_than_the_mark_is_never_used(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.mark(snapshot=(1, 2))
    built(tmp_path, [entry(1)], (1, 1))
    assert usable_cache(tmp_path, journal, SIGNED_KEYS, Timekeeper(VirtualClock())) is None
    (tmp_path / "auth-1-2.db").write_bytes(b"rubbish")
    assert usable_cache(tmp_path, journal, SIGNED_KEYS, Timekeeper(VirtualClock())) is None
    journal.close()
