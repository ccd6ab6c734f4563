"""A delta leads exactly where the hub signed it, or nowhere: every bit of it counts, and so does its base."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.core.model import BadgeState, Demands, Entry
from interlock.errors import ProtocolError
from interlock.node.cache import BadgeCache, cache_path
from interlock.node.snapshot_builder import build
from interlock.protocol import canonical, deltas, snapshots
from interlock.protocol.deltas import DELTA_BYTES_MAX, open_delta, signed_delta
from interlock.protocol.snapshots import AHEAD_S_MAX, SnapshotVersion, read_snapshot
from tests.node.journals import KEYS
from tests.node.signed_snapshots import (
    HUB,
    ISSUED_AT,
    STRANGER,
    built,
    entry,
    order,
    snapshot_bytes,
    tag,
)

fast = pytest.mark.fast
every_bit = pytest.mark.real
"""Ten thousand signatures are verified: a few seconds."""

OLD = [entry(1), entry(2), entry(3)]
NEW = [entry(1), entry(2, badge=BadgeState.BLOCKED), entry(4)]


def head_of(content: bytes) -> dict[str, Any]:
    return canonical.loads(content.splitlines(True)[0], where="test")


def lines_between(old: list[Entry], new: list[Entry]) -> list[bytes]:
    before = {one.tag: snapshots.entry_line(one) for one in old}
    after = {one.tag: snapshots.entry_line(one) for one in new}
    tags = sorted(t for t in before.keys() | after.keys() if before.get(t) != after.get(t))
    return [after.get(one) or deltas.removed_line(one) for one in tags]


def delta_bytes(
    begin: SnapshotVersion = (1, 5), end: SnapshotVersion = (1, 6), **changes: Any
) -> bytes:
    key, lines = changes.pop("key", HUB), changes.pop("lines", lines_between(OLD, NEW))
    base = head_of(snapshot_bytes(OLD, begin))
    return signed_delta(key, base, head_of(snapshot_bytes(NEW, end, key=key, **changes)), lines)


@pytest.fixture(name="state_dir")
def state_dir_with_a_live_list(tmp_path: Path) -> Path:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    built(state_dir, OLD, (1, 5))
    return state_dir


def applied(state_dir: Path, content: bytes, **changes: Any) -> None:
    spool = state_dir.parent / "delta"
    spool.write_bytes(content)
    build(order(spool, state_dir, **{"mark": (1, 5), **changes}))


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@fast
def test_an_applied_delta_makes_the_very_list_the_hub_would_have_sent_whole(
    state_dir: Path, tmp_path: Path
) -> None:
    applied(state_dir, delta_bytes())
    cache = BadgeCache(
        cache_path(state_dir, (1, 6)), HUB.public_key(), lab=KEYS.lab, node=KEYS.node
    )
    whole = tmp_path / "whole"
    whole.mkdir()
    other = BadgeCache(built(whole, NEW, (1, 6)), HUB.public_key(), lab=KEYS.lab, node=KEYS.node)
    assert cache.header == other.header
    assert [cache.lookup(tag(n)) for n in range(1, 6)] == [
        other.lookup(tag(n)) for n in range(1, 6)
    ]
    assert [n for n in range(1, 6) if cache.lookup(tag(n))] == [1, 2, 4]
    assert not cache.verify_slice(100)
    cache.close()
    other.close()


@fast
def test_what_stays_the_same_does_not_travel() -> None:
    """A list with eight changes of the clock is not larger to change than one without."""
    heads = []
    for offsets in ((), tuple((at, 3_600) for at in range(1, 9))):
        told = Demands(("saw",), offsets=offsets)
        base = head_of(snapshot_bytes(OLD, (1, 5), demands=told))
        head = head_of(snapshot_bytes(NEW, (1, 6), demands=told))
        heads.append(signed_delta(HUB, base, head, lines_between(OLD, NEW)))
    assert len(heads[0]) == len(heads[1])


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "another node's": (lambda: delta_bytes(node="laser"), "for node laser"),
    "another lab's": (lambda: delta_bytes(lab="elsewhere"), "of lab elsewhere"),
    "signed by a stranger": (lambda: delta_bytes(key=STRANGER), "not the hub's"),
    "on an older base": (lambda: delta_bytes((1, 4)), "starts from"),
    "on a newer base": (lambda: delta_bytes((1, 6), (1, 7)), "starts from"),
    "leading back": (lambda: delta_bytes((1, 5), (1, 5)), "does not lead"),
    "cut short": (lambda: delta_bytes()[:-5], "lines are not those"),
    "with a line less": (
        lambda: b"".join(delta_bytes().splitlines(True)[:-1]),
        "lines are not those",
    ),
    "with a line more": (
        lambda: delta_bytes() + snapshots.entry_line(entry(9)),
        "lines are not those",
    ),
    "endless": (lambda: delta_bytes() + b" " * DELTA_BYTES_MAX, "more than"),
    "empty": (lambda: b"", "cut short"),
    "that forgets a change": (
        lambda: delta_bytes(lines=lines_between(OLD, NEW)[:1]),
        "not what the hub signed",
    ),
    "that gives more": (
        lambda: delta_bytes(lines=lines_between(OLD, [*NEW, entry(7)])),
        "not what the hub signed",
    ),
    "from the future": (lambda: delta_bytes(issued_at=ISSUED_AT + 2 * AHEAD_S_MAX), "future"),
}


@fast
@pytest.mark.parametrize("name", BAD)
def test_a_refused_delta_leaves_every_byte_as_it_was(state_dir: Path, name: str) -> None:
    make, says = BAD[name]
    before = folder_bytes(state_dir)
    with pytest.raises(ProtocolError, match=says):
        applied(state_dir, make(), now_at=ISSUED_AT)
    assert folder_bytes(state_dir) == before


@fast
def test_a_delta_replayed_after_it_was_applied_is_refused(state_dir: Path) -> None:
    applied(state_dir, delta_bytes())
    before = folder_bytes(state_dir)
    with pytest.raises(ProtocolError, match="starts from"):
        applied(state_dir, delta_bytes(), mark=(1, 6))
    assert folder_bytes(state_dir) == before


@fast
def test_a_delta_on_a_damaged_list_is_refused_wherever_the_damage_is(state_dir: Path) -> None:
    live = cache_path(state_dir, (1, 5))
    whole = live.read_bytes()
    for needle in (b'"member":"m1"', b'"member":"m2"', b'"member":"m3"', b'"kind":"snapshot"'):
        at = whole.rindex(needle) + len(needle) - 2
        live.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        before = folder_bytes(state_dir)
        if b"m1" not in needle and b"kind" not in needle:
            # That very line is replaced, or goes: what results is what the hub signed.
            applied(state_dir, delta_bytes())
            cache_path(state_dir, (1, 6)).unlink()
            continue
        with pytest.raises(ProtocolError):
            applied(state_dir, delta_bytes())
        assert folder_bytes(state_dir) == before


@fast
def test_a_delta_for_a_node_without_a_list_is_refused(state_dir: Path) -> None:
    for changes in ({"mark": None}, {"replace_damaged": True}, {"mark": (1, 4)}):
        with pytest.raises(ProtocolError, match=r"no list|not here"):
            applied(state_dir, delta_bytes(), **changes)


def flipped(content: bytes) -> list[bytes]:
    """`content` with one bit altered, for every bit of it."""
    return [
        content[:at] + bytes((content[at] ^ 1 << bit,)) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]


@fast
def test_a_list_or_a_delta_that_is_spelled_otherwise_is_refused(state_dir: Path) -> None:
    """The same object with a space in it would verify, and stand on the disk as bytes nobody signed."""
    before = folder_bytes(state_dir)
    for good in (snapshot_bytes(NEW, (1, 6)), delta_bytes()):
        with pytest.raises(ProtocolError, match="canonical"):
            applied(state_dir, good.replace(b'","statement"', b'", "statement"', 1))
    assert folder_bytes(state_dir) == before


@every_bit
def test_no_bit_of_a_delta_can_be_altered() -> None:
    base = head_of(snapshot_bytes(OLD, (1, 5)))
    good = delta_bytes()
    open_delta(good, base, HUB.public_key(), lab=KEYS.lab, node=KEYS.node)
    passed = []
    for number, bad in enumerate(flipped(good)):
        try:
            open_delta(bad, base, HUB.public_key(), lab=KEYS.lab, node=KEYS.node)
        except ProtocolError:
            continue
        passed.append(number)
    assert passed == []


@every_bit
def test_no_bit_of_a_snapshot_can_be_altered() -> None:
    good = snapshot_bytes(OLD[:1])
    passed = []
    for number, bad in enumerate([good, *flipped(good)]):
        try:
            _, entries = read_snapshot(
                io.BytesIO(bad), HUB.public_key(), lab=KEYS.lab, node=KEYS.node
            )
            list(entries)
        except ProtocolError:
            continue
        passed.append(number)
    assert passed == [0], "all but the one that nobody altered"


@every_bit
@pytest.mark.parametrize("every", [97])
def test_a_flipped_bit_leaves_the_state_directory_as_it_was(state_dir: Path, every: int) -> None:
    before = folder_bytes(state_dir)
    samples = flipped(delta_bytes())[::every] + flipped(snapshot_bytes(NEW, (1, 6)))[::every]
    for bad in samples:
        with pytest.raises(ProtocolError):
            applied(state_dir, bad)
    assert folder_bytes(state_dir) == before
    assert len(samples) > 100
