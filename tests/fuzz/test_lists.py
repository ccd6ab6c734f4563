"""Snapshots and deltas of any bytes and any words: the node's list is whole and its own, or as it was before."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given

from interlock.core.model import Assurance, Cache, Now, Rules
from interlock.core.policy import decide
from interlock.errors import InterlockError, ProtocolError
from interlock.node.cache import BadgeCache, cache_files, cache_path
from interlock.node.snapshot_builder import build
from interlock.protocol import canonical, deltas, snapshots
from tests.fuzz.kept import BreachError, Surface, examples
from tests.fuzz.signed import files
from tests.node.journals import KEYS
from tests.node.signed_snapshots import HUB, ISSUED_AT, built, entry, order, snapshot_bytes
from tests.node.test_deltas import NEW, OLD, delta_bytes

pytestmark = pytest.mark.fast

BASE = (1, 5)
WHOLE = snapshot_bytes(NEW, (1, 6))
DELTA = delta_bytes()
HEAD = canonical.loads(snapshot_bytes(OLD, BASE).splitlines(True)[0], where="test")
NAMES = {"lab": KEYS.lab, "node": KEYS.node}


def streamed(content: bytes) -> str:
    """A snapshot as the builder reads it; nothing counts before the last line has matched."""
    head, entries = snapshots.read_snapshot(io.BytesIO(content), HUB.public_key(), **NAMES)
    tags = [one.tag for one in entries]
    if tags != sorted(set(tags)):
        raise BreachError("a badge stands twice in the list")
    return f"snapshot of {min(len(tags), 4)} with {len(head.demands.schedules)} schedules"


def changed(content: bytes) -> str:
    """A delta on the list that this node has."""
    delta = deltas.open_delta(content, HEAD, HUB.public_key(), **NAMES)
    if delta.header.version <= delta.base:
        raise BreachError("it leads back")
    return f"delta of {len(delta.changes)}"


class Installed:
    """The real builder over a real folder that holds a list; after each case it holds that list again."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.live = built(state_dir, OLD, BASE)
        self.before = self.contents()

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.state_dir.iterdir()}

    def run(self, content: bytes) -> str:
        spool = self.state_dir / "case"
        spool.write_bytes(content)
        try:
            head = build(order(spool, self.state_dir, mark=BASE, now_at=ISSUED_AT))
        except InterlockError:
            spool.unlink()
            if self.contents() != self.before:
                raise BreachError("refused, and the folder is not what it was") from None
            raise
        spool.unlink()
        fresh = cache_path(self.state_dir, head.version)
        if self.live.read_bytes() != self.before[self.live.name]:
            raise BreachError("the live list was written to")
        if fresh not in cache_files(self.state_dir):
            raise BreachError(f"nobody would find {fresh.name} again")
        try:
            return f"in place, {decided(fresh)}"
        finally:
            fresh.unlink()


def decided(path: Path) -> str:
    """Every badge of a list in place is looked up and decided about: whatever it says, there is an answer."""
    cache = BadgeCache(path, HUB.public_key(), **NAMES)
    try:
        while cache.verify_slice(10):
            pass
        rules = Rules().tightened(cache.header.demands)
        found = [cache.lookup(tag) for tag in {one.tag for one in (*OLD, *NEW)}]
        for one in found:
            now = Now(1_000, ISSUED_AT, True)
            decide(one, rules, now, Cache(cache.version, 0), Assurance.UID)
    finally:
        cache.close()
    return f"{sum(one is not None for one in found)} badges known"


STREAMED = Surface("snapshots", streamed)
CHANGED = Surface("deltas", changed)


@pytest.mark.parametrize(
    ("surface", "good"), [(STREAMED, WHOLE), (CHANGED, DELTA)], ids=["snapshots", "deltas"]
)
def test_a_list_of_any_words_is_refused_by_name_or_whole(surface: Surface, good: bytes) -> None:
    @examples(150)
    @given(files(good))
    def send(case: bytes) -> None:
        surface.outcome(case)

    try:
        send()
    finally:
        surface.keep()


def test_what_is_put_in_place_is_found_again_and_what_is_refused_left_no_trace(
    tmp_path: Path,
) -> None:
    installed = Installed(tmp_path)
    surface = Surface("installed", installed.run)

    @examples(25)
    @given(files(WHOLE, DELTA))
    def send(case: bytes) -> None:
        surface.outcome(case)

    assert surface.outcome(WHOLE) == surface.outcome(DELTA) == "in place, 3 badges known"
    try:
        send()
    finally:
        surface.keep()


@pytest.mark.parametrize("surface", [STREAMED, CHANGED], ids=["snapshots", "deltas"])
def test_a_kept_list_ends_as_it_did(surface: Surface) -> None:
    kept = list(surface.kept())
    assert len(kept) > 20, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


def test_a_kept_file_ends_as_it_did(tmp_path: Path) -> None:
    surface = Surface("installed", Installed(tmp_path).run)
    kept = list(surface.kept())
    assert len(kept) > 5, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


def test_good_lists_pass() -> None:
    assert STREAMED.outcome(WHOLE) == "snapshot of 3 with 0 schedules"
    assert CHANGED.outcome(DELTA) == "delta of 3"


def test_every_bit_of_a_short_list_counts() -> None:
    """Not a sample: each bit of a signed list of one badge, one by one; none of them leads anywhere else."""
    good = snapshot_bytes([entry(1)], (1, 6))
    passed = []
    for place in range(len(good)):
        bent = bytearray(good)
        bent[place] ^= 1 << (place % 8)
        try:
            passed.append(streamed(bytes(bent)))
        except ProtocolError:
            continue
    assert passed == []


def test_a_builder_that_leaves_its_work_behind_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate break: a temporary file that stays is a breach at the first refused list."""
    surface = Surface("installed", Installed(tmp_path).run)
    monkeypatch.setattr(Path, "unlink", _unlink_but_temporaries)
    with pytest.raises(BreachError, match="not what it was"):
        surface.outcome(WHOLE + b"one line more\n")


_UNLINK = Path.unlink


def _unlink_but_temporaries(path: Path, missing_ok: bool = False) -> None:
    if path.suffix != ".tmp":
        _UNLINK(path, missing_ok)
