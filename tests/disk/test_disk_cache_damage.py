"""Each page of a node's copy of the badges damaged in turn: found out, refused meanwhile, replaced by its like."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interlock.core.events import SnapshotActivated
from interlock.errors import StoreError
from interlock.node.cache import BadgeCache
from interlock.node.snapshot_builder import build
from tests.disk.test_disk_damage import PAGE_BYTES, damaged
from tests.node.signed_snapshots import SIGNED_KEYS, built, entry, order, snapshot_bytes, tag
from tests.node.test_reader_worker import Bench

pytestmark = pytest.mark.real

BADGES = 150
"""Two levels of pages: a root, and more than a dozen below it."""

VERSION = (1, 5)
POLLS_MAX = 40
"""More than the slices that BADGES rows are verified in."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Every damage is logged, and here there are dozens."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(name="path")
def cache_of_many_pages(tmp_path: Path) -> Path:
    return built(tmp_path, [entry(number) for number in range(BADGES)], VERSION)


def answers(path: Path) -> Counter[str]:
    """What is said of every member's badge before anybody has verified the file. Fails for an invented entry."""
    said: Counter[str] = Counter()
    with closing(
        BadgeCache(path, SIGNED_KEYS.hub_key(), lab=SIGNED_KEYS.lab, node=SIGNED_KEYS.node)
    ) as cache:
        for number in range(BADGES):
            try:
                found = cache.lookup(tag(number))
            except StoreError:
                said["damaged"] += 1
                continue
            assert found in (entry(number), None), "a damaged page lets somebody else in"
            said["known" if found else "unknown"] += 1
    return said


def ended(path: Path) -> str:
    """What a reader worker comes to when it begins with this file and nobody taps: refused, dropped or whole."""
    try:
        said = answers(path)
        bench = Bench(path)
    except StoreError:
        return "refused at the start"
    bench.settle()
    bench.polls(POLLS_MAX)
    version = bench.work.version
    last = [one for one in bench.events() if isinstance(one, SnapshotActivated)][-1]
    assert last.cache.version == version, "the machine says READY and has nothing to decide by"
    bench.work.close()
    if version is None:
        return "dropped"
    assert said == {"known": BADGES}, "members are refused and nobody says why"
    return "whole"


def replaced(path: Path) -> None:
    """The hub's file of the same version again, built over the damaged one."""
    spool = path.parent / "again"
    spool.write_bytes(snapshot_bytes([entry(number) for number in range(BADGES)], VERSION))
    build(order(spool, path.parent, mark=VERSION, replace_damaged=True))
    assert answers(path) == {"known": BADGES}


@pytest.mark.parametrize("kind", ["zeros", "rubbish", "torn", "cut off"])
def test_a_cache_with_any_one_page_damaged_is_found_out_before_it_could_mislead(
    path: Path, kind: str
) -> None:
    good = path.read_bytes()
    pages = len(good) // PAGE_BYTES
    assert pages > 10
    ends: Counter[str] = Counter()
    for page in range(pages):
        content = damaged(good, page, kind)
        assert content != good
        path.write_bytes(content)
        ends[ended(path)] += 1
    assert ends["whole"] == 0, ends
    # A file that is too short is refused as a whole; any other page only when it is the first or the signed header's.
    assert ends["refused at the start"] == (pages if kind == "cut off" else 2), ends
    replaced(path)
    assert ended(path) == "whole"


def test_a_page_of_an_older_list_is_found_out_by_the_digest_though_each_of_its_lines_is_right(
    path: Path,
) -> None:
    """What a disk leaves that acknowledged a write and lost it: well-formed, and of yesterday."""
    good = path.read_bytes()
    yesterday = path.parent / "yesterday"
    yesterday.mkdir()
    stale = built(yesterday, [entry(n, member=f"m{n}x") for n in range(BADGES)], VERSION)
    old = stale.read_bytes()
    assert len(old) == len(good)
    mixed = 0
    for begin in range(0, len(good), PAGE_BYTES):
        content = good[:begin] + old[begin : begin + PAGE_BYTES] + good[begin + PAGE_BYTES :]
        if content == good:
            continue
        path.write_bytes(content)
        bench = Bench(path)
        assert bench.work.version == VERSION, "nothing but the digest can tell"
        bench.polls(POLLS_MAX)
        assert bench.work.version is None, f"page {begin // PAGE_BYTES} of another list is believed"
        bench.work.close()
        mixed += 1
    assert mixed > 10
