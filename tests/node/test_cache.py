"""The cache returns what the hub signed, and nothing at all once a byte of it is another."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.node.cache import BadgeCache, cache_files, line_sum, version_of
from interlock.node.snapshot_builder import build
from interlock.protocol.card_keys import CardSlot, Scheme, wrap
from interlock.protocol.snapshots import entry_line, entry_lines, signed_snapshot
from tests.node.journals import KEYS
from tests.node.signed_snapshots import HUB, STRANGER, built, entry, header, order, tag

pytestmark = pytest.mark.fast

BADGES = 200


def opened(path: Path) -> BadgeCache:
    return BadgeCache(path, HUB.public_key(), lab=KEYS.lab, node=KEYS.node)


@pytest.fixture(name="path")
def cache_file(tmp_path: Path) -> Path:
    return built(tmp_path, [entry(n) for n in range(BADGES)], (3, 14))


def test_every_badge_of_the_snapshot_is_found_and_no_other(path: Path) -> None:
    cache = opened(path)
    assert [cache.lookup(tag(n)) for n in range(BADGES)] == [entry(n) for n in range(BADGES)]
    assert cache.lookup(tag(BADGES)) is None
    assert (cache.version, cache.header.demands.trainings, cache.header.demands.max_offline_s) == (
        (3, 14),
        ("saw",),
        86_400,
    )
    cache.close()


def test_a_badge_s_wrapped_key_stands_beside_its_entry(tmp_path: Path) -> None:
    slot = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("010af5"), 1)
    key = wrap(b"w" * 32, b"k" * 16, node=KEYS.node, tag=tag(1), slot=slot)
    lines = entry_lines([entry(1), entry(2)], {tag(1): key})
    spool = tmp_path / "snapshot"
    spool.write_bytes(signed_snapshot(HUB, header(lines, wrapping_key=b"sealed"), lines))
    build(order(spool, tmp_path))
    cache = opened(tmp_path / "auth-1-1.db")
    assert [cache.card_key(tag(n)) for n in (1, 2, 3)] == [key, None, None]
    assert [cache.lookup(tag(n)) for n in (1, 2, 3)] == [entry(1), entry(2), None]
    assert cache.header.wrapping_key == b"sealed"
    cache.close()


def test_a_damaged_key_is_no_badge_without_a_key(tmp_path: Path) -> None:
    slot = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("010af5"), 1)
    key = wrap(b"w" * 32, b"k" * 16, node=KEYS.node, tag=tag(1), slot=slot)
    path = built(tmp_path, [entry(1)])
    line = entry_line(entry(1), key).replace(b'"scheme":"desfire_aes"', b'"scheme":"rot13"')
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute("UPDATE entries SET line = ?, sum = ?", (line, line_sum(line)))
    direct.close()
    cache = opened(path)
    with pytest.raises(StoreError):
        cache.card_key(tag(1))
    cache.close()


def test_a_lookup_is_one_search_of_the_primary_key(path: Path) -> None:
    cache = opened(path)
    plan = cache._connection.execute(
        "EXPLAIN QUERY PLAN SELECT line, sum FROM entries WHERE tag = ?", (tag(1),)
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH entries USING PRIMARY KEY (tag=?)"]
    cache.close()


def test_reading_creates_no_file_beside_the_cache(path: Path) -> None:
    cache = opened(path)
    cache.lookup(tag(1))
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    cache.close()


def test_the_whole_cache_is_verified_in_slices(path: Path) -> None:
    cache = opened(path)
    slices = 1
    while cache.verify_slice(30):
        slices += 1
    assert slices == BADGES // 30 + 1
    cache.close()


def test_a_cache_the_hub_did_not_sign_is_not_opened(path: Path) -> None:
    with pytest.raises(StoreError, match="signature"):
        BadgeCache(path, STRANGER.public_key(), lab=KEYS.lab, node=KEYS.node)
    with pytest.raises(StoreError, match="not for"):
        BadgeCache(path, HUB.public_key(), lab=KEYS.lab, node="laser")


def test_a_cache_under_another_version_s_name_is_not_opened(path: Path) -> None:
    renamed = path.rename(path.with_name("auth-3-15.db"))
    with pytest.raises(StoreError, match="holds snapshot"):
        opened(renamed)


def test_an_entry_that_somebody_changed_is_never_returned(path: Path) -> None:
    with closing(sqlite3.connect(path)) as direct, direct:
        (line,) = direct.execute("SELECT line FROM entries WHERE tag = ?", (tag(7),)).fetchone()
        promoted = line.replace(b'"technician":false', b'"technician":true ')
        assert promoted != line
        direct.execute("UPDATE entries SET line = ? WHERE tag = ?", (promoted, tag(7)))
    direct.close()
    cache = opened(path)
    with pytest.raises(StoreError, match="altered"):
        cache.lookup(tag(7))
    assert cache.lookup(tag(8)) == entry(8)
    cache.close()


def test_an_entry_moved_under_another_badge_is_never_returned(path: Path) -> None:
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute(
            "UPDATE entries SET (line, sum) = (SELECT line, sum FROM entries WHERE tag = ?)"
            " WHERE tag = ?",
            (tag(1), tag(2)),
        )
    direct.close()
    cache = opened(path)
    with pytest.raises(StoreError, match="another badge"):
        cache.lookup(tag(2))
    cache.close()


def test_an_added_entry_with_a_right_sum_is_found_by_the_verification(path: Path) -> None:
    with closing(sqlite3.connect(path)) as direct, direct:
        row = direct.execute("SELECT line, sum FROM entries WHERE tag = ?", (tag(1),)).fetchone()
        direct.execute("INSERT INTO entries VALUES (?, ?, ?)", (b"\xff" * 16, *row))
    direct.close()
    cache = opened(path)
    slices = [cache.verify_slice(50) for _ in range(BADGES // 50)]
    assert all(slices)
    with pytest.raises(StoreError, match="not those the hub signed"):
        cache.verify_slice(50)
    cache.close()


def test_a_flipped_bit_never_changes_an_answer(path: Path) -> None:
    good = path.read_bytes()
    rng = random.Random(3)
    expected = {n: entry(n) for n in range(BADGES)}
    refused = 0
    for _ in range(60):
        damaged = bytearray(good)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            cache = opened(path)
        except StoreError:
            refused += 1
            continue
        for number in range(BADGES):
            try:
                answer = cache.lookup(tag(number))
            except StoreError:
                refused += 1
                continue
            assert answer in (expected[number], None), "a damaged cache granted something else"
        cache.close()
    assert refused > 5


@pytest.mark.parametrize("content", [b"", b"not a database" * 400])
def test_rubbish_is_no_cache(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "auth-1-1.db"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        opened(path)


def test_cache_files_are_listed_newest_first_and_others_ignored(tmp_path: Path) -> None:
    for name in ("auth-1-9.db", "auth-2-1.db", "auth-1-10.db", "auth-x-1.db", "journal.db"):
        (tmp_path / name).touch()
    assert [version_of(path) for path in cache_files(tmp_path)] == [(2, 1), (1, 10), (1, 9)]
