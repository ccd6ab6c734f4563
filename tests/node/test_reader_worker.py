"""The reader worker tells complete badges, one dead reader once, and switches caches between two polls."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    Event,
    ReaderFailed,
    ReaderRecovered,
    SeveralBadgesSeen,
    SnapshotActivated,
)
from interlock.core.model import Assurance, Cache, Demands, Presented, Reason
from interlock.errors import StoreError
from interlock.node.genuine import TRANSACTION_MS_MAX, Claim, Examiner, Finding
from interlock.node.reader_worker import (
    FAILING_MS_MAX,
    RANDOM_UID,
    REOPEN_MS_MAX,
    CacheKeys,
    ReaderWork,
    ReaderWorker,
)
from interlock.node.snapshot_builder import build
from interlock.protocol.card_keys import CardSlot, Scheme, public_half, seal, wrap
from interlock.protocol.snapshots import SnapshotVersion, entry_lines, signed_snapshot
from interlock.protocol.tags import badge_tag
from interlock.readers import CardSeen
from interlock.sim.clocks import VirtualClock
from tests.node.journals import KEYS
from tests.node.scripted_reader import ScriptedReader, card
from tests.node.signed_snapshots import HUB, built, entry, header, order
from tests.waiting import wait_until

pytestmark = pytest.mark.real

POLL_MS = 50
CARD = card()
TAG = badge_tag(KEYS.badge_key, CARD.uid)
MEMBER = entry(1, tag=TAG)
CACHE_KEYS = CacheKeys(KEYS.badge_key, HUB.public_key(), KEYS.lab, KEYS.node)


class Bench:
    """A reader, its work and a clock that only moves with the polls."""

    def __init__(self, cache: Path | None = None) -> None:
        self.clock = VirtualClock()
        self.reader = ScriptedReader()
        self.work = ReaderWork(self.reader, CACHE_KEYS, self.clock, self._age_s, 300)
        self.told: list[tuple[int, Event]] = []
        if cache is not None:
            self._tell(self.work.switch(cache))

    def _age_s(self, version: SnapshotVersion | None) -> int:
        return 999 if version is None else version[1]

    def _tell(self, events: list[Event]) -> None:
        self.told += [(self.clock.boot_ms(), event) for event in events]

    def polls(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance_us(POLL_MS * 1_000)
            self._tell(self.work.turn())

    def events(self) -> list[Event]:
        return [event for _, event in self.told]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events()]

    def settle(self) -> None:
        """The field has been empty for longer than the arrival gap."""
        self.reader.put()
        self.polls(10)


def test_an_arrival_carries_everything_the_decision_needs(tmp_path: Path) -> None:
    bench = Bench(built(tmp_path, [MEMBER], (1, 7)))
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(5)
    seen_ms = 11 * POLL_MS
    presented = Presented(TAG, seen_ms, Assurance.UID, MEMBER, Cache((1, 7), 7))
    assert bench.told == [
        (0, SnapshotActivated(Cache((1, 7), 7), Demands(("saw",), max_offline_s=86_400))),
        (seen_ms, BadgeArrived(presented)),
    ]
    bench.work.close()


def test_a_badge_unknown_to_the_lab_arrives_without_an_entry(tmp_path: Path) -> None:
    bench = Bench(built(tmp_path, [MEMBER]))
    bench.settle()
    bench.reader.put(card(b"\x04\x99\x99\x99\x99\x99\x99"))
    bench.polls(1)
    (event,) = bench.events()[1:]
    assert isinstance(event, BadgeArrived)
    assert (event.badge.entry, event.badge.cache.version) == (None, (1, 1))
    bench.work.close()


def keyed(folder: Path) -> Path:
    """The cache of a member whose badge has a key, which nobody here can open."""
    slot = CardSlot(Scheme.DESFIRE_AES, bytes(3), 1)
    key = wrap(b"w" * 32, b"k" * 16, node=KEYS.node, tag=TAG, slot=slot)
    lines = entry_lines([MEMBER], {TAG: key})
    spool = folder / "snapshot"
    spool.write_bytes(signed_snapshot(HUB, header(lines, wrapping_key=b"sealed"), lines))
    build(order(spool, folder))
    return folder / "auth-1-1.db"


def test_a_badge_with_a_key_at_a_reader_that_cannot_ask_is_refused_without_an_alarm(
    tmp_path: Path,
) -> None:
    bench = Bench(keyed(tmp_path))
    bench.settle()
    bench.reader.put(CardSeen(CARD.uid, b"\x00\x00", 0))
    bench.polls(5)
    event = bench.events()[-1]
    assert isinstance(event, BadgeArrived)
    assert event.badge.entry == MEMBER
    found = (event.badge.assurance, event.badge.trouble)
    assert found == (Assurance.UID, Reason.BADGE_NOT_SECURE_ENOUGH)
    bench.work.close()


def test_an_answer_that_comes_after_the_whole_time_is_up_is_not_waited_for_again(
    tmp_path: Path,
) -> None:
    """Readers that do the protocol themselves have timeouts of their own; the bound here holds for all."""
    bench = Bench(keyed(tmp_path))
    asked: list[bytes] = []

    def slow(command: bytes) -> bytes:
        asked.append(command)
        bench.clock.advance_us((TRANSACTION_MS_MAX + 1) * 1_000)
        return b"\x00"

    slot = CardSlot(Scheme.DESFIRE_AES, bytes(3), 1)
    card_seen = CardSeen(CARD.uid, b"\x44\x03", 0x20, slow)
    wrapping_key = seal(public_half(b"d" * 32), b"w" * 32)
    wrapped = wrap(b"w" * 32, b"k" * 16, node=KEYS.node, tag=TAG, slot=slot)
    examiner = Examiner(bench.reader, bench.clock, KEYS.node, b"d" * 32)
    assert examiner.examine(card_seen, Claim(TAG, wrapped, wrapping_key)) is Finding.UNSURE
    assert len(asked) == 1
    bench.work.close()


def test_without_a_cache_a_badge_arrives_and_says_so() -> None:
    bench = Bench()
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(1)
    assert bench.events() == [
        BadgeArrived(Presented(TAG, 11 * POLL_MS, Assurance.UID, None, Cache(None, 999)))
    ]


def test_a_random_id_is_unknown_even_if_the_snapshot_holds_it(tmp_path: Path) -> None:
    first, second = card(b"\x08\x01\x02\x03"), card(b"\x08\x99\x98\x97")
    enrolled = [
        entry(n, tag=badge_tag(KEYS.badge_key, uid))
        for n, uid in enumerate((first.uid, RANDOM_UID))
    ]
    bench = Bench(built(tmp_path, enrolled))
    for phone in (first, second):
        bench.settle()
        bench.reader.put(phone)
        bench.polls(1)
    badges = [event.badge for event in bench.events() if isinstance(event, BadgeArrived)]
    assert [badge.entry for badge in badges] == [None, None]
    assert badges[0].tag == badges[1].tag, "a phone makes up an id at every tap"
    bench.work.close()


def test_a_seven_byte_uid_that_begins_like_a_random_one_is_looked_up(tmp_path: Path) -> None:
    seven = card(b"\x08\x11\x22\x33\x44\x55\x66")
    theirs = entry(1, tag=badge_tag(KEYS.badge_key, seven.uid))
    bench = Bench(built(tmp_path, [theirs]))
    bench.settle()
    bench.reader.put(seven)
    bench.polls(1)
    event = bench.events()[-1]
    assert isinstance(event, BadgeArrived)
    assert event.badge.entry == theirs
    bench.work.close()


def test_removal_swap_and_several_badges_are_told_as_the_rules_ask() -> None:
    bench = Bench()
    bench.reader.put(CARD)
    bench.polls(3)
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(2)
    bench.reader.put(card(b"\x01\x02\x03\x04"))
    bench.polls(2)
    bench.reader.put(CARD, card(b"\x01\x02\x03\x04"))
    bench.polls(2)
    assert bench.kinds() == [
        "BadgeFound",
        "BadgeRemoved",
        "BadgeArrived",
        "BadgeRemoved",
        "BadgeFound",
        "SeveralBadgesSeen",
    ]
    assert {BadgeFound(), BadgeRemoved(), SeveralBadgesSeen()} < set(bench.events())


def test_a_dead_reader_is_one_failure_within_two_seconds_and_one_recovery() -> None:
    bench = Bench()
    bench.settle()
    bench.reader.dead = True
    died_ms = bench.clock.boot_ms()
    bench.polls(400)
    ((failed_ms, failed),) = bench.told
    assert isinstance(failed, ReaderFailed)
    assert "no chip answers" in failed.detail
    assert failed_ms - died_ms <= FAILING_MS_MAX < 2_000
    assert not bench.reader.is_open, "a dead reader's bus was not released"
    bench.reader.dead = False
    back_ms = bench.clock.boot_ms()
    bench.polls(200)
    recovered_ms, recovered = bench.told[1]
    assert (recovered, len(bench.told)) == (ReaderRecovered(), 2)
    assert recovered_ms - back_ms <= REOPEN_MS_MAX + POLL_MS


def test_a_single_noisy_poll_is_no_failure_and_no_removal() -> None:
    bench = Bench()
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(3)
    for _ in range(10):
        bench.reader.dead = True
        bench.polls(2)
        bench.reader.dead = False
        bench.polls(2)
    assert bench.kinds() == ["BadgeArrived"]


def test_a_badge_that_lies_there_when_the_reader_recovers_opens_nothing() -> None:
    bench = Bench()
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(3)
    bench.reader.dead = True
    bench.polls(20)
    bench.reader.dead = False
    bench.polls(100)
    assert bench.kinds() == ["BadgeArrived", "ReaderFailed", "ReaderRecovered", "BadgeFound"]


def test_a_reader_that_is_dead_from_the_start_is_reported_and_later_used() -> None:
    bench = Bench()
    bench.reader.dead = True
    bench.polls(20)
    assert bench.kinds() == ["ReaderFailed"]
    bench.reader.dead = False
    bench.polls(100)
    bench.reader.put(CARD)
    bench.polls(1)
    assert bench.kinds() == ["ReaderFailed", "ReaderRecovered", "BadgeArrived"]


def test_a_uid_of_an_impossible_length_is_a_reader_error_and_no_badge() -> None:
    bench = Bench()
    bench.settle()
    bench.reader.put(card(b"\x01\x02\x03\x04\x05"))
    bench.polls(20)
    assert bench.kinds()[0] == "ReaderFailed"
    assert "BadgeArrived" not in bench.kinds()


def test_a_damaged_cache_is_no_cache_from_that_moment_on(tmp_path: Path) -> None:
    path = built(tmp_path, [MEMBER])
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute("UPDATE entries SET sum = x'0000000000000000'")
    direct.close()
    bench = Bench(path)
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(1)
    dropped, event = bench.events()[-2:]
    assert isinstance(event, BadgeArrived)
    assert (event.badge.entry, event.badge.cache, bench.work.version) == (
        None,
        Cache(None, 999),
        None,
    )
    # The machine must not say that it is ready, and keeps what the hub demands of people.
    assert dropped == SnapshotActivated(Cache(None, 999), Demands(("saw",), max_offline_s=86_400))
    told = len(bench.events())
    bench.polls(5)
    assert len(bench.events()) == told, "it is told once"


def test_a_cache_with_a_forged_entry_is_found_out_without_any_badge(tmp_path: Path) -> None:
    path = built(tmp_path, [entry(n) for n in range(120)])
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute("DELETE FROM entries WHERE tag = ?", (entry(5).tag,))
    direct.close()
    bench = Bench(path)
    assert bench.work.version == (1, 1)
    bench.polls(10)
    assert bench.work.version is None
    assert bench.events()[-1] == SnapshotActivated(
        Cache(None, 999), Demands(("saw",), max_offline_s=86_400)
    )


def test_a_switch_to_a_file_that_is_no_snapshot_keeps_the_old_cache(tmp_path: Path) -> None:
    bench = Bench(built(tmp_path, [MEMBER], (1, 7)))
    bad = tmp_path / "auth-1-8.db"
    bad.write_bytes(b"noise" * 1_000)
    with pytest.raises(StoreError):
        bench.work.switch(bad)
    older = built(tmp_path, [], (1, 6))
    with pytest.raises(StoreError, match="older"):
        bench.work.switch(older)
    assert bench.work.version == (1, 7)
    bench.settle()
    bench.reader.put(CARD)
    bench.polls(1)
    event = bench.events()[-1]
    assert isinstance(event, BadgeArrived)
    assert event.badge.entry == MEMBER
    bench.work.close()


def test_the_log_cannot_tell_one_member_from_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = card(b"\x07" * 7)
    tags = [TAG, badge_tag(KEYS.badge_key, other.uid)]
    entries = [entry(1, tag=tags[0], name="Ada Lovelace"), entry(2, tag=tags[1])]
    bench = Bench(built(tmp_path, entries))
    bench.settle()
    told = []
    for laid in (CARD, other):
        caplog.clear()
        bench.reader.put(laid)
        bench.polls(1)
        told.append(caplog.messages)
        for secret in (laid.uid.hex(), *(tag.hex()[:4] for tag in tags), "Ada", "m1", "m2"):
            assert secret not in caplog.text
        bench.reader.put()
        bench.settle()
    assert told[0] == told[1] != []
    bench.work.close()


class Shell:
    """A running worker and what it told."""

    def __init__(
        self, cache: Path | None = None, *, died: Callable[[], object] = lambda: None
    ) -> None:
        self.reader = ScriptedReader()
        self.told: list[Event] = []
        self.clock = SystemClock()
        self.worker = ReaderWorker(
            self.reader,
            badge_key=KEYS.badge_key,
            hub_key=HUB.public_key(),
            lab=KEYS.lab,
            node=KEYS.node,
            emit=self.told.append,
            clock=self.clock,
            cache_age_s=lambda version: 0,
            polls_per_s=50,
            arrival_gap_ms=100,
            cache_path=cache,
            died=died,
        )
        self.worker.start()

    def told_of(self, kind: type) -> list[Event]:
        return [event for event in self.told if isinstance(event, kind)]


def test_the_thread_polls_at_its_rate_and_releases_the_reader(tmp_path: Path) -> None:
    shell = Shell(built(tmp_path, [MEMBER]))
    wait_until(lambda: shell.reader.polls >= 12)
    shell.reader.put(CARD)
    wait_until(lambda: shell.told_of(BadgeArrived))
    assert shell.worker.stop(2.0)
    assert not shell.reader.is_open
    assert isinstance(shell.told[0], SnapshotActivated)


def test_a_cache_is_switched_while_the_thread_polls(tmp_path: Path) -> None:
    shell = Shell(built(tmp_path, [], (1, 1)))
    wait_until(lambda: shell.worker.version == (1, 1))
    confirmed: list[SnapshotVersion] = []
    switched = shell.worker.switch(
        built(tmp_path, [MEMBER], (1, 2)), lambda header: confirmed.append(header.version)
    )
    assert (switched, shell.worker.version, confirmed) == ((1, 2), (1, 2), [(1, 2)])
    wait_until(lambda: shell.reader.polls >= 12)
    shell.reader.put(CARD)
    wait_until(lambda: shell.told_of(BadgeArrived))
    (event,) = shell.told_of(BadgeArrived)
    assert isinstance(event, BadgeArrived)
    assert event.badge.entry == MEMBER
    with pytest.raises(StoreError):
        shell.worker.switch(tmp_path / "auth-1-3.db")
    assert shell.worker.version == (1, 2)
    assert shell.worker.stop(2.0)


def test_a_stuck_reader_is_silent_and_a_switch_does_not_wait_for_it(tmp_path: Path) -> None:
    shell = Shell()
    wait_until(lambda: shell.reader.polls > 2)
    release = hang(shell.reader)
    wait_until(lambda: shell.clock.boot_ms() - shell.worker.last_alive_ms > 300)
    with pytest.raises(StoreError, match="did not switch"):
        shell.worker.switch(built(tmp_path, [MEMBER]), timeout_s=0.05)
    assert not shell.worker.stop(0.05)
    release()
    assert shell.worker.stop(2.0)
    assert shell.worker.version is None, "a switch nobody waits for any more was done"


def test_a_thread_that_ends_of_the_unforeseen_says_so(caplog: pytest.LogCaptureFixture) -> None:
    died = threading.Event()
    shell = Shell(died=died.set)
    shell.reader.during_poll = lambda: 1 // 0
    wait_until(died.is_set)
    assert "ZeroDivisionError" in caplog.text
    assert shell.worker.stop(1.0)


def hang(reader: ScriptedReader) -> Callable[[], None]:
    """The reader's next poll hangs until what is returned is called."""
    let_go = threading.Event()
    reader.during_poll = lambda: let_go.wait(5.0)
    return let_go.set
